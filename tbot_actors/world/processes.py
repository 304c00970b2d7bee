"""Other processes, and what this one finds around itself."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import Enum, auto
from pathlib import Path
from typing import IO, Final, Protocol

import trio

from tbot_actors.world.workers import WorkerProcess, WorkerProgram, start_worker

__all__ = ["LineReader", "Output", "Process", "Processes", "SystemProcesses", "signals"]

LINE_BYTES_MAX: Final = 1 << 20
POLL_S: Final = 0.05


class Output(Enum):
    """Where a process's output goes, when not to a file."""

    INHERIT = auto()
    """Where this process's output goes."""
    DISCARD = auto()
    """Nowhere."""
    PIPE = auto()
    """To this process, which must read it: a full pipe stops the writer."""


class LineReader:
    """The lines that a process writes, one at a time, without their ends: `async for line in process.stdout`."""

    def __init__(self, stream: trio.abc.ReceiveStream) -> None:
        self._stream = stream
        self._buffer = bytearray()
        self._ended = False

    def __aiter__(self) -> "LineReader":
        return self

    async def __anext__(self) -> bytes:
        """The next line; the last may lack its end. A line of more than 1 MiB comes in parts."""
        while (end := self._buffer.find(b"\n")) < 0 and len(self._buffer) < LINE_BYTES_MAX and not self._ended:
            received = await self._stream.receive_some()
            self._buffer += received
            self._ended = not received
        if end < 0 and not self._buffer:
            raise StopAsyncIteration
        size, skipped = (end, 1) if 0 <= end <= LINE_BYTES_MAX else (min(len(self._buffer), LINE_BYTES_MAX), 0)
        line = bytes(self._buffer[:size])
        del self._buffer[: size + skipped]
        return line

    async def aclose(self) -> None:
        """Stops reading; the writer gets a broken pipe."""
        await self._stream.aclose()


class Process(Protocol):
    """A process that was started here."""

    @property
    def pid(self) -> int:
        """Its id."""
        ...

    @property
    def stdout(self) -> LineReader | None:
        """Its output, if piped."""
        ...

    @property
    def stderr(self) -> LineReader | None:
        """Its error output, if piped."""
        ...

    def poll(self) -> int | None:
        """Its exit status, or None while it runs. Negative: the signal that ended it."""
        ...

    async def wait(self) -> int:
        """Waits for its end and returns its exit status. Being cancelled leaves it running."""
        ...

    def terminate(self) -> None:
        """Asks it to end (SIGTERM). Nothing happens to one that has ended."""
        ...

    def kill(self) -> None:
        """Ends it at once (SIGKILL). Nothing happens to one that has ended."""
        ...


class Processes(Protocol):
    """Starts processes, signals them, and knows this one's surroundings."""

    def spawn(
        self,
        argv: Sequence[str],
        *,
        stdout: Path | Output = Output.INHERIT,
        stderr: Path | Output = Output.INHERIT,
        detached: bool = False,
        environment: Mapping[str, str] | None = None,
    ) -> Process:
        """Starts a program, with nothing on its input. Call it from the main thread only.

        A Path is appended to. `detached`: in a session of its own, so that neither the terminal's Ctrl-C nor its
        hang-up reaches it. `environment` replaces this process's own.

        Raises OSError (FileNotFoundError, PermissionError) if the program cannot be started.
        """
        ...

    def start_worker(self, program: WorkerProgram) -> WorkerProcess:
        """Starts a program of ours in a process of its own, behind a fence. Call it from the main thread only.

        It dies with this process, inherits nothing but its end of the wire, and what it prints comes line by line.
        From then on this process's memory is closed to others of its user. Raises OSError if it cannot be started.
        """
        ...

    def send_signal(self, pid: int, number: int) -> bool:
        """Signals any process; False if there is none of that id. Number 0 only asks. PermissionError if not ours."""
        ...

    @property
    def own_pid(self) -> int:
        """The id of this process."""
        ...

    def environment(self) -> Mapping[str, str]:
        """This process's environment."""
        ...

    def python(self) -> str:
        """The interpreter this process runs on: `[processes.python(), "-m", "tbot_actors", …]` starts another."""
        ...

    def stdout_is_terminal(self) -> bool:
        """Whether a person is likely to read the output."""
        ...


class SystemProcesses(Processes):
    """The machine's processes."""

    def spawn(
        self,
        argv: Sequence[str],
        *,
        stdout: Path | Output = Output.INHERIT,
        stderr: Path | Output = Output.INHERIT,
        detached: bool = False,
        environment: Mapping[str, str] | None = None,
    ) -> Process:
        """See `Processes.spawn`."""
        # What a child may tie to its parent (PDEATHSIG) follows the thread that forked, and trio's worker threads end
        # after ten idle seconds: the child would be killed with its parent alive (DESIGN §2).
        assert threading.current_thread() is threading.main_thread(), "processes are started from the main thread"
        opened: list[int] = []
        try:
            return _SystemProcess(subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=_target(stdout, opened),
                stderr=_target(stderr, opened),
                start_new_session=detached,
                env=environment,
            ))
        finally:
            for descriptor in opened:
                os.close(descriptor)

    def start_worker(self, program: WorkerProgram) -> WorkerProcess:
        """See `Processes.start_worker`."""
        return start_worker(program, lambda descriptor: LineReader(trio.lowlevel.FdStream(descriptor)))

    def send_signal(self, pid: int, number: int) -> bool:
        """See `Processes.send_signal`."""
        # 0 and below mean whole groups to the system.
        assert pid > 0, f"{pid} is not the id of one process"
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return False
        return True

    @property
    def own_pid(self) -> int:
        """See `Processes.own_pid`."""
        return os.getpid()

    def environment(self) -> Mapping[str, str]:
        """See `Processes.environment`."""
        return os.environ

    def python(self) -> str:
        """See `Processes.python`."""
        return sys.executable

    def stdout_is_terminal(self) -> bool:
        """See `Processes.stdout_is_terminal`."""
        return sys.stdout.isatty()


class _SystemProcess(Process):
    def __init__(self, popen: subprocess.Popen[bytes]) -> None:
        self._popen = popen
        self._stdout = _reader(popen.stdout)
        self._stderr = _reader(popen.stderr)

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def stdout(self) -> LineReader | None:
        return self._stdout

    @property
    def stderr(self) -> LineReader | None:
        return self._stderr

    def poll(self) -> int | None:
        return self._popen.poll()

    async def wait(self) -> int:
        if self.poll() is None and hasattr(os, "pidfd_open"):
            # Not reaped yet, so the id cannot be another's by now.
            ended = os.pidfd_open(self.pid)
            try:
                await trio.lowlevel.wait_readable(ended)
            finally:
                os.close(ended)
        # Where the system has no pidfd, nothing tells.
        while (status := self.poll()) is None:  # noqa: ASYNC110
            await trio.sleep(POLL_S)
        return status

    def terminate(self) -> None:
        self._popen.terminate()

    def kill(self) -> None:
        self._popen.kill()


@contextmanager
def signals(*numbers: int) -> Iterator[AsyncIterator[int]]:
    """Receives these signals instead of their default effect while the block runs. None named: those that ask to stop.

    >>> with signals() as received:        # doctest: +SKIP
    ...     async for number in received: ...
    """
    wanted = numbers or (signal.SIGINT, signal.SIGTERM, *_hang_up())
    with trio.open_signal_receiver(*(signal.Signals(number) for number in wanted)) as received:
        yield received


def _hang_up() -> tuple[int, ...]:
    """A closed terminal asks to stop, unless somebody (nohup) has said that it does not."""
    return () if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else (signal.SIGHUP,)


def _target(output: Path | Output, opened: list[int]) -> int | None:
    match output:
        case Output.INHERIT:
            return None
        case Output.DISCARD:
            return subprocess.DEVNULL
        case Output.PIPE:
            return subprocess.PIPE
        case _:
            opened.append(os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600))
            return opened[-1]


def _reader(pipe: IO[bytes] | None) -> LineReader | None:
    if pipe is None:
        return None
    # The reader owns a descriptor of its own: Popen's file object would close the same number a second time.
    descriptor = os.dup(pipe.fileno())
    pipe.close()
    return LineReader(trio.lowlevel.FdStream(descriptor))
