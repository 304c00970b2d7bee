"""A strategy as a user would write it: a file of its own. It does something in each hook, and forges on request."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from attrs import field, frozen, validators

from tbot_actors.domain.events import Fill
from tbot_actors.domain.instruments import InstrumentId, Side
from tbot_actors.domain.intents import Cancel, Place, Replace
from tbot_actors.domain.market import Candle, MarketTrade, Quote
from tbot_actors.domain.orders import Order
from tbot_actors.domain.view import View
from tbot_actors.strategies import Strategy


@frozen
class MyParams:
    size: Decimal = field(default=Decimal(1), validator=validators.gt(Decimal(0)))
    mood: str = "good"
    periods: tuple[int, ...] = (60,)


class Mine(Strategy):
    Params = MyParams

    def __init__(self, params: MyParams, instruments: tuple[InstrumentId, ...]) -> None:
        super().__init__(params, instruments)
        self.seen: dict[str, str] = {}
        self.quoted = False

    def candles_s(self) -> tuple[int, ...]:
        return tuple(self.params.periods)

    def on_quote(self, view: View, quote: Quote) -> Any:
        self.quoted = True
        if self.params.mood == "raises":
            raise ArithmeticError("a hook of mine failed")
        if view.busy("entry"):
            return (Replace("entry", self.params.size, quote.bid),) if "entry" in view.orders else ()
        return (Place("entry", quote.instrument, Side.BUY, self.params.size, quote.bid),)

    def on_trade(self, view: View, trade: MarketTrade) -> Any:
        self._saw("trade", view)
        return ()

    def on_candle(self, view: View, candle: Candle) -> Any:
        self._saw("candle", view)
        return (Place(f"c{candle.open_ns}", candle.instrument, Side.SELL, self.params.size, reduces=True),)

    def on_order(self, view: View, order: Order) -> Any:
        self._saw(f"order {order.state.value}", view)
        return (Cancel(order.intent.key),) if "after" in view.pending else ()

    def on_fill(self, view: View, fill: Fill) -> Any:
        self._saw("fill", view)
        return (Place("after", fill.instrument, Side.SELL, fill.quantity, fill.price),)

    def on_timer(self, view: View) -> Any:
        return ()

    def on_disconnect(self, view: View) -> Any:
        return tuple(Cancel(key) for key in sorted(view.orders))

    def on_trading_disabled(self, view: View) -> Any:
        return (Cancel("all"), Place("barred", self.instruments[0], Side.BUY, self.params.size))

    def snapshot(self) -> Mapping[str, str]:
        return self.seen

    def restore(self, snapshot: Mapping[str, str]) -> None:
        self.seen = dict(snapshot)
        if self.params.mood == "peeks":
            peek(self)
        elif self.params.mood not in {"good", "raises"}:
            forge(self, self.params.mood)

    def _saw(self, what: str, view: View) -> None:
        held = view.position(self.instruments[0]).quantity
        text = f"{held} {sorted(view.orders)} {sorted(view.pending)} {sorted(view.barred)}"
        self.seen = {**self.seen, what: text}


def peek(mine: Mine) -> None:
    """Write down everything this process is told of orders."""
    from tbot_actors.strategies import wire
    from tbot_actors.strategies.session import Delta

    honest = wire.happening_of

    def peeking(request: Any) -> Any:
        happening = honest(request)
        if isinstance(happening, Delta):
            whose = getattr(happening.event, "strategy", "nobody")
            mine.seen = {"told": f"{mine.seen.get('told', '')}{type(happening.event).__name__} of {whose}; "}
        return happening

    mine._saw = lambda what, view: None  # type: ignore[method-assign]
    wire.happening_of = peeking


def forge(mine: Mine, mood: str) -> None:
    """Whatever runs in a process can change everything in it."""
    from tbot_actors.strategies import wire
    from tbot_actors.strategies.session import Hook

    forged: Any = {
        "other hook": (wire.HookResult(Hook.FILL, (), None),),
        "no number": (wire.HookResult(Hook.QUOTE, (wire.ReplaceWanted("k", Decimal("NaN"), Decimal(1)),), None),),
        "too many": (wire.HookResult(Hook.QUOTE, tuple(wire.CancelWanted(f"{n}") for n in range(65)), None),),
        "twice": (wire.HookResult(Hook.QUOTE, (), {}), wire.HookResult(Hook.QUOTE, (), {"a": "b"})),
        "large": (wire.HookResult(Hook.QUOTE, (), {"a": "x" * 70_000}),),
        "long key": (wire.HookResult(Hook.QUOTE, (wire.CancelWanted("k" * 200),), None),),
    }[mood]
    honest = wire.answer_of
    wire.answer_of = lambda wants: wire.HookResults(forged) if mine.quoted else honest(wants)
