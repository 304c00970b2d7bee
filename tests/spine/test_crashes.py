"""An actor of each kind crashes in the middle of trading: it comes back, and nothing is lost or doubled."""

from __future__ import annotations

import pytest

from tbot_actors.app import actor_paths
from tbot_actors.settings import read_settings
from tests.spine.bot import REPOSITORY, Ground
from tests.spine.judge import Case, agree

pytestmark = pytest.mark.processes

SESSION = ("venues/binance/clock", "venues/binance/gateway", "venues/binance/user_stream")
ROUNDS = (
    ("strategies/momentum", "core/orders", "venues/binance/user_stream", "core/portfolio", "operator/console"),
    ("core/risk", "venues/binance/gateway", "journal", "strategies/quoter"),
    ("venues/binance/feed", "core/reconciler", "venues/binance/clock", "safety/watchdog"),
)
"""Each kind once. Not two in one run whose recovery is the same path."""
FIRST_S, APART_S = 2.0, 1.6
"""When the first crashes, and how long after it each other one."""


def taken_down_by(path: str) -> int:
    """How many actors start again with it: the session restarts what stands behind the one that failed."""
    return len(SESSION) - SESSION.index(path) if path in SESSION else 1


def test_the_rounds_cover_every_actor() -> None:
    settings = read_settings((REPOSITORY / "config" / "paper.toml").read_text())
    assert sorted(path for paths in ROUNDS for path in paths) == sorted(actor_paths(settings))


@pytest.mark.parametrize("paths", ROUNDS, ids=["round 1", "round 2", "round 3"])
async def test_what_crashes_comes_back_and_nothing_is_lost_or_doubled(ground: Ground, paths: tuple[str, ...]) -> None:
    orders = [f"{path}@{FIRST_S + APART_S * number:g}s" for number, path in enumerate(paths)]
    duration_s = FIRST_S + APART_S * len(paths) + 1.5
    ended = await ground.run("--for", f"{duration_s:g}s", *(part for order in orders for part in ("--crash", order)))
    for order in orders:
        assert f"InjectedCrash('--crash {order}')" in ended.err
    assert ended.summary["restarts"] == sum(map(taken_down_by, paths))
    assert ended.code == 0 and ended.summary["flat"] is True
    agree(Case(await ground.ledger(), await ground.journal(), ended.summary))


@pytest.mark.slow
@pytest.mark.parametrize(
    "paths",
    [
        ("core/orders", "core/risk"),
        ("core/orders", "venues/binance/gateway"),
        ("core/orders", "journal"),
        ("core/reconciler", "venues/binance/user_stream"),
        ("safety/watchdog", "core/orders"),
        ("journal", "core/risk", "core/orders", "core/portfolio", "strategies/quoter", "strategies/momentum"),
    ],
    ids=" and ".join,
)
async def test_those_that_crash_at_once_come_back_and_nothing_is_lost_or_doubled(
    ground: Ground, paths: tuple[str, ...]
) -> None:
    crashes = [part for at in ("2s", "4s", "6s") for path in paths for part in ("--crash", f"{path}@{at}")]
    ended = await ground.run("--for", "9s", *crashes)
    assert ended.summary["restarts"] == 3 * sum(map(taken_down_by, paths))
    assert ended.code == 0 and ended.summary["flat"] is True
    agree(Case(await ground.ledger(), await ground.journal(), ended.summary))


async def test_a_crash_of_nobody_is_refused_before_anything_starts(ground: Ground) -> None:
    ended = await ground.run("--crash", "strategies/nobody@1s", "--for", "3s")
    assert ended.code == 64
    assert "strategies/nobody" in ended.line and "strategies/momentum" in ended.line
    assert not ground.state.exists()
