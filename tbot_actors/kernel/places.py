"""Places in a mailbox: the bounds that they count against, and what can change or vanish while it waits in one."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

import trio

from tbot_actors.kernel.errors import AskTimeout

if TYPE_CHECKING:
    from tbot_actors.kernel.actor import Handling
    from tbot_actors.kernel.cell import Cell
    from tbot_actors.kernel.mailbox import Mailbox


class WaitingSend:
    """A producer that waits for a place."""

    __slots__ = ("ended", "message", "sender", "taken")

    def __init__(self, message: Any, sender: Cell | None) -> None:
        self.message = message
        self.sender = sender
        self.taken = False
        self.ended = trio.Event()


class Lane:
    """A bound: shared by one or more BLOCK and REJECT classes, or of one droppable class."""

    __slots__ = ("count", "places", "room", "waiting")

    def __init__(self, room: int, *, droppable: bool) -> None:
        self.room = room
        self.count = 0
        self.places: dict[Hashable, Droppable] | None = {} if droppable else None
        """Of a droppable class: what waits, by key, oldest first."""
        self.waiting: deque[WaitingSend] | None = None
        """Producers who wait for a place; None until somebody has to."""


class Slot:
    """A place in the user lane whose content can change, or vanish, while it waits."""

    __slots__ = ("live", "message", "rule")

    def __init__(self, message: Any, rule: Handling) -> None:
        self.message = message
        self.rule = rule
        self.live = True

    def leave(self, box: Mailbox) -> None:
        """Give up whatever bound the place counted against."""


class Notice(Slot):
    """A notice about an actor that waits behind the last message of that actor."""

    __slots__ = ("about",)

    def __init__(self, message: Any, rule: Handling, about: Cell) -> None:
        super().__init__(message, rule)
        self.about = about


class Droppable(Slot):
    """The place of a DROP_OLDEST or CONFLATE message."""

    __slots__ = ("key",)

    def __init__(self, message: Any, rule: Handling, key: Hashable) -> None:
        super().__init__(message, rule)
        self.key = key

    def leave(self, box: Mailbox) -> None:
        places = box.lanes[self.rule.lane].places
        assert places is not None
        del places[self.key]


class Ask(Slot):
    """A question, and where its answer goes."""

    __slots__ = ("_box", "done", "error", "queued", "settled", "timeout_s", "value")

    def __init__(self, message: Any, rule: Handling, box: Mailbox, timeout_s: float) -> None:
        super().__init__(message, rule)
        self.timeout_s = timeout_s
        self.queued = True
        self.settled = False
        self.done = trio.Event()
        self.value: Any = None
        self.error: BaseException | None = None
        self._box = box

    def leave(self, box: Mailbox) -> None:
        self.queued = False
        box.release(box.lanes[self.rule.lane])

    def answer(self, value: Any) -> None:
        """Give the reply to the asker, if it still waits."""
        if not self.settled:
            self.settled = True
            self.value = value
            self._box.pulse.wakes += 1
            self.done.set()

    def fail(self, error: BaseException) -> None:
        """Tell the asker, if it still waits, that there will be no reply."""
        if not self.settled:
            self.settled = True
            self.error = error
            self._box.pulse.wakes += 1
            self.done.set()

    def expire(self) -> None:
        """The time is up: withdraw it if it is still queued, then tell the asker."""
        in_hand = not self.queued
        if self.queued:
            self._box.withdraw(self)
        self.fail(AskTimeout(self._box.path, type(self.message), self.timeout_s, in_hand=in_hand))

    def abandon(self) -> None:
        """Nobody waits any more."""
        self.settled = True
        if self.queued:
            self._box.withdraw(self)
