"""The life of an order is one table; nothing happens outside of it."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tbot_actors.domain.blotter import Blotter
from tbot_actors.domain.orders import TRANSITIONS, ImpossibleStep, Order, OrderState, Step, next_state
from tests.domain.samples import committed

TERMINAL = [state for state in OrderState if state.terminal]
WORKING = [state for state in OrderState if not state.terminal]


def order(state: OrderState = OrderState.SUBMITTING, quantity: str = "1") -> Order:
    booked = Blotter().apply(committed(state=state, quantity=Decimal(quantity)))
    assert booked is not None
    return booked


def test_every_state_that_is_not_terminal_is_in_the_table_and_no_other() -> None:
    assert set(TRANSITIONS) == set(WORKING)
    assert set(TERMINAL) == {OrderState.FILLED, OrderState.CANCELED, OrderState.EXPIRED, OrderState.REJECTED}


@pytest.mark.parametrize("state", WORKING)
@pytest.mark.parametrize("step", Step)
def test_a_step_leads_where_the_table_says_or_is_impossible(state: OrderState, step: Step) -> None:
    if step in TRANSITIONS[state]:
        assert order(state).stepped(step, 2).state is TRANSITIONS[state][step]
    else:
        with pytest.raises(ImpossibleStep, match=f"{state.value} cannot see {step.value}"):
            order(state).stepped(step, 2)


@pytest.mark.parametrize("state", TERMINAL)
@pytest.mark.parametrize("step", Step)
def test_a_terminal_state_absorbs_every_step(state: OrderState, step: Step) -> None:
    assert next_state(state, step) is state
    ended = order(state)
    assert ended.stepped(step, 99, "late") is ended


@pytest.mark.parametrize("state", [state for state in WORKING if state is not OrderState.QUEUED])
def test_what_was_sent_can_end_in_every_way(state: OrderState) -> None:
    endings = {TRANSITIONS[state][step] for step in (Step.FILLED, Step.CANCELED, Step.EXPIRED, Step.REJECTED)}
    assert endings == set(TERMINAL)


@pytest.mark.parametrize("state", [state for state in WORKING if state is not OrderState.QUEUED])
def test_the_venue_may_say_the_same_thing_twice_and_late(state: OrderState) -> None:
    """An answer, a refused cancel and a lost answer can come in any order: none crashes the folds."""
    possible = set(TRANSITIONS[state])
    assert {Step.ACCEPTED, Step.PART_FILLED, Step.LOST, Step.CANCEL_ASKED, Step.CANCEL_REFUSED} <= possible


def test_what_is_queued_was_never_sent_so_the_venue_can_say_nothing_of_it() -> None:
    assert set(TRANSITIONS[OrderState.QUEUED]) == {Step.SENT, Step.CANCELED, Step.EXPIRED}


def test_a_refused_cancel_leaves_a_part_filled_order_partial() -> None:
    waiting = order(OrderState.OPEN).filled(Decimal("0.4"), Decimal(100), 2).stepped(Step.CANCEL_ASKED, 3)
    assert waiting.state is OrderState.PENDING_CANCEL
    assert waiting.stepped(Step.CANCEL_REFUSED, 4).state is OrderState.PARTIAL


def test_the_reason_stays_until_there_is_another() -> None:
    asked = order(OrderState.OPEN).stepped(Step.CANCEL_ASKED, 2, "stale")
    assert (asked.why, asked.updated_ns) == ("stale", 2)
    assert asked.stepped(Step.CANCELED, 3).why == "stale"
    assert asked.stepped(Step.EXPIRED, 3, "day over").why == "day over"


def test_fills_add_up_to_filled() -> None:
    first = order(OrderState.OPEN).filled(Decimal("0.4"), Decimal(100), 2)
    assert (first.state, first.executed, first.remaining) == (OrderState.PARTIAL, Decimal("0.4"), Decimal("0.6"))
    last = first.filled(Decimal("0.6"), Decimal(110), 3)
    assert (last.state, last.remaining, last.average_price) == (OrderState.FILLED, Decimal(0), Decimal(106))
    assert order().average_price is None


def test_a_late_fill_of_an_ended_order_counts_and_does_not_reopen_it() -> None:
    late = order(OrderState.CANCELED).filled(Decimal("0.4"), Decimal(100), 2)
    assert (late.state, late.executed) == (OrderState.CANCELED, Decimal("0.4"))


quantities = st.decimals(Decimal("0.00001"), Decimal(10), places=5)


@given(
    st.sampled_from(OrderState),
    st.lists(st.one_of(st.sampled_from(Step), st.tuples(quantities, quantities)), max_size=20),
)
def test_whatever_comes_terminal_is_for_ever_and_every_fill_counts(
    state: OrderState, happenings: list[Step | tuple[Decimal, Decimal]]
) -> None:
    now, executed, quote = order(state, "5"), Decimal(0), Decimal(0)
    for stamp, happening in enumerate(happenings):
        before = now
        try:
            if isinstance(happening, Step):
                now = now.stepped(happening, stamp)
            else:
                now = now.filled(*happening, stamp)
                executed += happening[0]
                quote += happening[0] * happening[1]
        except ImpossibleStep:
            continue
        assert not before.state.terminal or now.state is before.state
        assert (now.executed, now.executed_quote) == (executed, quote)
        assert (now.client_id, now.quantity, now.created_ns) == (before.client_id, before.quantity, before.created_ns)
