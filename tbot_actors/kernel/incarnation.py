"""One life of an actor: its task, from `started()` to its end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, Any

import trio

from tbot_actors.kernel.actor import Actor, Handling
from tbot_actors.kernel.context import Context
from tbot_actors.kernel.control import CrashOrder, Order, ShowOrder
from tbot_actors.kernel.current import HANDLING, SENDER
from tbot_actors.kernel.dead_letters import DeadLetterReason
from tbot_actors.kernel.errors import KernelError, StartTimeout, Unavailable
from tbot_actors.kernel.mailbox import Envelope
from tbot_actors.kernel.notices import Down, Exit, ExitReason, Ready
from tbot_actors.kernel.places import Ask, Slot
from tbot_actors.kernel.snapshot import State
from tbot_actors.kernel.tracing import Traced, TraceOutcome

if TYPE_CHECKING:
    from tbot_actors.kernel.cell import Cell
    from tbot_actors.kernel.timers import Timer

BATCH_MAX = 64
"""Messages between two checkpoints while nobody else is woken: 94 % of the speed of 512."""
BATCH_MIN = 4
"""Messages between two checkpoints while neighbours talk: their questions take less than twice their idle time."""
QUIET = 2
"""Batches during which nobody was woken before they grow: a question takes that many turns of the event loop."""


class Incarnation:
    """`run` is the task. Whatever happens in it, the cell learns of its end exactly once.

    Its background tasks run in the nursery of the system, so that an actor without any needs no nursery of its own,
    which would be a quarter of the cost of a restart. It is over when the last of them is, as it would be with one.
    """

    __slots__ = (
        "_background", "_failures", "_over", "_reason", "_scope", "cell", "in_hand", "in_hook", "lives", "number",
        "ready", "stashes", "timers", "watching",
    )  # fmt: skip

    def __init__(self, cell: Cell, number: int) -> None:
        self.cell = cell
        self.number = number
        self.lives = True
        self.ready = False
        self.in_hand: Envelope | None = None
        self.stashes = False
        """What is in hand goes to the stash. If the handler fails nevertheless, it was in hand: not redelivered."""
        self.in_hook = True
        """In `started` or `stopping`."""
        self.timers: dict[Timer, None] = {}
        self.watching: dict[Cell, None] = {}
        self._scope = trio.CancelScope()
        self._failures: tuple[BaseException, ...] = ()
        """What went wrong, in order of time."""
        self._background: dict[trio.CancelScope, None] = {}
        self._over = False
        """`run` is; background tasks may still be ending."""
        self._reason: ExitReason | None = None
        """How it ended in order; None when it failed, or was cancelled first."""

    def kill(self) -> None:
        """Cancel everything in it."""
        self._scope.cancel()

    def abort(self, error: BaseException) -> None:
        """Cancel everything in it, as a crash."""
        self._failures += (error,)
        self._scope.cancel()

    def spawn(self, async_fn: Callable[..., Awaitable[Any]], args: tuple[Any, ...], name: str) -> None:
        """Run a background task. Raises KernelError when this incarnation has ended."""
        if not self.lives:
            raise KernelError(f"{self.cell.path}: incarnation {self.number} has ended, it can spawn nothing")
        scope = trio.CancelScope()
        if self._over:
            scope.cancel()
        self._background[scope] = None
        self.cell.house.nursery.start_soon(self._run_background, scope, async_fn, args, name=name)

    def stash_in_hand(self, room: int) -> None:
        """Set the message in hand aside when its handler returns. Raises KernelError when there is none."""
        if self.in_hand is None or self.stashes or HANDLING.get() is not self.cell:
            raise KernelError(f"{self.cell.path}: only a handler can stash, and its message only once")
        self.cell.box.check_stash(self.in_hand, room)
        self.stashes = True

    def _set_aside(self) -> None:
        assert self.in_hand is not None
        self.cell.box.set_aside(self.in_hand)
        self.in_hand = None
        self.stashes = False

    def finish(self) -> None:
        """End in order after the message in hand."""
        if self.lives:
            self.cell.box.put_order(Order.FINISH)

    def watch(self, other: Cell) -> None:
        """Be told of the other's deaths."""
        if other.state is State.GONE:
            self.cell.box.put_control(Down(other.path, other.incarnation, other.last_exit, gone=True), after=other)
        elif self.cell not in other.watchers:
            other.watchers[self.cell] = None
            self.watching[other] = None
            if other.state is State.READY:
                self.cell.box.put_control(Ready(other.path, other.incarnation), after=other)

    async def run(self) -> None:
        """Live, and end."""
        cell = self.cell
        SENDER.set(cell)
        HANDLING.set(cell)
        try:
            with self._scope:
                actor = self._made()
                await self._start(actor)
                reason = await self._serve(actor)
                await self._stop(actor)
                self._reason = reason
        except trio.Cancelled as cancelled:
            self._failures += (cancelled,)
            self._end_of_run()
            raise
        except GeneratorExit:
            raise
        except BaseException as error:  # noqa: BLE001 (the boundary: its supervisor decides what the error means)
            self._failures += tuple(_leaves(error))
            if (inner := self._cancelled()) is not None:
                self._end_of_run()
                raise inner from None
        self._end_of_run()

    def _made(self) -> Actor:
        spec = self.cell.spec
        actor = spec.start()
        if not isinstance(actor, spec.actor):
            raise TypeError(f"{self.cell.path}: start returned {actor!r}, not a {spec.actor.__qualname__}")
        actor.context = Context(self)
        return actor

    async def _start(self, actor: Actor) -> None:
        cell = self.cell
        if type(actor).started is not Actor.started:
            deadline = cell.deadlines.after(cell.spec.start_s, self._start_took_too_long)
            try:
                await actor.started()
            finally:
                deadline.cancel()
        self.in_hook = False
        if cell.state is State.STARTING:
            cell.enter_running(self)
        cell.keeper.began()

    def _start_took_too_long(self) -> None:
        self.abort(StartTimeout(self.cell.path, self.cell.spec.start_s))

    async def _run_background(
        self, scope: trio.CancelScope, async_fn: Callable[..., Awaitable[Any]], args: tuple[Any, ...]
    ) -> None:
        HANDLING.set(None)
        try:
            with scope:
                await async_fn(*args)
        except trio.Cancelled as cancelled:
            self._failures += (cancelled,)
            self._end_of_background(scope)
            raise
        except GeneratorExit:
            raise
        except BaseException as error:  # noqa: BLE001 (the boundary: it is a failure of the incarnation)
            self._failures += tuple(_leaves(error))
            self._scope.cancel()
            if (inner := self._cancelled()) is not None:
                self._end_of_background(scope)
                raise inner from None
        self._end_of_background(scope)

    def _end_of_run(self) -> None:
        self._over = True
        for scope in list(self._background):
            scope.cancel()
        if not self._background:
            self._end()

    def _end_of_background(self, scope: trio.CancelScope) -> None:
        del self._background[scope]
        if self._over and not self._background:
            self._end()

    async def _stop(self, actor: Actor) -> None:
        if type(actor).stopping is not Actor.stopping:
            self.in_hook = True
            self.cell.progress_ns = self.cell.box.now_ns()
            await actor.stopping()

    async def _serve(self, actor: Actor) -> ExitReason:
        """Handle messages until told to stop. The loop every message goes through: nothing in it that is not needed."""
        cell = self.cell
        box = cell.box
        user, control, lanes, now_ns, pulse = box.user, box.control, box.lanes, box.now_ns, box.pulse
        wakes, quiet = pulse.wakes, 0
        while True:
            quiet = quiet + 1 if pulse.wakes == wakes else 0
            wakes = pulse.wakes
            for _ in range(BATCH_MAX if quiet > QUIET else BATCH_MIN):
                if control:
                    ended = await self._obey(actor, control.popleft())
                    if ended is not None:
                        return ended
                elif user:
                    # One at a time: what stays in the shared deque survives a crash of this incarnation.
                    envelope = user.popleft()
                    item = envelope[0]
                    rule = cell.plain_rules.get(type(item))
                    if rule is None:
                        await self._serve_slowly(actor, envelope)
                        continue
                    self.in_hand = envelope
                    cell.progress_ns = now_ns()
                    lane = lanes[rule.lane]
                    if lane.waiting:
                        box.release(lane)
                    else:
                        lane.count -= 1
                    await rule.handler(actor, item)
                    if self.stashes:
                        self._set_aside()
                    else:
                        self.in_hand = None
                        box.handled += 1
                else:
                    break
            if box.alarmed:
                box.calm()
            if user or control:
                await trio.lowlevel.checkpoint()
            else:
                cell.progress_ns = now_ns()
                await box.waking().wait()

    async def _serve_slowly(self, actor: Actor, envelope: Envelope) -> None:
        """The same for questions, timers, droppable messages, and everything that is traced."""
        box = self.cell.box
        item = envelope[0]
        if not isinstance(item, Slot):
            rule = box.all_rules[type(item)]
            box.release(box.lanes[rule.lane])
            await self._handle(actor, rule, item, envelope)
        elif not item.live:
            box.tombstones -= 1
        else:
            item.leave(box)
            reply = await self._handle(actor, item.rule, item.message, envelope)
            if isinstance(item, Ask) and not item.queued:
                item.answer(reply)

    async def _handle(self, actor: Actor, rule: Handling, message: Any, envelope: Envelope) -> Any:
        cell = self.cell
        self.in_hand = envelope
        cell.progress_ns = cell.box.now_ns()
        if cell.tracing is None:
            reply = await rule.handler(actor, message)
        else:
            reply = await self._handle_traced(actor, rule, message, envelope)
        if self.stashes:
            self._set_aside()
        else:
            self.in_hand = None
            cell.box.handled += 1
        return reply

    async def _handle_traced(self, actor: Actor, rule: Handling, message: Any, envelope: Envelope) -> Any:
        cell = self.cell
        sender, told_ns, taken_ns = envelope[1], envelope[2], cell.progress_ns
        reply, outcome = None, TraceOutcome.UNFINISHED
        try:
            reply = await rule.handler(actor, message)
            outcome = TraceOutcome.STASHED if self.stashes else TraceOutcome.HANDLED
        finally:
            if cell.tracing is not None:
                took_ns, path = cell.box.now_ns() - taken_ns, None if sender is None else sender.path
                waited_ns = max(0, taken_ns - told_ns)
                cell.tracing.add(Traced(message, path, self.number, taken_ns, waited_ns, took_ns, reply, outcome))
        return reply

    async def _obey(self, actor: Actor, order: Any) -> ExitReason | None:
        """Do what stands in the control lane; how the incarnation is to end, if it is."""
        if order is Order.STOP:
            return ExitReason.STOPPED
        if order is Order.FINISH:
            return ExitReason.FINISHED
        if order is Order.SUSPEND:
            return await self._hold(actor)
        if isinstance(order, Order):
            return None
        if isinstance(order, CrashOrder):
            raise order.error
        box = self.cell.box
        if isinstance(order, ShowOrder):
            _show(actor, order)
        else:
            await self._handle(actor, box.all_rules[type(order)], order, (order, None, box.now_ns()))
        return None

    async def _hold(self, actor: Actor) -> ExitReason | None:
        """Handle no message, not even a notice, until told to go on."""
        cell = self.cell
        if cell.state in (State.RUNNING, State.READY):
            cell.enter(State.SUSPENDED)
        while True:
            order = cell.box.next_order()
            if order is None:
                await cell.box.waking().wait()
            elif order is Order.RESUME:
                if cell.state is State.SUSPENDED:
                    cell.enter_running(self)
                return None
            elif order is not Order.SUSPEND:
                ended = await self._obey(actor, order)
                if ended is not None:
                    return ended

    def _cancelled(self) -> trio.Cancelled | None:
        """Only a scope around the whole system can have cancelled this: there is nobody left to decide on a restart."""
        return next((failure for failure in self._failures if isinstance(failure, trio.Cancelled)), None)

    def _end(self) -> None:
        cell = self.cell
        if self._cancelled() is not None:
            failures = [failure for failure in self._failures if not isinstance(failure, trio.Cancelled)]
            self._tidy_up(Exit(ExitReason.KILLED))
            cell.cut_off(failures)
            return
        if self._failures:
            exit = _verdict(self._failures, self.ready)
        else:
            exit = Exit(ExitReason.KILLED if self._reason is None else self._reason, None, self.ready)
        self._tidy_up(exit)
        cell.ended(self, exit)

    def _tidy_up(self, exit: Exit) -> None:
        cell = self.cell
        self.lives = False
        # Their tracebacks hold the frames that hold this.
        self._failures = ()
        for timer in list(self.timers):
            timer.cancel()
        for other in self.watching:
            other.watchers.pop(cell, None)
        cell.asking.clear()
        if self.in_hand is not None:
            reason = DeadLetterReason.KILLED if exit.reason is ExitReason.KILLED else DeadLetterReason.CRASHED
            cell.box.lose_in_hand(self.in_hand, reason, exit)
            self.in_hand = None


def _show(actor: Actor, order: ShowOrder) -> None:
    try:
        order.answer(actor.show())
    except Exception as error:  # noqa: BLE001 (it goes to whoever asked: looking at an actor must not crash it)
        order.fail(error)


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for part in error.exceptions:
            yield from _leaves(part)
    else:
        yield error


def _verdict(failures: tuple[BaseException, ...], was_ready: bool) -> Exit:
    """Anything besides an outage makes it a crash."""
    for failure in failures:
        if not isinstance(failure, Unavailable):
            return Exit(ExitReason.CRASHED, failure, was_ready)
    return Exit(ExitReason.UNAVAILABLE, failures[0], was_ready)
