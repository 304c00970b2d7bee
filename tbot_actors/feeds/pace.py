"""How soon the next snapshot may be asked for: at once after a calm time, ever later while they do not help. Pure."""

from collections.abc import Callable, Iterator


class Pace:
    """The waits of one instrument. A snapshot is dear at the venue, and the rate limit is the one that orders need."""

    def __init__(self, waits: Callable[[], Iterator[float]], calm_s: float) -> None:
        """`waits`: the growing waits of one bad time, from its first on; `calm_s` without a request end it."""
        self._waits = waits
        self._calm_s = calm_s
        self._next = waits()
        self._free_s: float | None = None

    def wait_s(self, now_s: float) -> float:
        """How long to wait before a request that is wanted now."""
        if self._free_s is None or now_s > self._free_s + self._calm_s:
            self._next = self._waits()
            wait_s = 0.0
        else:
            wait_s = next(self._next)
        self._free_s = now_s + wait_s
        return wait_s
