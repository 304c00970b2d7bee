"""A child in the books of its supervisor: what it has spent, and what it is waiting for. Decisions here are pure."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

import trio
from attrs import define, field

from tbot_actors.kernel.backoff import Backoff, delay_s
from tbot_actors.kernel.budget import RestartWindow
from tbot_actors.kernel.deadlines import Deadline
from tbot_actors.kernel.node import Node
from tbot_actors.kernel.notices import Exit, ExitReason
from tbot_actors.kernel.specs import Branch, Child, Restart

if TYPE_CHECKING:
    from tbot_actors.kernel.supervisor import Supervisor
    from tbot_actors.world import Entropy, Random


class Phase(Enum):
    """Where a child stands with its supervisor."""

    IDLE = "idle"
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    FINISHED = "finished"
    """Ended, and by its restart type not started again, but with its whole branch."""
    GONE = "gone"
    """Given up for good."""


def is_restarted(restart: Restart, reason: ExitReason) -> bool:
    """Whether a child that ended by itself is started again."""
    if restart is Restart.TRANSIENT:
        return reason is not ExitReason.FINISHED
    return restart is Restart.PERMANENT


@define(eq=False)
class Member:
    """One child. It is the Keeper (see node.py) of its node, and passes on what it hears."""

    spec: Child | Branch
    node: Node
    above: Supervisor
    static: bool
    phase: Phase = Phase.IDLE
    window: RestartWindow | None = None
    """The child's own budget; None = the branch's."""
    rests: RestartWindow | None = None
    """How often `again` was used."""
    failures: int = 0
    """In a row: the position in the sequence of backoff delays."""
    outage_since_s: float | None = None
    running_since_s: float | None = None
    random: Random | None = None
    due: Deadline | None = None
    """The next start."""
    kill_due: Deadline | None = None
    removed: trio.Event | None = field(default=None)
    """Set when a `stop_child` under way is done."""

    def began(self) -> None:
        self.above.child_began(self)

    def stalled(self) -> None:
        self.above.child_stalled(self)

    def ended(self, exit: Exit) -> None:
        self.above.child_ended(self, exit)

    @property
    def active(self) -> bool:
        """Something of it runs."""
        return self.phase in (Phase.STARTING, Phase.RUNNING, Phase.STOPPING)

    def renew(self) -> None:
        """A new life of the branch begins: nothing is spent."""
        self.failures = 0
        self.outage_since_s = None
        self.renew_budget()
        again = self.spec.exhausted.times
        self.rests = None if again is None else RestartWindow(again)

    def renew_budget(self) -> None:
        """A fresh budget, where it has one of its own."""
        limit = self.spec.limit if isinstance(self.spec, Child) else None
        self.window = None if limit is None else RestartWindow(limit)

    def next_pause_s(self, backoff: Backoff, entropy: Entropy) -> float:
        """The backoff before the next start; each call is one step further in the sequence."""
        if self.random is None:
            self.random = entropy(f"kernel/backoff/{self.node.path}")
        pause_s = delay_s(backoff, self.failures, self.random)
        self.failures += 1
        return pause_s

    def settle(self, exit: Exit, now_s: float, backoff: Backoff) -> None:
        """Forget former failures if the life that has just ended was a healthy one."""
        long = self.running_since_s is not None and now_s - self.running_since_s >= backoff.reset_after_s
        self.running_since_s = None
        if long:
            self.failures = 0
        if long or exit.was_ready:
            self.outage_since_s = None

    def outage_left_s(self, now_s: float) -> float | None:
        """How much longer the outage under way, or beginning now, may last; None = forever."""
        if self.outage_since_s is None:
            self.outage_since_s = now_s
        bound_s = self.spec.outage_max_s if isinstance(self.spec, Child) else None
        return None if bound_s is None else self.outage_since_s + bound_s - now_s

    def cancel_due(self) -> None:
        """No start is planned any more."""
        if self.due is not None:
            self.due.cancel()
            self.due = None
