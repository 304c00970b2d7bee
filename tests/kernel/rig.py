"""An actor that does what a test tells it, and a world with a virtual clock for it to live in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from attrs import evolve, field, frozen

from tbot_actors.kernel import Actor, Backoff, Branch, Child, Down, RestartLimit, State, Strategy, System, handles
from tbot_actors.world import TrioClock, World, real_world

NO_WAIT = Backoff(first_s=0, cap_s=0)
MANY = RestartLimit(1000, 60)


def virtual_world() -> World:
    """For tests under an autojump clock."""
    return evolve(real_world(hosts=(), seed=1), clock=TrioClock(0))


class Boom(Exception):
    """What the puppets crash with."""


@frozen
class Note:
    """Write it down."""

    text: Any


@frozen
class Run:
    """Do this, as the handler of a message; the result is the reply."""

    what: Callable[[Actor], Awaitable[Any]]


async def crash(actor: Actor) -> None:
    raise Boom(actor.context.path)


def state_of(system: System, path: str) -> State:
    return system.directory[path].state


@frozen
class Diary:
    """What the puppets of one tree did, in order."""

    entries: list[tuple[str, Any]] = field(factory=list)

    def add(self, path: str, what: Any) -> None:
        self.entries.append((path, what))

    def of(self, path: str) -> list[Any]:
        return [what for who, what in self.entries if who == path]


class Puppet(Actor):
    """Writes a diary: "started", notes, Downs, "stopping"; does what a Run says."""

    capacity = 8

    def __init__(self, diary: Diary, on_start: Callable[[Actor], Awaitable[Any]] | None = None) -> None:
        self.diary = diary
        self.on_start = on_start

    async def started(self) -> None:
        self.diary.add(self.context.path, "started")
        if self.on_start is not None:
            await self.on_start(self)

    async def stopping(self) -> None:
        self.diary.add(self.context.path, "stopping")

    @handles(Note)
    async def on_note(self, message: Note) -> Any:
        self.diary.add(self.context.path, message.text)
        return message.text

    @handles(Run)
    async def on_run(self, message: Run) -> Any:
        return await message.what(self)

    @handles(Down)
    async def on_down(self, message: Down) -> None:
        self.diary.add(self.context.path, message)


def puppet(
    name: str, diary: Diary, *, on_start: Callable[[Actor], Awaitable[Any]] | None = None, **spec: Any
) -> Child:
    return Child(name, Puppet, lambda: Puppet(diary, on_start), **spec)


def branch(
    *children: Child | Branch, name: str = "root", strategy: Strategy = Strategy.ONE_FOR_ONE, **spec: Any
) -> Branch:
    """Restarts without waiting, as often as needed, unless told otherwise."""
    return Branch(name, strategy, children, **{"backoff": NO_WAIT, "limit": MANY, **spec})
