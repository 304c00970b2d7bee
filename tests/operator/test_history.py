"""The course of a number, for any length of time in bounded room."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from tbot_actors.operator.history import PERIOD_FIRST_NS, POINTS_MAX, History


def test_values_closer_than_the_distance_replace_the_last() -> None:
    history = History()
    history.add(0, Decimal(1))
    history.add(PERIOD_FIRST_NS - 1, Decimal(2))
    assert history.values == [2]
    history.add(PERIOD_FIRST_NS, Decimal(3))
    assert history.values == [2, 3]


def test_when_it_is_full_the_distance_doubles_and_the_whole_time_stays_covered() -> None:
    history = History()
    for n in range(POINTS_MAX + 1):
        history.add(n * PERIOD_FIRST_NS, Decimal(n))
    assert history.period_ns == 2 * PERIOD_FIRST_NS
    assert history.values[0] == 0
    assert history.values[-1] == POINTS_MAX
    assert len(history.values) == POINTS_MAX // 2 + 1


@given(st.lists(st.integers(0, 100), max_size=400))
def test_it_never_grows_beyond_its_room_and_always_ends_with_the_newest(steps: list[int]) -> None:
    history, now = History(), 0
    for number, step in enumerate(steps):
        now += step * PERIOD_FIRST_NS // 10
        history.add(now, Decimal(number))
        assert len(history.values) <= POINTS_MAX
        assert history.values[-1] == number
