"""Durations and crash orders as a person types them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tbot_actors.cli.durations import CrashOrder, crash_order, seconds
from tbot_actors.cli.exits import Exit, Failure


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        *(("30s", 30), ("5m", 300), ("2h", 7200), ("1d", 86_400), ("250ms", 0.25)),
        *(("7", 7), ("1.5m", 90), (" 3s ", 3), ("0s", 0)),
    ],
)
def test_a_duration_is_a_number_and_a_unit(text: str, meant: float) -> None:
    assert seconds(text) == meant


@pytest.mark.parametrize("text", ["", "soon", "-3s", "3 s", "3sec", "s", "1e3s", "inf", "nan", "1m30s", "٣s", "3s\n4s"])
def test_anything_else_is_wrong_usage_and_told_how_to_write_it(text: str) -> None:
    with pytest.raises(Failure, match="write 30s, 5m, 2h or 1d") as caught:
        seconds(text)
    assert caught.value.code is Exit.USAGE


@pytest.mark.parametrize(
    ("text", "path", "after_s"),
    [("journal@3", "journal", 3), ("strategies/momentum@5s", "strategies/momentum", 5), ("a@b@250ms", "a@b", 0.25)],
)
def test_a_crash_is_an_actor_and_a_time(text: str, path: str, after_s: float) -> None:
    assert crash_order(text) == CrashOrder(path, after_s)


@pytest.mark.parametrize("text", ["", "journal", "@5s", "journal@", "journal@soon", "/journal/@5s", "core//risk@5s"])
def test_anything_else_is_no_crash(text: str) -> None:
    with pytest.raises(Failure) as caught:
        crash_order(text)
    assert caught.value.code is Exit.USAGE


@given(st.text())
def test_any_text_is_a_duration_or_wrong_usage(text: str) -> None:
    try:
        assert seconds(text) >= 0
    except Failure as failure:
        assert failure.code is Exit.USAGE
