"""The actor a room writes: one concern, one mailbox, one message at a time.

tell/send/ask ──> mailbox (belongs to the address) ──> handler ──> reply to an ask
supervisor    ──> control lane, served first       ──> stop, crash, Down, notices

start() ─> started() ─> handlers, one after the other ─> stopping()      orderly end
              │                 │
              └── raises ───────┴──> the incarnation is dead, `stopping` is not called; queued mail waits
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from attrs import frozen

from tbot_actors.kernel.policy import BLOCK, Policy

if TYPE_CHECKING:
    from tbot_actors.kernel.context import Context

Handler = Callable[[Any, Any], Awaitable[Any]]
F = TypeVar("F", bound=Callable[..., Awaitable[Any]])

_MARK = "_kernel_handles"


@frozen
class Handling:
    """How one class of message is taken in and answered; an entry of `Actor.handlers`."""

    message_type: type
    method: str
    handler: Handler
    policy: Policy
    room: int | None
    """Bound for this class alone; None = shares `Actor.capacity` (droppable classes: that many for itself)."""
    lane: int
    """Which of `Actor.lanes` bounds it; 0 is the shared one."""


@frozen
class LaneSpec:
    """One bound of a mailbox."""

    room: int
    droppable: bool


@frozen
class _Mark:
    message_type: type
    policy: Policy
    room: int | None


def handles(message_type: type, policy: Policy = BLOCK, *, room: int | None = None) -> Callable[[F], F]:
    """Declare `async def on_x(self, message)` as the handler of exactly `message_type` (subclasses are other types).

    What the handler returns is the reply to an `ask`. `room` gives the class places of its own, which no other class
    can take and beyond which it cannot grow; without it BLOCK and REJECT classes share `Actor.capacity`, and a
    droppable class has `Actor.capacity` places of its own.
    """
    if room is not None and room < 1:
        raise ValueError(f"room for {message_type.__name__} must be at least 1, not {room}")

    def mark(function: F) -> F:
        is_async: bool = inspect.iscoroutinefunction(function)
        if not is_async:
            raise TypeError(f"{function.__qualname__} handles {message_type.__name__}: it must be an `async def`")
        marks = [*getattr(function, _MARK, ()), _Mark(message_type, policy, room)]
        setattr(function, _MARK, marks)
        return function

    return mark


class Actor:
    """Subclass it. Handlers run one at a time and do not wait for the outside: that belongs in `context.spawn`."""

    capacity: ClassVar[int] = 1024
    """Places shared by all BLOCK and REJECT classes without a `room` of their own."""

    alarm_depth: ClassVar[int | None] = None
    """Waiting messages that make observers hear a DepthAlarm; None = three quarters of `capacity`."""

    stash_room: ClassVar[int] = 1024
    """Messages that `context.stash` may set aside at a time."""

    handlers: ClassVar[Mapping[type, Handling]] = {}
    """Built when the class is defined; inherited, a redefined method replaces the inherited one."""

    lanes: ClassVar[tuple[LaneSpec, ...]] = (LaneSpec(1024, droppable=False),)
    """The bounds of its mailbox; built with `handlers`, and shared by all actors of the class."""

    context: Context
    """Set before `started`; new for each incarnation."""

    async def started(self) -> None:
        """The first thing an incarnation does. Raising here is a failed start, which counts as a crash."""

    async def stopping(self) -> None:
        """The last thing on an orderly stop, within `Child.shutdown_s`. Never called after a crash or a kill."""

    def show(self) -> Any:
        """What a person who debugs may see of its state (`System.show`): a value, no live object, no secret.

        Called between two messages, also while suspended. It changes nothing; if it raises, only the caller hears it.
        """
        return None

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        if cls.capacity < 1:
            raise ValueError(f"{cls.__qualname__}.capacity must be at least 1, not {cls.capacity}")
        cls.handlers, cls.lanes = _tables(cls)


def _tables(cls: type[Actor]) -> tuple[Mapping[type, Handling], tuple[LaneSpec, ...]]:
    table: dict[type, Handling] = {}
    lanes = [LaneSpec(cls.capacity, droppable=False)]
    for message_type, (method, mark) in _marks(cls).items():
        lane = 0
        if mark.policy.droppable or mark.room is not None:
            lane = len(lanes)
            lanes.append(LaneSpec(mark.room or cls.capacity, mark.policy.droppable))
        table[message_type] = Handling(message_type, method, getattr(cls, method), mark.policy, mark.room, lane)
    return table, tuple(lanes)


def _marks(cls: type[Actor]) -> dict[type, tuple[str, _Mark]]:
    found: dict[type, tuple[str, _Mark]] = {}
    for owner in reversed(cls.__mro__):
        for name, member in vars(owner).items():
            for mark in getattr(member, _MARK, ()):
                other = found.get(mark.message_type)
                if other is not None and other[0] != name:
                    raise TypeError(
                        f"{cls.__qualname__}: {other[0]} and {name} both handle {mark.message_type.__name__}"
                    )
                found[mark.message_type] = (name, mark)
    return found
