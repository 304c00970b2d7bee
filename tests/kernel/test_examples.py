"""The programs that a newcomer runs first."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import trio

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted(path.stem for path in (ROOT / "examples").glob("*.py"))

SAYS = {
    "counter": ["incarnation 2 starts at 3", "total: 12", "not handled: Add(amount=-3)", "no reply: counter is down"],
    "backoff": ["feed ends, unavailable", "feed ends, crashed", "venue: 3 crashes are too many", "the tree gave up"],
    "process_hosted": ["9592 primes below 100,000", "the worker raised ValueError", "by incarnation 2 of low"],
}


@pytest.mark.processes
@pytest.mark.parametrize("name", EXAMPLES)
async def test_every_example_runs_and_says_what_it_is_about(name: str) -> None:
    with trio.fail_after(30):
        done = await trio.run_process([sys.executable, "-m", f"examples.{name}"], capture_stdout=True, cwd=ROOT)
    text = done.stdout.decode()
    for line in SAYS[name]:
        assert line in text
