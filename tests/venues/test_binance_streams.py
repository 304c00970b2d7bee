"""The streams' edges: subscribing, silence, the end. The server is in memory, so a minute of silence takes no time."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
import trio
from attrs import define, evolve
from trio.testing import MockClock, memory_stream_pair

from tbot_actors.domain.instruments import InstrumentId
from tbot_actors.domain.market import MarketTrade
from tbot_actors.kernel import Unavailable
from tbot_actors.venues import (
    BinanceSession,
    BinanceSettings,
    Keys,
    Malformed,
    Offset,
    ReadRefused,
    StreamEnding,
    UnreadableAnswer,
)
from tbot_actors.world import Listening, Net, WebSocket, accept_websocket
from tests.venues.scripts import virtual_world

BTCUSDT = InstrumentId("binance:BTCUSDT")
PING_FRAME = b"\x89\x00"
Server = Callable[[WebSocket, trio.abc.Stream], Awaitable[None]]
TRADE = {"e": "trade", "E": 1, "s": "BTCUSDT", "t": 5, "p": "1.5", "q": "2", "T": 1, "m": True}


@define(eq=False)
class MemoryNet(Net):
    """Every connection goes to `server`, in memory."""

    server: Server
    nursery: trio.Nursery

    async def connect(
        self, host: str, port: int, *, tls: bool = False, timeout_s: float = 5.0
    ) -> trio.abc.Stream:
        """One end of a pair of streams."""
        ours, theirs = memory_stream_pair()
        self.nursery.start_soon(self._serve, theirs)
        await trio.lowlevel.checkpoint()
        return ours

    async def _serve(self, stream: trio.abc.Stream) -> None:
        async with accept_websocket(stream, b"") as socket:
            await self.server(socket, stream)

    async def listen(self, host: str, port: int) -> Listening:
        """Not needed."""
        raise NotImplementedError


@asynccontextmanager
async def session_with(server: Server) -> AsyncIterator[BinanceSession]:
    async with trio.open_nursery() as nursery:
        world = evolve(virtual_world(), net=MemoryNet(server, nursery))
        yield BinanceSession(world, BinanceSettings(), Keys("k", "s"), Offset())
        nursery.cancel_scope.cancel()


async def confirm(socket: WebSocket) -> None:
    asked = json.loads(await socket.receive())
    assert asked["method"] == "userDataStream.subscribe.signature"
    assert set(asked["params"]) == {"apiKey", "timestamp", "recvWindow", "signature"}
    await socket.send(json.dumps({"id": asked["id"], "status": 200, "result": {"subscriptionId": 0}}))


async def test_a_silent_stream_is_dead_after_a_minute(autojump_clock: MockClock) -> None:
    async def silent(socket: WebSocket, _: trio.abc.Stream) -> None:
        await confirm(socket)
        await trio.sleep_forever()

    async with session_with(silent) as session, session.user_stream() as items:
        began_s = trio.current_time()
        with pytest.raises(Unavailable, match="silent for 60 s"):
            await anext(items)
        assert trio.current_time() - began_s == pytest.approx(60, abs=1)


async def test_pings_alone_keep_a_quiet_stream_alive(autojump_clock: MockClock) -> None:
    async def pinging(socket: WebSocket, stream: trio.abc.Stream) -> None:
        await confirm(socket)
        for _ in range(180):
            await trio.sleep(20)
            await stream.send_all(PING_FRAME)
        await socket.send(json.dumps({"subscriptionId": 0, "event": {"e": "eventStreamTerminated", "E": 1}}))
        await trio.sleep_forever()

    async with session_with(pinging) as session, session.user_stream() as items:
        assert await anext(items) == StreamEnding("eventStreamTerminated")
        assert trio.current_time() >= 3600


async def test_a_user_stream_that_cannot_be_read_is_not_read_past(autojump_clock: MockClock) -> None:
    async def odd(socket: WebSocket, _: trio.abc.Stream) -> None:
        await confirm(socket)
        await socket.send(json.dumps({"subscriptionId": 0, "event": {"e": "executionReport", "E": 1}}))
        await trio.sleep_forever()

    async with session_with(odd) as session, session.user_stream() as items:
        with pytest.raises(UnreadableAnswer):
            await anext(items)


async def test_the_server_announces_its_end(autojump_clock: MockClock) -> None:
    async def leaving(socket: WebSocket, _: trio.abc.Stream) -> None:
        await confirm(socket)
        await socket.send(json.dumps({"e": "serverShutdown", "E": 1770123456789}))
        await trio.sleep_forever()

    async with session_with(leaving) as session, session.user_stream() as items:
        assert await anext(items) == StreamEnding("serverShutdown")


@pytest.mark.parametrize(
    ("reply", "error", "says"),
    [
        ({"id": 1, "status": 400, "error": {"code": -1022, "msg": "bad"}}, ReadRefused, "-1022"),
        ({"id": None, "status": 401, "error": {"code": -2015, "msg": "bad"}}, ReadRefused, "-2015"),
        ({"id": 1, "status": 400, "error": {"code": -1021, "msg": "clock"}}, Unavailable, "-1021"),
        ({"id": 1, "status": 503}, Unavailable, "503"),
    ],
)
async def test_a_subscription_that_is_not_given(
    reply: object, error: type[Exception], says: str, autojump_clock: MockClock
) -> None:
    async def refusing(socket: WebSocket, _: trio.abc.Stream) -> None:
        await socket.receive()
        await socket.send(json.dumps(reply))
        await trio.sleep_forever()

    async with session_with(refusing) as session:
        with pytest.raises(error, match=says):
            async with session.user_stream():
                pass


async def test_a_subscription_without_an_answer_is_an_outage(autojump_clock: MockClock) -> None:
    async def mute(socket: WebSocket, _: trio.abc.Stream) -> None:
        await trio.sleep_forever()

    async with session_with(mute) as session:
        with pytest.raises(Unavailable, match="within 5 s"):
            async with session.user_stream():
                pass


async def test_rubbish_in_the_market_stream_is_handed_on_and_the_stream_goes_on(autojump_clock: MockClock) -> None:
    async def market(socket: WebSocket, _: trio.abc.Stream) -> None:
        assert socket.path == "/stream?streams=btcusdt@depth@100ms/btcusdt@bookTicker/btcusdt@trade"
        await socket.send("rubbish")
        await socket.send(json.dumps({"stream": "btcusdt@trade", "data": TRADE}))
        await socket.aclose()

    async with session_with(market) as session, session.market_stream([BTCUSDT]) as items:
        odd, trade = await anext(items), await anext(items)
        assert isinstance(odd, Malformed) and odd.text == "rubbish"
        assert isinstance(trade, MarketTrade) and trade.trade_id == "5"
        with pytest.raises(Unavailable, match="ended"):
            await anext(items)
