"""The stop protocol and the flatten, at a venue that loses answers, fills in parts and refuses; with crashes."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
import trio

from tbot_actors.domain.events import (
    Evidence,
    Fill,
    OrderCanceled,
    OrderCommitted,
    OrderLost,
    PauseChanged,
    Stopped,
)
from tbot_actors.domain.ids import Sender, parse_client_id
from tbot_actors.domain.instruments import Side
from tbot_actors.domain.intents import TimeInForce
from tbot_actors.domain.latch import Latch
from tbot_actors.domain.messages import Cause, FlattenWanted, OnStop, ReportedState, ResumeWanted, StopWanted
from tbot_actors.domain.orders import OrderState
from tbot_actors.watchdog import WatchdogSettings
from tests.watchdog.house import (
    BOT,
    ORDERS,
    START_NS,
    WATCHDOG,
    House,
    Post,
    alarm,
    committed,
    fill_of,
    house,
    order_id,
)
from tests.watchdog.venue import BTC, AnswerLost, Hang, Partly, Refuse, RequestLost

Clock = trio.testing.MockClock
ZERO = Decimal(0)


def closing_rows(bot: House) -> list[OrderCommitted]:
    return [row for row in bot.events(OrderCommitted) if _sender(row.client_id) is Sender.SAFETY]


def _sender(client_id: str) -> Sender:
    parts = parse_client_id(client_id, BOT)
    assert parts is not None
    return parts.sender


def books_agree(bot: House) -> None:
    """Everything the venue did is in the journal, once, and nothing else is."""
    assert bot.position() == bot.venue.total("BTC")
    assert sorted(fill.trade_id for fill in bot.events(Fill)) == sorted(trade.trade_id for trade in bot.venue.trades)
    for row in bot.events(OrderCommitted):
        assert bot.order(row.client_id).state.terminal, row


async def test_a_stop_with_nothing_to_do_confirms_that(tmp_path: Path, autojump_clock: Clock) -> None:
    async with house(tmp_path) as bot:
        report = await bot.stop(OnStop.FLATTEN)
        assert (report.flat, report.open_orders, dict(report.left), report.detail) == (True, 0, {}, "")
        assert [(row.flat, row.open_orders, row.left) for row in bot.events(Stopped)] == [(True, 0, {})]
        assert bot.venue.sessions_open == 1  # the gateway's


async def test_a_stop_that_keeps_cancels_ours_alone_and_leaves_the_position(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    async with house(tmp_path) as bot:
        await bot.holds("1")
        ours = [await bot.rests(2), await bot.rests(3, Side.SELL, "0.5", "120", reduces=True)]
        bot.venue.open_order("somebodys", Side.SELL, "0.1", "130")
        report = await bot.stop(OnStop.KEEP)
        assert (report.flat, report.open_orders, dict(report.left)) == (False, 0, {BTC: Decimal(1)})
        assert [order.client_id for order in bot.venue.open()] == ["somebodys"]
        assert sorted(bot.venue.cancelled) == sorted(ours)
        assert bot.venue.sent == []
        assert [bot.order(client_id).state for client_id in ours] == [OrderState.CANCELED] * 2
        assert bot.pauses()["account"][-1] == "STOPPING"


async def test_a_stop_that_flattens_leaves_nothing(tmp_path: Path, autojump_clock: Clock) -> None:
    async with house(tmp_path) as bot:
        await bot.holds("1")
        await bot.rests(2)
        await bot.rests(3, Side.SELL, "1", "120", reduces=True)
        started_s = trio.current_time()
        report = await bot.stop(OnStop.FLATTEN)
        assert (report.flat, report.open_orders, dict(report.left), report.detail) == (True, 0, {}, "")
        assert bot.venue.total("BTC") == ZERO
        assert bot.venue.open() == []
        assert 3 <= trio.current_time() - started_s < 8
        books_agree(bot)


async def test_a_closing_order_is_ours_reduces_and_is_journaled_before_it_is_sent(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    async with house(tmp_path) as bot:
        await bot.holds("1")
        await bot.stop(OnStop.FLATTEN)
        (sent,) = bot.venue.sent
        (row,) = closing_rows(bot)
        assert (sent.client_id, sent.quantity, sent.price) == (row.client_id, row.quantity, row.price)
        assert (sent.side, sent.time_in_force, sent.reduces) == (Side.SELL, TimeInForce.IOC, True)
        assert (row.strategy, row.intent.key, row.intent.event[:9]) == ("momentum", "safety/close", "safety/1/")
        assert sent.price == Decimal("99.5")


async def test_a_slow_journal_is_waited_for_before_an_order_leaves(tmp_path: Path, autojump_clock: Clock) -> None:
    async with house(tmp_path) as bot:
        await bot.holds("1")
        bot.disk.takes_s = 0.4
        # The venue refuses what the journal does not have.
        assert (await bot.stop(OnStop.FLATTEN)).flat
        assert len(bot.venue.sent) == 1
        books_agree(bot)


async def test_a_row_that_is_durable_only_after_the_order_was_sent_is_booked_in_the_same_run(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    async with house(tmp_path) as bot:
        await bot.holds("1")
        stuck = bot.disk.stuck = trio.Event()

        async def answers_late() -> None:
            await bot.until(lambda: bot.venue.sent)
            await trio.sleep(1)
            bot.disk.stuck = None
            stuck.set()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(answers_late)
            assert (await bot.stop(OnStop.FLATTEN)).flat
        books_agree(bot)


async def test_an_order_that_the_strategy_closes_with_at_the_same_moment_is_not_doubled(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    async with house(tmp_path) as bot:
        await bot.holds("1")
        # The owner's own bitcoin: a second sale would find them.
        bot.venue.balances["BTC"] += 5
        bot.disk.takes_s = 0.3
        own = order_id(2)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(bot.stop, OnStop.FLATTEN)
            await trio.sleep(0.01)
            nursery.start_soon(bot.journal, committed(own, "1", side=Side.SELL, price="99", reduces=True))
            await bot.until(lambda: any(row.client_id == own for row in bot.events(OrderCommitted)))
            assert bot.venue.sent == []
            bot.venue.open_order(own, Side.SELL, "1", "99")
            bot.venue.fill(own, "1", "100")
        assert bot.venue.total("BTC") == Decimal(5)
        assert bot.venue.sent == []
        assert bot.position() == ZERO


async def test_a_late_fill_of_an_order_that_had_ended_is_closed_too(tmp_path: Path, autojump_clock: Clock) -> None:
    async with house(tmp_path) as bot:
        await bot.holds("1")
        late = await bot.rests(2, Side.BUY, "1", "80")
        await bot.journal(OrderCanceled(late, Evidence.STREAM, START_NS))
        bot.venue.fill(late, "1", "80")
        assert (await bot.stop(OnStop.FLATTEN)).flat
        assert bot.venue.total("BTC") == ZERO
        books_agree(bot)


async def test_new_risk_is_barred_before_the_first_cancel(tmp_path: Path, autojump_clock: Clock) -> None:
    async with house(tmp_path) as bot:
        await bot.rests(2)
        await bot.stop(OnStop.KEEP)
        stopping = next(event for event in bot.events(PauseChanged) if "STOPPING" in event.causes)
        assert stopping in bot.at_risk
        assert bot.log.index(stopping) < next(i for i, e in enumerate(bot.log) if type(e).__name__ == "OrderCanceled")


async def test_a_close_that_fills_in_parts_goes_on_until_nothing_is_left(tmp_path: Path, autojump_clock: Clock) -> None:
    async with house(tmp_path) as bot:
        await bot.holds("1")
        bot.venue.submits.extend([Partly(Decimal("0.3")), Partly(ZERO), Partly(Decimal("0.2"))])
        report = await bot.stop(OnStop.FLATTEN)
        assert report.flat
        assert [sent.quantity for sent in bot.venue.sent] == [Decimal(text) for text in ("1", "0.7", "0.7", "0.5")]
        prices = [sent.price for sent in bot.venue.sent]
        assert prices == [Decimal(text) for text in ("99.5", "99", "98", "96")]
        books_agree(bot)


async def test_a_lost_answer_is_asked_for_and_the_position_not_sold_twice(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    async with house(tmp_path) as bot:
        await bot.holds("1")
        # The owner's own bitcoin: a second sale would find them.
        bot.venue.balances["BTC"] += 5
        bot.venue.submits.append(AnswerLost())
        report = await bot.stop(OnStop.FLATTEN)
        assert report.flat
        assert len(bot.venue.sent) == 1
        assert bot.venue.total("BTC") == Decimal(5)
        assert bot.position() == ZERO
        assert bot.order(bot.venue.sent[0].client_id).state is OrderState.FILLED


async def test_a_lost_request_is_replaced_only_when_it_is_proven_absent(tmp_path: Path, autojump_clock: Clock) -> None:
    async with house(tmp_path) as bot:
        await bot.holds("1")
        bot.venue.submits.append(RequestLost())
        started_s = trio.current_time()
        report = await bot.stop(OnStop.FLATTEN)
        assert report.flat
        first, second = bot.venue.sent
        assert first.client_id != second.client_id
        assert trio.current_time() - started_s > 9
        assert bot.order(first.client_id).state in (OrderState.EXPIRED, OrderState.UNKNOWN)
        assert bot.venue.total("BTC") == ZERO


async def test_cancels_that_fail_are_sent_again_until_the_venue_shows_none(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    async with house(tmp_path) as bot:
        order = await bot.rests(2)
        bot.venue.cancels.extend([RequestLost(), RequestLost(), AnswerLost()])
        report = await bot.stop(OnStop.FLATTEN)
        assert report.flat
        assert bot.venue.cancelled.count(order) == 3
        assert bot.venue.open() == []


async def test_an_order_that_fills_while_it_is_cancelled_is_closed_too(tmp_path: Path, autojump_clock: Clock) -> None:
    async with house(tmp_path) as bot:
        order = await bot.rests(2, Side.BUY, "2", "80")
        bot.venue.fill(order, "0.5", "80")
        report = await bot.stop(OnStop.FLATTEN)
        assert report.flat
        assert bot.venue.total("BTC") == ZERO
        books_agree(bot)


async def test_a_fill_that_no_stream_told_is_found_and_closed(tmp_path: Path, autojump_clock: Clock) -> None:
    async with house(tmp_path) as bot:
        await bot.holds("1")
        order = await bot.rests(2, Side.BUY, "2", "80")
        bot.venue.fill(order, "2", "80")
        report = await bot.stop(OnStop.FLATTEN)
        assert report.flat
        assert bot.venue.total("BTC") == ZERO
        books_agree(bot)


async def test_an_unknown_order_is_waited_for_and_what_it_bought_is_sold(tmp_path: Path, autojump_clock: Clock) -> None:
    async with house(tmp_path) as bot:
        await bot.holds("1")
        late = order_id(2)
        await bot.journal(committed(late, "1"), OrderLost(late, "timeout", START_NS))

        async def lands_late() -> None:
            await trio.sleep(5)
            bot.venue.open_order(late, Side.BUY, "1", "90")
            bot.venue.fill(late, "1", "90")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(lands_late)
            report = await bot.stop(OnStop.FLATTEN)
        assert report.flat
        assert bot.venue.total("BTC") == ZERO
        books_agree(bot)


async def test_what_safety_proves_absent_orders_learns_even_when_its_own_looks_are_throttled(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    async with house(tmp_path) as bot:
        lost = order_id(2)
        await bot.journal(committed(lost, "1"), OrderLost(lost, "timeout", START_NS))
        bot.venue.first_session_is_throttled = True
        await trio.sleep(3)
        report = await bot.stop(OnStop.FLATTEN)
        assert report.flat
        assert bot.order(lost).state is OrderState.EXPIRED


async def test_only_what_is_ours_is_sold(tmp_path: Path, autojump_clock: Clock) -> None:
    async with house(tmp_path) as bot:
        await bot.holds("1")
        bot.venue.balances["BTC"] += 10
        assert (await bot.stop(OnStop.FLATTEN)).flat
        assert bot.venue.total("BTC") == Decimal(10)


async def test_dust_is_flat_and_reported(tmp_path: Path, autojump_clock: Clock) -> None:
    async with house(tmp_path) as bot:
        await bot.holds("0.04")
        report = await bot.stop(OnStop.FLATTEN)
        assert (report.flat, dict(report.left)) == (True, {BTC: Decimal("0.04")})
        assert bot.venue.sent == []
        assert bot.events(Stopped)[0].left == {"binance:BTCUSDT": "0.04"}


async def test_a_venue_that_holds_less_than_we_own_is_reported_and_ends_the_attempts(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    async with house(tmp_path) as bot:
        await bot.holds("1")
        bot.venue.balances["BTC"] = Decimal("0.6")
        report = await bot.stop(OnStop.FLATTEN)
        assert (report.flat, dict(report.left)) == (False, {BTC: Decimal("0.4")})
        assert "holds less" in report.detail
        assert len(bot.venue.sent) == 1
        assert bot.venue.total("BTC") == ZERO


async def test_refusals_make_it_look_again_and_give_up_in_the_end(tmp_path: Path, autojump_clock: Clock) -> None:
    settings = WatchdogSettings(attempts_max=4)
    async with house(tmp_path, watchdog=settings) as bot:
        await bot.holds("1")
        bot.venue.submits.extend([Refuse()] * 50)
        report = await bot.stop(OnStop.FLATTEN)
        assert not report.flat
        assert dict(report.left) == {BTC: Decimal(1)}
        assert len(bot.venue.sent) == 4
        assert "as many orders" in report.detail


async def test_a_price_beyond_the_widest_collar_is_not_taken(tmp_path: Path, autojump_clock: Clock) -> None:
    async with house(tmp_path) as bot:
        await bot.holds("1")
        bot.venue.submits.append(Partly(Decimal("0.1")))

        async def crash() -> None:
            await bot.until(lambda: bot.venue.sent)
            bot.venue.bid = Decimal(90)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(crash)
            report = await bot.stop(OnStop.FLATTEN)
        assert not report.flat
        assert "widest collar" in report.detail
        assert all(trade.price == Decimal(100) for trade in bot.venue.trades[1:])


async def test_an_unreachable_venue_is_reported_when_the_time_is_up(tmp_path: Path, autojump_clock: Clock) -> None:
    async with house(tmp_path) as bot:
        await bot.holds("1")
        await bot.rests(2)
        bot.venue.down = True
        started_s = trio.current_time()
        report = await bot.stop(OnStop.FLATTEN)
        assert (report.flat, report.open_orders, dict(report.left)) == (False, 1, {BTC: Decimal(1)})
        assert "no route" in report.detail
        assert 45 <= trio.current_time() - started_s < 60


async def test_a_venue_that_comes_back_in_time_is_flattened(tmp_path: Path, autojump_clock: Clock) -> None:
    async with house(tmp_path) as bot:
        await bot.holds("1")
        bot.venue.down = True

        async def heals() -> None:
            await trio.sleep(20)
            bot.venue.down = False

        async with trio.open_nursery() as nursery:
            nursery.start_soon(heals)
            report = await bot.stop(OnStop.FLATTEN)
        assert report.flat


async def test_a_dead_journal_does_not_keep_positions_open(tmp_path: Path, autojump_clock: Clock) -> None:
    async with house(tmp_path) as bot:
        await bot.holds("1")
        bot.disk.stuck = trio.Event()
        report = await bot.stop(OnStop.FLATTEN)
        assert report.flat
        assert bot.venue.total("BTC") == ZERO
        assert len(bot.venue.sent) == 1
        bot.disk.stuck.set()
        bot.disk.stuck = None
        assert (await bot.stop(OnStop.FLATTEN)).flat
        books_agree(bot)
        assert len(bot.venue.sent) == 1


async def test_a_watchdog_that_dies_in_the_middle_of_a_close_goes_on_and_sells_nothing_twice(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    async with house(tmp_path) as bot:
        await bot.holds("1")
        bot.venue.balances["BTC"] += 5
        bot.venue.submits.append(Hang(3))

        async def dies() -> None:
            await bot.until(lambda: bot.venue.sent)
            bot.system.crash(WATCHDOG, RuntimeError("broken"))
            await trio.sleep(1)
            assert "STOPPING" in bot.pauses()["account"]

        async with trio.open_nursery() as nursery:
            nursery.start_soon(dies)
            report = await bot.stop(OnStop.FLATTEN)
        assert report.flat
        assert bot.venue.total("BTC") == Decimal(5)
        assert len(bot.venue.sent) == 1
        assert bot.position() == ZERO


@pytest.mark.parametrize("after_s", [0.1, 0.6, 1.1, 2.0, 3.5])
async def test_a_watchdog_may_die_at_any_moment_of_a_stop(
    tmp_path: Path, autojump_clock: Clock, after_s: float
) -> None:
    async with house(tmp_path) as bot:
        await bot.holds("1")
        await bot.rests(2)
        bot.venue.submits.extend([Partly(Decimal("0.3")), Partly(Decimal("0.3"))])

        async def dies() -> None:
            await trio.sleep(after_s)
            bot.system.crash(WATCHDOG, RuntimeError("broken"))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(dies)
            report = await bot.stop(OnStop.FLATTEN)
        assert report.flat
        assert bot.venue.total("BTC") == ZERO
        books_agree(bot)
        ids = [sent.client_id for sent in bot.venue.sent]
        assert len(ids) == len(set(ids))


async def test_orders_may_die_while_safety_closes_and_books_everything_afterwards(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    async with house(tmp_path) as bot:
        await bot.holds("1")
        bot.venue.submits.extend([Partly(Decimal("0.3")), Partly(Decimal("0.3"))])

        async def dies() -> None:
            await bot.until(lambda: bot.venue.sent)
            bot.system.crash(ORDERS, RuntimeError("broken"))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(dies)
            assert (await bot.stop(OnStop.FLATTEN)).flat
        books_agree(bot)


async def test_who_asked_to_keep_can_still_ask_to_flatten(tmp_path: Path, autojump_clock: Clock) -> None:
    async with house(tmp_path) as bot:
        await bot.holds("1")
        assert not (await bot.stop(OnStop.KEEP)).flat
        assert (await bot.stop(OnStop.FLATTEN)).flat
        assert bot.venue.total("BTC") == ZERO


async def test_everybody_who_asked_for_the_stop_gets_one_report(tmp_path: Path, autojump_clock: Clock) -> None:
    async with house(tmp_path) as bot:
        first, second = Post("a/first"), Post("a/second")
        for post in (first, second, first):
            bot.tell(WATCHDOG, StopWanted(OnStop.KEEP, post))
        await bot.until(lambda: first.told and second.told)
        await trio.sleep(10)
        assert (len(first.told), len(second.told)) == (1, 1)


# Flatten


async def test_a_lost_day_flattens_and_stays_flat(tmp_path: Path, autojump_clock: Clock) -> None:
    async with house(tmp_path) as bot:
        await bot.holds("1")
        bot.reconciled()
        bot.tell(WATCHDOG, alarm(Cause.DAILY_LOSS))
        await bot.until(lambda: not bot.venue.total("BTC"))
        assert bot.latch() == Latch({"account": ("DAILY_LOSS",)})
        # A new day, and the alarm is over: the latch is not.
        bot.tell(WATCHDOG, alarm(Cause.DAILY_LOSS, active=False))
        await trio.sleep(20)
        assert bot.pauses() == bot.pauses_at_risk() == {"account": ("LATCHED: DAILY_LOSS",)}
        # An order that everybody had given up fills after all.
        late = bot.events(OrderCommitted)[0].client_id
        bot.venue.orders[late] = bot.venue.open_order(late, Side.BUY, "1", "90")
        trade = bot.venue.fill(late, "1", "90")
        await bot.journal(fill_of(late, trade.trade_id, "1"))
        await bot.until(lambda: not bot.venue.total("BTC"))


async def test_one_strategy_is_flattened_and_the_other_left_alone(tmp_path: Path, autojump_clock: Clock) -> None:
    async with house(tmp_path) as bot:
        await bot.holds("1", strategy="momentum", number=1)
        await bot.holds("2", strategy="quoter", number=2)
        mine = await bot.rests(3, strategy="momentum")
        other = await bot.rests(4, strategy="quoter")
        answer = await bot.ask(FlattenWanted("strategy:momentum", "eva", "odd"))
        assert answer.done
        await trio.sleep(20)
        assert bot.venue.total("BTC") == Decimal(2)
        assert [order.client_id for order in bot.venue.open()] == [other]
        assert bot.order(mine).state is OrderState.CANCELED
        assert (bot.position("momentum"), bot.position("quoter")) == (ZERO, Decimal(2))


async def test_two_strategies_with_the_same_coin_are_both_closed(tmp_path: Path, autojump_clock: Clock) -> None:
    async with house(tmp_path) as bot:
        await bot.holds("1", strategy="momentum", number=1)
        await bot.holds("2", strategy="quoter", number=2)
        assert (await bot.stop(OnStop.FLATTEN)).flat
        assert sorted(sent.quantity for sent in bot.venue.sent) == [Decimal(1), Decimal(2)]
        assert bot.venue.total("BTC") == ZERO


async def test_the_kill_file_flattens(tmp_path: Path, autojump_clock: Clock) -> None:
    async with house(tmp_path) as bot:
        await bot.holds("1")
        bot.kill_file.write_text("flatten")
        await bot.until(lambda: not bot.venue.total("BTC"))
        assert bot.latch() == Latch({"account": ("KILL_FILE_FLATTEN",)})


async def test_a_flatten_that_a_process_crash_cut_short_goes_on_in_the_next_one(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    async with house(tmp_path) as bot:
        venue = bot.venue
        await bot.holds("1")
        venue.down = True
        await bot.ask(FlattenWanted("account", "eva", "enough"))
        await trio.sleep(2)
    venue.down = False
    async with house(tmp_path, venue=venue, token="q") as bot:
        await bot.until(lambda: not venue.total("BTC"))
        assert bot.latch() == Latch({"account": ("PERSON_FLATTEN",)})


async def test_a_flatten_that_left_something_is_tried_again_for_as_long_as_it_is_latched(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    async with house(tmp_path) as bot:
        await bot.holds("1")
        bot.venue.quotes = False
        await bot.ask(FlattenWanted("account", "eva", "enough"))
        await trio.sleep(60)
        assert bot.venue.sent == []
        bot.venue.quotes = True
        await bot.until(lambda: not bot.venue.total("BTC"), within_s=60)


async def test_a_resume_waits_for_the_end_of_a_flatten(tmp_path: Path, autojump_clock: Clock) -> None:
    async with house(tmp_path) as bot:
        await bot.holds("1")
        await bot.ask(FlattenWanted("account", "eva", "enough"))
        refused = await bot.ask(ResumeWanted("account", ("PERSON_FLATTEN",), "eva", "changed my mind"))
        assert not refused.done
        await trio.sleep(20)
        assert (await bot.ask(ResumeWanted("account", ("PERSON_FLATTEN",), "eva", "all good"))).done
        assert bot.latch() == Latch()


async def test_an_order_of_ours_that_the_journal_does_not_know_is_cancelled(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    async with house(tmp_path) as bot:
        orphan = bot.venue.open_order(order_id(77), Side.BUY, "1", "80").client_id
        assert (await bot.stop(OnStop.FLATTEN)).flat
        assert bot.venue.orders[orphan].state is ReportedState.CANCELED
