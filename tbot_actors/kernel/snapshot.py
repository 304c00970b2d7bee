"""The supervision tree at one moment, as values."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum

from attrs import frozen

from tbot_actors.kernel.errors import UnknownPath


class State(Enum):
    """What an actor, or a branch, is doing."""

    STARTING = "starting"
    """Not started yet, or in `started()`."""
    RUNNING = "running"
    """Handling messages, not marked ready."""
    READY = "ready"
    SUSPENDED = "suspended"
    """Handles nothing until it is resumed."""
    STOPPING = "stopping"
    RESTARTING = "restarting"
    """Ended with its group, to be started with it."""
    BACKING_OFF = "backing off"
    """Crashed; the next start has a time."""
    OUTAGE = "outage"
    """Raised Unavailable; the next attempt has a time."""
    STOPPED = "stopped"
    GONE = "gone"
    """Will not be started again."""


@frozen
class NodeSnapshot:
    """One actor; or one branch, with sums (and maxima, where a sum means nothing) over its children."""

    path: str
    state: State
    incarnation: int
    """Starts so far."""
    depth: int
    """Messages waiting."""
    high_water: int
    handled: int
    dropped: int
    """Replaced by policy."""
    busy_for_ns: int
    """How long the handler at work has been at it; 0 when idle."""
    oldest_waiting_ns: int
    """Age of the oldest waiting message; 0 when there is none."""
    last_progress_ns: int
    """Monotonic time of the last message taken or finished."""
    last_error: str | None
    """`repr` of what ended the last incarnation that crashed."""
    children: tuple[NodeSnapshot, ...] = ()
    stashed: int = 0
    """Of the messages waiting: set aside by the actor itself."""
    alarmed: bool = False
    """A DepthAlarm is raised."""

    def walk(self) -> Iterator[NodeSnapshot]:
        """This node and all below, in start order."""
        yield self
        for child in self.children:
            yield from child.walk()


@frozen
class TreeSnapshot:
    """The whole tree."""

    root: NodeSnapshot
    at_ns: int
    """Monotonic time."""
    dead_letters: int

    def __getitem__(self, path: str) -> NodeSnapshot:
        """The node at `path` ("" is the root). Raises UnknownPath."""
        for node in self.root.walk():
            if node.path == path:
                return node
        raise UnknownPath(path, (node.path for node in self.root.walk()))

    def __iter__(self) -> Iterator[NodeSnapshot]:
        return self.root.walk()


def branch_snapshot(
    path: str, state: State, incarnation: int, last_error: str | None, children: tuple[NodeSnapshot, ...]
) -> NodeSnapshot:
    """A branch, from the snapshots of its children."""
    return NodeSnapshot(
        path=path,
        state=state,
        incarnation=incarnation,
        depth=sum(child.depth for child in children),
        high_water=max((child.high_water for child in children), default=0),
        handled=sum(child.handled for child in children),
        dropped=sum(child.dropped for child in children),
        busy_for_ns=max((child.busy_for_ns for child in children), default=0),
        oldest_waiting_ns=max((child.oldest_waiting_ns for child in children), default=0),
        last_progress_ns=max((child.last_progress_ns for child in children), default=0),
        last_error=last_error,
        children=children,
        stashed=sum(child.stashed for child in children),
        alarmed=any(child.alarmed for child in children),
    )
