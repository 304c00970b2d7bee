"""The values a venue hands out: order and trade records, events, and its errors with Binance's codes.

Codes, messages and statuses: Binance spot `errors.md`, `rest-api.md`, `user-data-stream.md`.
"""

from collections.abc import Mapping
from decimal import Decimal
from enum import Enum

from attrs import frozen

from tbot_actors.exchange.market import Side, TimeInForce


class OrderType(Enum):
    """Order types the venue takes, spelled as on the wire."""

    LIMIT = "LIMIT"
    MARKET = "MARKET"
    LIMIT_MAKER = "LIMIT_MAKER"


class OrderStatus(Enum):
    """Where an order stands, spelled as on the wire."""

    NEW = "NEW"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    FILLED = "FILLED"
    CANCELED = "CANCELED"
    REJECTED = "REJECTED"
    EXPIRED = "EXPIRED"
    EXPIRED_IN_MATCH = "EXPIRED_IN_MATCH"

    @property
    def open(self) -> bool:
        """Whether the order may still trade."""
        return self in (OrderStatus.NEW, OrderStatus.PARTIALLY_FILLED)


class Execution(Enum):
    """Why an execution report was sent (`x` in executionReport)."""

    NEW = "NEW"
    TRADE = "TRADE"
    CANCELED = "CANCELED"
    EXPIRED = "EXPIRED"
    REJECTED = "REJECTED"
    TRADE_PREVENTION = "TRADE_PREVENTION"


class VenueError(Exception):
    """The venue refused; `code` and `message` are Binance's, `status` the HTTP status they travel with."""

    def __init__(self, code: int, message: str, status: int = 400) -> None:
        super().__init__(f"{code} {message}")
        self.code = code
        self.message = message
        self.status = status


@frozen(kw_only=True)
class NewOrder:
    """A request to place an order, as parsed from the wire and not yet checked."""

    symbol: str
    side: Side
    type: OrderType
    quantity: Decimal | None
    price: Decimal | None = None
    time_in_force: TimeInForce | None = None
    client_order_id: str | None = None


@frozen(kw_only=True)
class OrderRecord:
    """One order as the venue shows it at one moment; the venue replaces it, it never changes.

    `price` is 0 for a market order and `time_in_force` "GTC", as Binance prints them.
    `cancel_client_id` is the id of the cancel request once cancelled.
    """

    order_id: int
    client_order_id: str
    symbol: str
    side: Side
    type: OrderType
    time_in_force: TimeInForce
    price: Decimal
    quantity: Decimal
    executed: Decimal
    cumulative_quote: Decimal
    status: OrderStatus
    created_ns: int
    updated_ns: int
    cancel_client_id: str | None = None
    prevented: Decimal = Decimal(0)
    """Quantity expired by self-trade prevention."""

    @property
    def remaining(self) -> Decimal:
        """Quantity not yet traded."""
        return self.quantity - self.executed


@frozen(kw_only=True)
class TradeRecord:
    """One account's side of one trade. `trade_id` is shared with the other side and the public print."""

    trade_id: int
    order_id: int
    client_order_id: str
    symbol: str
    price: Decimal
    quantity: Decimal
    quote_quantity: Decimal
    fee: Decimal
    fee_asset: str
    buyer: bool
    maker: bool
    time_ns: int


@frozen
class ExecutionReport:
    """An order of `account` changed: a snapshot of it, why, and the trade when it was one."""

    account: str
    record: OrderRecord
    execution: Execution
    trade: TradeRecord | None = None


@frozen
class BalanceChanged:
    """Balances of `account` that changed, asset → (free, locked)."""

    account: str
    balances: Mapping[str, tuple[Decimal, Decimal]]
    time_ns: int


@frozen
class TradePrinted:
    """A public trade, whoever took part."""

    symbol: str
    trade_id: int
    price: Decimal
    quantity: Decimal
    buyer_is_maker: bool
    time_ns: int


@frozen
class BookChanged:
    """The book of `symbol` may have changed; the levels come from its market's `take_changes`."""

    symbol: str


VenueEvent = ExecutionReport | BalanceChanged | TradePrinted | BookChanged
