"""The actor that hosts a strategy: its crash is its own, its view comes from the journal, and what it learned comes
back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import trio
from attrs import evolve
from trio.testing import MockClock

from tbot_actors.domain.events import Fill, OrderCommitted, PauseChanged, StrategyLearned
from tbot_actors.domain.instruments import Side
from tbot_actors.domain.intents import Cancel, Replace
from tbot_actors.domain.market import EventId, MarketTrade
from tbot_actors.domain.messages import Append, AppendFailed, Intents, PendingIntents, ReportedState, RiskStarted
from tbot_actors.domain.view import View
from tbot_actors.kernel import DeadLetterReason
from tbot_actors.strategies.session import INTENTS_MAX
from tests.domain.samples import BTC
from tests.orders.bench import report, trade
from tests.orders.house import Boom, House, Wishing, buy, house
from tests.strategies.views import candle

NAME = "strategies/momentum"


@pytest.fixture
def hooks(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[tuple[str, View]]]:
    """Replace hooks of the strategy under test, and keep which of them were called."""

    def install(**replaced: Callable[..., Any]) -> list[tuple[str, View]]:
        calls: list[tuple[str, View]] = []
        names = ("on_trade", "on_candle", "on_fill", "on_order", "on_timer", "on_disconnect", "on_trading_disabled")
        for name in names:

            def hook(self: Wishing, view: View, *event: Any, name: str = name) -> Iterable[Any]:
                calls.append((name, view))
                answer: Iterable[Any] = replaced[name](view, *event) if name in replaced else ()
                return answer

            monkeypatch.setattr(Wishing, name, hook)
        return calls

    return install


def called(calls: list[tuple[str, View]], name: str) -> list[View]:
    return [view for hook, view in calls if hook == name]


def pause(bot: House, *causes: str, scope: str = "account") -> None:
    bot.at["safety/watchdog"].tell(PauseChanged(scope, causes, bot.system.world.clock.wall_ns()))


async def test_every_kind_of_event_has_its_hook(
    autojump_clock: MockClock, tmp_path: Path, hooks: Callable[..., list[tuple[str, View]]]
) -> None:
    calls = hooks()
    async with house(tmp_path) as bot:
        await bot.ready()
        await bot.lift()
        one = Decimal(1)
        bot.at[NAME].tell(MarketTrade(BTC, "1", one, one, Side.BUY, 1, 1))
        bot.at[NAME].tell(candle(1, "100"))
        bot.venue.on_submit = lambda order: report(order.client_id, ReportedState.FILLED, "1", (trade(1, "1"),))
        await bot.want(buy())
        await bot.settle(2)
        assert {name for name, _ in calls} == {"on_trade", "on_candle", "on_order", "on_fill", "on_timer"}
        (filled,) = called(calls, "on_fill")
        assert filled.position(BTC).quantity == 1
        # The order came before its fill, and is no longer there after it.
        assert [list(view.orders) for view in called(calls, "on_order")] == [["entry"], ["entry"], []]
        assert all(view.now_ns > 0 for _, view in calls)


async def test_a_crash_in_a_hook_restarts_it_alone_with_its_orders_and_position(
    autojump_clock: MockClock, tmp_path: Path, hooks: Callable[..., list[tuple[str, View]]]
) -> None:
    def boom(view: View, event: Any) -> Any:
        raise Boom

    hooks(on_candle=boom)
    async with house(tmp_path) as bot:
        await bot.ready()
        await bot.lift()
        bot.venue.on_submit = lambda order: report(order.client_id, ReportedState.PARTIAL, "0.4", (trade(1),))
        await bot.want(buy())
        bot.at[NAME].tell(candle(1, "100"))
        await bot.settle(1)
        assert bot.at[NAME]._cell.incarnation == 2
        for path in ("core/risk", "core/orders", "core/portfolio", "journal"):
            assert bot.at[path]._cell.incarnation == 1
        assert [letter.reason for letter in bot.system.dead_letters.recent()] == [DeadLetterReason.CRASHED]
        bot.quote()
        await bot.settle()
        view = bot.wishes.views[-1]
        assert (view.position(BTC).quantity, list(view.orders), view.enabled) == (Decimal("0.4"), ["entry"], True)
        await bot.want(Cancel("entry"))
        assert len(bot.venue.cancels) == 1


async def test_what_it_learned_is_journaled_once_and_comes_back(
    autojump_clock: MockClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    learned: dict[str, str] = {}
    restored: list[Mapping[str, str]] = []
    monkeypatch.setattr(Wishing, "snapshot", lambda self: learned)
    monkeypatch.setattr(Wishing, "restore", lambda self, snapshot: restored.append(dict(snapshot)))
    async with house(tmp_path) as bot:
        await bot.ready()
        assert restored == [{}]
        for level in ("1", "1", "2", "3"):
            learned = {"level": level}
            bot.quote()
            await bot.settle(0.1)
        # However the writing and the reading of them mix, what is read back late is not taken for what it knows now.
        for steps in range(40):
            for number in (2 * steps + 10, 2 * steps + 11, 2 * steps + 11, 2 * steps + 11):
                learned = {"level": str(number)}
                bot.at[NAME].tell(candle(number, "100"))
                for _ in range(steps):
                    await trio.lowlevel.checkpoint()
            await bot.settle(0.1)
        levels = [row.snapshot["level"] for row in bot.of(StrategyLearned)]
        assert levels[:3] == ["1", "2", "3"]
        assert all(before != after for before, after in pairwise(levels))
        assert levels[-1] == "89"
        bot.system.crash(NAME, Boom())
        await bot.settle(1)
        assert restored == [{}, {"level": "89"}]
    async with house(tmp_path, token="2") as bot:
        await bot.ready()
        assert restored[-1] == {"level": "89"}


async def test_new_risk_that_is_barred_is_withheld_and_what_lowers_risk_is_not(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with house(tmp_path) as bot:
        await bot.ready()
        await bot.lift()
        await bot.want(buy("resting", price="99"))
        pause(bot, "MISMATCH")
        await bot.settle()
        leaving = buy("exit", side=Side.SELL, reduces=True)
        await bot.want(buy("new"), Replace("resting", Decimal(1), Decimal(98)), leaving, Cancel("resting"))
        assert bot.outcomes("new") == []
        assert bot.outcomes("exit") == ["NOT_REDUCING"]
        assert len(bot.venue.cancels) == 1
        bot.quote()
        await bot.settle()
        assert bot.wishes.views[-1].pending == {}
        await bot.lift()
        await bot.want(buy("new", price="99"))
        assert bot.outcomes("new") == ["COMMITTED"]


async def test_trouble_is_told_once_when_it_begins(
    autojump_clock: MockClock, tmp_path: Path, hooks: Callable[..., list[tuple[str, View]]]
) -> None:
    calls = hooks(on_trading_disabled=lambda view: tuple(Cancel(key) for key in view.orders))
    async with house(tmp_path) as bot:
        await bot.ready()
        await bot.lift()
        await bot.want(buy(price="99"))
        for causes in (("MISMATCH",), ("MISMATCH", "STREAM_DOWN"), ("STREAM_DOWN",), (), ("STALE_FEED",)):
            pause(bot, *causes, scope="venue:binance")
            await bot.settle()
        assert len(called(calls, "on_trading_disabled")) == 2
        assert len(called(calls, "on_disconnect")) == 2
        assert len(bot.venue.cancels) == 1
        pause(bot, "STALE_FEED", scope="venue:okx")
        pause(bot, "PERSON", scope="strategy:quoter")
        await bot.settle()
        assert len(called(calls, "on_trading_disabled")) == 2


async def test_it_answers_risk_with_what_is_pending(autojump_clock: MockClock, tmp_path: Path) -> None:
    async with house(tmp_path) as bot:
        await bot.ready()
        await bot.lift()
        # Risk is away: the intents stay in its mailbox, and the answer comes behind them.
        bot.system.crash("core/risk", Boom())
        bot.wishes.queue.append((buy("a"), buy("b")))
        bot.quote()
        bot.at[NAME].tell(RiskStarted(2))
        await bot.settle(0.002)
        waiting = [entry[0] for entry in bot.at["core/risk"]._box.user]
        kinds = [type(message) for message in waiting if isinstance(message, (Intents, PendingIntents))]
        assert kinds == [Intents, PendingIntents]
        (pending,) = (message for message in waiting if isinstance(message, PendingIntents))
        assert [intent.key for intent in pending.intents] == ["a", "b"]
        await bot.settle(1)
        assert bot.outcomes("a") == bot.outcomes("b") == ["NOT_READY"]


async def test_too_many_intents_at_once_are_a_bug_of_the_strategy(autojump_clock: MockClock, tmp_path: Path) -> None:
    async with house(tmp_path) as bot:
        await bot.ready()
        await bot.lift()
        await bot.want(*(buy(f"k{number}") for number in range(INTENTS_MAX + 1)))
        await bot.settle(1)
        assert bot.at[NAME]._cell.incarnation == 2
        assert bot.of(OrderCommitted) == []


async def test_hooks_are_called_only_once_the_journal_is_read(
    autojump_clock: MockClock, tmp_path: Path, hooks: Callable[..., list[tuple[str, View]]]
) -> None:
    calls = hooks()
    async with house(tmp_path) as bot:
        await bot.ready()
        await bot.lift()
        bot.venue.on_submit = lambda order: report(order.client_id, ReportedState.FILLED, "1", (trade(1, "1"),))
        await bot.want(buy())
        assert len(bot.of(Fill)) == 1
        before = len(called(calls, "on_fill")), len(called(calls, "on_order"))
        bot.system.crash(NAME, Boom())
        one = Decimal(1)
        for message in (MarketTrade(BTC, "1", one, one, Side.BUY, 1, 1), candle(1, "100")):
            bot.at[NAME].tell(message)
        bot.quote()
        await bot.settle(1)
        assert (len(called(calls, "on_fill")), len(called(calls, "on_order"))) == before
        assert called(calls, "on_trade") == called(calls, "on_candle") == []


async def test_journal_and_strategy_crash_and_it_goes_on(
    autojump_clock: MockClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with house(tmp_path) as bot:
        await bot.ready()
        await bot.lift()
        bot.system.crash("journal", Boom())
        await bot.settle(1)
        await bot.want(buy())
        assert bot.outcomes() == ["COMMITTED"]
        assert list(bot.wishes.views[-1].orders) == ["entry"]
        monkeypatch.setattr(Wishing, "snapshot", lambda self: {"level": "1"})
        bot.journal.light(Append, after=True)
        bot.quote()
        await bot.settle(2)
        assert (bot.journal.blown, len(bot.of(StrategyLearned))) == (1, 1)
        strategy = bot.at[NAME]
        strategy.tell(AppendFailed("of somebody else", "not ours"))
        await bot.settle()
        assert strategy._cell.incarnation == 1
        strategy.tell(AppendFailed(bot.alive["strategies/momentum"]._writer.append(bot.events[0]), "contradiction"))
        await bot.settle()
        assert strategy._cell.incarnation == 2


async def test_the_same_decision_after_a_restart_of_the_strategy_has_one_effect(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with house(tmp_path) as bot:
        await bot.ready()
        await bot.lift()
        await bot.want(buy())
        (row,) = bot.of(OrderCommitted)
        bot.at["core/risk"].tell(Intents("momentum", EventId(row.intent.event), (evolve(buy(), quantity=Decimal(2)),)))
        await bot.settle()
        assert bot.outcomes() == ["COMMITTED", "DUPLICATE_INTENT"]
