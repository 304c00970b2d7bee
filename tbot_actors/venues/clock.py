"""Keeps the venue's clock known: measures it, shifts the offset that requests are stamped by, and tells the gateway."""

import math
from collections.abc import Callable, Sequence

import trio
from attrs import frozen

from tbot_actors.domain.messages import ClockOffset
from tbot_actors.kernel import Actor, Address, Unavailable
from tbot_actors.venues.dialect import Session
from tbot_actors.venues.offset import Offset
from tbot_actors.venues.settings import ClockSettings

_CLOSE_S = 1.0
_NS = 1_000_000_000


@frozen
class Sample:
    """One question for the venue's time."""

    offset_ns: int
    """Venue minus ours, supposing that the venue answered half-way."""
    round_trip_ns: int


def sample(asked_wall_ns: int, asked_ns: int, answered_ns: int, venue_ns: int) -> Sample:
    """`asked_ns` and `answered_ns` are monotonic; `asked_wall_ns` is our wall clock at the asking."""
    round_trip_ns = answered_ns - asked_ns
    return Sample(venue_ns - (asked_wall_ns + round_trip_ns // 2), round_trip_ns)


def median(samples: Sequence[Sample]) -> Sample:
    """The sample with the median offset, of equal ones the quickest: one slow answer shifts nothing."""
    return sorted(samples, key=lambda one: (one.offset_ns, one.round_trip_ns))[len(samples) // 2]


class VenueClock(Actor):
    """Measures at the start and then every period. Works without a login, so a wrong clock here never keeps us out."""

    def __init__(
        self,
        venue: str,
        open_session: Callable[[], Session],
        *,
        gateway: Address,
        offset: Offset,
        settings: ClockSettings | None = None,
    ) -> None:
        self._venue = venue
        self._open_session = open_session
        self._gateway = gateway
        self._offset = offset
        self._settings = settings or ClockSettings()
        self._learned_s = -math.inf

    async def started(self) -> None:
        """Start measuring."""
        self.context.spawn(self._measure, name=f"{self.context.path}: measuring")

    async def _measure(self) -> None:
        session = self._open_session()
        try:
            while True:
                await self._rest(await self._measured(session))
        finally:
            with trio.move_on_after(_CLOSE_S, shield=True):
                await session.aclose()

    async def _measured(self, session: Session) -> float:
        """Measure, and return how long to rest. A failure while the last result is fresh is no outage: one lost answer
        must not restart the gateway, which shares its fate with this actor, in the middle of its requests."""
        try:
            found = median([await self._sample(session) for _ in range(self._settings.samples)])
        except Unavailable:
            if trio.current_time() - self._learned_s > self._settings.stale_max_s:
                raise
            return self._settings.retry_s
        self._learned(found)
        return self._settings.period_s

    async def _rest(self, rest_s: float) -> None:
        """Until the next measurement is due, or our own wall clock steps."""
        settings, clock = self._settings, self.context.world.clock
        due_s = trio.current_time() + rest_s
        began_ns = clock.wall_ns() - clock.monotonic_ns()
        while (left_s := due_s - trio.current_time()) > 0:
            await trio.sleep(min(left_s, settings.step_look_s))
            if abs(clock.wall_ns() - clock.monotonic_ns() - began_ns) > settings.step_max_s * _NS:
                return

    async def _sample(self, session: Session) -> Sample:
        clock = self.context.world.clock
        asked_wall_ns, asked_ns = clock.wall_ns(), clock.monotonic_ns()
        venue_ns = await session.server_time()
        return sample(asked_wall_ns, asked_ns, clock.monotonic_ns(), venue_ns)

    def _learned(self, found: Sample) -> None:
        self._offset.ns = found.offset_ns
        self._learned_s = trio.current_time()
        self._gateway.tell(ClockOffset(self._venue, found.offset_ns, found.round_trip_ns // 2))
        self.context.ready()
