"""An HTTP/1.1 server connection over any stream: bounded in size and time, with a way out to WebSocket.

h11 does the parsing. Slow clients meet a deadline, long headers and bodies a limit, garbage a 400.
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus

import h11
import trio
from attrs import frozen

HEADERS_MAX_BYTES = 16 * 1024
BODY_MAX_BYTES = 64 * 1024
IDLE_S = 75.0
REQUEST_S = 10.0
SEND_S = 10.0
_READ_BYTES = 16 * 1024


@frozen
class Request:
    """One request. `path` is without the query, `query` the raw bytes after "?", header names are lower case."""

    method: str
    path: str
    query: bytes
    headers: Mapping[str, str]
    body: bytes = b""

    @property
    def upgrades(self) -> bool:
        """Whether the client asks for a WebSocket."""
        return self.headers.get("upgrade", "").lower() == "websocket"


@frozen
class Response:
    """One response; its length and connection headers are the connection's business."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


class Refused(Exception):
    """The request cannot be served and the connection ends with this status."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


Answer = Callable[[Request], Response]
Upgrade = Callable[[Request, trio.abc.Stream, bytes], Awaitable[Response | None]]


class HttpConnection:
    """Serves requests of one client, one after another, until it goes, errs, idles too long, or upgrades.

    `answer` is called for each request; `after` once its response is sent, or once sending failed. `upgrade` takes the
    whole connection over, with the bytes read so far, or returns the response that refuses to.
    """

    def __init__(self, stream: trio.abc.Stream, answer: Answer, after: Callable[[], None], upgrade: Upgrade) -> None:
        self._stream = stream
        self._answer = answer
        self._after = after
        self._upgrade = upgrade
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=HEADERS_MAX_BYTES)
        self._raw = bytearray()  # the request under way as it came: a WebSocket library wants to read it itself

    async def serve(self) -> None:
        """Run the connection to its end. Raises what the stream raises when the client breaks it."""
        try:
            while await self._one():
                pass
        except (h11.RemoteProtocolError, Refused) as error:
            status = error.status if isinstance(error, Refused) else error.error_status_hint
            await self._refuse(status, str(error))

    async def _one(self) -> bool:
        if not self._raw and not await self._wait():
            return False
        request: Request | None = None
        with trio.move_on_after(REQUEST_S) as limit:
            request = await self._read()
        if limit.cancelled_caught:
            raise Refused(408, "the request took too long to arrive")
        if request is None:
            return False
        if request.upgrades:
            refusal = await self._upgrade(request, self._stream, bytes(self._raw))
            if refusal is not None:
                await self._send(Response(refusal.status, [*refusal.headers, ("connection", "close")], refusal.body))
            return False
        response = self._answer(request)
        try:
            if not await self._send(response):
                return False
        finally:
            self._after()
        if self._http.our_state is h11.MUST_CLOSE:
            return False
        self._http.start_next_cycle()
        self._raw = bytearray(self._http.trailing_data[0])
        return True

    async def _wait(self) -> bool:
        with trio.move_on_after(IDLE_S):
            return await self._receive()
        return False

    async def _receive(self) -> bool:
        data = await self._stream.receive_some(_READ_BYTES)
        self._raw += data
        self._http.receive_data(bytes(data))
        return bool(data)

    async def _read(self) -> Request | None:
        event = await self._event()
        if not isinstance(event, h11.Request):
            return None
        request = _request(event)
        if request.upgrades:
            return request
        body = bytearray()
        while isinstance(part := await self._event(), h11.Data):
            body += part.data
            if len(body) > BODY_MAX_BYTES:
                raise Refused(413, "the body is too large")
        return Request(request.method, request.path, request.query, request.headers, bytes(body))

    async def _event(self) -> object:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            if self._http.they_are_waiting_for_100_continue:
                go_on = h11.InformationalResponse(status_code=100, headers=[])
                await self._stream.send_all(self._http.send(go_on) or b"")
            await self._receive()
        return event

    async def _send(self, response: Response) -> bool:
        headers = [*response.headers, ("content-length", str(len(response.body)))]
        reason = _reason(response.status)
        head = h11.Response(status_code=response.status, headers=headers, reason=reason)
        data = b"".join(
            self._http.send(part) or b"" for part in (head, h11.Data(data=response.body), h11.EndOfMessage())
        )
        with trio.move_on_after(SEND_S) as limit:
            await self._stream.send_all(data)
        return not limit.cancelled_caught

    async def _refuse(self, status: int, reason: str) -> None:
        if self._http.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            return
        body = json.dumps({"code": -1130, "msg": reason[:200]}).encode()
        headers = [("content-type", "application/json;charset=UTF-8"), ("connection", "close")]
        await self._send(Response(status, headers, body))


def _request(event: h11.Request) -> Request:
    target, _, query = event.target.partition(b"?")
    headers = {name.decode("ascii"): value.decode("latin-1") for name, value in event.headers}
    return Request(event.method.decode("ascii"), target.decode("latin-1"), query, headers)


def _reason(status: int) -> bytes:
    try:
        return HTTPStatus(status).phrase.encode()
    except ValueError:
        return b""
