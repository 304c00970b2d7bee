"""Positions as a fold of fills: per strategy (its virtual position) and summed (the bot's inventory)."""

from collections.abc import Mapping
from decimal import Decimal

from attrs import define, evolve, field, frozen

from tbot_actors.domain.events import Fill
from tbot_actors.domain.instruments import Instrument, InstrumentId, Side
from tbot_actors.domain.money import ZERO


@frozen
class Position:
    """A holding by the average-cost method. Flat is `quantity == 0`."""

    quantity: Decimal = ZERO
    """Signed, base currency; below zero is short."""
    cost: Decimal = ZERO
    """What the open quantity cost, quote currency, signed as the quantity; a fee paid in base makes it dearer."""
    realized: Decimal = ZERO
    """Profit of what was closed, fees in quote already taken off, quote currency."""
    fees: Decimal = ZERO
    """Fees so far, valued in quote currency at the price of their fills."""
    fees_elsewhere: Decimal = ZERO
    """Fees paid in a third asset, in that asset: not valued here."""

    @property
    def average_price(self) -> Decimal | None:
        """Cost per unit of the open quantity; None when flat."""
        return self.cost / self.quantity if self.quantity else None

    def unrealized(self, mark: Decimal) -> Decimal:
        """Profit if the open quantity were closed at `mark` without fees, quote currency."""
        return self.quantity * mark - self.cost

    def after(self, fill: Fill, instrument: Instrument) -> "Position":
        """The position after one fill, fees included."""
        base_fee = fill.fee if fill.fee_asset == instrument.base else ZERO
        quote_fee = fill.fee if fill.fee_asset == instrument.quote else ZERO
        signed = fill.quantity * fill.side.sign
        traded = _traded(self, signed, fill.price)
        grown = _less_fee(traded, base_fee, buying=fill.side is Side.BUY)
        return evolve(
            grown,
            realized=grown.realized - quote_fee,
            fees=self.fees + quote_fee + base_fee * fill.price,
            fees_elsewhere=self.fees_elsewhere + (fill.fee if not base_fee and not quote_fee else ZERO),
        )


def _traded(position: Position, signed: Decimal, price: Decimal) -> Position:
    """`signed` units bought (+) or sold (-) at `price`, without fees: closes first, then opens."""
    held = position.quantity
    if held * signed >= 0:
        return evolve(position, quantity=held + signed, cost=position.cost + signed * price)
    closing = signed if abs(signed) <= abs(held) else -held
    share = position.cost * (-closing / held)
    opening = signed - closing
    return evolve(
        position,
        quantity=held + signed,
        cost=position.cost - share + opening * price,
        realized=position.realized - closing * price - share,
    )


def _less_fee(position: Position, fee: Decimal, *, buying: bool) -> Position:
    """After a fee in base: it makes what a buy left open dearer; where it closes, that part is given away for nothing.

    So a position that a fee closed is flat, with no cost left over.
    """
    if buying and position.quantity > fee:
        return evolve(position, quantity=position.quantity - fee)
    return _traded(position, -fee, ZERO)


@define
class Inventory:
    """All positions of the bot. Fills must come once each, in journal order."""

    instruments: dict[InstrumentId, Instrument] = field(factory=dict)
    positions: dict[tuple[str, InstrumentId], Position] = field(factory=dict)

    def define(self, instrument: Instrument) -> None:
        """Take in or renew an instrument; fills of it may follow."""
        self.instruments[instrument.id] = instrument

    def apply(self, fill: Fill) -> Position:
        """Book one fill and return the position it changed."""
        name = (fill.strategy, fill.instrument)
        position = self.positions.get(name, Position()).after(fill, self.instruments[fill.instrument])
        self.positions[name] = position
        return position

    def position(self, strategy: str, instrument: InstrumentId) -> Position:
        """The strategy's virtual position; flat where it never traded."""
        return self.positions.get((strategy, instrument), Position())

    def net(self, instrument: InstrumentId) -> Decimal:
        """The bot's inventory of one instrument: the sum of the virtual positions."""
        return sum((held.quantity for (_, name), held in self.positions.items() if name == instrument), ZERO)

    def nets(self) -> Mapping[InstrumentId, Decimal]:
        """The bot's inventory by instrument, flat ones included."""
        return {name: self.net(name) for name in self.instruments}


def reducing_quantity(position: Decimal, side: Side) -> Decimal:
    """How much an order of `side` may trade before it stops reducing `position`; zero when it would open."""
    return abs(position) if position * side.sign < 0 else ZERO
