"""The feed over real loopback: a real session, real sockets, the simulated exchange, and a cut in the middle."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise

import httpx
import trio

from tbot_actors.exchange.run import run_exchange
from tbot_actors.exchange.settings import ExchangeSettings
from tbot_actors.feeds import FeedStatistics, FeedStatisticsWanted
from tbot_actors.kernel import System, Unavailable, open_system
from tbot_actors.venues import BinanceSession, BinanceSettings, Keys, Offset, Session, Throttle
from tbot_actors.world import real_world
from tests.feeds.market import BTCUSDT, NS
from tests.feeds.rig import Told, feed_tree


@asynccontextmanager
async def trading() -> AsyncIterator[tuple[System, Told, str]]:
    """A feed on a simulated exchange with flow of its own; its REST address."""
    world = real_world(hosts={"127.0.0.1"}, seed=5)
    told, throttle = Told(), Throttle(world.clock)
    async with trio.open_nursery() as nursery:
        line = await nursery.start(
            lambda task_status: run_exchange(
                ExchangeSettings(seed=5), world, announce=lambda _: None, task_status=task_status
            )
        )
        address = json.loads(line)
        settings = BinanceSettings(rest_url=address["rest"], stream_url=address["ws"], api_url=address["ws"])
        keys = Keys(address["api_key"], address["api_secret"])

        def open_session() -> Session:
            return BinanceSession(world, settings, keys, Offset(), throttle)

        async with open_system(lambda at: feed_tree(at, told, open_session), world) as system:
            await system.wait_ready("feed", timeout_s=10)
            yield system, told, address["rest"]
            await system.stop()
        nursery.cancel_scope.cancel()


async def statistics_of(system: System) -> FeedStatistics:
    """The feed's counters."""
    found: FeedStatistics = await system.directory["feed"].ask(FeedStatisticsWanted(), timeout_s=5)
    return found


async def test_quotes_trades_and_candles_arrive_and_a_cut_connection_heals() -> None:
    with trio.fail_after(30):
        async with trading() as (system, told, rest):
            await told.until(told.quotes, 20)
            assert not told.alarms[-1].active
            system.crash("feed", Unavailable("a test cuts the connection"))
            before = len(told.quotes)
            await told.until(told.quotes, before + 20)
            await system.wait_ready("feed", timeout_s=10)
            await told.until(told.candles, 1)
            statistics = await statistics_of(system)
            async with httpx.AsyncClient(base_url=rest) as http:
                depth = (await http.get("/api/v3/depth?symbol=BTCUSDT&limit=5")).json()
    assert [alarm.active for alarm in told.alarms].count(False) >= 2
    assert not told.alarms[-1].active
    assert all(quote.bid < quote.ask for quote in told.quotes)
    assert all(one.update < other.update for one, other in pairwise(told.quotes[before:]))
    assert told.trades
    assert told.candles[0].period_ns == NS
    assert statistics.faults == {}
    assert statistics.instruments[BTCUSDT].synced
    assert statistics.instruments[BTCUSDT].losses == 0
    assert abs(float(depth["bids"][0][0]) / float(told.quotes[-1].bid) - 1) < 0.05
