"""A running tree, and the door to it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from contextvars import copy_context
from typing import TYPE_CHECKING, Any

import structlog
import trio

from tbot_actors.kernel.address import Address, Directory
from tbot_actors.kernel.budget import RestartLimit
from tbot_actors.kernel.cell import Cell
from tbot_actors.kernel.control import Order, ShowOrder
from tbot_actors.kernel.dead_letters import DeadLetters
from tbot_actors.kernel.deadlines import Deadlines
from tbot_actors.kernel.errors import AskTimeout, NotReady, PathTaken, UnknownPath
from tbot_actors.kernel.mailbox import Pulse
from tbot_actors.kernel.member import Member
from tbot_actors.kernel.node import Node
from tbot_actors.kernel.notices import Exit
from tbot_actors.kernel.snapshot import State, TreeSnapshot
from tbot_actors.kernel.specs import Branch, Child, Strategy
from tbot_actors.kernel.supervisor import Supervisor, Top
from tbot_actors.kernel.tracing import Tracing

if TYPE_CHECKING:
    from tbot_actors.world import World

Tree = Branch | Callable[[Directory], Branch]


class System:
    """Made by `open_system`."""

    def __init__(self, root: Tree, world: World, observers: Sequence[str], nursery: trio.Nursery) -> None:
        self.world = world
        self.nursery = nursery
        self.context = copy_context()
        # Bound here: binding for each entry costs a tenth of a restart, and at import the log is not configured yet.
        self.log = structlog.get_logger("tbot.kernel").bind()
        self.pulse = Pulse()
        self.deadlines = Deadlines()
        self.dead_letters = DeadLetters()
        self.closing = False
        self.body = trio.CancelScope()
        self.failure: BaseException | None = None
        """What the root ended with; a RestartLimitExceeded, or the error of `crash("")`."""
        self.delivered = False
        """`wait_stopped` has raised the failure to somebody."""
        self.observers: list[Cell] = []
        """Who gets the notices of supervision."""
        self._cells: dict[str, Cell] = {}
        self._branches: dict[str, Supervisor] = {}
        self.directory = Directory(self._cells)
        self._stopped = trio.Event()
        self._stop_waiters = 0
        self._change: trio.Event | None = None
        spec = root if isinstance(root, Branch) else root(self.directory)
        self._top = Top("", Branch("top", Strategy.ONE_FOR_ONE, (spec,), RestartLimit(0, 1.0)), self)
        self._top.keeper = self
        self._root = self._build(self._top, spec, "", static=True).node
        self.observers = [self.directory[path]._cell for path in observers]

    # The door

    async def stop(self) -> None:
        """Stop everything in order: last started first, each within its `shutdown_s`, then killed.

        From inside an actor this waits for that very actor, which is then killed: let whoever runs the system call it.
        """
        self.closing = True
        self._top.stop(None)
        await self._stopped.wait()

    async def wait_stopped(self) -> None:
        """Wait for the end of the tree. Raises RestartLimitExceeded, a leaf, if it gave up."""
        self._stop_waiters += 1
        try:
            await self._stopped.wait()
        finally:
            self._stop_waiters -= 1
        if self.failure is not None:
            self.delivered = True
            raise self.failure

    async def wait_ready(self, *paths: str, timeout_s: float) -> None:
        """Wait until all these actors (of a branch: all in it; no path: all) are ready at the same time.

        Raises NotReady, which says what the others are doing, after `timeout_s` or as soon as one of them is gone.
        """
        cells = [cell for path in paths or ("",) for cell in self._node(path).cells()]
        with trio.move_on_after(timeout_s):
            while True:
                waiting = [cell for cell in cells if cell.state is not State.READY]
                if not waiting:
                    await trio.lowlevel.checkpoint()
                    return
                if self._stopped.is_set() or any(cell.state is State.GONE for cell in waiting):
                    break
                if self._change is None:
                    self._change = trio.Event()
                await self._change.wait()
        raise NotReady({cell.path: _doing(cell) for cell in cells if cell.state is not State.READY})

    def snapshot(self) -> TreeSnapshot:
        """The whole tree now."""
        now_ns = self.world.clock.monotonic_ns()
        return TreeSnapshot(self._root.snapshot(now_ns), now_ns, self.dead_letters.count)

    def crash(self, path: str, error: BaseException) -> None:
        """Raise `error` inside that actor, between two messages; a branch fails as a whole. Raises UnknownPath.

        An actor that does not run now crashes after its next start.
        """
        cell = self._cells.get(path)
        if cell is not None:
            cell.crash(error)
        else:
            self._branch(path).fail(error)

    def suspend(self, path: str) -> None:
        """Let that actor handle no message, after the one in hand, until `resume` or its end: its mail waits.

        It still obeys a stop, a crash and `show`. Applies to one incarnation. Raises UnknownPath.
        """
        self._actor(path).box.put_order(Order.SUSPEND)

    def resume(self, path: str) -> None:
        """Let a suspended actor go on; nothing happens to any other. Raises UnknownPath."""
        self._actor(path).box.put_order(Order.RESUME)

    async def show(self, path: str, *, timeout_s: float) -> Any:
        """What `Actor.show` returns, between two messages: also of an actor that is suspended or behind with its mail.

        Raises what `show` raises, AskTimeout, ActorDown when the actor is gone, UnknownPath.
        """
        cell, order = self._actor(path), ShowOrder()
        cell.show(order)
        try:
            with trio.move_on_after(timeout_s):
                await order.done.wait()
        finally:
            cell.box.forget_orders((order,))
        if not order.done.is_set():
            raise AskTimeout(path, ShowOrder, timeout_s, in_hand=False)
        if order.error is not None:
            raise order.error
        return order.value

    def trace(self, path: str, *, last: int = 100) -> Tracing:
        """Keep the `last` messages that actor takes in hand, until `stop`; in place of any other trace of it.

        Raises UnknownPath.
        """
        cell = self._actor(path)
        tracing = Tracing(last, cell.end_trace)
        cell.trace(tracing)
        return tracing

    async def start_child(self, branch_path: str, child: Child) -> Address:
        """Add an actor at the end of a branch. Its address can be used at once; its start is under way.

        Raises UnknownPath, PathTaken, or Stopped when the branch does not run.
        """
        branch = self._branch(branch_path)
        branch.check_up()
        member = self._build(branch, child, _join(branch_path, child.name), static=False)
        address = self._cells[member.node.path].address
        branch.start_child(member)
        await trio.lowlevel.checkpoint()
        return address

    async def stop_child(self, path: str) -> None:
        """Stop an actor or a branch in order, and strike it off: its path is free afterwards. Raises UnknownPath."""
        node = self._node(path)
        if node is self._root:
            raise ValueError("the root is stopped by `stop`")
        branch, member = next(
            (branch, member)
            for branch in self._branches.values()
            for member in branch.members.values()
            if member.node is node
        )
        await branch.stop_child(member).wait()

    # House (see node.py)

    def notify(self, notice: Any) -> None:
        """Tell the observers that have a handler for it."""
        for observer in self.observers:
            observer.box.put_control(notice)

    def changed(self) -> None:
        """Wake `wait_ready`."""
        if self._change is not None:
            self._change.set()
            self._change = None

    def forget(self, node: Node) -> None:
        """Free the paths of a node that was struck off."""
        for cell in list(node.cells()):
            self._cells.pop(cell.path, None)
        if node.path in self._branches:
            for path in [p for p in self._branches if p == node.path or p.startswith(f"{node.path}/")]:
                del self._branches[path]

    # Keeper (see node.py) of the top

    def began(self) -> None:
        """Nothing waits for it."""

    def stalled(self) -> None:
        """Nothing waits for it."""

    def ended(self, exit: Exit) -> None:
        """The whole tree has ended."""
        self.failure = exit.error
        self._stopped.set()
        self.changed()
        if self.failure is not None and not self._stop_waiters:
            self.body.cancel()

    # Life

    def start(self) -> None:
        """Start the tree."""
        self.nursery.start_soon(self.deadlines.run, name="kernel deadlines")
        self._top.start()

    def close(self) -> None:
        """Nothing runs any more: nobody who waits for something of it may go on waiting."""
        self.closing = True
        for cell in self._cells.values():
            cell.close()
        for branch in [self._top, *self._branches.values()]:
            for member in branch.members.values():
                if member.removed is not None:
                    member.removed.set()
        self.dead_letters.close()
        self._stopped.set()
        self.changed()

    def _build(self, branch: Supervisor, spec: Child | Branch, path: str, *, static: bool) -> Member:
        if path in self._cells or path in self._branches:
            raise PathTaken(path)
        if isinstance(spec, Child):
            cell = Cell(path, spec, self)
            member = branch.adopt(spec, cell, static=static)
            self._cells[path] = cell
            return member
        below = Supervisor(path, spec, self)
        member = branch.adopt(spec, below, static=static)
        self._branches[path] = below
        place = path.rpartition("/")[0] if spec.inline else path
        for child in spec.children:
            self._build(below, child, _join(place, child.name), static=static)
        return member

    def _actor(self, path: str) -> Cell:
        return self.directory[path]._cell

    def _node(self, path: str) -> Cell | Supervisor:
        return self._cells.get(path) or self._branch(path)

    def _branch(self, path: str) -> Supervisor:
        branch = self._branches.get(path)
        if branch is None:
            raise UnknownPath(path, [*self._cells, *self._branches])
        return branch


@asynccontextmanager
async def open_system(root: Tree, world: World, *, observers: Sequence[str] = ()) -> AsyncIterator[System]:
    """Run a tree for the length of an `async with`.

    `root` is the tree, or a function that makes it from the directory, in which actors that start find each other's
    addresses (there are none yet when it is called). All addresses exist before the first start. `observers` are paths
    of actors which get ChildExited, ChildRestarted and BranchLimitReached (those of them they have handlers for).
    Leaving the block stops the tree in order; cancelling it from outside kills the tree. When the root gives up, the
    block is cancelled and RestartLimitExceeded raised from it, unless `wait_stopped` has raised it already. Raises
    UnknownPath for an observer that is not in the tree.
    """
    failure: Exception | None = None
    system: System | None = None
    try:
        async with trio.open_nursery() as nursery:
            system = System(root, world, observers, nursery)
            system.start()
            try:
                with system.body:
                    yield system
            except Exception as error:  # noqa: BLE001 (raised again below, when the tree has stopped)
                failure = error
            await system.stop()
            nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        raise _leaf(group) from None
    finally:
        if system is not None:
            system.close()
    if failure is not None:
        raise failure
    if system.failure is not None and not system.delivered:
        raise system.failure


def _leaf(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The one thing that went wrong, without the nursery's wrapping; the group if there are several."""
    _, rest = group.split(trio.Cancelled)
    found: BaseException = group if rest is None else rest
    while isinstance(found, BaseExceptionGroup) and len(found.exceptions) == 1:
        found = found.exceptions[0]
    return found


def _join(branch_path: str, name: str) -> str:
    return f"{branch_path}/{name}" if branch_path else name


def _doing(cell: Cell) -> str:
    error = "" if cell.last_error is None else f", last error {cell.last_error!r}"
    return f"{cell.state.value}{error}"
