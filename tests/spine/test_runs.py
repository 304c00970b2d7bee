"""One bot, from its start to its stop: the exchange's own ledger says what the bot says."""

from __future__ import annotations

import signal

import pytest

from tests.data import data_file
from tests.spine.bot import Ground
from tests.spine.judge import Case, agree
from tests.spine.ledger import Customer

pytestmark = pytest.mark.processes
TAPE = "ticks/binance_spot_btcusdt_20240808.gz"


async def test_a_run_ends_by_itself_and_the_exchange_says_the_same(ground: Ground) -> None:
    ended = await ground.run("--for", "8s")
    summary = ended.summary
    assert ended.code == 0
    assert summary["ticks"] > 100 and summary["orders"] > 0 and summary["fills"] > 0
    assert summary["restarts"] == 0 and summary["flat"] is True and summary["notes"] == []
    agree(Case(await ground.ledger(), await ground.journal(), summary))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
async def test_told_to_stop_it_closes_and_tells_the_summary_last(ground: Ground, number: signal.Signals) -> None:
    bot = await ground.start()
    await ground.until_exchange_shows(Customer.trades, bot)
    bot.signal(number)
    ended = await bot.end()
    assert ended.code == 0 and ended.summary["flat"] is True
    assert len(ended.out.splitlines()) == 1, "with --json stdout carries the summary alone"
    agree(Case(await ground.ledger(), await ground.journal(), ended.summary))


async def test_told_to_stop_again_and_again_it_still_finishes_its_stop(ground: Ground) -> None:
    bot = await ground.start()
    await ground.until_exchange_shows(Customer.trades, bot)
    bot.signal(signal.SIGTERM)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGINT):
        await ground.until(lambda: "STOPPING" in bot.err.read_text(), bot)
        bot.signal(number)
    ended = await bot.end()
    assert ended.code == 0 and ended.summary["flat"] is True
    agree(Case(await ground.ledger(), await ground.journal(), ended.summary))


async def test_told_to_stop_while_it_starts_it_ends_in_order(ground: Ground) -> None:
    bot = await ground.start()
    await ground.until(lambda: (ground.state / "exchange.log").exists(), bot)
    bot.signal(signal.SIGINT)
    ended = await bot.end()
    assert ended.code == 0 and "Traceback" not in ended.err
    summary = ended.summary
    assert summary["orders"] == 0 and summary["open_orders"] == 0 and summary["journal_verified"] is True


async def test_on_the_real_tape_it_trades_and_the_exchange_says_the_same(ground: Ground) -> None:
    config = ground.config("replay.toml")
    ended = await ground.run("--tape", data_file(TAPE), "--speed", "8", "--for", "12s", config=config)
    assert ended.code == 0
    assert ended.summary["fills"] > 0
    agree(Case(await ground.ledger(), await ground.journal(), ended.summary))


@pytest.mark.slow
async def test_on_the_real_tape_at_its_own_pace_for_a_minute_the_books_agree(ground: Ground) -> None:
    config = ground.config("replay.toml")
    ended = await ground.run("--tape", data_file(TAPE), "--speed", "1", "--for", "60s", config=config)
    assert ended.code == 0
    assert ended.summary["fills"] > 0
    agree(Case(await ground.ledger(), await ground.journal(), ended.summary))
