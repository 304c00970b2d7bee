"""What can be traded: the instrument with the venue's filters, and the checks that follow from them alone."""

from decimal import Decimal
from enum import Enum
from typing import NewType

from attrs import frozen

from tbot_actors.domain.money import ZERO, ceil_to, floor_to, is_multiple

InstrumentId = NewType("InstrumentId", str)
"""`venue:symbol`, for example `binance:BTCUSDT`."""


class Side(Enum):
    """The direction of an order or a fill."""

    BUY = "BUY"
    SELL = "SELL"

    @property
    def opposite(self) -> "Side":
        """The other side."""
        return Side.SELL if self is Side.BUY else Side.BUY

    @property
    def sign(self) -> int:
        """+1 for a buy, -1 for a sell."""
        return 1 if self is Side.BUY else -1


@frozen
class Instrument:
    """One tradable instrument of one venue with its filters; journaled whenever the venue states new ones."""

    venue: str
    symbol: str
    base: str
    quote: str
    tick: Decimal
    """Price grid, quote currency."""
    step: Decimal
    """Quantity grid, base currency."""
    quantity_min: Decimal
    quantity_max: Decimal
    notional_min: Decimal
    """Smallest price x quantity the venue accepts, quote currency."""
    maker_fee: Decimal
    """Fraction of the traded amount, 0.001 = 0.1 %."""
    taker_fee: Decimal
    spot: bool = True
    """Spot can be sold only as far as it is owned."""

    @property
    def id(self) -> InstrumentId:
        """`venue:symbol`."""
        return InstrumentId(f"{self.venue}:{self.symbol}")

    def round_quantity(self, quantity: Decimal) -> Decimal:
        """Down to the step: never more than meant."""
        return floor_to(quantity, self.step)

    def round_price(self, side: Side, price: Decimal) -> Decimal:
        """A buy floors, a sell ceils: never a worse price than meant."""
        return floor_to(price, self.tick) if side is Side.BUY else ceil_to(price, self.tick)

    def tradable(self, quantity: Decimal, price: Decimal) -> bool:
        """Whether `quantity` at `price` is large enough for the venue to accept it at all; what is not is dust."""
        rounded = self.round_quantity(abs(quantity))
        return rounded >= self.quantity_min and rounded * price >= self.notional_min and rounded > ZERO


def filter_violation(
    instrument: Instrument, quantity: Decimal, price: Decimal | None, reference: Decimal
) -> str | None:
    """What the venue's filters would object to, in words, or None. `reference` values an order without a price."""
    value = price if price is not None else reference
    if not (quantity.is_finite() and value.is_finite() and quantity > ZERO and value > ZERO):
        return "quantity and price must be finite and positive"
    if price is not None and not is_multiple(price, instrument.tick):
        return f"price {price} is not a multiple of the tick {instrument.tick}"
    if not is_multiple(quantity, instrument.step):
        return f"quantity {quantity} is not a multiple of the step {instrument.step}"
    if not (instrument.quantity_min <= quantity <= instrument.quantity_max):
        return f"quantity {quantity} is outside {instrument.quantity_min}..{instrument.quantity_max}"
    if not (quantity * value >= instrument.notional_min):
        return f"notional {quantity * value} is below the venue's minimum {instrument.notional_min}"
    return None
