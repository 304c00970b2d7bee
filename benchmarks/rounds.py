"""How the benchmarks measure: every figure is a ratio of minima over interleaved rounds in one run.

The least time is the one that the machine's other work disturbed least; interleaving gives both sides the same machine.
"""

from __future__ import annotations

import gc
import logging
import sys
from collections.abc import Awaitable, Callable

import structlog

Sample = Callable[[], Awaitable[float]]
"""Runs once and returns seconds per unit of work."""


async def minima(name: str, rounds: int, *samples: Sample) -> list[float]:
    """The least result of each sample, over `rounds` rounds in which each runs once."""
    found: list[list[float]] = [[] for _ in samples]
    for done in range(1, rounds + 1):
        for sample, times in zip(samples, found, strict=True):
            # What one side left behind is not collected at the other side's expense.
            gc.collect()
            times.append(await sample())
        print(f"\r{name}: round {done} of {rounds}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return [min(times) for times in found]


def quiet_log() -> None:
    """What a log's renderer and its file cost is no property of what is measured."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
