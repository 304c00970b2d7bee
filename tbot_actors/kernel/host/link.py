"""The host's half: one worker process, for the length of one incarnation of an actor."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import trio
from attrs import field, frozen
from attrs.validators import gt

from tbot_actors.kernel.host.errors import (
    WorkerDied,
    WorkerFailed,
    WorkerGarbage,
    WorkerHung,
    WorkerRaised,
    WorkerTooBig,
)
from tbot_actors.kernel.host.frames import NUMBERS, BadFrame, Frame, FrameCutter, FrameKind, frame
from tbot_actors.kernel.host.worker import Failure, Order
from tbot_actors.world import FenceReport, WorkerProgram

if TYPE_CHECKING:
    from tbot_actors.kernel.context import Context
    from tbot_actors.world.workers import Lines, WorkerProcess

__all__ = ["HostLimits", "WorkerLink"]

LINE_MAX_CHARACTERS = 2_000
LINES_PER_PERIOD_MAX = 100
LINES_PERIOD_S = 10.0
LAST_WORDS_S = 1.0
"""How long a request in hand has to read what the worker sent before it died."""
END_S = 10.0


@frozen
class HostLimits:
    """What one worker may take."""

    request_s: float = field(default=4.0, validator=gt(0))
    """One request; longer is a crash. Below the watchdog's limit of 5 s for a handler without progress."""
    start_s: float = field(default=30.0, validator=gt(0))
    """From its program's start to `started` done; loading libraries takes time on a small machine."""
    memory_max_bytes: int = field(default=256 << 20, validator=gt(0))
    """Resident."""
    guard_s: float = field(default=0.1, validator=gt(0))
    """How often time and memory are looked at: a request may take that much longer than allowed."""
    idle_check_s: float = field(default=5.0, validator=gt(0))
    """An idle worker is asked whether it is there."""


class WorkerLink:
    """A worker at the other end of a wire. One request at a time, as its owner's handlers are.

    Whatever ends the worker is raised by the request in hand, or else in the background of the incarnation: a crash
    like any other. The end of the incarnation, however it comes about, ends the process and all it started.
    """

    def __init__(self, context: Context, process: WorkerProcess, limits: HostLimits) -> None:
        self._context = context
        self._path = context.path
        self._process = process
        self._wire = process.wire
        self._limits = limits
        self._cutter = FrameCutter()
        self._frames: list[Frame] = []
        self._number = 0
        self._in_hand: str | None = None
        self._timeout_s = 0.0
        self._due_s = 0.0
        self._over: trio.Event | None = None
        self._verdict: WorkerFailed | None = None
        self._leaving = False
        self._gone = trio.Event()
        self.fence = FenceReport()
        """What is in force around it."""

    @property
    def pid(self) -> int:
        """Of its process."""
        return self._process.pid

    @classmethod
    async def open(
        cls,
        context: Context,
        worker: str,
        *,
        argument: bytes = b"",
        limits: HostLimits | None = None,
        files: tuple[Path, ...] = (),
        fenced: bool = True,
    ) -> WorkerLink:
        """Start `worker` (`module:Class` of this package or its libraries, or `path/to/file.py:Class`) and wait for it.

        `files`: what it may read besides the libraries; its own file is among them without being named. Raises
        WorkerFailed, or OSError if no process can be started.
        """
        limits = limits or HostLimits()
        where = worker.rpartition(":")[0]
        own = (Path(where),) if where.endswith(".py") else ()
        program = WorkerProgram(
            "tbot_actors.kernel.host.worker:serve", (*own, *files), limits.memory_max_bytes, fenced=fenced
        )
        link = cls(context, context.world.processes.start_worker(program), limits)
        # Nothing is waited for in between: from here on its end is looked after.
        context.spawn(link._attend, name=f"{context.path}: worker {link.pid}")
        order = msgspec.msgpack.encode(Order(worker, argument))
        report = await link._exchange(FrameKind.START, order, FrameKind.STARTED, limits.start_s, "its start")
        link._read_report(report)
        return link

    async def call(self, payload: bytes, *, timeout_s: float | None = None, what: str = "a request") -> bytes:
        """The worker's answer. Raises WorkerFailed, and BadFrame if the request is too large."""
        return await self._exchange(
            FrameKind.DATA, payload, FrameKind.ANSWER, self._limits.request_s if timeout_s is None else timeout_s, what
        )

    async def check(self) -> None:
        """Ask whether it is there. Raises WorkerFailed."""
        await self._exchange(FrameKind.CHECK, b"", FrameKind.CHECKED, self._limits.request_s, "a check")

    async def stop(self) -> None:
        """Let it end in order, and read what it prints to the end. Raises WorkerFailed."""
        self._leaving = True
        await self._exchange(FrameKind.STOP, b"", FrameKind.STOPPED, self._limits.request_s, "a stop")
        with trio.move_on_after(LAST_WORDS_S):
            await self._gone.wait()

    def reject(self, why: str) -> WorkerGarbage:
        """What it sent is no answer: kill it. Returns the error for the caller to raise."""
        self._process.kill()
        verdict = self._verdict = WorkerGarbage(self._path, why)
        return verdict

    async def _exchange(self, kind: FrameKind, payload: bytes, wanted: FrameKind, timeout_s: float, what: str) -> bytes:
        if self._in_hand is not None:
            raise RuntimeError(f"{self._path}: {what} while {self._in_hand} is without an answer")
        number = self._number = (self._number + 1) % NUMBERS
        request = frame(kind, number, payload)
        self._in_hand = what
        # Swept in the background: a cancel scope, or a deadline of its own, would cost more than the frames.
        self._timeout_s = timeout_s
        self._due_s = trio.current_time() + timeout_s
        try:
            await self._wire.send_all(request)
            came, came_number, answer = await self._next()
        except trio.BrokenResourceError:
            raise await self._ended() from None
        finally:
            self._in_hand = None
            if self._over is not None:
                self._over.set()
        if came is wanted and came_number == number:
            return answer
        if came is FrameKind.FAILED:
            raise self._raised(answer)
        raise self.reject(f"{came.name} {came_number} instead of {wanted.name} {number}")

    async def _next(self) -> Frame:
        while True:
            try:
                frames = self._cutter.feed(await self._receive())
            except BadFrame as bad:
                raise self.reject(str(bad)) from None
            if frames:
                if len(frames) > 1 or self._cutter.pending:
                    raise self.reject("more than one answer to one request")
                return frames[0]

    async def _receive(self) -> bytes:
        data = bytes(await self._wire.receive_some())
        if not data:
            raise await self._ended()
        return data

    async def _ended(self) -> WorkerFailed:
        """Why the wire is at its end."""
        status: int | None = None
        with trio.move_on_after(LAST_WORDS_S):
            status = await self._process.wait()
        return self._verdict or WorkerDied(self._path, status)

    def _raised(self, payload: bytes) -> WorkerFailed:
        try:
            return WorkerRaised(self._path, msgspec.msgpack.decode(payload, type=Failure))
        except (msgspec.MsgspecError, ValueError) as error:
            return self.reject(str(error))

    def _read_report(self, payload: bytes) -> None:
        try:
            report = msgspec.msgpack.decode(payload, type=FenceReport)
        except (msgspec.MsgspecError, ValueError) as error:
            raise self.reject(str(error)) from None
        for measure in self._process.outer:
            report = report.with_measure(measure)
        self.fence = report
        for missing in report.missing:
            self._context.log.warning("fence has a gap", fence=missing.fence.value, why=missing.detail)

    # In the background

    async def _attend(self) -> None:
        try:
            async with trio.open_nursery() as nursery:
                silent = trio.Event()
                nursery.start_soon(self._report_output, silent)
                nursery.start_soon(self._guard)
                status = await self._process.wait()
                await self._hear_last_words()
                # What it printed is in the pipes, which are at their end now, unless somebody else holds on to them.
                with trio.move_on_after(LAST_WORDS_S):
                    await silent.wait()
                nursery.cancel_scope.cancel()
        finally:
            with trio.move_on_after(END_S, shield=True):
                await self._process.end()
            self._gone.set()
        if not self._leaving:
            raise self._verdict or WorkerDied(self._path, status)

    async def _hear_last_words(self) -> None:
        """A request in hand may find its answer in the wire: it goes first, and it raises if there is none."""
        if self._in_hand is not None:
            self._over = trio.Event()
            with trio.move_on_after(2 * LAST_WORDS_S):
                await self._over.wait()

    async def _report_output(self, silent: trio.Event) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._report_lines, self._process.stdout, self._context.log.info)
            nursery.start_soon(self._report_lines, self._process.stderr, self._context.log.warning)
        silent.set()

    async def _report_lines(self, lines: Lines, log: Callable[..., Any]) -> None:
        """What the worker prints, into the log, so many lines in a period; the rest is read, counted and dropped."""
        period_ends_s, told, dropped = 0.0, 0, 0
        try:
            async for line in lines:
                now_s = trio.current_time()
                if now_s >= period_ends_s:
                    if dropped:
                        log("worker printed more", lines_dropped=dropped)
                    period_ends_s, told, dropped = now_s + LINES_PERIOD_S, 0, 0
                if told < LINES_PER_PERIOD_MAX:
                    told += 1
                    log("worker printed", text=line[:LINE_MAX_CHARACTERS].decode(errors="replace"))
                else:
                    dropped += 1
        finally:
            if dropped:
                log("worker printed more", lines_dropped=dropped)

    async def _guard(self) -> None:
        """Kill a worker that takes too long, or too much memory."""
        max_bytes = self._limits.memory_max_bytes
        while self._verdict is None:
            await trio.sleep(self._limits.guard_s)
            held = self._process.memory_bytes()
            if held is not None and held > max_bytes:
                self._verdict = WorkerTooBig(self._path, held, max_bytes)
            elif self._in_hand is not None and trio.current_time() >= self._due_s:
                self._verdict = WorkerHung(self._path, self._in_hand, self._timeout_s)
        self._process.kill()
