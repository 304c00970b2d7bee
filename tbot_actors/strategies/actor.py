"""The actor of one strategy: it folds its books, hands its host what happens, and carries what comes of it to risk.

The journal's events are the numbered deltas of the View: orders and fills come in order and are never conflated; prices
are. The hooks run in a host (hosts.py), which may be a process that nobody trusts: whose intents they are, which event
they are because of, and whether they may go out is decided here, by the same functions for every host (session.py).
"""

from attrs import frozen

from tbot_actors.domain.events import StrategyLearned
from tbot_actors.domain.market import Candle, MarketTrade, Quote
from tbot_actors.domain.messages import (
    Appended,
    AppendFailed,
    EventsRead,
    Intents,
    JournalAdvanced,
    PendingIntents,
    RiskStarted,
)
from tbot_actors.journal import JournalReader, JournalWriter
from tbot_actors.kernel import BLOCK, DROP_OLDEST, Actor, Address, Down, conflate, handles
from tbot_actors.strategies.hosts import HookHost, OpenHost, StrategyProgram
from tbot_actors.strategies.session import Books, Delta, GoLive, Happening, Past, Second, Want, cause_of


class AppendRefused(Exception):
    """The journal refused the strategy's snapshot."""


@frozen
class _Tick:
    """A second passed."""


class StrategyActor(Actor):
    """One strategy under supervision. Its crash restarts it alone; orders and positions are not touched."""

    _host: HookHost

    def __init__(self, program: StrategyProgram, open_host: OpenHost, *, journal: Address, risk: Address) -> None:
        self._name = program.name
        self._open_host = open_host
        self._journal = journal
        self._risk = risk
        self._books = Books(program.name, program.capital, program.instruments)

    async def started(self) -> None:
        """Start the host and read the journal; hooks are called once it is read to its head."""
        clock = self.context.world.clock
        self._wall_ns = clock.wall_ns
        self._reader = JournalReader(self._journal, self.context.address)
        self._writer = JournalWriter(self._journal, self.context.address, clock)
        self.context.watch(self._journal)
        self._host = await self._open_host(self.context)
        self._reader.start()
        self.context.every(1.0, _Tick())

    # The journal: the deltas of the view

    @handles(JournalAdvanced, conflate(lambda _: None))
    async def on_journal_advanced(self, message: JournalAdvanced) -> None:
        self._reader.advanced(message)

    @handles(EventsRead, BLOCK)
    async def on_events_read(self, message: EventsRead) -> None:
        past: list[Delta] = []
        for sequence, event in self._reader.take(message):
            order = self._books.fold(event)
            if not self._books.concerns(event, order):
                continue
            if self._books.live:
                await self._happened(Delta(sequence, event))
                self._tell_withheld()
            else:
                past.append(Delta(sequence, event))
        if past:
            await self._happened(Past(tuple(past)))
        if self._reader.caught_up and not self._books.live:
            await self._happened(GoLive())
            self._books.live = True
            self.context.ready()

    def _tell_withheld(self) -> None:
        books = self._books
        if books.view.enabled and books.withheld:
            self.context.log.info("intents were withheld while new risk was barred", count=books.withheld)
            books.withheld = 0

    @handles(Appended, BLOCK)
    async def on_appended(self, message: Appended) -> None:
        self._writer.appended(message)

    @handles(AppendFailed, BLOCK)
    async def on_append_failed(self, message: AppendFailed) -> None:
        if self._writer.failed(message) is not None:
            raise AppendRefused(message.why)

    @handles(Down, BLOCK)
    async def on_down(self, message: Down) -> None:
        self._reader.journal_down()
        self._writer.journal_down()

    # The market

    @handles(Quote, conflate(lambda quote: quote.instrument))
    async def on_quote(self, message: Quote) -> None:
        self._books.look(message)
        await self._happened(message)

    @handles(MarketTrade, DROP_OLDEST)
    async def on_trade(self, message: MarketTrade) -> None:
        if self._books.live:
            await self._happened(message)

    @handles(Candle, DROP_OLDEST)
    async def on_candle(self, message: Candle) -> None:
        if self._books.live:
            await self._happened(message)

    @handles(_Tick, conflate(lambda _: None))
    async def on_tick(self, message: _Tick) -> None:
        if self._books.live:
            second = Second(self._wall_ns())
            self._books.look(second)
            await self._happened(second)

    # Risk

    @handles(RiskStarted, BLOCK)
    async def on_risk_started(self, message: RiskStarted) -> None:
        pending = tuple(waiting.intent for waiting in self._books.view.pending.values())
        await self._risk.send(PendingIntents(self._name, pending))

    async def _happened(self, happening: Happening) -> None:
        for want in await self._host.take(happening):
            await self._carry(happening, want)

    async def _carry(self, happening: Happening, want: Want) -> None:
        """Keep what the strategy learned and send what it wants."""
        cause = cause_of(self._name, happening, want.hook)
        intents = self._books.admit(cause, want)
        if want.snapshot is not None:
            self._writer.append(StrategyLearned(self._name, dict(want.snapshot), self._wall_ns()))
        if intents:
            await self._risk.send(Intents(self._name, cause, intents))
