"""What a supervisor, or a person, orders an actor to do: the part of the control lane that is no message."""

from __future__ import annotations

from enum import Enum
from typing import Any

import trio
from attrs import frozen


class Order(Enum):
    """Orders without a content."""

    STOP = "stop"
    """From the supervisor."""
    FINISH = "finish"
    """From itself."""
    SUSPEND = "suspend"
    RESUME = "resume"


@frozen(eq=False)
class CrashOrder:
    """Raise this inside the actor."""

    error: BaseException


class ShowOrder:
    """Call `Actor.show`, for somebody who waits for the result."""

    __slots__ = ("done", "error", "value")

    def __init__(self) -> None:
        self.done = trio.Event()
        self.value: Any = None
        self.error: BaseException | None = None

    def answer(self, value: Any) -> None:
        """Hand over the result."""
        self.value = value
        self.done.set()

    def fail(self, error: BaseException) -> None:
        """There will be none."""
        self.error = error
        self.done.set()
