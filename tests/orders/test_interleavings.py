"""Every order in which answers, stream, looks, cancels, crashes and time can meet, against a venue that knows the
truth.

The venue keeps to what the settling time assumes: a request leaves within 2 s, is taken at most 5 s later, and reads
lag by at most 2 s. Everything else may be late, lost, doubled or turned around.
"""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from typing import Any

from attrs import define, field
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tbot_actors.domain.events import Evidence, Fill, OrderCommitted
from tbot_actors.domain.messages import (
    Absent,
    Lost,
    NotSent,
    OrderReport,
    Refused,
    ReportedState,
    VenueTrade,
)
from tbot_actors.domain.orders import Order, OrderState
from tbot_actors.orders.deeds import Deeds, Look, Send, SendCancel
from tbot_actors.orders.settings import OrdersSettings
from tests.orders.bench import NS, Bench, approved, report, trade

KEYS = ("a", "b")
WITHIN_NS = 2 * NS
WINDOW_NS = 5 * NS
LAG_NS = 2 * NS
LIVE = (ReportedState.OPEN, ReportedState.PARTIAL)

indexes = st.integers(0, 1_000)


@define
class Request:
    """A submit between us and the venue."""

    order: Order
    sent_ns: int
    left_ns: int | None = None


@define
class AtVenue:
    """One order as the venue has it, and how it looked before."""

    order: Order
    since_ns: int
    state: ReportedState = ReportedState.OPEN
    trades: list[VenueTrade] = field(factory=list)
    past: list[tuple[int, ReportedState, int]] = field(factory=list)
    """Until when it looked so: state and number of trades."""

    @property
    def executed(self) -> Decimal:
        return sum((each.quantity for each in self.trades), Decimal(0))

    def change(self, now_ns: int, state: ReportedState, new: VenueTrade | None = None) -> None:
        self.past.append((now_ns, self.state, len(self.trades)))
        self.state = state
        if new is not None:
            self.trades.append(new)

    def told(self, evidence: Evidence, seen_ns: int | None = None, only_last: bool = False) -> OrderReport:
        state, count = self.state, len(self.trades)
        for until_ns, before, trades in reversed(self.past):
            if seen_ns is not None and seen_ns < until_ns:
                state, count = before, trades
        known = self.trades[:count]
        executed = sum((each.quantity for each in known), Decimal(0))
        carried = tuple(known[-1:] if only_last else known)
        return report(self.order, state, str(executed), carried, evidence)


class Interleavings(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.bench = Bench(OrdersSettings(slots=2))
        self.requests: list[Request] = []
        self.venue: dict[str, AtVenue] = {}
        self.mail: list[Any] = []
        """Calls of the desk that have not happened yet."""
        self.number = 0
        self.trade_number = 0
        self.sent: Counter[str] = Counter()
        self.ends: dict[str, OrderState] = {}
        self.wanted: dict[str, Decimal] = {}
        """Replacements by event: what was wanted in all."""

    # What we do

    def do(self, deeds: Deeds) -> None:
        bench = self.bench
        bench.do(deeds)
        for deed in bench.deeds:
            match deed:
                case Send(order):
                    rows = [row for row in bench.journal[: bench.read_count] if isinstance(row, OrderCommitted)]
                    assert order.client_id in {row.client_id for row in rows}, "sent before its row was read back"
                    self.sent[order.client_id] += 1
                    self.requests.append(Request(order, bench.now_ns))
                case SendCancel(order):
                    self.mail.append(("cancel", order))
                case Look(order):
                    self.mail.append(("look", order, bench.now_ns))
                case _:
                    pass
        bench.deeds.clear()

    @rule(key=st.sampled_from(KEYS), replaces=st.booleans(), tenths=st.integers(3, 10))
    def approve(self, key: str, replaces: bool, tenths: int) -> None:
        self.number += 1
        quantity = Decimal(tenths) / 10
        wanted = approved(key, str(quantity), event=f"q/{self.number}", replaces=replaces)
        if replaces:
            self.wanted[wanted.intent.event] = quantity
        self.do(self.bench.desk.approve(wanted, self.bench.now))

    @rule(key=st.sampled_from(KEYS))
    def cancel_wanted(self, key: str) -> None:
        self.do(self.bench.desk.cancel_wanted("momentum", key, "it wants to", self.bench.now))

    @rule(count=st.integers(1, 10))
    def read(self, count: int) -> None:
        bench = self.bench
        for _ in range(count):
            if bench.read_count < len(bench.journal):
                event = bench.journal[bench.read_count]
                bench.read_count += 1
                self.do(bench.desk.read(event, bench.now))

    @rule(halves=st.integers(1, 8))
    def time_passes(self, halves: int) -> None:
        bench = self.bench
        for _ in range(halves):
            # No request overstays: it leaves in time or never, and is taken in time or never.
            bench.now_ns += NS // 2
            for request in tuple(self.requests):
                if request.left_ns is None and bench.now_ns > request.sent_ns + WITHIN_NS:
                    self.requests.remove(request)
                    self.mail.append(("submitted", request.order, NotSent("too late")))
                elif request.left_ns is not None and bench.now_ns > request.left_ns + WINDOW_NS:
                    self.requests.remove(request)
            # A look is answered within its time, or not at all.
            self.mail = [item for item in self.mail if item[0] != "look" or bench.now_ns - item[2] <= 5 * NS]
            self.do(bench.desk.tick(bench.now))

    @rule(loses=st.integers(0, 3))
    def orders_crashes(self, loses: int) -> None:
        self.bench.crash(journal_loses=loses)
        self.do(iter(()))

    @rule()
    def gateway_crashes(self) -> None:
        """Requests in its hands are gone, or have left; those in its mailbox go on."""
        self.do(self.bench.desk.gateway_gone("binance", self.bench.now))
        self.do(self.bench.desk.gateway_ready("binance", self.bench.now))

    # What the network and the venue do

    def request(self, index: int) -> Request | None:
        return self.requests[index % len(self.requests)] if self.requests else None

    @rule(index=indexes, outcome=st.sampled_from(["taken", "refused", "lost", "taken and lost"]))
    def a_submit_leaves(self, index: int, outcome: str) -> None:
        request = self.request(index)
        if request is None or request.left_ns is not None:
            return
        request.left_ns = self.bench.now_ns
        if "lost" in outcome:
            self.mail.append(("submitted", request.order, Lost("timeout")))
        if "taken" in outcome:
            self.take(request)
            if outcome == "taken":
                told = self.venue[request.order.client_id].told(Evidence.RESPONSE)
                self.mail.append(("submitted", request.order, told))
        elif outcome == "refused":
            self.requests.remove(request)
            self.mail.append(("submitted", request.order, Refused(-2010, "insufficient balance")))

    @rule(index=indexes)
    def a_lost_submit_arrives_late(self, index: int) -> None:
        request = self.request(index)
        if request is not None and request.left_ns is not None:
            self.take(request)

    def take(self, request: Request) -> None:
        self.requests.remove(request)
        order = request.order
        assert order.client_id not in self.venue, "two orders with one id at the venue"
        self.venue[order.client_id] = AtVenue(order, self.bench.now_ns)
        self.stream(order.client_id)

    def stream(self, client_id: str) -> None:
        self.mail.append(("reported", self.venue[client_id].told(Evidence.STREAM, only_last=True)))

    def live(self) -> list[AtVenue]:
        return [order for order in self.venue.values() if order.state in LIVE]

    @rule(index=indexes, tenths=st.integers(1, 10))
    def a_trade(self, index: int, tenths: int) -> None:
        live = self.live()
        if not live:
            return
        found = live[index % len(live)]
        self.trade_number += 1
        quantity = min(Decimal(tenths) / 10, found.order.quantity - found.executed)
        full = found.executed + quantity == found.order.quantity
        new = trade(self.trade_number, str(quantity), found.order.client_id, f"v{found.order.client_id}")
        found.change(self.bench.now_ns, ReportedState.FILLED if full else ReportedState.PARTIAL, new)
        self.stream(found.order.client_id)

    @rule(index=indexes)
    def the_venue_expires_one(self, index: int) -> None:
        live = self.live()
        if live:
            found = live[index % len(live)]
            found.change(self.bench.now_ns, ReportedState.EXPIRED)
            self.stream(found.order.client_id)

    # What reaches us

    @precondition(lambda self: self.mail)
    @rule(index=indexes, again=st.booleans(), lag=st.integers(0, 2), lost=st.booleans())
    def mail_arrives(self, index: int, again: bool, lag: int, lost: bool) -> None:
        item = self.mail[index % len(self.mail)]
        if not (again and item[0] == "reported"):
            self.mail.remove(item)
        self.deliver(item, lag * NS, lost)

    @precondition(lambda self: self.mail)
    @rule(index=indexes)
    def a_report_is_lost(self, index: int) -> None:
        item = self.mail[index % len(self.mail)]
        if item[0] == "reported":
            self.mail.remove(item)

    def deliver(self, item: Any, lag_ns: int, lost: bool) -> None:
        bench, desk = self.bench, self.bench.desk
        match item:
            case ("submitted", order, result):
                self.do(desk.submitted(order.client_id, result, bench.now))
            case ("reported", told):
                self.do(desk.reported(told, bench.now))
            case ("cancel", order):
                result = self.cancel(order)
                self.do(desk.cancelled(order.client_id, Lost("timeout") if lost else result, bench.now))
            case ("look", order, asked_ns):
                answer = Lost("timeout") if lost else self.look(order.client_id, asked_ns - lag_ns)
                self.do(desk.queried(order.client_id, answer, asked_ns, bench.now))
            case _:
                raise AssertionError(item)

    def cancel(self, order: Order) -> OrderReport | Refused:
        found = self.venue.get(order.client_id)
        if found is None or found.state not in LIVE:
            return Refused(-2011, "Unknown order sent.")
        found.change(self.bench.now_ns, ReportedState.CANCELED)
        self.stream(order.client_id)
        return found.told(Evidence.RESPONSE, only_last=True)

    def look(self, client_id: str, seen_ns: int) -> OrderReport | Absent:
        found = self.venue.get(client_id)
        return Absent() if found is None or found.since_ns > seen_ns else found.told(Evidence.QUERY, seen_ns)

    # What always holds

    @invariant()
    def the_journal_is_never_ahead_of_the_venue(self) -> None:
        keys = [event.key for event in self.bench.journal if isinstance(event, Fill)]
        assert len(keys) == len(set(keys)), "a trade is booked twice"
        for order in self.bench.desk.blotter.orders():
            at_venue = self.venue.get(order.client_id)
            assert order.executed <= (at_venue.executed if at_venue else 0) <= order.quantity

    @invariant()
    def nothing_is_sent_twice_and_a_key_has_one_order_at_the_venue(self) -> None:
        assert all(count == 1 for count in self.sent.values())
        keys = Counter(found.order.intent.key for found in self.live())
        assert all(count == 1 for count in keys.values()), keys

    @invariant()
    def an_end_absorbs(self) -> None:
        for order in self.bench.desk.blotter.ended.values():
            assert self.ends.setdefault(order.client_id, order.state) is order.state

    @invariant()
    def a_replacement_and_what_it_replaces_are_not_more_than_was_wanted(self) -> None:
        rows = [event for event in self.bench.journal if isinstance(event, OrderCommitted)]
        for index, row in enumerate(rows):
            wanted = self.wanted.get(row.intent.event)
            if wanted is not None:
                old = [before for before in rows[:index] if before.intent.key == row.intent.key][-1]
                at_venue = self.venue.get(old.client_id)
                assert row.quantity + (at_venue.executed if at_venue else 0) <= wanted

    def teardown(self) -> None:
        """Left alone, and with the reconciler's help, we know what the venue knows."""
        for _ in range(40):
            self.time_passes(1)
            for item in self.mail[:]:
                self.mail.remove(item)
                self.deliver(item, 0, False)
            self.read(1_000)
            self.reconcile()
        self.read(1_000)
        desk = self.bench.desk
        for client_id in [*desk.blotter.working, *desk.blotter.ended]:
            order, at_venue = desk.blotter[client_id], self.venue.get(client_id)
            if at_venue is None:
                assert order.state in (OrderState.EXPIRED, OrderState.REJECTED), order
            else:
                assert order.executed == at_venue.executed, order
                assert order.state.terminal == (at_venue.state not in LIVE), (order, at_venue.state)
        assert not desk.hands
        assert not desk.line.waiting
        assert not desk.replacing or desk.blotter.working
        assert not desk.inquiries.settling

    def reconcile(self) -> None:
        bench = self.bench
        for found in self.venue.values():
            for each in found.trades:
                self.do(bench.desk.traded(each, Evidence.RECONCILE, bench.now))
            ours = bench.desk.blotter.get(found.order.client_id)
            assert ours is not None
            if found.state in LIVE and ours.state.terminal:
                # An orphan: cancelled.
                self.cancel(found.order)
        for client_id in tuple(bench.desk.blotter.working):
            if client_id not in {found.order.client_id for found in self.live()} and not bench.desk.line.has(client_id):
                self.mail.append(("look", bench.desk.blotter[client_id], bench.now_ns))


TestInterleavings = Interleavings.TestCase
TestInterleavings.settings = settings(max_examples=80, stateful_step_count=60)
