"""Text for a reader that may be slow, stopped or gone: whoever writes it neither waits nor fails."""

import os
import threading
from collections import deque
from io import TextIOBase
from typing import Final

__all__ = ["Outlet"]

WAITING_MAX: Final = 1 << 20
"""Bytes that wait for a slow reader."""


class Outlet(TextIOBase):
    """A stream whose writes return at once; a thread of its own hands them on.

    A terminal stopped with Ctrl-S, a pager that shows its first page or a dead connection would otherwise hold up the
    loop, and with it everything that trades. Where more than `waiting_max` bytes wait, the oldest writes are lost: each
    is lost as a whole. Once the reader has gone all of them are.
    """

    def __init__(self, descriptor: int, encoding: str = "utf-8", waiting_max: int = WAITING_MAX) -> None:
        """Writes to an open descriptor, which stays open."""
        assert waiting_max > 0, f"{waiting_max} bytes hold nothing"
        self.lost = 0
        """Writes that nobody will read."""
        self._descriptor = descriptor
        self._encoding = encoding
        self._waiting_max = waiting_max
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._in_hand = False
        self._gone = False
        self._ending = False
        self._changed = threading.Condition()
        # A thread that waits for its reader for ever must not keep the process.
        self._thread = threading.Thread(target=self._hand_on, name=f"outlet {descriptor}", daemon=True)
        self._thread.start()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """Of the reader."""
        return self._encoding

    def fileno(self) -> int:
        """The descriptor."""
        return self._descriptor

    def isatty(self) -> bool:
        """Whether a person reads it."""
        return os.isatty(self._descriptor)

    def writable(self) -> bool:
        """Yes."""
        return True

    def write(self, text: str) -> int:
        """Take it. Raises nothing."""
        data = text.encode(self._encoding, errors="backslashreplace")
        with self._changed:
            self._waiting.append(data)
            self._waiting_bytes += len(data)
            refused = self._gone or self._ending
            while self._waiting and (refused or (self._waiting_bytes > self._waiting_max and len(self._waiting) > 1)):
                self._waiting_bytes -= len(self._waiting.popleft())
                self.lost += 1
            self._changed.notify_all()
        return len(text)

    def flush(self) -> None:
        """Nothing is held back on purpose."""

    def drain(self, within_s: float) -> bool:
        """Wait until everything has been handed on, at most so long; whether it has."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._waiting and not self._in_hand, within_s)

    def close(self) -> None:
        """Take nothing more; what waits is still handed on. Idempotent; the descriptor stays open."""
        with self._changed:
            self._ending = True
            self._changed.notify_all()

    def _hand_on(self) -> None:
        while not self._gone:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._ending)
                if not self._waiting:
                    return
                data = self._waiting.popleft()
                self._waiting_bytes -= len(data)
                self._in_hand = True
            left = self._give(data)
            with self._changed:
                self._in_hand = False
                if left:
                    self._gone = True
                    self.lost += 1 + len(self._waiting)
                    self._waiting.clear()
                    self._waiting_bytes = 0
                self._changed.notify_all()

    def _give(self, data: bytes) -> bytes:
        """What could not be given because the reader has gone."""
        try:
            while data:
                data = data[os.write(self._descriptor, data) :]
        except OSError:
            return data
        return b""
