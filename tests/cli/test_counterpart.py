"""A bot attaches only to an exchange that runs on the market it was told to trade."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from tbot_actors.cli.counterpart import Counterpart, Market, find_or_start, serve
from tbot_actors.cli.exits import Exit, Failure
from tbot_actors.exchange.settings import ExchangeSettings
from tbot_actors.settings import MarketSettings
from tbot_actors.world import World, real_world

# A tape whose book is never whole: what plays on it does not matter here.
TAPE = b'17 {"stream":"btcusdt@bookTicker","data":{"u":7,"s":"BTCUSDT","b":"1.23","B":"2","a":"1.24","A":"1"}}\n'


def the_world() -> World:
    return real_world(hosts={"127.0.0.1"}, seed=1)


@pytest.fixture
def tape(tmp_path: Path) -> Path:
    path = tmp_path / "tape.txt"
    path.write_bytes(TAPE)
    return path


@asynccontextmanager
async def serving(state: Path, tape: Path | None = None, speed: float = 1.0) -> AsyncIterator[None]:
    """An exchange as `tbot exchange` runs it."""
    settings = ExchangeSettings(state=state, tape=tape, speed=speed)
    async with trio.open_nursery() as nursery:
        await nursery.start(lambda task_status: serve(settings, the_world(), announce=task_status.started))
        yield
        nursery.cancel_scope.cancel()


async def found(state: Path, tape: Path | None = None, speed: float = 1.0) -> Counterpart:
    with trio.fail_after(10):
        return await find_or_start(the_world(), state, Market(MarketSettings(), tape, speed))


async def refusal(state: Path, tape: Path | None = None, speed: float = 1.0) -> str:
    with pytest.raises(Failure) as failure:
        await found(state, tape, speed)
    assert failure.value.code is Exit.BUSY
    line = str(failure.value)
    assert "\n" not in line and "60 s after its last bot" in line and "name another bot.state" in line
    return line


async def test_the_exchange_that_plays_what_is_asked_is_used(
    tmp_path: Path, tape: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = tmp_path / "state"
    monkeypatch.chdir(tmp_path)
    async with serving(state, Path(tape.name), 2.0):
        assert (await found(state, tape, 2.0)).attached
        assert (await found(state, Path("state/../tape.txt"), 2.0)).attached, "one file by another name"


async def test_generated_flow_has_one_speed_whatever_is_asked(tmp_path: Path) -> None:
    async with serving(tmp_path):
        assert (await found(tmp_path, None, 3.0)).attached


async def test_a_running_exchange_on_another_market_is_refused_in_one_line(tmp_path: Path, tape: Path) -> None:
    state = tmp_path / "state"
    other = tmp_path / "other.txt"
    async with serving(state):
        line = await refusal(state, tape, 2.0)
        assert f"runs generated flow, asked was the tape {tape} at speed 2:" in line and str(state) in line
    async with serving(state, tape, 2.0):
        assert f"runs the tape {tape} at speed 2, asked was generated flow:" in await refusal(state)
        assert f"asked was the tape {tape} at speed 10:" in await refusal(state, tape, 10.0)
        assert f"asked was the tape {other} at speed 2:" in await refusal(state, other, 2.0)


async def test_once_it_has_ended_the_same_accounts_may_trade_another_market(tmp_path: Path, tape: Path) -> None:
    state = tmp_path / "state"
    async with serving(state):
        before = await found(state)
    async with serving(state, tape):
        assert (await found(state, tape)).keys == before.keys


async def test_accounts_that_cannot_be_restored_fail_with_one_line(tmp_path: Path) -> None:
    (tmp_path / "exchange.state").write_bytes(b"not it")
    with pytest.raises(Failure, match=r"exchange\.state cannot be used: it is damaged") as failure:
        await serve(ExchangeSettings(state=tmp_path), the_world(), announce=print)
    assert failure.value.code is Exit.CANNOT_WRITE
