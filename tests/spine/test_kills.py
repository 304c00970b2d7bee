"""The whole bot dies by SIGKILL; the exchange does not, and the next bot finds there what the last one left."""

from __future__ import annotations

import signal

import pytest
import trio

from tbot_actors.domain.events import Fill, GenerationStarted, OrderCommitted
from tests.spine.bot import Bot, Ground, ended_within
from tests.spine.judge import Case, agree
from tests.spine.ledger import Customer, Row

pytestmark = pytest.mark.processes
GRACE_S = 60.0


async def kill(bot: Bot) -> None:
    """SIGKILL, and wait until it has ended."""
    bot.signal(signal.SIGKILL)
    assert (await bot.end()).code == -signal.SIGKILL


async def traded_and_open(customer: Customer) -> list[Row]:
    """What is open, once something has been traded: the next bot finds a position and orders."""
    return await customer.open_orders() if await customer.trades() else []


async def test_killed_with_orders_open_the_next_bot_takes_over_and_nothing_is_doubled(ground: Ground) -> None:
    first = await ground.start()
    left = await ground.until_exchange_shows(traded_and_open, first)
    await kill(first)
    exchange = ground.exchange_pid()
    before = await ground.journal()
    assert ground.exchanges() == [exchange], "the exchange outlives the bot"

    ended = await ground.run("--for", "5s")
    assert ended.code == 0 and ended.summary["flat"] is True
    assert ground.exchanges() == [exchange], "the next bot attaches to the exchange that runs"
    journal = await ground.journal()
    assert journal[: len(before)] == before, "what was written stays"
    assert [event.generation for event in journal if isinstance(event, GenerationStarted)] == [1, 2]
    ledger = await ground.ledger()
    agree(Case(ledger, journal, ended.summary))
    ends = {order["clientOrderId"]: order["status"] for order in ledger.orders}
    assert all(ends[order["clientOrderId"]] != "NEW" for order in left), "what was left open was found and ended"
    for generation in (journal[: len(before)], journal[len(before) :]):
        assert any(isinstance(event, OrderCommitted) for event in generation)
        assert any(isinstance(event, Fill) for event in generation)


async def test_killed_twice_while_it_starts_the_third_trades_on_the_only_exchange(ground: Ground) -> None:
    for sign in ("bot.lock", "exchange.log"):
        bot = await ground.start()
        await ground.until(lambda sign=sign: (ground.state / sign).exists(), bot)  # type: ignore[misc]
        await kill(bot)
    ended = await ground.run("--for", "5s")
    assert ended.code == 0 and ended.summary["flat"] is True
    assert ground.exchanges() == [ground.exchange_pid()], "an exchange of a killed start is used, not joined by another"
    agree(Case(await ground.ledger(), await ground.journal(), ended.summary))


@pytest.mark.slow
async def test_killed_at_many_moments_the_books_of_all_generations_agree(ground: Ground) -> None:
    kills = 8
    for number in range(kills):
        bot = await ground.start()
        seen: set[int] = set()

        async def so_many(customer: Customer, seen: set[int] = seen, least: int = 1 + number) -> bool:
            seen.update(order["orderId"] for order in await customer.open_orders())
            return len(seen) >= least

        await ground.until_exchange_shows(so_many, bot)
        await kill(bot)
    ended = await ground.run("--for", "5s")
    assert ended.code == 0 and ended.summary["flat"] is True
    journal = await ground.journal()
    starts = [event.generation for event in journal if isinstance(event, GenerationStarted)]
    assert starts == list(range(1, kills + 2))
    agree(Case(await ground.ledger(), journal, ended.summary))


@pytest.mark.slow
async def test_a_minute_after_the_lock_is_free_the_exchange_ends_and_the_next_one_goes_on(ground: Ground) -> None:
    bot = await ground.start()
    await ground.until_exchange_shows(Customer.open_orders, bot)
    exchange = ground.exchange_pid()
    await kill(bot)
    killed_s = trio.current_time()
    assert await ended_within(exchange, GRACE_S + 10), "the exchange is still there"
    assert trio.current_time() - killed_s > GRACE_S - 5
    assert ground.exchanges() == []
    ended = await ground.run("--for", "5s")
    assert ended.code == 0, "the next exchange of this state knows the accounts of the last one"
    agree(Case(await ground.ledger(), await ground.journal(), ended.summary))
