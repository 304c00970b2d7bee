"""Where a strategy's hooks run: in the bot's own task, or in a process of its own. What comes of it is the same."""

from collections.abc import Awaitable, Callable
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol

import msgspec
from attrs import field, frozen

from tbot_actors.domain.instruments import InstrumentId
from tbot_actors.kernel import Actor, ActorDown, Branch, Child, Context, Restart, handles, open_system
from tbot_actors.kernel import Strategy as Restarts
from tbot_actors.kernel.host import BadFrame, HostLimits, WorkerLink, WorkerRaised
from tbot_actors.strategies import wire
from tbot_actors.strategies.api import Strategy
from tbot_actors.strategies.session import Books, Happening, Hooks, Want, hooks_of
from tbot_actors.world import World

WORKER = "tbot_actors.strategies.worker:StrategyWorker"


class HookHost(Protocol):
    """Runs the hooks of one incarnation."""

    async def take(self, happening: Happening) -> tuple[Want, ...]:
        """What the hooks want because of it. Raises what a hook raised, or WorkerFailed."""
        ...


OpenHost = Callable[[Context], Awaitable[HookHost]]
"""Called by each incarnation of the actor."""


@frozen
class StrategyProgram:
    """Everything there is to say about a strategy before it runs."""

    name: str
    kind: str
    params: dict[str, Any]
    capital: Decimal
    instruments: tuple[InstrumentId, ...]
    converter: str
    """`module:function` that makes what structures `params`; called where the strategy runs."""
    limits: HostLimits = field(factory=HostLimits)

    @property
    def file(self) -> Path | None:
        """A user's own file, absolute; None for one of the library."""
        where = self.kind.rpartition(":")[0]
        return Path(where).resolve() if where.endswith(".py") else None

    @property
    def argument(self) -> bytes:
        """What the worker is started with."""
        file = self.file
        kind = self.kind if file is None else f"{file}:{self.kind.rpartition(':')[2]}"
        order = wire.StrategyOrder(self.name, kind, self.params, self.converter, self.capital, self.instruments)
        return msgspec.msgpack.encode(order)

    @property
    def files(self) -> tuple[Path, ...]:
        """What its process may read."""
        return () if self.file is None else (self.file,)


class TaskHost:
    """In the actor itself: for strategies that are trusted with everything the bot has."""

    def __init__(self, strategy: Strategy, books: Books) -> None:
        self._hooks = Hooks(strategy, books)

    async def take(self, happening: Happening) -> tuple[Want, ...]:
        return self._hooks.take(happening)


class ProcessHost:
    """In a process of its own, behind the fence."""

    def __init__(self, link: WorkerLink) -> None:
        self.link = link

    @classmethod
    async def open(cls, context: Context, program: StrategyProgram) -> "ProcessHost":
        """Start the process and load the strategy there. Raises WorkerFailed, OSError."""
        link = await WorkerLink.open(
            context, WORKER, argument=program.argument, limits=program.limits, files=program.files
        )
        return cls(link)

    async def take(self, happening: Happening) -> tuple[Want, ...]:
        wants: tuple[Want, ...] = ()
        for request in wire.requests_of(happening):
            what = f"{type(happening).__name__}"
            data = await self.link.call(wire.VOCABULARY.encode(request), what=what)
            wants = self._read(data, happening)
        return wants

    def _read(self, data: bytes, happening: Happening) -> tuple[Want, ...]:
        try:
            answer = wire.VOCABULARY.decode(data)
            if not isinstance(answer, wire.HookResults | None):
                raise BadFrame(f"{type(answer).__name__} is no answer to {type(happening).__name__}")
            wants = wire.wants_of(answer)
            allowed = hooks_of(happening)
            if any(want.hook not in allowed for want in wants) or len({want.hook for want in wants}) < len(wants):
                raise BadFrame(f"results of other hooks than those of {type(happening).__name__}")
        except (BadFrame, wire.NoNumber) as bad:
            raise self.link.reject(str(bad)) from None
        return wants


def in_task(program: StrategyProgram, make: Callable[[], Strategy]) -> OpenHost:
    """Hooks run in the bot's own task."""

    async def open_host(context: Context) -> HookHost:
        return TaskHost(make(), Books(program.name, program.capital, program.instruments))

    return open_host


def in_process(program: StrategyProgram) -> OpenHost:
    """Hooks run in a process of their own."""

    async def open_host(context: Context) -> HookHost:
        return await ProcessHost.open(context, program)

    return open_host


class StrategyBroken(Exception):
    """A strategy cannot be loaded with its parameters; the text says why."""


class _WhatItWants:
    """Asked: what does the strategy want to see?"""


class _Describer(Actor):
    def __init__(self, program: StrategyProgram) -> None:
        self._program = program

    @handles(_WhatItWants)
    async def on_what_it_wants(self, message: _WhatItWants) -> wire.Described:
        host = await ProcessHost.open(self.context, self._program)
        answer = wire.VOCABULARY.decode(await host.link.call(wire.VOCABULARY.encode(wire.Describe()), what="Describe"))
        if not isinstance(answer, wire.Described):
            raise host.link.reject(f"{answer!r} is no description")
        return answer


async def describe(program: StrategyProgram, world: World) -> wire.Described:
    """What a strategy wants to see, asked in a process of its own: a file nobody has read runs nowhere else.

    Raises StrategyBroken.
    """
    child = Child("strategy", _Describer, lambda: _Describer(program), restart=Restart.TEMPORARY)
    async with open_system(Branch("describe", Restarts.ONE_FOR_ONE, (child,)), world) as system:
        timeout_s = program.limits.start_s + 2 * program.limits.request_s
        try:
            answer: wire.Described = await system.directory["strategy"].ask(_WhatItWants(), timeout_s=timeout_s)
        except ActorDown as down:
            raise StrategyBroken(_why(down.error)) from down
    return answer


def _why(error: BaseException | None) -> str:
    if isinstance(error, WorkerRaised):
        kind, text = error.failure.kind, error.failure.text
        return text if kind in {"StrategyNotFound", "Problems"} else f"{kind}: {text}"
    return str(error)
