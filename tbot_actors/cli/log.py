"""Where log lines go: to stderr, or into the state folder while a live view owns the terminal."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import TextIOBase
from pathlib import Path
from typing import TextIO, cast

import structlog

from tbot_actors.cli.exits import Exit, Failure
from tbot_actors.world import DiskFailure, World

LOG_NAME = "bot.log"
LOG_BYTES_MAX = 5_000_000


def log_to_stderr() -> None:
    """Structured lines on stderr."""
    _configure(Unfailing(sys.stderr))


@contextmanager
def log_beside_view(world: World, state: Path) -> Iterator[None]:
    """Log lines and prints go into the state's `bot.log`: one stray line would tear the view. Raises Failure."""
    try:
        world.files.make_folder(state)
        log = world.files.open_log(state / LOG_NAME, LOG_BYTES_MAX)
    except DiskFailure as error:
        raise Failure(Exit.CANNOT_WRITE, str(error)) from None
    with log:
        try:
            with redirect_stdout(log), redirect_stderr(log):
                _configure(log)
                yield
        finally:
            log_to_stderr()


class Unfailing(TextIOBase):
    """Text for a stream whose reader may go away: what cannot be written is lost, and who logs it does not crash."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def writable(self) -> bool:
        """Yes."""
        return True

    def write(self, text: str) -> int:
        """Raises nothing."""
        try:
            self._stream.write(text)
        except (OSError, ValueError):
            pass  # gone or closed; there is nobody to tell
        return len(text)

    def flush(self) -> None:
        """Raises nothing."""
        try:
            self._stream.flush()
        except (OSError, ValueError):
            pass


def _configure(out: TextIOBase) -> None:
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.KeyValueRenderer(key_order=["timestamp", "level", "event"]),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        # It writes and flushes, no more.
        logger_factory=structlog.WriteLoggerFactory(file=cast(TextIO, out)),
    )
