"""A ground for each test, cleared of processes at its end."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio

from tests.spine.bot import Ground


@pytest.fixture
async def ground(tmp_path: Path) -> AsyncIterator[Ground]:
    """A state folder for real bots; every process of it has ended when the test has."""
    made = Ground(tmp_path)
    try:
        yield made
    finally:
        with trio.CancelScope(shield=True):
            await made.clear()
