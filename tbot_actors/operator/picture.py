"""What is shown: a replica of the bot's state folded from the journal, and the sentence for each event worth telling."""

from collections import deque
from collections.abc import Mapping

from attrs import define, field

from tbot_actors.domain.blotter import Blotter
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
)
from tbot_actors.domain.instruments import InstrumentId
from tbot_actors.domain.market import Quote
from tbot_actors.domain.messages import Balance, PortfolioState
from tbot_actors.domain.money import plain
from tbot_actors.domain.orders import Order
from tbot_actors.domain.view import NOT_RECONCILED, with_pause

LINES_KEPT = 200


@define
class Line:
    """One event as a person reads it."""

    stamp_ns: int
    kind: str
    text: str


@define
class Picture:
    """Folded from the journal; prices and books as they were last heard."""

    generation: int = 0
    mode: str = ""
    orders: int = 0
    """Committed since this process started."""
    fills: int = 0
    denied: int = 0
    blotter: Blotter = field(factory=Blotter)
    barred: Mapping[str, tuple[str, ...]] = field(factory=lambda: NOT_RECONCILED)
    quotes: dict[InstrumentId, Quote] = field(factory=dict)
    books: PortfolioState | None = None
    balances: dict[str, dict[str, Balance]] = field(factory=dict)
    """By venue and asset, as the venue last told."""
    lines: deque[Line] = field(factory=lambda: deque(maxlen=LINES_KEPT))
    told: int = 0
    """Lines so far; a screen that prints lines knows by it which are new."""

    def apply(self, event: Event) -> None:
        """Take one journal event in."""
        if isinstance(event, GenerationStarted):
            self.generation, self.mode, self.barred = event.generation, event.mode, NOT_RECONCILED
            self.orders = self.fills = self.denied = 0
        elif isinstance(event, OrderCommitted):
            self.orders += 1
        elif isinstance(event, Fill):
            self.fills += 1
        elif isinstance(event, DecisionDenied):
            self.denied += 1
        elif isinstance(event, PauseChanged):
            self.barred = with_pause(self.barred, event)
        order = self.blotter.apply(event)
        text = sentence(event, order)
        if text:
            self.lines.append(Line(event.stamp_ns, type(event).__name__, text))
            self.told += 1


def sentence(event: Event, order: Order | None) -> str:
    """The event in a few words; empty for what needs no telling."""
    match event:
        case GenerationStarted():
            return f"process start {event.generation}, {event.mode} account {event.account}"
        case OrderCommitted():
            price = "market" if event.price is None else plain(event.price)
            side = event.side.value.lower()
            return f"{event.strategy}: {side} {plain(event.quantity)} {event.instrument} at {price} ({event.client_id})"
        case Fill():
            return f"{event.strategy}: {event.side.value.lower()} {plain(event.quantity)} filled at {plain(event.price)} ({event.client_id})"
        case DecisionDenied():
            return f"{event.intent.strategy}: {event.intent.key} denied, {event.reason.value}: {event.text}"
        case OrderRejected() | OrderExpired() | OrderLost():
            return f"{_owner(order)}: {type(event).__name__.removeprefix('Order').lower()} {event.client_id}: {event.why}"
        case OrderCanceled():
            return f"{_owner(order)}: canceled {event.client_id}"
        case PauseChanged():
            return f"{event.scope}: no new risk: {', '.join(event.causes)}" if event.causes else f"{event.scope}: new risk allowed"
        case LatchChanged():
            what = f"latched by {event.by}: {', '.join(event.causes)}" if event.causes else f"resumed by {event.by}"
            return f"{event.scope}: {what} ({event.reason})"
        case Reconciled():
            found = f", {event.fills_found} fills found" if event.fills_found else ""
            return f"{event.venue}: reconciled{found}" if event.clean else f"{event.venue}: mismatch: {'; '.join(event.mismatches)}"
        case _:
            return ""


def _owner(order: Order | None) -> str:
    return "?" if order is None else order.strategy
