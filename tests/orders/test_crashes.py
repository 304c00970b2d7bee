"""The order path dies at any point of an order's life: there is no row and no order, or a row that is asked for."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tbot_actors.domain.events import Event, OrderCommitted, OrderLost
from tbot_actors.domain.messages import Absent, Lost, NotSent, Refused, ReportedState
from tbot_actors.domain.orders import OrderState
from tbot_actors.orders.deeds import Look, Send, SendCancel
from tests.orders.bench import BEGINNING, Bench, report, trade

Life = Callable[[Bench], object]


def filled(bench: Bench) -> object:
    order = bench.open()
    bench.reported(report(order, ReportedState.PARTIAL, "0.4", (trade(1),)))
    return bench.reported(report(order, ReportedState.FILLED, "1", (trade(2, "0.6"),)))


def cancelled(bench: Bench) -> object:
    order = bench.open()
    bench.cancel_wanted()
    return bench.cancelled(order, report(order, ReportedState.CANCELED))


def proven_absent(bench: Bench) -> object:
    order = bench.unknown()
    bench.wait(7)
    bench.queried(order, Absent())
    bench.wait(2)
    return bench.queried(order, Absent())


def replaced(bench: Bench) -> object:
    order = bench.open(event="q/1")
    bench.approve(price="101", event="q/2", replaces=True)
    bench.read()
    bench.cancelled(order, report(order, ReportedState.CANCELED))
    return bench.submitted(bench.all(Send)[-1].order, Lost("timeout"))


def rejected(bench: Bench) -> object:
    return bench.submitted(bench.sent(), Refused(-2010, "no"))


def never_sent(bench: Bench) -> object:
    return bench.submitted(bench.sent(), NotSent("too late"))


LIVES: list[Life] = [filled, cancelled, proven_absent, replaced, rejected, never_sent]


def history(life: Life) -> list[Event]:
    bench = Bench()
    life(bench)
    return bench.journal[len(BEGINNING) :]


@pytest.mark.parametrize("life", LIVES)
def test_after_every_prefix_of_a_life_what_was_being_sent_is_asked_for_and_nothing_is_sent(life: Life) -> None:
    events = history(life)
    for length in range(len(events) + 1):
        bench = Bench(journal=events[:length], incarnation=2)
        bench.read()
        assert bench.all(Send) == [], "what is sent may have been sent before"
        states = [order.state for order in bench.desk.blotter.working.values()]
        assert OrderState.SUBMITTING not in states
        bench.take(Look)
        bench.wait(1)
        working = bench.desk.blotter.working.values()
        unknown = {order.client_id for order in working if order.state is OrderState.UNKNOWN}
        assert {deed.order.client_id for deed in bench.all(Look)} == unknown


@pytest.mark.parametrize("life", LIVES)
def test_a_crash_before_the_row_is_durable_leaves_no_order(life: Life) -> None:
    events = history(life)
    bench = Bench()
    bench.approve()
    bench.crash(journal_loses=1)
    assert bench.rows(OrderCommitted) == []
    assert bench.all(Send) == []
    assert bench.desk.blotter.working == {}
    assert events


def test_a_row_that_became_durable_without_anybody_is_asked_for_and_not_sent() -> None:
    bench = Bench()
    bench.approve()
    bench.crash()
    bench.read()
    (row,) = bench.rows(OrderCommitted)
    assert bench.all(Send) == []
    assert bench.order(row.client_id).state is OrderState.UNKNOWN
    assert [lost.why for lost in bench.rows(OrderLost)] == ["the order path restarted"]


def test_a_crash_while_an_order_waits_for_a_slot_does_not_send_it_later() -> None:
    bench = Bench()
    bench.crash(ready=False)
    bench.approve()
    bench.read()
    bench.crash()
    bench.read()
    bench.wait(60)
    assert bench.all(Send) == []


def test_the_history_of_cancels_is_not_cancelled_again() -> None:
    bench = Bench()
    for number in range(3):
        order = bench.open(f"k{number}", event=f"q/{number}")
        bench.cancel_wanted(f"k{number}")
        bench.cancelled(order, report(order, ReportedState.CANCELED))
    bench.take(SendCancel)
    bench.crash()
    bench.wait(5)
    assert bench.all(SendCancel) == []


def test_a_cancel_that_stands_goes_on_after_a_restart() -> None:
    bench = Bench()
    order = bench.open()
    bench.cancel_wanted()
    bench.take(SendCancel)
    bench.crash()
    bench.wait(0.5)
    assert [deed.order.client_id for deed in bench.all(SendCancel)] == [order.client_id]


def test_a_replacement_that_waited_is_not_known_after_a_restart_and_not_placed() -> None:
    bench = Bench()
    old = bench.open(event="q/1")
    waiting = bench.approve(event="q/2", replaces=True)
    bench.read()
    bench.crash()
    bench.take(Send)
    assert bench.desk.known([waiting.intent]) == frozenset()
    bench.cancelled(old, report(old, ReportedState.CANCELED))
    assert bench.all(Send) == []


def test_the_answer_to_a_request_of_an_earlier_incarnation_is_believed() -> None:
    bench = Bench()
    order = bench.sent()
    bench.crash()
    bench.submitted(order, report(order))
    assert bench.order(order).state is OrderState.OPEN
