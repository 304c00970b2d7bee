"""`tbot run`: the life of one bot process, from the lock to the summary.

    lock the state folder → find or start the exchange → the tree → wait (time, signal, failure)
    → stop protocol → stop the tree → read the journal

A signal to stop is heard from the first of these to the last: one ends the waiting, further ones change nothing.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, TypeVar

import trio
from attrs import evolve, field, frozen

from tbot_actors.app import LATCH_BYTES, House, build_tree
from tbot_actors.cli.counterpart import Counterpart, Market, find_or_start
from tbot_actors.cli.durations import CrashOrder
from tbot_actors.cli.exits import Exit, Failure
from tbot_actors.cli.summary import Summary, take_books, take_journal, take_latch, take_stop, take_tree
from tbot_actors.domain.messages import OnStop, PortfolioState, StopReport, StopWanted
from tbot_actors.feeds import FeedStatistics, FeedStatisticsWanted
from tbot_actors.journal import JournalCorrupt, JournalRefused, Owner, prove
from tbot_actors.kernel import (
    ActorDown,
    Address,
    AskTimeout,
    MailboxFull,
    RestartLimitExceeded,
    System,
    TreeSnapshot,
    open_system,
)
from tbot_actors.operator import Screen
from tbot_actors.portfolio import BooksWanted
from tbot_actors.settings import Mode, Settings, VenueSettings
from tbot_actors.venues import Keys, Offset
from tbot_actors.world import DiskFailure, World, canary, signals

T = TypeVar("T")
ASK_S = 5.0
STOP_AGAIN_S = 2.0
STOP_S = 90.0
"""The stop protocol bounds itself; this is for the case that it is gone."""


class InjectedCrash(Exception):
    """Raised inside an actor because `--crash` said so."""


@frozen
class RunOptions:
    """What the command line adds to the settings."""

    for_s: float | None = None
    crashes: tuple[CrashOrder, ...] = ()
    market: Market | None = None
    """The counterpart of a paper bot; None on a live account."""
    keys: Mapping[str, Keys] = field(factory=dict)
    """By venue, for a live account."""
    candles_s: Mapping[str, tuple[int, ...]] = field(factory=dict)
    """What `describe_strategies` found."""


async def run_bot(settings: Settings, options: RunOptions, world: World, screen: Screen) -> Summary:
    """Run until the time is over, a signal comes or the tree gives up. Raises Failure for what prevents a start."""
    summary = Summary()
    token = f"{world.processes.own_pid}/{world.clock.wall_ns()}"
    async with _stop_signals() as told, _state_held(settings, world):
        await _check_journal(settings, world, token)
        settings, keys = await _connected(settings, options, world)
        running = _Running()
        latch = world.files.open_slots(settings.bot.state / "latch", LATCH_BYTES)
        try:
            house = House(
                settings, world, keys, _offsets(settings), latch, token, running.snapshot, screen, options.candles_s
            )
            with canary():
                await _trade(house, running, options, summary, told)
            take_latch(summary, house.read_latch())
        except RestartLimitExceeded as error:
            take_tree(summary, running.snapshot())
            summary.notes.append(f"the bot gave up: {'; '.join(map(str.strip, str(error).splitlines()))}")
        finally:
            screen.close()
            latch.close()
        await take_journal(summary, world, settings.bot.state / "journal")
    return summary


@asynccontextmanager
async def _stop_signals() -> AsyncIterator[trio.Event]:
    """An event that the first signal to stop sets; none has its default effect while the block runs."""
    told = trio.Event()
    failure: Exception | None = None
    with signals() as received:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_listen, received, told)
            try:
                yield told
            except Exception as error:  # noqa: BLE001 (raised again below, without the nursery's wrapping)
                failure = error
            nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure


async def _listen(received: AsyncIterator[int], told: trio.Event) -> None:
    async for _ in received:
        told.set()


@asynccontextmanager
async def _state_held(settings: Settings, world: World) -> AsyncIterator[None]:
    state = settings.bot.state
    try:
        world.files.make_folder(state)
        lock = world.files.lock(state / "bot.lock")
    except DiskFailure as error:
        raise Failure(Exit.CANNOT_WRITE, str(error)) from None
    if lock is None:
        raise Failure(Exit.BUSY, f"a bot runs in {state} (bot.lock is held): stop it, or name another bot.state")
    try:
        yield
    finally:
        lock.release()


async def _check_journal(settings: Settings, world: World, token: str) -> None:
    """Prove that the journal can be opened and written before anything else is started. Raises Failure."""
    bot = settings.bot
    owner = Owner(bot.tag, bot.mode.value, bot.account)
    try:
        await prove(world, bot.state / "journal", owner, process_token=token, settings=settings.journal)
    except (DiskFailure, JournalRefused, JournalCorrupt) as error:
        raise Failure(Exit.CANNOT_WRITE, f"the journal cannot be used: {error}") from None


async def _connected(settings: Settings, options: RunOptions, world: World) -> tuple[Settings, dict[str, Keys]]:
    """On paper every venue's addresses become those of the simulated exchange."""
    if settings.bot.mode is Mode.LIVE or options.market is None:
        return settings, dict(options.keys)
    counterpart = await find_or_start(world, settings.bot.state, options.market)
    venues = {name: _towards(venue, name, counterpart) for name, venue in settings.venues.items()}
    return evolve(settings, venues=venues), dict.fromkeys(venues, counterpart.keys)


def _towards(venue: VenueSettings, name: str, counterpart: Counterpart) -> VenueSettings:
    rest, socket = counterpart.rest_url, counterpart.ws_url
    binance = evolve(venue.binance, venue=name, rest_url=rest, stream_url=socket, api_url=socket)
    return evolve(venue, binance=binance)


def _offsets(settings: Settings) -> dict[str, Offset]:
    return {venue: Offset() for venue in settings.venues}


class _Running:
    """The system once it runs: some of its actors look at the tree they are part of."""

    system: System

    def snapshot(self) -> TreeSnapshot:
        return self.system.snapshot()


async def _trade(house: House, running: _Running, options: RunOptions, summary: Summary, told: trio.Event) -> None:
    async with open_system(partial(build_tree, house), house.world, observers=("safety/watchdog",)) as system:
        running.system = system
        async with trio.open_nursery() as nursery:
            for order in options.crashes:
                nursery.start_soon(_crash, system, order)
            with trio.move_on_after(float("inf") if options.for_s is None else options.for_s):
                await told.wait()
            nursery.cancel_scope.cancel()
        await _stop(house.settings, system, summary)


async def _crash(system: System, order: CrashOrder) -> None:
    await trio.sleep(order.after_s)
    system.crash(order.path, InjectedCrash(f"--crash {order.path}@{order.after_s:g}s"))


async def _stop(settings: Settings, system: System, summary: Summary) -> None:
    """The stop protocol, run by safety before anything is stopped."""
    at = system.directory
    for name in settings.venues:
        statistics = await _asked(at[f"venues/{name}/feed"], FeedStatisticsWanted(), FeedStatistics, ASK_S)
        if statistics is None:
            summary.notes.append(f"the feed of {name} did not answer: its messages are not in the ticks")
        else:
            summary.ticks += statistics.diffs + statistics.tops + statistics.trades
    take_tree(summary, system.snapshot())
    report = await _stop_report(at["safety/watchdog"], settings.bot.on_stop)
    if report is None:
        summary.notes.append("the stop protocol did not answer: look at the venue for open orders and positions")
    else:
        take_stop(summary, report)
    books = await _asked(at["core/portfolio"], BooksWanted(), PortfolioState, ASK_S)
    if books is None:
        summary.notes.append("the portfolio did not answer: positions and equity are not told")
    else:
        take_books(summary, books)


class _Waiting:
    """The mailbox of this process for one answer."""

    path = "process"

    def __init__(self) -> None:
        self._report: StopReport | None = None
        self._came = trio.Event()

    def tell(self, message: Any) -> None:
        if isinstance(message, StopReport):
            self._report = message
            self._came.set()

    async def report(self) -> StopReport:
        await self._came.wait()
        assert self._report is not None
        return self._report


async def _stop_report(watchdog: Address, on_stop: OnStop) -> StopReport | None:
    """Told again until the report comes: a watchdog that restarts in the middle starts the protocol anew."""
    waiting = _Waiting()
    with trio.move_on_after(STOP_S):
        while True:
            watchdog.tell(StopWanted(on_stop, waiting))
            with trio.move_on_after(STOP_AGAIN_S):
                return await waiting.report()
    return None


async def _asked(address: Address, question: object, kind: type[T], timeout_s: float) -> T | None:
    """The answer, or None where the actor is down: the summary then says what is missing from it."""
    try:
        answer = await address.ask(question, timeout_s=timeout_s)
    except (AskTimeout, ActorDown, MailboxFull):
        return None
    return answer if isinstance(answer, kind) else None
