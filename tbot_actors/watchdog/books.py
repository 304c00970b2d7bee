"""The journal as safety needs it: inventory, orders, booked trades, standing pauses and the latch's history."""

from collections import OrderedDict, deque

from attrs import define, field, frozen

from tbot_actors.domain.blotter import Blotter
from tbot_actors.domain.events import (
    Event,
    Fill,
    GenerationStarted,
    InstrumentDefined,
    LatchChanged,
    PauseChanged,
)
from tbot_actors.domain.instruments import InstrumentId
from tbot_actors.domain.inventory import Inventory

FILLS_REMEMBERED = 100_000
"""Keys of booked trades: far more than one run reads again."""
TRADES_PER_INSTRUMENT = 10_000
"""Newest trades of an instrument, from which reading at the venue may begin."""


@frozen
class _Trade:
    stamp_ns: int
    trade_id: str


@define
class Books:
    """The fold. `apply` takes every event once, in journal order."""

    blotter: Blotter = field(factory=Blotter)
    inventory: Inventory = field(factory=Inventory)
    generation: int = 0
    pauses: dict[str, tuple[str, ...]] = field(factory=dict)
    """Of this process, by scope, as journaled."""
    stamp_ns: int = 0
    """Newest stamp of a pause."""
    latched: dict[str, tuple[str, ...]] = field(factory=dict)
    """The latch as its journaled history has it."""
    _booked: OrderedDict[tuple[InstrumentId, str], None] = field(factory=OrderedDict)
    _trades: dict[InstrumentId, deque[_Trade]] = field(factory=dict)

    def apply(self, event: Event) -> None:
        """Take one event in."""
        if isinstance(event, GenerationStarted):
            self.generation = event.generation
            self.pauses.clear()
        elif isinstance(event, InstrumentDefined):
            self.inventory.define(event.instrument)
        elif isinstance(event, PauseChanged):
            self.pauses[event.scope] = event.causes
            self.stamp_ns = max(self.stamp_ns, event.stamp_ns)
        elif isinstance(event, LatchChanged):
            self.latched[event.scope] = event.causes
        elif isinstance(event, Fill):
            self._book(event)
        self.blotter.apply(event)

    def booked(self, instrument: InstrumentId, trade_id: str) -> bool:
        """Whether the journal has this trade."""
        return (instrument, trade_id) in self._booked

    def trades_after(self, instrument: InstrumentId, before_ns: int) -> str | None:
        """After which trade to read at the venue: the newest before `before_ns`, else the oldest known, else None."""
        trades = self._trades.get(instrument)
        if not trades:
            return None
        old = [trade for trade in trades if trade.stamp_ns <= before_ns]
        chosen = max(old, key=lambda trade: trade.stamp_ns) if old else min(trades, key=lambda trade: trade.stamp_ns)
        return chosen.trade_id

    def _book(self, fill: Fill) -> None:
        self.inventory.apply(fill)
        self._booked[fill.instrument, fill.trade_id] = None
        if len(self._booked) > FILLS_REMEMBERED:
            self._booked.popitem(last=False)
        trades = self._trades.setdefault(fill.instrument, deque(maxlen=TRADES_PER_INSTRUMENT))
        trades.append(_Trade(fill.stamp_ns, fill.trade_id))
