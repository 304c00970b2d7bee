"""The books as a pure fold: fills in journal order, marks as they come, a day anchor at UTC midnight.

The journal holds no prices but those of fills. So after a start the mark of a position from an earlier day is unknown
until somebody trades or quotes the instrument, and what it did meanwhile is not this day's profit or loss: the first
price of the day moves the anchor, not the day's result.
"""

from decimal import Decimal

from attrs import define, field

from tbot_actors.domain.events import Event, Fill, InstrumentDefined
from tbot_actors.domain.instruments import InstrumentId
from tbot_actors.domain.inventory import Inventory
from tbot_actors.domain.market import Quote
from tbot_actors.domain.messages import PortfolioState
from tbot_actors.domain.money import ZERO

DAY_NS = 86_400 * 1_000_000_000


@define
class Accounts:
    """Positions and what they are worth. Equity is allocated capital plus the profit of the bot's own fills."""

    capital: Decimal
    """Allocated to all strategies, quote currency."""
    inventory: Inventory = field(factory=Inventory)
    marks: dict[InstrumentId, Decimal] = field(factory=dict)
    """Newest mid by instrument; before the first quote, the price of the last fill."""
    _quoted: set[InstrumentId] = field(factory=set)
    """Instruments with a quote in this process: their marks are never of another day than the market's."""
    _priced: dict[InstrumentId, int] = field(factory=dict)
    """Day of the last price."""
    _day: int | None = None
    _day_start: Decimal = ZERO

    def apply(self, event: Event) -> bool:
        """Take one journal event in; true where it changed a position."""
        if isinstance(event, InstrumentDefined):
            self.inventory.define(event.instrument)
            return False
        if not isinstance(event, Fill):
            return False
        self._turn_day(event.stamp_ns)
        if event.instrument not in self._quoted:
            self._price(event.instrument, event.price)
        self.inventory.apply(event)
        return True

    def mark(self, quote: Quote) -> None:
        """Value the instrument at the quote's mid from now on. What is no price changes nothing."""
        if not (quote.bid.is_finite() and quote.ask.is_finite() and ZERO < quote.bid <= quote.ask):
            return
        self._turn_day(quote.stamp_ns)
        self._price(quote.instrument, quote.mid)
        self._quoted.add(quote.instrument)

    def state(self, stamp_ns: int, sequence: int) -> PortfolioState:
        """The books at this moment."""
        self._turn_day(stamp_ns)
        held = dict(self.inventory.positions)
        return PortfolioState(
            positions=held,
            marks=dict(self.marks),
            capital=self.capital,
            realized=sum((position.realized for position in held.values()), ZERO),
            unrealized=sum((position.unrealized(self.marks[name]) for (_, name), position in held.items()), ZERO),
            day_start_equity=self._day_start,
            stamp_ns=stamp_ns,
            sequence=sequence,
        )

    def _price(self, instrument: InstrumentId, price: Decimal) -> None:
        day = self._day or 0
        before = self.marks.get(instrument)
        if before is not None and instrument not in self._quoted and self._priced[instrument] < day:
            self._day_start += self.inventory.net(instrument) * (price - before)
        self.marks[instrument] = price
        self._priced[instrument] = day

    def _equity(self) -> Decimal:
        positions = self.inventory.positions.items()
        profits = (position.realized + position.unrealized(self.marks[name]) for (_, name), position in positions)
        return self.capital + sum(profits, ZERO)

    def _turn_day(self, stamp_ns: int) -> None:
        """The first thing of a new UTC day anchors it at the equity before it; a clock going back changes nothing."""
        day = stamp_ns // DAY_NS
        if self._day is None or day > self._day:
            self._day = day
            self._day_start = self._equity()
