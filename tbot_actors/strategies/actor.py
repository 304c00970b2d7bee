"""The actor that hosts one strategy: it keeps the View, calls the hooks and carries intents to risk.

The journal's events are the numbered deltas of the View: orders and fills come in order and are never conflated;
prices are. The hook's own intents are in the View the moment it returns them.
"""

from collections.abc import Callable
from decimal import Decimal

from attrs import evolve

from tbot_actors.domain.blotter import Blotter
from tbot_actors.domain.events import Event, Fill, StrategyLearned
from tbot_actors.domain.instruments import InstrumentId
from tbot_actors.domain.intents import Cancel, Intent, Place
from tbot_actors.domain.market import Candle, EventId, MarketTrade, Quote
from tbot_actors.domain.messages import (
    Appended,
    AppendFailed,
    Cause,
    EventsRead,
    Intents,
    JournalAdvanced,
    PendingIntents,
    RiskStarted,
)
from tbot_actors.domain.view import View, with_event, with_intent, with_quote
from tbot_actors.journal import JournalReader, JournalWriter
from tbot_actors.kernel import BLOCK, DROP_OLDEST, Actor, Address, Down, conflate, handles
from tbot_actors.strategies.api import Strategy, Wanted

INTENTS_MAX = 64
"""More from one hook is a bug of the strategy: it crashes."""

_DISCONNECTS = frozenset({Cause.STALE_FEED.value, Cause.STREAM_DOWN.value, Cause.VENUE_OUTAGE.value})


class TooManyIntents(Exception):
    """One hook returned more intents than a strategy may want at once."""


class AppendRefused(Exception):
    """The journal refused the strategy's snapshot."""


class _Second:
    """A second passed."""


class StrategyActor(Actor):
    """One strategy under supervision. Its crash restarts it alone; orders and positions are not touched."""

    def __init__(
        self,
        *,
        name: str,
        make: Callable[[], Strategy],
        journal: Address,
        risk: Address,
        capital: Decimal,
        instruments: tuple[InstrumentId, ...],
    ) -> None:
        self._name = name
        self._make = make
        self._journal = journal
        self._risk = risk
        venues = frozenset(instrument.partition(":")[0] for instrument in instruments)
        self._view = View(strategy=name, capital=capital, venues=venues)
        self._blotter = Blotter()
        self._learned: dict[str, str] = {}
        self._withheld = 0

    async def started(self) -> None:
        """Make the strategy and read the journal; hooks are called once it is read to its head."""
        self._strategy = self._make()
        self._live = False
        clock = self.context.world.clock
        self._wall_ns = clock.wall_ns
        self._reader = JournalReader(self._journal, self.context.address)
        self._writer = JournalWriter(self._journal, self.context.address, clock)
        self.context.watch(self._journal)
        self._reader.start()
        self.context.every(1.0, _Second())

    # The journal: the deltas of the view

    @handles(JournalAdvanced, conflate(lambda _: None))
    async def on_journal_advanced(self, message: JournalAdvanced) -> None:
        self._reader.advanced(message)

    @handles(EventsRead, BLOCK)
    async def on_events_read(self, message: EventsRead) -> None:
        for sequence, event in self._reader.take(message):
            await self._delta(sequence, event)
        if self._reader.caught_up and not self._live:
            self._strategy.restore(self._learned)
            self._live = True
            self.context.ready()

    async def _delta(self, sequence: int, event: Event) -> None:
        before = self._view
        order = self._blotter.apply(event)
        self._view = evolve(with_event(before, event, order), now_ns=max(before.now_ns, event.stamp_ns))
        if not self._live:
            if isinstance(event, StrategyLearned) and event.strategy == self._name:
                self._learned = event.snapshot
            return
        cause = EventId(f"j/{sequence}")
        if order is not None and order.strategy == self._name:
            if isinstance(event, Fill):
                await self._want(cause, self._strategy.on_fill(self._view, event))
            await self._want(EventId(f"{cause}/order"), self._strategy.on_order(self._view, order))
        if self._view.barred != before.barred:
            await self._barred_changed(cause, before)

    async def _barred_changed(self, cause: EventId, before: View) -> None:
        standing = {name for causes in self._view.barred.values() for name in causes}
        stood = {name for causes in before.barred.values() for name in causes}
        if (standing - stood) & _DISCONNECTS:
            await self._want(EventId(f"{cause}/disconnect"), self._strategy.on_disconnect(self._view))
        if before.enabled and not self._view.enabled:
            await self._want(EventId(f"{cause}/disabled"), self._strategy.on_trading_disabled(self._view))
        if self._view.enabled and self._withheld:
            self.context.log.info("intents were withheld while new risk was barred", count=self._withheld)
            self._withheld = 0

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
        self._view = with_quote(self._view, message)
        if self._live:
            await self._want(message.event, self._strategy.on_quote(self._view, message))

    @handles(MarketTrade, DROP_OLDEST)
    async def on_trade(self, message: MarketTrade) -> None:
        if self._live:
            await self._want(message.event, self._strategy.on_trade(self._view, message))

    @handles(Candle, DROP_OLDEST)
    async def on_candle(self, message: Candle) -> None:
        if self._live:
            await self._want(message.event, self._strategy.on_candle(self._view, message))

    @handles(_Second, conflate(lambda _: None))
    async def on_second(self, message: _Second) -> None:
        if self._live:
            now_ns = self._wall_ns()
            self._view = evolve(self._view, now_ns=now_ns)
            await self._want(EventId(f"s/{self._name}/{now_ns}"), self._strategy.on_timer(self._view))

    # Risk

    @handles(RiskStarted, BLOCK)
    async def on_risk_started(self, message: RiskStarted) -> None:
        pending = tuple(waiting.intent for waiting in self._view.pending.values())
        await self._risk.send(PendingIntents(self._name, pending))

    async def _want(self, event: EventId, wanted: Wanted) -> None:
        """Keep what the strategy learned and send what it wants.

        New risk that is barred anyway is withheld here and counted: a denial of each, journaled, would say nothing new.
        """
        intents = tuple(wanted)
        if len(intents) > INTENTS_MAX:
            raise TooManyIntents(f"{self._name} returned {len(intents)} intents at once, at most {INTENTS_MAX}")
        allowed = tuple(intent for intent in intents if self._view.enabled or _lowers_risk(intent))
        self._withheld += len(intents) - len(allowed)
        snapshot = dict(self._strategy.snapshot())
        if snapshot != self._learned:
            self._learned = snapshot
            self._writer.append(StrategyLearned(self._name, snapshot, self._wall_ns()))
        if allowed:
            for intent in allowed:
                self._view = with_intent(self._view, event, intent)
            await self._risk.send(Intents(self._name, event, allowed))


def _lowers_risk(intent: Intent) -> bool:
    return isinstance(intent, Cancel) or (isinstance(intent, Place) and intent.reduces)
