"""Opening the journal for writing: nothing is built on a file that is not this bot's, whole and unchanged."""

import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from functools import partial
from pathlib import Path

import trio
from attrs import define

from tbot_actors.domain.events import Event
from tbot_actors.journal import store
from tbot_actors.journal.anchor import ANCHOR_NAME, Anchor
from tbot_actors.journal.chain import Link
from tbot_actors.journal.errors import JournalCorrupt, JournalRefused
from tbot_actors.journal.settings import JournalSettings
from tbot_actors.journal.verify import VerifyReport, verify
from tbot_actors.world import Database, World

LOCK_NAME = "journal.lock"


@define
class OpenJournal:
    """The journal's files, held."""

    database: Database
    anchor: Anchor
    head: Link
    """The newest durable row."""
    anchored: Link | None
    generation: int
    """Of this process."""
    newest: tuple[Event, ...]
    """The last events, up to `head`."""


async def prove(world: World, folder: Path, owner: store.Owner, process_token: str, settings: JournalSettings) -> None:
    """Open and close: whether a bot could start on this journal. It counts the process start of `process_token`.

    Raises JournalRefused, JournalCorrupt, DiskFailure: each a line that says what to do.
    """
    async with open_journal(world, folder, owner, generation_id(process_token), settings):
        pass


async def record(
    world: World, folder: Path, owner: store.Owner, process_token: str, event: Event, settings: JournalSettings
) -> None:
    """Append one event while no bot runs, once per `process_token`: a process start too. Raises as `prove`."""
    async with open_journal(world, folder, owner, generation_id(process_token), settings) as journal:
        append = store.prepared(f"record/{process_token}", None, (event,))
        written = await journal.database.write(partial(store.write, appends=(append,)))
        (result,) = written.results
        if isinstance(result, store.Contradicts):
            raise JournalRefused(f"the journal in {folder} refuses the event: {result.why}")
        journal.anchor.write(written.head)


def generation_id(process_token: str) -> str:
    """The append that counts a process start, the same however often it is tried."""
    return f"generation/{process_token}"


@asynccontextmanager
async def open_journal(
    world: World, folder: Path, owner: store.Owner, append_id: str, settings: JournalSettings
) -> AsyncIterator[OpenJournal]:
    """Open, verify, count this process start once per `append_id`; closed at the end, however it comes.

    Raises JournalRefused, JournalCorrupt, DiskFailure: each a line that says what to do.
    """
    world.files.make_folder(folder)
    refuse_without_anchor(world, folder)
    lock = world.files.lock(folder / LOCK_NAME)
    if lock is None:
        raise JournalRefused(f"another process writes the journal in {folder}: stop it, or name another journal folder")
    try:
        # The anchor first: a database that has rows always has one.
        with closing(Anchor.open(world.files, folder)) as anchor:
            database = await world.disk.open_database(folder / store.DATABASE_NAME)
            try:
                start = partial(
                    store.start_generation, append_id=append_id, owner=owner, stamp_ns=world.clock.wall_ns()
                )
                yield await _proven(database, anchor, start, settings)
            finally:
                with trio.CancelScope(shield=True):
                    await database.aclose()
    finally:
        lock.release()


def refuse_without_anchor(world: World, folder: Path) -> None:
    """Raise JournalCorrupt where there is a database without its witness."""
    if world.files.exists(folder / store.DATABASE_NAME) and not world.files.exists(folder / ANCHOR_NAME):
        raise JournalCorrupt(
            f"{folder / ANCHOR_NAME} is missing, so rows missing at the journal's end would go unseen: put it back "
            "beside its database, or start with another journal folder"
        )


async def _proven(
    database: Database, anchor: Anchor, start: Callable[[sqlite3.Connection], int], settings: JournalSettings
) -> OpenJournal:
    anchored = anchor.read()
    await database.write(store.create)
    after = max(0, (anchored.sequence if anchored else 0) - settings.rows_verified_at_start)
    report = await database.read(partial(verify, anchored=anchored, after=after))
    refuse_faulty(report)
    generation = await database.write(start)
    head = await database.read(store.head)
    tail_start = max(0, head.sequence - settings.tail_events)
    newest = await database.read(partial(store.read, after=tail_start, last=head.sequence, limit=settings.tail_events))
    return OpenJournal(database, anchor, head, anchored, generation, newest)


def refuse_faulty(report: VerifyReport) -> None:
    """Raise JournalCorrupt, with the first fault, where the journal cannot be built on."""
    if not report.ok:
        more = f" (and {len(report.faults) - 1} more)" if len(report.faults) > 1 else ""
        raise JournalCorrupt(
            f"the journal was changed or lost rows: {report.faults[0]}{more}: run `tbot journal verify`, check orders "
            "and positions at the venue, then start with a backup or another journal folder"
        )
