"""Journal events in a person's words. Pure."""

from tbot_actors.domain.events import (
    DecisionDenied,
    Event,
    Fill,
    GenerationStarted,
    LatchChanged,
    OrderCanceled,
    OrderCommitted,
    OrderExpired,
    OrderLost,
    OrderRejected,
    PauseChanged,
    Reconciled,
    Stopped,
)
from tbot_actors.domain.money import plain
from tbot_actors.domain.orders import Order


def sentence(event: Event, order: Order | None) -> str:
    """The event in a few words; empty for what needs no telling. `order` is the one it concerns, after it."""
    match event:
        case GenerationStarted():
            return f"process start {event.generation}, {event.mode} account {event.account}"
        case OrderCommitted():
            price = "market" if event.price is None else plain(event.price)
            what = f"{event.side.value.lower()} {plain(event.quantity)} {event.instrument}"
            return f"{event.strategy}: {what} at {price} ({event.client_id})"
        case Fill():
            what = f"{event.side.value.lower()} {plain(event.quantity)} {event.instrument}"
            return f"{event.strategy}: {what} filled at {plain(event.price)} ({event.client_id})"
        case DecisionDenied():
            return f"{event.intent.strategy}: {event.intent.key} denied, {event.reason.value}: {event.text}"
        case OrderLost():
            return f"{_owner(order)}: answer lost, being asked for: {event.why} ({event.client_id})"
        case OrderRejected() | OrderExpired():
            ended = type(event).__name__.removeprefix("Order").lower()
            return f"{_owner(order)}: {ended}: {event.why} ({event.client_id})"
        case OrderCanceled():
            return f"{_owner(order)}: canceled ({event.client_id})"
        case PauseChanged():
            return f"{event.scope}: no new risk: {', '.join(event.causes)}" if event.causes else _lifted(event.scope)
        case LatchChanged():
            what = f"latched by {event.by}: {', '.join(event.causes)}" if event.causes else f"resumed by {event.by}"
            return f"{event.scope}: {what} ({event.reason})"
        case Reconciled():
            found = f", {event.fills_found} fills found" if event.fills_found else ""
            equal = f"{event.venue}: reconciled{found}"
            return equal if event.clean else f"{event.venue}: mismatch{found}: {'; '.join(event.mismatches)}"
        case Stopped():
            left = ", ".join(f"{quantity} {name}" for name, quantity in event.left.items())
            state = "flat" if event.flat else "not flat"
            return f"stopped {state}, {event.open_orders} orders open" + (f", left: {left}" if left else "")
        case _:
            return ""


def _lifted(scope: str) -> str:
    return f"{scope}: new risk allowed"


def _owner(order: Order | None) -> str:
    return "?" if order is None else order.strategy
