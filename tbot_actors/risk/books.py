"""What risk knows: positions, working orders, reservations, seen intents and standing pauses, all folded from the
journal.

A reservation covers an approved intent until the journal shows its order (from then on the order itself counts), or
until the intent is denied after all.
"""

from collections import OrderedDict
from collections.abc import Iterable
from decimal import Decimal

from attrs import define, field, frozen

from tbot_actors.domain.blotter import Blotter
from tbot_actors.domain.events import (
    DecisionDenied,
    Event,
    Fill,
    GenerationStarted,
    InstrumentDefined,
    OrderCommitted,
    PauseChanged,
)
from tbot_actors.domain.instruments import InstrumentId, Side
from tbot_actors.domain.intents import IntentKey, Place
from tbot_actors.domain.inventory import Inventory
from tbot_actors.domain.market import Quote
from tbot_actors.domain.messages import PortfolioState
from tbot_actors.domain.money import ZERO
from tbot_actors.risk.pauses import Pauses

INTENTS_REMEMBERED = 100_000
"""Intent keys kept to refuse a repeated decision; event ids carry time, so older ones cannot come again."""


@frozen
class Reservation:
    """An approved intent whose order is not in the journal yet."""

    place: Place
    quantity: Decimal
    """What of it would be new at the venue: a replacement places only what the order it replaces leaves unfilled."""
    replaces: str | None = None
    """Client id of that order."""


@frozen
class Working:
    """One order or reservation at its worst: everything unfilled is filled."""

    strategy: str
    key: str
    instrument: InstrumentId
    side: Side
    remaining: Decimal


@define
class Books:
    """The fold. `apply` takes journal events in order; the rest is what is known beside the journal."""

    inventory: Inventory = field(factory=Inventory)
    blotter: Blotter = field(factory=Blotter)
    reserved: dict[IntentKey, Reservation] = field(factory=dict)
    quotes: dict[InstrumentId, Quote] = field(factory=dict)
    portfolio: PortfolioState | None = None
    pauses: Pauses = field(factory=Pauses)
    _seen: OrderedDict[IntentKey, None] = field(factory=OrderedDict)

    def apply(self, event: Event) -> None:
        """Take one journal event in."""
        if isinstance(event, (GenerationStarted, PauseChanged)):
            self.pauses.read(event)
        elif isinstance(event, InstrumentDefined):
            self.inventory.define(event.instrument)
        elif isinstance(event, (DecisionDenied, OrderCommitted)):
            self.reserved.pop(event.intent, None)
            self.remember(event.intent)
        elif isinstance(event, Fill):
            self.inventory.apply(event)
        self.blotter.apply(event)

    def remember(self, intent: IntentKey) -> None:
        """This decision is made: the same key is refused from now on."""
        self._seen[intent] = None
        if len(self._seen) > INTENTS_REMEMBERED:
            self._seen.popitem(last=False)

    def seen(self, intent: IntentKey) -> bool:
        """Whether this decision was made before, in this process or an earlier one."""
        return intent in self._seen or intent in self.reserved

    def working(self, leaving_out: str | None = None) -> Iterable[Working]:
        """Every order and reservation that may still fill; `leaving_out`: the client id of an order being replaced.

        An order and its replacement are at the venue one after the other: together they count as the larger of the two.
        """
        for order in self.blotter.working.values():
            if order.client_id != leaving_out:
                yield Working(order.strategy, order.intent.key, order.instrument, order.side, order.remaining)
        for intent, reservation in self.reserved.items():
            place = reservation.place
            old = self.blotter.working.get(reservation.replaces or "")
            covered = ZERO if old is None or old.client_id == leaving_out else old.remaining
            more = max(ZERO, reservation.quantity - covered)
            yield Working(intent.strategy, place.key, place.instrument, place.side, more)

    def orders(self, leaving_out: str | None = None) -> int:
        """How many orders may be at the venues at once; one and its replacement are one."""
        ids = {order_id for order_id in self.blotter.working if order_id != leaving_out}
        return len(ids) + sum(1 for reservation in self.reserved.values() if reservation.replaces not in ids)

    def day_loss(self) -> Decimal | None:
        """Loss since midnight, quote currency, zero in profit; None before the books were heard of, or without a
        value.
        """
        if self.portfolio is None or not self.portfolio.day_profit.is_finite():
            return None
        return max(ZERO, -self.portfolio.day_profit)
