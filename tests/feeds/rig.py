"""A feed in a tree of its own: its session says what a test tells it, its subscribers write everything down."""

from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from typing import Any, cast

import trio
import trio.testing
from attrs import define, evolve, field

from tbot_actors.domain.instruments import InstrumentId
from tbot_actors.domain.market import Candle, DepthSnapshot, MarketTrade, Quote
from tbot_actors.domain.messages import Alarm
from tbot_actors.feeds import Feed, FeedSettings, FeedStatistics, FeedStatisticsWanted
from tbot_actors.kernel import (
    REJECT,
    Actor,
    Backoff,
    Branch,
    Child,
    DeadLetterReason,
    Directory,
    RestartLimit,
    State,
    Strategy,
    System,
    handles,
    open_system,
)
from tbot_actors.venues import MarketItem, Session
from tbot_actors.world import TrioClock, World, real_world
from tests.feeds.market import BTCUSDT, START_NS

Answer = DepthSnapshot | BaseException


@define
class Told:
    """What the subscribers got, in order."""

    quotes: list[Quote] = field(factory=list)
    trades: list[MarketTrade] = field(factory=list)
    candles: list[Candle] = field(factory=list)
    alarms: list[Alarm] = field(factory=list)
    hold_trades: trio.Event | None = None
    """The reader of trades waits for it."""
    _news: trio.Event = field(factory=trio.Event)

    def note(self, kind: list[Any], message: Any) -> None:
        """Write one down."""
        kind.append(message)
        self._news.set()
        self._news = trio.Event()

    async def until(self, kind: list[Any], count: int) -> None:
        """Wait until there are so many."""
        while len(kind) < count:
            await self._news.wait()

    @property
    def active(self) -> list[bool]:
        """The alarm's states, one after the other."""
        return [alarm.active for alarm in self.alarms]


class QuoteReader(Actor):
    """Takes quotes and nothing else: whatever else came would be a dead letter."""

    def __init__(self, told: Told) -> None:
        self.told = told

    @handles(Quote)
    async def on_quote(self, message: Quote) -> None:
        self.told.note(self.told.quotes, message)


class TradeReader(Actor):
    """Takes trades; has room for four."""

    def __init__(self, told: Told) -> None:
        self.told = told

    @handles(MarketTrade, REJECT, room=4)
    async def on_trade(self, message: MarketTrade) -> None:
        self.told.note(self.told.trades, message)
        if self.told.hold_trades is not None:
            await self.told.hold_trades.wait()


class CandleReader(Actor):
    """Takes candles."""

    def __init__(self, told: Told) -> None:
        self.told = told

    @handles(Candle)
    async def on_candle(self, message: Candle) -> None:
        self.told.note(self.told.candles, message)


class Watchdog(Actor):
    """Takes alarms."""

    def __init__(self, told: Told) -> None:
        self.told = told

    @handles(Alarm)
    async def on_alarm(self, message: Alarm) -> None:
        self.told.note(self.told.alarms, message)


@define(eq=False)
class Exchange:
    """What the scripted sessions have in common: the test speaks through it."""

    snapshots: list[Answer] = field(factory=list)
    """Answers to the next questions for a snapshot; the last one stays."""
    refuses: list[BaseException] = field(factory=list)
    """Why the next connections fail."""
    asked_s: list[float] = field(factory=list)
    """When a snapshot was asked for, trio's time."""
    closes_s: float = 0.0
    """How long closing a session takes."""
    connections: int = 0
    closed: int = 0
    _say: trio.MemorySendChannel[MarketItem | BaseException] | None = None

    def say(self, *items: MarketItem | BaseException) -> None:
        """Over the connection that is up."""
        assert self._say is not None
        for item in items:
            self._say.send_nowait(item)

    def open_session(self) -> Session:
        """What a feed is given."""
        return cast(Session, ScriptedSession(self))

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[AsyncIterator[MarketItem]]:
        """One connection."""
        await trio.lowlevel.checkpoint()
        if self.refuses:
            raise self.refuses.pop(0)
        self.connections += 1
        self._say, hear = trio.open_memory_channel[MarketItem | BaseException](10_000)
        yield self._items(hear)

    async def _items(self, hear: trio.MemoryReceiveChannel[MarketItem | BaseException]) -> AsyncIterator[MarketItem]:
        async for item in hear:
            if isinstance(item, BaseException):
                raise item
            yield item


class ScriptedSession:
    """The part of a session that a feed uses."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def market_stream(self, instruments: Collection[InstrumentId]) -> Any:
        return self._exchange.connect()

    async def depth_snapshot(self, instrument: InstrumentId) -> DepthSnapshot:
        exchange = self._exchange
        exchange.asked_s.append(trio.current_time())
        await trio.sleep(0.05)
        answer = exchange.snapshots.pop(0) if len(exchange.snapshots) > 1 else exchange.snapshots[0]
        if isinstance(answer, BaseException):
            raise answer
        return answer

    async def aclose(self) -> None:
        await trio.sleep(self._exchange.closes_s)
        self._exchange.closed += 1


@define
class Rig:
    """A running feed."""

    system: System
    exchange: Exchange
    told: Told

    async def statistics(self) -> FeedStatistics:
        """Its counters."""
        found: FeedStatistics = await self.system.directory["feed"].ask(FeedStatisticsWanted(), timeout_s=5)
        return found

    @property
    def ready(self) -> bool:
        """Whether the feed has said that it is."""
        return self.system.directory["feed"].state is State.READY


def virtual_world() -> World:
    """The real world with trio's clock."""
    return evolve(real_world(hosts={"127.0.0.1"}, seed=1), clock=TrioClock(START_NS))


def feed_tree(
    at: Directory,
    told: Told,
    open_session: Callable[[], Session],
    *,
    periods_s: tuple[int, ...] = (1,),
    settings: FeedSettings | None = None,
    clock_offset: Callable[[], int] = lambda: 0,
) -> Branch:
    """The feed, and an actor for each kind of message."""

    def feed() -> Feed:
        return Feed(
            "binance",
            open_session,
            instruments=(BTCUSDT,),
            candle_periods_s=periods_s,
            quote_subscribers=[at["quotes"]],
            trade_subscribers=[at["trades"]],
            candle_subscribers=[at["candles"]],
            watchdog=at["watchdog"],
            settings=settings or FeedSettings(),
            clock_offset=clock_offset,
        )

    children = (
        Child("quotes", QuoteReader, lambda: QuoteReader(told)),
        Child("trades", TradeReader, lambda: TradeReader(told)),
        Child("candles", CandleReader, lambda: CandleReader(told)),
        Child("watchdog", Watchdog, lambda: Watchdog(told)),
        Child("feed", Feed, feed),
    )
    backoff = Backoff(first_s=0.1, cap_s=1.0, jitter=0)
    return Branch("root", Strategy.ONE_FOR_ONE, children, limit=RestartLimit(3, 60), backoff=backoff)


@asynccontextmanager
async def open_rig(exchange: Exchange, world: World | None = None, **options: Any) -> AsyncIterator[Rig]:
    """A feed over a scripted exchange. Every subscriber was told only what it has a handler for."""
    told = Told()
    tree = lambda at: feed_tree(at, told, exchange.open_session, **options)  # noqa: E731
    async with open_system(tree, world or virtual_world()) as system:
        await trio.testing.wait_all_tasks_blocked()
        yield Rig(system, exchange, told)
        await system.stop()
        await trio.testing.wait_all_tasks_blocked()
        unhandled = [letter for letter in system.dead_letters.recent() if letter.reason is DeadLetterReason.UNHANDLED]
        assert unhandled == []
