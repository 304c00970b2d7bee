"""The process host: what a round trip costs, and what a strategy that computes does to its neighbours.

`process_round_trip` is one sample, for a ratio of minima against a raw ping-pong; `blocked_neighbour_p99` is the ratio.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from time import perf_counter

import trio
from attrs import frozen

from benchmarks.burner import VOCABULARY, Burn, Ping
from tbot_actors.kernel import Actor, Branch, Child, Strategy, System, handles, open_system
from tbot_actors.kernel.host import ProcessActor, forwards
from tbot_actors.world import real_world

TICK_S = 0.005
BURN_S = 0.2
BURN_PERIOD_S = 0.5
SIDE_S = 4.0
"""Of each side in each round: 800 ticks."""
BLOCKED_ROUNDS = 5


class BurnerHost(ProcessActor):
    """Hands everything to its process."""

    worker = f"{Path(__file__).with_name('burner.py')}:Burner"
    vocabulary = VOCABULARY
    on_ping = forwards(Ping)
    on_burn = forwards(Burn)


@frozen
class Tick:
    """Due at this time, which is when it should be handled."""

    due_s: float


class Neighbour(Actor):
    """Writes down how late each tick is."""

    def __init__(self, late_s: list[float]) -> None:
        self._late_s = late_s

    @handles(Tick)
    async def on_tick(self, message: Tick) -> None:
        self._late_s.append(trio.current_time() - message.due_s)


@asynccontextmanager
async def _running(late_s: list[float]) -> AsyncIterator[System]:
    children = (Child("burner", BurnerHost, BurnerHost), Child("neighbour", Neighbour, lambda: Neighbour(late_s)))
    async with open_system(Branch("root", Strategy.ONE_FOR_ONE, children), real_world(hosts=())) as system:
        await system.wait_ready("burner", timeout_s=30)
        yield system


async def process_round_trip(count: int) -> float:
    """Seconds per ask that a worker process answers: mailbox, wire, process, and back."""
    async with _running([]) as system:
        burner = system.directory["burner"]
        for number in range(100):
            await burner.ask(Ping(number), timeout_s=10)
        began = perf_counter()
        for number in range(count):
            await burner.ask(Ping(number), timeout_s=10)
        return (perf_counter() - began) / count


async def blocked_neighbour_p99(rounds: int = BLOCKED_ROUNDS) -> float:
    """p99 of another actor's lateness, ticks every 5 ms, with a strategy computing 200 ms in every 500 ms over without.

    Both sides have the process; the median of the rounds' ratios.
    """
    ratios = []
    for done in range(1, rounds + 1):
        without, beside = await _p99_s(burning=False), await _p99_s(burning=True)
        ratios.append(beside / without)
        print(f"\rblocked neighbour: round {done} of {rounds}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return statistics.median(ratios)


async def _p99_s(*, burning: bool) -> float:
    late_s: list[float] = []
    async with _running(late_s) as system, trio.open_nursery() as nursery:
        if burning:
            nursery.start_soon(_burn, system)
        due_s = trio.current_time()
        end_s = due_s + SIDE_S
        while due_s < end_s:
            due_s += TICK_S
            await trio.sleep_until(due_s)
            system.directory["neighbour"].tell(Tick(due_s))
        nursery.cancel_scope.cancel()
    return statistics.quantiles(late_s, n=100)[98]


async def _burn(system: System) -> None:
    while True:
        system.directory["burner"].tell(Burn(BURN_S))
        await trio.sleep(BURN_PERIOD_S)
