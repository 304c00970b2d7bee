"""The books as a pure fold: fills in journal order, marks as they come, a day anchor at UTC midnight."""

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
    """Positions and what they are worth. Equity is allocated capital plus the profit of the bot's own fills, nothing else."""

    capital: Decimal
    """Allocated to all strategies, quote currency."""
    inventory: Inventory = field(factory=Inventory)
    marks: dict[InstrumentId, Decimal] = field(factory=dict)
    """Newest mid by instrument; before the first quote, the price of the last fill."""
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
        self.inventory.apply(event)
        self.marks.setdefault(event.instrument, event.price)
        return True

    def mark(self, quote: Quote) -> None:
        """Value the instrument at the quote's mid from now on."""
        self._turn_day(quote.stamp_ns)
        self.marks[quote.instrument] = quote.mid

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

    def _equity(self) -> Decimal:
        profits = (position.realized + position.unrealized(self.marks[name]) for (_, name), position in self.inventory.positions.items())
        return self.capital + sum(profits, ZERO)

    def _turn_day(self, stamp_ns: int) -> None:
        """The first thing of a new UTC day anchors it at the equity before it; the wall clock going back changes nothing."""
        day = stamp_ns // DAY_NS
        if self._day is None or day > self._day:
            self._day = day
            self._day_start = self._equity()
