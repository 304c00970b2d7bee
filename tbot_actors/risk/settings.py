"""The limits. Percentages are of allocated capital; a limit that is not set blocks."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from attrs import field, frozen, validators

from tbot_actors.domain.money import ZERO


def _percent(highest: int) -> Callable[[Any, Any, Decimal], None]:
    """NaN, infinity and nothing at all are no limits."""

    def check(_instance: Any, attribute: Any, value: Decimal) -> None:
        if not (value.is_finite() and ZERO < value <= highest):
            raise ValueError(f"{attribute.name} must be above 0 and at most {highest}, not {value}")

    return check


def _money(_instance: Any, attribute: Any, value: Decimal | None) -> None:
    if value is not None and not (value.is_finite() and value > ZERO):
        raise ValueError(f"{attribute.name} must be a positive amount, not {value}")


@frozen
class RiskSettings:
    """Conservative defaults for spot, every breaker on (DESIGN §6)."""

    order_max_percent: Decimal = field(default=Decimal(5), validator=_percent(25))
    """Largest order, percent of the capital allocated to its strategy."""
    order_max: Decimal | None = field(default=Decimal(1000), validator=_money)
    """Largest order in quote currency. None blocks every order that opens risk."""
    position_max_percent: Decimal = field(default=Decimal(10), validator=_percent(25))
    """Largest position per instrument, working and unknown orders counted as filled, percent of all allocated
    capital.
    """
    price_band_percent: Decimal = field(default=Decimal(5), validator=_percent(50))
    """How far a limit price may lie from the mid."""
    price_band_ticks: int = field(default=10, validator=validators.ge(1))
    """The band is never narrower than this many ticks."""
    quote_age_max_s: float = field(default=5.0, validator=validators.gt(0.0))
    """An older quote is no price."""
    daily_loss_percent: Decimal = field(default=Decimal(3), validator=_percent(5))
    """Loss since UTC midnight, unrealised included, that ends new risk for the account."""
    orders_max: int = field(default=20, validator=validators.ge(1))
    """Working and reserved orders at once, all strategies."""
