"""Databases on disk: what a room may rely on, and the failures it can react to."""

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TypeVar

__all__ = ["CommitUnknown", "Database", "DatabaseCorrupt", "Disk", "DiskFailure", "DiskFull", "sync_folder"]

T = TypeVar("T")


class DiskFailure(OSError):
    """The disk, or a file on it, does not do what is needed. The message says what to do next."""


class DiskFull(DiskFailure):
    """No space is left. What was committed is safe and readable; release the ballast file, then free space."""


class CommitUnknown(DiskFailure):
    """The disk failed in the middle of a commit: whether its writes will be there after a restart cannot be told.

    The database takes no more writes. Close it, open it again, and look.
    """


class DatabaseCorrupt(DiskFailure):
    """The file is damaged, or is no database. Nothing may be built on it."""


class Database(Protocol):
    """A SQLite file with one writer. Several of its methods may run at once, from any task."""

    async def write(self, job: Callable[[sqlite3.Connection], T]) -> T:
        """Runs `job` in a transaction and returns its result once the commit is durable on the disk.

        Writes run one at a time, in the order of the calls; those that wait together share one commit. `job` runs off
        the event loop: it must be short and touch nothing but its connection, and it must not commit or roll back
        (SAVEPOINT is fine). If it raises, its changes and nobody else's are rolled back, and the error is raised here.

        Once the job is queued a cancelled caller waits for the outcome all the same: it is always known.

        Raises:
            DiskFailure: nothing of this job was written (but see `CommitUnknown`).
            trio.ClosedResourceError: the database was closed before.
        """
        ...

    async def read(self, job: Callable[[sqlite3.Connection], T]) -> T:
        """Runs `job` on a read-only connection, off the event loop, and returns its result.

        All statements of one job see the same snapshot, with every write acknowledged before the call. Reads do not
        wait for writes, nor writes for reads; keep them short all the same, as the log cannot be emptied under one.
        """
        ...

    async def checkpoint(self) -> None:
        """Moves the write-ahead log into the database file and empties it, as far as running reads allow."""
        ...

    async def backup(self, target: Path) -> None:
        """Writes a consistent copy, one self-contained durable file, to `target`, replacing it whole. Writes go on.

        Raises:
            DiskFailure: there is no copy; an earlier `target` is still there.
        """
        ...

    async def aclose(self) -> None:
        """Waits for the queued writes, checkpoints and closes. Idempotent."""
        ...


class Disk(Protocol):
    """Opens databases."""

    async def open_database(self, path: Path) -> Database:
        """Opens the database at `path`, creating the file (not its folder) if there is none.

        Raises:
            DatabaseCorrupt: the file is damaged or is no SQLite database.
            DiskFailure: the folder is missing or not writable, the disk is full, another program writes to the file.
        """
        ...


def sync_folder(folder: Path) -> None:
    """Makes a name that appeared in the folder survive a power loss."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
