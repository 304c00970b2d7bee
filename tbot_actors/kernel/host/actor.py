"""A process-hosted actor: its address, mailbox and supervision are here, its work is done by a worker process.

    class Clerks(ProcessActor):
        worker = "shop.clerk:Clerk"
        vocabulary = VOCABULARY
        on_order = forwards(Order)
        on_price = forwards(Price, conflate(lambda price: price.product))

    tell ──> mailbox (policies, conflation) ──> one request on the wire ──> worker ──> answer = reply to an ask
                                                        │
                                    killed, hung, too big, garbage, exception ──> this incarnation crashes

One message is with the worker at a time: it is the message in hand. The rest waits, and conflates, in the mailbox.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, ClassVar

from tbot_actors.kernel.actor import Actor, handles
from tbot_actors.kernel.host.frames import BadFrame
from tbot_actors.kernel.host.link import HostLimits, WorkerLink
from tbot_actors.kernel.host.vocabulary import Vocabulary
from tbot_actors.kernel.policy import BLOCK, Policy, conflate
from tbot_actors.world import FenceReport

__all__ = ["ProcessActor", "forwards"]


class _Idle:
    """Look whether the worker is there."""


class ProcessActor(Actor):
    """Subclass it: say which worker, which vocabulary, and with `forwards` what goes to it."""

    worker: ClassVar[str]
    """`module:Class` of this package or its libraries, or `path/to/file.py:Class`."""
    vocabulary: ClassVar[Vocabulary]
    """The worker's."""
    limits: HostLimits = HostLimits()
    argument: bytes = b""
    """What the worker's `started` is called with."""
    files: tuple[Path, ...] = ()
    """What it may read besides the libraries and its own file."""
    fenced: bool = True

    _link: WorkerLink | None = None

    async def started(self) -> None:
        """Start the process; raises WorkerFailed. Call it first where you override it."""
        self._link = await WorkerLink.open(
            self.context,
            self.worker,
            argument=self.argument,
            limits=self.limits,
            files=self.files,
            fenced=self.fenced,
        )
        self.context.every(self.limits.idle_check_s, _Idle())
        self.context.ready()

    async def stopping(self) -> None:
        """Let the worker end in order."""
        await self._linked.stop()

    @property
    def fence(self) -> FenceReport:
        """What is in force around the worker."""
        return self._linked.fence

    async def call(self, request: Any, *, timeout_s: float | None = None) -> Any:
        """The worker's answer to one request; for handlers, one at a time. Raises WorkerFailed."""
        link = self._linked
        data = await link.call(self.vocabulary.encode(request), timeout_s=timeout_s, what=type(request).__name__)
        try:
            return self.vocabulary.decode(data)
        except BadFrame as bad:
            raise link.reject(str(bad)) from None

    @property
    def _linked(self) -> WorkerLink:
        assert self._link is not None, "ProcessActor.started comes first"
        return self._link

    @handles(_Idle, conflate(lambda _: None))
    async def on_idle(self, message: _Idle) -> None:
        await self._linked.check()


def forwards(request: type, policy: Policy = BLOCK, *, room: int | None = None) -> Callable[..., Awaitable[Any]]:
    """A handler that hands `request` to the worker and returns its answer; policy and room as for `handles`."""

    async def forward(self: ProcessActor, message: Any) -> Any:
        return await self.call(message)

    forward.__qualname__ = forward.__name__ = f"forward_{request.__name__}"
    return handles(request, policy, room=room)(forward)
