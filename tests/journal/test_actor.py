"""The journal as the other actors meet it: on a real disk, through crashes, restarts and damage."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TypeVar

import pytest
import trio
from attrs import evolve

from tbot_actors.domain.events import GenerationStarted
from tbot_actors.journal import (
    JournalCorrupt,
    JournalRefused,
    JournalSettings,
    Link,
    VerifyReport,
    open_record,
    prove,
    read_all,
    record,
    store,
)
from tbot_actors.journal.anchor import ANCHOR_NAME, Anchor
from tbot_actors.kernel import RestartLimitExceeded, open_system
from tbot_actors.world import CommitUnknown, Database, Disk, DiskFailure, World, real_world
from tests.domain.samples import fill, pause
from tests.journal.rooms import OWNER, on_disk
from tests.journal.tree import QUICK, Wait, journal_alone, running

T = TypeVar("T")


class Boom(Exception):
    """A crash that a test wants."""


class FailingDisk(Disk):
    """The real disk, with the failures that a test asks for."""

    def __init__(self, real: Disk, committed: bool) -> None:
        self.real = real
        self.committed = committed
        self.failures_left = 0
        self.stuck = trio.Event()
        self.stuck.set()

    async def open_database(self, path: Path) -> Database:
        return FailingDatabase(await self.real.open_database(path), self)


class FailingDatabase(Database):
    """Fails the commits of appends; whether they were written is the test's choice."""

    def __init__(self, real: Database, disk: FailingDisk) -> None:
        self.real = real
        self.disk = disk

    async def write(self, job: Callable[[sqlite3.Connection], T]) -> T:
        await self.disk.stuck.wait()
        if not (self.disk.failures_left and isinstance(job, partial) and job.func is store.write):
            return await self.real.write(job)
        self.disk.failures_left -= 1
        if self.disk.committed:
            await self.real.write(job)
        raise CommitUnknown("the disk failed in the middle of a commit")

    async def read(self, job: Callable[[sqlite3.Connection], T]) -> T:
        return await self.real.read(job)

    async def checkpoint(self) -> None:
        await self.real.checkpoint()

    async def backup(self, target: Path) -> None:
        await self.real.backup(target)

    async def aclose(self) -> None:
        await self.real.aclose()


@pytest.fixture
def world() -> World:
    return real_world(hosts=())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "bot" / "journal"


async def verified(world: World, folder: Path) -> VerifyReport:
    async with open_record(world, folder) as journal:
        return await journal.verify()


async def why_refused(folder: Path, mode: str = "paper", account: str = "main") -> BaseException:
    """What ends the journal when it is started with these."""
    with pytest.raises(RestartLimitExceeded) as caught:
        async with open_system(journal_alone(folder, mode, account), real_world(hosts=())) as system:
            with trio.fail_after(10):
                await system.wait_stopped()
    (crash,) = caught.value.history
    assert crash.error is not None
    return crash.error


async def until_anchored(world: World, folder: Path, sequence: int) -> None:
    """Wait until the file says so: nobody is told."""
    with trio.fail_after(10), closing(Anchor.open(world.files, folder)) as anchor:
        while (at := anchor.read()) is None or at.sequence < sequence:  # noqa: ASYNC110
            await trio.sleep(0.002)


# Appending and reading


async def test_events_are_durable_once_answered_and_every_room_reads_all_of_them(world: World, folder: Path) -> None:
    async with running(folder, rooms=2) as tree:
        tree.say((pause(1), pause(2)), (pause(3),), room=0)
        tree.say((fill("t1"),), room=1)
        await tree.until_durable(2, room=0)
        await tree.until_durable(1, room=1)
        assert tree.books[0].durable == [(pause(1), pause(2)), (pause(3),)]
        for room in range(2):
            await tree.until_read(5, room)
        assert tree.books[0].log == tree.books[1].log
    events = [event for _, event in await read_all(world, folder)]
    assert events == tree.books[0].log
    assert set(events[1:]) == {pause(1), pause(2), pause(3), fill("t1")}
    assert (await verified(world, folder)).ok


async def test_the_first_row_is_the_start_of_the_process_once_per_process(world: World, folder: Path) -> None:
    for token in ("p", "p", "q"):
        async with running(folder, token) as tree:
            tree.system.crash("journal", Boom())
            tree.say((pause(1, token),))
            await tree.until_durable(1)
    starts = [event for _, event in await read_all(world, folder) if isinstance(event, GenerationStarted)]
    assert [(start.generation, start.bot, start.mode, start.account) for start in starts] == [
        (1, "MMMM", "paper", "main"),
        (2, "MMMM", "paper", "main"),
    ]
    assert starts[0].stamp_ns > 10**18


async def test_a_long_journal_is_read_page_by_page_from_the_disk_and_then_live_from_memory(folder: Path) -> None:
    small = JournalSettings(anchor_period_s=0.01, tail_events=10)
    async with running(folder, settings=small) as tree:
        tree.say(*((*(pause(n) for n in range(k * 100, k * 100 + 100)),) for k in range(12)))
        await tree.until_read(1201)
    async with running(folder, "q", settings=small) as tree:
        assert len(tree.books[0].log) == 1202
        tree.say((pause(7777),))
        await tree.until_read(1203)
        assert tree.books[0].log[-1] == pause(7777)
        assert tree.books[0].log[1:1201] == [pause(n) for n in range(1200)]


async def test_a_contradiction_fails_its_own_append_only(folder: Path) -> None:
    async with running(folder, rooms=2) as tree:
        tree.say((fill("t1"),), room=0)
        await tree.until_durable(1, room=0)
        tree.say((pause(1),), (pause(2), fill("t1")), (pause(3),), room=0)
        tree.say((pause(4),), room=1)
        await tree.until_durable(3, room=0)
        await tree.until_durable(1, room=1)
        assert tree.books[0].durable[1:] == [(pause(1),), (pause(3),)]
        assert len(tree.books[0].failed) == 1 and "in row 2" in tree.books[0].failed[0]
        assert pause(2) not in tree.books[0].log


async def test_a_room_whose_mailbox_is_full_gets_every_answer_when_it_has_room(folder: Path) -> None:
    async with running(folder, rooms=2) as tree:
        wait = Wait(trio.Event())
        tree.say(*((pause(n),) for n in range(50)), room=0)
        tree.system.directory["room0"].tell(wait)
        tree.say(*((pause(n),) for n in range(50)), room=1)
        await tree.until_durable(50, room=1)
        assert len(tree.books[0].durable) < 50
        wait.until.set()
        await tree.until_durable(50, room=0)
        assert tree.books[0].durable == [(pause(n),) for n in range(50)]


# Crashes


async def test_a_crash_of_the_journal_loses_and_doubles_nothing(world: World, folder: Path) -> None:
    async with running(folder, rooms=3) as tree:
        for batch in range(10):
            for room in range(3):
                tree.say(*((pause(batch * 10 + n, f"room{room}"),) for n in range(10)), room=room)
            for _ in range(batch % 3):
                await trio.lowlevel.checkpoint()
            tree.system.crash("journal", Boom())
        for room in range(3):
            await tree.until_durable(100, room)
            await tree.until_read(301, room)
        assert tree.incarnation("journal") == 11
    events = [event for _, event in await read_all(world, folder)]
    for room in range(3):
        assert [event for event in events if getattr(event, "scope", "") == f"room{room}"] == [
            pause(n, f"room{room}") for n in range(100)
        ]
        assert tree.books[room].log == events
    assert (await verified(world, folder)).ok


@pytest.mark.parametrize("committed", [False, True])
async def test_a_commit_that_the_disk_fails_is_looked_up_after_the_restart_and_told_as_it_ended(
    world: World, folder: Path, committed: bool
) -> None:
    disk = FailingDisk(world.disk, committed)
    async with running(folder, world=evolve(world, disk=disk)) as tree:
        tree.say((pause(1),), (fill("t1"),))
        await tree.until_durable(2)
        disk.failures_left = 2
        tree.say((pause(2),), (fill("t2"),), (pause(3),))
        await tree.until_durable(5)
        await tree.until_read(6)
        assert disk.failures_left == 0 and tree.incarnation("journal") == 3
    assert [event for _, event in await read_all(world, folder)][1:] == [
        *(pause(1), fill("t1")),
        *(pause(2), fill("t2"), pause(3)),
    ]
    assert (await verified(world, folder)).ok


async def test_a_disk_that_hangs_fills_the_mailbox_and_loses_nothing(world: World, folder: Path) -> None:
    disk = FailingDisk(world.disk, committed=False)
    tight = JournalSettings(anchor_period_s=0.01, appends_waiting_max=4, appends_per_commit_max=2)
    async with running(folder, world=evolve(world, disk=disk), settings=tight) as tree:
        disk.stuck = trio.Event()
        tree.say(*((pause(n),) for n in range(100)))
        journal = tree.system.directory["journal"]
        with trio.fail_after(10):
            while journal.statistics().depth < 90:  # noqa: ASYNC110
                await trio.sleep(0.002)
        assert tree.books[0].durable == []
        disk.stuck.set()
        await tree.until_durable(100)
        await tree.until_read(101)
        assert tree.books[0].log[1:] == [pause(n) for n in range(100)]


async def test_a_room_that_restarts_reads_everything_again(folder: Path) -> None:
    async with running(folder) as tree:
        tree.say((pause(1),))
        await tree.until_read(2)
        before = list(tree.books[0].log)
        tree.system.crash("room0", Boom())
        tree.say((pause(2),))
        await tree.until_durable(2)
        await tree.until_read(3)
        assert tree.books[0].log == [*before, pause(2)]


async def test_an_orderly_stop_leaves_the_anchor_at_the_head(world: World, folder: Path) -> None:
    async with running(folder, settings=JournalSettings(anchor_period_s=1.0)) as tree:
        tree.say((pause(1),))
        await tree.until_durable(1)
    report = await verified(world, folder)
    assert report.ok and report.anchored == report.head and report.head.sequence == 2


async def test_the_anchor_follows_the_head(world: World, folder: Path) -> None:
    async with running(folder) as tree:
        tree.say((pause(1),))
        await tree.until_durable(1)
        await until_anchored(world, folder, 2)


# What is refused


async def test_another_mode_or_account_is_refused_in_words(folder: Path) -> None:
    async with running(folder):
        pass
    for mode, account in (("live", "main"), ("paper", "second")):
        error = await why_refused(folder, mode, account)
        assert isinstance(error, JournalRefused)
        assert "this journal is of bot MMMM, paper, account main" in str(error) and "\n" not in str(error)
    async with running(folder, "q"):
        pass


async def test_a_second_process_on_the_same_folder_is_refused(world: World, folder: Path) -> None:
    async with running(folder):
        error = await why_refused(folder)
        assert isinstance(error, JournalRefused) and "another process" in str(error)
        with pytest.raises(JournalRefused, match="stop it first"):
            await verified(world, folder)
    assert (await verified(world, folder)).ok


async def test_a_folder_that_cannot_be_made_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    error = await why_refused(tmp_path / "file" / "journal")
    assert isinstance(error, DiskFailure) and "file/journal" in str(error) and "\n" not in str(error)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
async def test_a_folder_that_may_not_be_written_is_one_clear_line(tmp_path: Path) -> None:
    os.chmod(tmp_path, 0o500)
    error = await why_refused(tmp_path)
    os.chmod(tmp_path, 0o700)
    assert isinstance(error, DiskFailure) and "change the owner or mode" in str(error) and "\n" not in str(error)


async def test_reading_where_no_journal_is_makes_none(world: World, folder: Path) -> None:
    with pytest.raises(JournalRefused, match="there is no journal"):
        await verified(world, folder)
    assert not world.files.exists(folder)


# Without the actor


async def test_a_journal_is_proven_before_a_bot_starts_and_the_start_counts_once(world: World, folder: Path) -> None:
    await prove(world, folder, OWNER, "p", QUICK)
    async with running(folder, "p") as tree:
        assert len(tree.books[0].log) == 1
    with pytest.raises(JournalRefused, match="live"):
        await prove(world, folder, evolve(OWNER, mode="live"), "p", QUICK)


async def test_an_event_is_recorded_once_while_no_bot_runs(world: World, folder: Path) -> None:
    for _ in range(2):
        await record(world, folder, OWNER, "person-1", pause(1), QUICK)
    with pytest.raises(JournalRefused, match="used before"):
        await record(world, folder, OWNER, "person-1", pause(2), QUICK)
    async with running(folder, "p") as tree:
        assert tree.books[0].log[1] == pause(1) and len(tree.books[0].log) == 3
        with pytest.raises(JournalRefused, match="another process"):
            await record(world, folder, OWNER, "person-2", pause(3), QUICK)
    assert (await verified(world, folder)).ok


# Damage


async def ten_rows(folder: Path) -> None:
    async with running(folder) as tree:
        tree.say(*((pause(n),) for n in range(2, 11)))
        await tree.until_durable(9)


async def test_a_changed_row_is_named_and_bars_the_start(world: World, folder: Path) -> None:
    await ten_rows(folder)
    with on_disk(folder) as database:
        database.execute(
            "UPDATE events SET payload = CAST(replace(payload, 'account', 'accounT') AS BLOB) WHERE sequence = 6"
        )
    error = await why_refused(folder)
    assert isinstance(error, JournalCorrupt) and "row 6" in str(error) and "tbot journal verify" in str(error)
    assert [fault.row for fault in (await verified(world, folder)).faults] == [6]


async def test_rows_missing_before_the_anchor_bar_the_start(world: World, folder: Path) -> None:
    await ten_rows(folder)
    with on_disk(folder) as database:
        for table in ("events WHERE sequence", "appends WHERE last"):
            database.execute(f"DELETE FROM {table} > 7")
    error = await why_refused(folder)
    assert isinstance(error, JournalCorrupt) and "rows 8 to 10 are missing at the end" in str(error)


async def test_a_torn_log_bars_the_start(world: World, folder: Path, tmp_path: Path) -> None:
    """SQLite opens it without a word, as if the last commits had never been."""
    torn = tmp_path / "torn"
    async with running(folder) as tree:
        tree.say(*((pause(n),) for n in range(2, 11)))
        await tree.until_durable(9)
        tree.say((pause(11),))
        await tree.until_durable(10)
        await until_anchored(world, folder, 11)
        shutil.copytree(folder, torn)
    log = torn / f"{store.DATABASE_NAME}-wal"
    os.truncate(log, log.stat().st_size - 100)
    error = await why_refused(torn)
    assert isinstance(error, JournalCorrupt) and "missing at the end: the anchor has seen row 11" in str(error)


async def test_rows_after_the_anchor_are_fine(world: World, folder: Path) -> None:
    await ten_rows(folder)
    anchor = Anchor.open(world.files, folder)
    anchor.write(Link(1, await hash_of(world, folder, 1)))
    anchor.close()
    async with running(folder, "q") as tree:
        assert len(tree.books[0].log) == 11


async def hash_of(world: World, folder: Path, sequence: int) -> bytes:
    with on_disk(folder) as database:
        (found,) = database.execute("SELECT hash FROM events WHERE sequence = ?", (sequence,)).fetchone()
    assert isinstance(found, bytes)
    return found


async def test_a_missing_or_unreadable_anchor_bars_the_start(world: World, folder: Path) -> None:
    await ten_rows(folder)
    anchor = folder / ANCHOR_NAME
    kept = anchor.read_bytes()
    anchor.unlink()
    error = await why_refused(folder)
    assert isinstance(error, JournalCorrupt) and f"{anchor} is missing" in str(error)
    anchor.write_bytes(b"x" * len(kept))
    error = await why_refused(folder)
    assert isinstance(error, JournalCorrupt) and f"{anchor} is unreadable" in str(error)
    anchor.write_bytes(kept)
    async with running(folder, "q"):
        pass


async def test_a_database_of_something_else_is_refused(world: World, folder: Path) -> None:
    await ten_rows(folder)
    with on_disk(folder) as database:
        database.execute("PRAGMA application_id = 7")
    error = await why_refused(folder)
    assert isinstance(error, JournalRefused) and "something else" in str(error)


async def test_a_file_that_is_no_database_is_refused(folder: Path) -> None:
    await ten_rows(folder)
    (folder / store.DATABASE_NAME).write_bytes(b"no database at all" * 1000)
    error = await why_refused(folder)
    assert isinstance(error, DiskFailure) and store.DATABASE_NAME in str(error)


async def test_a_backup_is_a_journal_of_its_own(world: World, folder: Path, tmp_path: Path) -> None:
    await ten_rows(folder)
    copy = tmp_path / "copy"
    copy.mkdir()
    async with open_record(world, folder) as journal:
        await journal.backup(copy / store.DATABASE_NAME)
    shutil.copy(folder / ANCHOR_NAME, copy)
    assert (await verified(world, copy)).rows == 10
    assert QUICK.rows_verified_at_start > 10
