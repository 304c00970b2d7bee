"""The supervision tree as data: what runs, under whom, and what a failure means."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import Enum
from typing import Any

from attrs import field, frozen
from attrs.validators import ge, optional

from tbot_actors.kernel.actor import Actor
from tbot_actors.kernel.backoff import Backoff
from tbot_actors.kernel.budget import RestartLimit


class Restart(Enum):
    """Whether an ended child is started again."""

    PERMANENT = "permanent"
    """Always."""
    TRANSIENT = "transient"
    """Only after a crash or an outage, not after `stop_self`."""
    TEMPORARY = "temporary"
    """Never, not even with its group."""


class Strategy(Enum):
    """Who is started again when one child dies."""

    ONE_FOR_ONE = "one for one"
    """That child."""
    ONE_FOR_ALL = "one for all"
    """All children of the branch: stopped in reverse start order, then started in order."""
    REST_FOR_ONE = "rest for one"
    """That child and those started after it."""


@frozen
class Exhausted:
    """What a spent limit means; use `ESCALATE`, `GONE` or `again(...)`."""

    gone: bool = False
    after_s: float | None = field(default=None, validator=optional(ge(0)))
    times: RestartLimit | None = None


ESCALATE = Exhausted()
"""The parent sees one crash, with a RestartLimitExceeded as its error, and charges its own budget."""

GONE = Exhausted(gone=True)
"""Stays off; its mail becomes dead letters; the rest of the tree goes on."""


def again(after_s: float, times: int, within_s: float) -> Exhausted:
    """Rest for `after_s`, then start with a fresh budget, at most `times` within `within_s`; after that ESCALATE."""
    return Exhausted(after_s=after_s, times=RestartLimit(times, within_s))


def _check_name(name: str) -> None:
    if not name or "/" in name or name != name.strip():
        raise ValueError(f"the name of a child is one path segment, not {name!r}")


def _check_branch_name(instance: Any, attribute: Any, value: str) -> None:
    _check_name(value)


@frozen
class Child:
    """One supervised actor."""

    name: str
    actor: type[Actor]
    """Its class: known before the first start, because the address and its mailbox are built from the handlers."""
    start: Callable[[], Actor]
    """Called afresh for each incarnation; returns an instance of `actor`. Raising is a failed start."""
    restart: Restart = Restart.PERMANENT
    shutdown_s: float = 5.0
    """Time for an orderly stop, the message in hand included; then it is killed."""
    limit: RestartLimit | None = None
    """A budget of its own; None = crashes are charged to the branch."""
    exhausted: Exhausted = ESCALATE
    """What its own spent limit, an overlong outage, or (unless ESCALATE) the branch's limit spent by it, means."""
    outage_max_s: float | None = None
    """Bound of one outage, from the first Unavailable to ready or `Backoff.reset_after_s` of life; None = forever."""
    start_s: float = 60.0
    """Time for `started()`; longer is a failed start."""

    def __attrs_post_init__(self) -> None:
        # Not validators: dynamic children are made at run time, and four validators take a twentieth of a spawn.
        _check_name(self.name)
        if not (self.shutdown_s >= 0 and self.start_s > 0):
            raise ValueError(f"{self.name}: shutdown_s must not be negative, and start_s must be positive")
        if self.outage_max_s is not None and not (self.outage_max_s > 0):
            raise ValueError(f"{self.name}: outage_max_s must be positive, not {self.outage_max_s}")


def _as_tuple(children: Iterable[Child | Branch]) -> tuple[Child | Branch, ...]:
    return tuple(children)


@frozen
class Branch:
    """One supervisor and its children, started in order and stopped in reverse."""

    name: str = field(validator=_check_branch_name)
    """Part of the path of everything below, but for the root's."""
    strategy: Strategy
    children: tuple[Child | Branch, ...] = field(converter=_as_tuple)
    limit: RestartLimit = field(factory=RestartLimit)
    """Crashes of children without a limit of their own, and children's escalations, are charged here."""
    backoff: Backoff = field(factory=Backoff)
    exhausted: Exhausted = ESCALATE
    restart: Restart = Restart.PERMANENT
    shutdown_s: float | None = field(default=None, validator=optional(ge(0)))
    """Time for the whole branch to stop, then all of it is killed; None = as long as its children's own times."""
    inline: bool = False
    """It groups children for their restarts only: their paths leave its name out."""

    def __attrs_post_init__(self) -> None:
        names = [child.name for child in self.children]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"branch {self.name!r} has two children named {', '.join(twice)}")
