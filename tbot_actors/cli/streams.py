"""What a bot that runs says, and where: its view or lines, its log, and what a strategy prints."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import TextIOBase
from pathlib import Path
from typing import TextIO, cast

import structlog

from tbot_actors.cli.exits import Exit, Failure
from tbot_actors.world import DiskFailure, Outlet, World

LOG_NAME = "bot.log"
LOG_BYTES_MAX = 5_000_000
DRAIN_S = 2.0
"""A reader that takes no more for so long at the end is not waited for."""


@contextmanager
def patient_streams() -> Iterator[tuple[Outlet, Outlet]]:
    """stdout and stderr for as long as a bot runs: no reader, be it slow, stopped or gone, holds it up or fails it.

    Log lines go to stderr.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    out, err = (Outlet(stream.fileno(), stream.encoding) for stream in (sys.stdout, sys.stderr))
    with redirect_stdout(out), redirect_stderr(err):
        _log_to(err)
        try:
            yield out, err
        finally:
            for outlet in (out, err):
                outlet.close()
                outlet.drain(DRAIN_S)


@contextmanager
def log_beside_view(world: World, state: Path) -> Iterator[None]:
    """Log lines and prints go into the state's `bot.log`: one stray line would tear the view. Raises Failure."""
    try:
        world.files.make_folder(state)
        log = world.files.open_log(state / LOG_NAME, LOG_BYTES_MAX)
    except DiskFailure as error:
        raise Failure(Exit.CANNOT_WRITE, str(error)) from None
    with log, redirect_stdout(log), redirect_stderr(log):
        _log_to(log)
        yield


def log_to_stderr() -> None:
    """Log lines go straight to stderr: for as long as no bot runs, waiting for its reader harms nobody."""
    _log_to(sys.stderr)


def _log_to(out: TextIOBase | TextIO) -> None:
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
