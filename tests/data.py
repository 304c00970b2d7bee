"""Recorded market data for tests: kept beside the repository, not in it; a test that wants it skips without."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]


def data_file(name: str) -> Path:
    """The recording of this name, as in `data_file("ticks/binance_spot_btcusdt_20240808.gz")`.

    Looked for in $TBOT_DATA, then in ../shared/data beside the repository. Skips the test that asks, with the places
    looked in as its reason, where neither has it.
    """
    named = os.environ.get("TBOT_DATA")
    folders = [Path(named)] if named else []
    folders.append(REPOSITORY.parent / "shared" / "data")
    for folder in folders:
        if (folder / name).exists():
            return folder / name
    pytest.skip(f"no recording {name} in {' or '.join(str(folder) for folder in folders)}; set TBOT_DATA to its folder")
