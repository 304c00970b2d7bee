"""A WebSocket client's side of the exchange: a bounded queue out, a bounded pace in, pings, and an end to slow ones.

Source: `web-socket-streams.md`, General WSS information and WebSocket Limits.
"""

from collections import deque
from collections.abc import Awaitable, Callable

import trio
from attrs import frozen

from tbot_actors.world import Clock, NetFailure, WebSocket

QUEUE_MAX = 4096
SEND_TIMEOUT_S = 10.0
PING_PERIOD_S = 20.0
PONG_TIMEOUT_S = 60.0
PING_FRAME = 0x89
PING_PAYLOAD_MAX = 125


class Outlet:
    """Texts on their way to one client. `offer` never waits: a client that lets the queue fill is disconnected."""

    def __init__(self, queue_max: int = QUEUE_MAX) -> None:
        self._queue: deque[str] = deque()
        self._queue_max = queue_max
        self._wake = trio.Event()
        self.overrun = trio.Event()

    def offer(self, text: str) -> None:
        """Queue a text, or give the client up when its queue is full."""
        if len(self._queue) >= self._queue_max:
            self.overrun.set()
            return
        self._queue.append(text)
        self._wake.set()

    async def take(self) -> str:
        """The next text to send; waits for one."""
        while not self._queue:
            self._wake = trio.Event()
            await self._wake.wait()
        return self._queue.popleft()


@frozen
class Pace:
    """At most `messages` from a client within `seconds`; one more ends its connection."""

    messages: int
    seconds: float


class PingableStream(trio.abc.Stream):
    """A stream under a WebSocket that can also be pinged: the socket handed in by the world has no ping of its own.

    Every `send_all` from above is a whole frame, so a ping between two of them keeps the framing.
    """

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream
        self._sending = trio.Lock()

    async def send_ping(self, payload: bytes) -> None:
        """Send a ping frame (RFC 6455 §5.5.2) with a payload of at most 125 bytes."""
        assert len(payload) <= PING_PAYLOAD_MAX
        await self.send_all(bytes((PING_FRAME, len(payload))) + payload)

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send a whole frame, after those under way."""
        async with self._sending:
            await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        """As the stream below."""
        await self._stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """As the stream below."""
        return await self._stream.receive_some(max_bytes)

    async def aclose(self) -> None:
        """Close the stream below."""
        await self._stream.aclose()


async def serve_client(
    socket: WebSocket, stream: PingableStream, outlet: Outlet, receive: Callable[[str], None], pace: Pace, clock: Clock
) -> None:
    """Run one client until it goes, is too slow, too fast, or silent. Returns; the caller closes the socket.

    `receive` gets each message. A client that sends nothing, no pong either, for PONG_TIMEOUT_S is silent.
    """

    async def write() -> None:
        while True:
            text = await outlet.take()
            with trio.move_on_after(SEND_TIMEOUT_S) as limit:
                await socket.send(text)
            if limit.cancelled_caught:
                return

    async def read() -> None:
        stamps: deque[int] = deque(maxlen=pace.messages)
        while True:
            text = await socket.receive()
            now_ns = clock.monotonic_ns()
            if len(stamps) == pace.messages and now_ns - stamps[0] < pace.seconds * 1e9:
                return
            stamps.append(now_ns)
            receive(text)

    async def ping() -> None:
        silent_since_s = trio.current_time()
        while trio.current_time() - silent_since_s < PONG_TIMEOUT_S:
            await trio.sleep(PING_PERIOD_S)
            with trio.move_on_after(SEND_TIMEOUT_S) as limit:
                await stream.send_ping(str(clock.wall_ns() // 1_000_000).encode())
            if limit.cancelled_caught:
                return
            silent_since_s = socket.last_received_ns / 1e9

    async with trio.open_nursery() as nursery:

        async def until_it_ends(part: Callable[[], Awaitable[object]]) -> None:
            try:
                await part()
            except (NetFailure, trio.BrokenResourceError, trio.ClosedResourceError):
                pass  # the client went, which is one of the ways this ends
            nursery.cancel_scope.cancel()

        for part in (write, read, ping, outlet.overrun.wait):
            nursery.start_soon(until_it_ends, part)
