"""One branch at work: starts its children in order, decides what a death means, stops them in reverse.

    ended ─┬─ leaving ──────────────────────> stop the next one, or be done
           ├─ its group is being gathered ──> merge into it
           ├─ not restarted by its type ────> done
           ├─ Unavailable ──────────────────> start again after the backoff; bounded by outage_max_s
           └─ crash: charge the budget ─┬───> start again after the backoff (the child, or its group)
                                        └───> spent: GONE │ again: rest │ ESCALATE: one crash for the one above

It is no task but a state machine: it runs inside whoever brings the news, so it has no queue and nobody waits for it.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from enum import Enum
from typing import TYPE_CHECKING

import trio

from tbot_actors.kernel.budget import Crash, RestartWindow
from tbot_actors.kernel.deadlines import Deadline
from tbot_actors.kernel.errors import PathTaken, RestartLimitExceeded, Stopped, Trace
from tbot_actors.kernel.member import Member, Phase, is_restarted
from tbot_actors.kernel.node import House, Keeper, Node
from tbot_actors.kernel.notices import BranchLimitReached, ChildExited, ChildRestarted, Exit, ExitReason, Outcome
from tbot_actors.kernel.snapshot import NodeSnapshot, State, branch_snapshot
from tbot_actors.kernel.specs import ESCALATE, Branch, Child, Restart, Strategy

if TYPE_CHECKING:
    from tbot_actors.kernel.cell import Cell

CHILDREN_MAX = 10_000


class _Mode(Enum):
    IDLE = "idle"
    UP = "up"
    LEAVING = "leaving"


class Supervisor:
    """A Node (see node.py) for one branch."""

    keeper: Keeper

    def __init__(self, path: str, spec: Branch, house: House) -> None:
        self.path = path
        self.spec = spec
        self.house = house
        self.state = State.STARTING
        self.incarnation = 0
        self.members: dict[str, Member] = {}
        """By name, in start order."""
        self.last_error: BaseException | None = None
        self._mode = _Mode.IDLE
        self._window = RestartWindow(spec.limit)
        self._exit = Exit(ExitReason.STOPPED)
        self._leaving_within: frozenset[Cell] | None = None
        self._announced = False
        self._queue: deque[Member] = deque()
        """Still to be started, in order."""
        self._starting: Member | None = None
        """The one the queue waits for."""
        self._halting: list[Member] = []
        """To be stopped, the last one first."""
        self._gathered: list[Member] = []
        """The group that is being restarted, in order: first all of it ends, then it is started."""
        self._group: frozenset[Cell] = frozenset()
        """The actors of the gathered."""
        self._gathered_due_s = -math.inf
        self._gathered_wake: Deadline | None = None

    # Node

    def start(self) -> None:
        self.incarnation += 1
        self._mode = _Mode.UP
        self._announced = False
        self._window = RestartWindow(self.spec.limit)
        self.state = State.STARTING
        for member in self.members.values():
            member.renew()
            if member.phase is Phase.FINISHED:
                member.phase = Phase.IDLE
        if self.incarnation > 1:
            self._purge(frozenset(self.cells()))
        self._queue.extend(member for member in self.members.values() if member.phase is Phase.IDLE)
        self._start_next()

    def stop(self, within: frozenset[Cell] | None) -> None:
        self._leave(Exit(ExitReason.STOPPED), within)

    def kill(self) -> None:
        if self._mode is _Mode.UP:
            self._mode = _Mode.LEAVING
            self._exit = Exit(ExitReason.KILLED)
            self._drop_plans()
        for member in reversed(self.members.values()):
            if member.active:
                member.phase = Phase.STOPPING
                member.node.kill()
        if self._mode is _Mode.LEAVING:
            self._stop_next()

    def close(self) -> None:
        self.state = State.GONE
        for member in self.members.values():
            member.node.close()

    def cells(self) -> Iterator[Cell]:
        for member in self.members.values():
            yield from member.node.cells()

    def snapshot(self, now_ns: int) -> NodeSnapshot:
        children = tuple(member.node.snapshot(now_ns) for member in self.members.values())
        error = None if self.last_error is None else repr(self.last_error)
        return branch_snapshot(self.path, self.state, self.incarnation, error, children)

    # Children

    def adopt(self, spec: Child | Branch, node: Node, *, static: bool) -> Member:
        """Enter a child at the end of the order."""
        if spec.name in self.members:
            raise PathTaken(node.path)
        if len(self.members) >= CHILDREN_MAX:
            raise ValueError(f"{self.path or 'root'} has {CHILDREN_MAX} children already")
        member = Member(spec, node, self, static)
        node.keeper = member
        member.renew()
        self.members[spec.name] = member
        return member

    def start_child(self, member: Member) -> None:
        """Start a child that was adopted while the branch is up; in a starting group it waits for its turn."""
        if self._gathered:
            self._gathered.append(member)
            self._group = self._group.union(member.node.cells())
        elif self._queue or self._starting is not None:
            self._queue.append(member)
        else:
            self._begin(member)

    def check_up(self) -> None:
        """Raises Stopped when the branch cannot take in children."""
        if self._mode is not _Mode.UP:
            raise Stopped(self.path or "root")

    def stop_child(self, member: Member) -> trio.Event:
        """Stop a child and strike it off; the event is set when that is done."""
        if member.removed is None:
            member.removed = trio.Event()
            member.cancel_due()
            if member in self._queue:
                self._queue.remove(member)
            if not member.active:
                self._remove(member)
            elif member.phase is not Phase.STOPPING:
                self._stop(member, None)
        return member.removed

    def fail(self, error: BaseException) -> None:
        """Take the whole branch down as crashed with `error`."""
        if self._mode is _Mode.UP:
            self._leave(Exit(ExitReason.CRASHED, error), None)

    # Starting

    def _start_next(self) -> None:
        while self._queue and self._starting is None:
            self._starting = self._queue.popleft()
            self._begin(self._starting)
        if self._starting is None and not self._announced:
            self._announced = True
            self.state = State.RUNNING
            self.keeper.began()

    def _begin(self, member: Member) -> None:
        member.cancel_due()
        member.phase = Phase.STARTING
        member.node.start()

    def child_began(self, member: Member) -> None:
        """It has started."""
        member.running_since_s = self.house.deadlines.now_s()
        if member.phase is Phase.STARTING:
            member.phase = Phase.RUNNING
        if member.node.incarnation > 1 and self.house.observers:
            self.house.notify(ChildRestarted(member.node.path, member.node.incarnation))
        self._next_after(member)

    def child_stalled(self, member: Member) -> None:
        """It cannot start for now."""
        if self.spec.strategy is Strategy.ONE_FOR_ONE:
            self._next_after(member)
        else:
            self._stall()

    def _stall(self) -> None:
        """Children that depend on each other wait for each other; whoever is beside the branch should not."""
        if not self._announced:
            self.keeper.stalled()

    def _next_after(self, member: Member) -> None:
        if self._starting is member:
            self._starting = None
            if self._mode is _Mode.UP and not self._gathered:
                self._start_next()

    # Ends

    def child_ended(self, member: Member, exit: Exit) -> None:
        """Nothing of it runs any more: decide what comes of it."""
        was_asked = member.phase is Phase.STOPPING
        member.phase = Phase.IDLE
        if member.kill_due is not None:
            member.kill_due.cancel()
            member.kill_due = None
        self._report(member, exit, was_asked)
        member.settle(exit, self.house.deadlines.now_s(), self.spec.backoff)
        if self.house.closing and was_asked:
            member.node.close()
        was_gathered = member in self._gathered
        if member.removed is not None:
            self._remove(member)
        if self._mode is not _Mode.UP:
            self._next_after(member)
            self._stop_next()
        elif was_gathered:
            if member.spec.restart is Restart.TEMPORARY and member.removed is None:
                self._finish(member, Phase.FINISHED)
            self._gather()
        elif member.removed is not None:
            self._next_after(member)
        else:
            self._decide(member, exit)
            self._next_after(member)

    def _decide(self, member: Member, exit: Exit) -> None:
        if not is_restarted(member.spec.restart, exit.reason):
            self._finish(member, Phase.FINISHED)
        elif exit.reason is ExitReason.UNAVAILABLE:
            self._wait_out(member, exit)
        elif exit.reason is ExitReason.EXHAUSTED:
            assert isinstance(exit.error, RestartLimitExceeded)
            self._limit_reached(member, exit.error)
        else:
            self._charge(
                member, self._crash(member, exit.error or RuntimeError(f"{exit.reason.value}, though permanent"))
            )

    def _wait_out(self, member: Member, exit: Exit) -> None:
        now_s = self.house.deadlines.now_s()
        left_s = member.outage_left_s(now_s)
        if left_s is not None and left_s <= 0:
            crash = self._crash(member, exit.error or RuntimeError("outage"))
            member.outage_since_s = None
            self._limit_reached(member, RestartLimitExceeded(member.node.path, [crash], "the outage lasts too long"))
            return
        pause_s = self._backoff_s(member)
        self._restart(member, pause_s if left_s is None else min(pause_s, left_s), State.OUTAGE)

    def _charge(self, member: Member, crash: Crash) -> None:
        window = member.window
        if window is not None:
            if window.spend(crash):
                self._restart(member, self._backoff_s(member), State.BACKING_OFF)
            else:
                self._limit_reached(member, RestartLimitExceeded(member.node.path, window.history))
        else:
            self._charge_branch(member, crash)

    def _charge_branch(self, member: Member, crash: Crash) -> None:
        if self._window.spend(crash):
            self._restart(member, self._backoff_s(member), State.BACKING_OFF)
            return
        error = RestartLimitExceeded(self.path, self._window.history)
        if self.spec.limit.restarts == 0 and isinstance(crash.error, RestartLimitExceeded):
            error = crash.error
        if member.spec.exhausted is not ESCALATE and not isinstance(crash.error, RestartLimitExceeded):
            self._limit_reached(member, error)
        else:
            self._leave(Exit(ExitReason.EXHAUSTED, error), None)

    def _limit_reached(self, member: Member, error: RestartLimitExceeded) -> None:
        """The child's own limit is spent: do what its spec says that means."""
        means = member.spec.exhausted
        if means.gone:
            outcome = Outcome.GONE
        elif means.after_s is not None and member.rests is not None and member.rests.spend(self._crash(member, error)):
            outcome = Outcome.AGAIN
        else:
            outcome = Outcome.ESCALATED
        self.house.log.error(
            "restart limit reached", path=member.node.path or "root", outcome=outcome.value, why=str(error)
        )
        self.house.notify(BranchLimitReached(member.node.path, error.history, outcome))
        if outcome is Outcome.GONE:
            self._finish(member, Phase.GONE)
            return
        member.renew_budget()
        if outcome is Outcome.AGAIN:
            member.failures = 0
            self._restart(member, means.after_s or 0.0, State.BACKING_OFF)
        else:
            self._charge_branch(member, self._crash(member, error))

    def _finish(self, member: Member, phase: Phase) -> None:
        member.cancel_due()
        member.phase = phase
        member.node.close()
        if not member.static:
            self._strike_off(member)

    def _remove(self, member: Member) -> None:
        member.cancel_due()
        member.phase = Phase.GONE
        member.node.close()
        self._strike_off(member)
        if member.removed is not None:
            member.removed.set()

    def _strike_off(self, member: Member) -> None:
        if member in self._gathered:
            self._gathered.remove(member)
        if self.members.pop(member.spec.name, None) is not None:
            self.house.forget(member.node)

    # Restarting

    def _restart(self, member: Member, pause_s: float, state: State) -> None:
        member.node.state = state
        self.house.log.info("restarting", path=member.node.path or "root", after_s=round(pause_s, 3), state=state.value)
        if self.spec.strategy is Strategy.ONE_FOR_ONE:
            if pause_s <= 0:
                self._begin(member)
            else:
                member.due = self.house.deadlines.after(pause_s, lambda: self._begin(member))
            return
        members = list(self.members.values())
        first = 0 if self.spec.strategy is Strategy.ONE_FOR_ALL else members.index(member)
        self._gathered = [m for index, m in enumerate(members) if index >= first or m in self._gathered]
        self._gathered_due_s = max(self._gathered_due_s, self.house.deadlines.now_s() + pause_s)
        self._halting = list(self._gathered)
        self._queue.clear()
        self._starting = None
        self._group = frozenset(cell for member in self._gathered for cell in member.node.cells())
        for cell in self._group:
            cell.box.bar(self._group)
        self._gather()
        self._stall()

    def _gather(self) -> None:
        """Stop what runs of the group, last first; when nothing does and the time has come, start it, first first."""
        if self._mode is not _Mode.UP or self._stop_last(self._group):
            return
        for member in self._gathered:
            if member.phase is Phase.IDLE and member.node.state is State.STOPPED:
                member.node.state = State.RESTARTING
        left_s = self._gathered_due_s - self.house.deadlines.now_s()
        if left_s > 0:
            if self._gathered_wake is not None:
                self._gathered_wake.cancel()
            self._gathered_wake = self.house.deadlines.after(left_s, self._gather)
            return
        self._purge(self._group)
        self._queue.extend(member for member in self._gathered if member.phase is Phase.IDLE)
        self._forget_group()
        self._start_next()

    def _purge(self, group: frozenset[Cell]) -> None:
        for cell in group:
            cell.box.purge(group)

    def _forget_group(self) -> None:
        self._gathered = []
        self._group = frozenset()
        self._gathered_due_s = -math.inf
        if self._gathered_wake is not None:
            self._gathered_wake.cancel()
            self._gathered_wake = None

    def _crash(self, member: Member, error: BaseException) -> Crash:
        return Crash(member.node.path, member.node.incarnation, error, self.house.deadlines.now_s())

    def _backoff_s(self, member: Member) -> float:
        return member.next_pause_s(self.spec.backoff, self.house.world.entropy)

    # Stopping

    def _leave(self, exit: Exit, within: frozenset[Cell] | None) -> None:
        if self._mode is not _Mode.UP:
            return
        self._mode = _Mode.LEAVING
        self.state = State.STOPPING
        self._exit = exit
        self._leaving_within = within
        self._drop_plans()
        self._stop_next()

    def _drop_plans(self) -> None:
        self._forget_group()
        self._queue.clear()
        self._halting = list(self.members.values())
        for member in self.members.values():
            member.cancel_due()

    def _stop_next(self) -> None:
        if self._mode is not _Mode.LEAVING or self._stop_last(self._leaving_within):
            return
        self._mode = _Mode.IDLE
        self._starting = None
        self.state = State.STOPPED
        if self._exit.error is not None:
            self.last_error = self._exit.error
        self.keeper.ended(self._exit)

    def _stop_last(self, within: frozenset[Cell] | None) -> bool:
        """Stop the last of `_halting` that runs; False when none does."""
        while self._halting and not self._halting[-1].active:
            self._halting.pop()
        if not self._halting:
            return False
        last = self._halting[-1]
        if last.phase is not Phase.STOPPING:
            self._stop(last, within)
        return True

    def _stop(self, member: Member, within: frozenset[Cell] | None) -> None:
        member.phase = Phase.STOPPING
        if member.spec.shutdown_s is not None:
            member.kill_due = self.house.deadlines.after(member.spec.shutdown_s, member.node.kill)
        member.node.stop(within)

    def _report(self, member: Member, exit: Exit, was_asked: bool) -> None:
        node = member.node
        if self.house.observers and isinstance(member.spec, Child):
            self.house.notify(ChildExited(node.path, node.incarnation, exit.reason, exit.error))
        log = self.house.log
        level = log.info if was_asked or exit.reason is ExitReason.FINISHED else log.warning
        facts = {"path": node.path or "root", "incarnation": node.incarnation, "reason": exit.reason.value}
        if exit.error is not None:
            facts["error"] = repr(exit.error)
        if exit.reason is ExitReason.CRASHED and exit.error is not None:
            facts["trace"] = Trace(exit.error)
        level("exited", **facts)


class Top(Supervisor):
    """Above the root: has no budget, so that the root's RestartLimitExceeded comes out as it is; ends with the root."""

    def _finish(self, member: Member, phase: Phase) -> None:
        super()._finish(member, phase)
        self._leave(Exit(ExitReason.STOPPED), None)
