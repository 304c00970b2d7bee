"""Requests, byte for byte as an independent client signs them."""

import json
from decimal import Decimal
from typing import Any

import pytest
from attrs import evolve

from tbot_actors.domain.instruments import InstrumentId, Side
from tbot_actors.domain.intents import OrderType, TimeInForce
from tbot_actors.domain.messages import SubmitOrder
from tbot_actors.venues.binance import requests
from tbot_actors.venues.binance.requests import Request
from tbot_actors.venues.binance.signing import encoded, signed, signed_message
from tbot_actors.venues.keys import Keys
from tests.data import data_file
from tests.venues.scripts import Inbox

INSTRUMENT = InstrumentId("binance:BTCUSDT")
CLIENT_ID = "tbot0000000000001"


def order(side: Side, price: str, time_in_force: TimeInForce = TimeInForce.GTC) -> Request:
    return requests.new_order(
        SubmitOrder(
            client_id=CLIENT_ID,
            instrument=INSTRUMENT,
            side=side,
            type=OrderType.LIMIT,
            time_in_force=time_in_force,
            quantity=Decimal("0.01200"),
            price=Decimal(price),
            reduces=False,
            not_after_ns=0,
            reply_to=Inbox(),
        )
    )


CASES = {
    "limit sell": order(Side.SELL, "31000"),
    "ioc": order(Side.BUY, "30000", TimeInForce.IOC),
    "fok": order(Side.BUY, "30000", TimeInForce.FOK),
    "cancel by client id": requests.cancel_order("BTCUSDT", CLIENT_ID),
}


def recorded(label: str) -> dict[str, Any]:
    cases = json.loads(data_file("wire/signed_requests.json").read_bytes())
    found = [case for case in cases if (case["exchange"], case["market"], case["label"]) == ("binance", "spot", label)]
    assert len(found) == 1
    return dict(found[0])


@pytest.mark.parametrize("label", CASES)
def test_a_signed_request_has_the_bytes_of_an_independent_client(label: str) -> None:
    case, request = recorded(label), CASES[label]
    keys = Keys(case["credentials"]["apiKey"], case["credentials"]["secret"])
    params = {"timestamp": str(case["frozen_ms"]), **request.params, "recvWindow": "10000"}
    expected = case["expected"]
    assert request.method == expected["method"]
    if request.method == "POST":
        assert signed(params, keys) == expected["body"]
        assert expected["url"].endswith(request.path)
    else:
        assert expected["url"].endswith(f"{request.path}?{signed(params, keys)}")


@pytest.mark.parametrize(
    ("label", "request_", "query"),
    [
        ("order book", requests.depth("BTCUSDT", 50), "symbol=BTCUSDT&limit=50"),
        ("server time", requests.server_time(), ""),
    ],
)
def test_a_public_request_has_the_address_of_an_independent_client(label: str, request_: Request, query: str) -> None:
    url = recorded(label)["expected"]["url"]
    assert encoded(request_.params) == query
    assert url.endswith(request_.path + (f"?{query}" if query else ""))


# The examples of rest-api.md, SIGNED request example (HMAC)

DOCUMENTED = Keys(
    "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A",
    "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j",
)


def test_the_documented_signature() -> None:
    params = {
        "symbol": "LTCBTC", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "1", "price": "0.1",
        "recvWindow": "5000", "timestamp": "1499827319559",
    }  # fmt: skip
    assert signed(params, DOCUMENTED).endswith(
        "&signature=c8db56825ae71d6d79447849e617115f4a920fa2acdcab2b053c4b2838bd6b71"
    )


def test_the_documented_signature_of_a_symbol_that_is_not_ascii() -> None:
    params = {
        "symbol": "１２３４５６", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "1", "price": "0.1",
        "recvWindow": "5000", "timestamp": "1499827319559",
    }  # fmt: skip
    query = signed(params, DOCUMENTED)
    assert query.startswith("symbol=%EF%BC%91%EF%BC%92")
    assert query.endswith("&signature=e1353ec6b14d888f1164ae9af8228a3dbd508bc82eb867db8ab6046442f33ef3")


def test_a_websocket_request_is_signed_in_the_order_of_names() -> None:
    message = signed_message({"timestamp": 1645423376532, "recvWindow": 100}, Keys("key", "secret"))
    again = signed_message({"recvWindow": 100, "timestamp": 1645423376532}, Keys("key", "secret"))
    assert message == again and message["timestamp"] == 1645423376532
    # printf 'apiKey=key&recvWindow=100&timestamp=1645423376532' | openssl dgst -sha256 -hmac secret
    assert message["signature"] == "1b698d848a5f83d540d29c76e882fd14ede702726b154b30ef6c2800fd82a1e1"


def test_neither_key_shows_in_a_repr() -> None:
    assert "vmPUZ" not in repr(DOCUMENTED) and "NhqPt" not in repr(DOCUMENTED) and "NhqPt" not in str(DOCUMENTED)


def test_a_market_order_has_no_price_and_a_post_only_order_no_time_in_force() -> None:
    base = SubmitOrder(
        CLIENT_ID, INSTRUMENT, Side.BUY, OrderType.MARKET, TimeInForce.GTC, Decimal("1E-5"), None, False, 0, Inbox()
    )
    assert requests.new_order(base).params == {
        "symbol": "BTCUSDT",
        "side": "BUY",
        "newClientOrderId": CLIENT_ID,
        "newOrderRespType": "FULL",
        "type": "MARKET",
        "quantity": "0.00001",
    }
    post_only = evolve(base, type=OrderType.POST_ONLY, price=Decimal("5E+4"))
    params = requests.new_order(post_only).params
    assert params["type"] == "LIMIT_MAKER" and "timeInForce" not in params and params["price"] == "50000"
