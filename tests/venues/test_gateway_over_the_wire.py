"""Gateway, user stream and clock together over real loopback, against the simulated exchange."""

import json

import trio

from tbot_actors.domain.events import Evidence
from tbot_actors.domain.latch import Latch
from tbot_actors.domain.messages import (
    Alarm,
    BalancesChanged,
    CancelOrder,
    CancelOutcome,
    GatewayReady,
    OrderReport,
    QueryOrder,
    QueryOutcome,
    ReportedState,
    StreamState,
    SubmitOutcome,
    VenueState,
    VenueStateWanted,
)
from tbot_actors.exchange.run import run_exchange
from tbot_actors.exchange.settings import ExchangeSettings
from tbot_actors.kernel import Branch, Child, Strategy, System, open_system
from tbot_actors.venues import (
    BinanceSession,
    BinanceSettings,
    Gateway,
    GatewaySettings,
    Keys,
    Offset,
    Session,
    Throttle,
    UserStream,
    VenueClock,
)
from tbot_actors.world import World, real_world
from tests.venues.scripts import BTCUSDT, Inbox, ScriptedJournal, listener, submit


def tree(told: dict[str, str], world: World, heard: dict[str, Inbox], system: list[System]) -> Branch:
    """The venue's actors with rooms that only listen."""
    throttle, offset = Throttle(world.clock), Offset()
    settings = BinanceSettings(rest_url=told["rest"], stream_url=told["ws"], api_url=told["ws"])

    def open_session() -> Session:
        return BinanceSession(world, settings, Keys(told["api_key"], told["api_secret"]), offset, throttle)

    def gateway() -> Gateway:
        found = system[0].directory
        return Gateway(
            "binance",
            open_session,
            journal=found["journal"],
            latch=Latch,
            settings=GatewaySettings(),
            listeners=[found["orders"]],
        )

    def user_stream() -> UserStream:
        found = system[0].directory
        return UserStream(
            "binance",
            open_session,
            orders=found["orders"],
            reconciler=found["reconciler"],
            watchdog=found["watchdog"],
            balance_listeners=[found["portfolio"]],
        )

    def clock() -> VenueClock:
        return VenueClock("binance", open_session, gateway=system[0].directory["gateway"], offset=offset)

    rooms: dict[str, list[type]] = {"orders": [GatewayReady, OrderReport], "portfolio": [BalancesChanged]}
    rooms |= {"reconciler": [StreamState], "watchdog": [Alarm]}
    listeners = {name: listener(kinds, heard[name]) for name, kinds in rooms.items()}
    children = (
        Child("journal", ScriptedJournal, lambda: ScriptedJournal(heard["journal"], [0])),
        *(Child(name, kind, kind) for name, kind in listeners.items()),
        Child("gateway", Gateway, gateway),
        Child("clock", VenueClock, clock),
        Child("stream", UserStream, user_stream),
    )
    return Branch("root", Strategy.ONE_FOR_ONE, children)


async def test_an_orders_whole_life_through_the_actors_and_a_crash_of_the_gateway_and_the_stream() -> None:
    world = real_world(hosts={"127.0.0.1"}, seed=9)
    heard = {name: Inbox() for name in ("journal", "orders", "portfolio", "reconciler", "watchdog")}
    replies = Inbox()
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            line = await nursery.start(
                lambda task_status: run_exchange(
                    ExchangeSettings(seed=9), world, announce=lambda _: None, task_status=task_status
                )
            )
            system: list[System] = []
            async with open_system(tree(json.loads(line), world, heard, system), world) as opened:
                system.append(opened)
                await opened.wait_ready(timeout_s=10)
                gateway = opened.directory["gateway"]

                gateway.tell(submit("TESTA0000100000001", replies, not_after_s=trio.current_time() + 1e9))
                (placed,) = await replies.wait_for(1)
                assert isinstance(placed, SubmitOutcome) and isinstance(placed.result, OrderReport)

                # What a connection has not delivered dies with it: that gap is the reconciler's.
                await heard["orders"].wait_for(2)
                opened.crash("gateway", RuntimeError("test"))
                opened.crash("stream", RuntimeError("test"))
                await heard["reconciler"].wait_for(5)
                await opened.wait_ready(timeout_s=10)

                gateway.tell(QueryOrder("TESTA0000100000001", BTCUSDT, replies))
                gateway.tell(CancelOrder("TESTA0000100000001", BTCUSDT, replies))
                gateway.tell(VenueStateWanted(1, {BTCUSDT: None}, replies))
                await replies.wait_for(4)
                await heard["orders"].wait_for(4)
                await opened.stop()
            nursery.cancel_scope.cancel()

    (asked,) = replies.of(QueryOutcome)
    assert isinstance(asked.result, OrderReport) and asked.result.evidence is Evidence.QUERY
    (cancelled,) = replies.of(CancelOutcome)
    assert isinstance(cancelled.result, OrderReport)
    (state,) = replies.of(VenueState)
    assert state.failed is None and state.balances["USDT"].total > 0
    assert [report.state for report in heard["orders"].of(OrderReport)] == [ReportedState.OPEN, ReportedState.CANCELED]
    assert [(s.up, s.connection) for s in heard["reconciler"].told[:5]] == [
        (False, 1), (True, 1), (False, 1), (False, 2), (True, 2)
    ]  # fmt: skip
    assert heard["orders"].of(GatewayReady) == [GatewayReady("binance", 1), GatewayReady("binance", 2)]
