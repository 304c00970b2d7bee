"""The venue's clock, and the user stream's way into the rooms."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from attrs import define, evolve
from trio.testing import MockClock

from tbot_actors.domain.messages import (
    Alarm,
    BalancesChanged,
    Cause,
    ClockOffset,
    OrderReport,
    StreamState,
)
from tbot_actors.kernel import Actor, Branch, Child, Strategy, System, Unavailable, handles, open_system
from tbot_actors.venues import (
    ClockSettings,
    Offset,
    Session,
    StreamEnding,
    Throttle,
    UserStream,
    VenueClock,
)
from tbot_actors.venues.clock import Sample, median, sample
from tests.venues.scripts import NS, START_NS, Inbox, ScriptedSession, listener, report, virtual_world


@define(eq=False)
class SteppingClock:
    """Trio's clock with a wall clock that a test steps."""

    step_ns: int = 0

    def monotonic_ns(self) -> int:
        return round(trio.current_time() * NS)

    def wall_ns(self) -> int:
        return START_NS + self.monotonic_ns() + self.step_ns


def test_the_offset_supposes_an_answer_half_way() -> None:
    assert sample(1_000, 50, 70, 1_510) == Sample(500, 20)


def test_one_slow_answer_shifts_nothing() -> None:
    samples = [Sample(10, 4), Sample(900, 4000), Sample(11, 4), Sample(9, 4), Sample(-700, 3000)]
    assert median(samples) == Sample(10, 4)


@define(eq=False)
class Clocks:
    """A venue clock at work."""

    system: System
    offset: Offset
    gateway: Inbox
    clock: SteppingClock
    sessions: list[ScriptedSession]


@asynccontextmanager
async def clocks(times: list[Any]) -> AsyncIterator[Clocks]:
    clock = SteppingClock()
    world = evolve(virtual_world(), clock=clock)
    offset, heard = Offset(), Inbox()
    sessions: list[ScriptedSession] = []
    system: System

    def open_session() -> Session:
        sessions.append(ScriptedSession(Throttle(clock), times=times))
        return sessions[-1]

    def venue_clock() -> VenueClock:
        settings = ClockSettings(samples=3)
        return VenueClock(
            "binance", open_session, gateway=system.directory["gateway"], offset=offset, settings=settings
        )

    gateway = listener([ClockOffset], heard)
    root = Branch(
        "root", Strategy.ONE_FOR_ONE, (Child("gateway", gateway, gateway), Child("clock", VenueClock, venue_clock))
    )
    async with open_system(root, world) as system:
        await system.wait_ready(timeout_s=600)
        yield Clocks(system, offset, heard, clock, sessions)
        await system.stop()


async def test_the_clock_is_measured_at_the_start_and_every_minute(autojump_clock: MockClock) -> None:
    times = [(0.2, 7 * NS), (4.0, 7 * NS), (0.2, 7 * NS), (0.1, 8 * NS), (0.1, 8 * NS), (0.1, 8 * NS)]
    async with clocks(times) as at:
        assert at.offset() == pytest.approx(7 * NS, abs=1000)
        (first,) = await at.gateway.wait_for(1)
        assert first.venue == "binance" and first.offset_ns == at.offset()
        assert first.error_ns == pytest.approx(NS // 10, abs=1000)
        measured_s = trio.current_time()
        await at.gateway.wait_for(2)
        assert trio.current_time() - measured_s == pytest.approx(60.3)
        assert at.offset() == pytest.approx(8 * NS, abs=1000)


async def test_a_step_of_our_own_clock_is_measured_at_once(autojump_clock: MockClock) -> None:
    async with clocks([]) as at:
        await at.gateway.wait_for(1)
        await trio.sleep(20)
        assert len(at.gateway.told) == 1
        at.clock.step_ns = 3600 * NS
        await trio.sleep(1.5)
        assert at.offset() == -3600 * NS and len(at.gateway.told) == 2


async def test_a_venue_that_does_not_tell_the_time_is_an_outage(autojump_clock: MockClock) -> None:
    async with clocks([Unavailable("refused"), Unavailable("refused")]) as at:
        assert len(at.sessions) == 3 and [session.closed for session in at.sessions] == [1, 1, 0]


async def test_one_lost_answer_later_is_no_outage_but_five_minutes_of_them_are(autojump_clock: MockClock) -> None:
    away = Unavailable("refused")
    async with clocks([(0, NS), (0, NS), (0, NS), away, (0, 2 * NS), (0, 2 * NS), (0, 2 * NS), *[away] * 100]) as at:
        await trio.sleep(66)
        assert at.offset() == 2 * NS and len(at.sessions) == 1
        await trio.sleep(280)
        assert len(at.sessions) == 1
        await trio.sleep(40)
        assert len(at.sessions) > 1


# The user stream

BALANCES = BalancesChanged("binance", {}, 1)


@define(eq=False)
class Streams:
    """A user stream at work."""

    system: System
    sessions: list[ScriptedSession]
    heard: dict[str, Inbox]

    def alarms(self) -> list[bool]:
        return [alarm.active for alarm in self.heard["watchdog"].told]

    def states(self) -> list[tuple[bool, int]]:
        return [(state.up, state.connection) for state in self.heard["reconciler"].told]


@asynccontextmanager
async def streams(*scripts: list[Any], orders_type: type[Actor] | None = None) -> AsyncIterator[Streams]:
    world = virtual_world()
    waiting = list(scripts)
    heard = {name: Inbox() for name in ("orders", "portfolio", "reconciler", "watchdog")}
    kinds = {"portfolio": BalancesChanged, "reconciler": StreamState, "watchdog": Alarm}
    rooms: dict[str, type[Actor]] = {name: listener([kind], heard[name]) for name, kind in kinds.items()}
    rooms["orders"] = orders_type or listener([OrderReport], heard["orders"])
    sessions: list[ScriptedSession] = []
    system: System

    def open_session() -> Session:
        sessions.append(ScriptedSession(Throttle(world.clock), items=waiting.pop(0) if waiting else []))
        return sessions[-1]

    def user_stream() -> UserStream:
        found = system.directory
        return UserStream(
            "binance",
            open_session,
            orders=found["orders"],
            reconciler=found["reconciler"],
            watchdog=found["watchdog"],
            balance_listeners=[found["portfolio"]],
        )

    children = (*(Child(name, kind, kind) for name, kind in rooms.items()), Child("stream", UserStream, user_stream))
    async with open_system(Branch("root", Strategy.ONE_FOR_ONE, children), world) as system:
        yield Streams(system, sessions, heard)
        await system.stop()


async def test_reports_go_to_orders_and_balances_to_their_listeners_in_order(autojump_clock: MockClock) -> None:
    async with streams([report("A"), BALANCES, report("B")]) as at:
        await trio.sleep(1)
        assert at.heard["orders"].told == [report("A"), report("B")] and at.heard["portfolio"].told == [BALANCES]
        assert at.states() == [(False, 1), (True, 1)] and at.alarms() == [True, False]
        alarm = at.heard["watchdog"].told[0]
        assert (alarm.cause, alarm.scope) == (Cause.STREAM_DOWN, "venue:binance")


@pytest.mark.parametrize("end", [Unavailable("silent"), StreamEnding("serverShutdown")], ids=repr)
async def test_the_end_of_a_stream_is_told_and_a_new_connection_has_a_new_number(
    end: Any, autojump_clock: MockClock
) -> None:
    async with streams([report("A"), end], [report("B")]) as at:
        await trio.sleep(5)
        assert at.states() == [(False, 1), (True, 1), (False, 1), (False, 2), (True, 2)]
        assert at.alarms() == [True, False, True, True, False]
        assert at.heard["orders"].told == [report("A"), report("B")]
        assert [session.closed for session in at.sessions] == [1, 0]


async def test_a_full_lane_of_orders_ends_the_connection_and_drops_nothing_silently(
    autojump_clock: MockClock,
) -> None:
    class Stuck(Actor):
        """Two places, and each message takes long."""

        capacity = 2

        @handles(OrderReport)
        async def on_report(self, message: OrderReport) -> None:
            await trio.sleep(100)

    reports = [report(f"A{number}") for number in range(10)]
    async with streams(reports, orders_type=Stuck) as at:
        await trio.sleep(5)
        assert at.states()[:3] == [(False, 1), (True, 1), (False, 1)]
        assert (True, 2) in at.states()


async def test_an_orderly_stop_is_no_alarm(autojump_clock: MockClock) -> None:
    async with streams([]) as at:
        await trio.sleep(1)
    assert at.alarms() == [True, False] and [session.closed for session in at.sessions] == [1]
