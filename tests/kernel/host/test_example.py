"""The example does what it says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[3]


@pytest.mark.processes
def test_the_process_hosted_example_runs() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "examples.process_hosted"],
        cwd=PROJECT, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert "9592 primes below 100,000" in done.stdout
    assert "ValueError: there are no primes below zero" in done.stdout
    assert "4 primes below 10\nby incarnation 2 of low" in done.stdout
    assert done.stderr == ""
