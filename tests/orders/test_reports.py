"""What the venue says, from whatever source: each trade is booked once, ends absorb, and cumulative sums book
nothing.
"""

from __future__ import annotations

from decimal import Decimal

import pytest

from tbot_actors.domain.events import CancelAsked, Evidence, Fill, OrderAccepted, OrderCanceled
from tbot_actors.domain.messages import Absent, Lost, NotSent, Refused, ReportedState
from tbot_actors.domain.orders import OrderState
from tbot_actors.orders.deeds import Look, Send, SendCancel, Tell
from tbot_actors.orders.written import FILLS_REMEMBERED, Written
from tests.domain import samples
from tests.orders.bench import Bench, fills, report, trade

CANCELED, EXPIRED, FILLED, OPEN, PARTIAL, REJECTED = (
    ReportedState.CANCELED, ReportedState.EXPIRED, ReportedState.FILLED, ReportedState.OPEN, ReportedState.PARTIAL,
    ReportedState.REJECTED,
)  # fmt: skip


def test_an_order_is_accepted_once_however_often_it_is_said() -> None:
    bench = Bench()
    order = bench.sent()
    bench.do(bench.desk.reported(report(order), bench.now))
    bench.submitted(order, report(order, evidence=Evidence.RESPONSE))
    bench.reported(report(order))
    assert len(bench.rows(OrderAccepted)) == 1
    assert bench.order(order).state is OrderState.OPEN


def test_a_trade_is_booked_once_from_the_answer_the_stream_a_look_and_the_reconciler() -> None:
    bench = Bench()
    order = bench.sent()
    # All before anything is read back.
    bench.do(bench.desk.submitted(order.client_id, report(order, PARTIAL, "0.4", (trade(1),)), bench.now))
    bench.do(bench.desk.reported(report(order, PARTIAL, "0.4", (trade(1),)), bench.now))
    bench.do(bench.desk.queried(order.client_id, report(order, PARTIAL, "0.4", (trade(1),)), 0, bench.now))
    bench.do(bench.desk.traded(trade(1, client_id=order.client_id), Evidence.RECONCILE, bench.now))
    bench.read()
    bench.traded(trade(1))
    bench.reported(report(order, PARTIAL, "0.4", (trade(1), trade(1))))
    assert [fill.trade_id for fill in fills(bench)] == ["1"]
    assert bench.order(order).executed == Decimal("0.4")


def test_one_report_with_the_same_trade_twice_books_it_once() -> None:
    bench = Bench()
    order = bench.open()
    bench.reported(report(order, PARTIAL, "0.4", (trade(1), trade(1))))
    assert bench.order(order).executed == Decimal("0.4")


def test_a_fill_says_whose_it_is_and_where_it_came_from() -> None:
    bench = Bench()
    order = bench.open()
    bench.reported(report(order, PARTIAL, "0.4", (trade(1),)))
    stamp_ns = trade(1).stamp_ns
    assert fills(bench) == [samples.fill("1", order.client_id, quantity=Decimal("0.4"), stamp_ns=stamp_ns)]


def test_after_a_restart_a_trade_is_still_booked_once() -> None:
    bench = Bench()
    order = bench.open()
    bench.reported(report(order, PARTIAL, "0.4", (trade(1),)))
    bench.crash()
    bench.reported(report(order, PARTIAL, "0.4", (trade(1),)))
    assert len(fills(bench)) == 1


def test_fills_fill_the_order() -> None:
    bench = Bench()
    order = bench.open()
    bench.reported(report(order, PARTIAL, "0.4", (trade(1),)))
    assert bench.order(order).state is OrderState.PARTIAL
    bench.reported(report(order, FILLED, "1", (trade(2, "0.6"),)))
    assert bench.order(order).state is OrderState.FILLED


def test_a_sum_books_nothing_but_is_a_reason_to_look_until_the_trades_are_here() -> None:
    bench = Bench()
    order = bench.open()
    bench.reported(report(order, FILLED, "1"))
    assert bench.order(order).executed == 0
    assert len(bench.take(Look)) == 1
    bench.reported(report(order, FILLED, "1"))
    assert bench.take(Look) == []
    # The look may be lost like any other request.
    bench.wait(3)
    assert len(bench.take(Look)) == 3
    bench.queried(order, report(order, FILLED, "1", (trade(1), trade(2, "0.6"))))
    assert bench.order(order).state is OrderState.FILLED
    bench.wait(3)
    assert bench.all(Look) == []


def test_the_end_is_written_only_behind_its_trades() -> None:
    bench = Bench()
    order = bench.open()
    bench.reported(report(order, CANCELED, "0.4"))
    assert bench.order(order).state is OrderState.OPEN
    bench.queried(order, report(order, CANCELED, "0.4", (trade(1),)))
    ended = bench.order(order)
    assert (ended.state, ended.executed) == (OrderState.CANCELED, Decimal("0.4"))
    kinds = [type(event) for event in bench.journal[-2:]]
    assert kinds == [Fill, OrderCanceled]


def test_trades_that_come_from_elsewhere_release_the_end_as_well() -> None:
    bench = Bench()
    order = bench.open()
    bench.reported(report(order, CANCELED, "1", (trade(1),)))
    bench.traded(trade(2, "0.3"))
    assert bench.order(order).state is OrderState.PARTIAL
    bench.traded(trade(3, "0.3"))
    assert bench.order(order).state is OrderState.FILLED

    bench = Bench()
    order = bench.open()
    bench.reported(report(order, CANCELED, "0.7", (trade(1),)))
    # An older report is whole by what it knew, and must not make the end forgotten.
    bench.reported(report(order, PARTIAL, "0.4"))
    bench.traded(trade(2, "0.3"))
    assert bench.order(order).state is OrderState.CANCELED
    bench.take(Look)
    bench.wait(3)
    assert bench.all(Look) == []


def test_older_reports_that_lack_trades_too_make_neither_the_end_nor_the_sum_forgotten() -> None:
    bench = Bench()
    order = bench.open()
    bench.reported(report(order, CANCELED, "0.7", (trade(1),)))
    bench.reported(report(order, PARTIAL, "0.5"))
    bench.traded(trade(2, "0.3"))
    assert bench.order(order).state is OrderState.CANCELED

    bench = Bench()
    order = bench.open()
    bench.reported(report(order, PARTIAL, "0.8"))
    bench.reported(report(order, PARTIAL, "0.6"))
    bench.reported(report(order, PARTIAL, "0.6", (trade(1, "0.6"),)))
    bench.take(Look)
    bench.wait(2)
    assert len(bench.all(Look)) == 2


def test_an_order_that_is_looked_for_and_filled_meanwhile_is_looked_for_no_more() -> None:
    bench = Bench()
    order = bench.open()
    bench.queried(order, Absent())
    bench.traded(trade(1, "1"))
    assert bench.order(order).state is OrderState.FILLED
    bench.take(Look)
    bench.wait(5)
    assert bench.all(Look) == []


def test_a_report_that_comes_late_with_the_missing_trade_releases_the_end() -> None:
    bench = Bench()
    order = bench.open()
    bench.reported(report(order, CANCELED, "0.7", (trade(1),)))
    bench.reported(report(order, PARTIAL, "0.7", (trade(2, "0.3"),)))
    assert bench.order(order).state is OrderState.CANCELED


def test_a_trade_told_again_is_not_another_one() -> None:
    bench = Bench()
    order = bench.open()
    bench.reported(report(order, PARTIAL, "0.4", (trade(1),)))
    bench.reported(report(order, CANCELED, "0.8", (trade(1),)))
    assert bench.order(order).state is OrderState.PARTIAL
    assert len(bench.all(Look)) == 1


def test_an_older_report_does_not_end_the_search_for_trades() -> None:
    bench = Bench()
    order = bench.open()
    bench.reported(report(order, PARTIAL, "0.8", (trade(1),)))
    bench.reported(report(order, PARTIAL, "0.4", (trade(1),)))
    bench.take(Look)
    bench.wait(2)
    assert len(bench.take(Look)) == 2
    bench.reported(report(order, PARTIAL, "0.8", (trade(2),)))
    bench.wait(2)
    assert bench.all(Look) == []


@pytest.mark.parametrize(
    ("state", "end"),
    [(CANCELED, OrderState.CANCELED), (EXPIRED, OrderState.EXPIRED), (REJECTED, OrderState.REJECTED)],
)
def test_the_venue_ends_an_order(state: ReportedState, end: OrderState) -> None:
    bench = Bench()
    order = bench.sent()
    bench.submitted(order, report(order, state, why="because"))
    assert bench.order(order).state is end
    if state is not CANCELED:
        assert bench.order(order).why == "because"
    assert len(bench.rows(OrderAccepted)) == (0 if state is REJECTED else 1)


@pytest.mark.parametrize("state", list(ReportedState))
def test_an_end_absorbs_whatever_comes_later(state: ReportedState) -> None:
    bench = Bench()
    order = bench.open()
    bench.reported(report(order, CANCELED))
    rows = len(bench.journal)
    bench.reported(report(order, state))
    bench.cancelled(order, Refused(-2011, "unknown"))
    bench.queried(order, report(order, state))
    assert bench.order(order).state is OrderState.CANCELED
    assert (len(bench.journal), bench.all(Look)) == (rows, [])


def test_a_late_fill_is_booked_and_told_and_does_not_reopen() -> None:
    bench = Bench()
    order = bench.open()
    bench.reported(report(order, CANCELED))
    bench.reported(report(order, PARTIAL, "0.4", (trade(1),)))
    ended = bench.order(order)
    assert (ended.state, ended.executed) == (OrderState.CANCELED, Decimal("0.4"))
    assert [told.client_id for told in bench.all(Tell)] == [order.client_id]
    assert len(bench.all(Send)) == 1


def test_trades_that_an_ended_order_is_owed_are_looked_for_until_they_are_here() -> None:
    bench = Bench()
    order = bench.open()
    bench.reported(report(order, CANCELED))
    bench.reported(report(order, CANCELED, "0.4"))
    bench.take(Look)
    bench.wait(2)
    assert len(bench.take(Look)) == 2
    bench.traded(trade(1))
    bench.wait(3)
    assert bench.all(Look) == []


def test_a_refused_cancel_is_a_reason_to_look_and_not_an_end() -> None:
    bench = Bench()
    order = bench.open()
    bench.cancel_wanted()
    bench.take(Look)
    bench.cancelled(order, Refused(-2011, "Unknown order sent."))
    assert bench.order(order).state is OrderState.PENDING_CANCEL
    assert len(bench.take(Look)) == 1
    bench.queried(order, report(order, FILLED, "1", (trade(1, "1"),)))
    assert bench.order(order).state is OrderState.FILLED
    bench.take(SendCancel)
    bench.wait(5)
    assert bench.all(SendCancel) == []


@pytest.mark.parametrize("result", [Lost("timeout"), NotSent("rate limit")])
def test_a_cancel_that_was_lost_is_sent_again(result: object) -> None:
    bench = Bench()
    order = bench.open()
    bench.cancel_wanted()
    bench.take(SendCancel)
    bench.cancelled(order, result)
    assert bench.order(order).cancel_asked
    bench.wait(2)
    assert len(bench.take(SendCancel)) == 1
    bench.cancelled(order, report(order, CANCELED, evidence=Evidence.RESPONSE))
    assert bench.order(order).state is OrderState.CANCELED
    assert len(bench.rows(CancelAsked)) == 1


def test_a_trade_finds_its_order_by_the_venues_id_and_a_foreign_one_finds_none() -> None:
    bench = Bench()
    order = bench.open()
    bench.traded(trade(1, venue_id="of somebody else"))
    bench.traded(trade(2, client_id="web_123", venue_id="of somebody else"))
    assert fills(bench) == []
    bench.traded(trade(3))
    assert [fill.client_id for fill in fills(bench)] == [order.client_id]


def test_fill_keys_are_remembered_up_to_a_bound() -> None:
    written = Written()
    for number in range(FILLS_REMEMBERED + 1):
        written.read_back(samples.fill(str(number)))
    assert not written.has_fill(samples.fill("0").key)
    assert written.has_fill(samples.fill("1").key)
