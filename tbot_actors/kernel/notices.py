"""Messages the kernel itself sends: to watchers, and to the observers of the tree."""

from __future__ import annotations

from enum import Enum

from attrs import frozen

from tbot_actors.kernel.budget import Crash


class ExitReason(Enum):
    """Why an incarnation, or a branch, ended."""

    STOPPED = "stopped"
    """Asked to by its supervisor, in order."""
    FINISHED = "finished"
    """Asked to by itself (`stop_self`)."""
    CRASHED = "crashed"
    KILLED = "killed"
    """Did not stop in time."""
    UNAVAILABLE = "unavailable"
    """Raised Unavailable: an outage."""
    EXHAUSTED = "exhausted"
    """A branch whose restart limit is spent."""


@frozen
class Exit:
    """How one incarnation ended."""

    reason: ExitReason
    error: BaseException | None = None
    was_ready: bool = False


class Outcome(Enum):
    """What became of a child whose limit is spent."""

    ESCALATED = "escalated"
    GONE = "gone"
    AGAIN = "again"


@frozen
class Down:
    """A watched actor's incarnation is dead. Comes after all messages which that incarnation had sent.

    Once per death while watched; once more with `gone` if a dead actor is given up only later.
    """

    path: str
    incarnation: int
    reason: ExitReason
    gone: bool
    """It will not be started again."""


@frozen
class Ready:
    """A watched actor has called `context.ready()`, or was ready already. To watchers that have a handler for it.

    Comes after all messages which that actor had sent before, and after the Down of the incarnation before.
    """

    path: str
    incarnation: int


@frozen
class ChildExited:
    """To observers: an incarnation ended, for whatever reason."""

    path: str
    incarnation: int
    reason: ExitReason
    error: BaseException | None


@frozen
class ChildRestarted:
    """To observers: an incarnation after the first has `started()`."""

    path: str
    incarnation: int


@frozen
class BranchLimitReached:
    """To observers: the restart limit of a branch, or of a child with one of its own, is spent."""

    path: str
    history: tuple[Crash, ...]
    outcome: Outcome


@frozen
class DepthAlarm:
    """To observers: messages pile up before an actor; once more, with `raised` false, when that is over.

    Raised at `Actor.alarm_depth` waiting messages, over at half of that: a depth that trembles is one alarm.
    """

    path: str
    depth: int
    raised: bool
