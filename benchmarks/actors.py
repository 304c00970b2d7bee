"""The kernel's side of each figure: a real system in the real world, every counter on, only the log's output off."""

from __future__ import annotations

import statistics
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import perf_counter

import trio
from attrs import frozen

from benchmarks.raw import Tick
from tbot_actors.kernel import (
    Actor,
    Address,
    Backoff,
    Branch,
    Child,
    RestartLimit,
    Strategy,
    System,
    handles,
    open_system,
)
from tbot_actors.world import real_world

BURST = 1000
"""Messages told at once; one capacity of 1024 takes them."""
NO_WAIT = Backoff(first_s=0, cap_s=0)
OFTEN = RestartLimit(1000, 0.001)
PATIENCE_S = 5.0


@frozen
class Done:
    """The last of a burst."""

    number: int


@frozen
class Fail:
    """Crash on it."""

    number: int


class _Boom(Exception):
    pass


class _Bench(Actor):
    """Counts ticks and answers them."""

    def __init__(self) -> None:
        self.count = 0
        self.idle = trio.Event()

    @handles(Tick)
    async def on_tick(self, message: Tick) -> int:
        self.count += 1
        return message.number

    @handles(Done)
    async def on_done(self, message: Done) -> None:
        self.idle.set()


class _Starts:
    """Counts starts, says when all that are waited for have come, and how long that took from the crash."""

    def __init__(self) -> None:
        self.left = 0
        self.all = trio.Event()
        self.crashed_at_s = 0.0
        self.took_s = 0.0

    def expect(self, count: int) -> None:
        self.left = count
        self.all = trio.Event()

    def one(self) -> None:
        self.left -= 1
        if self.left == 0:
            self.took_s += perf_counter() - self.crashed_at_s
            self.all.set()


class _Starting(Actor):
    """Says when it crashes, and when it has started."""

    def __init__(self, starts: _Starts) -> None:
        self.starts = starts

    async def started(self) -> None:
        self.starts.one()

    @handles(Fail)
    async def on_fail(self, message: Fail) -> None:
        self.starts.crashed_at_s = perf_counter()
        raise _Boom


@asynccontextmanager
async def _system(*children: Child | Branch, strategy: Strategy = Strategy.ONE_FOR_ONE) -> AsyncIterator[System]:
    branch = Branch("bench", strategy, children, OFTEN, NO_WAIT)
    async with open_system(branch, real_world(hosts=(), seed=1)) as system:
        yield system


@asynccontextmanager
async def _one() -> AsyncIterator[tuple[_Bench, Address]]:
    actor = _Bench()
    async with _system(Child("one", _Bench, lambda: actor)) as system:
        address = system.directory["one"]
        assert await address.ask(Tick(7), timeout_s=PATIENCE_S) == 7
        yield actor, address


async def burst_tell(count: int) -> float:
    """Seconds per message told in bursts and handled."""
    async with _one() as (actor, address):
        began = perf_counter()
        for _ in range(count // BURST):
            actor.idle = trio.Event()
            for number in range(BURST - 1):
                address.tell(Tick(number))
            address.tell(Done(BURST))
            await actor.idle.wait()
        return (perf_counter() - began) / count


async def paced_tell(count: int) -> float:
    """Seconds per message when the producer lets others run after each."""
    async with _one() as (actor, address):
        actor.idle = trio.Event()
        began = perf_counter()
        for number in range(count - 1):
            address.tell(Tick(number))
            await trio.lowlevel.checkpoint()
        address.tell(Done(count))
        await actor.idle.wait()
        return (perf_counter() - began) / count


async def ask(count: int) -> float:
    """Seconds per question with a timeout, cycle detection included."""
    async with _one() as (_, address):
        began = perf_counter()
        for number in range(count):
            await address.ask(Tick(number), timeout_s=PATIENCE_S)
        return (perf_counter() - began) / count


async def spawn(count: int) -> float:
    """Seconds per supervised actor, from `start_child` to `started()`, mailbox, address and path included."""
    starts = _Starts()
    async with _system() as system:
        starts.expect(count)
        began = perf_counter()
        for number in range(count):
            await system.start_child("", Child(f"a{number}", _Starting, lambda: _Starting(starts)))
        await starts.all.wait()
        return (perf_counter() - began) / count


async def restart(count: int, strategy: Strategy, siblings: int) -> float:
    """Seconds from the exception in one actor's handler to the last `started()` that follows."""
    starts = _Starts()
    children = [Child(f"a{number}", _Starting, lambda: _Starting(starts)) for number in range(siblings + 1)]
    starts.expect(siblings + 1)
    async with _system(*children, strategy=strategy) as system:
        await starts.all.wait()
        starts.took_s = 0.0
        for number in range(count):
            starts.expect(siblings + 1 if strategy is Strategy.ONE_FOR_ALL else 1)
            system.directory["a0"].tell(Fail(number))
            await starts.all.wait()
    return starts.took_s / count


async def neighbour_ask(count: int, *, flooded: bool) -> float:
    """The median question to an idle actor, beside one that is flooded through all of its capacity, or is not."""
    flooded_actor, neighbour = _Bench(), _Bench()
    flooding = trio.CancelScope()

    async def flood(address: Address) -> None:
        with flooding:
            while True:
                flooded_actor.idle = trio.Event()
                for number in range(BURST - 1):
                    address.tell(Tick(number))
                address.tell(Done(BURST))
                await flooded_actor.idle.wait()

    times: list[float] = []
    children = Child("flooded", _Bench, lambda: flooded_actor), Child("neighbour", _Bench, lambda: neighbour)
    async with _system(*children) as system, trio.open_nursery() as nursery:
        address = system.directory["neighbour"]
        if flooded:
            nursery.start_soon(flood, system.directory["flooded"])
        for number in range(count):
            began = perf_counter()
            await address.ask(Tick(number), timeout_s=PATIENCE_S)
            times.append(perf_counter() - began)
        flooding.cancel()
    return statistics.median(times)
