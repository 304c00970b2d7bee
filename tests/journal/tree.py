"""A tree with a journal on a real disk, and rooms that append to it and read it as every room of the bot does."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import trio
from attrs import frozen

from tbot_actors.domain.events import Event
from tbot_actors.domain.messages import Appended, AppendFailed, EventsRead, JournalAdvanced
from tbot_actors.journal import Journal, JournalReader, JournalSettings, JournalWriter
from tbot_actors.kernel import (
    REJECT,
    Actor,
    Backoff,
    Branch,
    Child,
    Down,
    RestartLimit,
    Strategy,
    System,
    conflate,
    handles,
    open_system,
)
from tbot_actors.world import World, real_world

QUICK = JournalSettings(anchor_period_s=0.01, undelivered_retry_s=0.001)


@frozen
class Say:
    """Append these events, each append on its own."""

    appends: tuple[tuple[Event, ...], ...]


@frozen
class Wait:
    """Handle nothing until the event is set."""

    until: trio.Event


@frozen
class Book:
    """What the tests look at; lives longer than the incarnations that write into it."""

    log: list[Event]
    durable: list[tuple[Event, ...]]
    failed: list[str]
    answers: list[Appended]
    changed: list[trio.Event]

    def touch(self) -> None:
        """Wake `until`."""
        self.changed.pop().set()
        self.changed.append(trio.Event())


def book() -> Book:
    """An empty one."""
    return Book([], [], [], [], [trio.Event()])


class Room(Actor):
    """Appends what it is told to say, and keeps a log of the whole journal."""

    def __init__(self, book: Book) -> None:
        self._book = book

    async def started(self) -> None:
        journal = self.context.directory["journal"]
        self.context.watch(journal)
        self._book.log.clear()
        self._reader = JournalReader(journal, self.context.address)
        self._writer = JournalWriter(journal, self.context.address, self.context.world.clock)
        self._reader.start()

    @handles(Say)
    async def on_say(self, message: Say) -> None:
        for events in message.appends:
            self._writer.append(*events)

    @handles(Wait)
    async def on_wait(self, message: Wait) -> None:
        await message.until.wait()

    @handles(EventsRead, REJECT, room=8)
    async def on_events_read(self, message: EventsRead) -> None:
        for sequence, event in self._reader.take(message):
            self._book.log.append(event)
            assert sequence == len(self._book.log)
        if self._reader.caught_up:
            self.context.ready()
        self._book.touch()

    @handles(JournalAdvanced, conflate(lambda _: None))
    async def on_advanced(self, message: JournalAdvanced) -> None:
        self._reader.advanced(message)

    @handles(Appended, REJECT, room=2)
    async def on_appended(self, message: Appended) -> None:
        self._book.answers.append(message)
        events = self._writer.appended(message)
        if events is not None:
            self._book.durable.append(events)
        self._book.touch()

    @handles(AppendFailed)
    async def on_append_failed(self, message: AppendFailed) -> None:
        assert self._writer.failed(message) is not None
        self._book.failed.append(message.why)
        self._book.touch()

    @handles(Down)
    async def on_down(self, _: Down) -> None:
        self._reader.journal_down()
        self._writer.journal_down()


@frozen
class Tree:
    """What `running` gives."""

    system: System
    books: Sequence[Book]

    def say(self, *appends: tuple[Event, ...], room: int = 0) -> None:
        """Let a room append."""
        self.system.directory[f"room{room}"].tell(Say(appends))

    def incarnation(self, path: str) -> int:
        """How often it was started."""
        return next(node.incarnation for node in self.system.snapshot().root.children if node.path == path)

    async def until_durable(self, count: int, room: int = 0) -> None:
        """Wait until so many appends of a room are answered."""
        with trio.fail_after(10):
            while len(self.books[room].durable) < count:
                await self.books[room].changed[0].wait()

    async def until_read(self, count: int, room: int = 0) -> None:
        """Wait until a room has read so many events."""
        with trio.fail_after(10):
            while len(self.books[room].log) < count:
                await self.books[room].changed[0].wait()


def journal_alone(
    folder: Path, mode: str = "paper", account: str = "main", *, settings: JournalSettings = QUICK
) -> Branch:
    """A tree of a journal that may not restart."""
    start = partial(Journal, folder, bot="MMMM", mode=mode, account=account, process_token="p", settings=settings)
    return Branch("root", Strategy.ONE_FOR_ONE, (Child("journal", Journal, start),), limit=RestartLimit(0, 60))


@asynccontextmanager
async def running(
    folder: Path, token: str = "p", *, rooms: int = 1, settings: JournalSettings = QUICK, world: World | None = None
) -> AsyncIterator[Tree]:
    """A tree of a journal and its rooms, all of them ready; stopped in order at the end."""
    start = partial(Journal, folder, bot="MMMM", mode="paper", account="main", process_token=token, settings=settings)
    books = [book() for _ in range(rooms)]
    journal = Child("journal", Journal, start)
    others = [Child(f"room{n}", Room, partial(Room, kept)) for n, kept in enumerate(books)]
    root = Branch(
        "root",
        Strategy.ONE_FOR_ONE,
        (journal, *others),
        limit=RestartLimit(20, 60),
        backoff=Backoff(first_s=0.001, cap_s=0.002),
    )
    async with open_system(root, world or real_world(hosts=())) as system:
        await system.wait_ready(timeout_s=10)
        yield Tree(system, books)
        await system.stop()
