"""The order desk: every decision of the order path, as pure state. Messages go in, events to journal and deeds to do
come out.

Nothing is done before it is durable: an approval becomes an `OrderCommitted` row, and only when that row is read back
from the journal does the desk tell the shell to send it. So a crash at any point leaves either no row and no order,
or a row that is asked for.

Until the journal is read to its head (`recovered`), the desk only folds: nothing follows from a history that goes on.
"""

from collections.abc import Iterable, Iterator, Mapping
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
    PauseChanged,
)
from tbot_actors.domain.ids import ClientIds, Sender
from tbot_actors.domain.instruments import Instrument, InstrumentId
from tbot_actors.domain.intents import IntentKey, Place
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
    ReportedState,
    SubmitResult,
    VenueTrade,
)
from tbot_actors.domain.money import ZERO
from tbot_actors.domain.orders import Order, OrderState
from tbot_actors.domain.view import NOT_RECONCILED, with_pause
from tbot_actors.orders.deeds import Deeds, Look, Now, Overdue, Refuse, Send, SendCancel, Tell, Write
from tbot_actors.orders.inquiries import Inquiries
from tbot_actors.orders.line import Line
from tbot_actors.orders.reports import ending_of, fill_of, read_report
from tbot_actors.orders.settings import OrdersSettings
from tbot_actors.orders.written import FillKey, Written

_NS = 1_000_000_000
IDS_PER_INCARNATION = 1 << 20
"""Each incarnation counts its ids from its own multiple, so none repeats, whatever an earlier one wrote and nobody
has read.
"""
_CANCELLABLE = frozenset({OrderState.OPEN, OrderState.PARTIAL, OrderState.PENDING_CANCEL, OrderState.UNKNOWN})


class RepeatedId(Exception):
    """The journal shows one client id for two orders: our own bookkeeping is wrong. Crash."""


@define
class Hand:
    """An approval that is written and not read back."""

    event: OrderCommitted
    since_ns: int
    """When it was approved, monotonic."""
    unwanted: bool = False
    """Cancelled meanwhile: it will not be sent."""


@frozen
class Replacement:
    """An approval that waits for the end of the order it replaces."""

    approved: Approved
    since_ns: int


@define
class Desk:
    """All orders and what is under way for them."""

    account: str
    bot: str
    settings: OrdersSettings
    incarnation: int = 1
    """Of the order path in this process."""
    blotter: Blotter = field(factory=Blotter)
    instruments: dict[InstrumentId, Instrument] = field(factory=dict)
    barred: Mapping[str, tuple[str, ...]] = field(factory=lambda: NOT_RECONCILED)
    """The journal's pauses: what bars new risk at the moment of sending, by scope."""
    live: bool = False
    """The journal is read to its head."""
    risk_incarnation: int = 0
    """Approvals of earlier incarnations of risk are refused."""
    hands: dict[str, Hand] = field(factory=dict)
    """By client id."""
    replacing: dict[tuple[str, str], Replacement] = field(factory=dict)
    """By strategy and key."""
    cancels: dict[str, int] = field(factory=dict)
    """When the last cancel of an order was sent."""
    line: Line = field(init=False)
    inquiries: Inquiries = field(init=False)
    _written: Written = field(factory=Written)
    _ids: ClientIds | None = None

    def __attrs_post_init__(self) -> None:
        self.line = Line(self.settings.slots)
        self.inquiries = Inquiries(self.settings)

    # From the journal

    def read(self, event: Event, now: Now) -> Deeds:
        """Take in one event of the journal, in order; what follows from it being durable comes out. Raises
        RepeatedId.
        """
        if isinstance(event, GenerationStarted):
            given = self.incarnation * IDS_PER_INCARNATION
            self._ids = ClientIds(self.bot, Sender.ORDERS, event.generation, given)
            self.barred = NOT_RECONCILED
        elif isinstance(event, InstrumentDefined):
            self.instruments[event.instrument.id] = event.instrument
        elif isinstance(event, PauseChanged):
            self.barred = with_pause(self.barred, event)
        elif isinstance(event, OrderCommitted):
            if self.blotter.get(event.client_id) is not None:
                raise RepeatedId(event.client_id)
            self._given().resume_after(event.client_id)
        was_working = getattr(event, "client_id", None) in self.blotter.working
        order = self.blotter.apply(event)
        self._written.read_back(event)
        if order is not None and self.live:
            yield from self._follow(event, order, was_working, now)

    def recovered(self, now: Now) -> Deeds:
        """The journal is read to its head after a start: whatever was being submitted may or may not have left."""
        self.live = True
        for order in tuple(self.blotter.working.values()):
            if order.state in (OrderState.SUBMITTING, OrderState.UNKNOWN):
                self.inquiries.begin(order.client_id, now.ns, unsent=True)
            if order.state is OrderState.SUBMITTING:
                yield from self._write(OrderLost(order.client_id, "the order path restarted", now.wall_ns))
        yield from self._overdue()

    def _follow(self, event: Event, order: Order, was_working: bool, now: Now) -> Deeds:
        if isinstance(event, OrderCommitted):
            yield from self._committed(order, now)
        self.inquiries.keep(order, self._booked(order), now.ns)
        if order.state.terminal:
            if was_working:
                yield from self._ended(order, now)
            elif isinstance(event, Fill):
                text = f"a fill of {event.quantity} came after the order had ended: {order.state.value}"
                yield Tell(text, order.client_id)
        elif order.cancel_asked and self.line.leave(order.client_id):
            yield from self._not_sent(order, "cancelled before it was sent", now)
        elif order.cancel_asked and order.client_id not in self.cancels:
            yield from self._cancel(order, now)
        yield from self._overdue()

    def _committed(self, order: Order, now: Now) -> Deeds:
        hand = self.hands.pop(order.client_id, None)
        if hand is None:
            # Safety's own close: safety sends it and tells how that ended, unless it dies over it.
            self.inquiries.begin(order.client_id, now.ns, unsent=True)
        elif hand.unwanted:
            yield from self._not_sent(order, "cancelled before it was sent", now)
        else:
            self.line.join(order, hand.since_ns)
            yield from self._send_waiting(now)

    # From risk and strategies

    def approve(self, approved: Approved, now: Now) -> Deeds:
        """Commit an approved intent, or refuse it."""
        place = approved.place
        name = (approved.intent.strategy, place.key)
        standing = self.blotter.by_key(*name)
        refused = self._refusal(approved, standing)
        if refused is not None:
            yield _refuse(approved, *refused)
        elif approved.replaces and standing is not None:
            self.replacing[name] = Replacement(approved, now.ns)
            if not standing.cancel_asked:
                yield from self._write(CancelAsked(standing.client_id, "replaced", now.wall_ns))
        else:
            yield from self._commit(approved, now.ns, now)

    def _refusal(self, approved: Approved, standing: Order | None) -> tuple[DenyReason, str] | None:
        place = approved.place
        name = (approved.intent.strategy, place.key)
        if approved.verdict.risk_incarnation < self.risk_incarnation:
            return DenyReason.STALE_APPROVAL, "risk restarted since it approved"
        if not self.live:
            return DenyReason.NOT_READY, "the journal is not read yet"
        if barred := self._bars(approved.place, approved.intent.strategy):
            return DenyReason.PAUSED, barred
        if len(self.hands) + len(self.line.waiting) + len(self.replacing) >= self.settings.waiting_max:
            return DenyReason.TOO_MANY_ORDERS, f"{self.settings.waiting_max} orders wait for a slot"
        if name in self.replacing:
            return DenyReason.KEY_IN_USE, f"key {place.key!r} is being replaced"
        if approved.replaces:
            missing = f"no order of key {place.key!r} is working"
            return (DenyReason.NOTHING_TO_REPLACE, missing) if standing is None else None
        if standing is not None or self._hand(*name) is not None:
            return DenyReason.KEY_IN_USE, f"an order of key {place.key!r} is working"
        return None

    def cancel_wanted(self, strategy: str, key: str, why: str, now: Now) -> Deeds:
        """Cancel the working order of a key, sent or not; a replacement that waits behind it is given back."""
        waiting = self.replacing.pop((strategy, key), None)
        if waiting is not None:
            yield _refuse(waiting.approved, DenyReason.NOTHING_TO_REPLACE, "the strategy cancelled meanwhile")
        hand = self._hand(strategy, key)
        if hand is not None:
            hand.unwanted = True
        order = self.blotter.by_key(strategy, key)
        if order is not None and not order.cancel_asked:
            yield from self._write(CancelAsked(order.client_id, why, now.wall_ns))

    def risk_restarted(self, incarnation: int) -> Deeds:
        """From now on only approvals of this incarnation of risk count; replacements of earlier ones go back."""
        if incarnation > self.risk_incarnation:
            self.risk_incarnation = incarnation
            for name in tuple(self.replacing):
                if self.replacing[name].approved.verdict.risk_incarnation < incarnation:
                    approved = self.replacing.pop(name).approved
                    yield _refuse(approved, DenyReason.STALE_APPROVAL, "risk restarted since it approved")

    def known(self, intents: Iterable[IntentKey]) -> frozenset[IntentKey]:
        """Those of the intents of which an approval is in hand here, or an order journaled."""
        here = {hand.event.intent for hand in self.hands.values()}
        here |= {waiting.approved.intent for waiting in self.replacing.values()}
        here |= {order.intent for order in self.blotter.orders()}
        return frozenset(here.intersection(intents))

    # From the venue

    def gateway_ready(self, venue: str, now: Now) -> Deeds:
        """The gateway takes orders: what waits for it goes."""
        self.line.ready.add(venue)
        yield from self._send_waiting(now)

    def gateway_gone(self, venue: str, now: Now) -> Deeds:
        """The gateway ended with requests in flight: their outcomes are lost. The unsent wait for its next life."""
        for client_id in self.line.lost(venue):
            order = self.blotter[client_id]
            if not order.state.terminal and not self._at_venue(order):
                # The next incarnation may find the request in its mailbox, and sends it if it is not too late.
                self.inquiries.begin(client_id, now.ns, unsent=True)
                yield from self._write(OrderLost(client_id, "the gateway restarted", now.wall_ns))

    def submitted(self, client_id: str, result: SubmitResult, now: Now) -> Deeds:
        """How a submit ended."""
        self.line.landed(client_id)
        yield from self._send_waiting(now)
        order = self.blotter.get(client_id)
        if isinstance(result, OrderReport):
            yield from self.reported(result, now)
        elif order is None or order.state.terminal:
            return
        elif self._at_venue(order):
            # Other evidence came first and says more than a request that failed.
            if not isinstance(result, Lost):
                yield Look(order)
        elif isinstance(result, Lost):
            yield from self._write(OrderLost(client_id, result.why, now.wall_ns))
        elif isinstance(result, NotSent):
            yield from self._not_sent(order, result.why, now)
        elif result.already_there:
            yield from self._write(OrderLost(client_id, f"already at the venue: {result.why}", now.wall_ns))
            yield Look(order)
        elif order.state is OrderState.SUBMITTING:
            why = f"{result.code} {result.why}"
            yield from self._write(OrderRejected(client_id, why, Evidence.RESPONSE, now.wall_ns))
        else:
            yield Look(order)

    def cancelled(self, client_id: str, result: CancelResult, now: Now) -> Deeds:
        """How a cancel ended. Only the venue's report of the order ends it; a refusal means it is gone or was never
        there: look.
        """
        order = self.blotter.get(client_id)
        if isinstance(result, OrderReport):
            yield from self.reported(result, now)
        elif isinstance(result, Refused) and order is not None and not order.state.terminal:
            yield Look(order)

    def queried(self, client_id: str, result: QueryResult, asked_ns: int, now: Now) -> Deeds:
        """What a look found. Not found is proof only of an order that nobody is sending and the venue owes nothing
        of.
        """
        order = self.blotter.get(client_id)
        if isinstance(result, OrderReport):
            yield from self.reported(result, now)
        elif isinstance(result, Absent) and order is not None and not order.state.terminal:
            if self.line.has(client_id) or self._written.shows_at_venue(client_id):
                return
            if self.inquiries.proves_absence(client_id, asked_ns, self._booked(order)):
                known = order.venue_order_id is not None or order.executed > ZERO
                why = "no longer known at the venue" if known else "not sent: proven absent at the venue"
                yield from self._write(OrderExpired(client_id, why, Evidence.QUERY, now.wall_ns))

    def reported(self, report: OrderReport, now: Now) -> Deeds:
        """A report of one of our orders, from whatever source; foreign ones are not ours to book."""
        order = self.blotter.get(report.client_id)
        if order is None:
            return
        fresh = {self._fill_key(trade): trade for trade in report.trades if self._new(trade)}
        reading = read_report(order, report, self._booked(order), tuple(fresh.values()), self.account, now.wall_ns)
        never_there = order.state.terminal and not self._at_venue(order)
        yield from self._write(*reading.events)
        if reading.trades_missing:
            if self.inquiries.owed(order.client_id, report, now.ns):
                yield Look(order)
        else:
            self.inquiries.found(order, report)
            yield from self._end_waited_for(order, now)
        if never_there and report.state in (ReportedState.OPEN, ReportedState.PARTIAL):
            text = f"it ended here as {order.state.value} ({order.why}) and is open at the venue: cancelled"
            yield Tell(text, order.client_id)
            yield SendCancel(order)

    def traded(self, trade: VenueTrade, evidence: Evidence, now: Now) -> Deeds:
        """A trade that the reconciler found; booked where it is ours and new."""
        by_id = self.blotter.get(trade.client_id) if trade.client_id else None
        order = by_id or self.blotter.by_venue_id(trade.instrument, trade.venue_order_id)
        if order is not None and self._new(trade):
            yield from self._write(fill_of(order, trade, self.account, evidence))
            yield from self._end_waited_for(order, now)

    def _end_waited_for(self, order: Order, now: Now) -> Deeds:
        """An end that was told before its trades is believed as soon as they are here, from wherever they came."""
        end = self.inquiries.end_of(order.client_id, self._booked(order))
        if end is not None:
            yield from self._write(*ending_of(order, end, now.wall_ns))

    # From time

    def tick(self, now: Now) -> Deeds:
        """What time alone brings: looks, repeated cancels, lifetimes, spent budgets, approvals grown old."""
        for client_id in self.inquiries.due(now.ns):
            yield Look(self.blotter[client_id])
        yield from self._overdue()
        again_ns = int(self.settings.cancel_again_s * _NS)
        for order in tuple(self.blotter.working.values()):
            if order.cancel_asked and now.ns - self.cancels.get(order.client_id, now.ns - again_ns) >= again_ns:
                yield from self._cancel(order, now)
            elif self._outlived(order, now.wall_ns):
                yield from self._write(CancelAsked(order.client_id, "lifetime over", now.wall_ns))
        before_ns = now.ns - int(self.settings.waiting_max_s * _NS)
        for place in self.line.overtaken(before_ns):
            yield from self._not_sent(self.blotter[place.client_id], self._too_old(), now)
        for name, waiting in tuple(self.replacing.items()):
            if waiting.since_ns < before_ns:
                yield _refuse(self.replacing.pop(name).approved, DenyReason.STALE_APPROVAL, self._too_old())

    # Inside

    def _write(self, *events: Event) -> Iterator[Write]:
        """Each fact once, also while the journal has not answered yet."""
        new = self._written.new(*events)
        if new:
            yield Write(new)

    def _commit(self, approved: Approved, since_ns: int, now: Now) -> Deeds:
        place = approved.place
        event = OrderCommitted(
            client_id=self._given().next(),
            strategy=approved.intent.strategy,
            intent=approved.intent,
            instrument=place.instrument,
            side=place.side,
            type=place.type,
            time_in_force=place.time_in_force,
            quantity=place.quantity,
            price=place.price,
            reduces=place.reduces,
            verdict=approved.verdict,
            state=OrderState.SUBMITTING,
            stamp_ns=now.wall_ns,
        )
        self.hands[event.client_id] = Hand(event, since_ns)
        yield from self._write(event)

    def _ended(self, order: Order, now: Now) -> Deeds:
        self.cancels.pop(order.client_id, None)
        self.line.leave(order.client_id)
        waiting = self.replacing.pop((order.strategy, order.intent.key), None)
        if waiting is None:
            return
        approved, instrument = waiting.approved, self.instruments[order.instrument]
        left = approved.place.quantity - order.executed
        price = approved.place.price or order.price or ZERO
        if barred := self._bars(approved.place, approved.intent.strategy):
            yield _refuse(approved, DenyReason.PAUSED, barred)
        elif left > ZERO and instrument.tradable(left, price):
            rest = evolve(approved.place, quantity=instrument.round_quantity(left))
            yield from self._commit(evolve(approved, place=rest), waiting.since_ns, now)
        else:
            text = f"{order.executed} was filled meanwhile, {left} is left"
            yield _refuse(approved, DenyReason.NOTHING_TO_REPLACE, text)

    def _send_waiting(self, now: Now) -> Deeds:
        """The last look before an order leaves us; what is not sent here never was, and never will be."""
        oldest_ns = now.ns - int(self.settings.waiting_max_s * _NS)
        for place in self.line.may_go():
            order = self.blotter[place.client_id]
            barred = self._bars(order, order.strategy)
            if place.since_ns < oldest_ns:
                yield from self._not_sent(order, self._too_old(), now)
            elif barred:
                yield from self._not_sent(order, f"paused: {barred}", now)
            else:
                self.line.go(place)
                yield Send(order)

    def _not_sent(self, order: Order, why: str, now: Now) -> Deeds:
        yield from self._write(OrderExpired(order.client_id, f"not sent: {why}", Evidence.OURS, now.wall_ns))

    def _cancel(self, order: Order, now: Now) -> Deeds:
        if order.state in _CANCELLABLE:
            self.cancels[order.client_id] = now.ns
            yield SendCancel(order)

    def _overdue(self) -> Deeds:
        overdue = self.inquiries.overdue_changed()
        if overdue is not None:
            yield Overdue(overdue)

    def _given(self) -> ClientIds:
        if self._ids is None:
            raise AssertionError("an order before the first generation: the journal is not the bot's")
        return self._ids

    def _hand(self, strategy: str, key: str) -> Hand | None:
        for hand in self.hands.values():
            if (hand.event.strategy, hand.event.intent.key) == (strategy, key):
                return hand
        return None

    def _bars(self, wanted: Place | Order, strategy: str) -> str:
        """Why this may not go now; empty where it may, as what only shrinks a position always may."""
        venue = wanted.instrument.partition(":")[0]
        scopes = () if wanted.reduces else ("account", f"venue:{venue}", f"strategy:{strategy}")
        return "; ".join(f"{scope}: {', '.join(self.barred[scope])}" for scope in scopes if scope in self.barred)

    def _at_venue(self, order: Order) -> bool:
        """Whether the venue is known to have, or to have had, the order."""
        shown = order.venue_order_id is not None or order.executed > ZERO
        return shown or self._written.shows_at_venue(order.client_id)

    def _booked(self, order: Order) -> Decimal:
        return order.executed + self._written.filled(order.client_id)

    def _new(self, trade: VenueTrade) -> bool:
        return not self._written.has_fill(self._fill_key(trade))

    def _fill_key(self, trade: VenueTrade) -> FillKey:
        return (self.account, trade.instrument, trade.trade_id)

    def _outlived(self, order: Order, wall_ns: int) -> bool:
        lifetime_s = self.settings.lifetime_s
        resting = order.state in (OrderState.OPEN, OrderState.PARTIAL) and not order.cancel_asked and not order.reduces
        return lifetime_s is not None and resting and wall_ns - order.created_ns > lifetime_s * _NS

    def _too_old(self) -> str:
        return f"it waited for more than {self.settings.waiting_max_s:g} s"


def _refuse(approved: Approved, reason: DenyReason, text: str) -> Refuse:
    return Refuse(ApprovalRefused(approved.intent, reason, text))
