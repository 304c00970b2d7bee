"""Small real HTTP servers on loopback, each misbehaving in one way."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import trio

from tbot_actors.world import SystemNet

Handler = Callable[[trio.abc.Stream], Awaitable[None]]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@asynccontextmanager
async def serving(handler: Handler, *, connections_max: int = 1000) -> AsyncIterator[int]:
    """The port on which `handler` serves."""
    listening = await SystemNet([]).listen("127.0.0.1", 0)
    async with trio.open_nursery() as nursery:

        async def serve() -> None:
            await listening.serve(handler, connections_max=connections_max)

        nursery.start_soon(serve)  # noqa: ASYNC113 (it listens already)
        yield listening.port
        nursery.cancel_scope.cancel()


async def read_request(stream: trio.abc.Stream) -> bytes:
    """One request's bytes, body included; empty when the client has gone."""
    data = b""
    while b"\r\n\r\n" not in data:
        received = await stream.receive_some()
        if not received:
            return b""
        data += received
    head, _, body = data.partition(b"\r\n\r\n")
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            while len(body) < int(value):
                body += await stream.receive_some()
    return head + b"\r\n\r\n" + body


async def answer_all(stream: trio.abc.Stream) -> None:
    """Answers every request at once."""
    while await read_request(stream):
        await stream.send_all(OK)


def reset(stream: trio.abc.Stream) -> None:
    """Makes the close that follows a reset."""
    assert isinstance(stream, trio.SocketStream)
    linger = b"\x01\x00\x00\x00\x00\x00\x00\x00"
    stream.socket.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_LINGER, linger)
