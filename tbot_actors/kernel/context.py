"""What an actor is handed: its surroundings, for as long as the incarnation lives."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import structlog
import trio

from tbot_actors.kernel.address import Address, Directory
from tbot_actors.kernel.errors import KernelError, NotHandled
from tbot_actors.kernel.notices import Down
from tbot_actors.kernel.snapshot import State
from tbot_actors.kernel.timers import TIMERS_MAX, Timer

if TYPE_CHECKING:
    from tbot_actors.kernel.actor import Handling
    from tbot_actors.kernel.incarnation import Incarnation
    from tbot_actors.world import World


class Context:
    """Valid during one incarnation. Everything begun through it ends with that incarnation."""

    __slots__ = ("_incarnation", "_log", "address", "directory", "incarnation", "path", "world")

    def __init__(self, incarnation: Incarnation) -> None:
        cell = incarnation.cell
        self.path: str = cell.path
        self.incarnation: int = incarnation.number
        """1 for the first start."""
        self.address: Address = cell.address
        self.directory: Directory = cell.house.directory
        self.world: World = cell.house.world
        self._incarnation = incarnation
        self._log: Any = None

    @property
    def log(self) -> Any:
        """A structlog logger, bound to the path and the incarnation."""
        if self._log is None:
            self._log = structlog.get_logger("tbot").bind(actor=self.path, incarnation=self.incarnation)
        return self._log

    def spawn(self, async_fn: Callable[..., Awaitable[Any]], *args: Any, name: str | None = None) -> None:
        """Run a background task: this is where the outside is waited for.

        Its exception crashes the incarnation (Unavailable: an outage), the end of the incarnation cancels it. An `ask`
        from it does not hold the mailbox up.
        """
        self._incarnation.spawn(async_fn, args, name or f"{self.path}: {async_fn}")

    def after(self, delay_s: float, message: Any) -> Timer:
        """Send `message` to this actor in `delay_s` seconds. Raises NotHandled if it has no handler for it."""
        if not (delay_s >= 0):
            raise ValueError(f"a timer cannot be due {delay_s} s from now")
        return self._timer(delay_s, message, periodic=False)

    def every(self, period_s: float, message: Any) -> Timer:
        """Send `message` to this actor every `period_s` seconds, without drift; see Timer for late ticks."""
        if not (period_s > 0):
            raise ValueError(f"a period must be positive, not {period_s} s")
        return self._timer(period_s, message, periodic=True)

    def watch(self, address: Address) -> None:
        """Get a Down after each death of that actor, until this incarnation ends. At once if it is gone already.

        With a handler for Ready, get one each time that actor becomes ready; at once if it is. Raises NotHandled if
        this actor has no handler for Down.
        """
        self._rule(Down)
        self._incarnation.watch(address._cell)

    def ready(self) -> None:
        """Mark this actor ready: it may act. Ends with the incarnation."""
        incarnation = self._incarnation
        if incarnation.lives and not incarnation.ready:
            incarnation.ready = True
            if incarnation.cell.state is State.RUNNING:
                incarnation.cell.enter_running(incarnation)

    async def wait_ready(self, *addresses: Address, timeout_s: float) -> None:
        """Wait until all these actors are ready at the same time: in `started` or a background task, not in a handler.

        Raises NotReady after `timeout_s`, or as soon as one of them is gone.
        """
        await self._incarnation.cell.house.wait_ready(*(address.path for address in addresses), timeout_s=timeout_s)

    def stash(self) -> None:
        """Set the message in hand aside, in a handler: it waits, a question too, until `unstash` or the next start.

        Takes effect when the handler returns; if it fails after all, the message was in hand and is not redelivered.
        What is stashed belongs to the mailbox: it survives a crash, and is counted as waiting. Raises MailboxFull
        beyond `Actor.stash_room`, TypeError for a droppable class.
        """
        self._incarnation.stash_in_hand(self._incarnation.cell.spec.actor.stash_room)

    def unstash(self) -> None:
        """Put back what is stashed: it is handled next, in the order in which it came."""
        if self._incarnation.lives:
            self._incarnation.cell.box.take_back()

    async def stop_self(self) -> None:
        """Ask to be stopped in order, after the message in hand. PERMANENT actors are started again."""
        self._incarnation.finish()
        await trio.lowlevel.checkpoint()

    def _timer(self, delay_s: float, message: Any, *, periodic: bool) -> Timer:
        rule = self._rule(type(message))
        incarnation = self._incarnation
        if not incarnation.lives:
            raise KernelError(f"{self.path}: incarnation {self.incarnation} has ended, it can set no timer")
        if len(incarnation.timers) >= TIMERS_MAX:
            raise KernelError(f"{self.path} has {TIMERS_MAX} timers already; cancel those no longer needed")
        cell = incarnation.cell
        return Timer(cell.box, rule, message, cell.deadlines, incarnation.timers, delay_s, periodic=periodic)

    def _rule(self, message_type: type) -> Handling:
        rule = self._incarnation.cell.box.all_rules.get(message_type)
        if rule is None:
            raise NotHandled(self.path, message_type)
        return rule
