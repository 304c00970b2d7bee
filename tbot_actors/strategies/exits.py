"""Stops and take-profits as distances from the entry: by the market's own range, by percent, or a fixed amount."""

from decimal import Decimal
from enum import Enum

from tbot_actors.domain.instruments import Side


class ExitUnit(Enum):
    """What the distance of a stop is counted in."""

    ATR = "atr"
    """Average true ranges at the time of the entry: wider in a wilder market."""
    PERCENT = "percent"
    """Percent of the entry price."""
    FIXED = "fixed"
    """Quote currency per unit."""


def stop_distance(unit: ExitUnit, amount: Decimal, entry: Decimal, true_range: Decimal | None) -> Decimal | None:
    """How far the stop lies from the entry price, quote currency; None while an ATR stop has no range yet."""
    match unit:
        case ExitUnit.ATR:
            return None if true_range is None else amount * true_range
        case ExitUnit.PERCENT:
            return entry * amount / 100
        case ExitUnit.FIXED:
            return amount


def exit_due(side: Side, entry: Decimal, price: Decimal, stop: Decimal, reward: Decimal) -> bool:
    """Whether a position of `side` that would now close at `price` is at its stop, or `reward` times as far up."""
    gained = (price - entry) * side.sign
    return gained <= -stop or gained >= reward * stop
