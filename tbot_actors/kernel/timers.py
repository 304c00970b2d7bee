"""Timers: messages an actor sends to its later self."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import trio

from tbot_actors.kernel.places import Slot

if TYPE_CHECKING:
    from tbot_actors.kernel.actor import Handling
    from tbot_actors.kernel.deadlines import Deadlines
    from tbot_actors.kernel.mailbox import Mailbox

TIMERS_MAX = 10_000
"""Timers at work in one incarnation."""


class Timer:
    """A message to come, once or periodically, until cancelled or the incarnation ends.

    It needs no room in the mailbox, as it has at most one message there: a tick that comes while the one before it is
    still waiting is skipped. A periodic timer keeps to its grid: late ticks do not shift, or add to, those after them.
    """

    __slots__ = ("_box", "_deadline", "_deadlines", "_due_s", "_group", "_message", "_period_s", "_rule", "_tick")

    def __init__(
        self,
        box: Mailbox,
        rule: Handling,
        message: Any,
        deadlines: Deadlines,
        group: dict[Timer, None],
        delay_s: float,
        *,
        periodic: bool,
    ) -> None:
        self._box = box
        self._rule = rule
        self._message = message
        self._deadlines = deadlines
        self._group = group
        self._period_s = delay_s if periodic else None
        self._tick: Tick | None = None
        self._due_s = trio.current_time() + delay_s
        self._deadline = deadlines.at(self._due_s, self._fire)
        group[self] = None

    def cancel(self) -> None:
        """No further message, not even one that already waits in the mailbox."""
        self._group.pop(self, None)
        self._deadline.cancel()
        if self._tick is not None:
            self._box.withdraw(self._tick)

    def _fire(self) -> None:
        if self._period_s is not None:
            now_s = trio.current_time()
            missed = int((now_s - self._due_s) / self._period_s)
            self._due_s += (missed + 1) * self._period_s
            self._deadline = self._deadlines.at(self._due_s, self._fire)
        if self._tick is None:
            self._tick = Tick(self._message, self._rule, self)
            self._box.append((self._tick, None, self._box.now_ns()))

    def _taken(self) -> None:
        self._tick = None
        if self._period_s is None:
            self._group.pop(self, None)


class Tick(Slot):
    """The waiting message of a timer."""

    __slots__ = ("_timer",)

    def __init__(self, message: Any, rule: Handling, timer: Timer) -> None:
        super().__init__(message, rule)
        self._timer = timer

    def leave(self, box: Mailbox) -> None:
        self._timer._taken()
