"""The restart budget: how many crashes within how long. Pure."""

from __future__ import annotations

from collections import deque

from attrs import define, field, frozen
from attrs.validators import ge, gt


@frozen
class RestartLimit:
    """At most `restarts` restarts within any `within_s` seconds; the next crash finds the budget spent."""

    restarts: int = field(default=5, validator=ge(0))
    within_s: float = field(default=60.0, validator=gt(0))


@frozen
class Crash:
    """One crash that was charged to a budget."""

    path: str
    incarnation: int
    error: BaseException
    at_s: float
    """On the event loop's clock."""


@define
class RestartWindow:
    """A budget in use. `spend` is the only way to change it."""

    limit: RestartLimit
    _spent: deque[Crash] = field(factory=deque, init=False)

    def spend(self, crash: Crash) -> bool:
        """Charge one crash; False when that was one too many. Crashes must come in order of time."""
        while self._spent and crash.at_s - self._spent[0].at_s >= self.limit.within_s:
            self._spent.popleft()
        if len(self._spent) > self.limit.restarts:
            self._spent.popleft()
        self._spent.append(crash)
        return len(self._spent) <= self.limit.restarts

    @property
    def history(self) -> tuple[Crash, ...]:
        """The crashes charged within the last window, oldest first, the one too many included."""
        return tuple(self._spent)
