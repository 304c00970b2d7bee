"""Messages nobody will handle: kept, counted, never silent."""

from __future__ import annotations

from collections import deque
from enum import Enum
from typing import Any

import trio
from attrs import frozen


class DeadLetterReason(Enum):
    """Why a message was not handled."""

    CRASHED = "in hand at a crash"
    KILLED = "in hand at a kill"
    UNHANDLED = "no handler for its type"
    GONE = "the actor is gone"
    GROUP_RESTART = "sent within a group that was restarted"
    FULL = "no room left for notices"


@frozen
class DeadLetter:
    """One message that was not handled."""

    message: Any
    to: str
    """Path of the actor it was meant for."""
    reason: DeadLetterReason
    error: BaseException | None
    """The crash, with its traceback, where there was one."""


class DeadLetters:
    """The most recent dead letters, the count of all, and a stream of those to come."""

    def __init__(self, recent_max: int = 1000) -> None:
        self.count = 0
        self.closed = False
        """No more will come."""
        self._recent: deque[DeadLetter] = deque(maxlen=recent_max)
        self._more: trio.Event | None = None
        """Exists only while somebody waits."""

    def recent(self) -> tuple[DeadLetter, ...]:
        """The last ones, oldest first."""
        return tuple(self._recent)

    def follow(self) -> DeadLetterStream:
        """Those that come from now on, for one reader: `async for letter in system.dead_letters.follow()`."""
        return DeadLetterStream(self)

    def add(self, letter: DeadLetter) -> None:
        """Count one and keep it, at the expense of the oldest."""
        self.count += 1
        self._recent.append(letter)
        self._wake()

    def close(self) -> None:
        """End all streams, when they have been read."""
        self.closed = True
        self._wake()

    def _wake(self) -> None:
        if self._more is not None:
            self._more.set()
            self._more = None


class DeadLetterStream:
    """One reader's place among the dead letters. It buffers nothing: who is too slow misses some, and can see it."""

    def __init__(self, letters: DeadLetters) -> None:
        self.missed = 0
        """Fell out of the recent ones before they were read here."""
        self._letters = letters
        self._read = letters.count

    def __aiter__(self) -> DeadLetterStream:
        return self

    async def __anext__(self) -> DeadLetter:
        """The next one, oldest first; the stream ends with the system."""
        letters = self._letters
        await trio.lowlevel.checkpoint()
        while self._read == letters.count:
            if letters.closed:
                raise StopAsyncIteration
            if letters._more is None:
                letters._more = trio.Event()
            await letters._more.wait()
        oldest = letters.count - len(letters._recent)
        self.missed += max(0, oldest - self._read)
        self._read = max(oldest, self._read) + 1
        return letters._recent[self._read - 1 - oldest]
