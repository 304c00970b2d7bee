"""The few plain files: small, synchronous, and durable where it matters."""

import errno
import fcntl
import gzip
import os
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final, Protocol, cast

from tbot_actors.world.disk import DiskFailure, DiskFull, sync_folder
from tbot_actors.world.log_file import LogFile
from tbot_actors.world.slots import SlotFile

__all__ = ["FileLock", "Files", "SystemFiles"]

LINE_BYTES_MAX: Final = 16 << 20
LOCK_TRIES: Final = 5
LOCK_PAUSE_S: Final = 0.002


class FileLock:
    """A lock held by this process until `release` or its end, however that comes."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor

    def release(self) -> None:
        """Gives the lock back. Idempotent."""
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            os.close(descriptor)


class Files(Protocol):
    """Plain files. Every method is synchronous and short; big data belongs elsewhere.

    A missing file raises FileNotFoundError; anything else that the disk refuses raises DiskFailure, whose message says
    what to do.
    """

    def read_bytes(self, path: Path) -> bytes:
        """The whole content."""
        ...

    def write_atomic(self, path: Path, data: bytes) -> None:
        """Replaces the content: after a crash or power loss the file is wholly the old or wholly the new one.

        Durable on return. Readable by this user only: what a bot writes down is often worth hiding.
        """
        ...

    def exists(self, path: Path) -> bool:
        """Whether a file or folder is there."""
        ...

    def remove(self, path: Path) -> None:
        """Removes a file, durably. Not being there is fine."""
        ...

    def make_folder(self, path: Path) -> None:
        """Makes the folder and those above it, for this user only. Being there is fine."""
        ...

    def open_lines(self, path: Path) -> Iterator[bytes]:
        """The lines of a file one by one, without their ends; a name in .gz is decompressed on the way.

        Raises DiskFailure when the compressed data is damaged, or a line is longer than 16 MiB.
        """
        ...

    def lock(self, path: Path) -> FileLock | None:
        """Takes the lock of that file (made if missing) for this process; None if another holder has it. No waiting."""
        ...

    def is_locked(self, path: Path) -> bool:
        """Whether somebody holds the lock of that file, this process included. Does not get in a locker's way."""
        ...

    def open_slots(self, path: Path, size: int) -> SlotFile:
        """The two-slot file at `path` for values of up to `size` bytes, made (empty, durably) if missing."""
        ...

    def open_log(self, path: Path, bytes_max: int) -> LogFile:
        """A log that is appended to, made if missing; it and the full one before it take at most `bytes_max` each."""
        ...


class SystemFiles(Files):
    """The machine's files."""

    def read_bytes(self, path: Path) -> bytes:
        """See `Files.read_bytes`."""
        with _said(path, "read"):
            return path.read_bytes()

    def write_atomic(self, path: Path, data: bytes) -> None:
        """See `Files.write_atomic`."""
        written = path.with_name(f".{path.name}.{os.getpid()}.new")
        with _said(path, "write"):
            try:
                with open(os.open(written, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                os.replace(written, path)
            except BaseException:
                written.unlink(missing_ok=True)
                raise
            sync_folder(path.parent)

    def exists(self, path: Path) -> bool:
        """See `Files.exists`."""
        return path.exists()

    def remove(self, path: Path) -> None:
        """See `Files.remove`."""
        with _said(path, "remove"):
            path.unlink(missing_ok=True)
            sync_folder(path.parent)

    def make_folder(self, path: Path) -> None:
        """See `Files.make_folder`."""
        with _said(path, "make the folder"):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)

    def open_lines(self, path: Path) -> Iterator[bytes]:
        """See `Files.open_lines`."""
        with _said(path, "read"):
            opener = gzip.open if path.suffix == ".gz" else open
            file = cast(BinaryIO, opener(path, "rb"))
        return _lines(file, path)

    def lock(self, path: Path) -> FileLock | None:
        """See `Files.lock`. (flock: kept by an open file, freed by the kernel when its process ends.)"""
        with _said(path, "lock"):
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
            for attempt in range(LOCK_TRIES):
                # `is_locked` holds the lock for an instant; that is not a holder.
                if attempt:
                    time.sleep(LOCK_PAUSE_S)
                if _flock(descriptor, fcntl.LOCK_EX):
                    return FileLock(descriptor)
        os.close(descriptor)
        return None

    def is_locked(self, path: Path) -> bool:
        """See `Files.is_locked`. A shared lock, so that two who ask do not see each other."""
        with _said(path, "lock"):
            try:
                descriptor = os.open(path, os.O_RDONLY)
            except FileNotFoundError:
                return False
            try:
                return not _flock(descriptor, fcntl.LOCK_SH)
            finally:
                os.close(descriptor)

    def open_slots(self, path: Path, size: int) -> SlotFile:
        """See `Files.open_slots`."""
        if not path.exists():
            # Whole or not at all, so that a file of another length can only be a damaged one.
            self.write_atomic(path, SlotFile.blank(size))
        with _said(path, "open"):
            return SlotFile(path, os.open(path, os.O_RDWR), size)

    def open_log(self, path: Path, bytes_max: int) -> LogFile:
        """See `Files.open_log`."""
        with _said(path, "open"):
            return LogFile(path, bytes_max)


def _lines(file: BinaryIO, path: Path) -> Iterator[bytes]:
    with file:
        while True:
            try:
                line = file.readline(LINE_BYTES_MAX + 1)
            except (EOFError, zlib.error, gzip.BadGzipFile) as error:
                raise DiskFailure(f"{path} is damaged ({error}): fetch or record it again") from error
            if not line:
                return
            if len(line) > LINE_BYTES_MAX:
                raise DiskFailure(f"{path} has a line of more than {LINE_BYTES_MAX >> 20} MiB: is it the right file?")
            yield line.rstrip(b"\r\n")


def _flock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def _said(path: Path, verb: str) -> Iterator[None]:
    """Turns what the system says about a file into what to do about it."""
    try:
        yield
    except (FileNotFoundError, DiskFailure):
        raise
    except OSError as error:
        match error.errno:
            case errno.ENOSPC | errno.EDQUOT:
                raise DiskFull(f"cannot {verb} {path}: no space is left; free some, then try again") from error
            case errno.EACCES | errno.EPERM | errno.EROFS:
                raise DiskFailure(
                    f"cannot {verb} {path}: this user may not ({error.strerror}); change the owner or mode of "
                    f"{path.parent}, or name another folder in the settings"
                ) from error
            case _:
                raise DiskFailure(f"cannot {verb} {path}: {error.strerror or error}") from error
