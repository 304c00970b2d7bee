"""Reading a journal whose bot is not running: for the command line and for tests. Nothing here adds a row.

async with open_record(world, folder) as record:
    report = await record.verify()
    newest = await record.page(report.head.sequence - 10, report.head.sequence)
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from functools import partial
from pathlib import Path

import trio
from attrs import frozen

from tbot_actors.domain.events import Event
from tbot_actors.journal import store
from tbot_actors.journal.anchor import Anchor
from tbot_actors.journal.chain import Link
from tbot_actors.journal.errors import JournalRefused
from tbot_actors.journal.opening import LOCK_NAME, refuse_without_anchor
from tbot_actors.journal.verify import VerifyReport, verify
from tbot_actors.world import Database, World


@frozen
class Record:
    """A journal open for reading."""

    _database: Database
    _anchor: Anchor

    async def head(self) -> Link:
        """The newest row."""
        return await self._database.read(store.head)

    async def page(self, after: int, last: int) -> tuple[Event, ...]:
        """At most 500 events above `after` and up to `last`, in order. Raises JournalCorrupt."""
        return await self._database.read(partial(store.read, after=after, last=last))

    async def verify(self) -> VerifyReport:
        """Look at every row, the side tables and the anchor. Takes about 10 seconds per million rows."""
        return await self._database.read(partial(verify, anchored=self._anchor.read()))

    async def backup(self, target: Path) -> None:
        """A consistent copy of the database in one file. Raises DiskFailure."""
        await self._database.backup(target)


@asynccontextmanager
async def open_record(world: World, folder: Path) -> AsyncIterator[Record]:
    """The journal in `folder`. Raises JournalRefused where none is or a bot writes it, DiskFailure."""
    if not world.files.exists(folder / store.DATABASE_NAME):
        raise JournalRefused(f"there is no journal in {folder}: name the folder of a bot that has run")
    refuse_without_anchor(world, folder)
    # Two connections that may write or checkpoint at once can corrupt the file before SQLite 3.51.3.
    lock = world.files.lock(folder / LOCK_NAME)
    if lock is None:
        raise JournalRefused(f"a bot writes the journal in {folder} now: stop it first")
    try:
        with closing(Anchor.open(world.files, folder)) as anchor:
            database = await world.disk.open_database(folder / store.DATABASE_NAME)
            try:
                yield Record(database, anchor)
            finally:
                with trio.CancelScope(shield=True):
                    await database.aclose()
    finally:
        lock.release()


async def read_all(world: World, folder: Path, after: int = 0) -> list[tuple[int, Event]]:
    """Every event above `after` with its sequence, in memory: for journals of days, not of years."""
    async with open_record(world, folder) as record:
        found: list[tuple[int, Event]] = []
        last = (await record.head()).sequence
        while after < last:
            found += enumerate(await record.page(after, last), after + 1)
            after = found[-1][0]
        return found
