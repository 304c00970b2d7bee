"""A scripted session and the rooms around the gateway, for tests of the gateway and its neighbours."""

from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import trio
from attrs import define, evolve, field

from tbot_actors.domain.events import Evidence
from tbot_actors.domain.instruments import Instrument, InstrumentId, Side
from tbot_actors.domain.intents import OrderType, TimeInForce
from tbot_actors.domain.market import DepthSnapshot
from tbot_actors.domain.messages import (
    Absent,
    Append,
    Appended,
    Balance,
    CancelResult,
    Lost,
    Mailbox,
    OrderReport,
    QueryResult,
    ReportedState,
    SubmitOrder,
    SubmitResult,
    VenueTrade,
)
from tbot_actors.kernel import Actor, handles
from tbot_actors.venues import MarketItem, Throttle, UserItem
from tbot_actors.world import TrioClock, World, real_world

START_NS = 1_800_000_000 * 1_000_000_000
NS = 1_000_000_000
BTCUSDT = InstrumentId("binance:BTCUSDT")
INSTRUMENT = Instrument(
    venue="binance",
    symbol="BTCUSDT",
    base="BTC",
    quote="USDT",
    tick=Decimal("0.01"),
    step=Decimal("0.00001"),
    quantity_min=Decimal("0.00001"),
    quantity_max=Decimal(9000),
    notional_min=Decimal(5),
    maker_fee=Decimal("0.001"),
    taker_fee=Decimal("0.001"),
)


def virtual_world() -> World:
    """The real world with trio's clock: virtual under `autojump_clock`."""
    return evolve(real_world(hosts={"127.0.0.1"}, seed=1), clock=TrioClock(START_NS))


@define(eq=False)
class Inbox:
    """A mailbox that keeps what it is told."""

    path: str = "a/test"
    told: list[Any] = field(factory=list)
    _news: trio.Event = field(factory=trio.Event)

    def tell(self, message: Any) -> None:
        """Keep it."""
        self.told.append(message)
        self._news.set()
        self._news = trio.Event()

    async def wait_for(self, count: int, *, timeout_s: float = 600) -> list[Any]:
        """What was told, once it is that many."""
        with trio.fail_after(timeout_s):
            while len(self.told) < count:
                await self._news.wait()
        return self.told

    def of(self, kind: type) -> list[Any]:
        """What was told of one kind."""
        return [message for message in self.told if type(message) is kind]


def listener(kinds: Collection[type], inbox: Inbox) -> type[Actor]:
    """An actor that passes messages of these kinds on to `inbox`."""

    async def pass_on(self: Actor, message: Any) -> None:
        inbox.tell(message)

    async def started(self: Actor) -> None:
        self.context.ready()

    members: dict[str, Any] = {"started": started}
    for kind in kinds:

        async def handler(self: Actor, message: Any) -> None:
            await pass_on(self, message)

        members[f"on_{kind.__name__}"] = handles(kind)(handler)
    return type("Listener", (Actor,), members)


class ScriptedJournal(Actor):
    """Confirms what it is told to append; `inbox` sees it. The first `deaf` appends are not confirmed."""

    def __init__(self, inbox: Inbox, deaf: list[int]) -> None:
        self._inbox = inbox
        self._deaf = deaf

    async def started(self) -> None:
        """Ready at once."""
        self.context.ready()

    @handles(Append)
    async def on_append(self, message: Append) -> None:
        self._inbox.tell(message)
        if self._deaf[0] > 0:
            self._deaf[0] -= 1
            return
        message.reply_to.tell(Appended(message.append_id, 1, len(message.events)))


Script = Callable[[Any], Any]


@define(eq=False)
class ScriptedSession:
    """A session that does what a test says. It records every call with its time, and knows how many are under way."""

    throttle: Throttle
    name: str = "binance"
    calls: list[tuple[str, str, float]] = field(factory=list)
    """Verb, client id, trio's time."""
    under_way: int = 0
    closed: int = 0
    logins: list[BaseException | None] = field(factory=list)
    """What the next logins raise; then they work."""
    times: list[tuple[float, int] | BaseException] = field(factory=list)
    """Seconds that a question for the time takes, and the venue's clock minus ours, ns."""
    takes_s: dict[str, float] = field(factory=dict)
    """How long each verb takes."""
    answers: dict[str, list[Any]] = field(factory=dict)
    """Results by verb in turn; exceptions are raised, callables are called. Then the usual ones."""
    items: list[UserItem | BaseException] = field(factory=list)
    state_calls: list[str] = field(factory=list)

    async def login(self) -> tuple[Instrument, ...]:
        """One instrument."""
        trouble = self.logins.pop(0) if self.logins else None
        if trouble is not None:
            raise trouble
        return (INSTRUMENT,)

    async def server_time(self) -> int:
        """As `times` says."""
        step = self.times.pop(0) if self.times else (0.0, 0)
        if isinstance(step, BaseException):
            raise step
        takes_s, offset_ns = step
        await trio.sleep(takes_s / 2)
        venue_ns = TrioClock(START_NS).wall_ns() + offset_ns
        await trio.sleep(takes_s / 2)
        return venue_ns

    async def submit(self, order: SubmitOrder) -> SubmitResult:
        """As `answers["submit"]` says, else open."""
        found: SubmitResult = await self._do("submit", order.client_id, report(order.client_id))
        return found

    async def cancel(self, client_id: str, instrument: InstrumentId) -> CancelResult:
        """As `answers["cancel"]` says, else cancelled."""
        usual = report(client_id, ReportedState.CANCELED)
        found: CancelResult = await self._do("cancel", client_id, usual)
        return found

    async def query(self, client_id: str, instrument: InstrumentId) -> QueryResult:
        """As `answers["query"]` says, else absent."""
        found: QueryResult = await self._do("query", client_id, Absent())
        return found

    async def _do(self, verb: str, client_id: str, usual: Any) -> Any:
        self.calls.append((verb, client_id, trio.current_time()))
        script = self.answers.get(verb)
        result = script.pop(0) if script else usual
        self.under_way += 1
        try:
            await trio.sleep(self.takes_s.get(verb, 0))
        finally:
            self.under_way -= 1
        if callable(result):
            result = result()
        if isinstance(result, BaseException):
            raise result
        return result

    async def open_orders(self, instruments: Collection[InstrumentId]) -> tuple[OrderReport, ...]:
        """One."""
        self.state_calls.append("open_orders")
        return (report("OPEN1"),)

    async def trades(self, instrument: InstrumentId, after_id: str | None) -> tuple[VenueTrade, ...]:
        """None, or what `answers["trades"]` raises."""
        self.state_calls.append(f"trades {instrument} {after_id}")
        script = self.answers.get("trades")
        if script:
            raise script.pop(0)
        return ()

    async def balances(self) -> Mapping[str, Balance]:
        """Some."""
        self.state_calls.append("balances")
        return {"USDT": Balance(Decimal(10), Decimal(0))}

    async def depth_snapshot(self, instrument: InstrumentId) -> DepthSnapshot:
        """Nothing in the book."""
        return DepthSnapshot(instrument, 1, (), ())

    @asynccontextmanager
    async def market_stream(self, instruments: Collection[InstrumentId]) -> AsyncIterator[AsyncIterator[MarketItem]]:
        """Nothing ever comes."""
        yield self._nothing()

    async def _nothing(self) -> AsyncIterator[MarketItem]:
        for item in list[MarketItem]():
            yield item
        await trio.sleep_forever()

    @asynccontextmanager
    async def user_stream(self) -> AsyncIterator[AsyncIterator[UserItem]]:
        """What `items` says, then quiet."""
        yield self._items()

    async def _items(self) -> AsyncIterator[UserItem]:
        while self.items:
            item = self.items.pop(0)
            if isinstance(item, BaseException):
                raise item
            yield item
        await trio.sleep_forever()

    async def aclose(self) -> None:
        """Counted."""
        self.closed += 1
        await trio.lowlevel.checkpoint()


def report(client_id: str, state: ReportedState = ReportedState.OPEN) -> OrderReport:
    """An order of one bitcoin."""
    return OrderReport(
        client_id=client_id,
        venue_order_id=f"v{client_id}",
        instrument=BTCUSDT,
        state=state,
        side=Side.BUY,
        quantity=Decimal(1),
        price=Decimal(50000),
        executed=Decimal(0),
        trades=(),
        why="",
        evidence=Evidence.RESPONSE,
        stamp_ns=START_NS,
    )


def submit(client_id: str, reply_to: Mailbox, *, reduces: bool = False, not_after_s: float = 1e6) -> SubmitOrder:
    """A limit order. `not_after_s` is trio's time."""
    return SubmitOrder(
        client_id=client_id,
        instrument=BTCUSDT,
        side=Side.BUY,
        type=OrderType.LIMIT,
        time_in_force=TimeInForce.GTC,
        quantity=Decimal(1),
        price=Decimal(50000),
        reduces=reduces,
        not_after_ns=round(not_after_s * NS),
        reply_to=reply_to,
    )


LOST = Lost("the connection broke")
