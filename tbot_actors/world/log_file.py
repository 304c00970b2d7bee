"""A log on the disk that cannot fill it, and that never fails whoever writes to it."""

import os
from io import TextIOBase
from pathlib import Path
from typing import Final

__all__ = ["LogFile"]

LOST_LINE: Final = "{} writes to this log failed before this one\n"


class LogFile(TextIOBase):
    """Text appended to `path`; a full one becomes `path.1`, in the place of the one before: at most twice `bytes_max`.

    Readable by this user only. Not synced: what must survive a power loss belongs into the journal. A write that the
    disk refuses is counted and told with the next one that succeeds: a full disk must not crash who logs about it.
    """

    def __init__(self, path: Path, bytes_max: int) -> None:
        """Raises OSError where the file cannot be opened at all."""
        assert bytes_max > 0, f"{bytes_max} bytes hold nothing"
        self.path = path
        self.bytes_max = bytes_max
        self.lost = 0
        """Writes that failed since the last one that did not."""
        self._descriptor = _open(path)
        self._size = os.fstat(self._descriptor).st_size

    def writable(self) -> bool:
        """Yes."""
        return True

    def write(self, text: str) -> int:
        """Append. Raises nothing."""
        told = LOST_LINE.format(self.lost) if self.lost else ""
        data = (told + text).encode(errors="backslashreplace")
        try:
            if self._size and self._size + len(data) > self.bytes_max:
                self._turn()
            self._size += os.write(self._descriptor, data[: self.bytes_max])
        except OSError:
            self.lost += 1
        else:
            self.lost = 0
        return len(text)

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """Idempotent; what is written afterwards is lost."""
        if not self.closed:
            super().close()
            os.close(self._descriptor)
            self._descriptor = -1

    def _turn(self) -> None:
        try:
            os.replace(self.path, self.path.with_name(f"{self.path.name}.1"))
        except FileNotFoundError:
            pass  # somebody has taken it away: a new one then
        full, self._descriptor = self._descriptor, _open(self.path)
        self._size = 0
        os.close(full)


def _open(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
