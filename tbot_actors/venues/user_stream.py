"""Carries what happens to the account from the venue to the rooms. A report is never dropped: a full lane is a crash.

One incarnation is one connection; the way to a new one is Unavailable and the backoff. The connection's number is the
incarnation's, so a new number always means a gap before it, which the reconciler closes.
"""

from collections.abc import Callable, Sequence

import trio

from tbot_actors.domain.messages import Alarm, BalancesChanged, Cause, OrderReport, StreamState
from tbot_actors.kernel import Actor, Address, Unavailable
from tbot_actors.venues.dialect import Session, StreamEnding

_CLOSE_S = 1.0


class UserStream(Actor):
    """Ready while the stream is up."""

    def __init__(
        self,
        venue: str,
        open_session: Callable[[], Session],
        *,
        orders: Address,
        reconciler: Address,
        watchdog: Address,
        balance_listeners: Sequence[Address] = (),
    ) -> None:
        self._venue = venue
        self._open_session = open_session
        self._orders = orders
        self._reconciler = reconciler
        self._watchdog = watchdog
        self._balance_listeners = balance_listeners
        self._stopping = False

    async def started(self) -> None:
        """Down until connected: an earlier incarnation may have died without a word."""
        self._announce(up=False, detail="connecting")
        self.context.spawn(self._read, name=f"{self.context.path}: reading")

    async def stopping(self) -> None:
        """An orderly stop is no alarm."""
        self._stopping = True

    async def _read(self) -> None:
        session = self._open_session()
        try:
            async with session.user_stream() as items:
                self._announce(up=True, detail="subscribed")
                self.context.ready()
                async for item in items:
                    self._carry(item)
            raise Unavailable(f"the user stream of {self._venue} ended without a reason")
        finally:
            if not self._stopping:
                self._announce(up=False, detail="the connection ended")
            with trio.move_on_after(_CLOSE_S, shield=True):
                await session.aclose()

    def _carry(self, item: OrderReport | BalancesChanged | StreamEnding) -> None:
        match item:
            case OrderReport():
                self._orders.tell(item)
            case BalancesChanged():
                for listener in self._balance_listeners:
                    listener.tell(item)
            case StreamEnding(why):
                raise Unavailable(f"{self._venue} announced the end of the user stream: {why}")

    def _announce(self, *, up: bool, detail: str) -> None:
        self._reconciler.tell(StreamState(self._venue, up, self.context.incarnation))
        scope = f"venue:{self._venue}"
        self._watchdog.tell(Alarm(self.context.path, Cause.STREAM_DOWN, scope, active=not up, detail=detail))
