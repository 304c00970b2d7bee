"""The benchmark runs, and prints what the bars are for; how fast things are is no matter for a test."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import trio

KEYS = [
    "burst_tell",
    "paced_tell",
    "ask",
    "spawn",
    "restart_one_for_one",
    "restart_one_for_all_10",
    "flood_neighbour_ask",
    "process_round_trip",
    "idle_10k_mib",
    "blocked_neighbour_p99",
    "pykka",
]


@pytest.mark.processes
async def test_the_benchmark_prints_every_figure_as_json() -> None:
    argv = [sys.executable, "-m", "benchmarks.kernel", "--json", "--rounds", "1"]
    with trio.fail_after(100):
        done = await trio.run_process(argv, capture_stdout=True, capture_stderr=True, cwd=Path(__file__).parents[2])
    figures = json.loads(done.stdout)
    assert list(figures) == KEYS
    assert all(value is None or value > 0 for key, value in figures.items() if key != "pykka")
    assert set(figures["pykka"]) == set(KEYS) - {"pykka"}
