"""A canary: a thread that notices when the event loop stands still, says where, and ends a process that stays so.

It cannot run while something holds the interpreter's lock without a break, as a few C functions do (a regular
expression gone wild, a huge int to text). Against that, and against a process that is stopped as a whole, others watch.
"""

import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import structlog
import trio
from attrs import frozen

__all__ = ["EXIT_BLOCKED", "Blocked", "canary"]

EXIT_BLOCKED: Final = 70
"""Exit status of a process whose event loop stood still for too long (EX_SOFTWARE of sysexits.h)."""

BEAT_S: Final = 0.05
TICK_S: Final = 0.025
FRAMES_MAX: Final = 50
LAST_WORDS_S: Final = 1.0


@frozen
class Blocked:
    """The event loop stands still."""

    for_s: float
    """So far, as far as the canary itself ran: a process that was stopped, or had no processor, does not count."""
    stack: str
    """What the loop's thread is doing, the innermost call last."""
    fatal: bool
    """The process ends now."""


def log_blocked(blocked: Blocked) -> None:
    """Write it to the log."""
    structlog.get_logger("tbot.canary").error(
        "event loop blocked", for_s=round(blocked.for_s, 3), fatal=blocked.fatal, stack=blocked.stack
    )


@contextmanager
def canary(
    *,
    notices_after_s: float = 0.25,
    aborts_after_s: float | None = 10.0,
    report: Callable[[Blocked], None] = log_blocked,
) -> Iterator[None]:
    """Watch the event loop that runs this, while the block runs.

    A blockage is reported once, at most `notices_after_s` after it began (half of that may go unnoticed), and once more
    when it lasts `aborts_after_s` and the process is ended with the status EXIT_BLOCKED, without any tidying up: what
    must not be left undone is the business of whoever watches the process. None = never ended. `report` is called in a
    thread of its own, so that a log that hangs cannot silence the canary.
    """
    if not (notices_after_s >= 0.2):
        raise ValueError(f"the canary needs at least 0.2 s to notice anything, not {notices_after_s}")
    watch = _Watch(notices_after_s - 3 * TICK_S, aborts_after_s, report)
    trio.lowlevel.spawn_system_task(watch.beat, name="canary's heartbeat")
    threading.Thread(target=watch.run, name="canary", daemon=True).start()
    try:
        yield
    finally:
        watch.end()


class _Watch:
    def __init__(self, notices_s: float, aborts_s: float | None, report: Callable[[Blocked], None]) -> None:
        self._notices_s = notices_s
        self._aborts_s = aborts_s
        self._report = report
        self._loop = threading.get_ident()
        self._beats = 0
        self._beating = trio.CancelScope()
        self._over = threading.Event()

    async def beat(self) -> None:
        with self._beating:
            while True:
                self._beats += 1
                await trio.sleep(BEAT_S)

    def end(self) -> None:
        self._over.set()
        self._beating.cancel()

    def run(self) -> None:
        seen, still_s, told = 0, 0.0, False
        before_s = time.monotonic()
        while not self._over.wait(TICK_S):
            now_s = time.monotonic()
            # No more than what passes between two looks when all is well: after a SIGCONT nothing has been blocked yet.
            passed_s, before_s = min(now_s - before_s, 2 * TICK_S), now_s
            if self._beats != seen:
                seen, still_s, told = self._beats, 0.0, False
                continue
            still_s += passed_s
            if self._aborts_s is not None and still_s >= self._aborts_s:
                self._abort(still_s)
            if not told and still_s >= self._notices_s:
                told = True
                self._tell(Blocked(still_s, self._stack(), fatal=False))

    def _tell(self, blocked: Blocked) -> threading.Thread:
        thread = threading.Thread(target=self._report, args=(blocked,), name="canary's report", daemon=True)
        thread.start()
        return thread

    def _stack(self) -> str:
        frame = sys._current_frames().get(self._loop)
        return "".join(traceback.format_stack(frame, FRAMES_MAX)) if frame is not None else "the thread is gone\n"

    def _abort(self, still_s: float) -> None:
        stack = self._stack()
        self._tell(Blocked(still_s, stack, fatal=True)).join(LAST_WORDS_S)
        os.write(2, f"event loop blocked for {still_s:.1f} s, ending this process:\n{stack}".encode())
        os._exit(EXIT_BLOCKED)
