"""The only way to a venue: sends what it is told once, and tells how it ended.

    SubmitOrder  ─┐  one bounded lane each, with its own slots      ┌─> SubmitOutcome
    CancelOrder  ─┤  (workers that wait for the venue; the handlers ├─> CancelOutcome
    QueryOrder   ─┤  never do)                                      ├─> QueryOutcome
    VenueState-  ─┘                                                 └─> VenueState
      Wanted

A request ends in exactly one outcome, or with the incarnation: then its sender gets Down, and what was sent is Unknown.
Rules with a reason live in admission.py; nothing here decides what an outcome means.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

import trio

from tbot_actors.domain.events import InstrumentDefined
from tbot_actors.domain.instruments import Instrument
from tbot_actors.domain.latch import Latch
from tbot_actors.domain.messages import (
    Append,
    Appended,
    AppendFailed,
    CancelOrder,
    CancelOutcome,
    CancelResult,
    ClockOffset,
    GatewayReady,
    NotSent,
    QueryOrder,
    QueryOutcome,
    SubmitOrder,
    SubmitOutcome,
    VenueState,
    VenueStateWanted,
)
from tbot_actors.kernel import BLOCK, Actor, Address, Down, Unavailable, conflate, handles
from tbot_actors.venues.admission import submit_barred
from tbot_actors.venues.dialect import ReadRefused, Session, UnreadableAnswer
from tbot_actors.venues.settings import GatewaySettings
from tbot_actors.venues.throttle import Use

R = TypeVar("R")
Lane = trio.MemorySendChannel[Any]
_CLOSE_S = 1.0
_QUERY_WEIGHT = 9
"""The order, and its trades."""
_STATE_WEIGHT = 100
"""About what reading a venue of a few instruments weighs."""
_FULL = "the gateway has no waiting place left"


class InstrumentsNotWritten(Exception):
    """The journal refuses the venue's instruments: nothing that follows from them can be trusted. Crash."""


class Gateway(Actor):
    """One venue, one account. Ready once logged in and its instruments are in the journal."""

    capacity = 2048

    def __init__(
        self,
        venue: str,
        open_session: Callable[[], Session],
        *,
        journal: Address,
        latch: Callable[[], Latch],
        settings: GatewaySettings,
        listeners: Sequence[Address],
    ) -> None:
        self._venue = venue
        self._open_session = open_session
        self._journal = journal
        self._latch = latch
        self._settings = settings
        self._listeners = listeners
        self._clock_offset: ClockOffset | None = None
        self._unwritten: Append | None = None

    async def started(self) -> None:
        """Log in. Raises Unavailable while the venue cannot be reached: an outage, not a crash."""
        self._clock = self.context.world.clock
        self._session = self._open_session()
        self.context.spawn(self._keep_session, name=f"{self.context.path}: session")
        instruments = await self._session.login()
        self._instruments = tuple(instrument.id for instrument in instruments)
        self._open_lanes()
        self.context.watch(self._journal)
        self._write(instruments)

    async def _keep_session(self) -> None:
        try:
            await trio.sleep_forever()
        finally:
            with trio.move_on_after(_CLOSE_S, shield=True):
                await self._session.aclose()

    def _open_lanes(self) -> None:
        s = self._settings
        self._submits = self._lane(self._submit, s.submit_slots, s.submits_waiting_max)
        self._cancels = self._lane(self._cancel, s.cancel_slots, s.cancels_waiting_max)
        self._queries = self._lane(self._query, s.query_slots, s.queries_waiting_max)
        self._states = self._lane(self._read_state, s.state_slots, s.states_waiting_max)

    def _lane(self, work: Callable[[R], Awaitable[None]], slots: int, waiting_max: int) -> trio.MemorySendChannel[R]:
        waiting: tuple[trio.MemorySendChannel[R], trio.MemoryReceiveChannel[R]]
        waiting = trio.open_memory_channel(waiting_max)
        for slot in range(slots):
            name = f"{self.context.path}: {getattr(work, '__name__', 'lane')} {slot}"
            self.context.spawn(_serve, waiting[1].clone(), work, name=name)
        waiting[1].close()
        return waiting[0]

    # The journal

    def _write(self, instruments: Sequence[Instrument]) -> None:
        now_ns = self._clock.wall_ns()
        events = tuple(InstrumentDefined(instrument, now_ns) for instrument in instruments)
        self._unwritten = Append(f"{self.context.path}/{now_ns}/instruments", events, self.context.address)
        self._journal.tell(self._unwritten)

    @handles(Appended)
    async def on_appended(self, message: Appended) -> None:
        """Instruments are durable before anybody is told that orders for them can be sent."""
        if self._unwritten is None or message.append_id != self._unwritten.append_id:
            return
        self._unwritten = None
        for listener in self._listeners:
            listener.tell(GatewayReady(self._venue, self.context.incarnation))
        self.context.ready()

    @handles(AppendFailed)
    async def on_append_failed(self, message: AppendFailed) -> None:
        raise InstrumentsNotWritten(message.why)

    @handles(Down)
    async def on_down(self, message: Down) -> None:
        """The journal restarted: what it has not confirmed is told again, and is written once."""
        if message.path == self._journal.path and self._unwritten is not None and not message.gone:
            self._journal.tell(self._unwritten)

    # Requests

    @handles(SubmitOrder, BLOCK, room=1024)
    async def on_submit(self, message: SubmitOrder) -> None:
        if not _offer(self._submits, message):
            message.reply_to.tell(SubmitOutcome(message.client_id, NotSent(_FULL)))

    @handles(CancelOrder, BLOCK, room=1024)
    async def on_cancel(self, message: CancelOrder) -> None:
        if not _offer(self._cancels, message):
            message.reply_to.tell(CancelOutcome(message.client_id, NotSent(_FULL)))

    @handles(QueryOrder, BLOCK, room=1024)
    async def on_query(self, message: QueryOrder) -> None:
        if not _offer(self._queries, message):
            asked_ns = self._clock.monotonic_ns()
            message.reply_to.tell(QueryOutcome(message.client_id, NotSent(_FULL), asked_ns))

    @handles(VenueStateWanted)
    async def on_state_wanted(self, message: VenueStateWanted) -> None:
        if not _offer(self._states, message):
            message.reply_to.tell(self._unread(message, _FULL))

    @handles(ClockOffset, conflate(lambda message: message.venue))
    async def on_clock_offset(self, message: ClockOffset) -> None:
        """How well the venue's clock is known; sessions have the offset itself already."""
        self._clock_offset = message

    # One request each: these run in the lanes' tasks

    async def _submit(self, order: SubmitOrder) -> None:
        # The last look before the bytes: what was true when the order came in may not be any more.
        barred = submit_barred(
            order,
            now_ns=self._clock.monotonic_ns(),
            latch=self._latch(),
            clock=self._clock_offset,
            wait_s=self._session.throttle.wait_s(Use.SUBMIT),
            settings=self._settings,
        )
        result = await self._session.submit(order) if barred is None else NotSent(barred)
        order.reply_to.tell(SubmitOutcome(order.client_id, result))

    async def _cancel(self, cancel: CancelOrder) -> None:
        result = await self._cancel_result(cancel)
        cancel.reply_to.tell(CancelOutcome(cancel.client_id, result))

    async def _cancel_result(self, cancel: CancelOrder) -> CancelResult:
        """Send; where the venue's rate limit is in the way, wait exactly as long as it says, and send again."""
        throttle, settings = self._session.throttle, self._settings
        result: CancelResult = NotSent("never tried")
        left_s = settings.cancel_wait_max_s
        for _ in range(settings.cancel_sends_max):
            while (wait_s := throttle.wait_s(Use.CANCEL)) > 0:
                if wait_s > left_s:
                    return NotSent(f"the venue's rate limit asks for another {wait_s:.1f} s")
                left_s -= wait_s
                await trio.sleep(wait_s)
            result = await self._session.cancel(cancel.client_id, cancel.instrument)
            if not (isinstance(result, NotSent) and throttle.barred_s(Use.CANCEL) > 0):
                break
        return result

    async def _query(self, query: QueryOrder) -> None:
        wait_s = self._session.throttle.wait_s(Use.READ, _QUERY_WEIGHT)
        asked_ns = self._clock.monotonic_ns()
        if wait_s > 0:
            result = NotSent(f"the venue's rate limit asks for {wait_s:.1f} s")
            query.reply_to.tell(QueryOutcome(query.client_id, result, asked_ns))
            return
        found = await self._session.query(query.client_id, query.instrument)
        query.reply_to.tell(QueryOutcome(query.client_id, found, asked_ns))

    async def _read_state(self, wanted: VenueStateWanted) -> None:
        """Open orders first, then trades, then balances: a fill in between is in what is read later."""
        read_ns = self._clock.monotonic_ns()
        session = self._session
        wait_s = session.throttle.wait_s(Use.READ, _STATE_WEIGHT)
        if wait_s > 0:
            wanted.reply_to.tell(self._unread(wanted, f"the venue's rate limit asks for {wait_s:.1f} s"))
            return
        try:
            orders = await session.open_orders(self._instruments)
            found = [await session.trades(name, after) for name, after in wanted.trades_after.items()]
            balances = await session.balances()
        except (Unavailable, ReadRefused, UnreadableAnswer) as error:
            wanted.reply_to.tell(self._unread(wanted, str(error)))
            return
        trades = tuple(trade for some in found for trade in some)
        state = VenueState(self._venue, wanted.token, orders, trades, balances, None, read_ns)
        wanted.reply_to.tell(state)

    def _unread(self, wanted: VenueStateWanted, why: str) -> VenueState:
        nothing: Mapping[str, Any] = {}
        return VenueState(self._venue, wanted.token, (), (), nothing, why, self._clock.monotonic_ns())


def _offer(lane: Lane, request: object) -> bool:
    try:
        lane.send_nowait(request)
    except trio.WouldBlock:
        return False
    return True


async def _serve(waiting: trio.MemoryReceiveChannel[R], work: Callable[[R], Awaitable[None]]) -> None:
    """One slot: one request after the other."""
    async for request in waiting:
        await work(request)
