"""A server that garbage, resets, slowness and size cannot hurt."""

import json
import struct

import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tbot_actors.exchange import http as http_module
from tbot_actors.exchange import outlets
from tbot_actors.exchange.http import HttpConnection, Request, Response
from tbot_actors.exchange.outlets import Outlet, Pace, PingableStream, serve_client
from tbot_actors.world import TrioClock, WebSocket, serve_websocket
from tests.exchange.wire_client import Exchange, open_exchange, until

PING = b"GET /api/v3/ping HTTP/1.1\r\nHost: x\r\n\r\n"
UPGRADE = (
    b"GET %s HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


async def talk(exchange: Exchange, data: bytes) -> bytes:
    """Send bytes, end the sending side, and read all that comes back."""
    async with await trio.open_tcp_stream("127.0.0.1", exchange.port) as stream:
        try:
            await stream.send_all(data)
            await stream.send_eof()
        except trio.BrokenResourceError:
            pass  # it hung up before it was told everything, as it may
        answer = b""
        try:
            with trio.fail_after(5):
                while part := await stream.receive_some():
                    answer += part
        except trio.BrokenResourceError:
            pass
        return answer


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"\x00\xff garbage\r\n\r\n", 400),
        (b"GET /\r\n\r\n", 400),
        (b"GET /api/v3/ping HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 100_000 + b"\r\n\r\n", 431),
        (b"POST /api/v3/order HTTP/1.1\r\nHost: x\r\nContent-Length: 999999\r\n\r\n" + b"a" * 200_000, 413),
        (b"POST /api/v3/order HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", 400),
        (b"GET /api/v3/nothing HTTP/1.1\r\nHost: x\r\n\r\n", 404),
        (b"GET /sapi/v1/ping HTTP/1.1\r\nHost: x\r\n\r\n", 404),
        (b"PUT /api/v3/order HTTP/1.1\r\nHost: x\r\n\r\n", 405),
        (b"GET /api/v3/depth?%ff=%ff HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (UPGRADE % b"/nowhere", 404),
    ],
)
async def test_what_is_no_request_is_answered_with_a_code(data: bytes, expected: int) -> None:
    async with open_exchange() as exchange:
        answer = await talk(exchange, data)
        assert status(answer) == expected
        body = json.loads(answer.partition(b"\r\n\r\n")[2])
        assert body["code"] < 0 and body["msg"]
        assert await exchange.get("/ping") == {}


async def test_several_requests_share_a_connection_even_when_sent_at_once() -> None:
    async with open_exchange() as exchange:
        answer = await talk(exchange, PING * 3)
        assert answer.count(b"HTTP/1.1 200") == 3


async def test_clients_that_reset_in_the_middle_end_only_themselves() -> None:
    async with open_exchange() as exchange:
        for data in (b"", b"GET /api", PING, UPGRADE % b"/ws/btcusdt@trade", UPGRADE % b"/ws-api/v3"):
            for _ in range(3):
                stream = await trio.open_tcp_stream("127.0.0.1", exchange.port)
                # a linger of zero makes the close a reset
                stream.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_LINGER, struct.pack("ii", 1, 0))
                await stream.send_all(data)
                await trio.testing.wait_all_tasks_blocked()
                await stream.aclose()
        assert await exchange.get("/ping") == {}
        await until(lambda: not exchange.floor.streams.heard("btcusdt@trade"))


async def test_garbage_after_the_upgrade_ends_only_that_connection() -> None:
    async with open_exchange() as exchange:
        for path in (b"/ws", b"/ws-api/v3"):
            answer = await talk(exchange, UPGRADE % path + b"\xff\xfe\xfd" * 1000)
            # a server that closes with bytes unread resets, which may take even the handshake away
            assert answer == b"" or answer.startswith(b"HTTP/1.1 101")
        assert await exchange.get("/ping") == {}


def answer_ok(request: Request) -> Response:
    return Response(200, [], request.method.encode())


async def no_upgrade(request: Request, stream: trio.abc.Stream, raw: bytes) -> Response | None:
    return Response(404, [], b"")


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.one_of(st.binary(max_size=60), st.sampled_from([PING, PING[:20], b"\r\n", b"Upgrade: websocket\r\n",
             b"Transfer-Encoding: chunked\r\n", b"5\r\nhello\r\n", b"0\r\n\r\n"])), max_size=12)
)  # fmt: skip
def test_no_bytes_raise_anything_but_a_broken_stream(parts: list[bytes]) -> None:
    async def feed() -> None:
        client, server = trio.testing.memory_stream_pair()
        connection = HttpConnection(server, answer_ok, lambda: None, no_upgrade)
        async with trio.open_nursery() as nursery:

            async def serve() -> None:
                try:
                    await connection.serve()
                except trio.BrokenResourceError:
                    pass
                await server.aclose()

            nursery.start_soon(serve)
            for part in parts:
                try:
                    await client.send_all(part)
                except (trio.BrokenResourceError, trio.ClosedResourceError):
                    break
                await trio.testing.wait_all_tasks_blocked()
            await client.send_eof()

    trio.run(feed)


async def served(data: bytes, *, answered: int) -> tuple[bytes, float]:
    """What a client reads that sends some bytes and then waits, and how long it waited for the end."""
    client, server = trio.testing.memory_stream_pair()
    began = trio.current_time()
    read = b""
    async with trio.open_nursery() as nursery:

        async def serve() -> None:
            await HttpConnection(server, answer_ok, lambda: None, no_upgrade).serve()
            await server.aclose()

        nursery.start_soon(serve)
        await client.send_all(data)
        while part := await client.receive_some():
            read += part
    assert read.count(b"HTTP/1.1") == answered
    return read, trio.current_time() - began


async def test_a_request_that_dribbles_in_meets_a_deadline(autojump_clock: trio.testing.MockClock) -> None:
    read, waited_s = await served(PING[:30], answered=1)
    assert status(read) == 408 and waited_s == pytest.approx(http_module.REQUEST_S)


async def test_an_idle_connection_is_closed(autojump_clock: trio.testing.MockClock) -> None:
    _, waited_s = await served(PING, answered=1)
    assert waited_s == pytest.approx(http_module.IDLE_S)


async def test_events_go_out_after_the_answer_and_even_when_it_cannot_be_sent() -> None:
    class Deaf(trio.abc.SendStream):
        async def send_all(self, data: bytes | bytearray | memoryview) -> None:
            order.append("answer")
            raise trio.BrokenResourceError

        async def wait_send_all_might_not_block(self) -> None:
            await trio.lowlevel.checkpoint()

        async def aclose(self) -> None:
            await trio.lowlevel.checkpoint()

    order: list[str] = []
    send, receive = trio.testing.memory_stream_one_way_pair()
    await send.send_all(PING)
    stream = trio.StapledStream(Deaf(), receive)
    with pytest.raises(trio.BrokenResourceError):
        await HttpConnection(stream, answer_ok, lambda: order.append("after"), no_upgrade).serve()
    assert order == ["answer", "after"]


async def test_a_client_that_does_not_read_is_disconnected() -> None:
    outlet = Outlet(queue_max=3)
    for number in range(3):
        outlet.offer(str(number))
    assert not outlet.overrun.is_set()
    outlet.offer("too much")
    assert outlet.overrun.is_set()
    assert [await outlet.take() for _ in range(3)] == ["0", "1", "2"]


async def test_a_slow_reader_of_a_stream_loses_its_connection_and_nobody_elses() -> None:
    async with open_exchange() as exchange, exchange.socket("/ws/btcusdt@trade") as reader:
        streams = exchange.floor.streams
        stream = await trio.open_tcp_stream("127.0.0.1", exchange.port)
        await stream.send_all(UPGRADE % b"/ws/flood")
        await until(lambda: streams.heard("flood"))
        for _ in range(outlets.QUEUE_MAX + 1):
            streams.publish("flood", {"x": "x" * 100})
        await until(lambda: not streams.heard("flood"))
        await trio.aclose_forcefully(stream)
        await exchange.main.order("BUY", "0.01", "60000")
        await exchange.second.order("SELL", "0.004")
        assert json.loads(await reader.receive())["e"] == "trade"


async def test_pings_come_every_twenty_seconds_and_silence_ends_a_connection(
    autojump_clock: trio.testing.MockClock,
) -> None:
    client, server = trio.testing.memory_stream_pair()
    stream = PingableStream(server)
    ended: list[float] = []

    async def serve(socket: WebSocket) -> None:
        await serve_client(socket, stream, Outlet(), lambda text: None, Pace(5, 1.0), TrioClock(0))
        ended.append(trio.current_time())

    request = UPGRADE % b"/ws"
    frames = b""
    async with trio.open_nursery() as nursery:
        nursery.cancel_scope.deadline = trio.current_time() + 300
        nursery.start_soon(serve_websocket, stream, request, serve)
        await client.receive_some()  # the handshake
        await trio.sleep(50)
        # a pong of our own (masked with zeros), which is a sign of life at 50 s
        await client.send_all(b"\x8a\x80\x00\x00\x00\x00")
        while part := await client.receive_some():
            frames += part
    pings = frames.count(bytes((outlets.PING_FRAME,)))
    assert ended == [pytest.approx(120)], "looked at every 20 s: at 100 s it was silent for 50 s, at 120 s for 70 s"
    assert pings == 6
