"""What is asked of Binance: method, path, parameters and weight of each request. Source: `rest-api.md`."""

import json
from collections.abc import Collection

from attrs import frozen

from tbot_actors.domain.intents import OrderType
from tbot_actors.domain.messages import SubmitOrder
from tbot_actors.domain.money import plain
from tbot_actors.venues.binance.signing import Params

_TYPES = {OrderType.LIMIT: "LIMIT", OrderType.MARKET: "MARKET", OrderType.POST_ONLY: "LIMIT_MAKER"}


@frozen
class Request:
    """One request before its signature."""

    method: str
    path: str
    params: Params
    weight: int
    signed: bool = True
    places: bool = False
    """Counts as a new order."""


def symbol_of(instrument: str) -> str:
    """The symbol in `venue:symbol`."""
    return instrument.partition(":")[2]


def new_order(order: SubmitOrder) -> Request:
    """The order, to be answered with its fills."""
    params = {
        "symbol": symbol_of(order.instrument),
        "side": order.side.value,
        "newClientOrderId": order.client_id,
        # Not the default of LIMIT_MAKER, and without it the answer lacks the state.
        "newOrderRespType": "FULL",
        "type": _TYPES[order.type],
        "quantity": plain(order.quantity),
    }
    if order.price is not None:
        params["price"] = plain(order.price)
    if order.type is OrderType.LIMIT:
        params["timeInForce"] = order.time_in_force.value
    return Request("POST", "/api/v3/order", params, 1, places=True)


def cancel_order(symbol: str, client_id: str) -> Request:
    """Cancel by our id."""
    return Request("DELETE", "/api/v3/order", {"symbol": symbol, "origClientOrderId": client_id}, 1)


def query_order(symbol: str, client_id: str) -> Request:
    """One order by our id."""
    return Request("GET", "/api/v3/order", {"symbol": symbol, "origClientOrderId": client_id}, 4)


def open_orders(symbol: str) -> Request:
    """All open orders of one symbol."""
    return Request("GET", "/api/v3/openOrders", {"symbol": symbol}, 6)


def order_trades(symbol: str, order_id: str, from_id: int, limit: int) -> Request:
    """Trades of one order with ids from `from_id` on."""
    params = {"symbol": symbol, "orderId": order_id, "fromId": str(from_id), "limit": str(limit)}
    return Request("GET", "/api/v3/myTrades", params, 5)


def own_trades(symbol: str, from_id: int, limit: int) -> Request:
    """Our trades of one symbol with ids from `from_id` on, oldest first."""
    return Request("GET", "/api/v3/myTrades", {"symbol": symbol, "fromId": str(from_id), "limit": str(limit)}, 20)


def account() -> Request:
    """Balances that are not zero."""
    return Request("GET", "/api/v3/account", {"omitZeroBalances": "true"}, 20)


def commission(symbol: str) -> Request:
    """Fee rates of one symbol."""
    return Request("GET", "/api/v3/account/commission", {"symbol": symbol}, 20)


def exchange_info(symbols: Collection[str]) -> Request:
    """Filters of these symbols, and the rate limits."""
    names = json.dumps(list(symbols), separators=(",", ":"), ensure_ascii=False)
    return Request("GET", "/api/v3/exchangeInfo", {"symbols": names}, 20, signed=False)


def depth(symbol: str, limit: int) -> Request:
    """A book snapshot of `limit` levels on each side."""
    weight = next(weight for levels, weight in ((100, 5), (500, 25), (1000, 50), (5000, 250)) if limit <= levels)
    return Request("GET", "/api/v3/depth", {"symbol": symbol, "limit": str(limit)}, weight, signed=False)


def server_time() -> Request:
    """The venue's clock."""
    return Request("GET", "/api/v3/time", {}, 1, signed=False)
