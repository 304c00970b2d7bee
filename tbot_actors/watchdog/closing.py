"""Cancel, settle, close, confirm: the one procedure behind the stop protocol and every flatten.

It runs beside the watchdog's mailbox, with sessions of its own, in passes over each venue until nothing is left to do:

    open orders of ours? ──▶ cancel them, next pass
    orders of unknown end? ─▶ ask for them
    position left? ─────────▶ one immediate-or-cancel order, wait for what it did, next pass
    nothing, by two passes, for `flat_hold_s` ──▶ flat

Nothing is remembered between runs but what the journal and the venue say, so a run that died is simply begun again.
"""

from collections.abc import Awaitable, Callable, Mapping
from decimal import Decimal
from typing import Any

import trio
from attrs import define, field, frozen

from tbot_actors.domain.events import OrderCommitted, Verdict
from tbot_actors.domain.ids import parse_client_id
from tbot_actors.domain.instruments import Instrument, InstrumentId, Side
from tbot_actors.domain.intents import IntentKey, OrderType, TimeInForce
from tbot_actors.domain.market import EventId
from tbot_actors.domain.messages import (
    Absent,
    Balance,
    CancelOutcome,
    Mailbox,
    NotSent,
    OrderReport,
    QueryOutcome,
    Refused,
    StopReport,
    SubmitOrder,
    SubmitOutcome,
    VenueFacts,
)
from tbot_actors.domain.money import ZERO, plain
from tbot_actors.domain.orders import Order, OrderState
from tbot_actors.kernel import MailboxFull, Unavailable
from tbot_actors.venues.dialect import ReadRefused, Session, UnreadableAnswer
from tbot_actors.watchdog.books import Books
from tbot_actors.watchdog.flatten import Close, Holding, Rest, plan_close
from tbot_actors.watchdog.settings import WatchdogSettings
from tbot_actors.watchdog.sight import Sight
from tbot_actors.watchdog.wants import Extent, Wants, extent_for, widest_at
from tbot_actors.world import Clock

CLOSE_KEY = "safety/close"
"""No strategy's own key: one working order per key would otherwise hide the strategy's behind ours."""
_NS = 1_000_000_000
_LEAVE_WITHIN_S = 2.0

Outcome = SubmitOutcome | CancelOutcome | QueryOutcome | VenueFacts


@frozen
class Surroundings:
    """What a run works with; the watchdog's own state, as it is at each moment."""

    bot: str
    account: str
    me: Mailbox
    orders: Mailbox
    clock: Clock
    settings: WatchdogSettings
    log: Any
    books: Books
    wants: Callable[[], Wants]
    books_ready: Callable[[], bool]
    """The journal is read: positions are known."""
    next_id: Callable[[], str]
    commit: Callable[[OrderCommitted], Awaitable[bool]]
    """Journals the row and reads it back; False when that takes longer than a closing order waits."""


@frozen
class VenueLeft:
    """What a run left at one venue."""

    flat: bool
    open_orders: int
    left: Mapping[InstrumentId, Decimal]
    detail: str


async def close_all(around: Surroundings, open_sessions: Mapping[str, Callable[[], Session]]) -> StopReport:
    """Do what is wanted at every venue at once. Trouble of a venue is not raised: it is in the report."""
    results: dict[str, VenueLeft] = {}

    async def at_venue(venue: str, open_session: Callable[[], Session]) -> None:
        session = open_session()
        try:
            results[venue] = await _VenueRun(around, venue, session).finish()
        finally:
            with trio.move_on_after(_LEAVE_WITHIN_S, shield=True):
                await session.aclose()

    async with trio.open_nursery() as nursery:
        for venue, open_session in open_sessions.items():
            if widest_at(around.wants(), venue) is not Extent.NOTHING:
                nursery.start_soon(at_venue, venue, open_session)
    left = {name: quantity for result in results.values() for name, quantity in result.left.items()}
    return StopReport(
        flat=all(result.flat for result in results.values()),
        open_orders=sum(result.open_orders for result in results.values()),
        left=left,
        detail="; ".join(f"{venue}: {results[venue].detail}" for venue in sorted(results) if results[venue].detail),
    )


@define
class _VenueRun:
    around: Surroundings
    venue: str
    session: Session
    sight: Sight = field(init=False)
    instruments: dict[InstrumentId, Instrument] = field(factory=dict)
    open_count: int | None = None
    """Orders of ours at the last look; None before the first one."""
    going_count: int = 0
    """Those of them that are wanted gone."""
    ends_ns: int = 0
    references: dict[InstrumentId, Decimal] = field(factory=dict)
    attempts: dict[tuple[str, InstrumentId], int] = field(factory=dict)
    stuck: dict[tuple[str, InstrumentId], Rest] = field(factory=dict)
    dust: dict[tuple[str, InstrumentId], Decimal] = field(factory=dict)
    quiet_since_ns: int | None = None
    trouble: str = ""

    def __attrs_post_init__(self) -> None:
        settings = self.around.settings
        self.sight = Sight(
            self.venue,
            self.around.account,
            self.around.books,
            int(settings.settle_s * _NS),
            int(settings.second_look_s * _NS),
        )

    async def finish(self) -> VenueLeft:
        """Pass over the venue until nothing is left to do or the time is up."""
        settings = self.around.settings
        self.ends_ns = self._now_ns() + int(settings.run_s * _NS)
        while self._now_ns() < self.ends_ns:
            try:
                if await self._pass():
                    return self._result(done=True)
                self.trouble = ""
            except (Unavailable, ReadRefused, UnreadableAnswer) as error:
                self.trouble, self.quiet_since_ns = str(error) or repr(error), None
                self.around.log.warning("safety cannot read the venue", venue=self.venue, why=self.trouble)
            await trio.sleep(settings.pass_every_s)
        return self._result(done=False)

    async def _pass(self) -> bool:
        """One look at everything, and what follows from it. True when the run is over."""
        if not self.instruments:
            self.instruments = {instrument.id: instrument for instrument in await self.session.login()}
        quiet = not await self._cancel_open()
        if widest_at(self.around.wants(), self.venue) >= Extent.ORDERS:
            quiet = not await self._ask_for_doubtful() and quiet
        if widest_at(self.around.wants(), self.venue) is Extent.POSITIONS:
            quiet = await self._close_positions() and quiet
        self._tell_trades()
        return self._confirmed(quiet)

    def _confirmed(self, quiet: bool) -> bool:
        """Whether two looks, far enough apart, found nothing to do."""
        now_ns = self._now_ns()
        if not quiet:
            self.quiet_since_ns = None
        elif self.quiet_since_ns is None:
            self.quiet_since_ns = now_ns
        elif now_ns - self.quiet_since_ns >= self._hold_ns():
            return True
        return False

    def _hold_ns(self) -> int:
        closes = widest_at(self.around.wants(), self.venue) is Extent.POSITIONS
        return int(self.around.settings.flat_hold_s * _NS) if closes else 1

    # Orders

    async def _cancel_open(self) -> bool:
        """Cancel what is wanted gone of ours, all at once. True when there was any."""
        reports = await self.session.open_orders(tuple(self.instruments))
        ours = [report for report in reports if parse_client_id(report.client_id, self.around.bot) is not None]
        self.open_count = len(ours)
        for report in ours:
            self.sight.reported(report)
        going = [report for report in ours if self._goes(report)]
        self.going_count = len(going)
        async with trio.open_nursery() as nursery:
            for report in going:
                nursery.start_soon(self._cancel, report)
        return bool(going)

    def _goes(self, report: OrderReport) -> bool:
        order = self.around.books.blotter.get(report.client_id)
        extent = extent_for(self.around.wants(), self.venue, None if order is None else order.strategy)
        return extent >= Extent.ORDERS or (extent is Extent.ENTRIES and not (order is not None and order.reduces))

    async def _cancel(self, report: OrderReport) -> None:
        result = await self.session.cancel(report.client_id, report.instrument)
        if isinstance(result, OrderReport):
            self.sight.reported(result)
            self._tell_orders(CancelOutcome(report.client_id, result))
        else:
            # Refused: it ended meanwhile. Lost, not sent: perhaps not. Either way the next look tells.
            self.around.log.info("a cancel of safety gave no end", client_id=report.client_id, result=repr(result))

    async def _ask_for_doubtful(self) -> bool:
        """Ask for every order whose end is not known. True while there is one."""
        async with trio.open_nursery() as nursery:
            for order in self._doubtful():
                nursery.start_soon(self._ask_for, order)
        return bool(self._doubtful())

    async def _ask_for(self, order: Order) -> None:
        asked_ns = self._now_ns()
        result = await self.session.query(order.client_id, order.instrument)
        if isinstance(result, OrderReport):
            self.sight.reported(result)
        elif isinstance(result, Absent):
            self.sight.absent(order.client_id, asked_ns)
        else:
            return
        # Evidence is evidence, whoever asked: where the rate limit leaves reads to safety alone, orders learns it here.
        self._tell_orders(QueryOutcome(order.client_id, result, asked_ns))

    def _doubtful(self) -> list[Order]:
        wants = self.around.wants()
        return [
            order
            for order in self.sight.doubtful(self._now_ns())
            if extent_for(wants, self.venue, order.strategy) >= Extent.ORDERS
        ]

    # Positions

    async def _close_positions(self) -> bool:
        """Close what is wanted closed. True when nothing of it is left, or nothing more can be done about it."""
        if not self.around.books_ready():
            return False
        await self._read_trades()
        balances = await self.session.balances()
        self.dust.clear()
        self.stuck.clear()
        quiet = True
        for strategy, name in self.sight.holders():
            if not self._closes(strategy):
                continue
            if self._now_ns() >= self.ends_ns:
                return False
            instrument = self.instruments.get(name, self.around.books.inventory.instruments[name])
            plan = plan_close(await self._holding(strategy, instrument, balances), self.around.settings)
            quiet = await self._follow(strategy, instrument, plan) and quiet
        return quiet

    async def _follow(self, strategy: str, instrument: Instrument, plan: Close | Rest) -> bool:
        """Do what the plan says. True when there is nothing more to do about this position in this run."""
        name = (strategy, instrument.id)
        if plan is Rest.DUST:
            self.dust[name] = self.sight.position(*name)
            return True
        if plan is Rest.OVERSOLD:
            self.stuck[name] = plan
            return True
        if plan is Rest.COMMITTED:
            return False
        spent = self.attempts.get(name, 0) >= self.around.settings.attempts_max
        self.attempts[name] = self.attempts.get(name, 0) + 1
        if isinstance(plan, Close) and not spent:
            await self._send(plan)
            return False
        self.stuck[name] = plan if isinstance(plan, Rest) else Rest.SPENT
        return spent

    async def _holding(self, strategy: str, instrument: Instrument, balances: Mapping[str, Balance]) -> Holding:
        held = self.sight.position(strategy, instrument.id)
        side = Side.SELL if held > ZERO else Side.BUY
        best = await self._best(instrument.id, side)
        if best is not None:
            self.references.setdefault(instrument.id, best)
        return Holding(
            strategy=strategy,
            instrument=instrument,
            held=held,
            committed=self.sight.closing(strategy, instrument.id, side),
            free=balances.get(instrument.base, Balance(ZERO, ZERO)).free if instrument.spot else None,
            best=best,
            reference=self.references.get(instrument.id),
            attempt=self.attempts.get((strategy, instrument.id), 0),
        )

    async def _best(self, name: InstrumentId, side: Side) -> Decimal | None:
        """The best price that an order of `side` would meet."""
        try:
            book = await self.session.depth_snapshot(name)
        except ReadRefused as refused:
            # A market that is gone must not keep the others from being closed.
            self.around.log.error("no price", instrument=name, why=refused.why)
            return None
        levels = book.bids if side is Side.SELL else book.asks
        return levels[0][0] if levels else None

    async def _read_trades(self) -> None:
        """Take in the venue's trades of everything that may be held. Orders books them: it is told of them."""
        books = self.around.books
        before_ns = self.around.clock.wall_ns() - int(self.around.settings.trades_overlap_s * _NS)
        for name in self.instruments:
            after = books.trades_after(name, before_ns)
            # Without a fill yet, every trade of ours is of an order that is asked for itself.
            if after is not None:
                self.sight.traded(await self.session.trades(name, after))

    async def _send(self, close: Close) -> None:
        """Journal it, send it, and take in what it did."""
        around = self.around
        event = _committed(close, around, self.attempts[close.strategy, close.instrument.id])
        if not await around.commit(event):
            around.log.error("closing before the journal has it: it does not answer", client_id=event.client_id)
        self.sight.sent(event)
        if not self._still_ours(close):
            self.sight.not_there(event.client_id)
            self._tell_orders(SubmitOutcome(event.client_id, NotSent("another order closes the position")))
            return
        result = await self.session.submit(
            SubmitOrder(
                client_id=event.client_id,
                instrument=event.instrument,
                side=event.side,
                type=event.type,
                time_in_force=event.time_in_force,
                quantity=event.quantity,
                price=event.price,
                reduces=event.reduces,
                not_after_ns=self._now_ns() + int(around.settings.send_within_s * _NS),
                reply_to=around.me,
            )
        )
        around.log.warning(
            "closing",
            client_id=event.client_id,
            quantity=plain(close.quantity),
            price=plain(close.price),
            result=repr(result),
        )
        if isinstance(result, OrderReport):
            self.sight.reported(result)
        elif isinstance(result, NotSent) or (isinstance(result, Refused) and not result.already_there):
            self.sight.not_there(event.client_id)
        self._tell_orders(SubmitOutcome(event.client_id, result))

    def _still_ours(self, close: Close) -> bool:
        """Whether the position can hold this order beside all that were journaled before it, meanwhile too."""
        held = self.sight.position(close.strategy, close.instrument.id)
        closing = self.sight.closing(close.strategy, close.instrument.id, close.side)
        return -held * close.side.sign >= closing

    # Telling

    def _tell_trades(self) -> None:
        """What the journal does not have yet. Orders books it, and asks for the ends of our orders by itself."""
        trades = self.sight.unbooked_trades()
        if trades:
            self._tell_orders(VenueFacts((), trades, (), ()))

    def _tell_orders(self, outcome: Outcome) -> None:
        try:
            self.around.orders.tell(outcome)
        except MailboxFull:
            self.around.log.warning("orders has no room for what safety did; its own look tells it")

    # The end

    def _result(self, *, done: bool) -> VenueLeft:
        books, wants = self.around.books, self.around.wants()
        left: dict[InstrumentId, Decimal] = {}
        for strategy, name in self.sight.holders():
            left[name] = left.get(name, ZERO) + self.sight.position(strategy, name)
        whys = [f"{strategy} {name}: {why.value}" for (strategy, name), why in self.stuck.items()]
        if not done:
            doubtful = ", ".join(order.client_id for order in self._doubtful())
            whys += [f"not done within {self.around.settings.run_s} s", *([f"unknown: {doubtful}"] if doubtful else [])]
        if self.trouble:
            whys.append(f"the venue could not be read: {self.trouble}")
        if not self.around.books_ready():
            whys.append("the journal could not be read: positions are not known")
        open_count = self.open_count
        if open_count is None:
            working = books.blotter.working.values()
            open_count = sum(
                1 for order in working if order.state is not OrderState.QUEUED and self._here(order.instrument)
            )
        kept = [name for name in self.sight.holders() if name not in self.dust and self._closes(name[0])]
        flat = done and self.going_count == 0 and not kept and not self.stuck
        if widest_at(wants, self.venue) is not Extent.POSITIONS:
            flat = done and open_count == 0 and not left
        return VenueLeft(flat, open_count, left, ", ".join(whys))

    def _closes(self, strategy: str) -> bool:
        return extent_for(self.around.wants(), self.venue, strategy) is Extent.POSITIONS

    def _here(self, instrument: InstrumentId) -> bool:
        return instrument.startswith(f"{self.venue}:")

    def _now_ns(self) -> int:
        return self.around.clock.monotonic_ns()


def _committed(close: Close, around: Surroundings, attempt: int) -> OrderCommitted:
    """The row of a closing order. Its event is unlike any other: process start, and the order's place in it."""
    client_id = around.next_id()
    parts = parse_client_id(client_id, around.bot)
    if parts is None:
        raise AssertionError(f"{client_id} is not an id of ours")
    event = EventId(f"safety/{parts.generation}/{parts.sequence}")
    inputs = {"by": "safety", "attempt": str(attempt), "price": plain(close.price)}
    return OrderCommitted(
        client_id=client_id,
        strategy=close.strategy,
        intent=IntentKey(close.strategy, event, CLOSE_KEY),
        instrument=close.instrument.id,
        side=close.side,
        type=OrderType.LIMIT,
        time_in_force=TimeInForce.IOC,
        quantity=close.quantity,
        price=close.price,
        reduces=True,
        verdict=Verdict(inputs, 0),
        state=OrderState.SUBMITTING,
        stamp_ns=around.clock.wall_ns(),
    )
