"""The newest events in memory, so that those who follow closely are served without the disk."""

from collections.abc import Iterable

from tbot_actors.domain.events import Event


class Tail:
    """The last events of the journal, contiguous up to `head`."""

    def __init__(self, kept: int) -> None:
        self._kept = kept
        self._events: list[Event] = []
        self.head = 0
        """Sequence of the newest event."""

    def restart(self, head: int) -> None:
        """Know nothing up to `head`, and everything from there on."""
        self._events.clear()
        self.head = head

    def add(self, events: Iterable[Event]) -> None:
        """Take in the events that follow `head`."""
        before = len(self._events)
        self._events.extend(events)
        self.head += len(self._events) - before
        # Cutting at twice the size keeps it O(1) per event.
        if len(self._events) > 2 * self._kept:
            del self._events[: -self._kept]

    def page(self, after: int, limit: int) -> tuple[Event, ...] | None:
        """At most `limit` events after `after`; None where they go further back than what is kept."""
        assert after <= self.head, f"page after {after}, head {self.head}"
        start = len(self._events) - (self.head - after)
        return None if start < 0 else tuple(self._events[start : start + limit])
