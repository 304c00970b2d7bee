"""Market and user streams over real loopback: what arrives, in which order, and to whom."""

import json
from typing import Any

import trio

from tbot_actors.world import WebSocket, WebSocketClosed
from tests.exchange.test_wire_market_data import Copy
from tests.exchange.wire_client import Customer, Exchange, ask, open_exchange, receive


async def subscribe_user(exchange: Exchange, socket: WebSocket, customer: Customer, **more: object) -> Any:
    return await ask(socket, {"id": "u1", "method": "userDataStream.subscribe.signature",
                              "params": signed(exchange, customer, **more)})  # fmt: skip


def signed(exchange: Exchange, customer: Customer, **params: object) -> dict[str, object]:
    """Params signed as the WebSocket API wants: sorted by name, booleans in lower case."""
    filled = {"apiKey": customer.key.api_key, "timestamp": exchange.floor.clock.wall_ns() // 10**6, **params}
    spelled = {k: json.dumps(v) if isinstance(v, bool) else str(v) for k, v in filled.items()}
    payload = "&".join(f"{name}={spelled[name]}" for name in sorted(spelled))
    return {**filled, "signature": customer.sign(payload).rpartition("=")[2]}


async def test_a_book_rebuilt_from_snapshot_and_diffs_equals_the_exchanges() -> None:
    async with open_exchange() as exchange, exchange.socket("/ws/btcusdt@depth@100ms") as socket:
        for number in range(8):
            await exchange.main.order("BUY", "0.01", str(60000 - number))
        first = await receive(socket)
        copy = Copy(await exchange.get("/depth", symbol="BTCUSDT", limit="5000"))
        assert first["U"] <= copy.update_id
        copy.apply(first)
        last_id = first["u"]
        await exchange.second.order("SELL", "0.025")
        await exchange.main.call("DELETE", "/openOrders", symbol="BTCUSDT")
        await exchange.second.order("SELL", "0.5", "61000")
        final = await exchange.get("/depth", symbol="BTCUSDT", limit="5000")
        while copy.update_id < final["lastUpdateId"]:
            diff = await receive(socket)
            assert diff["U"] == last_id + 1
            last_id = diff["u"]
            copy.apply(diff)
        assert (copy.update_id, copy.sides) == (Copy(final).update_id, Copy(final).sides)
        assert copy.sides["a"] == {"61000.00000000": "0.50000000"}


async def test_trades_and_best_prices_arrive_at_once_and_combined() -> None:
    async with (
        open_exchange() as exchange,
        exchange.socket("/stream?streams=btcusdt@trade/btcusdt@bookTicker") as socket,
    ):
        await exchange.main.order("BUY", "0.01", "60000")
        await exchange.second.order("SELL", "0.5", "60001")
        ticker = await receive(socket)
        assert ticker["stream"] == "btcusdt@bookTicker"
        assert (ticker["data"]["b"], ticker["data"]["a"]) == ("60000.00000000", "60001.00000000")
        await exchange.second.order("SELL", "0.004")
        trade = await receive(socket)
        assert trade["stream"] == "btcusdt@trade"
        wanted = {"e": "trade", "s": "BTCUSDT", "p": "60000.00000000", "q": "0.00400000", "m": True, "t": 1}
        assert wanted.items() <= trade["data"].items()
        after = await receive(socket)
        assert after["data"]["B"] == "0.00600000" and after["data"]["u"] > ticker["data"]["u"]
        snapshot = await exchange.get("/depth", symbol="BTCUSDT")
        assert snapshot["lastUpdateId"] == after["data"]["u"]


async def test_streams_are_subscribed_listed_and_left_by_message() -> None:
    async with open_exchange() as exchange, exchange.socket("/ws/0") as socket:
        subscribe = {"method": "SUBSCRIBE", "params": ["btcusdt@trade"], "id": 1}
        assert await ask(socket, subscribe) == {"result": None, "id": 1}
        listed = await ask(socket, {"method": "LIST_SUBSCRIPTIONS", "id": "two"})
        assert listed == {"result": ["0", "btcusdt@trade"], "id": "two"}
        await ask(socket, {"method": "SET_PROPERTY", "params": ["combined", True], "id": 3})
        await exchange.main.order("BUY", "0.01", "60000")
        await exchange.second.order("SELL", "0.004")
        assert (await receive(socket))["stream"] == "btcusdt@trade"
        left = await ask(socket, {"method": "UNSUBSCRIBE", "params": ["btcusdt@trade"], "id": 4})
        assert left == {"result": None, "id": 4}
        assert not exchange.floor.streams.heard("btcusdt@trade")


async def test_control_messages_that_make_no_sense_are_answered() -> None:
    async with open_exchange() as exchange:
        codes = []
        for text in ("{", "[]", '{"method":"SUBSCRIBE","params":[1],"id":1}', '{"method":"X","id":1}', '{"id":1}',
                     '{"method":"SUBSCRIBE","params":["a"],"id":[]}', '{"method":"GET_PROPERTY","params":["x"],"id":1}',
                     '{"method":["SUBSCRIBE"],"id":1}', "[" * 100_000):  # fmt: skip
            async with exchange.socket("/ws") as socket:
                await socket.send(text)
                codes.append((await receive(socket))["code"])
        assert codes == [3, 2, 2, 2, 2, 2, 0, 2, 3]


async def test_a_client_that_talks_too_much_is_disconnected() -> None:
    async with open_exchange() as exchange, exchange.socket("/ws") as socket:
        for number in range(20):
            try:
                await socket.send(json.dumps({"method": "LIST_SUBSCRIPTIONS", "id": number}))
            except WebSocketClosed:
                break
        with trio.fail_after(5):
            try:
                while True:
                    await socket.receive()
            except WebSocketClosed:
                pass


async def test_execution_reports_tell_an_orders_life_to_its_account_only() -> None:
    async with (
        open_exchange() as exchange,
        exchange.socket("/ws-api/v3") as mine,
        exchange.socket("/ws-api/v3") as theirs,
    ):
        reply = await subscribe_user(exchange, mine, exchange.main)
        assert (reply["status"], reply["result"]) == (200, {"subscriptionId": 0})
        assert reply["rateLimits"][0]["rateLimitType"] == "REQUEST_WEIGHT"
        await subscribe_user(exchange, theirs, exchange.second)
        placed = await exchange.main.order("BUY", "0.01", "60000", newClientOrderId="mine")
        sold = await exchange.second.order("SELL", "0.004")
        await exchange.main.call("DELETE", "/order", symbol="BTCUSDT", orderId=placed["orderId"],
                                 newClientOrderId="gone")  # fmt: skip
        events = [(await receive(mine)) for _ in range(6)]
        assert {event["subscriptionId"] for event in events} == {0}
        told = [event["event"] for event in events]
        assert [event["e"] for event in told] == ["executionReport", "outboundAccountPosition"] * 3
        new, fill, cancel = told[0::2]
        assert (new["x"], new["X"], new["c"], new["C"], new["w"], new["t"]) == ("NEW", "NEW", "mine", "", True, -1)
        wanted = {"x": "TRADE", "X": "PARTIALLY_FILLED", "l": "0.00400000", "L": "60000.00000000", "m": True,
                  "z": "0.00400000", "Z": "240.00000000", "n": "0.00000400", "N": "BTC"}  # fmt: skip
        assert wanted.items() <= fill.items()
        assert (cancel["x"], cancel["X"], cancel["c"], cancel["C"], cancel["w"]) == (
            "CANCELED", "CANCELED", "gone", "mine", False
        )  # fmt: skip
        assert [new["I"], fill["I"], cancel["I"]] == sorted({new["I"], fill["I"], cancel["I"]})
        balances = {each["a"]: (each["f"], each["l"]) for each in told[1]["B"]}
        assert balances == {"USDT": ("999400.00000000", "600.00000000")}
        others = [(await receive(theirs))["event"] for _ in range(3)]
        assert [(event["e"], event.get("i")) for event in others[:2]] == [
            ("executionReport", sold["orderId"]), ("executionReport", sold["orderId"])
        ]  # fmt: skip
        with trio.move_on_after(0.05):
            raise AssertionError(f"too much: {await theirs.receive()}")


async def test_the_documented_fields_of_an_execution_report_are_all_there() -> None:
    async with open_exchange() as exchange, exchange.socket("/ws-api/v3") as socket:
        await subscribe_user(exchange, socket, exchange.main)
        await exchange.main.order("BUY", "0.01", "60000")
        report = (await receive(socket))["event"]
        assert set("eEscSofqpPFgCxXrilzLnNTtIwmMOZYQWV") == report.keys()


async def test_user_streams_need_a_good_signature_and_come_once_per_account() -> None:
    async with open_exchange() as exchange, exchange.socket("/ws-api/v3") as socket:
        params = signed(exchange, exchange.main, recvWindow=5000, flag=True)
        forged = {**params, "recvWindow": 6000}
        message = {"id": 1, "method": "userDataStream.subscribe.signature", "params": forged}
        refused = await ask(socket, message)
        assert (refused["status"], refused["error"]["code"]) == (400, -1022)
        assert (await ask(socket, {**message, "params": params}))["result"] == {"subscriptionId": 0}
        again = await subscribe_user(exchange, socket, exchange.main)
        assert again["error"]["code"] == -2035
        assert (await subscribe_user(exchange, socket, exchange.second))["result"] == {"subscriptionId": 1}
        listed = await ask(socket, {"id": None, "method": "session.subscriptions"})
        assert listed["result"] == [{"subscriptionId": 0}, {"subscriptionId": 1}]
        one = {"id": 2, "method": "userDataStream.unsubscribe", "params": {"subscriptionId": 0}}
        assert (await ask(socket, one))["result"] == {}
        assert (await ask(socket, one))["error"]["code"] == -2036
        assert not exchange.floor.users.heard("main") and exchange.floor.users.heard("second")
    assert not exchange.floor.users.heard("second"), "a session that left is forgotten"


async def test_orders_can_be_placed_watched_and_cancelled_on_the_socket() -> None:
    async with open_exchange() as exchange, exchange.socket("/ws-api/v3") as socket:
        terms = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "price": "60000",
                 "quantity": "0.01", "newClientOrderId": "ws"}  # fmt: skip

        async def call(method: str, **params: object) -> Any:
            return await ask(socket, {"id": 7, "method": method, "params": signed(exchange, exchange.main, **params)})

        placed = await call("order.place", **terms)
        assert (placed["id"], placed["status"], placed["result"]["status"]) == (7, 200, "NEW")
        assert [limit["count"] for limit in placed["rateLimits"] if limit["rateLimitType"] == "ORDERS"] == [1, 1]
        assert (await call("order.place", **terms))["error"] == {"code": -2010, "msg": "Duplicate order sent."}
        named = {"symbol": "BTCUSDT", "origClientOrderId": "ws"}
        assert (await call("order.status", **named))["result"]["status"] == "NEW"
        assert (await call("v3/order.cancel", **named))["result"]["status"] == "CANCELED"
        quiet = await ask(socket, {"id": 8, "method": "time", "params": {"returnRateLimits": False}})
        assert quiet.keys() == {"id", "status", "result"}


async def test_requests_on_the_socket_that_make_no_sense_are_answered() -> None:
    async with open_exchange() as exchange, exchange.socket("/ws-api/v3") as socket:
        codes = []
        for text in (
            "{", "[]", '{"id":1}', '{"id":1,"method":"x"}', '{"id":1,"method":"ping","params":[]}',
            '{"id":1,"method":"depth","params":{"symbol":{}}}', "[" * 100_000, '{"id":1,"method":[]}',
        ):  # fmt: skip
            await socket.send(text)
            codes.append((await receive(socket))["error"]["code"])
        assert codes == [-1135, -1135, -1102, -1020, -1135, -1135, -1135, -1102]
