"""Request parameters as text, and their refusals with Binance's codes (`errors.md`, 11xx)."""

import re
from collections.abc import Mapping
from decimal import Decimal
from enum import Enum
from typing import TypeVar
from urllib.parse import unquote_plus

from tbot_actors.exchange.records import VenueError

PARAMETERS_MAX = 64
CLIENT_ID_RANGE = "^[a-zA-Z0-9-_]{1,36}$"
INTEGER_RANGE = "^[0-9]{1,19}$"
DECIMAL_RANGE = r"^([0-9]{1,20})(\.[0-9]{1,20})?$"
_CLIENT_ID = re.compile(r"[a-zA-Z0-9_-]{1,36}")
_INTEGER = re.compile(r"[0-9]{1,19}", re.ASCII)
_DECIMAL = re.compile(r"[0-9]{1,20}(\.[0-9]{1,20})?", re.ASCII)

E = TypeVar("E", bound=Enum)


def mandatory_missing(name: str) -> VenueError:
    """-1102 for one parameter."""
    return VenueError(-1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")


def illegal_characters(name: str, legal: str) -> VenueError:
    """-1100 for one parameter, naming the legal range."""
    return VenueError(-1100, f"Illegal characters found in parameter '{name}'; legal range is '{legal}'.")


def parse_pairs(query: bytes, body: bytes) -> dict[str, str]:
    """Decode query string and form body into names and values.

    A name in both is taken from the query string (`rest-api.md`, General Information on Endpoints); a name twice
    in one of them is -1101, bytes that are not percent-encoded UTF-8 are -1100.
    """
    merged = _pairs(body)
    merged.update(_pairs(query))
    return merged


def _pairs(encoded: bytes) -> dict[str, str]:
    values: dict[str, str] = {}
    pieces = encoded.split(b"&", PARAMETERS_MAX)
    if len(pieces) > PARAMETERS_MAX:
        raise VenueError(-1101, f"Too many parameters; expected '{PARAMETERS_MAX}' at most.")
    for piece in pieces:
        if not piece:
            continue
        name_encoded, _, value_encoded = piece.partition(b"=")
        try:
            name = unquote_plus(name_encoded.decode("ascii"), errors="strict")
            value = unquote_plus(value_encoded.decode("ascii"), errors="strict")
        except UnicodeDecodeError:
            raise VenueError(-1100, "Illegal characters found in a parameter.") from None
        if name in values:
            raise VenueError(-1101, "Duplicate values for a parameter detected.")
        values[name] = value
    return values


class Params:
    """Typed reading of one request's parameters; every refusal is a VenueError."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values

    def optional(self, name: str) -> str | None:
        """The value as sent, None when absent; -1105 when sent empty."""
        value = self._values.get(name)
        if value == "":
            raise VenueError(-1105, f"Parameter '{name}' was empty.")
        return value

    def text(self, name: str) -> str:
        """A mandatory value; -1102 when absent or empty."""
        value = self._values.get(name)
        if not value:
            raise mandatory_missing(name)
        return value

    def integer(self, name: str) -> int | None:
        """A non-negative integer that fits 63 bits, None when absent; -1100 otherwise."""
        value = self.optional(name)
        if value is None:
            return None
        if not _INTEGER.fullmatch(value) or int(value) >= 1 << 63:
            raise illegal_characters(name, INTEGER_RANGE)
        return int(value)

    def limit(self, *, default: int, maximum: int) -> int:
        """`limit`, capped at `maximum` (`GET /depth`: "only 5000 entries will be returned"); -1130 when 0."""
        value = self.integer("limit")
        if value is None:
            return default
        if value == 0:
            raise VenueError(-1130, "Data sent for parameter 'limit' is not valid.")
        return min(value, maximum)

    def decimal(self, name: str) -> Decimal | None:
        """A plain decimal number, None when absent; -1100 otherwise."""
        value = self.optional(name)
        if value is None:
            return None
        if not _DECIMAL.fullmatch(value):
            raise illegal_characters(name, DECIMAL_RANGE)
        return Decimal(value)

    def choice(self, name: str, kind: type[E], refusal: VenueError) -> E:
        """A mandatory member of an enum by its wire spelling; `refusal` when it is none."""
        value = self.text(name)
        try:
            return kind(value)
        except ValueError:
            raise refusal from None

    def client_id(self, name: str) -> str | None:
        """A client order id, None when absent; -1100 when it breaks the pattern."""
        value = self.optional(name)
        if value is not None and not _CLIENT_ID.fullmatch(value):
            raise illegal_characters(name, CLIENT_ID_RANGE)
        return value

    def flag(self, name: str, *, default: bool) -> bool:
        """`true` or `false`; -1100 otherwise."""
        value = self.optional(name)
        if value is None:
            return default
        if value.lower() not in ("true", "false"):
            raise illegal_characters(name, "true|false")
        return value.lower() == "true"

    def refuse(self, *names: str) -> None:
        """-1106 for the first of `names` that was sent."""
        for name in names:
            if self._values.get(name):
                raise VenueError(-1106, f"Parameter '{name}' sent when not required.")
