"""A bot around the watchdog and the reconciler: all but risk is real, on virtual time, at a venue that plays tricks."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import trio
from attrs import define, evolve, field, frozen

from tbot_actors.domain.blotter import Blotter
from tbot_actors.domain.events import (
    Event,
    Evidence,
    Fill,
    GenerationStarted,
    InstrumentDefined,
    OrderAccepted,
    OrderCommitted,
    PauseChanged,
    Verdict,
)
from tbot_actors.domain.ids import ClientId, Sender
from tbot_actors.domain.instruments import Side
from tbot_actors.domain.intents import IntentKey, OrderType, TimeInForce
from tbot_actors.domain.inventory import Inventory
from tbot_actors.domain.latch import Latch, LatchUnreadable, decode_latch
from tbot_actors.domain.market import EventId
from tbot_actors.domain.messages import (
    Alarm,
    Append,
    ApprovalRefused,
    Cause,
    EventsRead,
    JournalAdvanced,
    OnStop,
    OrdersStarted,
    ReservationsKnown,
    StopReport,
    StopWanted,
)
from tbot_actors.domain.orders import Order, OrderState
from tbot_actors.journal import Journal, JournalReader
from tbot_actors.kernel import (
    Actor,
    Backoff,
    Branch,
    Child,
    Directory,
    Down,
    RestartLimit,
    Strategy,
    System,
    again,
    conflate,
    handles,
    open_system,
)
from tbot_actors.orders import Orders, OrdersSettings
from tbot_actors.reconciler import Reconciler, ReconcilerSettings
from tbot_actors.venues import Gateway, GatewaySettings
from tbot_actors.watchdog import Watchdog, WatchdogSettings
from tbot_actors.world import Database, SlotFile, TrioClock, World, real_world
from tests.watchdog.venue import BTC, BTCUSDT, Venue, VenueSession

T = TypeVar("T")

START_NS = 1_800_000_000 * 1_000_000_000
BOT = "MMMM"
ACCOUNT = "main"
WATCHDOG, RECONCILER, ORDERS, RISK = "safety/watchdog", "core/reconciler", "core/orders", "core/risk"
GATEWAY = "venues/binance/gateway"
QUICK = Backoff(first_s=0.01, cap_s=0.02)


@define(eq=False)
class InlineDatabase:
    """A real SQLite file, its jobs run in place: no thread, so that virtual time waits for the disk."""

    connection: sqlite3.Connection
    disk: InlineDisk

    async def write(self, job: Callable[[sqlite3.Connection], T]) -> T:
        await self.disk.wait()
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            result = job(self.connection)
        except BaseException:
            self.connection.execute("ROLLBACK")
            raise
        self.connection.execute("COMMIT")
        return result

    async def read(self, job: Callable[[sqlite3.Connection], T]) -> T:
        await trio.lowlevel.checkpoint()
        return job(self.connection)

    async def checkpoint(self) -> None:
        await trio.lowlevel.checkpoint()

    async def backup(self, target: Path) -> None:
        raise AssertionError("nobody here backs up")

    async def aclose(self) -> None:
        self.connection.close()
        await trio.lowlevel.checkpoint()


@define(eq=False)
class InlineDisk:
    """Opens them. While `stuck`, no write ends."""

    stuck: trio.Event | None = None
    takes_s: float = 0
    """How long a write takes."""
    path: Path | None = None

    async def wait(self) -> None:
        await trio.sleep(self.takes_s)
        if self.stuck is not None:
            await self.stuck.wait()

    async def open_database(self, path: Path) -> Database:
        await trio.lowlevel.checkpoint()
        self.path = path
        return InlineDatabase(sqlite3.connect(path, isolation_level=None), self)

    def has_row_of(self, client_id: str) -> bool:
        """Whether the order is in the journal; also true while the disk is stuck, when nobody could know."""
        assert self.path is not None
        if self.stuck is not None:
            return True
        with closing(sqlite3.connect(self.path)) as connection:
            rows = connection.execute("SELECT payload FROM events WHERE kind = 'OrderCommitted'").fetchall()
        return any(client_id.encode() in payload for (payload,) in rows)


@frozen
class Hold:
    """Handle nothing until then."""

    until: trio.Event


@define(eq=False)
class SteppingClock:
    """Virtual time, with a wall clock that somebody sets."""

    step_ns: int = 0
    _true: TrioClock = field(factory=lambda: TrioClock(START_NS))

    def monotonic_ns(self) -> int:
        return self._true.monotonic_ns()

    def wall_ns(self) -> int:
        return self._true.wall_ns() + self.step_ns


class RiskEar(Actor):
    """Stands where risk does, and hears what it is told."""

    def __init__(self, heard: list[Any]) -> None:
        self._heard = heard

    async def started(self) -> None:
        self.context.ready()

    @handles(Hold)
    async def on_hold(self, message: Hold) -> None:
        await message.until.wait()

    @handles(PauseChanged)
    async def on_pause_changed(self, message: PauseChanged) -> None:
        self._heard.append(message)

    @handles(OrdersStarted)
    async def on_orders_started(self, message: OrdersStarted) -> None:
        self._heard.append(message)

    @handles(ApprovalRefused)
    async def on_approval_refused(self, message: ApprovalRefused) -> None:
        self._heard.append(message)

    @handles(ReservationsKnown)
    async def on_reservations_known(self, message: ReservationsKnown) -> None:
        self._heard.append(message)


class Clerk(Actor):
    """Reads the whole journal for the test."""

    def __init__(self, log: list[Event]) -> None:
        self._log = log

    async def started(self) -> None:
        self._log.clear()
        journal = self.context.directory["journal"]
        self.context.watch(journal)
        self._reader = JournalReader(journal, self.context.address)
        self._reader.start()
        self.context.ready()

    @handles(EventsRead)
    async def on_events_read(self, message: EventsRead) -> None:
        self._log.extend(event for _, event in self._reader.take(message))

    @handles(JournalAdvanced, conflate(lambda _: None))
    async def on_advanced(self, message: JournalAdvanced) -> None:
        self._reader.advanced(message)

    @handles(Down)
    async def on_down(self, _: Down) -> None:
        self._reader.journal_down()


class Ear(Actor):
    """Stands where the watchdog does in the tests of the reconciler."""

    def __init__(self, heard: list[Any]) -> None:
        self._heard = heard

    async def started(self) -> None:
        self.context.ready()

    @handles(Alarm)
    async def on_alarm(self, message: Alarm) -> None:
        self._heard.append(message)


@define(eq=False)
class Post:
    """A mailbox of the test."""

    path: str = "the/test"
    told: list[Any] = field(factory=list)

    def tell(self, message: Any) -> None:
        self.told.append(message)


@frozen
class House:
    """What a test holds."""

    system: System
    venue: Venue
    disk: InlineDisk
    folder: Path
    clock: SteppingClock
    latch_file: SlotFile
    log: list[Event]
    """The journal."""
    at_risk: list[Any]
    """What risk was told."""
    alarms: list[Alarm]
    """What the watchdog was told, where an Ear stands for it."""
    post: Post

    @property
    def kill_file(self) -> Path:
        return self.folder / "KILL"

    def tell(self, path: str, message: Any) -> None:
        self.system.directory[path].tell(message)

    async def ask(self, message: Any) -> Any:
        return await self.system.directory[WATCHDOG].ask(message, timeout_s=5)

    async def journal(self, *events: Event) -> None:
        """Write these, as if the rooms had."""
        count = len(self.post.told)
        self.tell("journal", Append(f"test/{count}/{len(self.log)}", events, self.post))
        await self.until(lambda: len(self.post.told) > count)
        await trio.testing.wait_all_tasks_blocked()

    async def until(self, true: Callable[[], object], *, within_s: float = 120) -> None:
        """Wait for it."""
        with trio.fail_after(within_s):
            while not true():  # noqa: ASYNC110 (what is waited for has no event of its own)
                await trio.sleep(0.01)

    def events(self, kind: type[T]) -> list[T]:
        return [event for event in self.log if isinstance(event, kind)]

    def pauses(self) -> dict[str, tuple[str, ...]]:
        """The standing pauses, as journaled; they must be what risk was told."""
        return {scope: causes for scope, causes in _newest(self.log).items() if causes}

    def pauses_at_risk(self) -> dict[str, tuple[str, ...]]:
        return {scope: causes for scope, causes in _newest(self.at_risk).items() if causes}

    def order(self, client_id: str) -> Order:
        """The order as the journal has it."""
        blotter = Blotter()
        for event in self.log:
            blotter.apply(event)
        return blotter[client_id]

    def position(self, strategy: str = "momentum") -> Decimal:
        """What the strategy holds as the journal has it."""
        inventory = Inventory()
        for event in self.log:
            if isinstance(event, InstrumentDefined):
                inventory.define(event.instrument)
            elif isinstance(event, Fill):
                inventory.apply(event)
        return inventory.position(strategy, BTC).quantity

    def latch(self) -> Latch | None:
        """What is in the file; None where it is unreadable."""
        try:
            return decode_latch(self.latch_file.read())
        except LatchUnreadable:
            return None

    def reconciled(self) -> None:
        """Stand in for the reconciler's first clean run."""
        self.tell(WATCHDOG, alarm(Cause.NOT_RECONCILED, "venue:binance", active=False))

    async def stop(self, on_stop: OnStop) -> StopReport:
        """Ask for the stop protocol, as the application does: again and again until the report is there."""
        post = Post("the/app")
        with trio.fail_after(300):
            while not post.told:
                self.tell(WATCHDOG, StopWanted(on_stop, post))
                await trio.sleep(1)
        report = post.told[0]
        assert isinstance(report, StopReport)
        return report

    async def holds(self, quantity: str, *, strategy: str = "momentum", number: int = 1) -> None:
        """The strategy bought so much, at the venue and in the journal."""
        client_id = order_id(number)
        order = self.venue.open_order(client_id, Side.BUY, quantity, "90")
        trade = self.venue.fill(client_id, quantity, "90")
        await self.journal(
            InstrumentDefined(BTCUSDT, START_NS),
            committed(client_id, quantity, strategy=strategy),
            OrderAccepted(client_id, order.venue_order_id, Evidence.RESPONSE, START_NS),
            fill_of(client_id, trade.trade_id, quantity, strategy=strategy),
        )

    async def rests(
        self, number: int, side: Side = Side.BUY, quantity: str = "1", price: str = "80", **more: Any
    ) -> str:
        """An order of ours rests at the venue, and the journal knows it."""
        client_id = order_id(number)
        order = self.venue.open_order(client_id, side, quantity, price)
        await self.journal(
            InstrumentDefined(BTCUSDT, START_NS),
            committed(client_id, quantity, side=side, price=price, **more),
            OrderAccepted(client_id, order.venue_order_id, Evidence.RESPONSE, START_NS),
        )
        return client_id


def _branch(name: str, *children: Child | Branch) -> Branch:
    return Branch(name, Strategy.ONE_FOR_ONE, children, limit=RestartLimit(20, 60), backoff=QUICK)


def _newest(events: list[Any]) -> dict[str, tuple[str, ...]]:
    """The pauses that stand, by the order of the changes; by their stamps, as risk reads them, it must be the same."""
    by_order: dict[str, PauseChanged] = {}
    by_stamp: dict[str, PauseChanged] = {}
    for event in events:
        if isinstance(event, GenerationStarted):
            by_order.clear()
            by_stamp.clear()
        elif isinstance(event, PauseChanged):
            by_order[event.scope] = event
            by_stamp[event.scope] = max(by_stamp.get(event.scope, event), event, key=lambda change: change.stamp_ns)
    assert by_order == by_stamp
    return {scope: change.causes for scope, change in by_order.items()}


def order_id(number: int, sender: Sender = Sender.ORDERS, generation: int = 1) -> str:
    return str(ClientId(BOT, sender, generation, number))


def alarm(cause: Cause, scope: str = "account", *, active: bool = True, source: str = "a/test") -> Alarm:
    return Alarm(source, cause, scope, active, "so the test says")


def committed(
    client_id: str,
    quantity: str,
    *,
    strategy: str = "momentum",
    side: Side = Side.BUY,
    price: str = "90",
    reduces: bool = False,
    state: OrderState = OrderState.SUBMITTING,
) -> OrderCommitted:
    return OrderCommitted(
        client_id=client_id,
        strategy=strategy,
        intent=IntentKey(strategy, EventId(f"q/{client_id}"), client_id),
        instrument=BTC,
        side=side,
        type=OrderType.LIMIT,
        time_in_force=TimeInForce.GTC,
        quantity=Decimal(quantity),
        price=Decimal(price),
        reduces=reduces,
        verdict=Verdict({}, 1),
        state=state,
        stamp_ns=START_NS,
    )


def fill_of(client_id: str, trade_id: str, quantity: str, *, strategy: str = "momentum", side: Side = Side.BUY) -> Fill:
    return Fill(
        account=ACCOUNT,
        instrument=BTC,
        trade_id=trade_id,
        client_id=client_id,
        strategy=strategy,
        side=side,
        price=Decimal(90),
        quantity=Decimal(quantity),
        fee=Decimal(0),
        fee_asset="USDT",
        maker=True,
        evidence=Evidence.STREAM,
        stamp_ns=START_NS,
    )


def virtual_world(clock: SteppingClock, disk: InlineDisk) -> World:
    return evolve(real_world(hosts=(), seed=1), clock=clock, disk=disk)


@asynccontextmanager
async def house(
    folder: Path,
    *,
    venue: Venue | None = None,
    watchdog: WatchdogSettings | None = None,
    reconciler: ReconcilerSettings | None = None,
    with_watchdog: bool = True,
    with_reconciler: bool = False,
    token: str = "p",
    core_crashes_max: int = 20,
) -> AsyncIterator[House]:
    """The tree, with everything in it ready but what waits for the test."""
    disk, clock = InlineDisk(), SteppingClock()
    world = virtual_world(clock, disk)
    venue = venue or Venue(clock)
    venue.durable = disk.has_row_of
    latch_file = world.files.open_slots(folder / "latch", 4096)
    found: list[System] = []
    log: list[Event] = []
    at_risk: list[Any] = []
    alarms: list[Alarm] = []

    def tree(at: Directory) -> Branch:
        def start_watchdog() -> Watchdog:
            return Watchdog(
                bot=BOT,
                account=ACCOUNT,
                journal=at["journal"],
                risk=at[RISK],
                orders=at[ORDERS],
                open_sessions={"binance": partial(VenueSession, venue)},
                latch=latch_file,
                kill_file=folder / "KILL",
                snapshot=lambda: found[0].snapshot() if found else None,
                settings=watchdog or WatchdogSettings(),
            )

        def start_orders() -> Orders:
            return Orders(
                bot=BOT,
                account=ACCOUNT,
                journal=at["journal"],
                risk=at[RISK],
                gateways={"binance": at[GATEWAY]},
                watchdog=at[WATCHDOG],
                settings=OrdersSettings(),
            )

        def start_reconciler() -> Reconciler:
            return Reconciler(
                journal=at["journal"],
                gateways={"binance": at[GATEWAY]},
                orders=at[ORDERS],
                watchdog=at[WATCHDOG],
                settings=reconciler or ReconcilerSettings(),
            )

        def start_gateway() -> Gateway:
            return Gateway(
                "binance",
                partial(VenueSession, venue),
                journal=at["journal"],
                latch=lambda: decode_latch(latch_file.read()),
                settings=GatewaySettings(),
                listeners=[at[RECONCILER]] if with_reconciler else [],
            )

        safety = Child("watchdog", Watchdog, start_watchdog)
        if not with_watchdog:
            safety = Child("watchdog", Ear, partial(Ear, alarms))
        core = [Child("risk", RiskEar, partial(RiskEar, at_risk)), Child("orders", Orders, start_orders)]
        if with_reconciler:
            core.append(Child("reconciler", Reconciler, start_reconciler))
        journal = partial(Journal, folder, bot=BOT, mode="paper", account=ACCOUNT, process_token=token)
        return _branch(
            "root",
            Child("journal", Journal, journal),
            _branch("safety", safety),
            evolve(_branch("core", *core), limit=RestartLimit(core_crashes_max, 60), exhausted=again(8, 3, 3600)),
            _branch("venues", _branch("binance", Child("gateway", Gateway, start_gateway))),
            Child("clerk", Clerk, partial(Clerk, log)),
        )

    async with open_system(tree, world, observers=(WATCHDOG,)) as system:
        found.append(system)
        try:
            waiting = ["journal", ORDERS, GATEWAY, WATCHDOG, "clerk", *([RECONCILER] if with_reconciler else [])]
            await system.wait_ready(*waiting, timeout_s=30)
            yield House(system, venue, disk, folder, clock, latch_file, log, at_risk, alarms, Post())
        finally:
            latch_file.close()
        await system.stop()
