"""Time: one reading for ages and timeouts, one for stamps. Both are integer nanoseconds."""

import time
from typing import Protocol

import trio
from attrs import frozen

__all__ = ["Clock", "SystemClock", "TrioClock"]


class Clock(Protocol):
    """Reads the time. For waiting there is `trio.sleep` and its relatives, which a virtual clock drives as well."""

    def monotonic_ns(self) -> int:
        """Nanoseconds since an arbitrary moment; never goes back. For ages and timeouts."""
        ...

    def wall_ns(self) -> int:
        """Nanoseconds since 1970-01-01 UTC; may step. For stamps, venue protocols and what must outlive a reboot."""
        ...


@frozen
class SystemClock(Clock):
    """The machine's clocks."""

    # Read twice for each message in the system: not even a call of our own around it.
    monotonic_ns = staticmethod(time.monotonic_ns)
    """Nanoseconds of the system's monotonic clock."""

    def wall_ns(self) -> int:
        """Nanoseconds of the system's wall clock, UTC."""
        return time.time_ns()


@frozen
class TrioClock(Clock):
    """Both readings from trio's own clock: virtual time under an autojump clock. Reads inside `trio.run` only.

    A virtual trio clock starts at zero, and the wall clock then shows `wall_start_ns`. Two of them with the same start
    always agree, so a simulated process that is started again finds the time where it was.
    """

    wall_start_ns: int
    """Nanoseconds UTC when trio's clock shows zero."""

    def monotonic_ns(self) -> int:
        """Nanoseconds of trio's clock."""
        return round(trio.current_time() * 1_000_000_000)

    def wall_ns(self) -> int:
        """Nanoseconds UTC: `wall_start_ns` plus trio's clock."""
        return self.wall_start_ns + self.monotonic_ns()
