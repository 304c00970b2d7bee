"""The kernel against trio alone: `python -m benchmarks.kernel [--json]`.

Every figure but the memory is a ratio of minima over interleaved rounds in one run (see rounds.py). Progress goes to
stderr, the table or the JSON to stdout. A bar is what the figure must not exceed; null = not measured.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
from collections.abc import Awaitable, Callable
from functools import partial

import trio
from attrs import frozen

from benchmarks import actors, beside, hosts, raw
from benchmarks.rounds import Sample, minima, quiet_log
from tbot_actors.kernel import Strategy

ROUNDS = 15
IDLE_ACTORS = 10_000


@frozen
class Measured:
    """One figure, and the same for Pykka where it has such a thing."""

    value: float | None
    pykka: float | None = None


@frozen
class Figure:
    """One line of the table."""

    key: str
    bar: float
    unit: str
    measure: Callable[[int], Awaitable[Measured]]
    """From the number of rounds."""


async def _ratio(name: str, rounds: int, ours: Sample, reference: Sample, pykka: Sample | None = None) -> Measured:
    samples = [ours, reference, *([pykka] if pykka is not None and beside.installed() else [])]
    least = await minima(name, rounds, *samples)
    return Measured(least[0] / least[1], least[2] / least[1] if len(least) > 2 else None)


async def _burst_tell(rounds: int) -> Measured:
    pykka = partial(beside.burst_tell, 10_000)
    return await _ratio("burst tell", rounds, partial(actors.burst_tell, 50_000), partial(raw.channel, 10_000), pykka)


async def _paced_tell(rounds: int) -> Measured:
    return await _ratio("paced tell", rounds, partial(actors.paced_tell, 10_000), partial(raw.channel, 10_000))


async def _ask(rounds: int) -> Measured:
    pykka = partial(beside.ask, 3_000)
    return await _ratio("ask", rounds, partial(actors.ask, 5_000), partial(raw.ping_pong, 5_000), pykka)


async def _spawn(rounds: int) -> Measured:
    pykka = partial(beside.spawn, 300)
    return await _ratio("spawn", rounds, partial(actors.spawn, 1_000), partial(raw.start_soon, 3_000), pykka)


async def _restart_one(rounds: int) -> Measured:
    ours = partial(actors.restart, 1_000, Strategy.ONE_FOR_ONE, 10)
    return await _ratio("restart, one for one", rounds, ours, partial(raw.restart_loop, 2_000))


async def _restart_all(rounds: int) -> Measured:
    ours = partial(actors.restart, 200, Strategy.ONE_FOR_ALL, 10)
    return await _ratio("restart, one for all of 10", rounds, ours, partial(raw.restart_loop, 2_000))


async def _flood(rounds: int) -> Measured:
    ours = partial(actors.neighbour_ask, 3_000, flooded=True)
    return await _ratio("ask beside a flood", rounds, ours, partial(actors.neighbour_ask, 3_000, flooded=False))


async def _idle(rounds: int) -> Measured:
    """MiB that 10,000 idle actors add to a process; one process, as memory does not jitter."""
    print(f"memory of {IDLE_ACTORS} idle actors", file=sys.stderr)
    argv = [sys.executable, "-m", "benchmarks.memory", str(IDLE_ACTORS)]
    done = await trio.run_process(argv, capture_stdout=True, stderr=subprocess.DEVNULL)
    return Measured(float(done.stdout))


async def _process(rounds: int) -> Measured:
    ours = partial(hosts.process_round_trip, 4_000)
    return await _ratio("process round trip", rounds, ours, partial(raw.ping_pong, 10_000))


async def _blocked(rounds: int) -> Measured:
    return Measured(await hosts.blocked_neighbour_p99(min(rounds, hosts.BLOCKED_ROUNDS)))


FIGURES = (
    Figure("burst_tell", 0.15, "x raw channel", _burst_tell),
    Figure("paced_tell", 1.3, "x raw channel", _paced_tell),
    Figure("ask", 1.0, "x raw ping-pong", _ask),
    Figure("spawn", 5.0, "x start_soon", _spawn),
    Figure("restart_one_for_one", 3.0, "x bare restart loop", _restart_one),
    Figure("restart_one_for_all_10", 30.0, "x bare restart loop", _restart_all),
    Figure("flood_neighbour_ask", 2.0, "x idle ask, p50", _flood),
    Figure("process_round_trip", 3.0, "x raw ping-pong", _process),
    Figure("idle_10k_mib", 120.0, "MiB", _idle),
    Figure("blocked_neighbour_p99", 1.5, "x without, p99", _blocked),
)


async def _measure(chosen: list[Figure], rounds: int) -> dict[str, Measured]:
    return {figure.key: await figure.measure(rounds) for figure in chosen}


def _table(figures: list[Figure], results: dict[str, Measured]) -> str:
    lines = [f"{'figure':<24}{'measured':>10}{'bar':>8}{'pykka':>10}   unit"]
    for figure in figures:
        result = results[figure.key]
        verdict = "" if result.value is None or result.value <= figure.bar else "   ABOVE THE BAR"
        numbers = f"{_shown(result.value):>10}{figure.bar:>8g}{_shown(result.pykka):>10}"
        lines.append(f"{figure.key:<24}{numbers}   {figure.unit}{verdict}")
    return "\n".join(lines)


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"


def _rounded(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else round(value, 4)


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.kernel", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON: each figure by key, and `pykka` likewise")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="interleaved rounds (default %(default)s)")
    parser.add_argument("--only", choices=[figure.key for figure in FIGURES], action="append", help="these figures")
    arguments = parser.parse_args()
    quiet_log()
    chosen = [figure for figure in FIGURES if not arguments.only or figure.key in arguments.only]
    results = trio.run(_measure, chosen, arguments.rounds)
    if arguments.json:
        figures: dict[str, object] = {key: _rounded(result.value) for key, result in results.items()}
        figures["pykka"] = {key: _rounded(result.pykka) for key, result in results.items()}
        print(json.dumps(figures))
    else:
        print(_table(chosen, results))


if __name__ == "__main__":
    main()
