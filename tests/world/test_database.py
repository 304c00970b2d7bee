"""SQLite on its writer thread, on the real disk."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import trio

from tbot_actors.world import Database, DatabaseCorrupt, DiskFailure, DiskFull, SystemDisk

DISK = SystemDisk()
# A folder in which nobody, not even root, can make a file.
UNWRITABLE = Path("/proc/self/fdinfo")


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    opened = await DISK.open_database(tmp_path / "journal.db")
    await opened.write(lambda c: c.execute("CREATE TABLE event (id INTEGER PRIMARY KEY, body TEXT)"))
    yield opened
    await opened.aclose()


def insert(body: str) -> Callable[[sqlite3.Connection], int]:
    def job(connection: sqlite3.Connection) -> int:
        cursor = connection.execute("INSERT INTO event (body) VALUES (?)", (body,))
        assert cursor.lastrowid is not None
        return cursor.lastrowid

    return job


def bodies(connection: sqlite3.Connection) -> list[str]:
    return [body for (body,) in connection.execute("SELECT body FROM event ORDER BY id")]


async def test_a_write_is_there_for_readers_and_for_the_next_open(database: Database, tmp_path: Path) -> None:
    assert await database.write(insert("one")) == 1
    assert await database.read(bodies) == ["one"]
    await database.aclose()
    assert os.listdir(tmp_path) == ["journal.db"]  # checkpointed: no log is left beside it
    again = await DISK.open_database(tmp_path / "journal.db")
    assert await again.read(bodies) == ["one"]
    await again.aclose()


async def test_the_settings_that_durability_needs_are_on(database: Database) -> None:
    def settings(connection: sqlite3.Connection) -> list[object]:
        names = ["journal_mode", "synchronous", "wal_autocheckpoint", "mmap_size"]
        return [(connection.execute(f"PRAGMA {name}").fetchone() or (0,))[0] for name in names]

    assert await database.write(settings) == ["wal", 2, 0, 0]


async def test_writes_of_many_tasks_run_one_at_a_time_in_the_order_of_the_calls(database: Database) -> None:
    order: list[int] = []

    async def producer(number: int) -> None:
        order.append(await database.write(insert(str(number))))

    async with trio.open_nursery() as nursery:
        for number in range(1000):
            nursery.start_soon(producer, number)
    assert sorted(order) == list(range(1, 1001))
    assert len(await database.read(bodies)) == 1000


async def test_writes_that_wait_together_share_commits(database: Database, tmp_path: Path) -> None:
    commits: set[int] = set()

    def job(connection: sqlite3.Connection) -> None:
        insert("x")(connection)
        # Grows with each commit, not with each statement: the log is written when a transaction ends.
        commits.add((tmp_path / "journal.db-wal").stat().st_size)

    async with trio.open_nursery() as nursery:
        for _ in range(500):
            nursery.start_soon(database.write, job)
    assert len(commits) < 100


async def test_an_error_rolls_back_its_own_job_only_and_is_raised_to_its_own_caller(database: Database) -> None:
    outcomes: list[str] = []

    async def good(number: int) -> None:
        await database.write(insert(f"good {number}"))
        outcomes.append("good")

    def half(connection: sqlite3.Connection) -> None:
        insert("bad")(connection)
        raise ZeroDivisionError

    async def bad() -> None:
        with pytest.raises(ZeroDivisionError):
            await database.write(half)
        with pytest.raises(sqlite3.IntegrityError):
            await database.write(lambda c: c.execute("INSERT INTO event VALUES (1, 'a'), (1, 'b')"))
        outcomes.append("bad")

    await good(0)
    async with trio.open_nursery() as nursery:
        for number in range(1, 50):
            nursery.start_soon(good, number)
            nursery.start_soon(bad)
    assert (outcomes.count("good"), outcomes.count("bad")) == (50, 49)
    assert sorted(await database.read(bodies)) == sorted(f"good {number}" for number in range(50))


@pytest.mark.parametrize(
    "end",
    [
        lambda c: c.commit(),
        lambda c: c.rollback(),
        lambda c: c.execute("COMMIT"),
        lambda c: c.executescript("SELECT 1"),
    ],
)
async def test_a_job_cannot_end_the_transaction_it_shares(
    database: Database, end: Callable[[sqlite3.Connection], object]
) -> None:
    def job(connection: sqlite3.Connection) -> None:
        insert("half")(connection)
        end(connection)

    async with trio.open_nursery() as nursery:

        async def bad() -> None:
            with pytest.raises(sqlite3.DatabaseError, match="not authorized"):
                await database.write(job)

        nursery.start_soon(database.write, insert("before"))
        nursery.start_soon(bad)
        nursery.start_soon(database.write, insert("after"))
    assert sorted(await database.read(bodies)) == ["after", "before"]


async def test_a_job_may_use_savepoints(database: Database) -> None:
    def job(connection: sqlite3.Connection) -> None:
        connection.execute("SAVEPOINT inner")
        insert("undone")(connection)
        connection.execute("ROLLBACK TO inner")
        connection.execute("RELEASE inner")
        insert("kept")(connection)

    await database.write(job)
    assert await database.read(bodies) == ["kept"]


async def test_a_full_disk_is_told_and_leaves_what_was_committed(database: Database) -> None:
    await database.write(insert("safe"))
    (pages,) = await database.read(lambda c: c.execute("PRAGMA page_count").fetchone())

    def too_much(connection: sqlite3.Connection) -> None:
        connection.execute(f"PRAGMA max_page_count={pages + 1}")
        insert("x" * 100_000)(connection)

    with pytest.raises(DiskFull, match="ballast"):
        await database.write(too_much)
    assert await database.read(bodies) == ["safe"]
    await database.write(lambda c: c.execute("PRAGMA max_page_count=1000000"))
    await database.write(insert("after"))
    assert await database.read(bodies) == ["safe", "after"]


async def test_a_cancelled_writer_still_learns_the_outcome(database: Database) -> None:
    started = trio.Event()
    token = trio.lowlevel.current_trio_token()

    def job(connection: sqlite3.Connection) -> int:
        token.run_sync_soon(scope.cancel)
        token.run_sync_soon(started.set)
        return insert("once")(connection)

    row = None
    with trio.CancelScope() as scope:
        row = await database.write(job)
    assert started.is_set()
    assert row == 1
    assert await database.read(bodies) == ["once"]


async def test_a_reader_cannot_write_and_sees_one_snapshot(database: Database) -> None:
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        await database.read(insert("x"))
    await database.write(insert("one"))
    token = trio.lowlevel.current_trio_token()

    def look_twice(connection: sqlite3.Connection) -> list[list[str]]:
        first = bodies(connection)
        trio.from_thread.run(database.write, insert("two"), trio_token=token)
        return [first, bodies(connection)]

    assert await database.read(look_twice) == [["one"], ["one"]]
    assert await database.read(bodies) == ["one", "two"]


async def test_a_checkpoint_empties_the_log_and_does_not_wait_for_readers(database: Database, tmp_path: Path) -> None:
    await database.write(insert("x" * 10_000))
    assert (tmp_path / "journal.db-wal").stat().st_size > 10_000
    await database.checkpoint()
    assert (tmp_path / "journal.db-wal").stat().st_size == 0

    token = trio.lowlevel.current_trio_token()

    def read_during(connection: sqlite3.Connection) -> None:
        bodies(connection)
        trio.from_thread.run(database.write, insert("y"), trio_token=token)
        trio.from_thread.run(database.checkpoint, trio_token=token)

    with trio.fail_after(3):
        await database.read(read_during)


async def test_a_backup_is_one_whole_file_and_writes_go_on_meanwhile(database: Database, tmp_path: Path) -> None:
    (tmp_path / "copies").mkdir()
    copy = tmp_path / "copies" / "journal.db"
    async with trio.open_nursery() as nursery:
        for number in range(200):
            nursery.start_soon(database.write, insert(str(number)))
        nursery.start_soon(database.backup, copy)
    await database.backup(copy)
    assert os.listdir(tmp_path / "copies") == ["journal.db"]
    again = await DISK.open_database(copy)
    assert len(await again.read(bodies)) == 200
    await again.aclose()
    with pytest.raises(DiskFailure):
        await database.backup(tmp_path / "no such folder" / "copy.db")


async def test_a_closed_database_says_so_and_closing_twice_is_fine(database: Database) -> None:
    await database.aclose()
    await database.aclose()
    with pytest.raises(trio.ClosedResourceError):
        await database.write(insert("late"))
    with pytest.raises(trio.ClosedResourceError):
        await database.read(bodies)


async def test_what_was_queued_before_closing_is_written(tmp_path: Path) -> None:
    database = await DISK.open_database(tmp_path / "j.db")
    await database.write(lambda c: c.execute("CREATE TABLE event (id INTEGER PRIMARY KEY, body TEXT)"))
    async with trio.open_nursery() as nursery:
        for number in range(50):
            nursery.start_soon(database.write, insert(str(number)))
        await trio.testing.wait_all_tasks_blocked()
        await database.aclose()
    again = await DISK.open_database(tmp_path / "j.db")
    assert len(await again.read(bodies)) == 50
    await again.aclose()


async def test_places_where_no_database_can_be_are_refused_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_bytes(b"this is no database, it is a text file\n" * 100)
    (tmp_path / "folder.db").mkdir()
    with pytest.raises(DiskFailure, match="create it"):
        await DISK.open_database(tmp_path / "missing" / "j.db")
    with pytest.raises(DiskFailure, match="folder"):
        await DISK.open_database(tmp_path / "text.db" / "j.db")
    with pytest.raises(DatabaseCorrupt, match="restore a backup"):
        await DISK.open_database(tmp_path / "text.db")
    with pytest.raises(DiskFailure, match="right to write"):
        await DISK.open_database(tmp_path / "folder.db")


@pytest.mark.skipif(not UNWRITABLE.is_dir(), reason="no /proc here")
async def test_an_unwritable_folder_is_refused_with_what_to_do() -> None:
    with pytest.raises(DiskFailure, match=r"right to write in /proc/self/fdinfo.*settings"):
        await DISK.open_database(UNWRITABLE / "j.db")


async def test_a_database_that_another_program_is_writing_to_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tbot_actors.world.sqlite_writer.BUSY_S", 0.05)
    await (await DISK.open_database(tmp_path / "j.db")).aclose()
    other = sqlite3.connect(tmp_path / "j.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(DiskFailure, match="another program"):
        await DISK.open_database(tmp_path / "j.db")
    other.close()


FAILING_COMMIT = """
import resource, sys, trio
from pathlib import Path
from tbot_actors.world import CommitUnknown, SystemDisk

async def main():
    path = Path(sys.argv[1])
    database = await SystemDisk().open_database(path)
    await database.write(lambda c: c.execute("CREATE TABLE event (id INTEGER PRIMARY KEY, body TEXT)"))
    # No file may grow beyond this: the disk refuses in the middle of a commit.
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
    for body in ("x" * 300_000, "short"):
        try:
            await database.write(lambda c: c.execute("INSERT INTO event (body) VALUES (?)", (body,)))
        except CommitUnknown as error:
            print(error)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    await database.aclose()
    again = await SystemDisk().open_database(path)
    await again.write(lambda c: c.execute("INSERT INTO event (body) VALUES ('after')"))
    print(await again.read(lambda c: c.execute("SELECT body FROM event").fetchall()))
    await again.aclose()

trio.run(main)
"""


@pytest.mark.processes
def test_a_disk_that_fails_in_a_commit_takes_no_more_writes_until_opened_again(tmp_path: Path) -> None:
    argv = [sys.executable, "-c", FAILING_COMMIT, str(tmp_path / "journal.db")]
    told = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines()
    assert "was committing" in told[0]
    assert "failed in a commit before" in told[1]
    assert told[2:] == ["[('after',)]"]


CHILD = """
import sys, trio
from pathlib import Path
from tbot_actors.world import SystemDisk

async def main():
    database = await SystemDisk().open_database(Path(sys.argv[1]))
    await database.write(lambda c: c.execute("CREATE TABLE IF NOT EXISTS event (id INTEGER PRIMARY KEY, body TEXT)"))
    async def producer(number):
        for count in range(1_000_000):
            body = f"{number}/{count}"
            await database.write(lambda c: c.execute("INSERT INTO event (body) VALUES (?)", (body,)))
            print(body, flush=True)
    async with trio.open_nursery() as nursery:
        for number in range(20):
            nursery.start_soon(producer, number)

trio.run(main)
"""


@pytest.mark.processes
@pytest.mark.parametrize("after", [1, 300, 700])
async def test_every_acknowledged_write_survives_kill_9(tmp_path: Path, after: int) -> None:
    path = tmp_path / "journal.db"
    acknowledged: set[str] = set()
    argv = [sys.executable, "-c", CHILD, str(path)]
    child = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)  # noqa: ASYNC220 (nothing else runs here)
    with child:
        assert child.stdout is not None
        for line in child.stdout:
            # The last line may be cut.
            if line.endswith("\n"):
                acknowledged.add(line.strip())
            if len(acknowledged) == after:
                child.kill()
    assert len(acknowledged) >= after
    database = await DISK.open_database(path)
    assert await database.read(lambda c: c.execute("PRAGMA integrity_check").fetchone()) == ("ok",)
    assert acknowledged <= set(await database.read(bodies))
    await database.aclose()
