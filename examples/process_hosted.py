"""A process-hosted actor: `python -m examples.process_hosted`.

Two actors count primes, each in a process of its own behind a fence, while a third goes on ticking undisturbed. Then
one of them raises: its supervisor starts a new process, which answers the next question. For whoever asks, nothing of
this is different from an actor in the bot's own task.
"""

from __future__ import annotations

import logging
from pathlib import Path

import structlog
import trio

from examples.workers.primes import VOCABULARY, Primes, Range
from tbot_actors.kernel import Actor, ActorDown, Address, Branch, Child, Strategy, handles, open_system
from tbot_actors.kernel.host import ProcessActor, forwards
from tbot_actors.world import FenceReport, real_world


class FenceWanted:
    """Asked: what is in force around the worker's process."""


class PrimeCounter(ProcessActor):
    """Its work is done by the class in workers/primes.py, which the bot's own process never runs."""

    worker = f"{Path(__file__).parent / 'workers' / 'primes.py'}:PrimeWorker"
    vocabulary = VOCABULARY
    on_range = forwards(Range)

    @handles(FenceWanted)
    async def on_fence_wanted(self, message: FenceWanted) -> FenceReport:
        return self.fence


class Tick:
    """A hundredth of a second has passed."""


class Ticker(Actor):
    """Would fall behind if somebody computed in this process."""

    def __init__(self) -> None:
        self.worst_s = 0.0

    async def started(self) -> None:
        self.before_s = trio.current_time()
        self.context.every(0.01, Tick())

    @handles(Tick)
    async def on_tick(self, message: Tick) -> float:
        now_s = trio.current_time()
        self.worst_s = max(self.worst_s, now_s - self.before_s - 0.01)
        self.before_s = now_s
        return self.worst_s


ROOT = Branch(
    "root",
    Strategy.ONE_FOR_ONE,
    (
        Child("low", PrimeCounter, PrimeCounter),
        Child("high", PrimeCounter, PrimeCounter),
        Child("ticker", Ticker, Ticker),
    ),
)


async def main() -> None:
    """Ask, kill, and ask again."""
    async with open_system(ROOT, real_world(hosts=())) as system:
        low, high, ticker = (system.directory[name] for name in ("low", "high", "ticker"))
        await system.wait_ready("low", "high", timeout_s=30)
        print(await low.ask(FenceWanted(), timeout_s=5))

        counted: list[Primes] = []
        async with trio.open_nursery() as nursery:
            for address, question in ((low, Range(0, 50_000)), (high, Range(50_000, 100_000))):
                nursery.start_soon(_count, address, question, counted)
        print(f"{sum(primes.count for primes in counted)} primes below 100,000")
        print(f"the ticker was at most {await ticker.ask(Tick(), timeout_s=5) * 1000:.0f} ms late")

        try:
            await low.ask(Range(-1, 0), timeout_s=5)
        except ActorDown as down:
            print(f"asked for what cannot be: {str(down.error).splitlines()[0]}")
        print(f"and then asked again: {(await low.ask(Range(0, 10), timeout_s=30)).count} primes below 10")
        print(f"by incarnation {system.snapshot()['low'].incarnation} of {low.path}")


async def _count(address: Address, question: Range, counted: list[Primes]) -> None:
    counted.append(await address.ask(question, timeout_s=30))


if __name__ == "__main__":
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    trio.run(main)
