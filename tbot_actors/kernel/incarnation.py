"""One life of an actor: its task, from `started()` to its end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import trio
from attrs import frozen

from tbot_actors.kernel.actor import Actor
from tbot_actors.kernel.context import Context
from tbot_actors.kernel.current import HANDLING, SENDER
from tbot_actors.kernel.dead_letters import DeadLetterReason
from tbot_actors.kernel.errors import Unavailable
from tbot_actors.kernel.mailbox import Ask, Slot
from tbot_actors.kernel.notices import Down, Exit, ExitReason
from tbot_actors.kernel.snapshot import State

if TYPE_CHECKING:
    from tbot_actors.kernel.cell import Cell
    from tbot_actors.kernel.timers import Timer

BATCH_MAX = 64
"""Messages between two checkpoints: 94 % of the speed of 512; neighbours answer in twice their idle time, not 11x."""

NOTHING: Final = object()
"""In hand when no message is; None could be one."""

STOP: Final = object()
FINISH: Final = object()


@frozen(eq=False)
class CrashOrder:
    """Raise this inside the actor."""

    error: BaseException


class Incarnation:
    """`run` is the task. Whatever happens in it, the cell learns of its end exactly once."""

    __slots__ = (
        "_abort", "_actor", "_killed", "_nursery", "cell", "in_hand", "in_hook", "lives", "number", "ready", "timers",
        "watching",
    )  # fmt: skip

    def __init__(self, cell: Cell, number: int) -> None:
        self.cell = cell
        self.number = number
        self.lives = True
        self.ready = False
        self.in_hand: Any = NOTHING
        self.in_hook = True
        """In `started` or `stopping`."""
        self.timers: set[Timer] = set()
        self.watching: list[Cell] = []
        self._killed = False
        self._abort: BaseException | None = None
        self._nursery: trio.Nursery | None = None
        self._actor: Actor

    @property
    def background(self) -> trio.Nursery:
        """Where `context.spawn` puts its tasks."""
        assert self._nursery is not None
        return self._nursery

    def kill(self) -> None:
        """Cancel everything in it."""
        self._killed = True
        if self._nursery is not None:
            self._nursery.cancel_scope.cancel()

    def abort(self, error: BaseException) -> None:
        """Cancel everything in it, as a crash."""
        self._abort = error
        if self._nursery is not None:
            self._nursery.cancel_scope.cancel()

    def finish(self) -> None:
        """End in order after the message in hand."""
        if self.lives:
            self.cell.box.put_order(FINISH)

    def watch(self, other: Cell) -> None:
        """Be told of the other's deaths."""
        if other.state is State.GONE:
            self.cell.box.put_control(Down(other.path, other.incarnation, other.last_exit, gone=True), after=other)
        elif self.cell not in other.watchers:
            other.watchers[self.cell] = None
            self.watching.append(other)

    async def run(self) -> None:
        """Live, and end."""
        cell = self.cell
        SENDER.set(cell)
        HANDLING.set(cell)
        try:
            reason = await self._live()
        except trio.Cancelled:
            self._cut_off([])
            raise
        except GeneratorExit:
            raise
        except BaseException as error:  # noqa: BLE001 (the boundary: its supervisor decides what the error means)
            leaves = list(_leaves(error))
            failures = [leaf for leaf in leaves if not isinstance(leaf, trio.Cancelled)]
            if len(failures) < len(leaves):
                self._cut_off(failures)
                raise next(leaf for leaf in leaves if isinstance(leaf, trio.Cancelled)) from None
            self._end(_verdict(failures, self.ready))
        else:
            if self._abort is not None:
                self._end(Exit(ExitReason.CRASHED, self._abort, self.ready))
            else:
                self._end(Exit(ExitReason.KILLED if reason is None else reason, None, self.ready))

    async def _live(self) -> ExitReason | None:
        """How it ended; None when it was cancelled before it could end in order."""
        cell = self.cell
        ended: ExitReason | None = None
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            if self._killed or self._abort is not None:
                nursery.cancel_scope.cancel()
            actor = self._actor = cell.spec.start()
            if not isinstance(actor, cell.spec.actor):
                raise TypeError(f"{cell.path}: start returned {actor!r}, not a {cell.spec.actor.__qualname__}")
            actor.context = Context(self)
            await self._start(actor)
            reason = await self._serve(actor)
            await self._stop(actor)
            ended = reason
            nursery.cancel_scope.cancel()
        return ended

    async def _start(self, actor: Actor) -> None:
        cell = self.cell
        if type(actor).started is not Actor.started:
            deadline = cell.deadlines.after(cell.spec.start_s, lambda: cell.start_took_too_long(self))
            try:
                await actor.started()
            finally:
                deadline.cancel()
        self.in_hook = False
        if cell.state is State.STARTING:
            cell.enter(State.READY if self.ready else State.RUNNING)
        cell.keeper.began()

    async def _stop(self, actor: Actor) -> None:
        if type(actor).stopping is not Actor.stopping:
            self.in_hook = True
            self.cell.progress_ns = self.cell.box.now_ns()
            await actor.stopping()

    async def _serve(self, actor: Actor) -> ExitReason:
        """Handle messages until told to stop. The loop every message goes through: nothing in it that is not needed."""
        cell = self.cell
        box = cell.box
        user, control, rules, now_ns = box.user, box.control, box.all_rules, box.now_ns
        while True:
            for _ in range(BATCH_MAX):
                if control:
                    order = control.popleft()
                    if order is STOP:
                        return ExitReason.STOPPED
                    if order is FINISH:
                        return ExitReason.FINISHED
                    await self._obey(actor, order)
                elif user:
                    # One at a time: what stays in the shared deque survives a crash of this incarnation.
                    item = user.popleft()[0]
                    rule = rules.get(type(item))
                    if rule is None:
                        await self._serve_slot(actor, item)
                        continue
                    self.in_hand = item
                    cell.progress_ns = now_ns()
                    lane = rule.lane
                    if lane.waiting:
                        box.release(lane)
                    else:
                        lane.count -= 1
                    await rule.handler(actor, item)
                    self.in_hand = NOTHING
                    box.handled += 1
                else:
                    break
            if user or control:
                await trio.lowlevel.checkpoint()
            else:
                cell.progress_ns = now_ns()
                await box.wait()

    async def _serve_slot(self, actor: Actor, slot: Slot) -> None:
        box = self.cell.box
        if not slot.live:
            box.tombstones -= 1
            return
        self.in_hand = slot
        self.cell.progress_ns = box.now_ns()
        slot.leave(box)
        reply = await slot.rule.handler(actor, slot.message)
        if isinstance(slot, Ask):
            slot.answer(reply)
        self.in_hand = NOTHING
        box.handled += 1

    async def _obey(self, actor: Actor, order: Any) -> None:
        if isinstance(order, CrashOrder):
            raise order.error
        box = self.cell.box
        self.in_hand = order
        self.cell.progress_ns = box.now_ns()
        await box.all_rules[type(order)].handler(actor, order)
        self.in_hand = NOTHING
        box.handled += 1

    def _cut_off(self, failures: list[BaseException]) -> None:
        """Only a scope around the whole system can have cancelled this: there is nobody left to decide on a restart."""
        self._tidy_up(Exit(ExitReason.KILLED))
        self.cell.cut_off(failures)

    def _end(self, exit: Exit) -> None:
        self._tidy_up(exit)
        self.cell.ended(self, exit)

    def _tidy_up(self, exit: Exit) -> None:
        cell = self.cell
        self.lives = False
        for timer in list(self.timers):
            timer.cancel()
        for other in self.watching:
            other.watchers.pop(cell, None)
        cell.asking.clear()
        if self.in_hand is not NOTHING:
            reason = DeadLetterReason.KILLED if exit.reason is ExitReason.KILLED else DeadLetterReason.CRASHED
            cell.box.lose_in_hand(self.in_hand, reason, exit)
            self.in_hand = NOTHING


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for part in error.exceptions:
            yield from _leaves(part)
    else:
        yield error


def _verdict(failures: list[BaseException], was_ready: bool) -> Exit:
    """Anything besides an outage makes it a crash."""
    for failure in failures:
        if not isinstance(failure, Unavailable):
            return Exit(ExitReason.CRASHED, failure, was_ready)
    return Exit(ExitReason.UNAVAILABLE, failures[0], was_ready)
