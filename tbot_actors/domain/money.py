"""Money: 28-digit Decimals, and the only places where they are rounded.

Quantity rounds down to the step, a buy price floors and a sell price ceils to the tick (never a worse price than
meant), a fee rounds up.
Floats live in statistics only and cross into money at `to_decimal`.
"""

from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal, DivisionByZero, InvalidOperation, Overflow, setcontext

ZERO = Decimal(0)
CONTEXT = Context(prec=28, traps=[InvalidOperation, DivisionByZero, Overflow])
setcontext(CONTEXT)


def to_decimal(value: float | int | str | Decimal) -> Decimal:
    """Convert exactly as printed. Raises ValueError for NaN, infinity and text that is no number."""
    try:
        number = Decimal(float.__repr__(value) if isinstance(value, float) else value)
    except InvalidOperation:
        raise ValueError(f"not a number: {value!r}") from None
    if not number.is_finite():
        raise ValueError(f"not a finite number: {value!r}")
    return number


def floor_to(value: Decimal, step: Decimal) -> Decimal:
    """The largest multiple of `step` that is not above `value`."""
    return (value / step).to_integral_value(ROUND_FLOOR) * step


def ceil_to(value: Decimal, step: Decimal) -> Decimal:
    """The smallest multiple of `step` that is not below `value`."""
    return (value / step).to_integral_value(ROUND_CEILING) * step


def is_multiple(value: Decimal, step: Decimal) -> bool:
    """Whether `value` lies on the grid of `step`."""
    return value % step == 0


def plain(value: Decimal) -> str:
    """The number without an exponent and without trailing zeros, as venues and people write it."""
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
