"""WebSockets: trio-websocket over a stream of the net, for clients, and for servers that have read the request already.

What is added to trio-websocket 0.12: its reader's own errors end the connection and never the caller's task group; a
send that was cancelled half-way breaks the connection instead of garbling it; nothing waits for ever on a dead peer.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final, NoReturn, cast
from urllib.parse import urlsplit

import h11
import trio
import trio_websocket
import wsproto.utilities

from tbot_actors.world.net import Interrupted, Net, NotSent

__all__ = [
    "WebSocket",
    "WebSocketClosed",
    "WebSocketRejected",
    "accept_websocket",
    "connect_websocket",
    "serve_websocket",
]

MESSAGE_BYTES_MAX: Final = 4 << 20
MESSAGES_QUEUED_MAX: Final = 64
RECEIVE_BYTES: Final = 64 << 10
CLOSE_TIMEOUT_S: Final = 1.0
# RFC 6455 §5.2: a whole frame (0x80) that is a pong (0xA).
PONG_FRAME: Final = 0x8A
ABNORMAL_CLOSURE: Final = 1006
UNSUPPORTED_DATA: Final = 1003


class WebSocketClosed(Interrupted):
    """The connection is closed. What was sent last may not have arrived."""

    def __init__(self, code: int, reason: str) -> None:
        """`code` as in RFC 6455 §7.4 (1006: it broke without a goodbye); `reason` in the words of whoever closed it."""
        super().__init__(f"the WebSocket is closed: {code} {reason}".rstrip())
        self.code = code
        self.reason = reason


class WebSocketRejected(NotSent):
    """The server answered the opening request with something else than a WebSocket."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        """The HTTP answer: `status`, `headers` by lower-case name, and `body`."""
        said = body[:200].decode(errors="replace")
        super().__init__(f"the server refused the WebSocket: HTTP {status} {said}".rstrip())
        self.status = status
        self.headers = headers
        self.body = body


class WebSocket:
    """An open connection for text messages. Pings are answered as long as messages are received."""

    def __init__(self, connection: trio_websocket.WebSocketConnection, wire: "_Wire") -> None:
        self._connection = connection
        self._wire = wire
        self._closing: trio.CancelScope | None = None
        self._reader_ended = False

    @property
    def path(self) -> str:
        """Path and query of the opening request."""
        return self._connection.path or "/"

    @property
    def last_ping_ns(self) -> int | None:
        """When the last ping was answered, by trio's clock (`trio.current_time`, in ns); None before the first."""
        return self._wire.last_pong_ns

    @property
    def last_received_ns(self) -> int:
        """When anything came in last, by trio's clock in ns: a message, part of one, or a ping."""
        return self._wire.last_received_ns

    async def send(self, text: str) -> None:
        """Sends one message. Cancelled half-way, it breaks the connection: the rest of a frame cannot be left out.

        Raises:
            WebSocketClosed: the connection is closed; whether this message arrived is unknown.
        """
        try:
            await self._connection.send_message(text)
        except (trio_websocket.ConnectionClosed, wsproto.utilities.LocalProtocolError):
            raise self._closed() from None

    async def receive(self) -> str:
        """The next message.

        Raises:
            WebSocketClosed: the connection is closed, and every message that came before is received. An oversize
                message closes it with code 1009, a binary one with 1003.
        """
        try:
            message = await self._connection.get_message()
        except trio_websocket.ConnectionClosed:
            raise self._closed() from None
        if isinstance(message, bytes):
            await self.aclose(UNSUPPORTED_DATA, "text messages only")
            raise WebSocketClosed(UNSUPPORTED_DATA, "a binary message came; only text is spoken here")
        return message

    async def aclose(self, code: int = 1000, reason: str | None = None) -> None:
        """Says goodbye, waits at most a second for the other side's, and closes. Idempotent."""
        with trio.move_on_after(CLOSE_TIMEOUT_S, shield=True) as self._closing:
            if self._reader_ended:
                self._closing.cancel()
            await self._connection.aclose(code, reason)
        await trio.aclose_forcefully(self._wire)

    def _closed(self) -> WebSocketClosed:
        reason = self._connection.closed
        if reason is None:
            return WebSocketClosed(ABNORMAL_CLOSURE, "")
        return WebSocketClosed(reason.code, reason.reason or "")

    def _end_of_reading(self) -> None:
        # Nobody is left to read the other side's goodbye.
        self._reader_ended = True
        if self._closing is not None:
            self._closing.cancel()


@asynccontextmanager
async def connect_websocket(
    net: Net, url: str, *, open_timeout_s: float = 5.0, message_max_bytes: int = MESSAGE_BYTES_MAX
) -> AsyncIterator[WebSocket]:
    """An open connection to `url` (ws:// or wss://, path and query as already encoded), closed when the block ends.

    Messages of more than `message_max_bytes` (characters, for text) close it.

    Raises:
        WebSocketRejected: the server answered with an HTTP error, such as 429.
        NotSent: no connection, or no answer, within `open_timeout_s` in all.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("ws", "wss") or not parts.hostname:
        raise ValueError(f"{url!r} is not a WebSocket URL such as wss://stream.example.com/ws")
    tls = parts.scheme == "wss"
    deadline = trio.current_time() + open_timeout_s
    stream = await net.connect(parts.hostname, parts.port or (443 if tls else 80), tls=tls, timeout_s=open_timeout_s)
    wire = _Wire(stream)

    async def wrap(nursery: trio.Nursery) -> trio_websocket.WebSocketConnection:
        return await trio_websocket.wrap_client_stream(
            nursery,
            cast(trio.SocketStream, wire),  # its annotation is narrower than what it needs: any stream
            parts.netloc,
            (parts.path or "/") + (f"?{parts.query}" if parts.query else ""),
            message_queue_size=MESSAGES_QUEUED_MAX,
            max_message_size=message_max_bytes,
            receive_buffer_size=RECEIVE_BYTES,
        )

    def refuse(answered: bool) -> NoReturn:
        how = "closed the connection" if answered else f"did not answer within {open_timeout_s:g} s"
        raise NotSent(f"{parts.hostname} {how} before the WebSocket was open")

    async with _opened(wire, wrap, deadline, refuse) as websocket:
        yield websocket


@asynccontextmanager
async def accept_websocket(
    stream: trio.abc.Stream,
    request_bytes: bytes,
    *,
    open_timeout_s: float = 5.0,
    message_max_bytes: int = MESSAGE_BYTES_MAX,
) -> AsyncIterator[WebSocket]:
    """The server's side: `stream` is a connection from which `request_bytes`, its upgrade request, have been read.

    They may include what followed the request. The connection is closed when the block ends.

    Raises Interrupted if the handshake does not come to its end within `open_timeout_s`.
    """
    wire = _Wire(stream, received=request_bytes)

    async def wrap(nursery: trio.Nursery) -> trio_websocket.WebSocketConnection:
        request = await trio_websocket.wrap_server_stream(
            nursery,
            wire,
            message_queue_size=MESSAGES_QUEUED_MAX,
            max_message_size=message_max_bytes,
            receive_buffer_size=RECEIVE_BYTES,
        )
        return await request.accept()

    def refuse(answered: bool) -> NoReturn:
        raise Interrupted("the client left before the WebSocket was open" if answered else "no whole upgrade request")

    async with _opened(wire, wrap, trio.current_time() + open_timeout_s, refuse) as websocket:
        yield websocket


async def serve_websocket(
    stream: trio.abc.Stream,
    request_bytes: bytes,
    handler: Callable[[WebSocket], Awaitable[None]],
    *,
    message_max_bytes: int = MESSAGE_BYTES_MAX,
) -> None:
    """Runs `handler` on a connection that an HTTP server hands over, and closes it; see `accept_websocket`.

    What the handler raises is raised here; a `WebSocketClosed` is how most of them end.
    """
    async with accept_websocket(stream, request_bytes, message_max_bytes=message_max_bytes) as websocket:
        await handler(websocket)


Wrap = Callable[[trio.Nursery], Awaitable[trio_websocket.WebSocketConnection]]


@asynccontextmanager
async def _opened(
    wire: "_Wire", wrap: Wrap, deadline: float, refuse: Callable[[bool], NoReturn]
) -> AsyncIterator[WebSocket]:
    """The connection's whole life: handshake by `deadline` (else `refuse(answered)`), the block, goodbye."""
    try:
        async with trio.open_nursery() as nursery:
            websocket: WebSocket | None = None
            with trio.move_on_at(deadline) as handshake:
                wire.on_end = handshake.cancel
                try:
                    websocket = await nursery.start(_read_until_closed, wrap, wire)
                except trio.BrokenResourceError:
                    pass
            wire.on_end = None
            if websocket is None:
                refuse(not handshake.cancelled_caught or wire.ended)
            try:
                yield websocket
            finally:
                with trio.CancelScope(shield=True):
                    await websocket.aclose()
                nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        raise _single(group) from None
    finally:
        await trio.aclose_forcefully(wire)


async def _read_until_closed(  # noqa: ASYNC114 (started in `_opened` only)
    wrap: Wrap, wire: "_Wire", *, task_status: trio.TaskStatus[WebSocket]
) -> None:
    """Holds trio-websocket's reader task; what goes wrong in it ends the connection, not the caller's task group."""
    websocket: WebSocket | None = None
    rejected: trio_websocket.ConnectionRejected | None = None
    try:
        async with trio.open_nursery() as nursery:
            websocket = WebSocket(await wrap(nursery), wire)
            task_status.started(websocket)
    except* trio_websocket.ConnectionRejected as group:
        rejected = cast(trio_websocket.ConnectionRejected, _single(group))
    except* (trio_websocket.ConnectionClosed, wsproto.utilities.LocalProtocolError, h11.LocalProtocolError):
        # The reader of 0.12 lets these out, for instance when a ping comes in while we say goodbye, or garbage before.
        wire.torn = True
    finally:
        if websocket is not None:
            websocket._end_of_reading()
    if rejected is not None:
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in rejected.headers}
        raise WebSocketRejected(rejected.status_code, headers, rejected.body or b"")
    if websocket is None:
        raise trio.BrokenResourceError("no handshake")


def _single(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The one error in it that is not a cancellation, so that callers catch what was raised; else the group itself."""
    errors = [error for error in group.exceptions if not isinstance(error, trio.Cancelled)]
    match errors:
        case []:
            return group.exceptions[0]
        case [error]:
            return error
        case _:
            return group


class _Wire(trio.abc.Stream):
    """The stream below trio-websocket: hands out what was read before, and notes what goes by."""

    def __init__(self, stream: trio.abc.Stream, received: bytes = b"") -> None:
        self._stream = stream
        head, end, rest = received.partition(b"\r\n\r\n")
        # trio-websocket looks at what follows a request only when more comes in: hand it out after the answer.
        self._request = head + end
        self._after_request = rest
        self._answered = trio.Event()
        self.last_pong_ns: int | None = None
        self.last_received_ns = _now_ns()
        self.torn = False
        """A frame was left unfinished; another one would be read as the rest of it."""
        self.ended = False
        """The other side sends no more."""
        self.on_end: Callable[[], object] | None = None

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        if self.torn:
            await trio.lowlevel.checkpoint()
            raise trio.BrokenResourceError("a send was cancelled half-way")
        self.torn = True
        await self._stream.send_all(data)
        self.torn = False
        self._answered.set()
        # trio-websocket sends each frame on its own; a pong that left is a ping that was answered.
        if data and data[0] == PONG_FRAME:
            self.last_pong_ns = _now_ns()

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        if self._request:
            await trio.lowlevel.checkpoint()
            request, self._request = self._request, b""
            return request
        if self._after_request:
            await self._answered.wait()
            rest, self._after_request = self._after_request, b""
            return rest
        try:
            data = await self._stream.receive_some(max_bytes)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self._end()
            raise
        if not data:
            self._end()
        self.last_received_ns = _now_ns()
        return data

    def _end(self) -> None:
        self.ended = True
        if self.on_end is not None:
            self.on_end()

    async def aclose(self) -> None:
        await self._stream.aclose()


def _now_ns() -> int:
    return round(trio.current_time() * 1_000_000_000)
