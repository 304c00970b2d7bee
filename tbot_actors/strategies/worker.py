"""A strategy in a process of its own: the worker that loads it and calls its hooks."""

import importlib
from typing import Any, ClassVar

import msgspec

from tbot_actors.domain.instruments import InstrumentId
from tbot_actors.domain.market import Candle, MarketTrade, Quote
from tbot_actors.kernel.host.vocabulary import Vocabulary
from tbot_actors.kernel.host.worker import Worker, answers
from tbot_actors.strategies import wire
from tbot_actors.strategies.load import load_strategy
from tbot_actors.strategies.session import Books, Hooks


class StrategyWorker(Worker):
    """One strategy. Everything it knows comes over the wire."""

    vocabulary: ClassVar[Vocabulary] = wire.VOCABULARY

    def started(self, argument: bytes) -> None:
        """Load the strategy: here, and nowhere in the bot's own process, its file is run."""
        order = msgspec.msgpack.decode(argument, type=wire.StrategyOrder)
        kind = load_strategy(order.kind)
        module, _, function = order.converter.partition(":")
        converter = getattr(importlib.import_module(module), function)()
        instruments = tuple(InstrumentId(instrument) for instrument in order.instruments)
        self._strategy = kind(converter.structure(order.params, kind.Params), instruments)
        self._hooks = Hooks(self._strategy, Books(order.name, order.capital, instruments))

    @answers(wire.Describe)
    def on_describe(self, _request: wire.Describe) -> wire.Described:
        return wire.Described(tuple(self._strategy.candles_s()))

    @answers(Quote)
    @answers(MarketTrade)
    @answers(Candle)
    @answers(wire.Tick)
    @answers(wire.Event)
    @answers(wire.Events)
    @answers(wire.Live)
    def on_happening(self, request: Any) -> wire.HookResults | None:
        return wire.answer_of(self._hooks.take(wire.happening_of(request)))
