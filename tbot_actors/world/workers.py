"""Worker processes: a program of ours in a process of its own, behind a fence, at the other end of a wire."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Protocol

import trio
from attrs import field, frozen, validators

from tbot_actors.world.child import libc
from tbot_actors.world.child.fence import Fence, Measure

__all__ = ["Lines", "WorkerProcess", "WorkerProgram", "protect_own_memory", "start_worker"]

PACKAGES: Final = Path(__file__).resolve().parents[2]
"""The folder that the package is in."""

CHUNK_BYTES: Final = 1 << 16
REAP_S: Final = 5.0
SPARE_ADDRESSES: Final = 512 << 20
"""Addresses are not memory: libraries map more than they touch."""

_PLACES: Final = (
    "/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/etc/ld.so.cache", "/usr/share/zoneinfo",
    "/etc/localtime", "/dev/null", "/dev/urandom",
)  # fmt: skip
"""Where a Python program finds its libraries and its time zones."""

_ENVIRONMENT: Final = {
    "LANG": "C.UTF-8",
    "PATH": "/usr/bin:/bin",
    "TZ": "UTC",
    # A hook is one computation at a time, and two cores are all that a small machine has.
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}
_PASSED_ON: Final = ("LD_LIBRARY_PATH",)
"""Without it some interpreters do not start."""


@frozen
class WorkerProgram:
    """What runs in the worker's process."""

    serve: str
    """`module:function` of this package: called behind the fence as `function(wire, report)`; when it returns, the
    process ends."""
    files: tuple[Path, ...] = ()
    """Its own files, or folders: the only ones it can open besides the interpreter's libraries, read-only."""
    memory_max_bytes: int = field(default=256 << 20, validator=validators.gt(0))
    """Resident memory. The worker's own limit of addresses follows from it; whoever starts it watches the rest."""
    fenced: bool = True
    """Without the fence the process is only a process: for programs that are trusted."""


class Lines(Protocol):
    """What a process prints, line by line."""

    def __aiter__(self) -> "Lines":
        """Itself."""
        ...

    async def __anext__(self) -> bytes:
        """The next line, without its end."""
        ...

    async def aclose(self) -> None:
        """Stop reading."""
        ...


class WorkerProcess(Protocol):
    """A worker at work. Whoever started it calls `end` when done with it, whatever happened."""

    @property
    def pid(self) -> int:
        """Its id."""
        ...

    @property
    def wire(self) -> trio.abc.Stream:
        """Bytes to it and from it; what it sent before its end can still be read afterwards."""
        ...

    @property
    def stdout(self) -> Lines:
        """What it prints; must be read."""
        ...

    @property
    def stderr(self) -> Lines:
        """What it prints as errors; must be read."""
        ...

    @property
    def outer(self) -> tuple[Measure, ...]:
        """The parts of the fence that are not the worker's to raise."""
        ...

    async def wait(self) -> int:
        """Wait for its end; the exit status, negative: the signal that ended it. Being cancelled leaves it running."""
        ...

    def kill(self) -> None:
        """End it and everything in its process group at once. Nothing happens to one that has ended."""
        ...

    async def end(self) -> None:
        """Kill it, wait until it is gone, close everything. Not interrupted by a cancellation."""
        ...

    def memory_bytes(self) -> int | None:
        """Resident memory now; None where the system does not tell, or when it has ended."""
        ...


def protect_own_memory() -> Measure:
    """Bar other processes of this user from reading and tracing this one (and its core from being dumped)."""
    try:
        libc.prctl(libc.PR_SET_DUMPABLE, 0)
    except OSError as error:
        return Measure(Fence.PARENT_MEMORY, False, error.strerror or str(error))
    return Measure(Fence.PARENT_MEMORY, True, "the bot's process is not dumpable")


def start_worker(program: WorkerProgram, lines: "LinesOf") -> WorkerProcess:
    """See `Processes.start_worker`."""
    # PDEATHSIG follows the thread that forked, and trio's worker threads end after ten idle seconds: the child would be
    # killed with its parent alive (DESIGN §2).
    assert threading.current_thread() is threading.main_thread(), "processes are started from the main thread"
    outer = (protect_own_memory(),) if program.fenced else ()
    # Two pipes: half the time of a socketpair for a round trip (measured: 6 against 11 us), and no descriptors pass.
    theirs_in, ours_out = os.pipe()
    ours_in, theirs_out = os.pipe()
    try:
        popen = subprocess.Popen(
            _command(program, theirs_in, theirs_out),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=(theirs_in, theirs_out),
            env=_environment(os.environ),
            cwd="/",
            # Out of reach of the terminal's Ctrl-C, and killed as a whole.
            process_group=0,
        )
    except BaseException:
        os.close(ours_in)
        os.close(ours_out)
        raise
    finally:
        os.close(theirs_in)
        os.close(theirs_out)
    return _SystemWorker(popen, _SystemWire(ours_in, ours_out), outer, lines)


class LinesOf(Protocol):
    """Makes a line reader of one end of a pipe, whose descriptor it then owns."""

    def __call__(self, descriptor: int) -> Lines:
        """The reader."""
        ...


class _SystemWire(trio.abc.Stream):
    """Two pipes, with as few steps per frame as there can be: every message of a worker goes this way."""

    def __init__(self, descriptor_in: int, descriptor_out: int) -> None:
        os.set_blocking(descriptor_in, False)
        os.set_blocking(descriptor_out, False)
        self._in = descriptor_in
        self._out = descriptor_out

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        try:
            sent = os.write(self._out, data)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            raise trio.BrokenResourceError(str(error)) from error
        if sent < len(data):
            await self._send_rest(memoryview(data)[sent:])

    async def _send_rest(self, left: memoryview) -> None:
        while left:
            await self.wait_send_all_might_not_block()
            try:
                left = left[os.write(self._out, left) :]
            except BlockingIOError:
                continue
            except OSError as error:
                raise trio.BrokenResourceError(str(error)) from error

    async def wait_send_all_might_not_block(self) -> None:
        await trio.lowlevel.wait_writable(self._out)

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        while True:
            await trio.lowlevel.wait_readable(self._in)
            try:
                return os.read(self._in, max_bytes or CHUNK_BYTES)
            except BlockingIOError:
                continue
            except OSError as error:
                raise trio.BrokenResourceError(str(error)) from error

    async def aclose(self) -> None:
        self.close()
        await trio.lowlevel.checkpoint()

    def close(self) -> None:
        """Close it at once."""
        for descriptor in (self._in, self._out):
            if descriptor >= 0:
                trio.lowlevel.notify_closing(descriptor)
                os.close(descriptor)
        self._in = self._out = -1


class _SystemWorker(WorkerProcess):
    def __init__(
        self, popen: subprocess.Popen[bytes], wire: _SystemWire, outer: tuple[Measure, ...], lines: LinesOf
    ) -> None:
        assert popen.stdout is not None
        assert popen.stderr is not None
        self._popen = popen
        self._wire = wire
        self._outer = outer
        with popen.stdout, popen.stderr:
            # The readers own descriptors of their own: Popen's file objects would close the same numbers again.
            self._stdout = lines(os.dup(popen.stdout.fileno()))
            self._stderr = lines(os.dup(popen.stderr.fileno()))
        self._statm = f"/proc/{popen.pid}/statm"
        self._page_bytes = os.sysconf("SC_PAGE_SIZE")

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def wire(self) -> trio.abc.Stream:
        return self._wire

    @property
    def stdout(self) -> Lines:
        return self._stdout

    @property
    def stderr(self) -> Lines:
        return self._stderr

    @property
    def outer(self) -> tuple[Measure, ...]:
        return self._outer

    async def wait(self) -> int:
        if self._popen.returncode is None and hasattr(os, "pidfd_open"):
            # Not reaped yet, so the id cannot be another's by now.
            ended = os.pidfd_open(self.pid)
            try:
                await trio.lowlevel.wait_readable(ended)
            finally:
                os.close(ended)
        # Where the system has no pidfd, nothing tells.
        while (status := self._reap()) is None:  # noqa: ASYNC110
            await trio.sleep(0.02)
        return status

    def kill(self) -> None:
        if self._popen.returncode is None:
            # Not reaped: neither its id nor its group's can be another's.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
            self._popen.kill()

    async def end(self) -> None:
        with trio.CancelScope(shield=True):
            self.kill()
            with trio.move_on_after(REAP_S):
                await self.wait()
            self._wire.close()
            await self._stdout.aclose()
            await self._stderr.aclose()

    def memory_bytes(self) -> int | None:
        if self._popen.returncode is not None:
            return None
        try:
            with open(self._statm, encoding="ascii") as statm:
                return int(statm.read().split()[1]) * self._page_bytes
        except (OSError, IndexError, ValueError):
            return None

    def _reap(self) -> int | None:
        if self._popen.returncode is None and _is_dead(self.pid):
            # While it is a zombie its group cannot be another's: whatever it left there goes with it.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)
        return self._popen.poll()


def _is_dead(pid: int) -> bool:
    try:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return True


def _command(program: WorkerProgram, wire_in: int, wire_out: int) -> list[str]:
    order = {
        "serve": program.serve,
        "wire": (wire_in, wire_out),
        "parent": os.getpid(),
        "root": str(PACKAGES),
        "path": _libraries(),
        "fenced": program.fenced,
        "readable": _readable(program.files),
        "memory_max_bytes": program.memory_max_bytes + SPARE_ADDRESSES,
    }
    boot = PACKAGES / "tbot_actors" / "world" / "child" / "boot.py"
    # Isolated: neither variables nor the folder it is started in add code. Without `site`: no .pth file runs.
    return [sys.executable, "-I", "-S", "-B", "-u", "-X", "utf8", str(boot), json.dumps(order)]


def _libraries() -> list[str]:
    """Where modules come from, but for folders of somebody's own, which have other things in them."""
    homes = [Path(prefix).resolve() for prefix in (sys.prefix, sys.base_prefix, sys.exec_prefix)]
    paths = [Path(each).resolve() for each in sys.path if each]
    return [str(path) for path in paths if any(path.is_relative_to(home) for home in homes) or "packages" in path.name]


def _readable(files: Sequence[Path]) -> list[str]:
    wanted = [
        *_PLACES,
        *(str(Path(prefix).resolve() / "lib") for prefix in dict.fromkeys((sys.base_prefix, sys.prefix))),
        *_libraries(),
        str(PACKAGES / "tbot_actors"),
        *(str(file.resolve()) for file in files),
    ]
    return [path for path in dict.fromkeys(wanted) if os.path.exists(path)]


def _environment(own: Mapping[str, str]) -> dict[str, str]:
    return {**_ENVIRONMENT, **{name: own[name] for name in _PASSED_ON if name in own}}
