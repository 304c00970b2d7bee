"""WebSockets, both sides, over real loopback."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
import trio
import trio_websocket

from tbot_actors.world import (
    HostNotAllowed,
    NotSent,
    SystemNet,
    WebSocket,
    WebSocketClosed,
    WebSocketRejected,
    accept_websocket,
    connect_websocket,
    serve_websocket,
)
from tests.world.raw_http import read_request, reset, serving

NET = SystemNet(["127.0.0.1"])


@asynccontextmanager
async def websocket_server(
    handler: Callable[[WebSocket], Awaitable[None]], message_max_bytes: int = 4 << 20
) -> AsyncIterator[str]:
    """The URL of a server that reads the HTTP request itself and then hands the connection over."""

    async def http(stream: trio.abc.Stream) -> None:
        request = await read_request(stream)
        await serve_websocket(stream, request, handler, message_max_bytes=message_max_bytes)

    async with serving(http) as port:
        yield f"ws://127.0.0.1:{port}"


async def echo(websocket: WebSocket) -> None:
    while True:
        await websocket.send(await websocket.receive())


async def test_text_goes_there_and_back_after_a_handshake_that_was_handed_over() -> None:
    paths: list[str] = []

    async def handler(websocket: WebSocket) -> None:
        paths.append(websocket.path)
        await echo(websocket)

    async with websocket_server(handler) as url, connect_websocket(NET, f"{url}/stream?streams=a/b@c%20") as client:
        for text in ("hello", "", "ü€🙂", "x" * 1_000_000):
            await client.send(text)
            assert await client.receive() == text
    assert paths == ["/stream?streams=a/b@c%20"]


async def test_a_frame_that_came_with_the_request_is_not_lost() -> None:
    received: list[str] = []

    async def http(stream: trio.abc.Stream) -> None:
        request = await read_request(stream)
        # A masked text frame "hi", with a mask of zeros (RFC 6455 §5.2).
        async with accept_websocket(stream, request + b"\x81\x82\0\0\0\0hi") as websocket:
            received.append(await websocket.receive())

    async with serving(http) as port, connect_websocket(NET, f"ws://127.0.0.1:{port}/") as client:
        with pytest.raises(WebSocketClosed):
            await client.receive()
    assert received == ["hi"]


async def test_a_ping_is_answered_and_noted() -> None:
    answered = trio.Event()

    async def http(stream: trio.abc.Stream) -> None:
        async with trio.open_nursery() as nursery:
            # A server of another make, which pings.
            request = await trio_websocket.wrap_server_stream(nursery, _Before(stream, await read_request(stream)))
            connection = await request.accept()
            await connection.ping(b"are you there")
            answered.set()
            await connection.send_message("you are")
            await connection.aclose()

    async with serving(http) as port, connect_websocket(NET, f"ws://127.0.0.1:{port}/") as client:
        noted = [client.last_ping_ns]
        with trio.fail_after(5):
            assert await client.receive() == "you are"
        assert answered.is_set()
        noted.append(client.last_ping_ns)
    before, after = noted
    assert before is None
    assert after is not None
    assert 0 <= trio.current_time() * 1e9 - after < 5e9


class _Before(trio.abc.Stream):
    def __init__(self, stream: trio.abc.Stream, received: bytes) -> None:
        self._stream, self._received = stream, received

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        received, self._received = self._received, b""
        return received or await self._stream.receive_some(max_bytes)

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        await self._stream.aclose()


async def test_the_code_and_reason_of_a_close_are_seen_after_the_messages_before_it() -> None:
    async def handler(websocket: WebSocket) -> None:
        await websocket.send("last words")
        await websocket.aclose(4001, "serverShutdown")

    async with websocket_server(handler) as url, connect_websocket(NET, url) as client:
        assert await client.receive() == "last words"
        with pytest.raises(WebSocketClosed) as caught:
            await client.receive()
        assert (caught.value.code, caught.value.reason) == (4001, "serverShutdown")
        with pytest.raises(WebSocketClosed, match="4001"):
            await client.send("too late")


async def test_a_reset_is_a_close_without_a_goodbye() -> None:
    async def http(stream: trio.abc.Stream) -> None:
        request = await read_request(stream)
        async with accept_websocket(stream, request) as websocket:
            await websocket.receive()
            reset(stream)
            await stream.aclose()

    async with serving(http) as port, connect_websocket(NET, f"ws://127.0.0.1:{port}/") as client:
        await client.send("reset me")
        with trio.fail_after(5), pytest.raises(WebSocketClosed) as caught:
            await client.receive()
    assert caught.value.code == 1006


@pytest.mark.parametrize("whose", ["client", "server"])
async def test_an_oversize_message_closes_the_connection(whose: str) -> None:
    seen: list[int] = []

    async def handler(websocket: WebSocket) -> None:
        try:
            if whose == "client":
                await websocket.send("x" * 2000)
            while True:
                await websocket.receive()
        except WebSocketClosed as closed:
            seen.append(closed.code)

    limits = {"client": (1000, 1 << 20), "server": (1 << 20, 1000)}[whose]
    async with websocket_server(handler, limits[1]) as url:
        async with connect_websocket(NET, url, message_max_bytes=limits[0]) as client:
            with trio.fail_after(5), pytest.raises(WebSocketClosed) as caught:
                if whose == "server":
                    await client.send("x" * 2000)
                await client.receive()
            assert caught.value.code == 1009
        await trio.testing.wait_all_tasks_blocked(0.01)
    assert seen == [1009]


async def test_a_refusal_in_http_is_told_with_its_status() -> None:
    async def http(stream: trio.abc.Stream) -> None:
        await read_request(stream)
        await stream.send_all(b"HTTP/1.1 429 Too Many\r\nRetry-After: 9\r\nContent-Length: 4\r\n\r\nslow")

    async with serving(http) as port:
        with pytest.raises(WebSocketRejected, match="429") as caught:
            async with connect_websocket(NET, f"ws://127.0.0.1:{port}/"):
                raise AssertionError("it was refused")
    assert (caught.value.status, caught.value.headers["retry-after"], caught.value.body) == (429, "9", b"slow")


@pytest.mark.parametrize("answer", [b"", b"garbage\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"])
async def test_a_server_that_leaves_in_the_handshake_means_not_sent_at_once(answer: bytes) -> None:
    async def http(stream: trio.abc.Stream) -> None:
        await read_request(stream)
        await stream.send_all(answer)

    async with serving(http) as port:
        with trio.fail_after(2), pytest.raises(NotSent):
            async with connect_websocket(NET, f"ws://127.0.0.1:{port}/"):
                raise AssertionError("there was no handshake")


async def test_a_server_that_never_answers_means_not_sent_in_time() -> None:
    async def http(stream: trio.abc.Stream) -> None:
        await trio.sleep_forever()

    async with serving(http) as port:
        with trio.fail_after(2), pytest.raises(NotSent, match=r"0\.1 s"):
            async with connect_websocket(NET, f"ws://127.0.0.1:{port}/", open_timeout_s=0.1):
                raise AssertionError("there was no handshake")


async def test_only_named_hosts_are_connected_to() -> None:
    with pytest.raises(HostNotAllowed):
        async with connect_websocket(NET, "wss://elsewhere.example/ws"):
            raise AssertionError("it is not allowed")


async def test_what_the_block_raises_comes_out_as_it_is() -> None:
    async with websocket_server(echo) as url:
        with pytest.raises(ZeroDivisionError):
            async with connect_websocket(NET, url) as client:
                await client.send("x")
                raise ZeroDivisionError


async def test_a_cancelled_block_ends_at_once_and_quietly() -> None:
    async with websocket_server(echo) as url:
        started = trio.current_time()
        with trio.move_on_after(0.05) as scope:
            async with connect_websocket(NET, url) as client:
                await client.receive()
        assert scope.cancelled_caught
        assert trio.current_time() - started < 0.9


class _Deaf(_Before):
    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        if not self._received:
            await trio.sleep_forever()
        return await super().receive_some(max_bytes)


async def deaf(stream: trio.abc.Stream) -> None:
    """A server that opens the connection and then never reads again."""
    request = await read_request(stream)
    async with trio.open_nursery() as nursery:
        proposal = await trio_websocket.wrap_server_stream(nursery, _Deaf(stream, request))
        await proposal.accept()
        await trio.sleep_forever()


async def test_a_peer_that_does_not_say_goodbye_delays_the_close_by_a_second_at_most() -> None:
    async with serving(deaf) as port:
        with trio.fail_after(3):
            async with connect_websocket(NET, f"ws://127.0.0.1:{port}/"):
                pass


async def test_a_send_that_was_cancelled_half_way_breaks_the_connection() -> None:
    async with serving(deaf) as port, connect_websocket(NET, f"ws://127.0.0.1:{port}/") as client:
        # More than the buffers of both ends hold.
        with trio.move_on_after(0.2) as scope:
            await client.send("x" * 50_000_000)
        assert scope.cancelled_caught
        with trio.fail_after(5), pytest.raises(WebSocketClosed):
            await client.send("the rest of another frame")


async def test_a_server_goes_on_after_clients_that_leave_in_the_handshake() -> None:
    async with websocket_server(echo) as url:
        port = int(url.rpartition(":")[2])
        for sent in (b"", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"garbage\r\n\r\n"):
            async with await NET.connect("127.0.0.1", port) as stream:
                await stream.send_all(sent)
        async with connect_websocket(NET, url) as client:
            await client.send("still here")
            assert await client.receive() == "still here"
