"""Where a stop lies, in each unit, and when a position is at one of its ends."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tbot_actors.domain.instruments import Side
from tbot_actors.strategies.exits import ExitUnit, exit_due, stop_distance

ENTRY = Decimal(200)


@pytest.mark.parametrize(
    ("unit", "amount", "distance"),
    [(ExitUnit.ATR, "2", "6"), (ExitUnit.PERCENT, "1.5", "3"), (ExitUnit.FIXED, "5", "5")],
)
def test_a_stop_is_counted_in_ranges_in_percent_or_in_money(unit: ExitUnit, amount: str, distance: str) -> None:
    assert stop_distance(unit, Decimal(amount), ENTRY, Decimal(3)) == Decimal(distance)


def test_only_a_stop_in_ranges_waits_for_the_range() -> None:
    assert stop_distance(ExitUnit.ATR, Decimal(2), ENTRY, None) is None
    assert stop_distance(ExitUnit.PERCENT, Decimal(1), ENTRY, None) == 2
    assert stop_distance(ExitUnit.FIXED, Decimal(5), ENTRY, None) == 5


@pytest.mark.parametrize(
    ("side", "price", "due"),
    [
        (Side.BUY, "194.01", False),
        (Side.BUY, "194", True),
        (Side.BUY, "211.99", False),
        (Side.BUY, "212", True),
        (Side.SELL, "205.99", False),
        (Side.SELL, "206", True),
        (Side.SELL, "188.01", False),
        (Side.SELL, "188", True),
    ],
)
def test_a_position_closes_at_its_stop_and_at_its_target_and_nowhere_between(side: Side, price: str, due: bool) -> None:
    assert exit_due(side, ENTRY, Decimal(price), stop=Decimal(6), reward=Decimal(2)) is due
