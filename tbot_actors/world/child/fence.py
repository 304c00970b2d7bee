"""The fence around a worker: each measure is tried, and told whether it holds; none is silently missing.

Raised by the worker's own process, in an order in which no measure takes away what a later one needs.
"""

import os
import resource
import signal
from collections.abc import Callable, Sequence
from enum import Enum

from attrs import field, frozen

from tbot_actors.world.child import landlock, libc, seccomp

__all__ = ["FENCES", "Fence", "FenceReport", "Measure", "raise_fence"]

NOBODY = 65534
DESCRIPTORS_MAX = 64
PROCESSES_MAX = 64


class Fence(Enum):
    """What keeps a worker from the rest of the machine."""

    ENVIRONMENT = "environment"
    """It starts from a fresh interpreter with an environment of its own: no secrets in memory or variables."""
    DESCRIPTORS = "descriptors"
    """It inherits its wire and its output, nothing else."""
    PARENT_MEMORY = "parent memory"
    """The bot's own process cannot be read or traced by others of its user."""
    USER = "user"
    """It runs as an unprivileged user, without capabilities."""
    FILES = "files"
    """It opens the interpreter's libraries and its own files, read-only, and nothing else."""
    NETWORK = "network"
    """It has no network: a namespace without any interface."""
    CALLS = "system calls"
    """It cannot open sockets, start programs, or signal and trace other processes."""
    LIMITS = "limits"
    """Memory, descriptors and processes are limited, and it writes no file."""
    DEATH = "death"
    """It is killed when the bot dies."""


FENCES = tuple(Fence)


@frozen
class Measure:
    """One part of the fence, as found on this machine."""

    fence: Fence
    holds: bool
    detail: str
    """How it is held, or what the system lacks."""


@frozen
class FenceReport:
    """What is in force around one worker. `tbot doctor` shows it."""

    measures: tuple[Measure, ...] = field(default=())

    @property
    def missing(self) -> tuple[Measure, ...]:
        """What this machine does not give."""
        return tuple(measure for measure in self.measures if not measure.holds)

    def __getitem__(self, fence: Fence) -> Measure:
        """The measure for `fence`; one nobody tried does not hold."""
        for measure in self.measures:
            if measure.fence is fence:
                return measure
        return Measure(fence, False, "was not tried")

    def with_measure(self, measure: Measure) -> "FenceReport":
        """This report and one line more, in the order of `FENCES`."""
        others = [other for other in self.measures if other.fence is not measure.fence]
        return FenceReport(tuple(sorted([*others, measure], key=lambda each: FENCES.index(each.fence))))

    def __str__(self) -> str:
        return "\n".join(
            f"{'yes' if each.holds else 'NO':>3}  {each.fence.value:<14} {each.detail}" for each in self.measures
        )


def raise_fence(readable: Sequence[str], memory_max_bytes: int, parent: int) -> FenceReport:
    """Shut this process in. Whatever runs afterwards is the worker's."""
    report = FenceReport()
    # A network namespace takes privileges; a change of user takes PDEATHSIG off; a filter of calls ends all changes.
    for fence, measure in (
        (Fence.ENVIRONMENT, _environment),
        (Fence.DESCRIPTORS, _descriptors),
        (Fence.NETWORK, _network),
        (Fence.LIMITS, lambda: _limits(memory_max_bytes)),
        (Fence.USER, lambda: _user(readable)),
        (Fence.DEATH, lambda: die_with(parent)),
        (Fence.FILES, lambda: _files(readable)),
        (Fence.CALLS, _calls),
    ):
        report = report.with_measure(_tried(fence, measure))
    return report


def die_with(parent: int) -> str:
    """Be killed when the parent dies; exit at once if it is dead already. Raises OSError."""
    libc.prctl(libc.PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)
    return "killed by the kernel when the bot dies; ends by itself when its wire does"


def _tried(fence: Fence, measure: Callable[[], str]) -> Measure:
    try:
        return Measure(fence, True, measure())
    except OSError as error:
        return Measure(fence, False, error.strerror or str(error))


def _environment() -> str:
    return f"a fresh interpreter, {len(os.environ)} variables: {', '.join(sorted(os.environ))}"


def _descriptors() -> str:
    # /proc is still open to it here.
    try:
        inherited = len(os.listdir("/proc/self/fd")) - 1
    except OSError:
        return "closed by the program's start"
    if inherited > 5:
        raise OSError(f"{inherited} are open, 5 are needed: input, output, errors, and two of the wire")
    return f"{inherited} are open: input, output, errors, and two of the wire"


def _network() -> str:
    try:
        libc.unshare(libc.CLONE_NEWNET)
        return "a namespace of its own without an interface"
    except PermissionError:
        libc.unshare(libc.CLONE_NEWUSER | libc.CLONE_NEWNET)
        return "a namespace of its own without an interface, inside a namespace of users"


def _limits(memory_max_bytes: int) -> str:
    for name, value in (
        ("RLIMIT_AS", memory_max_bytes),
        ("RLIMIT_NOFILE", DESCRIPTORS_MAX),
        ("RLIMIT_NPROC", PROCESSES_MAX),
        ("RLIMIT_FSIZE", 0),
        ("RLIMIT_CORE", 0),
        ("RLIMIT_MSGQUEUE", 0),
        ("RLIMIT_MEMLOCK", 0),
    ):
        limit = getattr(resource, name, None)
        if limit is not None:
            _, hard = resource.getrlimit(limit)
            lowest = value if hard == resource.RLIM_INFINITY else min(value, hard)
            resource.setrlimit(limit, (lowest, lowest))
    megabytes = memory_max_bytes >> 20
    return f"{megabytes} MiB of addresses, {DESCRIPTORS_MAX} descriptors, {PROCESSES_MAX} processes, files of 0 bytes"


def _user(readable: Sequence[str]) -> str:
    if os.geteuid() != 0:
        _drop_capabilities(0)
        libc.prctl(libc.PR_SET_DUMPABLE, 0)
        return f"the bot's own, {os.geteuid()}, which is not root; no capabilities"
    for capability in range(libc.CAP_LAST + 1):
        try:
            libc.prctl(libc.PR_CAPBSET_DROP, capability)
        except OSError:
            # One that this kernel does not know.
            continue
    libc.prctl(libc.PR_SET_KEEPCAPS, 1)
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)
    barred = [path for path in readable if _barred(path)]
    try:
        landlock.version()
    except OSError:
        # Reading everything would be no fence: better a worker that cannot start, and says why.
        barred = []
    _drop_capabilities(1 << libc.CAP_DAC_READ_SEARCH if barred else 0)
    libc.prctl(libc.PR_SET_DUMPABLE, 0)
    if not barred:
        return f"{NOBODY}, without capabilities"
    # An interpreter in root's home folder, for one.
    return f"{NOBODY}; reads past the rights of folders, among what it may open: {', '.join(barred)}"


def _barred(path: str) -> bool:
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
    except PermissionError:
        return True
    except OSError:
        pass
    return False


def _drop_capabilities(kept: int) -> None:
    libc.prctl(libc.PR_SET_NO_NEW_PRIVS, 1)
    libc.set_capabilities(kept)


def _files(readable: Sequence[str]) -> str:
    spoken = landlock.restrict(readable)
    return f"Landlock {spoken}: reads {len(readable)} places, writes none"


def _calls() -> str:
    return f"{seccomp.refuse_the_outside()} calls are refused"
