"""The pure parts of restarting."""

from __future__ import annotations

from itertools import islice
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tbot_actors.kernel import Backoff, Crash, RestartLimit, delays
from tbot_actors.kernel.budget import RestartWindow


@st.composite
def backoffs(draw: st.DrawFn) -> Backoff:
    first_s = draw(st.floats(0.001, 10))
    jitter = draw(st.floats(0, 0.5))
    factor = draw(st.floats(max(1.01, 1 / (1 - jitter) + 0.01), 10))
    return Backoff(first_s=first_s, factor=factor, cap_s=draw(st.floats(first_s, 1000)), jitter=jitter)


@given(backoffs(), st.integers())
def test_delays_grow_until_the_cap_and_stay_within_the_jitter_below_it(backoff: Backoff, seed: int) -> None:
    drawn = list(islice(delays(backoff, Random(seed)), 300))
    bases = [min(backoff.cap_s, backoff.first_s * backoff.factor**n) for n in range(300)]
    for delay, base in zip(drawn, bases, strict=True):
        assert base * (1 - backoff.jitter) * 0.999 <= delay <= base <= backoff.cap_s
    growing = [delay for delay, base in zip(drawn, bases, strict=True) if base < backoff.cap_s]
    assert growing == sorted(growing)


def test_even_the_ten_thousandth_delay_is_the_cap() -> None:
    backoff = Backoff(jitter=0, factor=10)
    assert next(islice(delays(backoff, Random(0)), 10_000, None)) == backoff.cap_s


def test_jitter_spreads_the_delays() -> None:
    drawn = list(islice(delays(Backoff(jitter=0.1), Random(7)), 200))[20:]
    assert max(drawn) - min(drawn) > 0.08 * max(drawn)


@pytest.mark.parametrize(
    "settings", [{"factor": 1.0}, {"jitter": 1.0}, {"factor": 1.05, "jitter": 0.2}, {"first_s": 9}, {"first_s": -1}]
)
def test_a_backoff_that_would_not_back_off_is_refused(settings: dict[str, float]) -> None:
    with pytest.raises(ValueError):
        Backoff(**settings)


@given(
    st.integers(0, 5),
    st.floats(0.5, 20),
    st.lists(st.floats(0, 10, allow_subnormal=False), max_size=40),
)
def test_a_budget_allows_exactly_its_restarts_within_any_window(
    restarts: int, within_s: float, gaps: list[float]
) -> None:
    window = RestartWindow(RestartLimit(restarts, within_s))
    now_s, times = 0.0, []
    for gap in gaps:
        now_s += gap
        times.append(now_s)
        recent = [t for t in times if now_s - t < within_s]
        assert window.spend(Crash("x", 1, ValueError(), now_s)) == (len(recent) <= restarts)
        assert len(window.history) <= restarts + 1
