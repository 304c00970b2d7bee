"""What is written into the journal: facts, in the order in which they became ours.

Everything durable is a fold of these.
"""

from decimal import Decimal
from enum import Enum

from attrs import field, frozen

from tbot_actors.domain.instruments import Instrument, InstrumentId, Side
from tbot_actors.domain.intents import IntentKey, OrderType, TimeInForce
from tbot_actors.domain.orders import OrderState


class Evidence(Enum):
    """Where a statement about an order came from."""

    RESPONSE = "RESPONSE"
    """The venue's answer to our request."""
    STREAM = "STREAM"
    QUERY = "QUERY"
    RECONCILE = "RECONCILE"
    OURS = "OURS"
    """Our own deed or proof, for example never sent."""
    PERSON = "PERSON"


class DenyReason(Enum):
    """Why risk or the order path refused an intent. The text beside it tells the figures."""

    NOT_READY = "NOT_READY"
    PAUSED = "PAUSED"
    LATCHED = "LATCHED"
    RESTARTED = "RESTARTED"
    """Risk or orders restarted while the intent was on its way; nothing was sent."""
    STALE_APPROVAL = "STALE_APPROVAL"
    DUPLICATE_INTENT = "DUPLICATE_INTENT"
    KEY_IN_USE = "KEY_IN_USE"
    NOTHING_TO_REPLACE = "NOTHING_TO_REPLACE"
    UNKNOWN_INSTRUMENT = "UNKNOWN_INSTRUMENT"
    FILTER = "FILTER"
    """The venue's own filters would refuse it."""
    STALE_PRICE = "STALE_PRICE"
    PRICE_BAND = "PRICE_BAND"
    ORDER_TOO_LARGE = "ORDER_TOO_LARGE"
    POSITION_LIMIT = "POSITION_LIMIT"
    NO_SHORT_ON_SPOT = "NO_SHORT_ON_SPOT"
    NOT_REDUCING = "NOT_REDUCING"
    DAILY_LOSS = "DAILY_LOSS"
    TOO_MANY_ORDERS = "TOO_MANY_ORDERS"
    NO_CAPITAL = "NO_CAPITAL"
    SELF_TRADE = "SELF_TRADE"


@frozen
class GenerationStarted:
    """A process start, committed before its first send; ids of orders carry the number."""

    generation: int
    bot: str
    mode: str
    """`paper` or `live`: a journal belongs to one of them."""
    account: str
    stamp_ns: int


@frozen
class InstrumentDefined:
    """The venue stated an instrument's filters and fees."""

    instrument: Instrument
    stamp_ns: int


@frozen
class Verdict:
    """Risk's answer with what it was computed from."""

    inputs: dict[str, str]
    risk_incarnation: int


@frozen
class DecisionDenied:
    """An intent that goes nowhere."""

    intent: IntentKey
    reason: DenyReason
    text: str
    inputs: dict[str, str]
    stamp_ns: int


@frozen
class OrderCommitted:
    """The one row of a decision: what, why, under which id; durable before the first byte leaves."""

    client_id: str
    strategy: str
    intent: IntentKey
    instrument: InstrumentId
    side: Side
    type: OrderType
    time_in_force: TimeInForce
    quantity: Decimal
    price: Decimal | None
    reduces: bool
    verdict: Verdict
    state: OrderState
    """SUBMITTING or QUEUED."""
    stamp_ns: int


@frozen
class OrderDequeued:
    """An order left the offline queue and is about to be sent."""

    client_id: str
    stamp_ns: int


@frozen
class OrderAccepted:
    """The venue has the order."""

    client_id: str
    venue_order_id: str
    evidence: Evidence
    stamp_ns: int


@frozen
class OrderLost:
    """The answer to the submit was lost; the order is Unknown until the venue tells."""

    client_id: str
    why: str
    stamp_ns: int


@frozen
class OrderRejected:
    """The venue refused the order."""

    client_id: str
    why: str
    evidence: Evidence
    stamp_ns: int


@frozen
class CancelAsked:
    """A cancel is about to be sent."""

    client_id: str
    why: str
    stamp_ns: int


@frozen
class CancelRefused:
    """The venue refused the cancel and the order lives on."""

    client_id: str
    why: str
    stamp_ns: int


@frozen
class OrderCanceled:
    """The venue confirmed the end of the order by a cancel."""

    client_id: str
    evidence: Evidence
    stamp_ns: int


@frozen
class OrderExpired:
    """The order ended by the venue's rules, or it is proven that it never arrived."""

    client_id: str
    why: str
    evidence: Evidence
    stamp_ns: int


@frozen
class Fill:
    """One trade of one of our orders; the key (venue, account, instrument, trade id) exists once in the journal."""

    account: str
    instrument: InstrumentId
    trade_id: str
    client_id: str
    strategy: str
    side: Side
    price: Decimal
    quantity: Decimal
    fee: Decimal
    fee_asset: str
    maker: bool
    evidence: Evidence
    stamp_ns: int
    """The venue's time of the trade, ns UTC."""

    @property
    def key(self) -> tuple[str, InstrumentId, str]:
        """What makes two reports the same fill; the instrument names its venue."""
        return (self.account, self.instrument, self.trade_id)


@frozen
class PauseChanged:
    """The causes for which a scope takes no new risk now; empty lifts it.

    Scopes: `account`, `venue:NAME`, `strategy:NAME`.
    """

    scope: str
    causes: tuple[str, ...]
    stamp_ns: int


@frozen
class LatchChanged:
    """The durable stop was set (causes not empty) or lifted by a person (empty).

    The latch file is the truth, this is its history.
    """

    scope: str
    causes: tuple[str, ...]
    by: str
    reason: str
    stamp_ns: int


@frozen
class Reconciled:
    """One comparison of the venue with the journal."""

    venue: str
    clean: bool
    mismatches: tuple[str, ...]
    fills_found: int
    stamp_ns: int


@frozen
class StrategyLearned:
    """What a strategy wants back after a restart, as its `snapshot()` gave it."""

    strategy: str
    snapshot: dict[str, str]
    stamp_ns: int


@frozen
class Stopped:
    """The process ended by the stop protocol."""

    flat: bool
    open_orders: int
    stamp_ns: int
    left: dict[str, str] = field(factory=dict)


Event = (
    GenerationStarted
    | InstrumentDefined
    | DecisionDenied
    | OrderCommitted
    | OrderDequeued
    | OrderAccepted
    | OrderLost
    | OrderRejected
    | CancelAsked
    | CancelRefused
    | OrderCanceled
    | OrderExpired
    | Fill
    | PauseChanged
    | LatchChanged
    | Reconciled
    | StrategyLearned
    | Stopped
)

KINDS: dict[str, type[Event]] = {kind.__name__: kind for kind in Event.__args__}
"""Every kind by the name it has in the journal."""
