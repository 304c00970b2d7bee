"""What a supervisor knows of its children, be they actors or branches."""

from __future__ import annotations

from collections.abc import Iterator
from contextvars import Context
from typing import TYPE_CHECKING, Any, Protocol

import trio

from tbot_actors.kernel.deadlines import Deadlines
from tbot_actors.kernel.notices import Exit
from tbot_actors.kernel.snapshot import NodeSnapshot, State

if TYPE_CHECKING:
    from tbot_actors.kernel.cell import Cell
    from tbot_actors.kernel.dead_letters import DeadLetters
    from tbot_actors.kernel.mailbox import Pulse
    from tbot_actors.world import World


class Keeper(Protocol):
    """Told by a node what happens to it: its entry in the supervisor above."""

    def began(self) -> None:
        """The node has started."""

    def stalled(self) -> None:
        """The node cannot start for now, and goes on trying."""

    def ended(self, exit: Exit) -> None:
        """The node has ended, for whatever reason; nothing of it runs any more."""


class Node(Protocol):
    """One place in the tree. Orders are synchronous; what comes of them is told to the keeper, once each."""

    path: str
    state: State
    incarnation: int
    keeper: Keeper

    def start(self) -> None:
        """Start it afresh; then `keeper.began()` or `keeper.ended(...)`."""

    def stop(self, within: frozenset[Cell] | None) -> None:
        """Stop in order; then `keeper.ended(...)`. `send`s to it from `within` (None: from anybody) stop waiting."""

    def kill(self) -> None:
        """Cancel it; then `keeper.ended(...)`."""

    def close(self) -> None:
        """It will not be started again: its mail becomes dead letters."""

    def cells(self) -> Iterator[Cell]:
        """The actors at and below this place."""

    def snapshot(self, now_ns: int) -> NodeSnapshot:
        """Its state now."""


class House(Protocol):
    """What every node needs of the system it lives in."""

    world: World
    deadlines: Deadlines
    dead_letters: DeadLetters
    nursery: trio.Nursery
    context: Context
    """The context variables that every incarnation starts with."""
    log: Any
    pulse: Pulse
    observers: list[Cell]
    closing: bool
    """The whole system is being stopped."""

    @property
    def directory(self) -> Any:
        """Addresses by path."""

    def notify(self, notice: Any) -> None:
        """Tell the observers."""

    def forget(self, node: Node) -> None:
        """The node was struck off: its path is free."""

    def changed(self) -> None:
        """Some actor's state has changed; wakes `wait_ready`."""

    async def wait_ready(self, *paths: str, timeout_s: float) -> None:
        """Wait until all these are ready. Raises NotReady."""
