"""REST: paths to calls, and each answer with its status, headers and Binance's errors.

Source: `rest-api.md`, General API Information, HTTP Return Codes, and the weight on each endpoint's page.
"""

import json
from collections.abc import Callable, Mapping

from tbot_actors.exchange import calls
from tbot_actors.exchange.calls import Call, Endpoint
from tbot_actors.exchange.floor import Floor
from tbot_actors.exchange.http import Request, Response
from tbot_actors.exchange.params import Params, parse_pairs
from tbot_actors.exchange.records import VenueError
from tbot_actors.exchange.signing import check_signed, rest_payload
from tbot_actors.exchange.weights import RateLimited

_API = "/api/v3"


def _always(weight: int) -> Callable[[Params], int]:
    return lambda _params: weight


def _depth_weight(params: Params) -> int:
    rows = params.limit(default=100, maximum=5000)
    return next(weight for most, weight in ((100, 5), (500, 25), (1000, 50), (5000, 250)) if rows <= most)


def _by_presence(name: str, *, present: int, absent: int) -> Callable[[Params], int]:
    return lambda params: absent if params.optional(name) is None else present


ENDPOINTS: Mapping[tuple[str, str], Endpoint] = {
    ("GET", "/ping"): Endpoint(calls.ping, _always(1)),
    ("GET", "/time"): Endpoint(calls.server_time, _always(1)),
    ("GET", "/exchangeInfo"): Endpoint(calls.exchange_info, _always(20)),
    ("GET", "/depth"): Endpoint(calls.depth, _depth_weight),
    ("GET", "/trades"): Endpoint(calls.recent_trades, _always(25)),
    ("GET", "/klines"): Endpoint(calls.candles, _always(2)),
    ("GET", "/ticker/bookTicker"): Endpoint(calls.book_ticker, _by_presence("symbol", present=2, absent=4)),
    ("GET", "/ticker/price"): Endpoint(calls.price_ticker, _by_presence("symbol", present=2, absent=4)),
    ("POST", "/order"): Endpoint(calls.place, _always(1), signed=True, places=True),
    ("POST", "/order/test"): Endpoint(calls.test, _always(1), signed=True),
    ("GET", "/order"): Endpoint(calls.order, _always(4), signed=True),
    ("DELETE", "/order"): Endpoint(calls.cancel, _always(1), signed=True),
    ("GET", "/openOrders"): Endpoint(calls.open_orders, _by_presence("symbol", present=6, absent=80), signed=True),
    ("DELETE", "/openOrders"): Endpoint(calls.cancel_all, _always(1), signed=True),
    ("GET", "/allOrders"): Endpoint(calls.all_orders, _always(20), signed=True),
    ("GET", "/myTrades"): Endpoint(calls.own_trades, _by_presence("orderId", present=5, absent=20), signed=True),
    ("GET", "/account"): Endpoint(calls.account, _always(20), signed=True),
    ("GET", "/account/commission"): Endpoint(calls.commission, _always(20), signed=True),
}
_PATHS = frozenset(path for _method, path in ENDPOINTS)


def answer(floor: Floor, request: Request) -> Response:
    """Carry out one REST request. Never raises for what a client sent; what the request caused is not yet published."""
    now_ns = floor.clock.wall_ns()
    endpoint = _endpoint(request)
    if isinstance(endpoint, Response):
        return endpoint
    orders_of: str | None = None
    headers: list[tuple[str, str]] = []
    try:
        values = parse_pairs(request.query, request.body if request.method != "GET" else b"")
        params = Params(values)
        floor.limits.charge(endpoint.weight(params), now_ns)
        account = _account(floor, request, values, now_ns) if endpoint.signed else ""
        floor.advance()
        result = endpoint.answer(Call(floor, params, account, now_ns))
        orders_of = account if endpoint.places else None
        status = 200
    except VenueError as refused:
        status, result = refused.status, {"code": refused.code, "msg": refused.message}
        if isinstance(refused, RateLimited):
            headers.append(("retry-after", str(refused.retry_after_s)))
    return json_response(status, result, headers + floor.limits.headers(now_ns, orders_of))


def json_response(status: int, result: object, headers: list[tuple[str, str]]) -> Response:
    """A response with a JSON body."""
    body = json.dumps(result, separators=(",", ":"), ensure_ascii=False).encode()
    return Response(status, [("content-type", "application/json;charset=UTF-8"), *headers], body)


def _endpoint(request: Request) -> Endpoint | Response:
    path = request.path.removeprefix(_API) if request.path.startswith(_API + "/") else ""
    endpoint = ENDPOINTS.get((request.method, path))
    if endpoint is not None:
        return endpoint
    # Binance answers these with a page of its web server; a code lets any client read it.
    if path in _PATHS:
        return json_response(405, {"code": -1020, "msg": "This operation is not supported."}, [])
    message = f"Path {request.path[:256]}, Method {request.method[:16]} is invalid"
    return json_response(404, {"code": -5000, "msg": message}, [])


def _account(floor: Floor, request: Request, values: Mapping[str, str], now_ns: int) -> str:
    key = floor.keyring.key(request.headers.get("x-mbx-apikey"))
    check_signed(key, rest_payload(request.query, request.body), values, now_ns)
    return key.account
