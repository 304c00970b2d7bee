"""The blotter: every order of ours as a fold of the journal.

Each room that needs orders folds its own from the same events.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any

from attrs import define, evolve, field

from tbot_actors.domain.events import (
    CancelAsked,
    CancelRefused,
    Event,
    Fill,
    OrderAccepted,
    OrderCanceled,
    OrderCommitted,
    OrderDequeued,
    OrderExpired,
    OrderLost,
    OrderRejected,
)
from tbot_actors.domain.orders import Order, Step

ENDED_KEPT = 10_000
"""Ended orders remembered, so that a late fill still finds its owner."""


class UnknownOrder(Exception):
    """An event about an order that was never committed: the journal contradicts itself. Crash."""


@define
class Blotter:
    """Orders by client id. `apply` is O(1); an event of an ended order changes nothing but its fills."""

    working: dict[str, Order] = field(factory=dict)
    ended: OrderedDict[str, Order] = field(factory=OrderedDict)
    _by_venue_id: dict[tuple[str, str], str] = field(factory=dict)
    _by_key: dict[tuple[str, str], str] = field(factory=dict)

    def apply(self, event: Event) -> Order | None:
        """Take one event in and return the order as it is now, or None where the event concerns no order."""
        if isinstance(event, OrderCommitted):
            return self._keep(_committed(event))
        if isinstance(event, Fill):
            return self._keep(self[event.client_id].filled(event.quantity, event.price, event.stamp_ns))
        step = _STEPS.get(type(event))
        if step is None:
            return None
        order = step(self[event.client_id], event)  # type: ignore[union-attr]
        return self._keep(order)

    def __getitem__(self, client_id: str) -> Order:
        order = self.get(client_id)
        if order is None:
            raise UnknownOrder(client_id)
        return order

    def get(self, client_id: str) -> Order | None:
        """The order, working or ended, or None."""
        return self.working.get(client_id) or self.ended.get(client_id)

    def by_venue_id(self, instrument: str, venue_order_id: str) -> Order | None:
        """The order that the venue knows as `venue_order_id`."""
        client_id = self._by_venue_id.get((instrument, venue_order_id))
        return None if client_id is None else self.get(client_id)

    def by_key(self, strategy: str, key: str) -> Order | None:
        """The working order that the strategy knows as `key`."""
        client_id = self._by_key.get((strategy, key))
        return None if client_id is None else self.working.get(client_id)

    def orders(self) -> Iterable[Order]:
        """All orders still remembered."""
        yield from self.ended.values()
        yield from self.working.values()

    def _keep(self, order: Order) -> Order:
        if order.venue_order_id is not None:
            self._by_venue_id[order.instrument, order.venue_order_id] = order.client_id
        name = (order.strategy, order.intent.key)
        if order.state.terminal:
            self.working.pop(order.client_id, None)
            self.ended[order.client_id] = order
            if self._by_key.get(name) == order.client_id:
                del self._by_key[name]
            if len(self.ended) > ENDED_KEPT:
                _, oldest = self.ended.popitem(last=False)
                self._by_venue_id.pop((oldest.instrument, oldest.venue_order_id or ""), None)
        else:
            self.working[order.client_id] = order
            self._by_key[name] = order.client_id
        return order


def _committed(event: OrderCommitted) -> Order:
    return Order(
        client_id=event.client_id,
        strategy=event.strategy,
        intent=event.intent,
        instrument=event.instrument,
        side=event.side,
        type=event.type,
        time_in_force=event.time_in_force,
        quantity=event.quantity,
        price=event.price,
        reduces=event.reduces,
        state=event.state,
        created_ns=event.stamp_ns,
        updated_ns=event.stamp_ns,
    )


def _accepted(order: Order, event: OrderAccepted) -> Order:
    return evolve(order.stepped(Step.ACCEPTED, event.stamp_ns), venue_order_id=event.venue_order_id)


def _lost(order: Order, event: OrderLost) -> Order:
    return order.stepped(Step.LOST, event.stamp_ns, event.why)


def _rejected(order: Order, event: OrderRejected) -> Order:
    return order.stepped(Step.REJECTED, event.stamp_ns, event.why)


def _cancel_asked(order: Order, event: CancelAsked) -> Order:
    return order.stepped(Step.CANCEL_ASKED, event.stamp_ns, event.why)


def _cancel_refused(order: Order, event: CancelRefused) -> Order:
    return order.stepped(Step.CANCEL_REFUSED, event.stamp_ns, event.why)


def _canceled(order: Order, event: OrderCanceled) -> Order:
    return order.stepped(Step.CANCELED, event.stamp_ns)


def _expired(order: Order, event: OrderExpired) -> Order:
    return order.stepped(Step.EXPIRED, event.stamp_ns, event.why)


def _dequeued(order: Order, event: OrderDequeued) -> Order:
    return order.stepped(Step.SENT, event.stamp_ns)


_STEPS: dict[type, Callable[[Order, Any], Order]] = {
    OrderAccepted: _accepted,
    OrderLost: _lost,
    OrderRejected: _rejected,
    CancelAsked: _cancel_asked,
    CancelRefused: _cancel_refused,
    OrderCanceled: _canceled,
    OrderExpired: _expired,
    OrderDequeued: _dequeued,
}
