"""Every room folds the same orders from the same events."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tbot_actors.domain import blotter as module
from tbot_actors.domain.blotter import Blotter, UnknownOrder
from tbot_actors.domain.events import (
    CancelRefused,
    Event,
    Evidence,
    OrderCanceled,
    OrderDequeued,
    OrderExpired,
    OrderLost,
    OrderRejected,
)
from tbot_actors.domain.orders import OrderState
from tests.domain.samples import BTC, accepted, cancel_asked, committed, fill, pause


def folded(*events: Event) -> Blotter:
    blotter = Blotter()
    for event in events:
        blotter.apply(event)
    return blotter


def test_a_committed_order_works_and_is_found_by_every_name_it_has() -> None:
    blotter = folded(committed("A1", "entry"), accepted("A1", "77"))
    order = blotter["A1"]
    assert (order.state, order.quantity, order.venue_order_id) == (OrderState.OPEN, Decimal(1), "77")
    assert blotter.working == {"A1": order}
    assert blotter.by_venue_id(BTC, "77") is order
    assert blotter.by_key("momentum", "entry") is order
    assert blotter.by_venue_id(BTC, "78") is None and blotter.by_key("momentum", "exit") is None


@pytest.mark.parametrize(
    ("happened", "state"),
    [
        ([accepted()], OrderState.OPEN),
        ([OrderLost("A1", "timeout", 2)], OrderState.UNKNOWN),
        ([OrderLost("A1", "timeout", 2), accepted()], OrderState.OPEN),
        ([accepted(), cancel_asked()], OrderState.PENDING_CANCEL),
        ([accepted(), cancel_asked(), CancelRefused("A1", "too late", 4)], OrderState.OPEN),
        ([cancel_asked(), CancelRefused("A1", "unknown order", 4)], OrderState.SUBMITTING),
        ([OrderRejected("A1", "no money", Evidence.RESPONSE, 2)], OrderState.REJECTED),
        ([accepted(), OrderCanceled("A1", Evidence.STREAM, 2)], OrderState.CANCELED),
        ([OrderExpired("A1", "not sent", Evidence.OURS, 2)], OrderState.EXPIRED),
        ([accepted(), fill("t1", quantity=Decimal("0.4"))], OrderState.PARTIAL),
        ([fill("t1", quantity=Decimal(1)), accepted()], OrderState.FILLED),
    ],
)
def test_events_move_the_order_through_the_table(happened: list[Event], state: OrderState) -> None:
    order = folded(committed(), *happened)["A1"]
    assert order.state is state
    assert order.state.terminal == ("A1" in folded(committed(), *happened).ended)


def test_a_queued_order_is_sent_once_it_leaves_the_queue() -> None:
    assert folded(committed(state=OrderState.QUEUED), OrderDequeued("A1", 2))["A1"].state is OrderState.SUBMITTING


def test_an_ended_order_is_no_longer_working_but_its_late_fill_finds_it() -> None:
    blotter = folded(committed(), accepted(), OrderCanceled("A1", Evidence.STREAM, 2))
    assert blotter.working == {} and blotter.by_key("momentum", "entry") is None
    late = blotter.apply(fill("t1"))
    assert late is not None and late.state is OrderState.CANCELED and late.executed == Decimal("0.1")
    assert blotter.by_venue_id(BTC, "77") is late
    assert list(blotter.orders()) == [late]


def test_a_venue_id_that_comes_after_the_end_is_still_learned() -> None:
    blotter = folded(committed(), OrderExpired("A1", "IOC", Evidence.RESPONSE, 2), accepted("A1", "77"))
    order = blotter.by_venue_id(BTC, "77")
    assert order is not None and order.state is OrderState.EXPIRED


def test_a_key_belongs_to_its_newest_order() -> None:
    first: list[Event] = [committed("A1"), OrderCanceled("A1", Evidence.STREAM, 2)]
    blotter = folded(*first, committed("A2"))
    found = blotter.by_key("momentum", "entry")
    assert found is not None and found.client_id == "A2"
    blotter.apply(fill("t1", "A1"))
    assert blotter.by_key("momentum", "entry") is found


def test_an_event_without_an_order_changes_nothing() -> None:
    blotter = Blotter()
    assert blotter.apply(pause(1)) is None
    assert list(blotter.orders()) == []


@pytest.mark.parametrize("event", [accepted(), cancel_asked(), fill("t1")])
def test_an_event_of_an_order_that_was_never_committed_is_a_contradiction(event: Event) -> None:
    with pytest.raises(UnknownOrder, match="A1"):
        Blotter().apply(event)


def test_only_so_many_ended_orders_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ENDED_KEPT", 2)
    blotter = Blotter()
    for n in range(4):
        for event in (committed(f"A{n}"), accepted(f"A{n}", str(n)), OrderCanceled(f"A{n}", Evidence.STREAM, 2)):
            blotter.apply(event)
    assert list(blotter.ended) == ["A2", "A3"]
    assert blotter.by_venue_id(BTC, "1") is None and blotter.by_venue_id(BTC, "2") is not None


quarters = [fill(f"t{n}", quantity=Decimal("0.25")) for n in range(4)]
told: list[Event] = [
    accepted(),
    OrderLost("A1", "timeout", 2),
    cancel_asked(),
    CancelRefused("A1", "late", 4),
    OrderCanceled("A1", Evidence.STREAM, 5),
    OrderRejected("A1", "no", Evidence.QUERY, 5),
    OrderExpired("A1", "IOC", Evidence.STREAM, 5),
    *quarters,
]


@given(st.lists(st.sampled_from(told), max_size=12))
def test_in_whatever_order_the_venue_tells_no_fold_crashes_and_every_order_is_in_one_place(events: list[Event]) -> None:
    blotter, executed = folded(committed()), Decimal(0)
    for event in events:
        order = blotter.apply(event)
        executed += Decimal("0.25") if event in quarters else 0
        assert order is not None and order.executed == executed
        assert ("A1" in blotter.working) != ("A1" in blotter.ended)
        assert blotter.get("A1") is order
        assert (blotter.by_key("momentum", "entry") is order) == (not order.state.terminal)
    assert folded(committed(), *events) == blotter
