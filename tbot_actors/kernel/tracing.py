"""A trace of one actor: the last messages it took in hand, and what came of them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from enum import Enum
from typing import Any

from attrs import frozen


class TraceOutcome(Enum):
    """How a traced message ended."""

    HANDLED = "handled"
    STASHED = "stashed"
    UNFINISHED = "unfinished"
    """The incarnation ended with it in hand."""


@frozen
class Traced:
    """One message that was taken in hand."""

    message: Any
    sender: str | None
    """Path of the actor that sent it; None for timers, notices and whoever is no actor."""
    incarnation: int
    taken_ns: int
    """Monotonic time."""
    waited_ns: int
    """In the mailbox."""
    took_ns: int
    reply: Any
    """What the handler returned."""
    outcome: TraceOutcome


class Tracing:
    """Under way from `System.trace` until `stop`, over restarts too. It keeps the last entries, and counts all."""

    def __init__(self, last_max: int, stop: Callable[[Tracing], None]) -> None:
        self.count = 0
        self._entries: deque[Traced] = deque(maxlen=last_max)
        self._stop = stop

    def entries(self) -> tuple[Traced, ...]:
        """The last ones, oldest first."""
        return tuple(self._entries)

    def add(self, entry: Traced) -> None:
        """Count one and keep it, at the expense of the oldest."""
        self.count += 1
        self._entries.append(entry)

    def stop(self) -> None:
        """Trace no further; what was found stays readable."""
        self._stop(self)
