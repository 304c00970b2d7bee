"""Market data as every room reads it, whatever venue it came from."""

from decimal import Decimal
from typing import NewType

from attrs import frozen

from tbot_actors.domain.instruments import InstrumentId, Side

EventId = NewType("EventId", str)
"""Names one market event for ever: the same event read twice has the same id."""

Level = tuple[Decimal, Decimal]
"""Price, quantity."""


@frozen
class Quote:
    """Best bid and ask. Conflated by instrument: only the newest matters."""

    instrument: InstrumentId
    bid: Decimal
    bid_quantity: Decimal
    ask: Decimal
    ask_quantity: Decimal
    update: int
    """The venue's book update id."""
    stamp_ns: int
    """Wall time of receipt, ns UTC."""
    received_ns: int
    """Monotonic time of receipt: ages are counted from here, in this process only."""

    @property
    def mid(self) -> Decimal:
        """Half-way between bid and ask."""
        return (self.bid + self.ask) / 2

    @property
    def event(self) -> EventId:
        """The stamp is part of the id because a venue may restart its update ids."""
        return EventId(f"q/{self.instrument}/{self.update}/{self.stamp_ns}")


@frozen
class MarketTrade:
    """A public trade."""

    instrument: InstrumentId
    trade_id: str
    price: Decimal
    quantity: Decimal
    taker_side: Side
    stamp_ns: int
    received_ns: int

    @property
    def event(self) -> EventId:
        """Trade ids are unique per instrument at the venue."""
        return EventId(f"t/{self.instrument}/{self.trade_id}")


@frozen
class Candle:
    """A finished bar `[open_ns, open_ns + period_ns)` of public trades.

    A period without trades repeats the last close with volume 0.
    """

    instrument: InstrumentId
    period_ns: int
    open_ns: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    trades: int
    received_ns: int

    @property
    def event(self) -> EventId:
        """One candle per instrument, period and start."""
        return EventId(f"c/{self.instrument}/{self.period_ns}/{self.open_ns}")


@frozen
class DepthSnapshot:
    """The whole book (or its top) as of `last_update`, best levels first."""

    instrument: InstrumentId
    last_update: int
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]


@frozen
class DepthDiff:
    """Absolute new totals of the changed levels between two update ids, both included; quantity 0 removes a level."""

    instrument: InstrumentId
    first_update: int
    last_update: int
    previous_update: int | None
    """Where the venue states it (futures `pu`), else None."""
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]
    received_ns: int


@frozen
class TopOfBook:
    """The venue's own best bid and ask as it announced them."""

    instrument: InstrumentId
    update: int
    bid: Level
    ask: Level
    received_ns: int
