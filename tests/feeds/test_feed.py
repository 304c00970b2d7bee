"""The feed as its neighbours see it: what subscribers and the watchdog are told while the venue does what venues do."""

from decimal import Decimal

import trio
from attrs import evolve
from trio.testing import MockClock, wait_all_tasks_blocked

from tbot_actors.domain.instruments import InstrumentId
from tbot_actors.domain.messages import Alarm, Cause
from tbot_actors.feeds import Fault, FeedSettings, Flag
from tbot_actors.kernel import Unavailable
from tbot_actors.venues import Malformed, ReadRefused
from tests.feeds.market import BTCUSDT, NS, START_NS, diff, snapshot, top, trade
from tests.feeds.rig import Exchange, Rig, open_rig


def now_ns() -> int:
    """Monotonic, as items are stamped."""
    return round(trio.current_time() * NS)


def wall_ns() -> int:
    """As trades are stamped."""
    return START_NS + now_ns()


async def in_sync(rig: Rig, update: int = 10) -> None:
    """Until the book has taken the snapshot at `update` with the diff after it."""
    rig.exchange.say(diff(update + 1, update + 1, {100: 2}, at=now_ns()))
    await trio.sleep(0.3)
    assert rig.ready
    assert rig.told.active[-1] is False


async def test_the_feed_alarms_until_every_book_is_in_sync(autojump_clock: MockClock) -> None:
    async with open_rig(Exchange([snapshot(10)])) as rig:
        assert rig.told.active == [True, True], "not connected; no snapshot"
        assert not rig.ready
        await in_sync(rig)
        scope = "venue:binance"
        assert rig.told.alarms[-1] == Alarm(
            "feed", Cause.STALE_FEED, scope, False, "every book is in sync and data flows"
        )
        assert {(alarm.cause, alarm.scope) for alarm in rig.told.alarms} == {(Cause.STALE_FEED, scope)}
        assert [(quote.bid_quantity, quote.update) for quote in rig.told.quotes] == [(Decimal(2), 11)]


async def test_a_tick_is_with_its_subscribers_at_once(autojump_clock: MockClock) -> None:
    async with open_rig(Exchange([snapshot(10)])) as rig:
        await in_sync(rig)
        rig.told.quotes.clear()
        said_s = trio.current_time()
        rig.exchange.say(top(12, "100.5", at=now_ns()))
        await wait_all_tasks_blocked()
        (quote,) = rig.told.quotes
        assert trio.current_time() == said_s
        assert (quote.instrument, quote.bid, quote.ask, quote.update) == (BTCUSDT, Decimal("100.5"), Decimal(101), 12)
        assert (quote.received_ns, quote.stamp_ns) == (now_ns(), wall_ns())


async def test_a_quote_is_the_newer_of_the_book_and_the_best_prices(autojump_clock: MockClock) -> None:
    async with open_rig(Exchange([snapshot(10)])) as rig:
        await in_sync(rig)
        rig.told.quotes.clear()
        for item in (
            top(13, "100.2"),
            diff(12, 12, {"100.1": 1}),
            diff(13, 15, {"100.3": 1}),
            top(14, "100.2"),
            top(16, "100.4"),
        ):
            rig.exchange.say(evolve(item, received_ns=now_ns()))
            await wait_all_tasks_blocked()
        assert [(quote.update, str(quote.bid)) for quote in rig.told.quotes] == [
            (13, "100.2"), (15, "100.3"), (16, "100.4"),
        ]  # fmt: skip


async def test_a_subscriber_without_room_loses_its_own_messages_and_nobody_elses(autojump_clock: MockClock) -> None:
    async with open_rig(Exchange([snapshot(10)])) as rig:
        await in_sync(rig)
        rig.told.hold_trades = trio.Event()
        for number in range(10):
            rig.exchange.say(trade(number, stamp_ns=wall_ns(), at=now_ns()), top(number + 12, at=now_ns()))
        await wait_all_tasks_blocked()
        rig.told.hold_trades.set()
        await wait_all_tasks_blocked()
        statistics = await rig.statistics()
        assert (statistics.trades, statistics.undelivered) == (10, 5)
        assert [found.trade_id for found in rig.told.trades] == ["0", "1", "2", "3", "4"]
        assert [quote.update for quote in rig.told.quotes] == list(range(11, 22))
        assert rig.ready


async def test_a_gap_stops_the_books_quotes_and_alarms_until_a_new_snapshot(autojump_clock: MockClock) -> None:
    exchange = Exchange([snapshot(10), snapshot(18), snapshot(20)])
    async with open_rig(exchange) as rig:
        await in_sync(rig)
        rig.told.alarms.clear()
        exchange.say(diff(20, 21, {99: 1}, at=now_ns()))
        await wait_all_tasks_blocked()
        (alarm,) = rig.told.alarms
        assert alarm.active
        assert "the diff after update 11 begins at 20" in alarm.detail
        exchange.say(top(22, "99.5", at=now_ns()))
        await wait_all_tasks_blocked()
        assert rig.told.quotes[-1].update == 22, "the venue's own best prices need no book"
        await trio.sleep(2)
        assert rig.told.active[-1] is False
        assert len(exchange.asked_s) == 3, "the snapshot of update 18 was too old"
        statistics = await rig.statistics()
        assert (statistics.instruments[BTCUSDT].gaps, statistics.instruments[BTCUSDT].last_update) == (1, 21)


async def test_a_snapshot_ahead_of_time_is_no_alarm_but_a_gap_meanwhile_is_one_at_once(
    autojump_clock: MockClock,
) -> None:
    deep = snapshot(10, {100: 1, 99: 1, 98: 1, 97: 1})
    exchange = Exchange([deep, evolve(deep, last_update=13), evolve(deep, last_update=20)])
    async with open_rig(exchange, settings=FeedSettings(whole_below=2)) as rig:
        await in_sync(rig)
        rig.told.alarms.clear()
        used_up = diff(12, 12, {100: 0, 99: 0, 98: 0}, at=now_ns())
        exchange.say(used_up, evolve(used_up, first_update=13, last_update=13, bids=()))
        await trio.sleep(1)
        assert len(exchange.asked_s) == 2
        assert [quote.update for quote in rig.told.quotes] == [11, 12, 13]
        assert rig.told.alarms == []
        exchange.say(evolve(used_up, first_update=14, last_update=14), diff(17, 17))
        await wait_all_tasks_blocked()
        assert rig.told.active == [True]
        assert len(exchange.asked_s) == 2, "the one ahead of time is still on its way"
        await trio.sleep(3)
        assert rig.told.active == [True, False]


async def test_snapshots_that_do_not_help_are_asked_for_ever_more_slowly_and_then_the_feed_connects_anew(
    autojump_clock: MockClock,
) -> None:
    exchange = Exchange([snapshot(1)])
    async with open_rig(exchange, settings=FeedSettings(snapshot_tries_max=5, stale_min_s=60)):
        exchange.say(diff(50, 50, at=now_ns()))
        await trio.sleep(12)
        assert exchange.connections == 2
        assert exchange.closed == 1
        waits = [
            round(later - sooner, 1) for sooner, later in zip(exchange.asked_s[:5], exchange.asked_s[1:5], strict=False)
        ]
        assert waits == sorted(waits)
        assert waits[0] < 1 < waits[-1]


async def test_a_failed_snapshot_does_not_cost_the_stream(autojump_clock: MockClock) -> None:
    exchange = Exchange([Unavailable("429"), Unavailable("429"), snapshot(10)])
    async with open_rig(exchange) as rig:
        exchange.say(diff(10, 11, at=now_ns()))
        await trio.sleep(3)
        assert rig.ready
        assert exchange.connections == 1
        assert (await rig.statistics()).snapshots_failed == 2


async def test_a_disconnect_is_an_outage_not_a_crash(autojump_clock: MockClock) -> None:
    """Far more of them than crashes are forgiven; each alarms, and each connection starts with a book of its own."""
    exchange = Exchange([snapshot(10)])
    async with open_rig(exchange) as rig:
        for number in range(1, 9):
            await in_sync(rig)
            rig.told.alarms.clear()
            exchange.say(Unavailable("reset by peer"))
            await wait_all_tasks_blocked()
            assert rig.told.alarms[0].active
            assert rig.told.alarms[0].detail == "the connection ended"
            assert exchange.closed == number
            await trio.sleep(0.05)
            assert not rig.ready
            assert all(rig.told.active)
            await trio.sleep(2)


async def test_a_connection_that_ends_slowly_is_down_meanwhile(autojump_clock: MockClock) -> None:
    exchange = Exchange([snapshot(10)], closes_s=0.9)
    async with open_rig(exchange) as rig:
        await in_sync(rig)
        rig.told.alarms.clear()
        exchange.say(Unavailable("reset by peer"))
        await trio.sleep(0.8)
        assert rig.told.active == [True]


async def test_while_the_venue_is_unreachable_the_alarm_stays(autojump_clock: MockClock) -> None:
    exchange = Exchange([snapshot(10)], refuses=[Unavailable("no route")] * 20)
    async with open_rig(exchange) as rig:
        await trio.sleep(10)
        assert exchange.connections == 0
        assert rig.told.alarms and all(rig.told.active)
        await trio.sleep(30)
        await in_sync(rig)


async def test_what_waiting_does_not_heal_is_a_crash(autojump_clock: MockClock) -> None:
    exchange = Exchange([ReadRefused("depth", -1121, "Invalid symbol."), snapshot(10)])
    async with open_rig(exchange) as rig:
        exchange.say(diff(10, 11, at=now_ns()))
        await trio.sleep(0.1)
        assert "Invalid symbol" in str(rig.system.snapshot()["feed"].last_error)
        await trio.sleep(1)
        await in_sync(rig)


async def test_silence_is_stale_and_data_ends_it(autojump_clock: MockClock) -> None:
    async with open_rig(Exchange([snapshot(10)])) as rig:
        await in_sync(rig)
        rig.told.alarms.clear()
        await trio.sleep(4.5)
        assert rig.told.alarms == []
        await trio.sleep(1)
        (alarm,) = rig.told.alarms
        assert (alarm.active, alarm.detail) == (True, "binance:BTCUSDT silent for over 5.0 s")
        rig.exchange.say(top(12, at=now_ns()))
        await trio.sleep(0.5)
        assert rig.told.active == [True, False]


async def test_best_prices_without_diffs_are_a_stale_book(autojump_clock: MockClock) -> None:
    async with open_rig(Exchange([snapshot(10)])) as rig:
        await in_sync(rig)
        rig.told.alarms.clear()
        for number in range(12, 24):
            rig.exchange.say(top(number, at=now_ns()))
            await trio.sleep(0.5)
        (alarm,) = rig.told.alarms
        assert (alarm.active, alarm.detail) == (True, "binance:BTCUSDT best prices come, but no diffs of the book")
        rig.exchange.say(diff(12, 24, at=now_ns()))
        await trio.sleep(0.5)
        assert rig.told.active == [True, False]


async def test_what_is_malformed_is_counted_and_kept_and_the_stream_goes_on(autojump_clock: MockClock) -> None:
    async with open_rig(Exchange([snapshot(10)]), settings=FeedSettings(set_aside_max=3)) as rig:
        await in_sync(rig)
        for number in range(5):
            rig.exchange.say(Malformed(f"{{broken {number}", "no JSON"))
        rig.exchange.say(
            evolve(top(12, at=now_ns()), instrument=InstrumentId("binance:XRPUSDT")),
            top(12, 101, 100, at=now_ns()),
            top(13, "100.7", at=now_ns()),
        )
        await wait_all_tasks_blocked()
        statistics = await rig.statistics()
        assert statistics.faults == {Fault.MALFORMED: 5, Fault.UNKNOWN_INSTRUMENT: 1, Fault.CROSSED: 1}
        faults = [(found.fault, found.why) for found in statistics.set_aside]
        assert faults == [(Fault.MALFORMED, "no JSON"), (Fault.UNKNOWN_INSTRUMENT, ""), (Fault.CROSSED, "")]
        assert statistics.set_aside[0].text == "{broken 4"
        assert rig.told.quotes[-1].bid == Decimal("100.7")


async def test_a_diff_that_cannot_be_right_costs_the_book_its_sync(autojump_clock: MockClock) -> None:
    async with open_rig(Exchange([snapshot(10), snapshot(12)])) as rig:
        await in_sync(rig)
        rig.exchange.say(diff(12, 12, {100: "NaN"}, at=now_ns()))
        await trio.sleep(0.02)
        assert rig.told.active[-1] is True
        assert "a diff was set aside: NOT_FINITE" in rig.told.alarms[-1].detail
        await trio.sleep(1)
        assert rig.told.active[-1] is False


async def test_outliers_are_flagged_and_published(autojump_clock: MockClock) -> None:
    async with open_rig(Exchange([snapshot(10)])) as rig:
        await in_sync(rig)
        rig.exchange.say(
            top(12, 60, 61, at=now_ns()), trade(1, 100, stamp_ns=wall_ns()), trade(2, 50, stamp_ns=wall_ns())
        )
        await wait_all_tasks_blocked()
        assert rig.told.quotes[-1].bid == 60
        assert [found.price for found in rig.told.trades] == [100, 50]
        assert (await rig.statistics()).flags == {Flag.OUTLIER: 2, Flag.WIDE_SPREAD: 1}


async def test_trades_stamped_in_another_time_are_set_aside_and_many_of_them_are_an_alarm(
    autojump_clock: MockClock,
) -> None:
    async with open_rig(Exchange([snapshot(10)]), settings=FeedSettings(faults_in_a_row_max=3)) as rig:
        await in_sync(rig)
        for number in range(3):
            rig.exchange.say(trade(number, stamp_ns=wall_ns() + 9 * NS, at=now_ns()))
        await trio.sleep(0.3)
        assert rig.told.trades == []
        assert rig.told.alarms[-1].detail == "binance:BTCUSDT 3 items in a row were set aside"
        rig.exchange.say(trade(9, stamp_ns=wall_ns(), at=now_ns()), trade(9, stamp_ns=wall_ns(), at=now_ns()))
        await trio.sleep(0.3)
        assert rig.told.active[-1] is False
        assert len(rig.told.trades) == 1
        assert (await rig.statistics()).faults == {Fault.FUTURE: 3, Fault.REPEATED: 1}


async def test_time_is_the_venues_where_its_clock_and_ours_differ(autojump_clock: MockClock) -> None:
    ahead_ns = 9 * NS
    async with open_rig(Exchange([snapshot(10)]), clock_offset=lambda: ahead_ns) as rig:
        await in_sync(rig)
        await trio.sleep(1)
        rig.exchange.say(trade(1, stamp_ns=wall_ns() + ahead_ns, at=now_ns()))
        await trio.sleep(2)
        assert len(rig.told.trades) == 1
        assert rig.told.candles[0].open_ns == (START_NS + NS + ahead_ns)


async def test_candles_are_closed_by_trades_and_by_the_clock(autojump_clock: MockClock) -> None:
    async with open_rig(Exchange([snapshot(10)]), periods_s=(1, 60)) as rig:
        await in_sync(rig)
        rig.exchange.say(trade(0, 90, stamp_ns=wall_ns(), at=now_ns()))
        await trio.sleep(1)
        rig.exchange.say(trade(1, 100, 2, stamp_ns=wall_ns(), at=now_ns()))
        await wait_all_tasks_blocked()
        assert [(candle.open_ns, candle.volume) for candle in rig.told.candles] == [(START_NS, Decimal(1))]
        await trio.sleep(3)
        found = [((c.open_ns - START_NS) // NS, int(c.volume), int(c.close)) for c in rig.told.candles]
        assert found == [(0, 1, 90), (1, 2, 100), (2, 0, 100)]
        assert {candle.period_ns for candle in rig.told.candles} == {NS}


async def test_the_candles_of_a_silent_instrument_wait_until_it_speaks(autojump_clock: MockClock) -> None:
    async with open_rig(Exchange([snapshot(10)])) as rig:
        await in_sync(rig)
        await trio.sleep(1)
        rig.exchange.say(trade(1, stamp_ns=wall_ns(), at=now_ns()))
        await trio.sleep(20)
        before = len(rig.told.candles)
        assert 4 <= before <= 6
        rig.exchange.say(trade(2, stamp_ns=wall_ns(), at=now_ns()))
        await wait_all_tasks_blocked()
        opens = [candle.open_ns for candle in rig.told.candles]
        assert len(opens) == 20
        assert opens == list(range(opens[0], opens[-1] + 1, NS))


async def test_a_restarted_watchdog_is_told_the_alarm_again(autojump_clock: MockClock) -> None:
    async with open_rig(Exchange([snapshot(10)])) as rig:
        await in_sync(rig)
        rig.told.alarms.clear()
        rig.system.crash("watchdog", RuntimeError("test"))
        await trio.sleep(1)
        assert rig.told.active == [False]
        await trio.sleep(6)
        rig.told.alarms.clear()
        rig.system.crash("watchdog", RuntimeError("test"))
        await trio.sleep(1)
        assert rig.told.active == [True]


async def test_after_its_own_crash_the_feed_alarms_until_in_sync_again(autojump_clock: MockClock) -> None:
    async with open_rig(Exchange([snapshot(10)])) as rig:
        await in_sync(rig)
        rig.told.alarms.clear()
        rig.system.crash("feed", RuntimeError("test"))
        await trio.sleep(0.2)
        assert rig.told.active == [True, True, True], "its end, its start, and the book without a snapshot"
        assert rig.exchange.connections == 2
        await in_sync(rig)


async def test_an_orderly_stop_is_no_alarm(autojump_clock: MockClock) -> None:
    async with open_rig(Exchange([snapshot(10)])) as rig:
        await in_sync(rig)
        rig.told.alarms.clear()
    assert rig.told.alarms == []
    assert rig.exchange.closed == 1


async def test_quotes_go_on_at_a_venue_that_counts_anew(autojump_clock: MockClock) -> None:
    async with open_rig(Exchange([snapshot(10)])) as rig:
        await in_sync(rig)
        rig.exchange.say(top(9_000, at=now_ns()), *(top(number, 90, 91, at=now_ns()) for number in range(200)))
        await wait_all_tasks_blocked()
        updates = [quote.update for quote in rig.told.quotes]
        assert updates == [11, 9_000, *range(100, 200)]
