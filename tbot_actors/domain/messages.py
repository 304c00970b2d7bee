"""Messages between rooms that are not themselves market data or journal events.

The catalogue with lanes and losses is docs/messages.md.
"""

from collections.abc import Mapping
from decimal import Decimal
from enum import Enum
from typing import Any, Protocol

from attrs import field, frozen

from tbot_actors.domain.events import DenyReason, Event, Evidence, Verdict
from tbot_actors.domain.instruments import InstrumentId, Side
from tbot_actors.domain.intents import Intent, IntentKey, OrderType, Place, TimeInForce
from tbot_actors.domain.inventory import Position
from tbot_actors.domain.market import EventId


class Mailbox(Protocol):
    """Where a reply goes. The kernel's addresses are mailboxes; domain does not know the kernel."""

    @property
    def path(self) -> str:
        """The actor's path in the tree."""
        ...

    def tell(self, message: Any) -> None:
        """Deliver without waiting."""
        ...


# Journal


@frozen
class Append:
    """Write these events as one commit. The same `append_id` twice is one commit: a timeout never means not written."""

    append_id: str
    events: tuple[Event, ...]
    reply_to: Mailbox
    follows: str | None = None
    """The sender's append before this one, while it is unanswered. Where a crash of the journal took that one, this one
    is dropped unanswered as well: the sender tells both again, in order, on the journal's Down."""


@frozen
class Appended:
    """The events are durable."""

    append_id: str
    first: int
    """Sequence of the first of them."""
    last: int


@frozen
class AppendFailed:
    """The events are not written and never will be: they contradict the journal, or could not be read back from it.

    Our own bookkeeping is wrong: who appended crashes and folds anew. Other appends are not touched by it.
    """

    append_id: str
    why: str


@frozen
class ReadEvents:
    """Tell me the events after this sequence, at most one page of them."""

    after: int
    reply_to: Mailbox
    token: object = field(default=None, eq=False, repr=False)
    """Comes back in the page: tells answers to a reader's own questions from those to its earlier incarnations."""


@frozen
class EventsRead:
    """A page of the journal in order, contiguous from the asked sequence on."""

    after: int
    events: tuple[Event, ...]
    """`events[i]` has sequence `after + 1 + i`."""
    head: int
    """Last sequence of the journal when the page was made; more pages are there while it is above the last one read.

    Everything that reached the journal before the question did is in it.
    """
    token: object = field(default=None, eq=False, repr=False)
    """As in the question."""


@frozen
class JournalAdvanced:
    """The journal's sequence is now `head`. Conflated; a slow consumer loses nothing, it reads from where it is."""

    head: int


# Strategy → risk → orders


@frozen
class Intents:
    """What a strategy wants because of one event."""

    strategy: str
    event: EventId
    intents: tuple[Intent, ...]


@frozen
class PendingIntents:
    """All intents of the strategy that have no outcome; the answer to RiskStarted, behind everything sent before it."""

    strategy: str
    intents: tuple[IntentKey, ...]


@frozen
class RiskStarted:
    """A new incarnation of risk: say what is still open for you."""

    incarnation: int


@frozen
class Approved:
    """An intent that passed the gate and is reserved. Orders refuses it when risk has restarted since."""

    intent: IntentKey
    place: Place
    verdict: Verdict
    replaces: bool = False
    """First end the working order of the same key, then place what it left unfilled."""


@frozen
class CancelWanted:
    """Cancel the strategy's working order of this key."""

    strategy: str
    key: str
    why: str


@frozen
class ApprovalRefused:
    """Orders did not take the approval: the reservation ends."""

    intent: IntentKey
    reason: DenyReason
    text: str


@frozen
class OrdersStarted:
    """A new incarnation of orders: approvals it had in hand are gone."""

    incarnation: int


@frozen
class ConfirmReservations:
    """Which of these does orders know (in hand or journaled)? Sent behind every approval given before."""

    intents: tuple[IntentKey, ...]
    risk_incarnation: int


@frozen
class ReservationsKnown:
    """The part of them that orders knows; from now on it refuses approvals of earlier incarnations of risk."""

    asked: frozenset[IntentKey]
    known: frozenset[IntentKey]
    risk_incarnation: int
    sequence: int
    """Everything orders took is journaled up to here: risk answers only when it has read as far."""


# Orders, safety ↔ gateway


@frozen
class SubmitOrder:
    """Send this order; it is journaled already."""

    client_id: str
    instrument: InstrumentId
    side: Side
    type: OrderType
    time_in_force: TimeInForce
    quantity: Decimal
    price: Decimal | None
    reduces: bool
    not_after_ns: int
    """Monotonic. Later than this the gateway answers NotSent: an order proven absent must never be sent afterwards."""
    reply_to: Mailbox


@frozen
class CancelOrder:
    """Cancel by client id."""

    client_id: str
    instrument: InstrumentId
    reply_to: Mailbox


@frozen
class QueryOrder:
    """What does the venue know of this client id?"""

    client_id: str
    instrument: InstrumentId
    reply_to: Mailbox


class ReportedState(Enum):
    """An order's state as the venue words it."""

    OPEN = "OPEN"
    PARTIAL = "PARTIAL"
    FILLED = "FILLED"
    CANCELED = "CANCELED"
    EXPIRED = "EXPIRED"
    REJECTED = "REJECTED"


@frozen
class VenueTrade:
    """One trade of ours as the venue reports it."""

    instrument: InstrumentId
    trade_id: str
    venue_order_id: str
    client_id: str | None
    """None where the venue's answer does not carry it (Binance myTrades): the venue order id leads to the order."""
    side: Side
    price: Decimal
    quantity: Decimal
    fee: Decimal
    fee_asset: str
    maker: bool
    stamp_ns: int


@frozen
class OrderReport:
    """What the venue says of one order at one moment, from whatever source."""

    client_id: str
    venue_order_id: str
    instrument: InstrumentId
    state: ReportedState
    side: Side
    quantity: Decimal
    price: Decimal | None
    executed: Decimal
    """Cumulative. It never books a fill; where it is above our own sum, the trades are asked for."""
    trades: tuple[VenueTrade, ...]
    why: str
    evidence: Evidence
    stamp_ns: int


@frozen
class Refused:
    """Proven not accepted, with the venue's reason."""

    code: int
    why: str
    already_there: bool = False
    """The refusal proves that an earlier send of the same id landed."""


@frozen
class Lost:
    """The request may have arrived; nothing is known."""

    why: str


@frozen
class NotSent:
    """No byte of the request left, or the gateway held it back: it did not happen."""

    why: str


@frozen
class Absent:
    """The venue does not know the id at this moment. Proof only after the settling time and a second look."""


SubmitResult = OrderReport | Refused | Lost | NotSent
CancelResult = OrderReport | Refused | Lost | NotSent
QueryResult = OrderReport | Absent | Lost | NotSent


@frozen
class SubmitOutcome:
    """How the submit ended."""

    client_id: str
    result: SubmitResult


@frozen
class CancelOutcome:
    """How the cancel ended."""

    client_id: str
    result: CancelResult


@frozen
class QueryOutcome:
    """What the venue answered."""

    client_id: str
    result: QueryResult
    asked_ns: int
    """Monotonic time at which the query was sent."""


@frozen
class GatewayReady:
    """The gateway is logged in; requests of earlier incarnations that have no outcome yet are Unknown."""

    venue: str
    incarnation: int


@frozen
class StreamState:
    """The user stream is up (from now on complete) or down. A new `connection` means a gap before it."""

    venue: str
    up: bool
    connection: int


@frozen
class ClockOffset:
    """Venue clock minus our wall clock."""

    venue: str
    offset_ns: int
    error_ns: int
    """Half the round trip: the offset is within this."""


# Reconciler ↔ gateway, orders


@frozen
class Balance:
    """One asset at the venue."""

    free: Decimal
    locked: Decimal

    @property
    def total(self) -> Decimal:
        """Free and locked together."""
        return self.free + self.locked


@frozen
class BalancesChanged:
    """New balances of some assets, as the venue pushed them."""

    venue: str
    balances: Mapping[str, Balance]
    stamp_ns: int


@frozen
class VenueStateWanted:
    """Read the venue: open orders, balances, and our trades after the given ids."""

    token: int
    trades_after: Mapping[InstrumentId, str | None]
    """Last trade id known by instrument; None reads from the venue's beginning."""
    reply_to: Mailbox


@frozen
class VenueState:
    """The venue as read; `failed` tells why it could not be."""

    venue: str
    token: int
    open_orders: tuple[OrderReport, ...]
    trades: tuple[VenueTrade, ...]
    balances: Mapping[str, Balance]
    failed: str | None
    read_ns: int
    """Monotonic time at which the first request was sent: events of ours that became durable later are not in it."""


@frozen
class VenueFacts:
    """Reports and trades that the reconciler found missing from the journal; orders takes them through its one door."""

    reports: tuple[OrderReport, ...]
    trades: tuple[VenueTrade, ...]
    absent: tuple[str, ...]
    """Client ids working in our journal that the venue does not list: to be queried."""
    orphans: tuple[OrderReport, ...]
    """Open at the venue with an id of ours that the journal lacks or holds as ended: to be cancelled."""


@frozen
class ReconcileWanted:
    """Run now."""

    why: str


# Safety


class Cause(Enum):
    """Why new risk is barred or more than that."""

    NOT_RECONCILED = "NOT_RECONCILED"
    STALE_FEED = "STALE_FEED"
    STREAM_DOWN = "STREAM_DOWN"
    VENUE_OUTAGE = "VENUE_OUTAGE"
    MISMATCH = "MISMATCH"
    UNKNOWN_OVERDUE = "UNKNOWN_OVERDUE"
    JOURNAL_LAG = "JOURNAL_LAG"
    CORE_DOWN = "CORE_DOWN"
    NO_PROGRESS = "NO_PROGRESS"
    DAILY_LOSS = "DAILY_LOSS"
    KILL_FILE = "KILL_FILE"
    PERSON = "PERSON"
    STOPPING = "STOPPING"


@frozen
class Alarm:
    """A room found (active) or lost a cause. Conflated by source, cause and scope: the newest state is the truth."""

    source: str
    cause: Cause
    scope: str
    active: bool
    detail: str


class OnStop(Enum):
    """What the stop protocol does with positions."""

    FLATTEN = "flatten"
    KEEP = "keep"


@frozen
class StopWanted:
    """Run the stop protocol: no new risk, cancel, keep or flatten, confirm at the venue.

    Told again until the report comes: one under way goes on, one that ended with a crash of the watchdog starts anew.
    """

    on_stop: OnStop
    reply_to: Mailbox
    """Gets the StopReport. An ask would be answered before the protocol ends."""


@frozen
class StopReport:
    """What the stop protocol left, as read from the venue."""

    flat: bool
    open_orders: int
    left: Mapping[InstrumentId, Decimal]
    detail: str


@frozen
class HaltWanted:
    """A person latches a scope: no new risk until somebody resumes it. Asked; answered with SafetyAnswer."""

    scope: str
    by: str
    reason: str


@frozen
class FlattenWanted:
    """A person latches a scope and has all of it closed. Asked; answered with SafetyAnswer once it is latched."""

    scope: str
    by: str
    reason: str


@frozen
class ResumeWanted:
    """A person lifts these causes of a scope's latch. Asked; refused as a whole while one of them still holds."""

    scope: str
    causes: tuple[str, ...]
    by: str
    reason: str


@frozen
class SafetyAnswer:
    """What safety did with a person's wish."""

    done: bool
    text: str
    """What was done, or why not and what to do about it."""


# What the person and other rooms look at


@frozen
class PortfolioState:
    """The bot's books at one moment, valued at the newest marks."""

    positions: Mapping[tuple[str, InstrumentId], Position]
    marks: Mapping[InstrumentId, Decimal]
    capital: Decimal
    realized: Decimal
    unrealized: Decimal
    day_start_equity: Decimal
    stamp_ns: int
    sequence: int
    """Journal sequence up to which fills are in."""

    @property
    def equity(self) -> Decimal:
        """Allocated capital plus profit, quote currency."""
        return self.capital + self.realized + self.unrealized

    @property
    def day_profit(self) -> Decimal:
        """Since UTC midnight, quote currency."""
        return self.equity - self.day_start_equity
