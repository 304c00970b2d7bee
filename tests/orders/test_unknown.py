"""An answer that was lost: the order is Unknown, it is asked for, and only evidence ends it."""

from __future__ import annotations

import pytest

from tbot_actors.domain.events import OrderExpired, OrderLost
from tbot_actors.domain.messages import Absent, Lost, NotSent, Refused, ReportedState
from tbot_actors.domain.orders import OrderState
from tbot_actors.orders.deeds import Look, Overdue, SendCancel, Tell
from tests.orders.bench import Bench, report, trade

SETTLED_S = 7


def test_a_lost_answer_makes_the_order_unknown_and_it_is_asked_for() -> None:
    bench = Bench()
    order = bench.unknown()
    assert order.state is OrderState.UNKNOWN
    bench.wait(0.5)
    assert bench.all(Look) == []
    bench.wait(3)
    assert [deed.order.client_id for deed in bench.all(Look)] == [order.client_id] * 3


def test_it_is_found_and_lives_on() -> None:
    bench = Bench()
    order = bench.unknown()
    bench.queried(order, report(order, ReportedState.PARTIAL, "0.4", (trade(1),)))
    found = bench.order(order)
    assert (found.state, found.executed, found.venue_order_id) == (OrderState.PARTIAL, trade(1).quantity, "v1")
    bench.take(Look)
    bench.wait(5)
    assert bench.all(Look) == []


def test_not_found_before_the_settling_time_proves_nothing() -> None:
    bench = Bench()
    order = bench.unknown()
    for _ in range(7):
        bench.queried(order, Absent())
        bench.wait(0.99)
    assert bench.order(order).state is OrderState.UNKNOWN


def test_two_looks_after_the_settling_time_and_apart_prove_that_it_never_arrived() -> None:
    bench = Bench()
    order = bench.unknown()
    bench.wait(SETTLED_S)
    bench.queried(order, Absent())
    bench.wait(1.9)
    bench.queried(order, Absent())
    assert bench.order(order).state is OrderState.UNKNOWN
    bench.wait(0.1)
    bench.queried(order, Absent())
    assert bench.order(order).state is OrderState.EXPIRED
    assert bench.order(order).why == "not sent: proven absent at the venue"


def test_what_counts_is_when_the_look_was_sent() -> None:
    bench = Bench()
    order = bench.unknown()
    bench.wait(SETTLED_S + 2)
    bench.queried(order, Absent(), asked_ago_s=2.1)
    bench.queried(order, Absent())
    assert bench.order(order).state is OrderState.UNKNOWN
    bench.queried(order, Absent(), asked_ago_s=-2)
    assert bench.order(order).state is OrderState.EXPIRED


def test_after_a_restart_the_settling_time_begins_when_nothing_can_be_sent_any_more() -> None:
    bench = Bench()
    order = bench.sent()
    bench.crash()
    bench.read()
    # The gateway may still hold the request, and sends it if it is not 2 s old.
    bench.wait(SETTLED_S + 1.9)
    bench.queried(order, Absent())
    bench.wait(2)
    bench.queried(order, Absent())
    assert bench.order(order).state is OrderState.UNKNOWN
    bench.wait(2)
    bench.queried(order, Absent())
    assert bench.order(order).state is OrderState.EXPIRED


def test_two_looks_with_a_sighting_between_them_prove_nothing() -> None:
    bench = Bench()
    order = bench.open()
    bench.queried(order, Absent())
    bench.wait(SETTLED_S)
    bench.queried(order, Absent())
    bench.wait(1)
    bench.queried(order, report(order))
    bench.wait(2)
    bench.queried(order, Absent())
    assert bench.order(order).state is OrderState.OPEN


def test_an_order_that_was_there_and_is_found_no_more_is_settled_as_well() -> None:
    bench = Bench()
    order = bench.open()
    bench.queried(order, Absent())
    assert bench.order(order).state is OrderState.OPEN
    bench.wait(SETTLED_S)
    bench.queried(order, Absent())
    bench.wait(2)
    bench.queried(order, Absent())
    assert (bench.order(order).state, bench.order(order).why) == (OrderState.EXPIRED, "no longer known at the venue")


def test_an_order_whose_trades_are_owed_does_not_end_by_absence() -> None:
    bench = Bench()
    order = bench.open()
    bench.reported(report(order, ReportedState.PARTIAL, "0.4"))
    for _ in range(12):
        bench.wait(1)
        bench.queried(order, Absent())
    assert bench.order(order).state is OrderState.OPEN


def test_nobody_proves_an_order_absent_that_is_being_sent() -> None:
    bench = Bench()
    order = bench.sent()
    for _ in range(12):
        bench.wait(1)
        bench.queried(order, Absent())
    assert bench.order(order).state is OrderState.SUBMITTING


def test_a_sighting_that_is_not_read_back_yet_outweighs_absence() -> None:
    bench = Bench()
    order = bench.unknown()
    bench.wait(SETTLED_S)
    bench.queried(order, Absent())
    bench.wait(2)
    bench.do(bench.desk.reported(report(order), bench.now))
    bench.queried(order, Absent())
    assert bench.order(order).state is OrderState.OPEN


def test_a_late_answer_settles_an_unknown_order_by_itself() -> None:
    bench = Bench()
    order = bench.unknown()
    bench.submitted(order, NotSent("too late"))
    assert bench.order(order).state is OrderState.EXPIRED

    bench = Bench()
    order = bench.unknown()
    bench.submitted(order, Refused(-1013, "filter"))
    assert bench.order(order).state is OrderState.UNKNOWN
    assert bench.all(Look)


def test_a_duplicate_id_proves_that_it_is_there() -> None:
    bench = Bench()
    order = bench.sent()
    bench.submitted(order, Refused(-2010, "Duplicate order sent.", already_there=True))
    assert bench.order(order).state is OrderState.UNKNOWN
    assert [deed.order.client_id for deed in bench.all(Look)] == [order.client_id]
    assert bench.rows(OrderLost)[0].why == "already at the venue: Duplicate order sent."


def test_a_look_that_failed_says_nothing() -> None:
    bench = Bench()
    order = bench.unknown()
    bench.wait(SETTLED_S)
    for result in (Lost("timeout"), NotSent("rate limit"), Absent(), Lost("timeout"), NotSent("rate limit")):
        bench.queried(order, result)
        bench.wait(3)
    assert bench.order(order).state is OrderState.UNKNOWN


def test_out_of_budget_it_is_overdue_once_and_stays_unknown() -> None:
    bench = Bench()
    bench.take(Overdue)
    order = bench.unknown()
    bench.wait(59.5)
    assert bench.all(Overdue) == []
    bench.wait(10)
    assert [overdue.client_ids for overdue in bench.take(Overdue)] == [(order.client_id,)]
    assert bench.order(order).state is OrderState.UNKNOWN
    bench.queried(order, report(order))
    assert [overdue.client_ids for overdue in bench.take(Overdue)] == [()]
    bench.wait(100)
    assert bench.all(Overdue) == []


def test_an_order_that_settles_in_time_raises_nothing() -> None:
    bench = Bench()
    bench.take(Overdue)
    order = bench.unknown()
    bench.queried(order, report(order))
    assert bench.all(Overdue) == []


def test_a_restart_lifts_an_alarm_only_when_nothing_is_in_doubt() -> None:
    bench = Bench()
    assert [overdue.client_ids for overdue in bench.take(Overdue)] == [()]
    order = bench.unknown()
    bench.wait(61)
    bench.take(Overdue)
    bench.crash()
    bench.wait(30)
    assert bench.all(Overdue) == []
    bench.queried(order, report(order))
    assert [overdue.client_ids for overdue in bench.all(Overdue)] == [()]


def test_an_unknown_order_is_cancelled_at_the_venue_when_somebody_wants_it() -> None:
    bench = Bench()
    order = bench.unknown()
    bench.cancel_wanted()
    assert [deed.order.client_id for deed in bench.all(SendCancel)] == [order.client_id]
    bench.cancelled(order, Refused(-2011, "Unknown order sent."))
    assert bench.order(order).state is OrderState.UNKNOWN
    assert [deed.order.client_id for deed in bench.all(Look)] == [order.client_id]


def test_an_order_that_ended_as_never_sent_and_is_open_after_all_is_cancelled() -> None:
    bench = Bench()
    order = bench.unknown()
    bench.submitted(order, NotSent("too late"))
    bench.reported(report(order))
    assert bench.order(order).state is OrderState.EXPIRED
    assert [deed.order.client_id for deed in bench.take(SendCancel)] == [order.client_id]
    assert len(bench.all(Tell)) == 1
    bench.reported(report(order))
    assert bench.all(SendCancel) == []
    # What it did meanwhile is found by the id that the venue gave it.
    bench.traded(trade(1))
    assert bench.order(order).executed == trade(1).quantity


@pytest.mark.parametrize("state", [ReportedState.CANCELED, ReportedState.FILLED])
def test_an_old_report_of_an_order_that_was_there_and_ended_cancels_nothing(state: ReportedState) -> None:
    bench = Bench()
    order = bench.open()
    bench.reported(report(order, ReportedState.CANCELED))
    bench.reported(report(order, state if state is ReportedState.CANCELED else ReportedState.OPEN))
    assert bench.all(SendCancel) == []
    assert bench.rows(OrderExpired) == []
