"""Events to bytes and back: JSON, Decimals as strings, one shape per kind."""

from typing import Any

import msgspec

from tbot_actors.domain.events import KINDS, Event

_encoder = msgspec.json.Encoder(decimal_format="string", order="deterministic")
_decoders: dict[str, msgspec.json.Decoder[Any]] = {name: msgspec.json.Decoder(kind) for name, kind in KINDS.items()}


class UnreadableEvent(Exception):
    """A journal row that this version cannot read."""


def encode_event(event: Event) -> tuple[str, bytes]:
    """Kind and payload. The same event always gives the same bytes."""
    return type(event).__name__, _encoder.encode(event)


def decode_event(kind: str, payload: bytes) -> Event:
    """The event. Raises UnreadableEvent for an unknown kind or a payload of another shape."""
    try:
        event: Event = _decoders[kind].decode(payload)
    except KeyError:
        raise UnreadableEvent(f"unknown kind of event {kind!r}: the journal was written by another version") from None
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        # Damaged bytes are no UTF-8, which msgspec lets through as Python's own error.
        raise UnreadableEvent(f"a {kind} event does not decode: {error}") from error
    return event
