"""An actor's place in the tree: its mailbox, its address, and whichever incarnation serves them now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial

from attrs import frozen

from tbot_actors.kernel.actor import Handling
from tbot_actors.kernel.address import Address
from tbot_actors.kernel.control import CrashOrder, Order, ShowOrder
from tbot_actors.kernel.errors import ActorDown, MailboxFull, Trace
from tbot_actors.kernel.incarnation import Incarnation
from tbot_actors.kernel.mailbox import NOTICES_MAX, Mailbox
from tbot_actors.kernel.node import House, Keeper
from tbot_actors.kernel.notices import Down, Exit, ExitReason, Ready
from tbot_actors.kernel.snapshot import NodeSnapshot, State
from tbot_actors.kernel.specs import Child
from tbot_actors.kernel.tracing import Tracing

NO_RULES: Mapping[type, Handling] = {}


@frozen
class _Death:
    incarnation: int
    reason: ExitReason


class Cell:
    """A Node (see node.py) for one actor."""

    __slots__ = (
        "_death", "address", "asking", "box", "deadlines", "house", "incarnation", "keeper", "last_error", "last_exit",
        "living", "path", "plain_rules", "progress_ns", "spec", "state", "tracing", "watchers",
    )  # fmt: skip

    keeper: Keeper

    def __init__(self, path: str, spec: Child, house: House) -> None:
        self.path = path
        self.spec = spec
        self.house = house
        self.deadlines = house.deadlines
        self.state = State.STARTING
        self.incarnation = 0
        self.living: Incarnation | None = None
        self.box = Mailbox(path, spec.actor, house)
        self.plain_rules = spec.actor.handlers
        """Of messages that are handled without further ado: none while the actor is traced."""
        self.tracing: Tracing | None = None
        self.address = Address(self)
        self.asking: list[Cell] = []
        """Actors whose replies the handler at work waits for: the edges of the graph in which ask cycles are found."""
        self.watchers: dict[Cell, None] = {}
        self.progress_ns = self.box.now_ns()
        self.last_error: BaseException | None = None
        self._death: _Death | None = None
        """A death the watchers have not been told of, because the supervisor is deciding what comes of it."""
        self.last_exit = ExitReason.STOPPED

    def start(self) -> None:
        self.incarnation += 1
        self.box.reopen()
        self.box.take_back()
        self.enter(State.STARTING)
        self.progress_ns = self.box.now_ns()
        self.living = Incarnation(self, self.incarnation)
        # Whoever brings the news of a death starts the next life: usually the dying task, whose context must not go on.
        self.house.context.run(partial(self.house.nursery.start_soon, self.living.run, name=self.path))

    def stop(self, within: frozenset[Cell] | None) -> None:
        self.enter(State.STOPPING)
        self.box.bar(within)
        self.box.put_order(Order.STOP, first=True)

    def kill(self) -> None:
        if self.living is not None:
            self.living.kill()

    def close(self) -> None:
        if self.state is State.GONE:
            return
        self.enter(State.GONE)
        self.box.close()
        if self._death is None:
            self._tell_watchers(_Death(self.incarnation, self.last_exit))

    def cells(self) -> Iterator[Cell]:
        yield self

    def crash(self, error: BaseException) -> None:
        """Raise `error` inside the actor, between two messages; if it is not running, when it is again."""
        self.box.put_order(CrashOrder(error))

    def trace(self, tracing: Tracing | None) -> None:
        """Trace from the next message on, in place of any other trace; None: no longer."""
        self.tracing = tracing
        self.plain_rules = self.spec.actor.handlers if tracing is None else NO_RULES

    def end_trace(self, tracing: Tracing) -> None:
        """If it is still this one."""
        if self.tracing is tracing:
            self.trace(None)

    def show(self, order: ShowOrder) -> None:
        """Ask the present incarnation, or the next, what it shows. Raises ActorDown or MailboxFull."""
        if self.state is State.GONE:
            raise ActorDown(self.path, self.last_exit)
        if len(self.box.control) >= NOTICES_MAX:
            raise MailboxFull(self.path, ShowOrder, NOTICES_MAX)
        self.box.put_order(order)

    def ended(self, incarnation: Incarnation, exit: Exit) -> None:
        """The incarnation is dead and tidied up: let the supervisor decide, then tell the watchers."""
        self.living = None
        self.box.forget_orders((Order.STOP, Order.FINISH))
        self.last_exit = exit.reason
        if exit.error is not None:
            self.last_error = exit.error
        self.enter(State.STOPPED)
        death = self._death = _Death(incarnation.number, exit.reason)
        self.keeper.ended(exit)
        self._death = None
        self._tell_watchers(death)

    def cut_off(self, failures: Sequence[BaseException]) -> None:
        """The system was cancelled from outside: nobody decides anything any more."""
        self.living = None
        self.state = State.STOPPED
        for failure in failures:
            self.last_error = failure
            self.house.log.error(
                "actor failed while it was cancelled", path=self.path, error=repr(failure), trace=Trace(failure)
            )

    def enter(self, state: State) -> None:
        """Change the state, and wake those who wait for one."""
        self.state = state
        self.house.changed()

    def enter_running(self, incarnation: Incarnation) -> None:
        """It handles messages; it is ready, if it says so."""
        if not incarnation.ready:
            self.enter(State.RUNNING)
            return
        self.enter(State.READY)
        for watcher in self.watchers:
            watcher.box.put_control(Ready(self.path, incarnation.number), after=self)

    def snapshot(self, now_ns: int) -> NodeSnapshot:
        numbers = self.box.statistics()
        living = self.living
        busy = living is not None and (living.in_hand is not None or living.in_hook)
        return NodeSnapshot(
            path=self.path,
            state=self.state,
            incarnation=self.incarnation,
            depth=numbers.depth,
            high_water=numbers.high_water,
            handled=numbers.handled,
            dropped=numbers.dropped,
            busy_for_ns=max(0, now_ns - self.progress_ns) if busy else 0,
            oldest_waiting_ns=numbers.oldest_waiting_ns,
            last_progress_ns=self.progress_ns,
            last_error=None if self.last_error is None else repr(self.last_error),
            stashed=numbers.stashed,
            alarmed=self.box.alarmed,
        )

    def _tell_watchers(self, death: _Death) -> None:
        gone = self.state is State.GONE
        notice = Down(self.path, death.incarnation, death.reason, gone)
        for watcher in self.watchers:
            watcher.box.put_control(notice, after=self)
        if gone:
            self.watchers.clear()
