"""The classes of messages that a host and its worker exchange, and their bytes."""

from __future__ import annotations

from typing import Any

import msgspec

from tbot_actors.kernel.host.frames import BadFrame

__all__ = ["Vocabulary"]

TYPES_MAX = 255


class Vocabulary:
    """One byte that names the class, then MessagePack. Both sides build the same one, in the same order.

    Classes are msgspec Structs, attrs classes or dataclasses, built of values; None needs no naming. What comes back is
    checked against the class: a worker cannot send anything else.
    """

    def __init__(self, *types: type) -> None:
        if len(types) > TYPES_MAX:
            raise ValueError(f"a vocabulary has at most {TYPES_MAX} types, not {len(types)}")
        self.types = types
        self._encoder = msgspec.msgpack.Encoder(decimal_format="string")
        self._tags = {kind: bytes([index]) for index, kind in enumerate(types, 1)}
        self._decoders: list[msgspec.msgpack.Decoder[Any]] = [msgspec.msgpack.Decoder(kind) for kind in types]

    def encode(self, message: Any) -> bytes:
        """The message as bytes. Raises TypeError if it is not in the vocabulary."""
        if message is None:
            return b""
        tag = self._tags.get(type(message))
        if tag is None:
            raise TypeError(f"{type(message).__name__} is not in the vocabulary")
        return tag + self._encoder.encode(message)

    def decode(self, data: bytes) -> Any:
        """The message. Raises BadFrame."""
        if not data:
            return None
        index = data[0] - 1
        if not 0 <= index < len(self._decoders):
            raise BadFrame(f"a message of unknown class {data[0]}")
        try:
            return self._decoders[index].decode(memoryview(data)[1:])
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            # Damaged text is no UTF-8, which msgspec lets through as Python's own error.
            raise BadFrame(f"no {self.types[index].__name__}: {error}") from error
