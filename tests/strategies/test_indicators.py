"""Indicators, against figures worked out by hand."""

from __future__ import annotations

import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tbot_actors.strategies.indicators import AverageTrueRange, SimpleAverage


def test_the_average_is_known_with_as_many_values_as_it_spans() -> None:
    average = SimpleAverage(3)
    assert [average.update(value) for value in (1.0, 2.0, 6.0, 7.0)] == [None, None, 3.0, 5.0]
    assert average.value == 5.0


@given(st.lists(st.floats(1, 1e6), min_size=5, max_size=200))
def test_the_running_average_is_the_mean_of_the_window(values: list[float]) -> None:
    average = SimpleAverage(5)
    for value in values:
        average.update(value)
    assert average.value == pytest.approx(statistics.fmean(values[-5:]), rel=1e-9)


def test_the_running_sum_is_renewed() -> None:
    average = SimpleAverage(2)
    average._updates = 999_998
    average._total = 0.5
    average.update(1.0)
    assert average.update(2.0) == 1.5


def test_the_first_true_range_needs_the_close_before_it() -> None:
    atr = AverageTrueRange(2)
    assert atr.update(12, 8, 10) is None
    # 3 (high - low), then 5 (gap up: high - close before): the mean of both is the first value.
    assert atr.update(11, 8, 9) is None
    assert atr.update(14, 11, 13) == (3 + 5) / 2


def test_from_then_on_it_is_wilders_recursion() -> None:
    atr = AverageTrueRange(3)
    # True ranges: 2, 3, 4 (gap down: close before - low) → 3; then (3·2 + 9)/3 = 5; then (5·2 + 2)/3 = 4.
    bars = [(10, 9, 10), (11, 9, 10), (12, 9, 12), (11, 8, 9), (18, 12, 16), (17, 15, 16)]
    found = [atr.update(*bar) for bar in bars]
    assert found == [None, None, None, 3, 5, 4]
    assert atr.value == 4
