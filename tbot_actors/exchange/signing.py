"""Who signed a request, and when: HMAC-SHA256 and the timing window of Binance spot.

Source: `rest-api.md`, SIGNED Endpoint security and Timing security; `web-socket-api.md`, Request security.
"""

import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from decimal import Decimal

from attrs import field, frozen

from tbot_actors.exchange.params import mandatory_missing
from tbot_actors.exchange.records import VenueError

RECV_WINDOW_DEFAULT_MS = Decimal(5000)
RECV_WINDOW_MAX_MS = Decimal(60000)
AHEAD_MAX_NS = 1_000_000_000
_KEY_FORM = re.compile(r"[A-Za-z0-9_-]{1,64}")
_TIMESTAMP_FORM = re.compile(r"[0-9]{1,17}", re.ASCII)
_WINDOW_FORM = re.compile(r"[0-9]{1,8}(\.[0-9]{1,20})?", re.ASCII)
# A millisecond stamp reaches this in the year 5138, a microsecond stamp did in 1973.
_MICROSECONDS_FROM = 10**14


@frozen
class Key:
    """An API key, its secret, and the account it acts for."""

    api_key: str
    secret: str = field(repr=False)
    account: str


class Keyring:
    """The keys this exchange knows."""

    def __init__(self, keys: Iterable[Key]) -> None:
        self._keys = {key.api_key: key for key in keys}
        self._numbers = {key.account: number for number, key in enumerate(self._keys.values(), 1)}

    def key(self, api_key: str | None) -> Key:
        """The key of that name; -2014 when it is missing or malformed, -2015 when nobody has it (HTTP 401)."""
        if not api_key or not _KEY_FORM.fullmatch(api_key):
            raise VenueError(-2014, "API-key format invalid.", 401)
        found = self._keys.get(api_key)
        if found is None:
            raise VenueError(-2015, "Invalid API-key, IP, or permissions for action.", 401)
        return found

    def number(self, account: str) -> int:
        """The account's numeric user id."""
        return self._numbers[account]


def hmac_hex(secret: str, payload: bytes) -> str:
    """The hex HMAC-SHA256 of `payload`."""
    return hmac.new(secret.encode(), payload, hashlib.sha256).hexdigest()


def rest_payload(query: bytes, body: bytes) -> bytes:
    """The exact bytes a REST signature covers: query string, then body, without separator and without `signature`."""
    return _unsigned(query) + _unsigned(body)


def _unsigned(encoded: bytes) -> bytes:
    if b"signature=" not in encoded:
        return encoded
    return b"&".join(pair for pair in encoded.split(b"&") if not pair.startswith(b"signature="))


def websocket_payload(params: Mapping[str, str]) -> bytes:
    """The bytes a WebSocket API signature covers: params but `signature`, sorted by name, `k=v` joined with `&`."""
    return "&".join(f"{name}={params[name]}" for name in sorted(params) if name != "signature").encode()


def check_signed(key: Key, payload: bytes, params: Mapping[str, str], now_ns: int) -> None:
    """Raise unless `params` carry a good signature of `payload` inside their time window.

    -1102 for a missing `timestamp` or `signature` or a bad `recvWindow`, -1021 outside the window
    (timestamp < server + 1 s and server - timestamp <= recvWindow), -1022 for a wrong signature.
    """
    signature = params.get("signature")
    if not signature:
        raise mandatory_missing("signature")
    stamp_ns = _timestamp_ns(params)
    window_ns = _window_ns(params)
    if stamp_ns >= now_ns + AHEAD_MAX_NS:
        raise VenueError(-1021, "Timestamp for this request was 1000ms ahead of the server's time.")
    # The server's clock is read in whole milliseconds, as the client's was.
    if now_ns // 1_000_000 * 1_000_000 - stamp_ns > window_ns:
        raise VenueError(-1021, "Timestamp for this request is outside of the recvWindow.")
    expected = hmac_hex(key.secret, payload).encode()
    if not hmac.compare_digest(expected, signature.lower().encode()):
        raise VenueError(-1022, "Signature for this request is not valid.")


def _timestamp_ns(params: Mapping[str, str]) -> int:
    text = params.get("timestamp", "")
    if not _TIMESTAMP_FORM.fullmatch(text):
        raise mandatory_missing("timestamp")
    stamp = int(text)
    return stamp * 1_000 if stamp >= _MICROSECONDS_FROM else stamp * 1_000_000


def _window_ns(params: Mapping[str, str]) -> int:
    text = params.get("recvWindow")
    if text is None:
        return int(RECV_WINDOW_DEFAULT_MS) * 1_000_000
    if not _WINDOW_FORM.fullmatch(text):
        raise mandatory_missing("recvWindow")
    window_ms = Decimal(text)
    if not 0 < window_ms <= RECV_WINDOW_MAX_MS:
        raise VenueError(-1102, f"'recvWindow' contains unexpected value. Cannot be greater than {RECV_WINDOW_MAX_MS}.")
    if window_ms != window_ms.quantize(Decimal("0.001")):
        raise VenueError(-1111, "Parameter 'recvWindow' has too much precision.")
    return int(window_ms * 1_000_000)
