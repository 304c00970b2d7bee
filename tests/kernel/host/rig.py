"""Hosts for the workers of echo.py and thief.py, and a tree for them to live in."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import trio
from attrs import evolve, frozen

from tbot_actors.kernel import Backoff, Branch, Child, RestartLimit, Strategy, System, conflate, handles, open_system
from tbot_actors.kernel.host import HostLimits, ProcessActor, forwards
from tbot_actors.world import FenceReport, LineReader, Output, Process, SystemProcesses, real_world
from tests.kernel.host.echo import VOCABULARY, Misbehave, Price, Say
from tests.kernel.host.thief import STEALING, Steal

HERE = Path(__file__).parent
LIMITS = HostLimits(request_s=1.0, guard_s=0.05)
"""Short, so that tests are; on a busy machine a start still takes its time."""


class FenceWanted:
    """Asked: the report of the worker's fence."""


class PidWanted:
    """Asked: the id of the worker's process."""


class Host(ProcessActor):
    worker = f"{HERE / 'echo.py'}:Echo"
    vocabulary = VOCABULARY

    def __init__(self, **settings: Any) -> None:
        self.limits = LIMITS
        for name, value in settings.items():
            setattr(self, name, value)

    on_say = forwards(Say, room=100)
    on_price = forwards(Price, conflate(lambda price: price.product))
    on_misbehave = forwards(Misbehave)

    @handles(FenceWanted)
    async def on_fence_wanted(self, message: FenceWanted) -> FenceReport:
        return self.fence

    @handles(PidWanted)
    async def on_pid_wanted(self, message: PidWanted) -> int:
        return self._linked.pid


class ThiefHost(Host):
    worker = f"{HERE / 'thief.py'}:Thief"
    vocabulary = STEALING
    on_steal = forwards(Steal)


def host(name: str = "host", kind: type[Host] = Host, **settings: Any) -> Child:
    return Child(name, kind, lambda: kind(**settings))


@asynccontextmanager
async def hosting(*children: Child) -> AsyncIterator[System]:
    """All are ready, and whatever crashes is started again at once."""
    quick = Backoff(first_s=0.001, cap_s=0.001)
    root = Branch("root", Strategy.ONE_FOR_ONE, children, backoff=quick, limit=RestartLimit(1000, 60))
    async with open_system(root, real_world(hosts=(), seed=1)) as system:
        await system.wait_ready(timeout_s=30)
        yield system


async def until(condition: Callable[[], bool], within_s: float = 20.0) -> None:
    """Wait for the thing itself."""
    with trio.fail_after(within_s):
        while not condition():  # noqa: ASYNC110
            await trio.sleep(0.01)


async def restarted(system: System, path: str = "host", times: int = 1) -> BaseException:
    """Wait until it has crashed and is ready again; what it crashed with."""
    await until(lambda: system.snapshot()[path].incarnation > times)
    await system.wait_ready(path, timeout_s=30)
    error = system.directory[path]._cell.last_error
    assert error is not None
    return error


def alive(pid: int) -> bool:
    """Neither gone nor a zombie."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


def children() -> set[int]:
    """The living processes that this one has started."""
    listed = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return {int(pid) for pid in listed if alive(int(pid))}


def shorter(**changes: Any) -> HostLimits:
    return evolve(LIMITS, **changes)


@frozen
class ABot:
    """A bot of the tests' own, as a process that can be killed."""

    process: Process
    lines: LineReader

    def kill(self) -> None:
        self.process.kill()


@contextmanager
def a_bot(code: str) -> Iterator[ABot]:
    processes = SystemProcesses()
    process = processes.spawn([processes.python(), "-c", code], stdout=Output.PIPE)
    assert process.stdout is not None
    try:
        yield ABot(process, process.stdout)
    finally:
        process.kill()
