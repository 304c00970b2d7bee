"""Risk as an actor: one outcome for each intent, through crashes of risk, of orders and of both, and of the process."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from trio.testing import MockClock

from tbot_actors.domain.events import DecisionDenied, DenyReason, Fill, OrderCommitted, PauseChanged
from tbot_actors.domain.instruments import Side
from tbot_actors.domain.intents import Cancel, IntentKey, Replace
from tbot_actors.domain.market import EventId
from tbot_actors.domain.messages import (
    Append,
    AppendFailed,
    ApprovalRefused,
    Approved,
    Cause,
    Intents,
    NotSent,
    PendingIntents,
    PortfolioState,
    ReportedState,
    ReservationsKnown,
    SubmitOutcome,
)
from tbot_actors.domain.money import ZERO
from tbot_actors.orders import OrdersSettings
from tbot_actors.risk import RiskSettings
from tbot_actors.risk.books import Reservation
from tests.orders.bench import report, trade
from tests.orders.house import CAPITAL, Boom, House, buy, house


def books_of(day_profit: str) -> PortfolioState:
    profit = Decimal(day_profit)
    return PortfolioState({}, {}, CAPITAL, profit, ZERO, CAPITAL, 1, 1)


async def nothing_is_left(bot: House) -> None:
    bot.quote()
    await bot.settle()
    assert bot.books.reserved == {}
    assert bot.wishes.views[-1].pending == {}
    assert all(count == 1 for count in bot.decided.values()), bot.decided


async def test_new_risk_is_denied_until_the_venue_is_reconciled(autojump_clock: MockClock, tmp_path: Path) -> None:
    async with house(tmp_path) as bot:
        await bot.ready()
        risk = bot.at["core/risk"]
        bot.quote()
        risk.tell(Intents("momentum", EventId("e/1"), (buy(),)))
        await bot.settle()
        assert bot.outcomes() == ["PAUSED"]
        await bot.lift()
        risk.tell(Intents("momentum", EventId("e/2"), (buy(),)))
        await bot.settle()
        assert bot.outcomes() == ["PAUSED", "COMMITTED"]


async def test_the_verdict_is_in_the_row_with_its_figures(autojump_clock: MockClock, tmp_path: Path) -> None:
    async with house(tmp_path) as bot:
        await bot.ready()
        await bot.lift()
        await bot.want(buy())
        (row,) = bot.of(OrderCommitted)
        assert row.verdict.risk_incarnation == 1
        assert row.verdict.inputs["notional"] == "100"
        await bot.want(buy("big", "50"))
        (denied,) = bot.of(DecisionDenied)
        assert (denied.reason, denied.inputs["order_limit"]) == (DenyReason.ORDER_TOO_LARGE, "500")


async def test_intents_of_one_message_are_judged_with_those_before_them(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with house(tmp_path) as bot:
        await bot.ready()
        await bot.lift()
        await bot.want(*(buy(f"k{number}", "4") for number in range(4)))
        assert [bot.outcomes(f"k{number}")[0] for number in range(4)] == [
            "COMMITTED", "COMMITTED", "POSITION_LIMIT", "POSITION_LIMIT",
        ]  # fmt: skip
        await nothing_is_left(bot)


async def test_a_decision_that_comes_twice_has_one_effect_and_keeps_its_reservation(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with house(tmp_path) as bot:
        await bot.ready()
        await bot.lift()
        bot.quote()
        decision = Intents("momentum", EventId("e/1"), (buy(), buy()))
        bot.at["core/risk"].tell(decision)
        await bot.settle()
        # The second came while the first was on its way: one row, and no denial beside it.
        assert bot.outcomes() == ["COMMITTED"]
        bot.at["core/risk"].tell(decision)
        await bot.settle()
        assert bot.outcomes() == ["COMMITTED", "DUPLICATE_INTENT", "DUPLICATE_INTENT"]
        assert len(bot.venue.submits) == 1


async def test_a_decision_of_an_earlier_process_is_known(autojump_clock: MockClock, tmp_path: Path) -> None:
    decision = Intents("momentum", EventId("e/1"), (buy(),))
    outcomes: list[str] = []
    for token in ("1", "2"):
        async with house(tmp_path, token=token) as bot:
            bot.venue.on_submit = lambda order: NotSent("not today")
            await bot.ready()
            await bot.lift()
            bot.quote()
            bot.at["core/risk"].tell(decision)
            await bot.settle()
            outcomes = bot.outcomes()
    assert outcomes == ["COMMITTED", "DUPLICATE_INTENT"]


@pytest.mark.parametrize("after", [False, True])
async def test_risk_dies_over_an_intent_and_each_has_one_outcome(
    autojump_clock: MockClock, tmp_path: Path, after: bool
) -> None:
    async with house(tmp_path) as bot:
        await bot.ready()
        await bot.lift()
        bot.risk.light(Intents, after=after)
        # Three messages: the first is in hand at the crash, the others wait in the mailbox.
        for number in range(3):
            bot.wishes.queue.append((buy(f"k{number}"),))
            bot.quote()
            await bot.settle(0.002)
        await bot.settle(2)
        assert bot.risk.blown == 1
        # Approved before the crash, or never decided at all; what waited is decided by a risk that is not ready yet.
        assert bot.outcomes("k0") == (["COMMITTED"] if after else ["RESTARTED"])
        assert bot.outcomes("k1") == bot.outcomes("k2") == ["NOT_READY"]
        await nothing_is_left(bot)
        bot.quote()
        await bot.want(buy("k3"))
        assert bot.outcomes("k3") == ["COMMITTED"]
        assert {row.verdict.risk_incarnation for row in bot.of(OrderCommitted)} == ({1, 2} if after else {2})


@pytest.mark.parametrize("after", [False, True])
async def test_orders_dies_over_an_approval_and_its_reservation_ends(
    autojump_clock: MockClock, tmp_path: Path, after: bool
) -> None:
    async with house(tmp_path) as bot:
        await bot.ready()
        await bot.lift()
        bot.orders.light(Approved, after=after)
        await bot.want(buy())
        await bot.settle(20)
        assert bot.orders.blown == 1
        assert bot.outcomes() == (["COMMITTED"] if after else ["RESTARTED"])
        # The row that became durable with nobody there was never sent, or nobody can say so: it is asked for.
        assert bot.venue.submits == []
        await nothing_is_left(bot)
        await bot.want(buy("next", "0.5"))
        assert bot.outcomes("next") == ["COMMITTED"]


@pytest.mark.parametrize("first", ["core/risk", "core/orders"])
@pytest.mark.parametrize("journal", [False, True])
async def test_risk_and_orders_die_together(
    autojump_clock: MockClock, tmp_path: Path, first: str, journal: bool
) -> None:
    async with house(tmp_path) as bot:
        await bot.ready()
        await bot.lift()
        for number in range(5):
            bot.wishes.queue.append((buy(f"k{number}", "0.5"),))
            bot.quote()
            await bot.settle(0.001 * (number % 2))
            bot.system.crash(first, Boom())
            bot.system.crash("core/orders" if first == "core/risk" else "core/risk", Boom())
            if journal:
                bot.system.crash("journal", Boom())
            await bot.settle(0.001 + number / 100)
        await bot.settle(30)
        await nothing_is_left(bot)
        assert {intent.key for intent in bot.decided} == {f"k{number}" for number in range(5)}
        assert len(bot.decided) == 5
        bot.quote()
        await bot.want(buy("next", "0.5"))
        assert bot.outcomes("next") == ["COMMITTED"]
        assert len({submit.client_id for submit in bot.venue.submits}) == len(bot.venue.submits)


async def test_a_strategy_that_dies_is_back_with_its_orders_and_nothing_pending(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with house(tmp_path) as bot:
        bot.venue.on_submit = lambda order: None
        await bot.ready()
        await bot.lift()
        await bot.want(buy())
        bot.system.crash("strategies/momentum", Boom())
        await bot.settle(1)
        bot.system.crash("core/risk", Boom())
        await bot.settle(1)
        bot.quote()
        await bot.settle()
        assert list(bot.wishes.views[-1].orders) == ["entry"]
        await nothing_is_left(bot)


async def test_a_replacement_that_waits_is_denied_when_risk_restarts(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with house(tmp_path) as bot:
        bot.venue.on_cancel = lambda cancel: None
        await bot.ready()
        await bot.lift()
        await bot.want(buy())
        await bot.want(Replace("entry", Decimal(1), Decimal(99)))
        assert len(bot.books.reserved) == 1
        # The order and its replacement are at the venue one after the other.
        assert bot.books.orders() == 1
        assert sum(working.remaining for working in bot.books.working()) == 1
        bot.system.crash("core/risk", Boom())
        await bot.settle(2)
        assert bot.outcomes() == ["COMMITTED", "STALE_APPROVAL"]
        await nothing_is_left(bot)


async def test_a_replacement_that_waits_is_denied_when_orders_restarts(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with house(tmp_path) as bot:
        bot.venue.on_cancel = lambda cancel: None
        await bot.ready()
        await bot.lift()
        await bot.want(buy())
        await bot.want(Replace("entry", Decimal(1), Decimal(99)))
        bot.system.crash("core/orders", Boom())
        await bot.settle(2)
        assert bot.outcomes() == ["COMMITTED", "RESTARTED"]
        await nothing_is_left(bot)


async def test_what_orders_refuses_is_denied_with_its_reason(autojump_clock: MockClock, tmp_path: Path) -> None:
    async with house(tmp_path, orders_settings=OrdersSettings(slots=1, waiting_max=1)) as bot:
        bot.venue.on_submit = lambda order: None
        await bot.ready()
        await bot.lift()
        await bot.want(buy("a"), buy("b"))
        assert (bot.outcomes("a"), bot.outcomes("b")) == (["COMMITTED"], ["TOO_MANY_ORDERS"])
        await nothing_is_left(bot)


async def test_a_refusal_of_what_is_decided_already_adds_no_outcome(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with house(tmp_path) as bot:
        await bot.ready()
        await bot.lift()
        await bot.want(buy())
        (row,) = bot.of(OrderCommitted)
        bot.at["core/risk"].tell(ApprovalRefused(row.intent, DenyReason.KEY_IN_USE, "late"))
        bot.at["core/risk"].tell(ReservationsKnown(frozenset({row.intent}), frozenset(), 1, 1))
        await bot.settle()
        assert bot.outcomes() == ["COMMITTED"]
        # Two refusals of one approval, before the denial is read back.
        refusal = ApprovalRefused(evolve(row.intent, key="twice"), DenyReason.KEY_IN_USE, "late")
        bot.books.reserved[refusal.intent] = Reservation(buy("twice"), Decimal(1))
        bot.at["core/risk"].tell(refusal)
        bot.at["core/risk"].tell(refusal)
        await bot.settle()
        assert bot.outcomes("twice") == ["KEY_IN_USE"]
        # One that nobody knows: approved by an incarnation that is gone.
        bot.at["core/risk"].tell(ApprovalRefused(evolve(row.intent, key="lost"), DenyReason.KEY_IN_USE, "late"))
        await bot.settle()
        assert bot.outcomes("lost") == ["KEY_IN_USE"]


async def test_an_answer_to_an_earlier_incarnation_opens_nothing(autojump_clock: MockClock, tmp_path: Path) -> None:
    async with house(tmp_path) as bot:
        await bot.ready()
        bot.system.crash("core/orders", Boom())
        bot.system.crash("core/risk", Boom())
        bot.at["core/risk"].tell(ReservationsKnown(frozenset(), frozenset(), 1, 0))
        bot.at["core/risk"].tell(Intents("momentum", EventId("e/1"), (buy(),)))
        await bot.settle(2)
        assert bot.outcomes() == ["NOT_READY"]


async def test_risk_decides_nothing_before_it_has_read_as_far_as_orders(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with house(tmp_path) as bot:
        await bot.ready()
        await bot.lift()
        bot.system.crash("core/risk", Boom())
        bot.at["core/risk"].tell(ReservationsKnown(frozenset(), frozenset(), 2, 1_000))
        await bot.settle(2)
        bot.quote()
        await bot.settle(1)
        bot.at["core/risk"].tell(Intents("momentum", EventId("e/1"), (buy(),)))
        await bot.settle()
        assert [row.text for row in bot.of(DecisionDenied)] == ["risk has not heard from orders yet"]


async def test_what_a_strategy_says_is_pending_is_looked_up_only_when_everything_is_read(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with house(tmp_path) as bot:
        await bot.ready()
        await bot.lift()
        await bot.want(buy())
        (row,) = bot.of(OrderCommitted)
        bot.system.crash("core/risk", Boom())
        bot.at["core/risk"].tell(PendingIntents("momentum", (row.intent,)))
        await bot.settle(2)
        assert bot.outcomes() == ["COMMITTED"]


@pytest.mark.parametrize("after", [False, True])
async def test_denials_reach_the_journal_through_its_crash(
    autojump_clock: MockClock, tmp_path: Path, after: bool
) -> None:
    async with house(tmp_path) as bot:
        await bot.ready()
        await bot.lift()
        bot.journal.light(Append, after=after)
        await bot.want(buy(quantity="50"))
        await bot.settle(2)
        assert bot.journal.blown == 1
        assert bot.outcomes() == ["ORDER_TOO_LARGE"]
        await bot.want(buy())
        assert bot.outcomes() == ["ORDER_TOO_LARGE", "COMMITTED"]


async def test_intents_pending_in_a_strategy_that_nobody_knows_are_denied_once(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with house(tmp_path) as bot:
        await bot.ready()
        lost = IntentKey("momentum", EventId("e/9"), "lost")
        for _ in range(2):
            bot.at["core/risk"].tell(PendingIntents("momentum", (lost,)))
        await bot.settle()
        assert bot.outcomes("lost") == ["RESTARTED"]


async def test_a_pause_counts_from_the_moment_it_is_told(autojump_clock: MockClock, tmp_path: Path) -> None:
    async with house(tmp_path) as bot:
        await bot.ready()
        await bot.lift()
        bot.quote()
        clock = bot.system.world.clock
        bot.at["core/risk"].tell(PauseChanged("account", ("PERSON",), clock.wall_ns()))
        bot.at["core/risk"].tell(Intents("momentum", EventId("e/1"), (buy(),)))
        await bot.settle()
        assert bot.outcomes() == ["PAUSED"]


async def test_a_paused_strategy_can_close_but_no_more_than_it_holds(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with house(tmp_path) as bot:
        await bot.ready()
        await bot.lift()
        bot.venue.on_submit = lambda order: report(order.client_id, ReportedState.FILLED, "1", (trade(1, "1"),))
        await bot.want(buy())
        assert len(bot.of(Fill)) == 1
        bot.venue.on_submit = lambda order: report(order.client_id)
        bot.pause("STALE_FEED")
        await bot.settle()
        close = buy("exit", side=Side.SELL, reduces=True)
        await bot.want(evolve(close, quantity=Decimal("1.1")))
        await bot.want(close)
        assert bot.outcomes("exit") == ["NOT_REDUCING", "COMMITTED"]
        assert bot.venue.submits[-1].reduces
        await bot.want(Cancel("exit"))
        assert bot.venue.cancels


async def test_replacing_nothing_and_a_stranger_without_capital_are_denied(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with house(tmp_path) as bot:
        await bot.ready()
        await bot.lift()
        await bot.want(Replace("none", Decimal(1), Decimal(99)))
        assert bot.outcomes("none") == ["NOTHING_TO_REPLACE"]
        bot.at["core/risk"].tell(Intents("stranger", EventId("e/1"), (buy("strange"),)))
        await bot.settle()
        assert bot.outcomes("strange") == ["NO_CAPITAL"]


async def test_the_day_s_loss_is_an_alarm_that_is_told_at_first_sight_and_when_it_changes(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with house(tmp_path, risk_settings=RiskSettings(daily_loss_percent=Decimal(1))) as bot:
        await bot.ready()
        risk = bot.at["core/risk"]

        def told() -> list[Any]:
            return [alarm.active for alarm in bot.alarms if alarm.cause is Cause.DAILY_LOSS]

        assert told() == [False]
        for profit in ("-100", "-100.01", "NaN", "-101", "5"):
            risk.tell(books_of(profit))
            await bot.settle(0.01)
        assert told() == [False, True, False]
        bot.system.crash("core/risk", Boom())
        await bot.settle(1)
        risk.tell(books_of("-200"))
        await bot.settle(0.01)
        assert told()[-1] is True


async def test_a_refused_row_crashes_risk_only_if_it_is_its_own(autojump_clock: MockClock, tmp_path: Path) -> None:
    async with house(tmp_path) as bot:
        await bot.ready()
        risk = bot.at["core/risk"]
        risk.tell(AppendFailed("of somebody else", "not ours"))
        await bot.settle()
        assert risk._cell.incarnation == 1
        risk.tell(AppendFailed(bot.alive["core/risk"]._writer.append(bot.events[0]), "contradiction"))
        await bot.settle()
        assert risk._cell.incarnation == 2


async def test_an_answer_that_dies_with_orders_leaves_nothing_reserved(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with house(tmp_path) as bot:
        await bot.ready()
        await bot.lift()
        bot.orders.light(SubmitOutcome)
        await bot.want(buy())
        await bot.settle(20)
        assert len(bot.venue.submits) == 1
        await nothing_is_left(bot)
