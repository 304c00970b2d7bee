"""What risk knows: positions, working orders, reservations, seen intents and standing pauses, all folded from the journal.

A reservation covers an approved intent until the journal shows its order (from then on the order itself counts) or its refusal.
"""

from collections import OrderedDict
from collections.abc import Iterable, Mapping
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
from tbot_actors.domain.view import NOT_RECONCILED, with_pause

INTENTS_REMEMBERED = 100_000
"""Intent keys kept to refuse a repeated decision; event ids carry time, so older ones cannot come again."""


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
    reserved: dict[IntentKey, Place] = field(factory=dict)
    quotes: dict[InstrumentId, Quote] = field(factory=dict)
    portfolio: PortfolioState | None = None
    barred: Mapping[str, tuple[str, ...]] = field(factory=lambda: NOT_RECONCILED)
    _pause_stamps: dict[str, int] = field(factory=dict)
    _seen: OrderedDict[IntentKey, None] = field(factory=OrderedDict)

    def apply(self, event: Event) -> None:
        """Take one journal event in."""
        if isinstance(event, GenerationStarted):
            self.barred = NOT_RECONCILED
            self._pause_stamps.clear()
        elif isinstance(event, InstrumentDefined):
            self.inventory.define(event.instrument)
        elif isinstance(event, PauseChanged):
            self.pause(event)
        elif isinstance(event, (DecisionDenied, OrderCommitted)):
            self.reserved.pop(event.intent, None)
            self.remember(event.intent)
        elif isinstance(event, Fill):
            self.inventory.apply(event)
        self.blotter.apply(event)

    def pause(self, change: PauseChanged) -> None:
        """A change of the standing causes; the same change comes promptly and again through the journal, so the newest stamp counts."""
        if change.stamp_ns >= self._pause_stamps.get(change.scope, 0):
            self._pause_stamps[change.scope] = change.stamp_ns
            self.barred = with_pause(self.barred, change)

    def remember(self, intent: IntentKey) -> None:
        """This decision is made: the same key is refused from now on."""
        self._seen[intent] = None
        if len(self._seen) > INTENTS_REMEMBERED:
            self._seen.popitem(last=False)

    def seen(self, intent: IntentKey) -> bool:
        """Whether this decision was made before, in this process or an earlier one."""
        return intent in self._seen or intent in self.reserved

    def working(self, leaving_out: str | None = None) -> Iterable[Working]:
        """Every order and reservation that may still fill; `leaving_out` names the client id of an order that is being replaced."""
        for order in self.blotter.working.values():
            if order.client_id != leaving_out:
                yield Working(order.strategy, order.intent.key, order.instrument, order.side, order.remaining)
        for intent, place in self.reserved.items():
            yield Working(intent.strategy, place.key, place.instrument, place.side, place.quantity)

    def bars(self, venue: str, strategy: str) -> tuple[str, ...]:
        """The causes that bar new risk of this strategy at this venue."""
        scopes = ("account", f"venue:{venue}", f"strategy:{strategy}")
        return tuple(f"{scope}: {cause}" for scope in scopes for cause in self.barred.get(scope, ()))

    def day_loss(self) -> Decimal | None:
        """Loss since midnight, quote currency, zero in profit; None before the books were heard of."""
        return None if self.portfolio is None else max(ZERO, -self.portfolio.day_profit)
