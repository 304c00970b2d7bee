"""The HTTP client. The only module that imports httpx and httpcore; nobody else depends on how they behave.

How a request runs, and why (DESIGN §2, reference/operations.md §0.1): httpx 0.28 loses a slot of its pool for good when
a request is cancelled inside it, and its timeouts are per socket operation. So

- a request first waits for one of our own slots. This wait may be cancelled: nothing has happened yet;
- then it runs shielded, to its end or to its total deadline. The deadline reaches httpcore as an ordinary timeout error
  that our stream raises out of connect, read or write.
"""

import zlib
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import aclosing
from http.cookiejar import CookieJar, DefaultCookiePolicy
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

import httpcore
import httpx
import trio
from attrs import define, frozen

from tbot_actors.world.net import Interrupted, Net, NotSent, input_waiting

__all__ = ["HttpClient", "HttpResponse"]

BODY_BYTES_MAX: Final = 16 << 20
IDLE_MAX_S: Final = 30.0
POOL_WAIT_S: Final = 1.0
BROKEN: Final = (
    httpcore.TimeoutException,
    httpcore.NetworkError,
    httpcore.ProtocolError,
    # httpx looks at a redirect's Location although it is told not to follow it.
    httpx.HTTPError,
    httpx.InvalidURL,
    zlib.error,
)
NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})


@frozen
class HttpResponse:
    """A whole answer."""

    status: int
    """The status code; any, also 4xx and 5xx: an answer is not a failure of the network."""
    headers: Mapping[str, str]
    """By lower-case name; a repeated header's values are joined with ", "."""
    body: bytes
    """The whole body, decompressed."""


class HttpClient:
    """Sends requests to one origin over kept connections. No retries, no redirects, no cookies, no proxies.

    >>> client = HttpClient(world.net, "https://api.binance.com")        # doctest: +SKIP
    >>> response = await client.request("GET", "/api/v3/time")           # doctest: +SKIP
    """

    def __init__(self, net: Net, base_url: str, *, total_timeout_s: float = 5.0, connections_max: int = 8) -> None:
        """Talks to `base_url` ("http://host:port" or "https://host", without a path); connects on the first request."""
        self._origin = _parse_origin(base_url)
        self._net = net
        self._total_timeout_s = total_timeout_s
        self._connections_max = connections_max
        self._slots = trio.Semaphore(connections_max)
        self._pool = self._open_pool()
        self._closed = False

    def _open_pool(self) -> "_Pool":
        return _Pool(httpx.AsyncClient(
            transport=_Transport(_Backend(self._net, tls=self._origin.scheme == "https"), self._connections_max),
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            trust_env=False,
        ))

    async def request(
        self,
        method: str,
        target: str,
        *,
        headers: Mapping[str, str] = NO_HEADERS,
        body: bytes = b"",
        timeout_s: float | None = None,
    ) -> HttpResponse:
        """Sends one request and returns its whole answer, within `timeout_s` (default: the client's total) in all.

        `target` is path?query as encoded and signed by the caller; it and `headers` go out byte for byte. Only `Host`,
        `Content-Length`, and `Accept-Encoding: gzip` and `User-Agent` where not given, are added.

        A caller that is cancelled before a connection is free has sent nothing. Later the request runs on to its end,
        and a caller that was cancelled meanwhile still gets the outcome: a cancelled order would be an unknown one.

        Raises:
            NotSent: no byte of the request can have left.
            Interrupted: bytes may have left, and there was no whole answer (or one of more than 16 MiB).
            ValueError: the target or a header cannot be sent as it is.
        """
        deadline = trio.current_time() + (self._total_timeout_s if timeout_s is None else timeout_s)
        request = self._build(method, target, headers, body, deadline)
        # The query of a signed request is not for logs.
        what = f"{method} {self._origin.netloc}{target.partition('?')[0]}"
        if self._closed:
            raise NotSent(f"{what}: the client is closed")
        with trio.move_on_at(deadline) as waiting:
            await self._slots.acquire()
        if waiting.cancelled_caught:
            raise NotSent(f"{what}: all {self._connections_max} connections were in use until the deadline")
        try:
            with trio.CancelScope(shield=True):
                response = await self._exchange(request, what)
        finally:
            self._slots.release()
        return response

    def _build(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes, deadline: float
    ) -> httpx.Request:
        if not (target.startswith("/") and target.isascii() and target.isprintable() and " " not in target):
            raise ValueError("the target must be an encoded path?query that starts with / and has no blank in it")
        for name, value in headers.items():
            if not (name.isascii() and value.isascii() and value.isprintable()):
                raise ValueError(f"the header {name} must be printable ASCII")
        given = {name.lower() for name in headers}
        added = {"Accept-Encoding": "gzip", "User-Agent": "tbot-actors"}
        return httpx.Request(
            method,
            f"{self._origin.scheme}://{self._origin.netloc}/",
            headers=[*((n, v) for n, v in added.items() if n.lower() not in given), *headers.items()],
            content=body or None,
            # An absolute deadline of trio's clock where httpcore has a duration: `_Stream` reads it as such.
            extensions={
                "target": target.encode("ascii"),
                "timeout": {"connect": deadline, "read": deadline, "write": deadline, "pool": POOL_WAIT_S},
            },
        )

    async def _exchange(self, request: httpx.Request, what: str) -> HttpResponse:
        pool = self._pool
        pool.in_flight += 1
        try:
            response = await pool.client.send(request, stream=True)
            async with aclosing(response):
                # Read to the end, always: a generator of httpx that is left half-way is finished by the garbage
                # collector, in a cancelled scope, and that is one way in which a slot gets lost.
                raw = b"".join([part async for part in response.aiter_raw()])
            headers = {name.lower(): value for name, value in response.headers.items()}
            return HttpResponse(response.status_code, headers, _decoded(raw, headers.get("content-encoding")))
        except httpcore.PoolTimeout:
            # We hold one of as many slots as the pool has connections: it has lost one.
            if pool is self._pool:
                self._pool = self._open_pool()
            raise NotSent(f"{what}: the connection pool had lost its slots and was replaced") from None
        except BROKEN as error:
            raise Interrupted(f"{what}: {str(error) or type(error).__name__}") from error
        finally:
            pool.in_flight -= 1
            if pool is not self._pool and pool.in_flight == 0:
                with trio.CancelScope(shield=True):
                    await pool.client.aclose()

    async def aclose(self) -> None:
        """Closes the connections. A request still in flight ends with `Interrupted`, a later one with `NotSent`."""
        self._closed = True
        await self._pool.client.aclose()


@define(eq=False)
class _Pool:
    """One httpx client, and how many requests are inside it."""

    client: httpx.AsyncClient
    in_flight: int = 0


class _Transport(httpx.AsyncBaseTransport):
    """httpx over httpcore's public pool: httpx's own transport accepts no network backend."""

    def __init__(self, backend: "_Backend", connections_max: int) -> None:
        # No keep-alive expiry here: httpcore measures it by the system's clock. `_Stream` does it by trio's.
        self._pool = httpcore.AsyncConnectionPool(max_connections=connections_max, network_backend=backend)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        answer = await self._pool.handle_async_request(httpcore.Request(
            method=request.method,
            # "http" also for https: TLS is the net's business, and httpcore speaks over what it is given.
            url=httpcore.URL(
                scheme=b"http",
                host=request.url.raw_host,
                port=request.url.port or (443 if request.url.scheme == "https" else 80),
                target=request.extensions["target"],
            ),
            headers=request.headers.raw,
            content=request.stream,
            extensions={"timeout": request.extensions["timeout"]},
        ))
        return httpx.Response(answer.status, headers=answer.headers, stream=_Body(answer))

    async def aclose(self) -> None:
        await self._pool.aclose()


class _Body(httpx.AsyncByteStream):
    """The body of an answer, as httpx wants it."""

    def __init__(self, answer: httpcore.Response) -> None:
        self._answer = answer

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in self._answer.aiter_stream():
            yield part

    async def aclose(self) -> None:
        await self._answer.aclose()


class _Backend(httpcore.AsyncNetworkBackend):
    """Connects through the net. `timeout` is an absolute deadline, here and in `_Stream`."""

    def __init__(self, net: Net, *, tls: bool) -> None:
        self._net = net
        self._tls = tls

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        assert timeout is not None
        # Its NotSent passes through httpcore and httpx as it is: they clean up after any exception.
        return _Stream(await self._net.connect(
            host.strip("[]"), port, tls=self._tls, timeout_s=max(0.0, timeout - trio.current_time())
        ))


class _Stream(httpcore.AsyncNetworkStream):
    """A stream of the net as httpcore wants it, with the total deadline and the size limit of an answer in it."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream
        self._answer_bytes = 0
        self._used_at = trio.current_time()

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        assert timeout is not None
        if self._answer_bytes > BODY_BYTES_MAX:
            raise httpcore.ReadError(f"the answer is larger than {BODY_BYTES_MAX >> 20} MiB")
        data: bytes | bytearray = b""
        try:
            with trio.move_on_at(timeout) as scope:
                data = await self._stream.receive_some(max_bytes)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise httpcore.ReadError(f"the connection broke before a whole answer: {error}") from error
        if scope.cancelled_caught:
            raise httpcore.ReadTimeout("no whole answer before the deadline")
        self._answer_bytes += len(data)
        self._used_at = trio.current_time()
        return bytes(data)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        assert timeout is not None
        self._answer_bytes = 0
        if not buffer:
            return
        try:
            with trio.move_on_at(timeout) as scope:
                await self._stream.send_all(buffer)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            # httpcore then looks for an answer all the same: a server may refuse early and close.
            raise httpcore.WriteError(f"the connection broke while sending: {error}") from error
        if scope.cancelled_caught:
            raise httpcore.WriteTimeout("the request could not be sent whole before the deadline")
        self._used_at = trio.current_time()

    async def aclose(self) -> None:
        await trio.aclose_forcefully(self._stream)

    def get_extra_info(self, info: str) -> Any:
        """`is_readable` of an idle connection is how httpcore asks whether the server has closed it."""
        if info == "is_readable":
            # Nor is one used after a long rest: a middlebox may have forgotten it, and the request would hang in it.
            return trio.current_time() - self._used_at > IDLE_MAX_S or input_waiting(self._stream)
        return None


def _parse_origin(base_url: str) -> SplitResult:
    parts = urlsplit(base_url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
        raise ValueError(f"{base_url!r} is not an origin such as https://api.example.com or http://127.0.0.1:8080")
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ValueError(f"{base_url!r} has more than scheme, host and port: the path belongs to the request's target")
    return parts


def _decoded(raw: bytes, encoding: str | None) -> bytes:
    """The body as meant. httpx would decompress too, but without a limit."""
    match (encoding or "identity").strip().lower():
        case "identity" | "":
            return raw
        case "gzip" | "x-gzip":
            inflater = zlib.decompressobj(wbits=31)
            body = inflater.decompress(raw, BODY_BYTES_MAX + 1)
            if len(body) > BODY_BYTES_MAX:
                raise zlib.error(f"the answer inflates to more than {BODY_BYTES_MAX >> 20} MiB")
            if raw and not inflater.eof:
                raise zlib.error("the compressed answer is cut short")
            return body
        case other:
            raise httpcore.RemoteProtocolError(f"an answer in {other}, which was not asked for")
