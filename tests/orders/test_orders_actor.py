"""The order path as an actor, through crashes of itself, of the journal and of the gateway."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from trio.testing import MockClock

from tbot_actors.domain.events import (
    CancelAsked,
    Evidence,
    Fill,
    OrderAccepted,
    OrderCommitted,
    OrderExpired,
    OrderLost,
)
from tbot_actors.domain.intents import Cancel, IntentKey, Replace
from tbot_actors.domain.market import EventId
from tbot_actors.domain.messages import (
    Absent,
    Append,
    AppendFailed,
    Approved,
    CancelOutcome,
    CancelWanted,
    Cause,
    ConfirmReservations,
    Lost,
    NotSent,
    OrderReport,
    QueryOutcome,
    ReportedState,
    ReservationsKnown,
    SubmitOutcome,
    VenueFacts,
)
from tbot_actors.domain.orders import OrderState
from tbot_actors.kernel import DeadLetterReason, MailboxFull
from tests.orders.bench import approved, report, trade
from tests.orders.house import Boom, buy, house


async def test_an_intent_becomes_an_order_at_the_venue_and_its_fill_is_journaled(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with house(tmp_path) as bot:
        await bot.ready()
        await bot.lift()
        await bot.want(buy())
        (submit,) = bot.venue.submits
        (row,) = bot.of(OrderCommitted)
        assert (submit.client_id, submit.quantity, submit.price) == (row.client_id, row.quantity, row.price)
        assert [type(event) for event in bot.events[-2:]] == [OrderCommitted, OrderAccepted]
        bot.at["core/orders"].tell(report(row.client_id, ReportedState.FILLED, "1", (trade(1, "1"),)))
        await bot.settle()
        (fill,) = bot.of(Fill)
        assert (fill.client_id, fill.strategy, fill.evidence) == (row.client_id, "momentum", Evidence.STREAM)
        assert bot.wishes.views[-1].positions
        assert bot.system.dead_letters.count == 0


async def test_a_submit_says_until_when_it_may_leave(autojump_clock: MockClock, tmp_path: Path) -> None:
    async with house(tmp_path) as bot:
        await bot.ready()
        await bot.lift()
        now_ns = bot.system.world.clock.monotonic_ns()
        await bot.want(buy())
        assert 1_900_000_000 <= bot.venue.submits[0].not_after_ns - now_ns <= 2_100_000_000


async def test_cancel_and_replace_reach_the_venue(autojump_clock: MockClock, tmp_path: Path) -> None:
    async with house(tmp_path) as bot:
        await bot.ready()
        await bot.lift()
        await bot.want(buy())
        await bot.want(Replace("entry", buy().quantity, buy(price="99").price or buy().quantity))
        first, second = bot.venue.submits
        assert (first.price, second.price) == (buy().price, buy(price="99").price)
        assert [cancel.client_id for cancel in bot.venue.cancels] == [first.client_id]
        await bot.want(Cancel("entry"))
        assert [cancel.client_id for cancel in bot.venue.cancels] == [first.client_id, second.client_id]
        assert [row.why for row in bot.of(CancelAsked)] == ["replaced", "the strategy cancelled"]
        assert bot.wishes.views[-1].orders == {}


async def test_nothing_is_sent_twice_by_orders_that_dies_over_an_approval_or_an_answer(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with house(tmp_path) as bot:
        await bot.ready()
        await bot.lift()
        for number, (kind, after) in enumerate(
            [(Approved, False), (Approved, True), (SubmitOutcome, False), (SubmitOutcome, True)]
        ):
            bot.orders.light(kind, after=after)
            await bot.want(buy(f"k{number}", price="99"))
            await bot.settle(20)
        assert bot.orders.blown == 4
        assert max(Counter(submit.client_id for submit in bot.venue.submits).values()) == 1
        assert bot.outcomes("k0") == ["RESTARTED"]
        assert [bot.outcomes(f"k{number}") for number in (1, 2, 3)] == [["COMMITTED"]] * 3
        working = bot.books.blotter.working
        assert {order.state for order in working.values()} == {OrderState.OPEN}
        assert len({row.client_id for row in bot.of(OrderCommitted)}) == 3


async def test_ids_do_not_repeat_over_restarts_of_orders_and_of_the_process(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    given: list[str] = []
    for process in ("1", "2"):
        async with house(tmp_path, token=process) as bot:
            bot.venue.on_submit = lambda order: NotSent("not today")
            await bot.ready()
            await bot.lift()
            for _ in range(3):
                await bot.want(buy())
                bot.system.crash("core/orders", Boom())
                await bot.settle(1)
            given = [row.client_id for row in bot.of(OrderCommitted)]
    assert len(given) == len(set(given)) == 6


async def test_an_approval_that_comes_while_the_journal_is_unread_is_refused_and_the_rest_waits(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with house(tmp_path) as bot:
        await bot.ready()
        await bot.lift()
        await bot.want(buy("old", price="99"))
        (order,) = bot.of(OrderCommitted)
        bot.system.crash("core/orders", Boom())
        # Before the next incarnation has read a row: an approval, a cancel and a fill.
        bot.wishes.queue.append((buy(), Cancel("old")))
        bot.quote()
        orders = bot.at["core/orders"]
        orders.tell(report(order.client_id, ReportedState.PARTIAL, "0.4", (trade(1),)))
        await bot.settle(2)
        assert bot.outcomes() == ["NOT_READY"]
        assert [cancel.client_id for cancel in bot.venue.cancels] == [order.client_id]
        assert len(bot.of(Fill)) == 1
        assert bot.books.reserved == {}


async def test_whatever_comes_while_the_journal_is_unread_is_believed_afterwards_in_its_order(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with house(tmp_path) as bot:
        await bot.ready()
        await bot.lift()
        await bot.want(buy())
        (row,) = bot.of(OrderCommitted)
        bot.system.crash("core/orders", Boom())
        client_id, orders = row.client_id, bot.at["core/orders"]
        orders.tell(ConfirmReservations((row.intent,), 1))
        orders.tell(SubmitOutcome(client_id, report(client_id, ReportedState.PARTIAL, "0.1", (trade(1, "0.1"),))))
        orders.tell(QueryOutcome(client_id, report(client_id, ReportedState.PARTIAL, "0.3", (trade(2, "0.2"),)), 0))
        orders.tell(CancelOutcome(client_id, report(client_id, ReportedState.CANCELED, "0.6", (trade(3, "0.3"),))))
        orders.tell(VenueFacts((), (trade(4, "0.1", client_id),), (), ()))
        await bot.settle(2)
        assert [fill.trade_id for fill in bot.of(Fill)] == ["1", "2", "3", "4"]
        order = bot.books.blotter[client_id]
        assert (order.state, order.executed) == (OrderState.CANCELED, buy(quantity="0.7").quantity)
        assert bot.outcomes() == ["COMMITTED"]


async def test_only_so_much_waits_for_the_journal(
    autojump_clock: MockClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tbot_actors.orders.actor.EARLY_MAX", 3)
    async with house(tmp_path) as bot:
        await bot.ready()
        bot.system.crash("core/orders", Boom())
        for number in range(4):
            bot.at["core/orders"].tell(CancelWanted("momentum", f"k{number}", "more than may wait"))
        await bot.settle(2)
        lost = [letter.message for letter in bot.system.dead_letters.recent()]
        assert [type(message) for message in lost] == [CancelWanted]
        assert bot.at["core/orders"].ready


async def test_a_gateway_that_dies_leaves_its_orders_unknown_until_the_venue_is_asked(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with house(tmp_path) as bot:
        bot.venue.on_submit = lambda order: None
        await bot.ready()
        await bot.lift()
        await bot.want(buy())
        bot.system.crash("venues/binance/gateway", Boom())
        await bot.settle(0.5)
        assert [row.why for row in bot.of(OrderLost)] == ["the gateway restarted"]
        await bot.settle(3)
        assert len(bot.venue.submits) == 1
        (order,) = bot.books.blotter.working.values()
        assert order.state is OrderState.OPEN


async def test_orders_does_not_pile_questions_up_before_a_gateway_that_is_away(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with house(tmp_path) as bot:
        bot.venue.on_submit = lambda order: Lost("timeout")
        bot.venue.on_query = lambda order: Lost("timeout")
        bot.venue.on_cancel = lambda order: Lost("timeout")
        await bot.ready()
        await bot.lift()
        await bot.want(buy())
        await bot.want(Cancel("entry"))
        await bot.system.stop_child("venues/binance/gateway")
        asked = len(bot.venue.queries), len(bot.venue.cancels)
        dead = bot.system.dead_letters.count
        await bot.settle(300)
        assert (len(bot.venue.queries), len(bot.venue.cancels)) == asked
        assert bot.system.dead_letters.count == dead
        assert bot.at["core/orders"].ready
        (overdue,) = [alarm for alarm in bot.alarms if alarm.cause is Cause.UNKNOWN_OVERDUE and alarm.active]
        assert overdue.detail == bot.of(OrderCommitted)[0].client_id


async def test_an_order_proven_absent_ends_and_is_never_sent_again(autojump_clock: MockClock, tmp_path: Path) -> None:
    async with house(tmp_path) as bot:
        bot.venue.on_submit = lambda order: Lost("timeout")
        bot.venue.on_query = lambda order: Absent()
        await bot.ready()
        await bot.lift()
        await bot.want(buy())
        await bot.settle(30)
        assert [row.why for row in bot.of(OrderExpired)] == ["not sent: proven absent at the venue"]
        assert len(bot.venue.submits) == 1


async def test_the_reconcilers_facts_come_through_the_same_door(autojump_clock: MockClock, tmp_path: Path) -> None:
    async with house(tmp_path) as bot:
        await bot.ready()
        await bot.lift()
        await bot.want(buy("a", price="99"), buy("b", price="99"))
        first, second = (row.client_id for row in bot.of(OrderCommitted))
        orphan = report("TB0TA000010000009")
        queries = len(bot.venue.queries)
        facts = VenueFacts(
            reports=(report(first, ReportedState.CANCELED),),
            trades=(trade(1, client_id=second, venue_id="v2"),),
            absent=(second, "never heard of"),
            orphans=(orphan,),
        )
        bot.at["core/orders"].tell(facts)
        bot.at["core/orders"].tell(facts)
        await bot.settle()
        assert [(fill.client_id, fill.evidence) for fill in bot.of(Fill)] == [(second, Evidence.RECONCILE)]
        assert [cancel.client_id for cancel in bot.venue.cancels] == [orphan.client_id] * 2
        assert [query.client_id for query in bot.venue.queries[queries:]] == [second] * 2
        (working,) = bot.books.blotter.working.values()
        assert working.client_id == second


async def test_an_order_that_was_filled_in_very_many_pieces_is_booked_whole(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with house(tmp_path) as bot:
        await bot.ready()
        await bot.lift()
        await bot.want(buy())
        (row,) = bot.of(OrderCommitted)
        pieces = tuple(trade(number, "0.0004") for number in range(2_500))
        bot.at["core/orders"].tell(report(row.client_id, ReportedState.FILLED, "1", pieces))
        await bot.settle(2)
        assert len(bot.of(Fill)) == 2_500
        assert bot.books.blotter[row.client_id].state is OrderState.FILLED
        assert bot.at["core/orders"]._cell.incarnation == 1


async def test_a_journal_that_restarts_is_told_again_and_each_row_is_there_once(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with house(tmp_path) as bot:
        await bot.ready()
        await bot.lift()
        for number in range(4):
            bot.wishes.queue.append((buy(f"k{number}", "0.1", "99"),))
            bot.quote()
            if number % 2:
                bot.system.crash("journal", Boom())
            await bot.settle(1)
        assert [bot.outcomes(f"k{number}") for number in range(4)] == [["COMMITTED"]] * 4
        assert len(bot.venue.submits) == 4


@pytest.mark.parametrize("after", [False, True])
async def test_a_row_that_dies_with_the_journal_is_told_again_and_then_the_order_is_sent(
    autojump_clock: MockClock, tmp_path: Path, after: bool
) -> None:
    async with house(tmp_path) as bot:
        await bot.ready()
        await bot.lift()
        bot.journal.light(Append, after=after)
        await bot.want(buy())
        await bot.settle(2)
        assert bot.journal.blown == 1
        assert bot.outcomes() == ["COMMITTED"]
        assert len(bot.venue.submits) == 1


async def test_rows_that_the_journal_refuses_crash_orders_which_starts_from_the_journal(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with house(tmp_path) as bot:
        await bot.ready()
        incarnation = bot.at["core/orders"]._cell.incarnation
        bot.at["core/orders"].tell(AppendFailed("of somebody else", "not ours"))
        await bot.settle()
        assert bot.at["core/orders"]._cell.incarnation == incarnation
        row = bot.events[0]
        writer = bot.alive["core/orders"]._writer
        append_id = writer.append(row)
        bot.at["core/orders"].tell(AppendFailed(append_id, "contradiction"))
        await bot.settle()
        assert bot.at["core/orders"]._cell.incarnation == incarnation + 1
        assert "contradiction" in repr(bot.at["core/orders"]._cell.last_error)


async def test_a_full_lane_refuses_a_report_and_drops_none(autojump_clock: MockClock, tmp_path: Path) -> None:
    async with house(tmp_path) as bot:
        await bot.ready()
        orders = bot.at["core/orders"]
        with pytest.raises(MailboxFull):
            for _ in range(5000):
                orders.tell(report("of nobody"))
        await bot.settle(1)
        assert orders.statistics().dropped == 0
        assert OrderReport not in {type(letter.message) for letter in bot.system.dead_letters.recent()}


async def test_risk_hears_what_orders_knows_only_once_it_is_journaled(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with house(tmp_path) as bot:
        await bot.ready()
        await bot.lift()
        orders, unheard = bot.at["core/orders"], IntentKey("momentum", EventId("e/2"), "unheard")
        approval = approved("entry", event="e/1")
        orders.tell(approval)
        orders.tell(ConfirmReservations((approval.intent, unheard), 1))
        await bot.settle()
        answer = bot.risk.seen[-1]
        assert isinstance(answer, ReservationsKnown)
        assert answer.asked == {unheard, approval.intent}
        assert answer.known == {approval.intent}
        (row,) = bot.of(OrderCommitted)
        assert answer.sequence >= bot.events.index(row) + 1
        assert DeadLetterReason.UNHANDLED not in {letter.reason for letter in bot.system.dead_letters.recent()}
