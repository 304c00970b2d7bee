"""What a request may ask of the floor, by name: parameters in, JSON out. REST and the WebSocket API share these.

Source: `rest-api.md`; weights are those of each endpoint's page.
"""

from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from enum import Enum
from typing import TypeVar

from attrs import frozen

from tbot_actors.exchange import shapes
from tbot_actors.exchange.books import DEPTH_MAX
from tbot_actors.exchange.floor import Floor
from tbot_actors.exchange.history import TRADES_MAX, Interval
from tbot_actors.exchange.market import Side, TimeInForce
from tbot_actors.exchange.params import Params, mandatory_missing
from tbot_actors.exchange.records import NewOrder, OrderRecord, OrderType, TradeRecord, VenueError
from tbot_actors.exchange.shapes import Json

ROWS_DEFAULT = 500
ROWS_MAX = 1000
_FORCES: Mapping[str, TimeInForce] = {"GTC": "GTC", "IOC": "IOC", "FOK": "FOK"}
T = TypeVar("T")
_NOT_ON_THIS_ORDER = ("stopPrice", "trailingDelta", "icebergQty", "pegPriceType", "pegOffsetType", "pegOffsetValue")


@frozen
class Call:
    """One request, authenticated and counted. `account` is "" for public ones."""

    floor: Floor
    params: Params
    account: str
    now_ns: int


@frozen
class Endpoint:
    """How a request is answered and what it weighs. `places`: an accepted one counts as an order."""

    answer: Callable[[Call], object]
    weight: Callable[[Params], int]
    signed: bool = False
    places: bool = False


class ResponseType(Enum):
    """How much a placed order's answer tells."""

    ACK = "ACK"
    RESULT = "RESULT"
    FULL = "FULL"


# Public


def ping(_call: Call) -> object:
    """Nothing, quickly."""
    return {}


def server_time(call: Call) -> object:
    """The exchange's clock."""
    return {"serverTime": shapes.stamp_ms(call.now_ns)}


def exchange_info(call: Call) -> object:
    """Symbols with their filters, and rate limits."""
    symbol = call.params.optional("symbol")
    venue = call.floor.venue
    rules = list(venue.symbols.values()) if symbol is None else [venue.rules(symbol)]
    return shapes.exchange_info(rules, call.now_ns)


def depth(call: Call) -> object:
    """The book, with the id of the last change in it."""
    book = call.floor.books[_symbol(call)]
    book.collect()
    return book.snapshot(call.params.limit(default=100, maximum=DEPTH_MAX))


def recent_trades(call: Call) -> object:
    """The latest public trades."""
    trades = list(call.floor.histories[_symbol(call)].trades)
    limit = call.params.limit(default=ROWS_DEFAULT, maximum=TRADES_MAX)
    return [shapes.public_trade(trade) for trade in trades[-limit:]]


def candles(call: Call) -> object:
    """Candles of one second or one minute, from this exchange's own trades."""
    history = call.floor.histories[_symbol(call)]
    kind = call.params.choice("interval", Interval, VenueError(-1120, "Invalid interval."))
    found = history.candles(
        kind,
        start_ms=call.params.integer("startTime"),
        end_ms=call.params.integer("endTime"),
        limit=call.params.limit(default=ROWS_DEFAULT, maximum=ROWS_MAX),
    )
    return [shapes.candle_row(kind, candle) for candle in found]


def book_ticker(call: Call) -> object:
    """Best prices of one symbol, or of all."""

    def one(symbol: str) -> Json:
        book = call.floor.books[symbol]
        book.collect()
        return shapes.book_ticker(book.rules, book.best())

    return _one_or_all(call, one)


def price_ticker(call: Call) -> object:
    """Latest price of one symbol, or of all; before the first trade, the best bid."""

    def one(symbol: str) -> Json:
        price = call.floor.histories[symbol].last_price
        best = call.floor.books[symbol].best().get(Side.BUY, (shapes.ZERO, shapes.ZERO))
        return {"symbol": symbol, "price": best[0] if price is None else shapes.number(price)}

    return _one_or_all(call, one)


def _one_or_all(call: Call, one: Callable[[str], Json]) -> object:
    if call.params.optional("symbol") is None:
        return [one(symbol) for symbol in call.floor.books]
    return one(_symbol(call))


def _symbol(call: Call) -> str:
    return call.floor.venue.rules(call.params.text("symbol")).symbol


# Orders


def place(call: Call) -> object:
    """Place an order."""
    new = _new_order(call)
    kind = _response_type(call.params, new.type)
    call.floor.limits.check_order(call.account, call.now_ns)
    record, trades = call.floor.venue.place(call.account, new, call.now_ns)
    call.floor.limits.order_placed(call.account, call.now_ns)
    return _placed(kind, record, trades)


def test(call: Call) -> object:
    """Check an order without placing it."""
    new = _new_order(call)
    _response_type(call.params, new.type)
    call.floor.venue.check(call.account, new, call.now_ns)
    return {}


def _placed(kind: ResponseType, record: OrderRecord, trades: list[TradeRecord]) -> Json:
    match kind:
        case ResponseType.ACK:
            return shapes.ack(record)
        case ResponseType.RESULT:
            return shapes.result(record)
        case ResponseType.FULL:
            return shapes.full(record, trades)


def _response_type(params: Params, order_type: OrderType) -> ResponseType:
    if params.optional("newOrderRespType") is None:
        return ResponseType.ACK if order_type is OrderType.LIMIT_MAKER else ResponseType.FULL
    return params.choice("newOrderRespType", ResponseType, VenueError(-1130, _invalid_data("newOrderRespType")))


def _new_order(call: Call) -> NewOrder:
    params = call.params
    symbol = _symbol(call)
    side = params.choice("side", Side, VenueError(-1117, "Invalid side."))
    order_type = params.choice("type", OrderType, VenueError(-1116, "Invalid orderType."))
    params.refuse(*_NOT_ON_THIS_ORDER)
    if params.optional("quoteOrderQty") is not None:
        raise VenueError(-1013, "Quote order qty market orders are not support for this symbol.")
    return NewOrder(
        symbol=symbol,
        side=side,
        type=order_type,
        quantity=_amount(params, "quantity"),
        price=_price(params, order_type),
        time_in_force=_time_in_force(params, order_type),
        client_order_id=params.client_id("newClientOrderId") or call.floor.new_client_id(),
    )


def _amount(params: Params, name: str) -> Decimal:
    value = params.decimal(name)
    if value is None:
        raise mandatory_missing(name)
    exponent = value.as_tuple().exponent
    if isinstance(exponent, int) and exponent < -8:
        raise VenueError(-1111, f"Parameter '{name}' has too much precision.")
    return value


def _price(params: Params, order_type: OrderType) -> Decimal | None:
    if order_type is OrderType.MARKET:
        params.refuse("price")
        return None
    return _amount(params, "price")


def _time_in_force(params: Params, order_type: OrderType) -> TimeInForce | None:
    if order_type is not OrderType.LIMIT:
        params.refuse("timeInForce")
        return None
    force = _FORCES.get(params.text("timeInForce"))
    if force is None:
        raise VenueError(-1115, "Invalid timeInForce.")
    return force


def _invalid_data(name: str) -> str:
    return f"Data sent for parameter '{name}' is not valid."


def cancel(call: Call) -> object:
    """Cancel one order."""
    symbol, (order_id, client_id) = _symbol(call), _which_order(call.params)
    record = call.floor.venue.cancel(
        call.account,
        symbol,
        order_id=order_id,
        client_order_id=client_id,
        cancel_client_id=call.params.client_id("newClientOrderId") or call.floor.new_client_id(),
        now_ns=call.now_ns,
    )
    return shapes.cancelled(record)


def cancel_all(call: Call) -> object:
    """Cancel every open order on a symbol; -2011 when there is none."""
    records = call.floor.venue.cancel_all(call.account, _symbol(call), call.now_ns)
    if not records:
        raise VenueError(-2011, "Unknown order sent.")
    return [shapes.cancelled(record) for record in records]


def order(call: Call) -> object:
    """One order, open or not."""
    symbol, (order_id, client_id) = _symbol(call), _which_order(call.params)
    return shapes.order(call.floor.venue.order(call.account, symbol, order_id=order_id, client_order_id=client_id))


def _which_order(params: Params) -> tuple[int | None, str | None]:
    order_id = params.integer("orderId")
    client_id = params.client_id("origClientOrderId")
    if order_id is None and client_id is None:
        message = "Param 'origClientOrderId' or 'orderId' must be sent, but both were empty/null!"
        raise VenueError(-1102, message)
    return order_id, client_id


def open_orders(call: Call) -> object:
    """Open orders on one symbol, or on all."""
    symbol = None if call.params.optional("symbol") is None else _symbol(call)
    return [shapes.order(record) for record in call.floor.venue.open_orders(call.account, symbol)]


def all_orders(call: Call) -> object:
    """Orders of any state: from an order id on, or the latest; startTime and endTime filter by creation."""
    params, symbol, venue = call.params, _symbol(call), call.floor.venue
    limit = params.limit(default=ROWS_DEFAULT, maximum=ROWS_MAX)
    from_id, inside = params.integer("orderId"), _time_range(params)
    if inside is None:
        records = venue.all_orders(call.account, symbol, from_id=from_id, limit=limit)
        return [shapes.order(record) for record in records]

    def page(start: int) -> list[OrderRecord]:
        return venue.all_orders(call.account, symbol, from_id=start, limit=ROWS_MAX)

    every = _pages(page, lambda record: record.order_id, from_id or 0)
    found = [shapes.order(record) for record in every if inside(record.created_ns)]
    return found[:limit] if params.integer("startTime") is not None else found[-limit:]


# Account


def account(call: Call) -> object:
    """Balances and rates."""
    venue = call.floor.venue
    rates = next(iter(venue.symbols.values()))
    balances = venue.balances(call.account)
    if call.params.flag("omitZeroBalances", default=False):
        balances = {asset: amounts for asset, amounts in balances.items() if any(amounts)}
    uid = call.floor.keyring.number(call.account)
    return shapes.account(rates, balances, uid, venue.updated_ns(call.account))


def commission(call: Call) -> object:
    """Fee rates on one symbol."""
    return shapes.commission(call.floor.venue.rules(_symbol(call)))


def own_trades(call: Call) -> object:
    """The account's trades: from a trade id on, of one order, inside a time range, or the latest."""
    params, symbol = call.params, _symbol(call)
    limit = params.limit(default=ROWS_DEFAULT, maximum=ROWS_MAX)
    from_id, order_id = params.integer("fromId"), params.integer("orderId")
    inside = _time_range(params)
    venue = call.floor.venue
    if inside is None:
        trades = venue.trades(call.account, symbol, from_id=from_id, order_id=order_id, limit=limit)
        return [shapes.own_trade(symbol, trade) for trade in trades]
    if from_id is not None or order_id is not None:
        raise VenueError(-1128, "Combination of optional parameters invalid.")

    def page(start: int) -> list[TradeRecord]:
        return venue.trades(call.account, symbol, from_id=start, limit=ROWS_MAX)

    every = _pages(page, lambda trade: trade.trade_id, 0)
    found = [shapes.own_trade(symbol, trade) for trade in every if inside(trade.time_ns)]
    return found[:limit] if params.integer("startTime") is not None else found[-limit:]


def _pages(page: Callable[[int], list[T]], number: Callable[[T], int], start: int) -> Iterator[T]:
    """Every row from `start` on, read in pages; the archive behind it is bounded, so this ends."""
    while rows := page(start):
        yield from rows
        start = number(rows[-1]) + 1


_DAY_MS = 24 * 3600 * 1000


def _time_range(params: Params) -> Callable[[int], bool] | None:
    start_ms, end_ms = params.integer("startTime"), params.integer("endTime")
    if start_ms is None and end_ms is None:
        return None
    if start_ms is not None and end_ms is not None and not 0 <= end_ms - start_ms <= _DAY_MS:
        raise VenueError(-1127, "More than 24 hours between startTime and endTime.")

    def inside(time_ns: int) -> bool:
        time_ms = time_ns // 1_000_000
        return (start_ms is None or start_ms <= time_ms) and (end_ms is None or time_ms <= end_ms)

    return inside
