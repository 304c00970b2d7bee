"""A small durable value that survives a torn write: two checksummed slots, written in turn."""

import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import Final

from tbot_actors.world.disk import DiskFailure

__all__ = ["SlotFile", "SlotsUnreadable"]

MAGIC: Final = b"TBOTSLOT"
HEADER: Final = struct.Struct(">8sQI")
DIGEST_BYTES: Final = 16
NEVER: Final = 0
"""The counter of a fresh file; values count from 1."""
# A write touches no sector of the other slot, on any disk in use.
SLOT_ALIGNMENT: Final = 4096


class SlotsUnreadable(DiskFailure):
    """Neither slot holds a whole value, although the file is not a fresh one. Assume the worst of what it guarded."""


class SlotFile:
    """Holds the last value written, at all times and through crashes: the other slot is never touched by a write.

    Several processes may have it open; they take turns by a lock of their own. Opened by `Files.open_slots`.
    """

    def __init__(self, path: Path, descriptor: int, size: int) -> None:
        """Takes over the open `descriptor` of `path`, a file made of `SlotFile.blank(size)`."""
        self._path = path
        self._descriptor = descriptor
        self._size = size

    @staticmethod
    def blank(size: int) -> bytes:
        """The content of a fresh file for values of up to `size` bytes.

        It says that nothing was written yet, rather than being empty: a file that a power loss filled with zeros must
        not read as a latch that nobody ever set.
        """
        assert size > 0
        never = HEADER.pack(MAGIC, NEVER, 0)
        return (never + _digest(never)).ljust(2 * _slot_bytes(size), b"\0")

    def read(self) -> bytes | None:
        """The value written last (or the one before it, if that write never finished); None if none ever was.

        Raises:
            SlotsUnreadable: neither slot verifies.
            DiskFailure: the file could not be read.
        """
        content, slot_bytes = self._content(), _slot_bytes(self._size)
        if len(content) == 2 * slot_bytes and (verified := _verified_slots(content, slot_bytes)):
            counter, data = max(verified)
            if counter != NEVER:
                return data
            if not any(content[slot_bytes:]):
                return None
            # The first value is torn, or damaged since: whatever it was, it was not nothing.
        raise SlotsUnreadable(f"{self._path} is damaged: neither of its two slots holds a whole value of this size")

    def write(self, data: bytes) -> None:
        """Replaces the value; durable on return. Works on an unreadable file too, and mends it.

        Raises:
            ValueError: `data` is longer than the file's `size`.
            DiskFailure: the disk refused; the file holds the old value or the new one.
        """
        if len(data) > self._size:
            raise ValueError(f"{len(data)} bytes do not fit in the {self._size} of {self._path}")
        content, slot_bytes = self._content(), _slot_bytes(self._size)
        counter = max((counter for counter, _ in _verified_slots(content, slot_bytes)), default=0) + 1
        record = HEADER.pack(MAGIC, counter, len(data)) + data
        with self._said("write"):
            _write_at(self._descriptor, record + _digest(record), counter % 2 * slot_bytes)
            os.fsync(self._descriptor)
            if len(content) != 2 * slot_bytes:
                # A damaged file gets its length last: with it, and without the new value, an old one could look whole.
                os.ftruncate(self._descriptor, 2 * slot_bytes)
                os.fsync(self._descriptor)

    def _content(self) -> bytes:
        with self._said("read"):
            return os.pread(self._descriptor, 2 * _slot_bytes(self._size) + 1, 0)

    @contextmanager
    def _said(self, verb: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise DiskFailure(f"cannot {verb} {self._path}: {error.strerror or error}; check the disk") from error

    def close(self) -> None:
        """Closes the file. Idempotent."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _slot_bytes(size: int) -> int:
    needed = HEADER.size + size + DIGEST_BYTES
    return -(-needed // SLOT_ALIGNMENT) * SLOT_ALIGNMENT


def _digest(content: bytes) -> bytes:
    return blake2b(content, digest_size=DIGEST_BYTES).digest()


def _verified_slots(content: bytes, slot_bytes: int) -> list[tuple[int, bytes]]:
    """The (counter, value) of each slot that holds a whole value."""
    verified = []
    for slot in (content[:slot_bytes], content[slot_bytes : 2 * slot_bytes]):
        if len(slot) >= HEADER.size:
            magic, counter, length = HEADER.unpack_from(slot)
            end = HEADER.size + length
            if magic == MAGIC and slot[end : end + DIGEST_BYTES] == _digest(slot[:end]):
                verified.append((counter, slot[HEADER.size : end]))
    return verified


def _write_at(descriptor: int, data: bytes, offset: int) -> None:
    while data:
        written = os.pwrite(descriptor, data, offset)
        data, offset = data[written:], offset + written
