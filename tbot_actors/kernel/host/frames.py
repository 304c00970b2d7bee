"""Frames on the wire between a host and its worker: a header, then a payload of bounded length.

    length of the payload, 4 bytes │ kind, 1 byte │ number, 4 bytes │ payload          big-endian

Two lanes: control frames are served before data frames that wait beside them. A data frame and its answer carry the
same number; there is never more than one without an answer, so whatever else is meant for the worker waits, and
conflates, in the host's mailbox.
"""

from __future__ import annotations

from enum import IntEnum
from struct import Struct
from typing import Final

__all__ = ["FRAME_MAX_BYTES", "NUMBERS", "BadFrame", "Frame", "FrameCutter", "FrameKind", "frame"]

FRAME_MAX_BYTES: Final = 1 << 20
"""Largest payload, either way."""

NUMBERS: Final = 1 << 32

_HEADER: Final = Struct(">IBI")


class FrameKind(IntEnum):
    """What a frame is for. A worker sends the even ones."""

    START = 1
    """Make the worker; payload: its argument."""
    STARTED = 2
    """It is made; payload: the report on its fence."""
    CHECK = 3
    """Are you there?"""
    CHECKED = 4
    STOP = 5
    """End in order."""
    STOPPED = 6
    FAILED = 8
    """The worker raised; payload: what, with its traceback. The last frame of its process."""
    DATA = 9
    """A request."""
    ANSWER = 10

    @property
    def control(self) -> bool:
        """Whether it is of the lane that is served first."""
        return self < FrameKind.DATA


Frame = tuple[FrameKind, int, bytes]
"""Kind, number, payload."""

_KINDS: Final = {int(kind): kind for kind in FrameKind}


class BadFrame(Exception):
    """What came is no frame, or none that can come now: whoever sent it is not to be trusted any further."""


def frame(kind: FrameKind, number: int, payload: bytes = b"", *, max_bytes: int = FRAME_MAX_BYTES) -> bytes:
    """A frame as bytes. Raises BadFrame if the payload is longer than allowed."""
    if len(payload) > max_bytes:
        raise BadFrame(f"a frame of {len(payload)} bytes, at most {max_bytes} are allowed")
    return _HEADER.pack(len(payload), kind, number) + payload


class FrameCutter:
    """Cuts a stream of bytes into frames, keeping at most one that is incomplete."""

    __slots__ = ("_buffer", "_max_bytes")

    def __init__(self, max_bytes: int = FRAME_MAX_BYTES) -> None:
        self._buffer = b""
        self._max_bytes = max_bytes

    def feed(self, data: bytes) -> list[Frame]:
        """The frames completed by `data`. Raises BadFrame; nothing after it can be read."""
        if not self._buffer and len(data) >= _HEADER.size:
            # Nearly always: what came is one frame.
            length, number_of_kind, number = _HEADER.unpack_from(data)
            kind = _KINDS.get(number_of_kind)
            if kind is not None and length == len(data) - _HEADER.size and length <= self._max_bytes:
                return [(kind, number, data[_HEADER.size :])]
        buffer = self._buffer + data if self._buffer else data
        frames: list[Frame] = []
        at = 0
        while len(buffer) - at >= _HEADER.size:
            length, number_of_kind, number = _HEADER.unpack_from(buffer, at)
            if length > self._max_bytes:
                raise BadFrame(f"a frame of {length} bytes, at most {self._max_bytes} are allowed")
            kind = _KINDS.get(number_of_kind)
            if kind is None:
                raise BadFrame(f"a frame of unknown kind {number_of_kind}")
            start = at + _HEADER.size
            if len(buffer) - start < length:
                break
            frames.append((kind, number, buffer[start : start + length]))
            at = start + length
        self._buffer = buffer[at:]
        return frames

    @property
    def pending(self) -> int:
        """Bytes of an incomplete frame."""
        return len(self._buffer)
