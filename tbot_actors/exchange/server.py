"""The exchange's one port: REST, market streams and the WebSocket API, told apart by path.

The exchange is HTTP and WebSocket over any stream, so a rehearsal serves it over a simulated one.
"""

from functools import partial
from urllib.parse import parse_qs, unquote

import trio

from tbot_actors.exchange import rest, wsapi
from tbot_actors.exchange.floor import Floor
from tbot_actors.exchange.http import HttpConnection, Request, Response
from tbot_actors.exchange.outlets import Outlet, Pace, PingableStream, serve_client
from tbot_actors.exchange.streams import STREAM_NAME_MAX, STREAMS_MAX, Listener, control
from tbot_actors.exchange.users import Session
from tbot_actors.world import WebSocket, serve_websocket

STREAMS_PACE = Pace(messages=5, seconds=1.0)
"""`web-socket-streams.md`, WebSocket Limits: 5 incoming messages a second."""
API_PACE = Pace(messages=500, seconds=1.0)
"""The WebSocket API is limited by request weight; this only bounds the work one client can cause."""


class Server:
    """Serves connections of a floor. `serve_stream` is the handler for each."""

    def __init__(self, floor: Floor) -> None:
        self._floor = floor

    async def serve_stream(self, stream: trio.abc.Stream) -> None:
        """Serve one client's connection to its end. Raises what the stream raises when the client breaks it."""
        await HttpConnection(stream, self._answer, self._floor.publish, self._upgrade).serve()

    def _answer(self, request: Request) -> Response:
        return rest.answer(self._floor, request)

    async def _upgrade(self, request: Request, stream: trio.abc.Stream, raw: bytes) -> Response | None:
        path, pingable = request.path.rstrip("/"), PingableStream(stream)
        if path == "/ws-api/v3":
            await serve_websocket(pingable, raw, partial(self._serve_api, pingable))
            return None
        names = _stream_names(path, request.query)
        if names is None:
            message = f"Path {request.path[:256]} is no WebSocket"
            return rest.json_response(404, {"code": -5000, "msg": message}, [])
        listener = Listener(Outlet(), combined=path == "/stream")
        await serve_websocket(pingable, raw, partial(self._serve_streams, pingable, listener, names))
        return None

    async def _serve_streams(
        self, stream: PingableStream, listener: Listener, names: list[str], socket: WebSocket
    ) -> None:
        floor = self._floor
        floor.streams.add(listener, names)

        def receive(text: str) -> None:
            listener.outlet.offer(control(floor.streams, listener, text))

        try:
            await serve_client(socket, stream, listener.outlet, receive, STREAMS_PACE, floor.clock)
        finally:
            floor.streams.leave(listener)

    async def _serve_api(self, stream: PingableStream, socket: WebSocket) -> None:
        floor, outlet = self._floor, Outlet()
        session = Session(outlet)

        def receive(text: str) -> None:
            outlet.offer(wsapi.answer(floor, session, text))
            floor.publish()

        try:
            await serve_client(socket, stream, outlet, receive, API_PACE, floor.clock)
        finally:
            floor.users.leave(session)


def _stream_names(path: str, query: bytes) -> list[str] | None:
    """The streams a path names: /ws, /ws/<a>/<b>, /stream, /stream?streams=<a>/<b>. None for any other path."""
    if path == "/stream":
        values = parse_qs(query.decode("latin-1"), max_num_fields=16)
        listed = values.get("streams", [""])[0]
    elif path == "/ws" or path.startswith("/ws/"):
        listed = unquote(path[len("/ws/") :])
    else:
        return None
    names = [name for name in listed.split("/") if name]
    if len(names) > STREAMS_MAX or any(len(name) > STREAM_NAME_MAX for name in names):
        return None
    return list(dict.fromkeys(names))
