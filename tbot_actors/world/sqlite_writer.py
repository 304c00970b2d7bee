"""SQLite on its writer thread: the one writing connection, groups of jobs in one commit, and what its errors mean."""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import trio
from attrs import define, field

from tbot_actors.world.disk import CommitUnknown, DatabaseCorrupt, DiskFailure, DiskFull, sync_folder

__all__ = ["Task", "Writer", "checkpoint_whole", "connect", "failure_of", "primary_code", "reaction_to"]

BUSY_S: Final = 5.0
GROUPS_PER_CHECKPOINT: Final = 1000
DISK_CODES: Final = frozenset({
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_IOERR,
})


@define(eq=False)
class Task:
    """Something for the writer thread to do, and how it went."""

    run: Callable[[sqlite3.Connection], Any]
    alone: bool = False
    """Outside any transaction."""
    done: trio.Event = field(factory=trio.Event)
    value: Any = None
    error: BaseException | None = None

    def result(self) -> Any:
        assert self.done.is_set()
        if self.error is not None:
            raise self.error
        return self.value


class Writer:
    """The one writing connection. Lives on its thread; every method leaves no transaction open."""

    def __init__(self, path: Path) -> None:
        if not path.parent.is_dir():
            raise DiskFailure(f"cannot open {path}: its folder does not exist; create it, or correct the settings")
        self._path = path
        self._in_job = False
        self._broken = False
        self._groups = 0
        try:
            self._connection = connect(path, "rwc")
        except sqlite3.Error as error:
            raise failure_of(error, path) from error
        try:
            (mode,) = self._connection.execute("PRAGMA journal_mode=WAL").fetchone()
            if mode != "wal":
                raise DiskFailure(f"{path}: no write-ahead log is possible there (a network disk?); use a local one")
            self._connection.execute("PRAGMA synchronous=FULL")
            self._connection.execute("PRAGMA wal_autocheckpoint=0")
            # Proves now, not at the first order, that this user may write and nobody else is writing.
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.rollback()
            self._connection.set_authorizer(self._authorize)
            sync_folder(path.parent)
        except sqlite3.Error as error:
            self._connection.close()
            raise failure_of(error, path) from error
        except BaseException:
            self._connection.close()
            raise

    def _authorize(self, action: int, *_: str | None) -> int:
        # A job that commits would make half of another's work durable, and its own outcome unknown.
        return sqlite3.SQLITE_DENY if self._in_job and action == sqlite3.SQLITE_TRANSACTION else sqlite3.SQLITE_OK

    def run(self, group: list[Task]) -> None:
        """Runs a group. Afterwards each of its tasks has its value or its error."""
        if self._broken:
            for task in group:
                task.error = CommitUnknown(f"{self._path} failed in a commit before: close it, open it again and look")
        elif group[0].alone:
            self._run_alone(group[0])
        else:
            self._run_together(group)
            self._groups += 1

    def keep_log_short(self) -> None:
        """Checkpoints once in a while, so that the log cannot grow for ever with nobody asking for a checkpoint."""
        if self._groups < GROUPS_PER_CHECKPOINT:
            return
        self._groups = 0
        try:
            self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        except sqlite3.Error:
            # Nothing is lost, it all is in the log; the next write meets the disk's fault and reports it.
            pass

    def _run_alone(self, task: Task) -> None:
        try:
            task.value = task.run(self._connection)
        except sqlite3.Error as error:
            task.error = failure_of(error, self._path)
            task.error.__cause__ = error

    def _run_together(self, group: list[Task]) -> None:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            for task in group:
                self._run_in_savepoint(task)
            self._connection.commit()
        except sqlite3.Error as error:
            if self._connection.in_transaction:
                self._connection.rollback()
            self._broken = primary_code(error) == sqlite3.SQLITE_IOERR
            for task in group:
                if task.error is None:
                    # What had gone well is undone with the rest.
                    task.error = failure_of(error, self._path, commit=True)
                    task.error.__cause__ = error

    def _run_in_savepoint(self, task: Task) -> None:
        self._connection.execute("SAVEPOINT job")
        try:
            self._in_job = True
            task.value = task.run(self._connection)
        except BaseException as error:  # noqa: ASYNC103, ASYNC104 (no trio on this thread; the caller raises it)
            task.error = reaction_to(error, self._path)
            # SQLite itself rolls the whole transaction back on some failures of the disk.
            if not self._connection.in_transaction:
                if isinstance(error, sqlite3.Error):
                    raise
                raise sqlite3.OperationalError("the transaction was lost") from error  # noqa: ASYNC104
            self._connection.execute("ROLLBACK TO job")
        finally:
            self._in_job = False
        self._connection.execute("RELEASE job")

    def close(self) -> None:
        """Empties the log as far as possible, and closes."""
        try:
            if not self._broken:
                checkpoint_whole(self._connection)
        except sqlite3.Error:
            # The log stays beside the file, and the next open finds it.
            pass
        finally:
            self._connection.close()


def connect(path: Path, mode: str) -> sqlite3.Connection:
    """Opens with a mode of SQLite's URIs: ro, rw, rwc."""
    # A reader is used by one thread at a time, not always by the same one.
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        timeout=BUSY_S,
        isolation_level=None,
        check_same_thread=mode != "ro",
    )


def checkpoint_whole(connection: sqlite3.Connection) -> None:
    """Without waiting for readers: the writes behind it would wait too."""
    connection.execute("PRAGMA busy_timeout=0")
    try:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    finally:
        connection.execute(f"PRAGMA busy_timeout={round(BUSY_S * 1000)}")


def primary_code(error: BaseException) -> int:
    """SQLite's primary result code; 0 for an error of the module itself. https://www.sqlite.org/rescode.html"""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def reaction_to(error: BaseException, path: Path) -> BaseException:
    """What a job's error is to its caller: a failure of the disk under it, or the error itself."""
    if isinstance(error, sqlite3.Error) and primary_code(error) in DISK_CODES:
        failure = failure_of(error, path)
        failure.__cause__ = error
        return failure
    return error


def failure_of(error: sqlite3.Error, path: Path, *, commit: bool = False) -> DiskFailure:
    """The failure of the disk behind an error, with what to do about it."""
    match primary_code(error):
        case sqlite3.SQLITE_FULL:
            return DiskFull(f"no space is left for {path}: release the ballast file, then free space")
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
            return DatabaseCorrupt(f"{path} is damaged or no database ({error}): restore a backup, keep the file")
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_PERM:
            return DiskFailure(
                f"cannot write {path} ({error}): give this user the right to write in {path.parent}, "
                "or name another folder in the settings"
            )
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return DiskFailure(f"another program is writing to {path}: stop it (`fuser {path}` shows which)")
        case sqlite3.SQLITE_IOERR if commit:
            return CommitUnknown(f"the disk failed while {path} was committing ({error}): open it again and look")
        case _:
            return DiskFailure(f"the disk failed under {path} ({error}): check the disk, and the free space on it")
