"""JSON of Binance as typed values. Numbers of money come as text and become Decimals; a JSON number there is refused.

Field names are the venue's (`rest-api.md`, `user-data-stream.md`, `web-socket-streams.md`); unknown fields are ignored.
"""

from decimal import Decimal
from typing import TypeVar

import msgspec

from tbot_actors.domain.money import to_decimal
from tbot_actors.venues.dialect import UnreadableAnswer

T = TypeVar("T")
_EXCERPT = 200


class NotJson(UnreadableAnswer):
    """No JSON at all: somebody in front of the venue answered."""


class Fault(msgspec.Struct):
    """An error answer."""

    code: int
    msg: str = ""


class FillRow(msgspec.Struct, rename="camel"):
    """A fill inside the FULL answer to a new order."""

    price: str
    qty: str
    commission: str
    commission_asset: str
    trade_id: int


class OrderRow(msgspec.Struct, rename="camel"):
    """An order, as new order (FULL), cancel, query and openOrders show it."""

    symbol: str
    order_id: int
    client_order_id: str
    orig_qty: str
    executed_qty: str
    status: str
    type: str
    side: str
    price: str
    orig_client_order_id: str = ""
    """The order's own id in the answer to a cancel, where `clientOrderId` is the cancel's."""
    transact_time: int | None = None
    update_time: int | None = None
    time: int | None = None
    fills: tuple[FillRow, ...] = ()
    expiry_reason: str = ""


class TradeRow(msgspec.Struct, rename="camel"):
    """One of our trades in myTrades."""

    symbol: str
    id: int
    order_id: int
    price: str
    qty: str
    commission: str
    commission_asset: str
    time: int
    is_buyer: bool
    is_maker: bool


class BalanceRow(msgspec.Struct):
    """One asset of the account."""

    asset: str
    free: str
    locked: str


class AccountAnswer(msgspec.Struct):
    """GET /account."""

    balances: tuple[BalanceRow, ...]


class ServerTime(msgspec.Struct, rename="camel"):
    """GET /time."""

    server_time: int


class LimitRow(msgspec.Struct, rename="camel"):
    """One of exchangeInfo's rate limits."""

    rate_limit_type: str
    interval: str
    interval_num: int
    limit: int


class FilterRow(msgspec.Struct, rename="camel"):
    """One filter; each kind has some of these."""

    filter_type: str
    tick_size: str = ""
    step_size: str = ""
    min_qty: str = ""
    max_qty: str = ""
    min_notional: str = ""


class SymbolRow(msgspec.Struct, rename="camel"):
    """One symbol of exchangeInfo."""

    symbol: str
    status: str
    base_asset: str
    quote_asset: str
    filters: tuple[FilterRow, ...]


class ExchangeInfo(msgspec.Struct, rename="camel"):
    """GET /exchangeInfo."""

    rate_limits: tuple[LimitRow, ...]
    symbols: tuple[SymbolRow, ...]


class RateRow(msgspec.Struct):
    """One of the three kinds of commission."""

    maker: str
    taker: str
    buyer: str
    seller: str


class CommissionAnswer(msgspec.Struct, rename="camel"):
    """GET /account/commission."""

    symbol: str
    standard_commission: RateRow
    special_commission: RateRow
    tax_commission: RateRow


class DepthAnswer(msgspec.Struct, rename="camel"):
    """GET /depth."""

    last_update_id: int
    bids: tuple[tuple[str, str], ...]
    asks: tuple[tuple[str, str], ...]


def decode(data: bytes | str, shape: type[T]) -> T:
    """The value. Raises UnreadableAnswer with the beginning of what came instead."""
    try:
        return msgspec.json.decode(data, type=shape)
    except msgspec.ValidationError as error:
        raise UnreadableAnswer(_unread(data, shape, error)) from None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise NotJson(_unread(data, shape, error)) from None


def _unread(data: bytes | str, shape: object, error: Exception) -> str:
    return f"not a {getattr(shape, '__name__', shape)}: {error}; it begins {data[:_EXCERPT]!r}"


def money(text: str) -> Decimal:
    """A finite number out of its text. Raises UnreadableAnswer."""
    try:
        return to_decimal(text)
    except ValueError as error:
        raise UnreadableAnswer(str(error)) from None


def stamp_ns(stamp_ms: int) -> int:
    """Milliseconds as nanoseconds."""
    return stamp_ms * 1_000_000
