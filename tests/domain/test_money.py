"""Money is rounded in few places, and never to our advantage or against the venue's grid."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tbot_actors.domain.instruments import Side, filter_violation
from tbot_actors.domain.money import ceil_to, floor_to, is_multiple, plain, to_decimal
from tests.domain.samples import BTCUSDT

values = st.decimals(-(10**9), 10**9, allow_nan=False, allow_infinity=False, places=10)
positive = st.decimals(Decimal("0.00001"), 10**6, allow_nan=False, allow_infinity=False, places=8)
steps = st.sampled_from([Decimal(text) for text in ("0.00000001", "0.01", "0.05", "0.25", "1", "10", "2.5")])


@given(values, steps)
def test_floor_and_ceil_are_the_nearest_multiples_on_either_side(value: Decimal, step: Decimal) -> None:
    low, high = floor_to(value, step), ceil_to(value, step)
    assert is_multiple(low, step) and is_multiple(high, step)
    assert low <= value <= high and high - low in (0, step)
    assert (low == high) == is_multiple(value, step)


@given(positive)
def test_a_price_is_never_worse_than_meant_and_a_quantity_never_more(value: Decimal) -> None:
    assert BTCUSDT.round_price(Side.BUY, value) <= value <= BTCUSDT.round_price(Side.SELL, value)
    assert 0 <= value - BTCUSDT.round_quantity(value) < BTCUSDT.step


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_float_becomes_what_it_prints_as(value: float) -> None:
    assert float(to_decimal(value)) == value
    assert to_decimal(value) == Decimal(repr(value))


class Statistic(float):
    """A float that prints as something else, as numpy's do."""

    def __repr__(self) -> str:
        return f"Statistic({float(self)})"


def test_a_float_of_another_make_is_a_float() -> None:
    assert to_decimal(Statistic(0.1)) == Decimal("0.1")


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), "-Infinity", "NaN", "sNaN", "", "1,5", Decimal("NaN")])
def test_nothing_that_is_not_finite_becomes_money(bad: float | str | Decimal) -> None:
    with pytest.raises(ValueError, match="not a"):
        to_decimal(bad)


@given(values)
def test_plain_writes_the_same_number_without_exponent_or_trailing_zeros(value: Decimal) -> None:
    text = plain(value)
    assert Decimal(text) == value and "E" not in text
    assert "." not in text or text[-1] not in "0."


def test_plain_keeps_the_zeros_of_whole_numbers() -> None:
    assert [plain(Decimal(text)) for text in ("1E+3", "100", "0.10", "0.00", "1E-8")] == [
        "1000",
        "100",
        "0.1",
        "0",
        "0.00000001",
    ]


@pytest.mark.parametrize(
    ("quantity", "price", "why"),
    [
        ("1", "100", None),
        ("1", None, None),
        ("1", "100.001", "tick"),
        ("0.000001", "100", "step"),
        ("10000", "100", "outside"),
        ("0.04", "100", "notional"),
        ("0", "100", "positive"),
        ("-1", "100", "positive"),
        ("NaN", "100", "finite"),
        ("1", "Infinity", "finite"),
    ],
)
def test_the_venues_filters_are_known_before_an_order_is_sent(
    quantity: str, price: str | None, why: str | None
) -> None:
    violation = filter_violation(
        BTCUSDT, Decimal(quantity), None if price is None else Decimal(price), reference=Decimal(100)
    )
    assert violation is None if why is None else violation is not None and why in violation


@pytest.mark.parametrize(("quantity", "tradable"), [("0.05", True), ("-0.05", True), ("0.04", False), ("0", False)])
def test_what_is_too_small_for_the_venue_is_dust(quantity: str, tradable: bool) -> None:
    assert BTCUSDT.tradable(Decimal(quantity), Decimal(100)) is tradable
