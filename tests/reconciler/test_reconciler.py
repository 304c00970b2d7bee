"""The reconciler among real rooms: what it finds is booked by orders, and the watchdog hears how it went."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import trio

from tbot_actors.domain.events import Fill, InstrumentDefined, OrderLost, Reconciled
from tbot_actors.domain.instruments import Side
from tbot_actors.domain.messages import Alarm, Cause, ReconcileWanted, ReportedState, StreamState, VenueState
from tbot_actors.domain.orders import OrderState
from tbot_actors.reconciler import ReconcilerSettings
from tests.watchdog.house import (
    GATEWAY,
    ORDERS,
    RECONCILER,
    START_NS,
    WATCHDOG,
    House,
    committed,
    house,
    order_id,
)
from tests.watchdog.venue import BTCUSDT, Venue

Clock = trio.testing.MockClock


def standing(bot: House) -> dict[Cause, bool]:
    """The newest the watchdog was told."""
    return {alarm.cause: alarm.active for alarm in bot.alarms if alarm.scope == "venue:binance"}


def runs(bot: House) -> list[tuple[bool, int]]:
    return [(row.clean, row.fills_found) for row in bot.events(Reconciled)]


async def written(folder: Path) -> Venue:
    """A bot that held 1 BTC, with one order to buy and one to sell at work, ended."""
    async with house(folder, with_watchdog=False) as bot:
        await bot.holds("1")
        await bot.rests(2, Side.BUY, "1", "80")
        await bot.rests(3, Side.SELL, "0.5", "120", reduces=True)
        return bot.venue


async def test_a_first_start_is_clean_and_says_so(tmp_path: Path, autojump_clock: Clock) -> None:
    async with house(tmp_path, with_watchdog=False, with_reconciler=True) as bot:
        await trio.sleep(1)
        assert runs(bot) == [(True, 0)]
        assert standing(bot) == {Cause.MISMATCH: False, Cause.NOT_RECONCILED: False}


async def test_what_was_filled_and_cancelled_while_the_bot_was_dead_is_booked_once(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    venue = await written(tmp_path)
    venue.fill(order_id(2), "0.4", "80")
    venue.fill(order_id(3), "0.5", "120")
    venue.end(order_id(2))
    async with house(tmp_path, venue=venue, token="q", with_watchdog=False, with_reconciler=True) as bot:
        await bot.until(lambda: runs(bot))
        assert runs(bot) == [(True, 2)]
        assert bot.position() == venue.total("BTC") == Decimal("0.9")
        assert bot.order(order_id(2)).state is OrderState.CANCELED
        assert bot.order(order_id(3)).state is OrderState.FILLED
        for _ in range(3):
            bot.tell(RECONCILER, ReconcileWanted("again"))
            await trio.sleep(20)
        assert runs(bot)[1:] == [(True, 0)] * (len(runs(bot)) - 1)
        assert len(bot.events(Fill)) == 3


async def test_working_orders_survive_a_restart(tmp_path: Path, autojump_clock: Clock) -> None:
    venue = await written(tmp_path)
    async with house(tmp_path, venue=venue, token="q", with_watchdog=False, with_reconciler=True) as bot:
        await bot.until(lambda: runs(bot))
        await trio.sleep(20)
        assert {order.client_id for order in venue.open()} == {order_id(2), order_id(3)}
        assert bot.order(order_id(2)).state is OrderState.OPEN


async def test_an_order_that_landed_though_its_answer_was_lost_is_adopted(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    async with house(tmp_path, with_watchdog=False) as bot:
        venue = bot.venue
        await bot.journal(
            InstrumentDefined(BTCUSDT, START_NS),
            committed(order_id(1), "1"),
            OrderLost(order_id(1), "timeout", START_NS),
        )
        venue.open_order(order_id(1), Side.BUY, "1", "90")
        venue.fill(order_id(1), "0.25", "90")
    async with house(tmp_path, venue=venue, token="q", with_watchdog=False, with_reconciler=True) as bot:
        await bot.until(lambda: runs(bot))
        assert runs(bot)[0][0]
        assert (bot.order(order_id(1)).state, bot.position()) == (OrderState.PARTIAL, Decimal("0.25"))


async def test_a_ghost_keeps_the_bot_from_trading_until_it_is_settled(tmp_path: Path, autojump_clock: Clock) -> None:
    venue = await written(tmp_path)
    del venue.orders[order_id(2)]
    async with house(tmp_path, venue=venue, token="q", with_watchdog=False, with_reconciler=True) as bot:
        await trio.sleep(5)
        assert runs(bot) == []
        assert Cause.NOT_RECONCILED not in standing(bot)
        await bot.until(lambda: runs(bot))
        assert bot.order(order_id(2)).state is OrderState.EXPIRED
        assert runs(bot) == [(True, 0)]


async def test_an_orphan_is_cancelled_and_a_foreign_order_left_alone(tmp_path: Path, autojump_clock: Clock) -> None:
    venue = await written(tmp_path)
    orphan = venue.open_order(order_id(99), Side.BUY, "1", "70").client_id
    foreign = venue.open_order("somebodys", Side.BUY, "1", "70").client_id
    async with house(tmp_path, venue=venue, token="q", with_watchdog=False, with_reconciler=True) as bot:
        await bot.until(lambda: runs(bot))
        assert runs(bot) == [(True, 0)]
        assert venue.orders[orphan].state is ReportedState.CANCELED
        assert venue.cancelled == [orphan]
        assert venue.orders[foreign].state is ReportedState.OPEN


async def test_a_venue_that_holds_less_than_the_bot_owns_is_a_mismatch_until_it_does_not(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    venue = await written(tmp_path)
    venue.balances["BTC"] -= Decimal("0.3")
    async with house(tmp_path, venue=venue, token="q", with_watchdog=False, with_reconciler=True) as bot:
        await bot.until(lambda: runs(bot))
        assert runs(bot) == [(False, 0)]
        assert bot.events(Reconciled)[0].mismatches == ("the bot owns 1 BTC, the venue holds 0.7",)
        assert standing(bot) == {Cause.MISMATCH: True}
        venue.balances["BTC"] += Decimal("0.3")
        await bot.until(lambda: runs(bot)[-1] == (True, 0), within_s=11)
        assert standing(bot) == {Cause.MISMATCH: False, Cause.NOT_RECONCILED: False}


async def test_a_fill_that_a_healthy_stream_did_not_tell_is_found_by_the_period(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    async with house(tmp_path, with_watchdog=False, with_reconciler=True) as bot:
        await bot.holds("1")
        order = await bot.rests(2, Side.BUY, "1", "80")
        bot.venue.fill(order, "1", "80")
        await bot.until(lambda: bot.position() == Decimal(2), within_s=61)


async def test_a_venue_out_of_reach_is_tried_again_and_nothing_is_said_meanwhile(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    venue = await written(tmp_path)
    async with house(tmp_path, venue=venue, token="q", with_watchdog=False, with_reconciler=True) as bot:
        await bot.until(lambda: runs(bot))
        told, reads = len(bot.alarms), venue.reads
        venue.down = True
        bot.tell(RECONCILER, ReconcileWanted("now"))
        await trio.sleep(120)
        assert (len(runs(bot)), len(bot.alarms)) == (1, told)
        assert venue.reads - reads < 12
        venue.down = False
        await bot.until(lambda: len(runs(bot)) > 1, within_s=31)


async def test_a_stream_that_is_down_bars_trading_until_it_is_up_and_compared(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    async with house(tmp_path, with_watchdog=False, with_reconciler=True) as bot:
        bot.tell(RECONCILER, StreamState("binance", True, 1))
        await bot.until(lambda: len(runs(bot)) >= 1)
        assert standing(bot)[Cause.NOT_RECONCILED] is False
        bot.tell(RECONCILER, StreamState("binance", False, 1))
        await trio.sleep(70)
        assert runs(bot)[-1] == (True, 0)
        assert standing(bot)[Cause.NOT_RECONCILED] is True
        count = len(runs(bot))
        bot.tell(RECONCILER, StreamState("binance", True, 2))
        await trio.sleep(1)
        assert len(runs(bot)) == count + 1
        assert standing(bot)[Cause.NOT_RECONCILED] is False


async def test_a_gateway_that_dies_bars_trading_until_it_is_back_and_compared(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    async with house(tmp_path, with_watchdog=False, with_reconciler=True) as bot:
        await bot.until(lambda: runs(bot))
        bot.venue.down = True
        bot.system.crash(GATEWAY, RuntimeError("broken"))
        await trio.sleep(5)
        assert standing(bot)[Cause.NOT_RECONCILED] is True
        bot.venue.down = False
        await trio.sleep(5)
        assert standing(bot)[Cause.NOT_RECONCILED] is False


async def test_it_runs_first_after_its_own_crash(tmp_path: Path, autojump_clock: Clock) -> None:
    async with house(tmp_path, with_watchdog=False, with_reconciler=True) as bot:
        await bot.until(lambda: runs(bot))
        await bot.holds("1")
        order = await bot.rests(2, Side.BUY, "1", "80")
        bot.venue.fill(order, "1", "80")
        bot.system.crash(RECONCILER, RuntimeError("broken"))
        await bot.until(lambda: len(runs(bot)) > 1, within_s=5)
        assert bot.position() == Decimal(2)


async def test_a_restarted_watchdog_is_told_anew(tmp_path: Path, autojump_clock: Clock) -> None:
    async with house(tmp_path, with_watchdog=False, with_reconciler=True) as bot:
        await bot.until(lambda: runs(bot))
        bot.alarms.clear()
        bot.system.crash(WATCHDOG, RuntimeError("broken"))
        await trio.sleep(2)
        assert standing(bot)[Cause.NOT_RECONCILED] is False


async def test_facts_that_orders_lost_in_a_crash_are_found_again(tmp_path: Path, autojump_clock: Clock) -> None:
    venue = await written(tmp_path)
    venue.fill(order_id(2), "0.4", "80")
    async with house(tmp_path, venue=venue, token="q", with_watchdog=False, with_reconciler=True) as bot:
        for _ in range(5):
            bot.system.crash(ORDERS, RuntimeError("broken"))
            await trio.sleep(0.05)
        await bot.until(lambda: runs(bot))
        assert runs(bot)[-1][0]
        assert bot.position() == Decimal("1.4")


async def test_with_the_real_watchdog_the_bot_is_free_to_trade_when_all_is_equal(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    venue = await written(tmp_path)
    venue.fill(order_id(2), "0.4", "80")
    async with house(tmp_path, venue=venue, token="q", with_reconciler=True) as bot:
        assert bot.pauses_at_risk() == {"account": ("NOT_RECONCILED",)} or runs(bot)
        await bot.until(lambda: runs(bot))
        await trio.sleep(0.1)
        assert bot.pauses() == bot.pauses_at_risk() == {}
        bot.system.crash(WATCHDOG, RuntimeError("broken"))
        await trio.sleep(3)
        assert bot.pauses() == bot.pauses_at_risk() == {}


async def test_an_answer_to_an_older_question_is_ignored(tmp_path: Path, autojump_clock: Clock) -> None:
    venue = await written(tmp_path)
    async with house(tmp_path, venue=venue, token="q", with_watchdog=False, with_reconciler=True) as bot:
        await bot.until(lambda: runs(bot))
        venue.read_takes_s.extend([5.0])
        bot.tell(RECONCILER, ReconcileWanted("now"))
        await trio.sleep(1)
        bot.tell(RECONCILER, VenueState("binance", 999, (), (), {}, None, 10**18))
        await trio.sleep(3)
        assert len(runs(bot)) == 1
        await trio.sleep(3)
        assert runs(bot) == [(True, 0)] * 2


async def test_a_question_without_an_answer_is_asked_again(tmp_path: Path, autojump_clock: Clock) -> None:
    settings = ReconcilerSettings(read_within_s=2)
    async with house(tmp_path, with_watchdog=False, with_reconciler=True, reconciler=settings) as bot:
        await bot.until(lambda: runs(bot))
        asked = len(bot.venue.trades_asked)
        bot.venue.read_takes_s.extend([10.0])
        bot.tell(RECONCILER, ReconcileWanted("now"))
        await bot.until(lambda: len(runs(bot)) == 2)
        assert len(bot.venue.trades_asked) - asked > 1


async def test_a_gap_in_the_middle_of_a_run_is_covered_before_the_run_is_called_clean(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    async with house(tmp_path, with_watchdog=False, with_reconciler=True) as bot:
        await bot.until(lambda: runs(bot))
        bot.venue.read_takes_s.extend([1.0] * 6)
        bot.tell(RECONCILER, StreamState("binance", False, 1))
        bot.tell(RECONCILER, ReconcileWanted("now"))
        await trio.sleep(2)
        bot.tell(RECONCILER, StreamState("binance", True, 2))
        await trio.sleep(2)
        assert len(runs(bot)) == 1
        assert standing(bot)[Cause.NOT_RECONCILED] is True
        await trio.sleep(3)
        assert len(runs(bot)) == 2
        assert standing(bot)[Cause.NOT_RECONCILED] is False


async def test_old_trades_that_were_compared_are_not_read_for_ever(tmp_path: Path, autojump_clock: Clock) -> None:
    async with house(tmp_path, with_watchdog=False, with_reconciler=True) as bot:
        bot.venue.open_order("somebodys", Side.BUY, "1", "70")
        foreign = bot.venue.fill("somebodys", "1", "70")
        await trio.sleep(9 * 60)
        assert bot.venue.trades_asked[-1] is None
        await trio.sleep(3 * 60)
        assert bot.venue.trades_asked[-1] == foreign.trade_id


async def test_alarms_name_their_source_and_what_is_wrong(tmp_path: Path, autojump_clock: Clock) -> None:
    venue = await written(tmp_path)
    venue.balances["BTC"] = Decimal(0)
    async with house(tmp_path, venue=venue, token="q", with_watchdog=False, with_reconciler=True) as bot:
        await bot.until(lambda: runs(bot))
        detail = "the bot owns 1 BTC, the venue holds 0"
        assert Alarm(RECONCILER, Cause.MISMATCH, "venue:binance", True, detail) in bot.alarms
