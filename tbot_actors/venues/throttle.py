"""The venue's rate limits, fed by its own headers. One per venue and address, shared by every session of the process.

Pure bookkeeping: it never waits, it says how long. A 429 or 418 bars until the exact moment the venue named; below
that, fixed shares of each limit keep room for cancels, and for safety above all. For Binance: `rest-api.md`, LIMITS.
"""

from enum import Enum

from attrs import define, field

from tbot_actors.world import Clock

_NS = 1_000_000_000


class Counted(Enum):
    """What a limit counts."""

    WEIGHT = "WEIGHT"
    """Request weight, of everything."""
    ORDERS = "ORDERS"
    """New orders."""


class Use(Enum):
    """What a request is for, and with it the share of each limit that it may use up."""

    READ = 0.5
    SUBMIT = 0.75
    CANCEL = 0.95
    SAFETY = 1.0


@define
class _Window:
    """At most `limit` per aligned interval of the venue's wall clock. None: not known yet, bars nothing."""

    limit: int | None = None
    used: int = 0
    slot: int = -1


@define(eq=False)
class Throttle:
    """What may be sent now."""

    _clock: Clock
    _windows: dict[tuple[Counted, int], _Window] = field(factory=dict, init=False)
    _barred_until_ns: dict[Counted, int] = field(factory=dict, init=False)

    def learn(self, counted: Counted, period_s: int, limit: int) -> None:
        """The venue states a limit per `period_s`."""
        self._window(counted, period_s).limit = limit

    def seen(self, counted: Counted, period_s: int, used: int) -> None:
        """The venue says how much of a limit is used up: its count replaces ours."""
        self._window(counted, period_s).used = used

    def spend(self, counted: Counted, amount: int) -> None:
        """Something is about to be sent."""
        for (kind, period_s) in self._windows:
            if kind is counted:
                self._window(kind, period_s).used += amount

    def bar(self, counted: Counted, wait_s: float) -> None:
        """The venue ordered a pause. ORDERS bars new orders only, WEIGHT bars everything."""
        until_ns = self._clock.monotonic_ns() + round(wait_s * _NS)
        self._barred_until_ns[counted] = max(until_ns, self._barred_until_ns.get(counted, 0))

    def barred_s(self, use: Use) -> float:
        """Seconds until the pause that the venue ordered is over for this use; 0 without one."""
        now_ns = self._clock.monotonic_ns()
        ends_ns = [until for counted, until in self._barred_until_ns.items() if _concerns(counted, use)]
        return max(0, max(ends_ns, default=0) - now_ns) / _NS

    def wait_s(self, use: Use, weight: int = 1) -> float:
        """Seconds until a request of this weight may be sent for this use; 0 = now."""
        wait_ns = 0
        wall_ns = self._clock.wall_ns()
        for (counted, period_s) in self._windows:
            window = self._window(counted, period_s)
            amount = weight if counted is Counted.WEIGHT else 1
            if window.limit is None or not _concerns(counted, use):
                continue
            if not (window.used + amount <= window.limit * use.value):
                wait_ns = max(wait_ns, period_s * _NS - wall_ns % (period_s * _NS))
        return max(self.barred_s(use), wait_ns / _NS)

    def _window(self, counted: Counted, period_s: int) -> _Window:
        window = self._windows.setdefault((counted, period_s), _Window())
        slot = self._clock.wall_ns() // (period_s * _NS)
        if slot != window.slot:
            window.slot, window.used = slot, 0
        return window


def _concerns(counted: Counted, use: Use) -> bool:
    return counted is Counted.WEIGHT or use in (Use.SUBMIT, Use.SAFETY)
