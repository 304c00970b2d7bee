"""SQLite as a door: one writer connection on a thread of its own, group commit, read-only readers.

- WAL with synchronous=FULL. NORMAL loses acknowledged rows when the power goes (reference/simulation.md §5.4).
- One writer, and it alone checkpoints (wal_autocheckpoint=0, readers mode=ro): two connections that write or checkpoint
  at once can corrupt a database before SQLite 3.51.3 (reference/operations.md §0.2). For the same reason no mmap_size.
- Writes that wait together share one commit: 7 to 24 times the throughput from ten producers up (§1.3 there).
"""

import os
import queue
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import trio

from tbot_actors.world.disk import Database, Disk, DiskFailure, sync_folder
from tbot_actors.world.sqlite_writer import (
    Task,
    Writer,
    checkpoint_whole,
    connect,
    failure_of,
    primary_code,
    reaction_to,
)

__all__ = ["SqliteDatabase", "SystemDisk"]

T = TypeVar("T")

QUEUE_MAX: Final = 4096
GROUP_MAX: Final = 512
READERS_MAX: Final = 4


class SqliteDatabase(Database):
    """See `Database`. Opened by `open`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._tasks: queue.SimpleQueue[Task | None] = queue.SimpleQueue()
        # At most one: what ended a group, and is next. The writer thread's own.
        self._held_back: list[Task | None] = []
        self._room = trio.Semaphore(QUEUE_MAX)
        self._token = trio.lowlevel.current_trio_token()
        # A daemon: should the trio run die without aclose, the thread must not keep the process from ending.
        self._thread = threading.Thread(target=self._write_until_closed, name=f"writer of {path.name}", daemon=True)
        self._readers = trio.CapacityLimiter(READERS_MAX)
        self._idle_readers: list[sqlite3.Connection] = []
        self._closing = False
        self._closed = trio.Event()

    @classmethod
    async def open(cls, path: Path) -> "SqliteDatabase":
        """Opens or creates the file and starts its writer. See `Disk.open_database`."""
        database = cls(path)
        opened = Task(lambda _: None, alone=True)
        database._tasks.put(opened)
        database._thread.start()
        with trio.CancelScope(shield=True):
            await opened.done.wait()
            if opened.error is not None:
                await trio.to_thread.run_sync(database._thread.join)
        opened.result()
        return database

    async def write(self, job: Callable[[sqlite3.Connection], T]) -> T:
        """See `Database.write`."""
        async with self._room:
            value: T = await self._submit(Task(job))
            return value

    async def checkpoint(self) -> None:
        """See `Database.checkpoint`."""
        await self._submit(Task(checkpoint_whole, alone=True))

    async def _submit(self, task: Task) -> Any:
        if self._closing:
            raise trio.ClosedResourceError(f"{self._path} is closed")
        self._tasks.put(task)
        with trio.CancelScope(shield=True):
            await task.done.wait()
        return task.result()

    async def read(self, job: Callable[[sqlite3.Connection], T]) -> T:
        """See `Database.read`."""
        if self._closing:
            raise trio.ClosedResourceError(f"{self._path} is closed")
        return await trio.to_thread.run_sync(self._read, job, limiter=self._readers)

    def _read(self, job: Callable[[sqlite3.Connection], T]) -> T:
        try:
            reader = self._idle_readers.pop()
        except IndexError:
            reader = connect(self._path, "ro")
        try:
            reader.execute("BEGIN")
            return job(reader)
        except sqlite3.Error as error:
            # Writing on it is the job's mistake, and no fault of the disk.
            if (reaction := reaction_to(error, self._path)) is error or primary_code(error) == sqlite3.SQLITE_READONLY:
                raise
            raise reaction from error
        finally:
            if reader.in_transaction:
                reader.rollback()
            self._idle_readers.append(reader)

    async def backup(self, target: Path) -> None:
        """See `Database.backup`."""
        await self.read(lambda reader: _copy(reader, target))

    async def aclose(self) -> None:
        """See `Database.aclose`."""
        with trio.CancelScope(shield=True):
            if self._closing:
                await self._closed.wait()
                return
            self._closing = True
            # With every place taken no read is running, so that the writer is the last to close and empties the log.
            holders = [object() for _ in range(READERS_MAX)]
            for holder in holders:
                await self._readers.acquire_on_behalf_of(holder)
            for reader in self._idle_readers:
                reader.close()
            for holder in holders:
                self._readers.release_on_behalf_of(holder)
            self._tasks.put(None)
            await trio.to_thread.run_sync(self._thread.join)
            self._closed.set()

    # On the writer thread.

    def _write_until_closed(self) -> None:
        opening = self._tasks.get()
        assert opening is not None
        try:
            writer = Writer(self._path)
        except DiskFailure as error:
            opening.error = error
            self._settle([opening])
            return
        self._settle([opening])
        while (group := self._next_group()) is not None:
            try:
                writer.run(group)
            except BaseException as error:  # noqa: ASYNC103, BLE001 (a mistake in here is raised where somebody waits)
                for task in group:
                    task.error = task.error or error
            self._settle(group)
            writer.keep_log_short()
        writer.close()

    def _next_group(self) -> list[Task] | None:
        """The next task that runs alone, or the next writes that share a commit; None once closed."""
        group: list[Task] = []
        while len(group) < GROUP_MAX:
            if self._held_back:
                task = self._held_back.pop()
            else:
                try:
                    task = self._tasks.get(block=not group)
                except queue.Empty:
                    return group
            if group and (task is None or task.alone):
                self._held_back.append(task)
                return group
            if task is None:
                return None
            group.append(task)
            if task.alone:
                return group
        return group

    def _settle(self, group: list[Task]) -> None:
        def settle() -> None:
            for task in group:
                task.done.set()

        try:
            self._token.run_sync_soon(settle)
        except trio.RunFinishedError:
            # Nobody is left to be told; what was committed stays committed.
            return


class SystemDisk(Disk):
    """The machine's disk."""

    async def open_database(self, path: Path) -> Database:
        """See `Disk.open_database`."""
        return await SqliteDatabase.open(path)


def _copy(reader: sqlite3.Connection, target: Path) -> None:
    partial = target.with_name(f".{target.name}.partial")
    try:
        partial.unlink(missing_ok=True)
        copy = connect(partial, "rwc")
        try:
            # All pages in one step: in steps, each write starts the copy over (reference/operations.md §0.5).
            reader.backup(copy, pages=-1)
            # The copy came in WAL mode; as one file it can be moved and opened anywhere.
            copy.execute("PRAGMA journal_mode=DELETE")
        finally:
            copy.close()
        os.replace(partial, target)
        sync_folder(target.parent)
    except sqlite3.Error as error:
        raise failure_of(error, target) from error
    except OSError as error:
        raise DiskFailure(f"cannot write the backup {target}: {error.strerror or error}") from error
    finally:
        partial.unlink(missing_ok=True)
