"""Market streams: who listens to what, and the control messages they send.

Source: `web-socket-streams.md`, Live Subscribing/Unsubscribing to streams and Error Messages.
"""

import json
from collections.abc import Iterable

from tbot_actors.exchange.outlets import Outlet
from tbot_actors.exchange.shapes import Json

STREAMS_MAX = 1024
STREAM_NAME_MAX = 128
_ID_MAX = 36
_METHODS = ("SUBSCRIBE", "UNSUBSCRIBE", "LIST_SUBSCRIPTIONS", "SET_PROPERTY", "GET_PROPERTY")


def encode(value: object) -> str:
    """JSON as the exchange writes it: no spaces."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


class Listener:
    """One connection to the market streams: its streams in the order of subscription, raw or combined."""

    def __init__(self, outlet: Outlet, *, combined: bool) -> None:
        self.outlet = outlet
        self.combined = combined
        self.streams: dict[str, None] = {}


class Streams:
    """Fans events out to the listeners of a stream. An event is encoded once, and not at all for nobody."""

    def __init__(self) -> None:
        self._listeners: dict[str, dict[Listener, None]] = {}

    def heard(self, stream: str) -> bool:
        """Whether anybody listens to a stream."""
        return stream in self._listeners

    def publish(self, stream: str, event: Json) -> None:
        """Send an event to every listener of `stream`, wrapped for those that asked for combined payloads."""
        listeners = self._listeners.get(stream)
        if not listeners:
            return
        raw = encode(event)
        combined = f'{{"stream":{json.dumps(stream)},"data":{raw}}}'
        for listener in listeners:
            listener.outlet.offer(combined if listener.combined else raw)

    def add(self, listener: Listener, names: Iterable[str]) -> None:
        """Subscribe a listener; names that exist nowhere are accepted and stay silent, as at the real exchange."""
        for name in names:
            listener.streams[name] = None
            self._listeners.setdefault(name, {})[listener] = None

    def remove(self, listener: Listener, names: Iterable[str]) -> None:
        """Unsubscribe a listener from streams, listening or not."""
        for name in names:
            listener.streams.pop(name, None)
            listeners = self._listeners.get(name)
            if listeners is not None:
                listeners.pop(listener, None)
                if not listeners:
                    del self._listeners[name]

    def leave(self, listener: Listener) -> None:
        """Forget a listener."""
        self.remove(listener, list(listener.streams))


def control(streams: Streams, listener: Listener, text: str) -> str:
    """Carry out one control message; returns the reply."""
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        return encode({"code": 3, "msg": "Invalid JSON: expected value at line 1 column 1"})
    if not isinstance(message, dict):
        return _invalid("expected a JSON object")
    identifier = message.get("id")
    if not _good_id(identifier):
        return _invalid("request ID must be an unsigned integer")
    if "method" not in message:
        return _invalid(f"missing field `method` at line 1 column {len(text)}")
    method = message["method"]
    if method not in _METHODS:
        expected = ", ".join(f"`{known}`" for known in _METHODS)
        return _invalid(f"unknown variant `{method}`, expected one of {expected} at line 1 column {len(text)}")
    params = message.get("params", [])
    if method == "LIST_SUBSCRIPTIONS":
        return encode({"result": list(listener.streams), "id": identifier})
    if method.endswith("_PROPERTY"):
        return _property(listener, method, params, identifier)
    if not isinstance(params, list) or not params or not all(_good_name(name) for name in params):
        return _invalid("params must be an array of stream names")
    if method == "UNSUBSCRIBE":
        streams.remove(listener, params)
    elif len(listener.streams.keys() | set(params)) > STREAMS_MAX:
        return _invalid("too many parameters")
    else:
        streams.add(listener, params)
    return encode({"result": None, "id": identifier})


def _property(listener: Listener, method: str, params: object, identifier: object) -> str:
    if not isinstance(params, list) or not params or not isinstance(params[0], str):
        return _invalid("property name must be a string")
    if params[0] != "combined":
        return encode({"code": 0, "msg": "Unknown property", "id": identifier})
    if method == "GET_PROPERTY":
        return encode({"result": listener.combined, "id": identifier})
    if len(params) != 2 or not isinstance(params[1], bool):
        return encode({"code": 1, "msg": "Invalid value type: expected Boolean"})
    listener.combined = params[1]
    return encode({"result": None, "id": identifier})


def _invalid(reason: str) -> str:
    return encode({"code": 2, "msg": f"Invalid request: {reason}"})


def _good_id(identifier: object) -> bool:
    if isinstance(identifier, bool):
        return False
    if isinstance(identifier, int):
        return -(1 << 63) <= identifier < 1 << 63
    return identifier is None or (isinstance(identifier, str) and len(identifier) <= _ID_MAX)


def _good_name(name: object) -> bool:
    return isinstance(name, str) and 0 < len(name) <= STREAM_NAME_MAX
