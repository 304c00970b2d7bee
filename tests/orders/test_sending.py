"""From an approval to the venue: nothing leaves before its row is durable, and nothing leaves twice."""

from __future__ import annotations

import pytest
from attrs import evolve

from tbot_actors.domain.events import (
    DenyReason,
    GenerationStarted,
    OrderCommitted,
    OrderExpired,
    OrderLost,
    PauseChanged,
)
from tbot_actors.domain.ids import ClientId, Sender, parse_client_id
from tbot_actors.domain.instruments import InstrumentId
from tbot_actors.domain.messages import Lost, NotSent, Refused
from tbot_actors.domain.orders import OrderState
from tbot_actors.orders.deeds import Look, Overdue, Send, SendCancel
from tbot_actors.orders.desk import IDS_PER_INCARNATION, Desk, RepeatedId
from tbot_actors.orders.settings import OrdersSettings
from tests.domain import samples
from tests.orders.bench import NS, TAG, Bench, approved, committed, report


def test_an_order_is_sent_only_after_its_row_is_read_back() -> None:
    bench = Bench()
    bench.approve()
    assert [row.state for row in committed(bench)] == [OrderState.SUBMITTING]
    assert bench.all(Send) == []
    bench.read()
    (send,) = bench.all(Send)
    assert send.order.client_id == committed(bench)[0].client_id
    bench.read()
    bench.wait(5)
    assert len(bench.all(Send)) == 1


def test_the_row_says_what_was_decided_and_with_what() -> None:
    bench = Bench()
    wanted = bench.approve("entry", "0.5", reduces=True)
    (row,) = committed(bench)
    place = wanted.place
    assert (row.intent, row.verdict, row.quantity, row.price, row.side, row.type, row.time_in_force, row.reduces) == (
        wanted.intent, wanted.verdict, place.quantity, place.price, place.side, place.type, place.time_in_force, True,
    )  # fmt: skip


def test_before_the_journal_is_read_an_approval_is_refused() -> None:
    bench = Bench()
    desk = Desk("main", TAG, bench.settings, 2)
    for event in bench.journal:
        assert list(desk.read(event, bench.now)) == []
    (refuse,) = desk.approve(approved(), bench.now)
    assert refuse.refusal.reason is DenyReason.NOT_READY  # type: ignore[union-attr]


def test_a_key_has_one_working_order_from_the_approval_on() -> None:
    bench = Bench()
    first = bench.approve(event="q/1")
    bench.approve(event="q/2")
    assert [refusal.reason for refusal in bench.refusals()] == [DenyReason.KEY_IN_USE]
    bench.read()
    bench.approve(event="q/3")
    assert [refusal.reason for refusal in bench.refusals()] == [DenyReason.KEY_IN_USE]
    assert [row.intent for row in committed(bench)] == [first.intent]
    bench.approve("other", event="q/4")
    assert bench.refusals() == []


def test_an_approval_of_an_earlier_risk_is_never_sent() -> None:
    bench = Bench()
    bench.do(bench.desk.risk_restarted(2))
    bench.approve(incarnation=1)
    assert [refusal.reason for refusal in bench.refusals()] == [DenyReason.STALE_APPROVAL]
    bench.do(bench.desk.risk_restarted(1))
    bench.approve(incarnation=1)
    assert [refusal.reason for refusal in bench.refusals()] == [DenyReason.STALE_APPROVAL]
    bench.approve(incarnation=2)
    bench.read()
    assert bench.refusals() == []
    assert len(bench.all(Send)) == 1


def test_only_so_many_submits_are_in_flight_and_the_rest_goes_in_order() -> None:
    bench = Bench(OrdersSettings(slots=2))
    for number in range(4):
        bench.approve(f"k{number}", event=f"q/{number}")
    bench.read()
    first, second = (send.order for send in bench.take(Send))
    bench.submitted(first, report(first))
    (third,) = (send.order for send in bench.take(Send))
    bench.submitted(second, NotSent("no room"))
    (fourth,) = (send.order for send in bench.take(Send))
    assert [order.intent.key for order in (first, second, third, fourth)] == ["k0", "k1", "k2", "k3"]


def test_a_venue_that_does_not_answer_holds_up_only_its_own_orders() -> None:
    bench = Bench(OrdersSettings(slots=1))
    bench.sent("a")
    other = approved("b", event="q/2")
    place = evolve(other.place, instrument=InstrumentId("okx:BTCUSDT"))
    bench.do(bench.desk.gateway_ready("okx", bench.now))
    bench.take(Send)
    bench.do(bench.desk.approve(evolve(other, place=place), bench.now))
    bench.read()
    assert [send.order.instrument for send in bench.take(Send)] == ["okx:BTCUSDT"]


def test_only_so_many_approvals_wait() -> None:
    bench = Bench(OrdersSettings(slots=1, waiting_max=2))
    bench.sent("flying")
    bench.approve("one", event="q/2")
    bench.read()
    bench.approve("two", event="q/3")
    bench.approve("three", event="q/4")
    assert [(refusal.intent.key, refusal.reason) for refusal in bench.refusals()] == [
        ("three", DenyReason.TOO_MANY_ORDERS)
    ]


def test_what_waits_too_long_is_not_sent_at_all() -> None:
    bench = Bench(OrdersSettings(slots=1))
    flying = bench.sent("flying")
    bench.approve("late", event="q/2")
    bench.read()
    (late,) = (row.client_id for row in committed(bench) if row.intent.key == "late")
    bench.wait(30)
    assert bench.order(late).state is OrderState.SUBMITTING
    bench.wait(1)
    assert bench.order(late).state is OrderState.EXPIRED
    assert bench.order(late).why.startswith("not sent")
    bench.submitted(flying, report(flying))
    assert [send.order.client_id for send in bench.all(Send)] == [flying.client_id]


def test_a_row_that_the_journal_took_too_long_for_is_not_sent() -> None:
    bench = Bench()
    bench.approve()
    bench.now_ns += 31 * NS
    bench.read()
    assert bench.all(Send) == []
    assert bench.order(committed(bench)[0].client_id).state is OrderState.EXPIRED


def test_nothing_is_sent_to_a_gateway_that_is_not_ready_and_then_in_order() -> None:
    bench = Bench()
    bench.crash(ready=False)
    bench.approve("a", event="q/1")
    bench.approve("b", event="q/2")
    bench.read()
    assert bench.all(Send) == []
    bench.do(bench.desk.gateway_ready("binance", bench.now))
    assert [send.order.intent.key for send in bench.all(Send)] == ["a", "b"]


def test_when_the_gateway_dies_what_flies_is_lost_and_what_waits_is_sent_later() -> None:
    bench = Bench(OrdersSettings(slots=1))
    flying = bench.sent("flying")
    bench.approve("waiting", event="q/2")
    bench.read()
    bench.do(bench.desk.gateway_gone("okx", bench.now))
    bench.do(bench.desk.gateway_gone("binance", bench.now))
    bench.read()
    assert bench.order(flying).state is OrderState.UNKNOWN
    bench.approve("new", event="q/3")
    bench.read()
    assert [send.order.intent.key for send in bench.take(Send)] == ["flying"]
    bench.do(bench.desk.gateway_ready("binance", bench.now))
    assert [send.order.intent.key for send in bench.take(Send)] == ["waiting"]


def test_a_gateway_that_dies_over_an_order_that_the_stream_has_shown_loses_nothing() -> None:
    bench = Bench()
    order = bench.sent()
    bench.reported(report(order))
    bench.do(bench.desk.gateway_gone("binance", bench.now))
    bench.read()
    assert bench.order(order).state is OrderState.OPEN
    assert bench.rows(OrderLost) == []


def test_what_is_not_sent_ended_without_the_venue() -> None:
    bench = Bench()
    order = bench.sent()
    bench.submitted(order, NotSent("latched: account: PERSON"))
    assert bench.order(order).state is OrderState.EXPIRED
    assert bench.order(order).why == "not sent: latched: account: PERSON"


def test_what_the_venue_refuses_is_rejected_with_its_words() -> None:
    bench = Bench()
    order = bench.sent()
    bench.submitted(order, Refused(-2010, "insufficient balance"))
    assert bench.order(order).state is OrderState.REJECTED
    assert bench.order(order).why == "-2010 insufficient balance"


@pytest.mark.parametrize("result", [NotSent("too late"), Refused(-2010, "no"), Lost("timeout")])
def test_an_order_that_the_stream_has_shown_is_not_ended_by_a_failed_request(result: object) -> None:
    bench = Bench()
    order = bench.sent()
    # The report is written but not read back when the answer comes: the venue is believed all the same.
    bench.do(bench.desk.reported(report(order), bench.now))
    bench.submitted(order, result)
    assert bench.order(order).state is OrderState.OPEN
    assert [deed.order.client_id for deed in bench.all(Look)] == ([] if isinstance(result, Lost) else [order.client_id])


def test_an_outcome_of_an_ended_or_foreign_order_changes_nothing() -> None:
    bench = Bench()
    order = bench.sent()
    bench.submitted(order, Refused(-2010, "no"))
    rows = len(bench.journal)
    bench.submitted(order, Lost("timeout"))
    bench.do(bench.desk.submitted("TB0TA000010000099", Lost("timeout"), bench.now))
    bench.reported(report("TB0TA000010000099"))
    assert len(bench.journal) == rows


# Pauses: the last look before an order leaves


def test_a_fresh_process_commits_nothing_before_it_is_reconciled() -> None:
    bench = Bench()
    bench.journal.append(GenerationStarted(2, TAG, "paper", "main", 9))
    bench.read()
    bench.approve()
    assert [refusal.reason for refusal in bench.refusals()] == [DenyReason.PAUSED]
    bench.approve("exit", event="q/2", reduces=True)
    assert bench.refusals() == []


@pytest.mark.parametrize("scope", ["account", "venue:binance", "strategy:momentum"])
def test_a_pause_bars_what_opens_and_lets_through_what_reduces(scope: str) -> None:
    bench = Bench()
    bench.pause("STALE_FEED", scope=scope)
    bench.approve()
    (refusal,) = bench.refusals()
    assert (refusal.reason, refusal.text) == (DenyReason.PAUSED, f"{scope}: STALE_FEED")
    assert bench.sent("exit", event="q/2", reduces=True).reduces
    bench.pause(scope=scope)
    assert bench.sent("again", event="q/3").intent.key == "again"


@pytest.mark.parametrize("scope", ["venue:okx", "strategy:quoter"])
def test_a_pause_of_another_scope_is_no_bar(scope: str) -> None:
    bench = Bench()
    bench.pause("STALE_FEED", scope=scope)
    assert bench.sent().intent.key == "entry"


def test_a_pause_that_comes_while_an_order_waits_keeps_it_here() -> None:
    bench = Bench(OrdersSettings(slots=1))
    flying = bench.sent("flying")
    bench.approve("entry", event="q/2")
    bench.approve("exit", event="q/3", reduces=True)
    bench.read()
    bench.pause("MISMATCH")
    bench.submitted(flying, report(flying))
    assert [send.order.intent.key for send in bench.all(Send)] == ["flying", "exit"]
    (row,) = bench.rows(OrderExpired)
    assert row.why == "not sent: paused: account: MISMATCH"


def test_a_pause_between_the_row_and_its_reading_keeps_the_order_here() -> None:
    bench = Bench()
    bench.approve()
    bench.journal.insert(-1, PauseChanged("account", ("PERSON",), 4))
    bench.read()
    assert bench.all(Send) == []
    assert bench.order(committed(bench)[0].client_id).state is OrderState.EXPIRED


# Cancels


def test_a_cancel_is_journaled_and_then_sent_and_sent_again_until_the_end() -> None:
    bench = Bench()
    order = bench.open()
    bench.cancel_wanted()
    bench.cancel_wanted()
    assert bench.order(order).state is OrderState.PENDING_CANCEL
    assert len(bench.take(SendCancel)) == 1
    bench.wait(1.5)
    assert bench.take(SendCancel) == []
    bench.wait(5)
    assert len(bench.take(SendCancel)) == 3


def test_a_cancel_before_the_answer_goes_out_with_the_answer() -> None:
    bench = Bench()
    order = bench.sent()
    bench.cancel_wanted()
    bench.wait(3)
    assert bench.all(SendCancel) == []
    bench.submitted(order, report(order))
    assert [deed.order.client_id for deed in bench.all(SendCancel)] == [order.client_id]


def test_a_cancel_of_an_order_in_hand_keeps_it_from_being_sent() -> None:
    bench = Bench()
    bench.approve()
    bench.do(bench.desk.cancel_wanted("momentum", "entry", "it wants to", bench.now))
    bench.read()
    assert bench.all(Send) == []
    (row,) = committed(bench)
    assert bench.order(row.client_id).state is OrderState.EXPIRED


def test_a_cancel_of_an_order_that_waits_keeps_it_from_being_sent() -> None:
    bench = Bench(OrdersSettings(slots=1))
    flying = bench.sent("flying")
    bench.approve("waiting", event="q/2")
    bench.read()
    bench.cancel_wanted("waiting")
    bench.submitted(flying, report(flying))
    assert [send.order.intent.key for send in bench.all(Send)] == ["flying"]
    (row,) = bench.rows(OrderExpired)
    assert row.why == "not sent: cancelled before it was sent"


def test_a_cancel_of_nothing_does_nothing() -> None:
    bench = Bench()
    assert bench.cancel_wanted("none") == []


def test_an_entry_that_rests_too_long_is_cancelled_once() -> None:
    bench = Bench(OrdersSettings(lifetime_s=10))
    entry = bench.open("entry")
    leaving = bench.open("exit", event="q/2", reduces=True)
    bench.wait(9)
    assert bench.all(SendCancel) == []
    bench.wait(2)
    assert bench.order(entry).why == "lifetime over"
    assert not bench.order(leaving).cancel_asked
    assert {deed.order.client_id for deed in bench.all(SendCancel)} == {entry.client_id}


def test_while_the_journal_does_not_answer_nothing_is_written_twice() -> None:
    bench = Bench(OrdersSettings(lifetime_s=10))
    bench.open()
    for _ in range(10):
        bench.now_ns += 10 * NS
        bench.do(bench.desk.tick(bench.now))
    rows = [type(event).__name__ for event in bench.journal[bench.read_count :]]
    assert rows == ["CancelAsked"]


# Ids


def test_ids_are_ours_and_count_up() -> None:
    bench = Bench()
    bench.approve("a", event="q/1")
    bench.approve("b", event="q/2")
    found = [parse_client_id(row.client_id, TAG) for row in committed(bench)]
    first = IDS_PER_INCARNATION + 1
    assert found == [ClientId(TAG, Sender.ORDERS, 1, first), ClientId(TAG, Sender.ORDERS, 1, first + 1)]


def test_a_restart_never_gives_an_id_again_even_of_a_row_that_nobody_has_read() -> None:
    bench = Bench()
    given = set()
    for number in range(5):
        bench.approve(f"k{number}", event=f"q/{number}")
        unread = bench.journal[-1]
        assert isinstance(unread, OrderCommitted)
        assert unread.client_id not in given
        given.add(unread.client_id)
        # The journal loses the row, or the next incarnation reads past it: either way it gives another id.
        bench.crash(journal_loses=1)
    assert committed(bench) == []


def test_an_incarnation_that_gave_more_than_its_share_is_not_repeated_either() -> None:
    far = str(ClientId(TAG, Sender.ORDERS, 1, 2 * IDS_PER_INCARNATION + 5))
    bench = Bench(journal=[samples.committed(far, "far")], incarnation=2)
    bench.approve()
    found = parse_client_id(committed(bench)[-1].client_id, TAG)
    assert found is not None
    assert found.sequence == 2 * IDS_PER_INCARNATION + 6


def test_one_id_for_two_orders_is_a_crash() -> None:
    bench = Bench()
    bench.sent()
    bench.journal.append(committed(bench)[0])
    with pytest.raises(RepeatedId):
        bench.read()


def test_the_desk_does_not_touch_ids_before_a_generation() -> None:
    desk = Desk("main", TAG, OrdersSettings())
    with pytest.raises(AssertionError):
        list(desk.read(samples.committed(), Bench().now))


def test_send_within_must_stay_below_the_settling_time() -> None:
    with pytest.raises(ValueError, match="send_within_s"):
        OrdersSettings(send_within_s=7)


# Safety's own orders


def test_an_order_of_safety_is_never_sent_by_us_but_looked_after() -> None:
    bench = Bench()
    safety = str(ClientId(TAG, Sender.SAFETY, 1, 1))
    bench.journal.append(samples.committed(safety, "close"))
    bench.read()
    assert bench.all(Send) == []
    bench.wait(1)
    assert [deed.order.client_id for deed in bench.take(Look)] == [safety]
    bench.reported(report(safety))
    bench.wait(3)
    assert bench.all(Look) == []
    assert bench.order(safety).state is OrderState.OPEN
    assert all(not overdue.client_ids for overdue in bench.all(Overdue))
