"""Parameters as the bytes that are signed and sent: percent-encoded first, HMAC-SHA256 over that.

Source: `rest-api.md`, SIGNED Endpoint security; `web-socket-api.md`, SIGNED request security.
"""

import hashlib
import hmac
from collections.abc import Mapping
from urllib.parse import urlencode

from tbot_actors.venues.keys import Keys

Params = Mapping[str, str]


def encoded(params: Params) -> str:
    """Percent-encoded UTF-8, in the order given."""
    return urlencode(params, encoding="utf-8")


def signed(params: Params, keys: Keys) -> str:
    """`params` with their signature behind them, ready for a query string or a form body."""
    payload = encoded(params)
    return f"{payload}&signature={_hmac_hex(keys, payload)}"


def signed_message(params: Mapping[str, str | int], keys: Keys) -> dict[str, str | int]:
    """Params of a WebSocket API request with `apiKey` and `signature`: signed in the order of names, not encoded."""
    named: dict[str, str | int] = {**params, "apiKey": keys.api_key}
    payload = "&".join(f"{name}={named[name]}" for name in sorted(named))
    return {**named, "signature": _hmac_hex(keys, payload)}


def _hmac_hex(keys: Keys, payload: str) -> str:
    return hmac.new(keys.secret.encode(), payload.encode(), hashlib.sha256).hexdigest()
