"""What a strategy sees: a frozen View, a fold of the journal's events, the market's prices and its own intents.

The same pure functions keep it live, in a backtest and in a test, so a strategy cannot disagree with its own orders or
positions.
"""

from collections.abc import Mapping
from decimal import Decimal

from attrs import evolve, field, frozen

from tbot_actors.domain.events import (
    DecisionDenied,
    Event,
    Fill,
    GenerationStarted,
    InstrumentDefined,
    OrderCommitted,
    PauseChanged,
)
from tbot_actors.domain.instruments import Instrument, InstrumentId, Side
from tbot_actors.domain.intents import Cancel, Intent, IntentKey, Place, Replace
from tbot_actors.domain.inventory import Position
from tbot_actors.domain.market import EventId, Quote
from tbot_actors.domain.money import ZERO
from tbot_actors.domain.orders import Order

NOT_RECONCILED: Mapping[str, tuple[str, ...]] = {"account": ("NOT_RECONCILED",)}
"""A fresh process takes no new risk until it has reconciled."""


@frozen
class PendingIntent:
    """An intent that left the strategy and has no outcome yet: it counts as working."""

    intent: IntentKey
    instrument: InstrumentId | None
    """None for a replacement of an order that is not there: it will be denied."""
    side: Side
    quantity: Decimal
    price: Decimal | None


@frozen
class View:
    """One strategy's world at one moment. Everything in it is read-only."""

    strategy: str
    capital: Decimal
    """Allocated to this strategy, quote currency."""
    venues: frozenset[str] = frozenset()
    """The venues it trades on: their pauses are its pauses. Empty means all."""
    now_ns: int = 0
    """Wall time of what is being handled, ns UTC: the only clock a strategy has."""
    barred: Mapping[str, tuple[str, ...]] = field(factory=lambda: NOT_RECONCILED)
    """Why no new risk is allowed now, by scope; empty when it is."""
    instruments: Mapping[InstrumentId, Instrument] = field(factory=dict)
    quotes: Mapping[InstrumentId, Quote] = field(factory=dict)
    positions: Mapping[InstrumentId, Position] = field(factory=dict)
    orders: Mapping[str, Order] = field(factory=dict)
    """Working orders by the strategy's own key."""
    pending: Mapping[str, PendingIntent] = field(factory=dict)
    """Places and replacements without an outcome, by key."""

    @property
    def enabled(self) -> bool:
        """Whether new risk is allowed at this moment."""
        return not self.barred

    def position(self, instrument: InstrumentId) -> Position:
        """The strategy's virtual position; flat where it never traded."""
        return self.positions.get(instrument, Position())

    def busy(self, key: str) -> bool:
        """Whether an order of this key is working or on its way."""
        return key in self.orders or key in self.pending


def with_event(view: View, event: Event, order: Order | None) -> View:
    """The view after one journaled event. `order` is the order it concerns, as it is after the event, or None."""
    if isinstance(event, InstrumentDefined):
        return evolve(view, instruments={**view.instruments, event.instrument.id: event.instrument})
    if isinstance(event, GenerationStarted):
        return evolve(view, barred=NOT_RECONCILED)
    if isinstance(event, PauseChanged):
        return evolve(view, barred=with_pause(view.barred, event)) if _concerns(view, event.scope) else view
    if isinstance(event, DecisionDenied):
        return _settled(view, event.intent) if event.intent.strategy == view.strategy else view
    if order is None or order.strategy != view.strategy:
        return view
    if isinstance(event, OrderCommitted):
        view = _settled(view, event.intent)
    if isinstance(event, Fill):
        held = view.position(event.instrument).after(event, view.instruments[event.instrument])
        view = evolve(view, positions={**view.positions, event.instrument: held})
    return _with_order(view, order)


def with_pause(barred: Mapping[str, tuple[str, ...]], change: PauseChanged) -> Mapping[str, tuple[str, ...]]:
    """The standing causes by scope after one change."""
    others = {scope: causes for scope, causes in barred.items() if scope != change.scope}
    return {**others, change.scope: change.causes} if change.causes else others


def with_intent(view: View, event: EventId, intent: Intent) -> View:
    """The view after the strategy itself returned `intent`: pending from this moment, whatever becomes of it."""
    if isinstance(intent, Cancel):
        return view
    key = IntentKey(view.strategy, event, intent.key)
    if isinstance(intent, Replace):
        working = view.orders.get(intent.key)
        side, instrument = (Side.BUY, None) if working is None else (working.side, working.instrument)
        waiting = PendingIntent(key, instrument, side, intent.quantity, intent.price)
    else:
        waiting = PendingIntent(key, intent.instrument, intent.side, intent.quantity, intent.price)
    return evolve(view, pending={**view.pending, intent.key: waiting})


def with_quote(view: View, quote: Quote) -> View:
    """The view after a new best bid and ask."""
    return evolve(view, quotes={**view.quotes, quote.instrument: quote}, now_ns=quote.stamp_ns)


def exposure_after(view: View, intent: Place) -> Decimal:
    """Signed position if everything working and pending on the side of `intent`, and `intent` itself, were filled.

    An order that is being replaced counts with the larger of the two quantities.
    """
    aside = {order.intent.key: order.remaining for order in view.orders.values() if _same(order, intent)}
    for key, waiting in view.pending.items():
        if _same(waiting, intent):
            aside[key] = max(aside.get(key, ZERO), waiting.quantity)
    return view.position(intent.instrument).quantity + (sum(aside.values(), intent.quantity)) * intent.side.sign


def _concerns(view: View, scope: str) -> bool:
    kind, _, name = scope.partition(":")
    if kind == "strategy":
        return name == view.strategy
    return kind == "account" or not view.venues or name in view.venues


def _same(other: Order | PendingIntent, intent: Place) -> bool:
    return other.instrument == intent.instrument and other.side is intent.side


def _settled(view: View, intent: IntentKey) -> View:
    waiting = view.pending.get(intent.key)
    if waiting is None or waiting.intent != intent:
        return view
    return evolve(view, pending={key: value for key, value in view.pending.items() if key != intent.key})


def _with_order(view: View, order: Order) -> View:
    key = order.intent.key
    if not order.state.terminal:
        return evolve(view, orders={**view.orders, key: order})
    standing = view.orders.get(key)
    if standing is None or standing.client_id != order.client_id:
        return view
    return evolve(view, orders={name: value for name, value in view.orders.items() if name != key})
