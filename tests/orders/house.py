"""Risk, orders, portfolio and a strategy as real actors on the real kernel and journal; only the venue's gateway is
played.

The disk writes inline, on the real file: with no thread to wait for, virtual time moves only when nobody has anything
to do.
"""

from __future__ import annotations

import sqlite3
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import trio
from attrs import define, evolve, field, frozen

from tbot_actors.domain.events import (
    DecisionDenied,
    Event,
    InstrumentDefined,
    OrderCommitted,
    PauseChanged,
)
from tbot_actors.domain.instruments import Side
from tbot_actors.domain.intents import Intent, IntentKey, Place
from tbot_actors.domain.market import Quote
from tbot_actors.domain.messages import (
    Alarm,
    Append,
    Appended,
    Approved,
    CancelOrder,
    CancelOutcome,
    EventsRead,
    GatewayReady,
    Intents,
    JournalAdvanced,
    QueryOrder,
    QueryOutcome,
    ReportedState,
    ReservationsKnown,
    SubmitOrder,
    SubmitOutcome,
)
from tbot_actors.domain.view import View
from tbot_actors.journal import Journal, JournalReader, JournalWriter
from tbot_actors.kernel import (
    Actor,
    Address,
    Backoff,
    Branch,
    Child,
    Directory,
    Down,
    RestartLimit,
    System,
    conflate,
    handles,
    open_system,
)
from tbot_actors.kernel import Strategy as Restarts
from tbot_actors.orders import Orders, OrdersSettings
from tbot_actors.portfolio import Portfolio, PortfolioSettings
from tbot_actors.risk import Risk, RiskSettings
from tbot_actors.strategies import Strategy
from tbot_actors.strategies.actor import StrategyActor
from tbot_actors.strategies.hosts import StrategyProgram, in_task
from tbot_actors.world import Database, Disk, TrioClock, World, real_world
from tests.domain.samples import BTC, BTCUSDT
from tests.orders.bench import TAG, WALL_NS, report

T = TypeVar("T")
E = TypeVar("E", bound=Event)
CAPITAL = Decimal(10_000)


class Boom(Exception):
    """A crash that a test wants."""


class InlineDatabase(Database):
    """A transaction at a time, in the caller's task."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)

    async def write(self, job: Callable[[sqlite3.Connection], T]) -> T:
        await trio.lowlevel.checkpoint()
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            value = job(self._connection)
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")
        return value

    async def read(self, job: Callable[[sqlite3.Connection], T]) -> T:
        await trio.lowlevel.checkpoint()
        return job(self._connection)

    async def checkpoint(self) -> None:
        raise NotImplementedError

    async def backup(self, target: Path) -> None:
        raise NotImplementedError

    async def aclose(self) -> None:
        self._connection.close()


class InlineDisk(Disk):
    async def open_database(self, path: Path) -> Database:
        return InlineDatabase(path)


def virtual_world() -> World:
    """For tests under an autojump clock."""
    return evolve(real_world(hosts=(), seed=1), clock=TrioClock(WALL_NS), disk=InlineDisk())


@define(eq=False)
class Fuse:
    """Crashes an actor on a message of one kind: before it is handled, or after all that follows from it was done."""

    kind: type | None = None
    after: bool = False
    blown: int = 0
    seen: list[Any] = field(factory=list)
    """Every message of its kinds."""

    def light(self, kind: type, *, after: bool = False) -> None:
        self.kind, self.after = kind, after

    def blow(self, message: Any, *, after: bool) -> None:
        if type(message) is self.kind and after is self.after:
            self.kind = None
            self.blown += 1
            raise Boom(f"over {type(message).__name__}")


A = TypeVar("A", bound=Actor)


def fused(actor: type[A], fuse: Fuse, *kinds: type) -> type[A]:
    """The same actor, with a fuse around its handlers of these messages."""
    members: dict[str, Any] = {}
    for kind in kinds:
        handling = actor.handlers[kind]

        async def handler(self: Any, message: Any, real: Any = handling.handler) -> Any:
            fuse.seen.append(message)
            fuse.blow(message, after=False)
            reply = await real(self, message)
            fuse.blow(message, after=True)
            return reply

        members[handling.method] = handles(kind, handling.policy, room=handling.room)(handler)
    return type(f"Fused{actor.__name__}", (actor,), members)


@define(eq=False)
class Venue:
    """What the gateway is asked, and what it answers: by default everything rests."""

    submits: list[SubmitOrder] = field(factory=list)
    cancels: list[CancelOrder] = field(factory=list)
    queries: list[QueryOrder] = field(factory=list)
    on_submit: Callable[[SubmitOrder], Any] | None = None
    """The result; None answers nothing."""
    on_cancel: Callable[[CancelOrder], Any] | None = None
    on_query: Callable[[QueryOrder], Any] | None = None


class PlayedGateway(Actor):
    """Logs in by writing the instruments, as the real one does."""

    def __init__(self, venue: Venue, token: str, journal: Address, listeners: Iterable[Address]) -> None:
        self._venue = venue
        self._token = token
        self._journal = journal
        self._listeners = tuple(listeners)

    async def started(self) -> None:
        clock = self.context.world.clock
        self._clock = clock
        events = (InstrumentDefined(BTCUSDT, clock.wall_ns()),)
        append_id = f"gateway/{self._token}/{self.context.incarnation}"
        self._journal.tell(Append(append_id, events, self.context.address))

    @handles(Appended)
    async def on_appended(self, message: Appended) -> None:
        for listener in self._listeners:
            listener.tell(GatewayReady("binance", self.context.incarnation))
        self.context.ready()

    @handles(SubmitOrder)
    async def on_submit(self, message: SubmitOrder) -> None:
        self._venue.submits.append(message)
        play = self._venue.on_submit or (lambda order: report(order.client_id))
        result = play(message)
        if result is not None:
            message.reply_to.tell(SubmitOutcome(message.client_id, result))

    @handles(CancelOrder)
    async def on_cancel(self, message: CancelOrder) -> None:
        self._venue.cancels.append(message)
        play = self._venue.on_cancel or (lambda order: report(order.client_id, ReportedState.CANCELED))
        result = play(message)
        if result is not None:
            message.reply_to.tell(CancelOutcome(message.client_id, result))

    @handles(QueryOrder)
    async def on_query(self, message: QueryOrder) -> None:
        self._venue.queries.append(message)
        result = (self._venue.on_query or (lambda order: report(order.client_id)))(message)
        if result is not None:
            message.reply_to.tell(QueryOutcome(message.client_id, result, self._clock.monotonic_ns()))


@frozen
class Params:
    """None."""


@define(eq=False)
class Wishes:
    """What the strategy wants on the next quotes, and what it saw."""

    queue: deque[tuple[Intent, ...]] = field(factory=deque)
    views: list[View] = field(factory=list)


class Wishing(Strategy):
    """Wants what the test wants."""

    Params = Params

    def __init__(self, wishes: Wishes) -> None:
        super().__init__(Params(), (BTC,))
        self._wishes = wishes

    def on_quote(self, view: View, quote: Quote) -> Iterable[Intent]:
        self._wishes.views.append(view)
        return self._wishes.queue.popleft() if self._wishes.queue else ()

    def on_order(self, view: View, order: Any) -> Iterable[Intent]:
        self._wishes.views.append(view)
        return ()


class Safety(Actor):
    """Keeps alarms, and writes pauses as the watchdog does."""

    def __init__(self, alarms: list[Alarm], journal: Address) -> None:
        self._alarms = alarms
        self._journal = journal

    async def started(self) -> None:
        self._writer = JournalWriter(self._journal, self.context.address, self.context.world.clock)

    @handles(Alarm, conflate(lambda alarm: (alarm.source, alarm.cause, alarm.scope)))
    async def on_alarm(self, message: Alarm) -> None:
        self._alarms.append(message)

    @handles(PauseChanged)
    async def on_pause(self, message: PauseChanged) -> None:
        self._writer.append(message)

    @handles(Appended)
    async def on_appended(self, message: Appended) -> None:
        self._writer.appended(message)


class Reader(Actor):
    """Keeps everything that the journal says."""

    def __init__(self, events: list[Event], journal: Address) -> None:
        self._events = events
        self._journal = journal

    async def started(self) -> None:
        self._events.clear()
        self._reader = JournalReader(self._journal, self.context.address)
        self.context.watch(self._journal)
        self._reader.start()

    @handles(EventsRead)
    async def on_events_read(self, message: EventsRead) -> None:
        self._events.extend(event for _, event in self._reader.take(message))

    @handles(JournalAdvanced, conflate(lambda _: None))
    async def on_advanced(self, message: JournalAdvanced) -> None:
        self._reader.advanced(message)

    @handles(Down)
    async def on_down(self, message: Down) -> None:
        self._reader.journal_down()


@define(eq=False)
class House:
    """A running tree, and everything a test looks at."""

    system: System
    venue: Venue
    wishes: Wishes
    alarms: list[Alarm]
    events: list[Event]
    risk: Fuse
    orders: Fuse
    journal: Fuse
    alive: dict[str, Any]
    """The newest incarnation of risk, orders and the strategy, for what no message shows."""
    quotes: int = 0

    @property
    def at(self) -> Directory:
        return self.system.directory

    async def settle(self, seconds: float = 0.2) -> None:
        """Until everybody has done what there is to do."""
        await trio.sleep(seconds)

    async def ready(self) -> None:
        await self.system.wait_ready(
            "core/risk", "core/orders", "strategies/momentum", "venues/binance/gateway", timeout_s=30
        )
        await self.settle(0.5)

    async def lift(self) -> None:
        """The venue is reconciled: new risk is allowed."""
        self.pause()
        await self.settle()

    def pause(self, *causes: str) -> None:
        change = PauseChanged("account", causes, self.system.world.clock.wall_ns())
        self.at["safety/watchdog"].tell(change)
        self.at["core/risk"].tell(change)

    def quote(self, bid: str = "99.99", ask: str = "100.01") -> None:
        """A fresh price for everybody."""
        self.quotes += 1
        clock = self.system.world.clock
        one = Decimal(1)
        quote = Quote(
            BTC, Decimal(bid), one, Decimal(ask), one, self.quotes, clock.wall_ns(), clock.monotonic_ns()
        )
        for path in ("core/risk", "core/portfolio", "strategies/momentum"):
            self.at[path].tell(quote)

    async def want(self, *intents: Intent) -> None:
        """The strategy wants these, on one quote."""
        self.wishes.queue.append(intents)
        self.quote()
        await self.settle()

    def of(self, kind: type[E]) -> list[E]:
        """The rows of a kind."""
        return [event for event in self.events if isinstance(event, kind)]

    def outcomes(self, key: str = "entry") -> list[str]:
        """What became of the intents of a key: COMMITTED, or why they were denied."""
        return [
            "COMMITTED" if isinstance(event, OrderCommitted) else event.reason.value
            for event in self.events
            if isinstance(event, (OrderCommitted, DecisionDenied)) and event.intent.key == key
        ]

    @property
    def decided(self) -> Mapping[IntentKey, int]:
        """How often each intent was decided."""
        found: dict[IntentKey, int] = {}
        for event in self.events:
            if isinstance(event, (OrderCommitted, DecisionDenied)):
                found[event.intent] = found.get(event.intent, 0) + 1
        return found

    @property
    def books(self) -> Any:
        """Risk's own, for its reservations: the one thing that no message shows."""
        return self.alive["core/risk"]._books


@asynccontextmanager
async def house(
    folder: Path,
    *,
    token: str = "1",
    orders_settings: OrdersSettings | None = None,
    risk_settings: RiskSettings | None = None,
) -> AsyncIterator[House]:
    """A bot with one strategy and one venue."""
    at: dict[str, Directory] = {}
    # Filled when the system is there; actors start after that.
    venue, wishes, alarms, events = Venue(), Wishes(), list[Alarm](), list[Event]()
    risk_fuse, orders_fuse, journal_fuse = Fuse(), Fuse(), Fuse()
    journal_class = fused(Journal, journal_fuse, Append)
    risk_class = fused(Risk, risk_fuse, Intents, ReservationsKnown)
    orders_class = fused(Orders, orders_fuse, Approved, SubmitOutcome)

    def address(path: str) -> Address:
        return at["at"][path]

    def journal() -> Journal:
        return journal_class(folder / "journal", bot=TAG, mode="paper", account="main", process_token=token)

    alive: dict[str, Any] = {}

    def kept(path: str, make: Callable[[], Any]) -> Callable[[], Any]:
        def start() -> Any:
            alive[path] = make()
            return alive[path]

        return start

    def risk() -> Risk:
        return risk_class(
            journal=address("journal"),
            orders=address("core/orders"),
            strategies={"momentum": address("strategies/momentum")},
            watchdog=address("safety/watchdog"),
            capital={"momentum": CAPITAL},
            settings=risk_settings or RiskSettings(),
        )

    def orders() -> Orders:
        return orders_class(
            bot=TAG,
            account="main",
            journal=address("journal"),
            risk=address("core/risk"),
            gateways={"binance": address("venues/binance/gateway")},
            watchdog=address("safety/watchdog"),
            settings=orders_settings or OrdersSettings(),
        )

    def portfolio() -> Portfolio:
        listeners = (address("core/risk"),)
        return Portfolio(
            journal=address("journal"), listeners=listeners, capital=CAPITAL, settings=PortfolioSettings()
        )

    def strategy() -> StrategyActor:
        program = StrategyProgram("momentum", "Wishing", {}, CAPITAL, (BTC,), converter="")
        hooks = in_task(program, lambda: Wishing(wishes))
        return StrategyActor(program, hooks, journal=address("journal"), risk=address("core/risk"))

    def gateway() -> PlayedGateway:
        return PlayedGateway(venue, token, address("journal"), (address("core/orders"),))

    quick = Backoff(first_s=0.01, cap_s=0.01)
    many = RestartLimit(1000, 60)

    def branch(name: str, *children: Child | Branch) -> Branch:
        return Branch(name, Restarts.ONE_FOR_ONE, children, limit=many, backoff=quick)

    tree = branch(
        "root",
        Child("journal", journal_class, journal),
        branch("safety", Child("watchdog", Safety, lambda: Safety(alarms, address("journal")))),
        Child("reader", Reader, lambda: Reader(events, address("journal"))),
        branch(
            "core",
            Child("portfolio", Portfolio, portfolio),
            Child("risk", risk_class, kept("core/risk", risk)),
            Child("orders", orders_class, kept("core/orders", orders)),
        ),
        branch("venues", branch("binance", Child("gateway", PlayedGateway, gateway))),
        branch("strategies", Child("momentum", StrategyActor, kept("strategies/momentum", strategy))),
    )

    async with open_system(tree, virtual_world()) as system:
        at["at"] = system.directory
        yield House(system, venue, wishes, alarms, events, risk_fuse, orders_fuse, journal_fuse, alive)


def buy(key: str = "entry", quantity: str = "1", price: str = "100", **changes: Any) -> Place:
    """A limit order for one bitcoin at 100."""
    return evolve(Place(key, BTC, Side.BUY, Decimal(quantity), Decimal(price)), **changes)
