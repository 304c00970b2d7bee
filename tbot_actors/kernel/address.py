"""What others hold of an actor. It owns the mailbox and outlives incarnations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import trio

from tbot_actors.kernel.current import HANDLING, SENDER
from tbot_actors.kernel.errors import AskCycle, Stopped, UnknownPath
from tbot_actors.kernel.mailbox import MailboxStatistics
from tbot_actors.kernel.policy import PolicyKind
from tbot_actors.kernel.snapshot import State

if TYPE_CHECKING:
    from tbot_actors.kernel.cell import Cell


class Address(trio.abc.SendChannel[Any]):
    """Messages from one sender arrive in the order in which it sent them, over any number of incarnations."""

    __slots__ = ("_box", "_cell", "path")

    def __init__(self, cell: Cell) -> None:
        self.path: str = cell.path
        self._cell = cell
        self._box = cell.box

    def tell(self, message: Any) -> None:
        """Leave a message; never waits.

        Raises MailboxFull when its class is BLOCK or REJECT and has no room. A message for an actor that is gone for
        good, or that has no handler for it, becomes a dead letter.
        """
        box = self._box
        rule = box.rules.get(type(message))
        if rule is None:
            box.refuse(message)
            return
        lane = box.lanes[rule.lane]
        if lane.places is not None:
            box.put_droppable(rule, lane, message)
        else:
            if lane.count >= lane.room:
                raise box.full(message, lane)
            lane.count += 1
            # What `Mailbox.append` does, without the call: this is the path of nearly every message.
            user = box.user
            user.append((message, SENDER.get(), box.now_ns()))
            box.told += 1
            depth = len(user) - box.tombstones
            if depth > box.noted_depth:
                box.note(depth)
            if box.wake_event is not None:
                box.wake()

    async def send(self, message: Any) -> None:
        """Leave a message, waiting for room if its class is BLOCK. Only ever points down the flow.

        Raises Stopped when the target is gone, or is stopped while this waits (in a restart of a group: only for
        members of that group, others go on waiting), and MailboxFull for a REJECT class.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        box = self._box
        if box.closed:
            raise Stopped(self.path)
        rule = box.rules.get(type(message))
        if rule is not None and rule.policy.kind is PolicyKind.BLOCK:
            lane = box.lanes[rule.lane]
            if lane.count >= lane.room:
                await box.wait_for_room(lane, message)
                return
        self.tell(message)
        await trio.lowlevel.cancel_shielded_checkpoint()

    async def ask(self, message: Any, *, timeout_s: float) -> Any:
        """The return value of the handler.

        Raises AskTimeout (a queued question was withdrawn, one in hand may still take effect: its late reply is
        dropped), ActorDown when the callee dies with it in hand or is gone, AskCycle when the callee waits for the
        asker, MailboxFull and NotHandled at once. A queued question stays queued over a restart of the callee.
        """
        asker = HANDLING.get()
        if asker is not None:
            _refuse_cycle(asker, self._cell)
        ask = self._box.put_ask(message, timeout_s)
        deadline = self._cell.deadlines.after(timeout_s, ask.expire)
        if asker is not None:
            asker.asking.append(self._cell)
        try:
            await ask.done.wait()
        finally:
            deadline.cancel()
            if asker is not None:
                asker.asking.remove(self._cell)
            if not ask.settled:
                ask.abandon()
        if ask.error is not None:
            raise ask.error
        return ask.value

    def statistics(self) -> MailboxStatistics:
        """The mailbox in numbers."""
        return self._box.statistics()

    @property
    def state(self) -> State:
        """What the actor is doing now; for a choice per message whether to queue or to fail."""
        return self._cell.state

    @property
    def ready(self) -> bool:
        """Its present incarnation has called `context.ready()`."""
        return self._cell.state is State.READY

    async def aclose(self) -> None:
        """Does nothing: an address is shared, and lives as long as the actor's place in the tree."""
        await trio.lowlevel.checkpoint()

    def __repr__(self) -> str:
        return f"<Address {self.path} {self._cell.state.value}>"


class Directory(Mapping[str, Address]):
    """All addresses of a system, by path."""

    def __init__(self, cells: Mapping[str, Cell]) -> None:
        self._cells = cells

    def __getitem__(self, path: str) -> Address:
        """The address at `path`. Raises UnknownPath, which lists what exists."""
        cell = self._cells.get(path)
        if cell is None:
            raise UnknownPath(path, self._cells)
        return cell.address

    def __contains__(self, path: object) -> bool:
        return path in self._cells

    def __iter__(self) -> Iterator[str]:
        return iter(self._cells)

    def __len__(self) -> int:
        return len(self._cells)


def _refuse_cycle(asker: Cell, callee: Cell) -> None:
    trail = _trail(callee, asker, [callee])
    if trail is not None:
        raise AskCycle([asker.path, *(cell.path for cell in trail)])


def _trail(start: Cell, goal: Cell, trail: list[Cell]) -> list[Cell] | None:
    if start is goal:
        return trail
    for callee in start.asking:
        found = _trail(callee, goal, [*trail, callee]) if callee not in trail else None
        if found is not None:
            return found
    return None
