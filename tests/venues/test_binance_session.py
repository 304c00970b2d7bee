"""The Binance session: the simulated exchange over real loopback, and a network that fails in every way."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import pytest
import trio
from attrs import define, evolve

from tbot_actors.domain.events import Evidence
from tbot_actors.domain.ids import ClientIds, Sender
from tbot_actors.domain.instruments import InstrumentId, Side
from tbot_actors.domain.intents import OrderType, TimeInForce
from tbot_actors.domain.market import DepthDiff, DepthSnapshot, MarketTrade, TopOfBook
from tbot_actors.domain.messages import (
    Absent,
    BalancesChanged,
    Lost,
    NotSent,
    OrderReport,
    Refused,
    ReportedState,
    SubmitOrder,
    VenueTrade,
)
from tbot_actors.exchange.run import run_exchange
from tbot_actors.exchange.settings import ExchangeSettings
from tbot_actors.kernel import Unavailable
from tbot_actors.venues import (
    BinanceSession,
    BinanceSettings,
    Counted,
    Keys,
    Malformed,
    Offset,
    ReadRefused,
    Throttle,
    Use,
    UserItem,
)
from tbot_actors.world import Listening, World, real_world
from tests.venues.scripts import Inbox

BTCUSDT = InstrumentId("binance:BTCUSDT")
LIMIT_S = 10
NS = 1_000_000_000


@define(eq=False)
class Venue:
    """A running simulated exchange and a session with it."""

    world: World
    settings: BinanceSettings
    keys: Keys
    session: BinanceSession
    offset: Offset
    ids: ClientIds
    stop: Callable[[], Awaitable[None]]

    def another(self, *, keys: Keys | None = None, **changes: Any) -> BinanceSession:
        """A session with other keys or settings."""
        return BinanceSession(self.world, evolve(self.settings, **changes), keys or self.keys, self.offset)

    def order(
        self,
        side: Side,
        quantity: str,
        price: Decimal | None = None,
        *,
        kind: OrderType | None = None,
        client_id: str | None = None,
        time_in_force: TimeInForce = TimeInForce.GTC,
    ) -> SubmitOrder:
        """An order with the next id."""
        return SubmitOrder(
            client_id=client_id or self.ids.next(),
            instrument=BTCUSDT,
            side=side,
            type=kind or (OrderType.MARKET if price is None else OrderType.LIMIT),
            time_in_force=time_in_force,
            quantity=Decimal(quantity),
            price=price,
            reduces=False,
            not_after_ns=1 << 62,
            reply_to=Inbox(),
        )

    async def far_bid(self) -> Decimal:
        """A price that rests."""
        return ((await self.session.depth_snapshot(BTCUSDT)).bids[0][0] * Decimal("0.9")).quantize(Decimal(1))


@asynccontextmanager
async def venue() -> AsyncIterator[Venue]:
    world = real_world(hosts={"127.0.0.1"}, seed=5)
    with trio.fail_after(LIMIT_S):
        async with trio.open_nursery() as nursery:
            line = await nursery.start(
                lambda task_status: run_exchange(
                    ExchangeSettings(seed=5), world, announce=lambda _: None, task_status=task_status
                )
            )
            told = json.loads(line)
            settings = BinanceSettings(rest_url=told["rest"], stream_url=told["ws"], api_url=told["ws"])
            keys, offset = Keys(told["api_key"], told["api_secret"]), Offset()
            session = BinanceSession(world, settings, keys, offset)

            async def stop() -> None:
                nursery.cancel_scope.cancel()
                await trio.lowlevel.checkpoint()

            yield Venue(world, settings, keys, session, offset, ClientIds("TEST", Sender.ORDERS, 1), stop)
            await session.aclose()
            nursery.cancel_scope.cancel()


async def until(items: AsyncIterator[UserItem], wanted: Callable[[OrderReport], bool]) -> list[UserItem]:
    """Items up to and with the report that is wanted."""
    seen: list[UserItem] = []
    async for item in items:
        seen.append(item)
        if isinstance(item, OrderReport) and wanted(item):
            return seen
    raise AssertionError("the stream ended")


def found(result: object) -> OrderReport:
    assert isinstance(result, OrderReport), result
    return result


# Reading


async def test_login_reads_filters_fees_and_limits() -> None:
    async with venue() as at:
        (instrument,) = await at.session.login()
        assert (instrument.id, instrument.tick, instrument.step) == (BTCUSDT, Decimal("0.01"), Decimal("0.00001"))
        assert instrument.notional_min == 5 and instrument.maker_fee == instrument.taker_fee == Decimal("0.001")
        at.session.throttle.seen(Counted.WEIGHT, 60, 1 << 40)
        assert 0 < at.session.throttle.wait_s(Use.SAFETY) <= 60


@pytest.mark.parametrize(
    ("api_key", "secret", "code"), [("a" * 64, "b" * 64, -2015), ("no key!", "b", -2014), (None, "wrong", -1022)]
)
async def test_wrong_keys_are_refused_in_words_that_do_not_show_them(
    api_key: str | None, secret: str, code: int
) -> None:
    async with venue() as at:
        keys = Keys(api_key or at.keys.api_key, secret)
        session = at.another(keys=keys)
        with pytest.raises(ReadRefused) as refused:
            await session.login()
        assert refused.value.code == code
        assert keys.api_key not in str(refused.value) and at.keys.api_key not in repr(refused.value)
        await session.aclose()


async def test_an_unknown_symbol_is_refused() -> None:
    async with venue() as at:
        session = at.another(symbols=("BTCUSDT", "NOPEUSDT"))
        with pytest.raises(ValueError, match="does not list NOPEUSDT"):
            await session.login()
        await session.aclose()


async def test_a_wrong_clock_turns_signed_requests_away_until_the_offset_is_known() -> None:
    async with venue() as at:
        await at.session.login()
        at.offset.ns = -60 * NS
        assert isinstance(await at.session.submit(at.order(Side.BUY, "0.001")), NotSent)
        with pytest.raises(Unavailable, match="-1021"):
            await at.session.balances()
        server_ns = await at.session.server_time()
        at.offset.ns = server_ns - at.world.clock.wall_ns()
        assert abs(at.offset.ns) < NS
        assert isinstance(await at.session.submit(at.order(Side.BUY, "0.001")), OrderReport)


async def test_balances_are_read() -> None:
    async with venue() as at:
        balances = await at.session.balances()
        assert balances["BTC"].total == 1 and balances["USDT"].free == 100_000


# The life of an order


async def test_a_resting_orders_whole_life() -> None:
    async with venue() as at:
        price = await at.far_bid()
        order = at.order(Side.BUY, "0.01", price)
        report = found(await at.session.submit(order))
        assert report.client_id == order.client_id and report.state is ReportedState.OPEN
        assert (report.quantity, report.price, report.executed) == (Decimal("0.01"), price, Decimal(0))
        assert report.evidence is Evidence.RESPONSE and report.trades == ()

        duplicate = await at.session.submit(order)
        assert isinstance(duplicate, Refused) and duplicate.already_there and duplicate.code == -2010

        assert found(await at.session.query(order.client_id, BTCUSDT)).state is ReportedState.OPEN
        (listed,) = await at.session.open_orders([BTCUSDT])
        assert listed.client_id == order.client_id and listed.evidence is Evidence.RECONCILE
        held = (await at.session.balances())["USDT"]
        assert held.locked == Decimal("0.01") * price

        gone = found(await at.session.cancel(order.client_id, BTCUSDT))
        assert gone.client_id == order.client_id and gone.state is ReportedState.CANCELED
        again = await at.session.cancel(order.client_id, BTCUSDT)
        assert isinstance(again, Refused) and again.code == -2011 and not again.already_there
        after = found(await at.session.query(order.client_id, BTCUSDT))
        assert after.client_id == order.client_id and after.state is ReportedState.CANCELED
        assert await at.session.open_orders([BTCUSDT]) == ()


async def test_a_market_orders_fills_agree_in_answer_query_and_trades() -> None:
    async with venue() as at:
        order = at.order(Side.BUY, "0.05")
        report = found(await at.session.submit(order))
        assert report.state is ReportedState.FILLED and report.price is None
        assert sum(trade.quantity for trade in report.trades) == report.executed == Decimal("0.05")

        asked = found(await at.session.query(order.client_id, BTCUSDT))
        assert asked.evidence is Evidence.QUERY and asked.state is ReportedState.FILLED
        assert [essence(trade) for trade in asked.trades] == [essence(trade) for trade in report.trades]
        assert all(trade.client_id == order.client_id for trade in asked.trades)

        listed = await at.session.trades(BTCUSDT, None)
        assert [essence(trade) for trade in listed] == [essence(trade) for trade in report.trades]
        assert all(trade.client_id is None and trade.venue_order_id == report.venue_order_id for trade in listed)


def essence(trade: VenueTrade) -> tuple[object, ...]:
    """What must agree wherever a trade is reported."""
    return (trade.trade_id, trade.side, trade.price, trade.quantity, trade.fee, trade.fee_asset, trade.maker)


async def test_trades_are_read_completely_in_pages_and_after_an_id() -> None:
    async with venue() as at:
        for _ in range(5):
            found(await at.session.submit(at.order(Side.BUY, "0.001")))
        whole = await at.session.trades(BTCUSDT, None)
        assert len(whole) >= 5
        small = at.another(trades_page=2)
        assert await small.trades(BTCUSDT, None) == whole
        assert await small.trades(BTCUSDT, whole[1].trade_id) == whole[2:]
        assert await small.trades(BTCUSDT, whole[-1].trade_id) == ()
        bounded = at.another(trades_page=1, trade_pages_max=3)
        with pytest.raises(Unavailable, match="more than 3 trades"):
            await bounded.trades(BTCUSDT, None)
        await small.aclose()
        await bounded.aclose()


@pytest.mark.parametrize(
    ("quantity", "price", "kind", "code"),
    [
        ("0.000001", "50000", OrderType.LIMIT, -1013),
        ("0.01", "50000.001", OrderType.LIMIT, -1013),
        ("0.00001", "50", OrderType.LIMIT, -1013),
        ("0.1234567891", "50000", OrderType.LIMIT, -1111),
        ("1000", None, OrderType.MARKET, -2010),
    ],
)
async def test_what_the_venue_refuses_is_refused_with_its_code(
    quantity: str, price: str | None, kind: OrderType, code: int
) -> None:
    async with venue() as at:
        order = at.order(Side.BUY, quantity, Decimal(price) if price else None, kind=kind)
        result = await at.session.submit(order)
        assert isinstance(result, Refused) and not result.already_there, result
        assert result.code == code or (code == -1013 and result.code == -1111)
        assert isinstance(await at.session.query(order.client_id, BTCUSDT), Absent)


async def test_a_post_only_order_that_would_take_is_refused() -> None:
    async with venue() as at:
        ask = (await at.session.depth_snapshot(BTCUSDT)).asks[0][0]
        price = (ask * Decimal("1.01")).quantize(Decimal(1))
        result = await at.session.submit(at.order(Side.BUY, "0.01", price, kind=OrderType.POST_ONLY))
        assert isinstance(result, Refused) and result.code == -2010 and "immediately match" in result.why
        resting = at.order(Side.BUY, "0.01", await at.far_bid(), kind=OrderType.POST_ONLY)
        assert found(await at.session.submit(resting)).state is ReportedState.OPEN


async def test_an_immediate_order_that_meets_nobody_expires() -> None:
    async with venue() as at:
        order = at.order(Side.BUY, "0.01", await at.far_bid(), time_in_force=TimeInForce.IOC)
        report = found(await at.session.submit(order))
        assert report.state is ReportedState.EXPIRED and report.executed == 0 and report.why


# Streams


async def test_the_market_stream_and_a_snapshot_make_one_book() -> None:
    async with venue() as at, at.session.market_stream([BTCUSDT]) as items:
        first = await next_of(items, DepthDiff)
        snapshot = await at.session.depth_snapshot(BTCUSDT)
        while snapshot.last_update < first.first_update:
            snapshot = await at.session.depth_snapshot(BTCUSDT)
        seen = {DepthDiff: 0, TopOfBook: 0, MarketTrade: 0}
        last = first.last_update
        while min(seen.values()) < 2:
            item = await anext(items)
            assert not isinstance(item, Malformed)
            seen[type(item)] += 1
            if isinstance(item, DepthDiff):
                assert item.first_update == last + 1
                last = item.last_update
        assert last > snapshot.last_update
        check_levels(snapshot)


def check_levels(snapshot: DepthSnapshot) -> None:
    bids = [price for price, _ in snapshot.bids]
    asks = [price for price, _ in snapshot.asks]
    assert bids == sorted(bids, reverse=True) and asks == sorted(asks) and bids[0] < asks[0]


async def next_of(items: AsyncIterator[Any], kind: type[DepthDiff]) -> DepthDiff:
    async for item in items:
        if isinstance(item, kind):
            return item
    raise AssertionError("the stream ended")


async def test_the_user_stream_tells_a_whole_life_and_a_new_connection_goes_on() -> None:
    async with venue() as at:
        price = await at.far_bid()
        resting, taking = at.order(Side.BUY, "0.01", price), at.order(Side.BUY, "0.02")
        async with at.session.user_stream() as items:
            await at.session.submit(resting)
            opened = await until(items, lambda item: item.client_id == resting.client_id)
            assert isinstance(opened[-1], OrderReport) and opened[-1].state is ReportedState.OPEN
            answer = found(await at.session.submit(taking))
            taken = await until(items, lambda item: item.state is ReportedState.FILLED)
            trades = [trade for item in taken if isinstance(item, OrderReport) for trade in item.trades]
            assert [essence(trade) for trade in trades] == [essence(trade) for trade in answer.trades]
            assert all(trade.client_id == taking.client_id for trade in trades)
            assert isinstance(await anext(items), BalancesChanged) or any(
                isinstance(item, BalancesChanged) for item in opened + taken
            )
        async with at.session.user_stream() as items:
            await at.session.cancel(resting.client_id, BTCUSDT)
            ended = await until(items, lambda item: item.state is ReportedState.CANCELED)
            last = ended[-1]
            assert isinstance(last, OrderReport) and last.client_id == resting.client_id
            assert last.evidence is Evidence.STREAM


async def test_wrong_keys_get_no_user_stream() -> None:
    async with venue() as at:
        session = at.another(keys=Keys(at.keys.api_key, "wrong"))
        with pytest.raises(ReadRefused, match="-1022"):
            async with session.user_stream():
                pass
        await session.aclose()


# A network and a venue that fail


Handler = Callable[[trio.abc.Stream, bytes], Awaitable[None]]


@asynccontextmanager
async def broken_venue(handler: Handler, **changes: Any) -> AsyncIterator[BinanceSession]:
    """A session with a server that does with each request what `handler` says."""
    world = real_world(hosts={"127.0.0.1"}, seed=5)
    listening = await world.net.listen("127.0.0.1", 0)
    base = f"127.0.0.1:{listening.port}"
    settings = BinanceSettings(rest_url=f"http://{base}", stream_url=f"ws://{base}", api_url=f"ws://{base}")
    session = BinanceSession(world, evolve(settings, request_total_s=0.3, **changes), Keys("k", "s"), Offset())
    with trio.fail_after(LIMIT_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_serve, listening, handler)
            yield session
            await session.aclose()
            nursery.cancel_scope.cancel()


async def _serve(listening: Listening, handler: Handler) -> None:
    async def serve_one(stream: trio.abc.Stream) -> None:
        request = b""
        while b"\r\n\r\n" not in request:
            data = await stream.receive_some(65536)
            if not data:
                return
            request += bytes(data)
        await handler(stream, request)

    await listening.serve(serve_one)


def replying(status: int, body: bytes, headers: str = "") -> Handler:
    async def reply(stream: trio.abc.Stream, _: bytes) -> None:
        head = f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\nConnection: close\r\n{headers}\r\n"
        await stream.send_all(head.encode() + body)

    return reply


async def hang_up(stream: trio.abc.Stream, _: bytes) -> None:
    await stream.aclose()


async def stay_silent(_stream: trio.abc.Stream, _: bytes) -> None:
    await trio.sleep_forever()


async def half_an_answer(stream: trio.abc.Stream, _: bytes) -> None:
    await stream.send_all(b'HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{"symbol":"BTC')
    await stream.aclose()


ORDER = SubmitOrder(
    "TESTA0000100000001", BTCUSDT, Side.BUY, OrderType.MARKET, TimeInForce.GTC, Decimal(1), None, False, 0, Inbox()
)
BROKEN = [hang_up, stay_silent, half_an_answer, replying(200, b"<html>"), replying(200, b'{"symbol": 1}')]
BROKEN += [replying(status, b"<html>") for status in (500, 502, 503, 504, 400, 403)]
BROKEN += [replying(200, b'{"symbol":"BTCUSDT","orderId":1,"clientOrderId":"x","transactTime":1}')]


@pytest.mark.parametrize("handler", BROKEN, ids=range(len(BROKEN)))
async def test_a_write_without_proof_is_lost_and_a_question_learns_nothing(handler: Handler) -> None:
    async with broken_venue(handler) as session:
        assert isinstance(await session.submit(ORDER), Lost)
        assert isinstance(await session.cancel(ORDER.client_id, BTCUSDT), Lost)
        assert isinstance(await session.query(ORDER.client_id, BTCUSDT), Lost)


@pytest.mark.parametrize("handler", BROKEN[:4] + BROKEN[5:11], ids=range(10))
async def test_reads_of_a_venue_that_is_away_are_an_outage(handler: Handler) -> None:
    async with broken_venue(handler) as session:
        for read in (session.login, session.server_time, session.balances):
            with pytest.raises(Unavailable) as error:
                await read()
            assert "signature" not in str(error.value)


async def test_a_write_that_never_connected_did_not_happen() -> None:
    world = real_world(hosts={"127.0.0.1"}, seed=5)
    listening = await world.net.listen("127.0.0.1", 0)
    settings = BinanceSettings(rest_url=f"http://127.0.0.1:{listening.port}")
    with trio.move_on_after(0):
        await listening.serve(trio.aclose_forcefully)
    session = BinanceSession(world, settings, Keys("k", "s"), Offset())
    assert isinstance(await session.submit(ORDER), NotSent)
    assert isinstance(await session.query(ORDER.client_id, BTCUSDT), NotSent)
    with pytest.raises(Unavailable):
        await session.login()
    await session.aclose()


async def test_a_host_that_is_not_allowed_gets_nothing() -> None:
    session = BinanceSession(real_world(hosts=[], seed=5), BinanceSettings(), Keys("k", "s"), Offset())
    assert isinstance(await session.submit(ORDER), NotSent)
    with pytest.raises(Unavailable):
        async with session.market_stream([BTCUSDT]):
            pass
    await session.aclose()


async def test_after_a_429_nothing_is_sent_until_the_venues_time_is_over() -> None:
    requests: list[bytes] = []
    refuse = replying(429, b'{"code":-1003,"msg":"Too much request weight used."}', "Retry-After: 9\r\n")

    async def count(stream: trio.abc.Stream, request: bytes) -> None:
        requests.append(request)
        await refuse(stream, request)

    async with broken_venue(count) as session:
        assert isinstance(await session.submit(ORDER), NotSent)
        assert 8 < session.throttle.wait_s(Use.SAFETY) <= 9
        assert isinstance(await session.submit(ORDER), NotSent)
        assert isinstance(await session.cancel(ORDER.client_id, BTCUSDT), NotSent)
        assert isinstance(await session.query(ORDER.client_id, BTCUSDT), NotSent)
        with pytest.raises(Unavailable, match="bars requests"):
            await session.balances()
        assert len(requests) == 1


async def test_sessions_that_share_a_throttle_share_the_pause() -> None:
    world = real_world(hosts=[], seed=5)
    throttle = Throttle(world.clock)
    one = BinanceSession(world, BinanceSettings(), Keys("k", "s"), Offset(), throttle)
    throttle.bar(Counted.WEIGHT, 100)
    result = await one.submit(ORDER)
    assert isinstance(result, NotSent) and "bars requests" in result.why
    await one.aclose()


async def test_an_order_that_executed_but_whose_trades_cannot_be_read_is_not_half_told() -> None:
    order = {
        "symbol": "BTCUSDT", "orderId": 1, "clientOrderId": "x", "price": "0.0", "origQty": "1.0", "executedQty": "0.5",
        "status": "CANCELED", "type": "MARKET", "side": "BUY", "time": 1, "updateTime": 1,
    }  # fmt: skip
    whole, away = replying(200, json.dumps(order).encode()), replying(502, b"")

    async def only_orders(stream: trio.abc.Stream, request: bytes) -> None:
        await (away if b"myTrades" in request else whole)(stream, request)

    async with broken_venue(only_orders) as session:
        assert isinstance(await session.query("x", BTCUSDT), Lost)


async def test_an_order_found_by_our_id_is_ours_whatever_id_the_venue_shows_after_its_cancel() -> None:
    order = {
        "symbol": "BTCUSDT", "orderId": 1, "clientOrderId": "theCancelsId", "price": "1.0", "origQty": "1.0",
        "executedQty": "0.0", "status": "CANCELED", "type": "LIMIT", "side": "BUY", "time": 1, "updateTime": 1,
    }  # fmt: skip
    async with broken_venue(replying(200, json.dumps(order).encode())) as session:
        assert found(await session.query("ours", BTCUSDT)).client_id == "ours"


async def test_a_stream_to_a_venue_that_answers_no_websocket_is_an_outage() -> None:
    async with broken_venue(replying(502, b"")) as session:
        with pytest.raises(Unavailable):
            async with session.user_stream():
                pass
        with pytest.raises(Unavailable):
            async with session.market_stream([BTCUSDT]):
                pass
