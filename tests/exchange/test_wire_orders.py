"""An order's life over REST, on real loopback, with the refusals a client must understand."""

import json
from decimal import Decimal

import pytest

from tbot_actors.exchange import rest
from tbot_actors.exchange.http import Request
from tbot_actors.exchange.market import Side
from tbot_actors.exchange.records import NewOrder, OrderType
from tests.exchange.wire_client import open_exchange


async def test_an_order_is_placed_filled_in_parts_and_cancelled() -> None:
    async with open_exchange() as exchange:
        placed = await exchange.main.order("BUY", "0.01", "60000", newClientOrderId="mine-1")
        assert placed["status"] == "NEW" and placed["fills"] == []
        sold = await exchange.second.order("SELL", "0.004", "60000")
        assert sold["status"] == "FILLED"
        assert sold["fills"] == [
            {"price": "60000.00000000", "qty": "0.00400000", "commission": "0.24000000", "commissionAsset": "USDT",
             "tradeId": 1}
        ]  # fmt: skip
        seen = (await exchange.main.call("GET", "/order", symbol="BTCUSDT", origClientOrderId="mine-1")).json()
        assert (seen["status"], seen["executedQty"], seen["cummulativeQuoteQty"]) == (
            "PARTIALLY_FILLED", "0.00400000", "240.00000000"
        )  # fmt: skip
        gone = (await exchange.main.call("DELETE", "/order", symbol="BTCUSDT", orderId=placed["orderId"],
                                         newClientOrderId="cancel-1")).json()  # fmt: skip
        assert (gone["status"], gone["clientOrderId"], gone["origClientOrderId"]) == ("CANCELED", "cancel-1", "mine-1")
        assert (await exchange.main.call("GET", "/openOrders", symbol="BTCUSDT")).json() == []
        every = (await exchange.main.call("GET", "/allOrders", symbol="BTCUSDT")).json()
        assert [(order["clientOrderId"], order["status"]) for order in every] == [("mine-1", "CANCELED")]


async def test_own_trades_and_balances_follow_the_fills() -> None:
    async with open_exchange() as exchange:
        first = await exchange.main.order("BUY", "0.01", "60000")
        for quantity in ("0.001", "0.002"):
            await exchange.second.order("SELL", quantity)
        trades = (await exchange.main.call("GET", "/myTrades", symbol="BTCUSDT")).json()
        assert [(trade["id"], trade["qty"], trade["isMaker"], trade["commissionAsset"]) for trade in trades] == [
            (1, "0.00100000", True, "BTC"), (2, "0.00200000", True, "BTC")
        ]  # fmt: skip
        later = (await exchange.main.call("GET", "/myTrades", symbol="BTCUSDT", fromId=2)).json()
        assert [trade["id"] for trade in later] == [2]
        one = (await exchange.main.call("GET", "/myTrades", symbol="BTCUSDT", orderId=first["orderId"], limit=1)).json()
        assert len(one) == 1
        recent = (await exchange.main.call("GET", "/myTrades", symbol="BTCUSDT", startTime=trades[0]["time"])).json()
        assert recent == trades
        account = (await exchange.main.call("GET", "/account")).json()
        balances = {each["asset"]: (each["free"], each["locked"]) for each in account["balances"]}
        assert balances["BTC"] == ("10.00299700", "0.00000000")
        assert balances["USDT"] == ("999400.00000000", "420.00000000")
        assert account["commissionRates"]["maker"] == "0.00100000"


async def test_a_client_id_is_unique_among_open_orders_only() -> None:
    async with open_exchange() as exchange:
        again = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "price": "60000",
                 "quantity": "0.001", "newClientOrderId": "once"}  # fmt: skip
        assert (await exchange.main.call("POST", "/order", **again)).status_code == 200
        duplicate = await exchange.main.call("POST", "/order", **again)
        assert (duplicate.status_code, duplicate.json()) == (400, {"code": -2010, "msg": "Duplicate order sent."})
        await exchange.second.order("SELL", "0.001")
        assert (await exchange.main.call("POST", "/order", **again)).status_code == 200, "accepted again after the fill"


@pytest.mark.parametrize(
    ("kind", "fields"),
    [("ACK", {"symbol", "orderId", "orderListId", "clientOrderId", "transactTime"}), ("RESULT", {"executedQty"}),
     ("FULL", {"fills"})],
)  # fmt: skip
async def test_the_answer_tells_as_much_as_was_asked_for(kind: str, fields: set[str]) -> None:
    async with open_exchange() as exchange:
        answer = await exchange.main.order("BUY", "0.001", "60000", newOrderRespType=kind)
        assert fields <= answer.keys()
        assert ("fills" in answer) == (kind == "FULL")
        assert ("status" in answer) == (kind != "ACK")


GOOD = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "price": "60000", "quantity": "0.01"}


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"price": "60000.001"}, -1013), ({"quantity": "0.000001"}, -1013), ({"quantity": "0.00001"}, -1013),
        ({"quantity": "9001"}, -1013), ({"quantity": "0.0000000001"}, -1111), ({"quantity": "1e2"}, -1100),
        ({"symbol": "NOPE"}, -1121), ({"side": "HOLD"}, -1117), ({"type": "STOP"}, -1116),
        ({"timeInForce": "GTX"}, -1115),
        ({"price": None}, -1102), ({"quantity": None}, -1102), ({"timeInForce": None}, -1102),
        ({"symbol": None}, -1102),
        ({"stopPrice": "1"}, -1106), ({"quantity": "100"}, -2010), ({"newClientOrderId": "not ok"}, -1100),
        ({"newOrderRespType": "MORE"}, -1130), ({"type": "MARKET"}, -1106), ({"price": ""}, -1105),
        ({"quoteOrderQty": "10"}, -1013),
    ],
)  # fmt: skip
async def test_a_bad_order_is_refused_with_its_code_and_changes_nothing(
    change: dict[str, str | None], code: int
) -> None:
    async with open_exchange() as exchange:
        terms = {name: value for name, value in {**GOOD, **change}.items() if value is not None}
        assert await exchange.main.refused("POST", "/order", **terms) == (400, code)
        if code != -2010:
            assert await exchange.main.refused("POST", "/order/test", **terms) == (400, code)
        assert (await exchange.main.call("GET", "/allOrders", symbol="BTCUSDT")).json() == []


async def test_a_good_order_can_be_tested_without_being_placed() -> None:
    async with open_exchange() as exchange:
        assert (await exchange.main.call("POST", "/order/test", **GOOD)).json() == {}
        assert (await exchange.main.call("GET", "/openOrders")).json() == []


async def test_a_post_only_order_that_would_take_is_refused() -> None:
    async with open_exchange() as exchange:
        await exchange.second.order("SELL", "0.01", "60000")
        terms = {**GOOD, "type": "LIMIT_MAKER"}
        del terms["timeInForce"]
        assert await exchange.main.refused("POST", "/order", **terms) == (400, -2010)
        placed = await exchange.main.call("POST", "/order", **{**terms, "price": "59999"})
        assert "status" not in placed.json(), "LIMIT_MAKER is acknowledged only"


async def test_what_an_immediate_order_cannot_fill_expires() -> None:
    async with open_exchange() as exchange:
        await exchange.second.order("SELL", "0.01", "60000")
        answer = await exchange.main.order("BUY", "0.03", "60000", timeInForce="IOC")
        assert (answer["status"], answer["executedQty"]) == ("EXPIRED", "0.01000000")
        assert answer["expiryReason"] == "UNFILLED_IOC_QUANTITY_EXPIRED"


async def test_orders_that_do_not_exist_have_their_own_codes() -> None:
    async with open_exchange() as exchange:
        main = exchange.main
        assert await main.refused("GET", "/order", symbol="BTCUSDT", orderId=9) == (400, -2013)
        assert await main.refused("DELETE", "/order", symbol="BTCUSDT", origClientOrderId="x") == (400, -2011)
        assert await main.refused("DELETE", "/openOrders", symbol="BTCUSDT") == (400, -2011)
        assert await main.refused("GET", "/order", symbol="BTCUSDT") == (400, -1102)


async def test_nobody_sees_or_cancels_anothers_orders() -> None:
    async with open_exchange() as exchange:
        placed = await exchange.main.order("BUY", "0.01", "60000")
        named = {"symbol": "BTCUSDT", "orderId": placed["orderId"]}
        assert await exchange.second.refused("GET", "/order", **named) == (400, -2013)
        assert await exchange.second.refused("DELETE", "/order", **named) == (400, -2011)
        assert (await exchange.second.call("GET", "/openOrders")).json() == []


async def test_all_open_orders_are_cancelled_at_once() -> None:
    async with open_exchange() as exchange:
        for price in ("60000", "60001"):
            await exchange.main.order("BUY", "0.01", price)
        gone = (await exchange.main.call("DELETE", "/openOrders", symbol="BTCUSDT")).json()
        assert [order["status"] for order in gone] == ["CANCELED", "CANCELED"]
        assert (await exchange.main.call("GET", "/openOrders")).json() == []


async def test_wrong_keys_signatures_and_stamps_are_refused() -> None:
    async with open_exchange() as exchange:
        main = exchange.main
        unsigned = await exchange.http.get("/api/v3/account?timestamp=1", headers={"X-MBX-APIKEY": main.key.api_key})
        assert (unsigned.status_code, unsigned.json()["code"]) == (400, -1102)
        forged = await exchange.http.get(
            f"/api/v3/account?timestamp={exchange.floor.clock.wall_ns() // 10**6}&signature={'0' * 64}",
            headers={"X-MBX-APIKEY": main.key.api_key},
        )
        assert (forged.status_code, forged.json()["code"]) == (400, -1022)
        now_ms = exchange.floor.clock.wall_ns() // 10**6
        assert await main.refused("GET", "/account", timestamp=now_ms - 7000) == (400, -1021)
        assert await main.refused("GET", "/account", timestamp=now_ms + 5000) == (400, -1021)
        assert (await main.call("GET", "/account", timestamp=now_ms - 7000, recvWindow=9000)).status_code == 200
        keyless = await exchange.http.get("/api/v3/account")
        assert (keyless.status_code, keyless.json()["code"]) == (401, -2014)
        stranger = await exchange.http.get("/api/v3/account", headers={"X-MBX-APIKEY": "A" * 64})
        assert (stranger.status_code, stranger.json()["code"]) == (401, -2015)


async def test_an_order_may_come_in_the_body() -> None:
    async with open_exchange() as exchange:
        stamped = {**GOOD, "timestamp": exchange.floor.clock.wall_ns() // 10**6}
        body = exchange.main.sign("&".join(f"{name}={value}" for name, value in stamped.items()))
        answer = await exchange.http.post(
            "/api/v3/order",
            content=body.encode(),
            headers={"X-MBX-APIKEY": exchange.main.key.api_key, "Content-Type": "application/x-www-form-urlencoded"},
        )
        assert answer.status_code == 200, answer.text


async def test_weights_and_order_counts_travel_in_headers() -> None:
    async with open_exchange() as exchange:
        before = await exchange.http.get("/api/v3/exchangeInfo")
        used = int(before.headers["X-MBX-USED-WEIGHT-1M"])
        after = await exchange.http.get("/api/v3/depth?symbol=BTCUSDT&limit=5000")
        # a minute may begin between the two
        assert int(after.headers["X-MBX-USED-WEIGHT-1M"]) in (used + 250, 250)
        placed = await exchange.main.call("POST", "/order", **GOOD)
        assert (placed.headers["X-MBX-ORDER-COUNT-10S"], placed.headers["X-MBX-ORDER-COUNT-1D"]) == ("1", "1")
        await exchange.second.order("SELL", "0.001")
        another = await exchange.main.call("POST", "/order", **{**GOOD, "price": "59000"})
        assert another.headers["X-MBX-ORDER-COUNT-1D"] == "1", "the first one filled in part"


async def test_too_many_requests_are_told_when_to_come_back() -> None:
    async with open_exchange() as exchange:
        refused = None
        for _ in range(60):  # twice what a minute allows, as one may end meanwhile
            answer = await exchange.http.get("/api/v3/depth?symbol=BTCUSDT&limit=5000")
            if answer.status_code == 429:
                refused = answer
                break
        assert refused is not None and refused.json()["code"] == -1003
        assert 0 < int(refused.headers["Retry-After"]) <= 60


async def test_a_snapshot_between_an_order_and_its_events_has_the_order_in_it() -> None:
    async with open_exchange() as exchange:
        floor = exchange.floor
        bid = NewOrder(symbol="BTCUSDT", side=Side.BUY, type=OrderType.LIMIT, time_in_force="GTC",
                       quantity=Decimal("0.01"), price=Decimal(60000))  # fmt: skip
        before = floor.books["BTCUSDT"].update_id
        floor.venue.place("main", bid, floor.clock.wall_ns())
        book = json.loads(rest.answer(floor, Request("GET", "/api/v3/depth", b"symbol=BTCUSDT", {})).body)
        assert book == {"lastUpdateId": before + 1, "bids": [["60000.00000000", "0.01000000"]], "asks": []}


async def test_public_answers_have_their_documented_shape() -> None:
    async with open_exchange() as exchange:
        await exchange.main.order("BUY", "0.01", "60000")
        await exchange.second.order("SELL", "0.004")
        await exchange.second.order("SELL", "0.5", "60001")
        assert await exchange.get("/ping") == {}
        assert abs((await exchange.get("/time"))["serverTime"] - exchange.floor.clock.wall_ns() // 10**6) < 1000
        info = await exchange.get("/exchangeInfo", symbol="BTCUSDT")
        filters = {each["filterType"]: each for each in info["symbols"][0]["filters"]}
        assert Decimal(filters["PRICE_FILTER"]["tickSize"]) == Decimal("0.01")
        assert Decimal(filters["LOT_SIZE"]["stepSize"]) == Decimal("0.00001")
        assert Decimal(filters["NOTIONAL"]["minNotional"]) == 5
        depth = await exchange.get("/depth", symbol="BTCUSDT")
        assert depth["bids"] == [["60000.00000000", "0.00600000"]]
        assert depth["asks"] == [["60001.00000000", "0.50000000"]]
        (trade,) = await exchange.get("/trades", symbol="BTCUSDT")
        assert (trade["price"], trade["qty"], trade["isBuyerMaker"]) == ("60000.00000000", "0.00400000", True)
        (candle,) = (await exchange.get("/klines", symbol="BTCUSDT", interval="1m"))[:1]
        assert candle[1:6] == ["60000.00000000"] * 4 + ["0.00400000"]
        ticker = await exchange.get("/ticker/bookTicker", symbol="BTCUSDT")
        assert (ticker["bidPrice"], ticker["askQty"]) == ("60000.00000000", "0.50000000")
        assert await exchange.get("/ticker/price") == [{"symbol": "BTCUSDT", "price": "60000.00000000"}]
        commission = (await exchange.main.call("GET", "/account/commission", symbol="BTCUSDT")).json()
        assert commission["standardCommission"]["taker"] == "0.00100000"
        for path in ("/depth", "/klines?symbol=BTCUSDT&interval=7m", "/depth?symbol=BTCUSDT&limit=-1"):
            assert (await exchange.http.get(f"/api/v3{path}")).status_code == 400
