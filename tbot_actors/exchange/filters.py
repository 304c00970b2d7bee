"""A symbol's trading rules and their refusals; exact conversion between Decimal and ticks or steps.

Checked in the order exchangeInfo lists them. Codes and texts: binance-spot-api-docs `errors.md`, `filters.md`;
those pages do not give "Invalid price." and "Invalid quantity.", the order of checks, or how a fee is rounded.
"""

import re
from decimal import Decimal
from functools import cached_property

from attrs import frozen

from tbot_actors.exchange.ledger import UNITS
from tbot_actors.exchange.records import NewOrder, OrderType, VenueError

CLIENT_ID_PATTERN = "^[a-zA-Z0-9-_]{1,36}$"
"""What Binance takes as a client order id."""

_CLIENT_ID = re.compile("[a-zA-Z0-9_-]{1,36}")
_DIGITS_MAX = 20  # the wire takes at most twenty digits before the point
_DECIMALS_MAX = 8


@frozen(kw_only=True, slots=False)
class SymbolRules:
    """Trading rules of one symbol, as exchangeInfo publishes them. Defaults: Binance BTCUSDT.

    Raises ValueError when one tick times one step is not a whole number of 1e-8 quote: money could not be exact.
    """

    symbol: str = "BTCUSDT"
    base: str = "BTC"
    quote: str = "USDT"
    tick: Decimal = Decimal("0.01")
    price_min: Decimal = Decimal("0.01")
    price_max: Decimal = Decimal("1000000")
    step: Decimal = Decimal("0.00001")
    quantity_min: Decimal = Decimal("0.00001")
    quantity_max: Decimal = Decimal("9000")
    market_quantity_max: Decimal = Decimal("9000")
    notional_min: Decimal = Decimal("5")
    notional_max: Decimal = Decimal("9000000")
    percent_up: Decimal = Decimal("5")
    percent_down: Decimal = Decimal("0.2")
    average_minutes: int = 5
    orders_max: int = 200
    maker_fee: Decimal = Decimal("0.001")
    taker_fee: Decimal = Decimal("0.001")

    def __attrs_post_init__(self) -> None:
        for name, value in (("tick × step", self.tick * self.step), ("step", self.step)):
            if value <= 0 or value * UNITS % 1:
                raise ValueError(f"{name} of {self.symbol} is {value}, not a whole number of 1e-8")

    @cached_property
    def quote_units(self) -> int:
        """Ledger units of quote in one tick times one step."""
        return int(self.tick * self.step * UNITS)

    @cached_property
    def base_units(self) -> int:
        """Ledger units of base in one step."""
        return int(self.step * UNITS)

    def price_to_ticks(self, price: Decimal) -> int:
        """A price as ticks. Raises VenueError -1013 PRICE_FILTER when it is not a whole number of them."""
        ticks = _multiples(price, self.tick)
        if ticks is None:
            raise filter_failure("PRICE_FILTER")
        return ticks

    def ticks_to_price(self, ticks: int) -> Decimal:
        """Ticks as an exact price."""
        return self.tick * ticks

    def quantity_to_steps(self, quantity: Decimal) -> int:
        """A quantity as steps. Raises VenueError -1013 LOT_SIZE when it is not a whole number of them."""
        steps = _multiples(quantity, self.step)
        if steps is None:
            raise filter_failure("LOT_SIZE")
        return steps

    def steps_to_quantity(self, steps: int) -> Decimal:
        """Steps as an exact quantity."""
        return self.step * steps


def filter_failure(name: str) -> VenueError:
    """Binance's answer when a symbol filter does not pass."""
    return VenueError(-1013, f"Filter failure: {name}")


def check_parameters(new: NewOrder) -> None:
    """Which parameters an order type must and must not carry. Raises VenueError -1102, -1106, -1100, -1111, -1013."""
    if new.quantity is None:
        raise _missing("quantity")
    if new.type is OrderType.MARKET:
        if new.price is not None:
            raise _not_required("price")
    elif new.price is None:
        raise _missing("price")
    if new.type is OrderType.LIMIT:
        if new.time_in_force is None:
            raise _missing("timeInForce")
    elif new.time_in_force is not None:
        raise _not_required("timeInForce")
    if new.client_order_id is not None and not _CLIENT_ID.fullmatch(new.client_order_id):
        raise VenueError(
            -1100,
            f"Illegal characters found in parameter 'newClientOrderId'; legal range is '{CLIENT_ID_PATTERN}'.",
        )
    _check_number("quantity", new.quantity)
    if new.price is not None:
        _check_number("price", new.price)


def check_filters(rules: SymbolRules, new: NewOrder, average: Decimal | None) -> tuple[int | None, int]:
    """(price in ticks, quantity in steps) of an order that passes every filter but MAX_NUM_ORDERS.

    `average` is the weighted average price over `average_minutes`, None before anything traded.
    Raises VenueError -1013.
    """
    check_parameters(new)
    assert new.quantity is not None
    ticks: int | None = None
    if new.price is not None:
        if not rules.price_min <= new.price <= rules.price_max:
            raise filter_failure("PRICE_FILTER")
        ticks = rules.price_to_ticks(new.price)
    if not rules.quantity_min <= new.quantity <= rules.quantity_max:
        raise filter_failure("LOT_SIZE")
    steps = rules.quantity_to_steps(new.quantity)
    if new.type is OrderType.MARKET and new.quantity > rules.market_quantity_max:
        raise filter_failure("MARKET_LOT_SIZE")
    if (
        new.price is not None
        and average is not None
        and not average * rules.percent_down <= new.price <= average * rules.percent_up
    ):
        raise filter_failure("PERCENT_PRICE_BY_SIDE")
    _check_notional(rules, new, average)
    return ticks, steps


def _check_notional(rules: SymbolRules, new: NewOrder, average: Decimal | None) -> None:
    # applyMinToMarket is true and applyMaxToMarket false on BTCUSDT
    price = average if new.price is None else new.price
    assert new.quantity is not None
    if price is None:
        return
    notional = price * new.quantity
    if notional < rules.notional_min or (new.price is not None and notional > rules.notional_max):
        raise filter_failure("NOTIONAL")


def fee_units(rate: Decimal, units: int) -> int:
    """The fee on an amount received, in ledger units, cut (not rounded) to eight decimals."""
    return int(rate * units)


def _multiples(value: Decimal, unit: Decimal) -> int | None:
    if not value.is_finite() or value.adjusted() >= _DIGITS_MAX:
        return None
    count, rest = divmod(value, unit)
    return None if rest else int(count)


def _check_number(name: str, value: Decimal) -> None:
    if not value.is_finite() or value.adjusted() >= _DIGITS_MAX:
        raise VenueError(
            -1100,
            f"Illegal characters found in parameter '{name}'; legal range is '^([0-9]{{1,20}})(\\.[0-9]{{1,20}})?$'.",
        )
    if value <= 0:
        raise VenueError(-1013, f"Invalid {name}.")
    exponent = value.normalize().as_tuple().exponent
    if isinstance(exponent, int) and -exponent > _DECIMALS_MAX:
        raise VenueError(-1111, f"Parameter '{name}' has too much precision.")


def _missing(name: str) -> VenueError:
    return VenueError(-1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")


def _not_required(name: str) -> VenueError:
    return VenueError(-1106, f"Parameter '{name}' sent when not required.")
