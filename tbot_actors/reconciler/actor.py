"""The reconciler: reads each venue when it may have gone its own way, and hands orders what the journal lacks.

    GatewayReady, StreamState, ReconcileWanted, the period ──▶ run.wanted ──▶ VenueStateWanted to the gateway
    VenueState ──▶ run.looked ──▶ VenueFacts to orders, a look later │ Reconciled appended, Alarms to the watchdog

A gateway's incarnation that dies takes its question with it: the next GatewayReady begins a new run.
"""

from collections.abc import Mapping

from attrs import define, frozen

from tbot_actors.domain.events import Reconciled
from tbot_actors.domain.messages import (
    Alarm,
    Appended,
    AppendFailed,
    Cause,
    EventsRead,
    GatewayReady,
    JournalAdvanced,
    ReconcileWanted,
    StreamState,
    VenueFacts,
    VenueState,
    VenueStateWanted,
)
from tbot_actors.journal import JournalReader, JournalWriter
from tbot_actors.kernel import BLOCK, REJECT, Actor, Address, Down, MailboxFull, conflate, handles
from tbot_actors.reconciler.books import Books
from tbot_actors.reconciler.run import Finished, LookLater, LookNow, Run, Step
from tbot_actors.reconciler.settings import ReconcilerSettings


class AppendRefused(Exception):
    """The journal refused a row of the reconciler: start again from the journal."""


@frozen
class _Period:
    """Time for a run at every venue."""


@frozen
class _Look:
    """Time for this look."""

    venue: str
    token: int


@frozen
class _Overdue:
    """This look should have been answered by now."""

    venue: str
    token: int


@frozen
class _Again:
    """Time to repeat a run that found a mismatch."""

    venue: str


@define
class _Venue:
    """What is known of one venue beside the journal."""

    gateway: Address
    run: Run
    reachable: bool = False
    """Its gateway is logged in."""
    stream_up: bool | None = None
    """None before the user stream was heard of."""
    connection: int | None = None
    """The user stream's newest connection that was up."""


class Reconciler(Actor):
    """Compares venue and journal, idempotently. What it finds it tells orders, and books nothing itself."""

    def __init__(
        self,
        *,
        journal: Address,
        gateways: Mapping[str, Address],
        orders: Address,
        watchdog: Address,
        settings: ReconcilerSettings,
    ) -> None:
        self._journal = journal
        self._orders = orders
        self._watchdog = watchdog
        self._settings = settings
        self._books = Books(overlap_ns=int(settings.trades_overlap_s * 1_000_000_000))
        self._venues = {name: _Venue(gateway, Run(settings)) for name, gateway in gateways.items()}

    async def started(self) -> None:
        """Read the journal; a venue is run as soon as that is done and its gateway is logged in."""
        self._clock = self.context.world.clock
        self._reader = JournalReader(self._journal, self.context.address)
        self._writer = JournalWriter(self._journal, self.context.address, self._clock)
        self.context.watch(self._journal)
        self.context.watch(self._watchdog)
        for venue in self._venues.values():
            self.context.watch(venue.gateway)
            venue.reachable = venue.gateway.ready
        self._reader.start()
        self.context.every(self._settings.period_s, _Period())

    # The journal

    @handles(JournalAdvanced, conflate(lambda _: None))
    async def on_journal_advanced(self, message: JournalAdvanced) -> None:
        self._reader.advanced(message)

    @handles(EventsRead, BLOCK)
    async def on_events_read(self, message: EventsRead) -> None:
        was_caught_up, known = self._reader.caught_up, len(self._books.inventory.instruments)
        now_ns = self._clock.monotonic_ns()
        for _, event in self._reader.take(message):
            self._books.apply(event, now_ns)
        if self._reader.caught_up and not was_caught_up:
            self.context.ready()
        if not was_caught_up or len(self._books.inventory.instruments) != known:
            self._run_all()

    @handles(Appended, REJECT)
    async def on_appended(self, message: Appended) -> None:
        self._writer.appended(message)

    @handles(AppendFailed, REJECT)
    async def on_append_failed(self, message: AppendFailed) -> None:
        raise AppendRefused(message.why)

    @handles(Down, BLOCK)
    async def on_down(self, message: Down) -> None:
        if message.path == self._journal.path:
            self._reader.journal_down()
            self._writer.journal_down()
        elif message.path == self._watchdog.path:
            # Its next incarnation lets nobody trade before it has heard of every venue.
            self._run_all()
        for name, venue in self._venues.items():
            if message.path == venue.gateway.path:
                venue.reachable = False
                venue.run.broken_off()
                self._alarm(name, Cause.NOT_RECONCILED, "the gateway is down")

    # What makes it run

    @handles(GatewayReady, BLOCK)
    async def on_gateway_ready(self, message: GatewayReady) -> None:
        self._venues[message.venue].reachable = True
        self._run(message.venue)

    @handles(StreamState, BLOCK)
    async def on_stream_state(self, message: StreamState) -> None:
        venue = self._venues[message.venue]
        gap = message.up and message.connection != venue.connection
        venue.stream_up, venue.connection = message.up, message.connection if message.up else venue.connection
        if not message.up:
            self._alarm(message.venue, Cause.NOT_RECONCILED, "the user stream is down")
        elif gap:
            self._run(message.venue)

    @handles(ReconcileWanted, BLOCK)
    async def on_reconcile_wanted(self, message: ReconcileWanted) -> None:
        self._run_all()

    @handles(_Period, conflate(lambda _: None))
    async def on_period(self, message: _Period) -> None:
        for name, venue in self._venues.items():
            if not venue.run.active:
                self._run(name)

    def _run_all(self) -> None:
        for name in self._venues:
            self._run(name)

    def _run(self, name: str) -> None:
        """Run where there is something to compare with; otherwise the news that it is there will run it."""
        venue = self._venues[name]
        if self._reader.caught_up and venue.reachable and self._books.instruments(name):
            self._take(name, venue.run.wanted())

    # Looks

    @handles(_Look, BLOCK)
    async def on_look(self, message: _Look) -> None:
        if message.token == self._venues[message.venue].run.token:
            self._take(message.venue, LookNow(message.token))

    @handles(_Overdue, BLOCK)
    async def on_overdue(self, message: _Overdue) -> None:
        run = self._venues[message.venue].run
        if run.active and message.token == run.token:
            self._take(message.venue, run.failed(f"no answer within {self._settings.read_within_s} s"))

    @handles(VenueState, BLOCK)
    async def on_venue_state(self, message: VenueState) -> None:
        run = self._venues[message.venue].run
        if run.active and message.token == run.token:
            step = run.looked(message, self._books)
            if isinstance(step, Finished) and step.clean:
                self._books.verified(message.trades, self._clock.wall_ns())
            self._take(message.venue, step)

    def _take(self, name: str, step: Step | None) -> None:
        venue = self._venues[name]
        match step:
            case LookNow(token):
                wanted = VenueStateWanted(token, self._books.trades_after(name), self.context.address)
                try:
                    venue.gateway.tell(wanted)
                except MailboxFull as full:
                    self._take(name, venue.run.failed(str(full)))
                    return
                self.context.after(self._settings.read_within_s, _Overdue(name, token))
            case LookLater(token, delay_s, facts, failed):
                if facts is not None:
                    self._tell_orders(facts)
                if failed is not None:
                    self.context.log.warning("the venue could not be read", venue=name, why=failed, again_s=delay_s)
                self.context.after(delay_s, _Look(name, token))
            case Finished():
                self._finish(name, step)
            case None:
                pass

    def _tell_orders(self, facts: VenueFacts) -> None:
        if facts.reports or facts.trades or facts.absent or facts.orphans:
            try:
                self._orders.tell(facts)
            except MailboxFull:
                self.context.log.warning("orders has no room for what the venue says; the next look says it again")

    def _finish(self, name: str, finished: Finished) -> None:
        venue = self._venues[name]
        if venue.run.wanted_again:
            self._take(name, venue.run.wanted())
            return
        detail = "; ".join(finished.mismatches)
        self._writer.append(
            Reconciled(name, finished.clean, finished.mismatches, finished.fills_found, self._clock.wall_ns())
        )
        self.context.log.info(
            "reconciled",
            venue=name,
            clean=finished.clean,
            mismatches=detail,
            fills_found=finished.fills_found,
            foreign_orders=finished.foreign_orders,
            foreign_trades=finished.foreign_trades,
        )
        if not finished.clean:
            self._alarm(name, Cause.MISMATCH, detail)
            self.context.after(self._settings.unclean_again_s, _Again(name))
            return
        self._alarm(name, Cause.MISMATCH, None)
        if venue.stream_up is not False:
            self._alarm(name, Cause.NOT_RECONCILED, None)

    @handles(_Again, BLOCK)
    async def on_again(self, message: _Again) -> None:
        if not self._venues[message.venue].run.active:
            self._run(message.venue)

    def _alarm(self, name: str, cause: Cause, detail: str | None) -> None:
        """Tell the watchdog the newest state of a cause, also when it has not changed: it may have been restarted."""
        self._watchdog.tell(Alarm(self.context.path, cause, f"venue:{name}", detail is not None, detail or ""))
