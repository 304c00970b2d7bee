"""The order desk: every decision of the order path, as pure state. Messages go in, events to journal and deeds to do come out.

Nothing is done before it is durable: an approval becomes an `OrderCommitted` row, and only when that row is read back from the journal
does the desk tell the shell to send it. So a crash at any point leaves either no row and no order, or a row that is asked for.
"""

from collections import OrderedDict, deque
from collections.abc import Iterator
from decimal import Decimal

from attrs import define, evolve, field, frozen

from tbot_actors.domain.blotter import Blotter
from tbot_actors.domain.events import (
    CancelAsked,
    DenyReason,
    Event,
    Evidence,
    Fill,
    GenerationStarted,
    InstrumentDefined,
    OrderCommitted,
    OrderExpired,
    OrderLost,
    OrderRejected,
)
from tbot_actors.domain.ids import ClientIds, Sender
from tbot_actors.domain.instruments import Instrument, InstrumentId
from tbot_actors.domain.intents import IntentKey
from tbot_actors.domain.messages import (
    Absent,
    ApprovalRefused,
    Approved,
    CancelResult,
    Lost,
    NotSent,
    OrderReport,
    QueryResult,
    Refused,
    SubmitResult,
    VenueTrade,
)
from tbot_actors.domain.money import ZERO
from tbot_actors.domain.orders import Order, OrderState
from tbot_actors.orders.reports import fill_of, read_report
from tbot_actors.orders.settings import OrdersSettings
from tbot_actors.orders.settling import Settling

FILLS_REMEMBERED = 100_000
"""Fill keys kept to recognise a duplicate; older ones are caught by the journal's unique key."""


@frozen
class Write:
    """Journal these events as one commit."""

    events: tuple[Event, ...]


@frozen
class Send:
    """Submit this order: its row is durable."""

    order: Order


@frozen
class SendCancel:
    """Cancel this order at the venue."""

    order: Order


@frozen
class Look:
    """Ask the venue what it knows of this order."""

    order: Order


@frozen
class Refuse:
    """Give an approval back to risk."""

    refusal: ApprovalRefused


@frozen
class Overdue:
    """The set of orders that are Unknown beyond the budget changed."""

    client_ids: tuple[str, ...]


Deed = Write | Send | SendCancel | Look | Refuse | Overdue
Deeds = Iterator[Deed]


@define
class Desk:
    """All orders and what is under way for them. Times are monotonic ns except `wall_ns`, the stamp for events."""

    account: str
    bot: str
    settings: OrdersSettings
    blotter: Blotter = field(factory=Blotter)
    instruments: dict[InstrumentId, Instrument] = field(factory=dict)
    generation: int = 0
    risk_incarnation: int = 0
    """Approvals of earlier incarnations of risk are refused."""
    hands: dict[str, OrderCommitted] = field(factory=dict)
    """Committed by this incarnation and not yet read back, by client id."""
    replacing: dict[tuple[str, str], Approved] = field(factory=dict)
    """Replacements that wait for the end of the order they replace, by strategy and key."""
    waiting: deque[str] = field(factory=deque)
    """Durable and unsent: no slot was free."""
    in_flight: set[str] = field(factory=set)
    settling: dict[str, Settling] = field(factory=dict)
    cancels: dict[str, int] = field(factory=dict)
    """When the last cancel of an order was sent."""
    _fills: OrderedDict[tuple[str, InstrumentId, str], None] = field(factory=OrderedDict)
    _booked: dict[str, Decimal] = field(factory=dict)
    """Quantity of the fills written so far, read back or not, by client id of the orders still working or being asked for."""
    _ids: ClientIds | None = None

    # From the journal

    def read(self, event: Event, now_ns: int) -> Deeds:
        """Take in one event of the journal, in order; what follows from it being durable comes out."""
        if isinstance(event, GenerationStarted):
            self.generation = event.generation
            self._ids = ClientIds(self.bot, Sender.ORDERS, event.generation)
        elif isinstance(event, InstrumentDefined):
            self.instruments[event.instrument.id] = event.instrument
        elif isinstance(event, OrderCommitted):
            self._given().resume_after(event.client_id)
        elif isinstance(event, Fill):
            self._remember(event)
        was_working = getattr(event, "client_id", None) in self.blotter.working
        order = self.blotter.apply(event)
        if order is None:
            return
        if isinstance(event, OrderCommitted) and self.hands.pop(event.client_id, None) is not None:
            self.waiting.append(event.client_id)
            yield from self._send_waiting()
        if order.state is OrderState.UNKNOWN:
            self.settling.setdefault(order.client_id, Settling(now_ns))
        elif self.settling.pop(order.client_id, None) is not None:
            yield Overdue(self._overdue())
        if order.state.terminal:
            if was_working:
                yield from self._ended(order)
        elif order.cancel_asked and order.client_id not in self.cancels:
            yield from self._cancel(order, now_ns)

    def recovered(self, wall_ns: int) -> Deeds:
        """The journal is read to its head after a start: whatever was being submitted may or may not have left."""
        for order in tuple(self.blotter.working.values()):
            if order.state is OrderState.SUBMITTING and order.client_id not in self.hands:
                yield Write((OrderLost(order.client_id, "the order path restarted", wall_ns),))

    # From risk and strategies

    def approve(self, approved: Approved, wall_ns: int) -> Deeds:
        """Commit an approved intent, or refuse it."""
        place = approved.place
        name = (approved.intent.strategy, place.key)
        standing = self.blotter.by_key(*name)
        if approved.verdict.risk_incarnation < self.risk_incarnation:
            yield _refuse(approved, DenyReason.STALE_APPROVAL, "risk restarted since it approved")
        elif self.generation == 0:
            yield _refuse(approved, DenyReason.NOT_READY, "the journal is not read yet")
        elif len(self.hands) + len(self.waiting) >= self.settings.waiting_max:
            yield _refuse(approved, DenyReason.TOO_MANY_ORDERS, f"{self.settings.waiting_max} orders wait for a slot")
        elif not approved.replaces and (standing is not None or self._in_hand(*name)):
            yield _refuse(approved, DenyReason.KEY_IN_USE, f"an order of key {place.key!r} is working")
        elif approved.replaces and standing is None:
            yield _refuse(approved, DenyReason.NOTHING_TO_REPLACE, f"no order of key {place.key!r} is working")
        elif approved.replaces and name in self.replacing:
            yield _refuse(approved, DenyReason.KEY_IN_USE, f"key {place.key!r} is being replaced already")
        elif approved.replaces and standing is not None:
            self.replacing[name] = approved
            if not standing.cancel_asked:
                yield Write((CancelAsked(standing.client_id, "replaced", wall_ns),))
        else:
            yield self._commit(approved, place.quantity, wall_ns)

    def cancel_wanted(self, strategy: str, key: str, why: str, wall_ns: int) -> Deeds:
        """Cancel the working order of a key; a replacement that waits behind it is given back."""
        waiting = self.replacing.pop((strategy, key), None)
        if waiting is not None:
            yield _refuse(waiting, DenyReason.NOTHING_TO_REPLACE, "the strategy cancelled meanwhile")
        order = self.blotter.by_key(strategy, key)
        if order is not None and not order.cancel_asked:
            yield Write((CancelAsked(order.client_id, why, wall_ns),))

    def risk_restarted(self, incarnation: int) -> Deeds:
        """From now on only approvals of this incarnation of risk count; replacements an earlier one approved go back."""
        if incarnation > self.risk_incarnation:
            self.risk_incarnation = incarnation
            for name in tuple(self.replacing):
                yield _refuse(self.replacing.pop(name), DenyReason.STALE_APPROVAL, "risk restarted since it approved")

    def knows(self, intent: IntentKey) -> bool:
        """Whether an approval of this intent is in hand here or journaled."""
        if any(event.intent == intent for event in self.hands.values()):
            return True
        if any(approved.intent == intent for approved in self.replacing.values()):
            return True
        return any(order.intent == intent for order in self.blotter.orders())

    # From the venue

    def submitted(self, client_id: str, result: SubmitResult, wall_ns: int) -> Deeds:
        """How a submit ended."""
        self.in_flight.discard(client_id)
        yield from self._send_waiting()
        order = self.blotter.get(client_id)
        if isinstance(result, OrderReport):
            yield from self.reported(result, wall_ns)
        elif order is None or order.state.terminal:
            return
        elif isinstance(result, Lost):
            yield Write((OrderLost(client_id, result.why, wall_ns),))
        elif isinstance(result, NotSent) and order.venue_order_id is None and not order.executed:
            yield Write((OrderExpired(client_id, f"not sent: {result.why}", Evidence.OURS, wall_ns),))
        elif isinstance(result, Refused) and result.already_there:
            yield Write((OrderLost(client_id, f"already at the venue: {result.why}", wall_ns),))
            yield Look(order)
        elif isinstance(result, Refused) and order.state is OrderState.SUBMITTING:
            yield Write((OrderRejected(client_id, f"{result.code} {result.why}", Evidence.RESPONSE, wall_ns),))
        else:
            # Other evidence came first (a report, a restart): one more reason to look, not a verdict.
            yield Look(order)

    def cancelled(self, client_id: str, result: CancelResult, wall_ns: int) -> Deeds:
        """How a cancel ended. Only the venue's report of the order ends it; a refusal means it is gone or was never there: look."""
        order = self.blotter.get(client_id)
        if isinstance(result, OrderReport):
            yield from self.reported(result, wall_ns)
        elif isinstance(result, Refused) and order is not None and not order.state.terminal:
            yield Look(order)

    def queried(self, client_id: str, result: QueryResult, asked_ns: int, wall_ns: int) -> Deeds:
        """What a look found."""
        if isinstance(result, OrderReport):
            yield from self.reported(result, wall_ns)
            return
        order = self.blotter.get(client_id)
        settling = self.settling.get(client_id)
        if not isinstance(result, Absent) or order is None or order.state.terminal:
            return
        if settling is None:
            # It was at the venue and is not found any more: start a proper settling instead of guessing.
            self.settling[client_id] = Settling(asked_ns)
            return
        after = settling.absent(asked_ns, self.settings)
        if after is not None:
            self.settling[client_id] = after
        else:
            why = "not sent: proven absent at the venue" if order.venue_order_id is None else "no longer known at the venue"
            yield Write((OrderExpired(client_id, why, Evidence.QUERY, wall_ns),))

    def reported(self, report: OrderReport, wall_ns: int) -> Deeds:
        """A report of one of our orders, from whatever source; foreign ones are not ours to book."""
        order = self.blotter.get(report.client_id)
        if order is None:
            return
        fresh = tuple(trade for trade in report.trades if self._new(trade))
        reading = read_report(order, report, self._booked_of(order), fresh, self.account, wall_ns)
        for event in reading.events:
            if isinstance(event, Fill):
                self._remember(event)
        if reading.events:
            yield Write(reading.events)
        if reading.trades_missing:
            yield Look(order)

    def traded(self, trade: VenueTrade, evidence: Evidence) -> Deeds:
        """A trade that the reconciler found; booked where it is ours and new."""
        order = self.blotter.get(trade.client_id) if trade.client_id else self.blotter.by_venue_id(trade.instrument, trade.venue_order_id)
        if order is not None and self._new(trade):
            fill = fill_of(order, trade, self.account, evidence)
            self._remember(fill)
            yield Write((fill,))

    def gateway_gone(self, venue: str, wall_ns: int) -> Deeds:
        """The gateway ended with requests in flight: their outcomes are lost."""
        for client_id in sorted(self.in_flight):
            order = self.blotter.get(client_id)
            if order is None or not order.instrument.startswith(f"{venue}:"):
                continue
            self.in_flight.discard(client_id)
            if not order.state.terminal:
                yield Write((OrderLost(client_id, "the gateway restarted", wall_ns),))
        yield from self._send_waiting()

    def tick(self, now_ns: int, wall_ns: int) -> Deeds:
        """What time alone brings: looks, repeated cancels, lifetimes, spent budgets."""
        overdue = self._overdue()
        for client_id, settling in tuple(self.settling.items()):
            order = self.blotter[client_id]
            if settling.looks_due(now_ns, self.settings):
                settling = settling.looked(now_ns)
                yield Look(order)
            if settling.budget_spent(now_ns, self.settings):
                settling = evolve(settling, overdue=True)
            self.settling[client_id] = settling
        if self._overdue() != overdue:
            yield Overdue(self._overdue())
        again_ns = int(self.settings.cancel_again_s * 1_000_000_000)
        for order in tuple(self.blotter.working.values()):
            if order.cancel_asked and now_ns - self.cancels.get(order.client_id, -again_ns) >= again_ns:
                yield from self._cancel(order, now_ns)
            elif self._outlived(order, wall_ns):
                yield Write((CancelAsked(order.client_id, "lifetime over", wall_ns),))

    # Inside

    def _commit(self, approved: Approved, quantity: Decimal, wall_ns: int) -> Write:
        place = approved.place
        event = OrderCommitted(
            client_id=self._given().next(),
            strategy=approved.intent.strategy,
            intent=approved.intent,
            instrument=place.instrument,
            side=place.side,
            type=place.type,
            time_in_force=place.time_in_force,
            quantity=quantity,
            price=place.price,
            reduces=place.reduces,
            verdict=approved.verdict,
            state=OrderState.SUBMITTING,
            stamp_ns=wall_ns,
        )
        self.hands[event.client_id] = event
        return Write((event,))

    def _ended(self, order: Order) -> Deeds:
        self.cancels.pop(order.client_id, None)
        self._booked.pop(order.client_id, None)
        if order.client_id in self.waiting:
            self.waiting.remove(order.client_id)
        approved = self.replacing.pop((order.strategy, order.intent.key), None)
        if approved is None:
            return
        instrument = self.instruments[order.instrument]
        left = approved.place.quantity - order.executed
        price = approved.place.price or order.price or ZERO
        if left > ZERO and instrument.tradable(left, price):
            yield self._commit(approved, instrument.round_quantity(left), order.updated_ns)
        else:
            yield _refuse(approved, DenyReason.NOTHING_TO_REPLACE, f"{order.executed} was filled meanwhile, {left} is left")

    def _send_waiting(self) -> Deeds:
        while self.waiting and len(self.in_flight) < self.settings.slots:
            order = self.blotter[self.waiting.popleft()]
            if order.state is OrderState.SUBMITTING:
                self.in_flight.add(order.client_id)
                yield Send(order)

    def _cancel(self, order: Order, now_ns: int) -> Deeds:
        if order.state in (OrderState.OPEN, OrderState.PARTIAL, OrderState.PENDING_CANCEL, OrderState.UNKNOWN):
            self.cancels[order.client_id] = now_ns
            yield SendCancel(order)

    def _given(self) -> ClientIds:
        if self._ids is None:
            raise AssertionError("an order before the first generation: the journal is not the bot's")
        return self._ids

    def _in_hand(self, strategy: str, key: str) -> bool:
        return any(event.strategy == strategy and event.intent.key == key for event in self.hands.values())

    def _new(self, trade: VenueTrade) -> bool:
        return (self.account, trade.instrument, trade.trade_id) not in self._fills

    def _remember(self, fill: Fill) -> None:
        if fill.key in self._fills:
            return
        self._fills[fill.key] = None
        if len(self._fills) > FILLS_REMEMBERED:
            self._fills.popitem(last=False)
        order = self.blotter.get(fill.client_id)
        if order is not None and not order.state.terminal:
            self._booked[fill.client_id] = self._booked_of(order) + fill.quantity

    def _booked_of(self, order: Order) -> Decimal:
        return max(self._booked.get(order.client_id, ZERO), order.executed)

    def _outlived(self, order: Order, wall_ns: int) -> bool:
        lifetime_s = self.settings.lifetime_s
        resting = order.state in (OrderState.OPEN, OrderState.PARTIAL) and not order.cancel_asked and not order.reduces
        return lifetime_s is not None and resting and wall_ns - order.created_ns > lifetime_s * 1_000_000_000

    def _overdue(self) -> tuple[str, ...]:
        return tuple(sorted(client_id for client_id, settling in self.settling.items() if settling.overdue))


def _refuse(approved: Approved, reason: DenyReason, text: str) -> Refuse:
    return Refuse(ApprovalRefused(approved.intent, reason, text))
