"""Numbers, ages and rows of fixed width."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.text import Text

from tbot_actors.operator.figures import (
    Column,
    age,
    amount,
    clock,
    count,
    duration,
    fit,
    header,
    money,
    price,
    profit,
    quantity,
    row,
    spark,
)

NS = 1_000_000_000


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("19996.149", "19,996.15"),
        ("1234567.891", "1,234,567.89"),
        ("-3", "-3.00"),
        ("0", "0.00"),
        ("0.0012345", "0.001234"),
    ],
)
def test_money_has_cents_and_keeps_what_is_below_one(value: str, shown: str) -> None:
    assert money(Decimal(value)) == shown


@pytest.mark.parametrize(
    ("value", "shown", "style"),
    [
        ("1234.5", "+1,234.50", "green"),
        ("-0.006", "-0.01", "red"),
        ("0.004", "0.00", "dim"),
        ("-0.004", "0.00", "dim"),
        ("0", "0.00", "dim"),
    ],
)
def test_profit_is_green_loss_is_red_and_nothing_has_no_sign(value: str, shown: str, style: str) -> None:
    text = profit(Decimal(value))
    assert (text.plain, text.style) == (shown, style)


@pytest.mark.parametrize(
    ("value", "tick", "shown"),
    [
        ("61764.4", "0.01", "61764.40"),
        ("61764.4567", "0.01000000", "61764.46"),
        ("0.0845123", "0.00001", "0.08451"),
        ("61764.4", "1", "61764"),
        ("61764", "10", "61764"),
        ("0.123456789", None, "0.12345679"),
    ],
)
def test_a_price_stands_on_the_grid_of_its_instrument(value: str, tick: str | None, shown: str) -> None:
    assert price(Decimal(value), None if tick is None else Decimal(tick)) == shown


def test_no_price_is_a_dash() -> None:
    assert price(None, Decimal("0.01")) == "-"


@pytest.mark.parametrize(
    ("value", "width", "shown"),
    [
        ("0.00000331", 11, "0.00000331"),
        ("0.000003310", 11, "0.00000331"),
        ("-12345.678901", 11, "-12345.6789"),
        ("12345678901234", 11, "12345678901234"),
        ("123456.78", 6, "123456"),
        ("-1.5", 2, "-1"),
    ],
)
def test_a_quantity_is_cut_behind_the_point_and_never_before_it(value: str, width: int, shown: str) -> None:
    assert quantity(Decimal(value), width) == shown


def test_an_amount_of_any_asset_reads_well() -> None:
    assert amount(Decimal("99640.55283141")) == "99,640.55"
    assert amount(Decimal("0.00000824")) == "0.00000824"


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0, "0"), (9_999, "9999"), (12_345, "12.3k"), (999_949, "999.9k"), (3_100_000, "3.1M"), (2_000_000_000, "2.0G")],
)
def test_a_count_is_short(value: int, shown: str) -> None:
    assert count(value) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(-1, "0.0s"), (0.31, "0.3s"), (9.96, "10s"), (59, "59s"), (120, "2m"), (7200, "2h"), (400_000, "5d")],
)
def test_an_age_is_short(seconds: float, shown: str) -> None:
    assert age(int(seconds * NS)) == shown


@given(st.integers(0, 900 * 86_400 * NS))
def test_an_age_fits_its_column(age_ns: int) -> None:
    assert len(age(age_ns)) <= 4


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(-5, "0:00"), (12, "0:12"), (843, "14:03"), (11_643, "3:14:03"), (2 * 86_400 + 3, "2d 0:00:03")],
)
def test_a_duration_reads_as_a_clock(seconds: int, shown: str) -> None:
    assert duration(seconds * NS) == shown


def test_a_stamp_is_a_time_of_day_in_utc() -> None:
    assert clock(1_700_000_000 * NS) == "22:13:20"


COLUMNS = (Column("name", 6), Column("value", 5, right=True))


def test_a_row_has_its_width_whatever_is_in_it() -> None:
    assert header(COLUMNS).plain == "name   value"
    assert row(COLUMNS, ("a", "1")).plain == "a          1"
    assert row(COLUMNS, ("a long name", "123456789")).plain == "a lon… 1234…"


@given(st.text(st.characters(exclude_categories=["C", "Z", "M"]), max_size=20), st.integers(1, 12), st.booleans())
def test_what_is_fitted_is_exactly_as_wide_as_wanted(text: str, width: int, right: bool) -> None:
    assert fit(Text(text), width, right=right).cell_len == width


def test_fitting_leaves_the_cell_of_the_caller_alone() -> None:
    cell = Text("a long name")
    row(COLUMNS, (cell, "1"))
    assert cell.plain == "a long name"


def numbers(*values: int) -> list[Decimal]:
    return [Decimal(value) for value in values]


def test_a_spark_runs_from_the_lowest_to_the_highest_and_ends_with_the_newest() -> None:
    assert spark(numbers(0, 7, 3), 10) == "▁█▄"
    assert spark(numbers(0, 1, 2, 3, 4, 5, 6, 7), 4) == "▁▃▅█"


def test_a_spark_of_nothing_or_of_one_value_does_not_fail() -> None:
    assert spark([], 5) == ""
    assert spark(numbers(1), 0) == ""
    assert spark(numbers(5, 5, 5), 5) == "▁▁▁"


@given(st.lists(st.decimals(-(10**9), 10**9, places=2), max_size=200), st.integers(-1, 80))
def test_a_spark_is_never_wider_than_wanted(values: list[Decimal], width: int) -> None:
    assert len(spark(values, width)) <= max(width, 0)
