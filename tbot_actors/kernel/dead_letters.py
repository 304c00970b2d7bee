"""Messages nobody will handle: kept, counted, never silent."""

from __future__ import annotations

from collections import deque
from enum import Enum
from typing import Any

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
    """The most recent dead letters, and the count of all."""

    def __init__(self, recent_max: int = 1000) -> None:
        self.count = 0
        self._recent: deque[DeadLetter] = deque(maxlen=recent_max)

    def recent(self) -> tuple[DeadLetter, ...]:
        """The last ones, oldest first."""
        return tuple(self._recent)

    def add(self, letter: DeadLetter) -> None:
        """Count one and keep it, at the expense of the oldest."""
        self.count += 1
        self._recent.append(letter)
