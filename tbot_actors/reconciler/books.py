"""The journal as the reconciler needs it: orders, inventory, booked fills, and when each became known here.

A venue is read while orders live on. What the fold learned after a read began is not held against that read, so every
order and fill is kept with the monotonic time at which the fold saw it.
"""

from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator
from decimal import Decimal

from attrs import define, field, frozen

from tbot_actors.domain.blotter import Blotter
from tbot_actors.domain.events import Event, Fill, GenerationStarted, InstrumentDefined, Reconciled
from tbot_actors.domain.instruments import Instrument, InstrumentId
from tbot_actors.domain.inventory import Inventory
from tbot_actors.domain.messages import VenueTrade
from tbot_actors.domain.orders import Order, OrderState

FILLS_REMEMBERED = 100_000
"""Keys of booked fills; a run reads few beyond its floor."""
ORDERS_REMEMBERED = 20_000
"""Times of orders; more than the blotter keeps."""
CANDIDATES_MAX = 10_000
"""Fills that may become the floor of an instrument."""

LIVE = frozenset({OrderState.OPEN, OrderState.PARTIAL, OrderState.PENDING_CANCEL})
"""The venue has confirmed the order, so it must list it."""
IN_FLIGHT = frozenset({OrderState.SUBMITTING, OrderState.UNKNOWN})
"""The venue may have the order."""


@frozen
class Floor:
    """Everything up to this trade was compared with the venue and is booked."""

    stamp_ns: int
    trade_id: str


@define
class Books:
    """The fold. `apply` takes every event once, in journal order."""

    overlap_ns: int
    """Trades younger than this, at the time of a clean reconcile, are compared once more."""
    bot: str = ""
    """Our tag in client ids, as the starts in the journal state it."""
    blotter: Blotter = field(factory=Blotter)
    inventory: Inventory = field(factory=Inventory)
    floors: dict[InstrumentId, Floor] = field(factory=dict)
    _fills: OrderedDict[tuple[InstrumentId, str], tuple[int, Fill]] = field(factory=OrderedDict)
    _changed_ns: OrderedDict[str, int] = field(factory=OrderedDict)
    _candidates: dict[InstrumentId, deque[Floor]] = field(factory=dict)

    def apply(self, event: Event, now_ns: int) -> None:
        """Take one event in, read at the monotonic time `now_ns`."""
        if isinstance(event, GenerationStarted):
            self.bot = event.bot
        elif isinstance(event, InstrumentDefined):
            self.inventory.define(event.instrument)
        elif isinstance(event, Fill):
            self._book(event, now_ns)
        elif isinstance(event, Reconciled) and event.clean and not self.in_flight(event.venue):
            for instrument in self.instruments(event.venue):
                self._raise_floor(instrument.id, self._candidates.get(instrument.id, ()), event.stamp_ns)
        known = self.blotter.get(getattr(event, "client_id", ""))
        order = self.blotter.apply(event)
        if order is not None and (known is None or _phase(known) != _phase(order)):
            self._changed_ns[order.client_id] = now_ns
            self._changed_ns.move_to_end(order.client_id)
            if len(self._changed_ns) > ORDERS_REMEMBERED:
                self._changed_ns.popitem(last=False)

    def verified(self, trades: Iterable[VenueTrade], wall_ns: int) -> None:
        """These trades were compared in a clean run, foreign ones too: the next run need not read the old ones."""
        by_instrument: dict[InstrumentId, list[Floor]] = {}
        for trade in trades:
            by_instrument.setdefault(trade.instrument, []).append(Floor(trade.stamp_ns, trade.trade_id))
        for instrument, candidates in by_instrument.items():
            self._raise_floor(instrument, candidates, wall_ns)

    def instruments(self, venue: str) -> tuple[Instrument, ...]:
        """The instruments of a venue."""
        return tuple(instrument for instrument in self.inventory.instruments.values() if instrument.venue == venue)

    def trades_after(self, venue: str) -> dict[InstrumentId, str | None]:
        """From where the venue's trades are to be read, by instrument."""
        floors = {instrument.id: self.floors.get(instrument.id) for instrument in self.instruments(venue)}
        return {name: None if floor is None else floor.trade_id for name, floor in floors.items()}

    def in_flight(self, venue: str) -> tuple[Order, ...]:
        """Orders that the venue may or may not have: trades of theirs cannot be told from foreign ones yet."""
        return tuple(
            order
            for order in self.blotter.working.values()
            if order.state in IN_FLIGHT and order.instrument.startswith(f"{venue}:")
        )

    def booked(self, instrument: InstrumentId, trade_id: str) -> bool:
        """Whether the journal has this trade."""
        return (instrument, trade_id) in self._fills

    def changed_ns(self, client_id: str) -> int:
        """When the fold saw the order be committed, become live, or end: the last of these. 0 if forgotten."""
        return self._changed_ns.get(client_id, 0)

    def fills_since(self, since_ns: int) -> Iterator[Fill]:
        """The fills that the fold read at or after this monotonic time."""
        for seen_ns, fill in reversed(self._fills.values()):
            if seen_ns < since_ns:
                return
            yield fill

    def owner(self, trade: VenueTrade) -> Order | None:
        """Our order that this trade belongs to; None for a foreign one."""
        if trade.client_id is not None:
            return self.blotter.get(trade.client_id)
        return self.blotter.by_venue_id(trade.instrument, trade.venue_order_id)

    def owned(self, venue: str) -> dict[str, Decimal]:
        """What the bot owns of each base asset at a venue of spot instruments: the sum of all virtual positions."""
        sums: dict[str, Decimal] = {}
        for instrument in self.instruments(venue):
            if instrument.spot:
                sums[instrument.base] = sums.get(instrument.base, Decimal(0)) + self.inventory.net(instrument.id)
        return sums

    def _book(self, fill: Fill, now_ns: int) -> None:
        self.inventory.apply(fill)
        self._fills[fill.instrument, fill.trade_id] = (now_ns, fill)
        if len(self._fills) > FILLS_REMEMBERED:
            self._fills.popitem(last=False)
        candidates = self._candidates.setdefault(fill.instrument, deque(maxlen=CANDIDATES_MAX))
        candidates.append(Floor(fill.stamp_ns, fill.trade_id))

    def _raise_floor(self, instrument: InstrumentId, candidates: Iterable[Floor], clean_ns: int) -> None:
        old = [candidate for candidate in candidates if candidate.stamp_ns <= clean_ns - self.overlap_ns]
        if not old:
            return
        floor = max(old, key=lambda candidate: candidate.stamp_ns)
        standing = self.floors.get(instrument)
        if standing is None or floor.stamp_ns > standing.stamp_ns:
            self.floors[instrument] = floor
        kept = [c for c in self._candidates.get(instrument, ()) if c.stamp_ns > self.floors[instrument].stamp_ns]
        self._candidates[instrument] = deque(kept, maxlen=CANDIDATES_MAX)


def _phase(order: Order) -> str:
    if order.state.terminal:
        return "ended"
    return "live" if order.state in LIVE else "coming"
