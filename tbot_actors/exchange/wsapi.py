"""The WebSocket API, `/ws-api/v3`: the REST calls by name, and user data streams.

Source: `web-socket-api.md`, Request format, Response format, Rate limits and User Data Stream requests.
"""

import json
from collections.abc import Mapping
from typing import Any

from attrs import frozen

from tbot_actors.exchange.calls import Call, Endpoint
from tbot_actors.exchange.floor import Floor
from tbot_actors.exchange.params import PARAMETERS_MAX, Params
from tbot_actors.exchange.records import VenueError
from tbot_actors.exchange.rest import ENDPOINTS
from tbot_actors.exchange.signing import check_signed, websocket_payload
from tbot_actors.exchange.streams import encode
from tbot_actors.exchange.users import Session

SUBSCRIPTION_WEIGHT = 2


@frozen
class WebSocketCall:
    """A call that needs the connection it came on."""

    call: Call
    session: Session


def _subscribe(asked: WebSocketCall) -> object:
    return {"subscriptionId": asked.call.floor.users.subscribe(asked.session, asked.call.account)}


def _unsubscribe(asked: WebSocketCall) -> object:
    asked.call.floor.users.unsubscribe(asked.session, asked.call.params.integer("subscriptionId"))
    return {}


def _subscriptions(asked: WebSocketCall) -> object:
    return [{"subscriptionId": number} for number in asked.session.subscriptions]


_SHARED: Mapping[str, Endpoint] = {
    "ping": ENDPOINTS["GET", "/ping"],
    "time": ENDPOINTS["GET", "/time"],
    "exchangeInfo": ENDPOINTS["GET", "/exchangeInfo"],
    "depth": ENDPOINTS["GET", "/depth"],
    "trades.recent": ENDPOINTS["GET", "/trades"],
    "klines": ENDPOINTS["GET", "/klines"],
    "ticker.book": ENDPOINTS["GET", "/ticker/bookTicker"],
    "ticker.price": ENDPOINTS["GET", "/ticker/price"],
    "order.place": ENDPOINTS["POST", "/order"],
    "order.test": ENDPOINTS["POST", "/order/test"],
    "order.status": ENDPOINTS["GET", "/order"],
    "order.cancel": ENDPOINTS["DELETE", "/order"],
    "openOrders.status": ENDPOINTS["GET", "/openOrders"],
    "openOrders.cancelAll": ENDPOINTS["DELETE", "/openOrders"],
    "allOrders": ENDPOINTS["GET", "/allOrders"],
    "myTrades": ENDPOINTS["GET", "/myTrades"],
    "account.status": ENDPOINTS["GET", "/account"],
    "account.commission": ENDPOINTS["GET", "/account/commission"],
}
_OWN = {
    "userDataStream.subscribe.signature": (_subscribe, True),
    "userDataStream.unsubscribe": (_unsubscribe, False),
    "session.subscriptions": (_subscriptions, False),
}


def answer(floor: Floor, session: Session, text: str) -> str:
    """Carry out one request; returns the reply. What the request caused is not yet published."""
    now_ns = floor.clock.wall_ns()
    reply: dict[str, object] = {"id": None}
    orders_of: str | None = None
    try:
        request = _request(text)
        reply["id"] = request.get("id")
        values = _values(request.get("params"))
        method = _method(request)
        result, orders_of = _carry_out(floor, session, method, values, now_ns)
        reply.update(status=200, result=result)
    except VenueError as refused:
        values = {}
        reply.update(status=refused.status, error={"code": refused.code, "msg": refused.message})
    if values.get("returnRateLimits") != "false":
        reply["rateLimits"] = floor.limits.used(now_ns, orders_of)
    return encode(reply)


def _carry_out(
    floor: Floor, session: Session, method: str, values: Mapping[str, str], now_ns: int
) -> tuple[object, str | None]:
    params = Params(values)
    shared, own = _SHARED.get(method), _OWN.get(method)
    if shared is not None:
        floor.limits.charge(shared.weight(params), now_ns)
        account = _account(floor, values, now_ns) if shared.signed else ""
        floor.advance()
        result = shared.answer(Call(floor, params, account, now_ns))
        return result, account if shared.places else None
    assert own is not None, "methods are checked before"
    run, signed = own
    floor.limits.charge(SUBSCRIPTION_WEIGHT, now_ns)
    account = _account(floor, values, now_ns) if signed else ""
    return run(WebSocketCall(Call(floor, params, account, now_ns), session)), None


def _request(text: str) -> Mapping[str, Any]:
    try:
        # Numbers keep the spelling they were signed with.
        request = json.loads(text, parse_float=str)
    except (ValueError, RecursionError):
        raise VenueError(-1135, "Invalid JSON Request") from None
    if not isinstance(request, dict):
        raise VenueError(-1135, "Invalid JSON Request")
    return request


def _method(request: Mapping[str, Any]) -> str:
    method = request.get("method")
    if not isinstance(method, str) or not method:
        raise VenueError(-1102, "Mandatory parameter 'method' was not sent, was empty/null, or malformed.")
    method = method.removeprefix("v3/")
    if method not in _SHARED and method not in _OWN:
        raise VenueError(-1020, "This operation is not supported.")
    return method


def _values(params: object) -> dict[str, str]:
    if params is None:
        return {}
    if not isinstance(params, dict) or len(params) > PARAMETERS_MAX:
        raise VenueError(-1135, "Invalid JSON Request")
    return {name: _text(name, value) for name, value in params.items()}


def _text(name: str, value: object) -> str:
    """A parameter as it is spelled in the signed payload: JSON booleans in lower case."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int):
        return str(value)
    raise VenueError(-1135, f"JSON sent for parameter '{name}' is not valid")


def _account(floor: Floor, values: Mapping[str, str], now_ns: int) -> str:
    key = floor.keyring.key(values.get("apiKey"))
    check_signed(key, websocket_payload(values), values, now_ns)
    return key.account
