"""The portfolio as an actor: fills are published at once, marks now and then, and both after any crash."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

from trio.testing import MockClock

from tbot_actors.domain.messages import PortfolioState, ReportedState
from tbot_actors.portfolio import BooksWanted
from tests.domain.samples import BTC
from tests.orders.bench import report, trade
from tests.orders.house import CAPITAL, Boom, House, buy, house


async def books(bot: House) -> PortfolioState:
    found = await bot.at["core/portfolio"].ask(BooksWanted(), timeout_s=1)
    assert isinstance(found, PortfolioState)
    return found


async def bought(bot: House) -> None:
    await bot.ready()
    await bot.lift()
    bot.venue.on_submit = lambda order: report(order.client_id, ReportedState.FILLED, "1", (trade(1, "1"),))
    await bot.want(buy())


async def test_risk_has_the_books_before_anything_was_traded(autojump_clock: MockClock, tmp_path: Path) -> None:
    async with house(tmp_path) as bot:
        await bot.ready()
        assert bot.books.portfolio.equity == CAPITAL


async def test_fills_are_published_at_once_and_marks_within_a_quarter_of_a_second(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with house(tmp_path) as bot:
        await bot.ready()
        await bot.lift()
        bot.venue.on_submit = lambda order: report(order.client_id, ReportedState.FILLED, "1", (trade(1, "1"),))
        bot.wishes.queue.append((buy(),))
        bot.quote()
        await bot.settle(0.001)
        assert bot.books.portfolio.positions["momentum", BTC].quantity == 1
        before = bot.books.portfolio
        bot.quote("120", "120")
        await bot.settle(0.3)
        assert bot.books.portfolio.day_profit == 20
        same = bot.books.portfolio
        assert same is not before
        await bot.settle(5)
        assert bot.books.portfolio is same


async def test_a_crash_of_portfolio_or_journal_changes_no_figure(autojump_clock: MockClock, tmp_path: Path) -> None:
    async with house(tmp_path) as bot:
        await bought(bot)
        for path in ("core/portfolio", "journal"):
            bot.system.crash(path, Boom())
            await bot.settle(1)
            found = await books(bot)
            assert found.positions["momentum", BTC].quantity == 1
            assert (found.equity, found.realized) == (CAPITAL, Decimal(0))
        bot.venue.on_submit = lambda order: report(order.client_id, ReportedState.FILLED, "1", (trade(2, "1"),))
        await bot.want(buy("more"))
        assert (await books(bot)).positions["momentum", BTC].quantity == 2
