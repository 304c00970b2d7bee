"""Replacing: the old order ends first, and only what it left is placed; one key never has two orders at the venue."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tbot_actors.domain.events import DenyReason
from tbot_actors.domain.messages import Absent, Lost, Refused, ReportedState
from tbot_actors.domain.orders import Order, OrderState
from tbot_actors.orders.deeds import Send, SendCancel
from tbot_actors.orders.settings import OrdersSettings
from tests.orders.bench import Bench, approved, committed, report, trade


def replaced(bench: Bench, quantity: str = "1", price: str = "101") -> Order:
    """An open order that momentum wants at another price."""
    old = bench.open(event="q/1")
    bench.approve(quantity=quantity, price=price, event="q/2", replaces=True)
    bench.read()
    bench.take(Send)
    return bench.order(old)


def sent(bench: Bench) -> list[tuple[Decimal, Decimal | None]]:
    return [(send.order.quantity, send.order.price) for send in bench.take(Send)]


def test_the_old_order_is_cancelled_and_the_new_one_waits_for_its_end() -> None:
    bench = Bench()
    old = replaced(bench)
    assert old.state is OrderState.PENDING_CANCEL
    assert [deed.order.client_id for deed in bench.all(SendCancel)] == [old.client_id]
    bench.wait(5)
    assert sent(bench) == []
    bench.cancelled(old, report(old, ReportedState.CANCELED))
    assert sent(bench) == [(Decimal(1), Decimal(101))]


def test_only_what_the_old_one_left_is_placed() -> None:
    bench = Bench()
    old = replaced(bench, "1")
    bench.reported(report(old, ReportedState.PARTIAL, "0.4", (trade(1),)))
    bench.cancelled(old, report(old, ReportedState.CANCELED, "0.4"))
    assert sent(bench) == [(Decimal("0.6"), Decimal(101))]


def test_the_trades_of_the_old_one_come_first() -> None:
    bench = Bench()
    old = replaced(bench, "1")
    bench.cancelled(old, report(old, ReportedState.CANCELED, "0.4"))
    assert sent(bench) == []
    bench.queried(old, report(old, ReportedState.CANCELED, "0.4", (trade(1),)))
    assert sent(bench) == [(Decimal("0.6"), Decimal(101))]


@pytest.mark.parametrize(("filled", "left"), [("1", "0"), ("0.96", "0.04")])
def test_where_nothing_tradable_is_left_the_approval_goes_back(filled: str, left: str) -> None:
    bench = Bench()
    old = replaced(bench, "1")
    state = ReportedState.FILLED if filled == "1" else ReportedState.CANCELED
    bench.reported(report(old, state, filled, (trade(1, filled),)))
    (refusal,) = bench.refusals()
    assert (refusal.reason, refusal.intent.event) == (DenyReason.NOTHING_TO_REPLACE, "q/2")
    assert refusal.text == f"{filled} was filled meanwhile, {Decimal(1) - Decimal(filled)} is left"
    assert sent(bench) == []


def test_a_late_fill_of_the_old_one_does_not_replace_it_again() -> None:
    bench = Bench()
    old = replaced(bench)
    bench.cancelled(old, report(old, ReportedState.CANCELED))
    assert len(sent(bench)) == 1
    bench.traded(trade(1))
    assert len(committed(bench)) == 2
    assert bench.order(old).executed == Decimal("0.4")
    bench.reported(report(old, ReportedState.CANCELED, "0.4"))
    bench.read()
    assert sent(bench) == []


def test_replacing_nothing_is_refused() -> None:
    bench = Bench()
    bench.approve(replaces=True)
    assert [refusal.reason for refusal in bench.refusals()] == [DenyReason.NOTHING_TO_REPLACE]


def test_a_key_that_is_being_replaced_takes_neither_place_nor_replacement() -> None:
    bench = Bench()
    replaced(bench)
    bench.approve(event="q/3", replaces=True)
    bench.approve(event="q/4")
    assert [refusal.reason for refusal in bench.refusals()] == [DenyReason.KEY_IN_USE, DenyReason.KEY_IN_USE]


def test_a_cancel_meanwhile_gives_the_replacement_back() -> None:
    bench = Bench()
    old = replaced(bench)
    bench.cancel_wanted()
    (refusal,) = bench.refusals()
    assert (refusal.reason, refusal.text) == (DenyReason.NOTHING_TO_REPLACE, "the strategy cancelled meanwhile")
    bench.cancelled(old, report(old, ReportedState.CANCELED))
    assert sent(bench) == []


def test_an_order_that_is_being_cancelled_can_be_replaced() -> None:
    bench = Bench()
    old = bench.open(event="q/1")
    bench.cancel_wanted()
    bench.approve(event="q/2", replaces=True)
    bench.take(Send)
    bench.cancelled(old, report(old, ReportedState.CANCELED))
    assert len(sent(bench)) == 1


def test_an_order_that_was_not_sent_is_replaced_without_the_venue() -> None:
    bench = Bench(OrdersSettings(slots=1))
    bench.sent("flying", event="q/0")
    bench.approve(event="q/1")
    bench.read()
    bench.approve(price="101", event="q/2", replaces=True)
    bench.read()
    first, second = (row for row in committed(bench) if row.intent.key == "entry")
    assert bench.order(first.client_id).state is OrderState.EXPIRED
    assert bench.order(second.client_id).price == Decimal(101)
    assert bench.all(SendCancel) == []


def test_an_unknown_order_is_not_replaced_before_it_is_settled() -> None:
    bench = Bench()
    old = bench.sent(event="q/1")
    bench.submitted(old, Lost("timeout"))
    bench.approve(event="q/2", replaces=True)
    bench.read()
    bench.take(Send)
    bench.wait(7)
    bench.queried(old, Absent())
    assert sent(bench) == []
    bench.wait(2)
    bench.queried(old, Absent())
    assert len(sent(bench)) == 1


def test_a_replacement_does_not_wait_for_ever() -> None:
    bench = Bench()
    old = replaced(bench)
    bench.wait(31)
    (refusal,) = bench.refusals()
    assert refusal.reason is DenyReason.STALE_APPROVAL
    bench.cancelled(old, report(old, ReportedState.CANCELED))
    assert sent(bench) == []


def test_a_pause_meanwhile_gives_it_back() -> None:
    bench = Bench()
    old = replaced(bench)
    bench.pause("STREAM_DOWN", scope="venue:binance")
    bench.cancelled(old, report(old, ReportedState.CANCELED))
    assert [refusal.reason for refusal in bench.refusals()] == [DenyReason.PAUSED]
    assert sent(bench) == []


def test_a_restart_of_risk_gives_back_what_the_earlier_one_approved() -> None:
    bench = Bench()
    old = replaced(bench)
    bench.do(bench.desk.risk_restarted(1))
    assert bench.refusals() == []
    bench.do(bench.desk.risk_restarted(2))
    assert [refusal.reason for refusal in bench.refusals()] == [DenyReason.STALE_APPROVAL]
    bench.cancelled(old, report(old, ReportedState.CANCELED))
    assert sent(bench) == []


def test_a_restart_of_risk_takes_nothing_from_the_new_one() -> None:
    bench = Bench()
    bench.open(event="q/1")
    bench.approve(event="q/2", replaces=True, incarnation=2)
    bench.do(bench.desk.risk_restarted(2))
    assert bench.refusals() == []


def test_a_rejected_cancel_keeps_the_replacement_waiting() -> None:
    bench = Bench()
    old = replaced(bench)
    bench.cancelled(old, Refused(-2011, "Unknown order sent."))
    assert sent(bench) == []
    assert bench.refusals() == []


def test_what_is_waiting_here_is_known() -> None:
    bench = Bench()
    journaled = approved("a", event="q/1")
    hand = approved("b", event="q/2")
    bench.do(bench.desk.approve(journaled, bench.now))
    bench.read()
    bench.do(bench.desk.approve(hand, bench.now))
    waiting = approved("a", event="q/3", replaces=True)
    bench.do(bench.desk.approve(waiting, bench.now))
    unheard = approved("c", event="q/4")
    asked = [each.intent for each in (journaled, hand, waiting, unheard)]
    assert bench.desk.known(asked) == {journaled.intent, hand.intent, waiting.intent}
