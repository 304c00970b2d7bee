"""The actor of one venue's market data.

    stream ──▶ reader task ──▶ Line (line.py: book, candles, quality) ──▶ Quote, MarketTrade, Candle to subscribers
                                 ▲
    depth snapshots ─────────────┘ one task per book that wants one, at the pace of pace.py

The reader changes the lines and tells the subscribers itself instead of sending each item to its own mailbox: that
would double the way of every tick, and a diff may neither be dropped nor conflated there. Between two awaits nobody
else runs, so the handlers see whole lines. One incarnation is one connection; the way to a new one is Unavailable and
the backoff.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

import trio
from attrs import frozen

from tbot_actors.domain.instruments import InstrumentId
from tbot_actors.domain.market import DepthDiff, MarketTrade, Quote, TopOfBook
from tbot_actors.domain.messages import Alarm, Cause
from tbot_actors.feeds.line import Line
from tbot_actors.feeds.pace import Pace
from tbot_actors.feeds.quality import Fault
from tbot_actors.feeds.settings import FeedSettings
from tbot_actors.feeds.statistics import FeedStatistics, FeedStatisticsWanted, Tally
from tbot_actors.kernel import BLOCK, Actor, Address, Backoff, Down, MailboxFull, Unavailable, conflate, delays, handles
from tbot_actors.venues.dialect import Malformed, MarketItem, Session

_CALM_S = 60.0
_CLOSE_S = 1.0
_NEVER = "the stream is not connected yet"


@frozen
class _Look:
    """Time to look for silence, and to close candles by the clock."""


def _no_offset() -> int:
    return 0


class Feed(Actor):
    """Ready once every book is in sync. Until then, and whenever one instrument is stale, the venue's feed alarms."""

    def __init__(
        self,
        venue: str,
        open_session: Callable[[], Session],
        *,
        instruments: tuple[InstrumentId, ...],
        candle_periods_s: tuple[int, ...],
        quote_subscribers: Sequence[Address],
        trade_subscribers: Sequence[Address],
        candle_subscribers: Sequence[Address],
        watchdog: Address,
        settings: FeedSettings,
        clock_offset: Callable[[], int] = _no_offset,
    ) -> None:
        """`candle_periods_s`: lengths of the candles wanted. `clock_offset`: the venue's clock minus ours now, ns."""
        self._venue = venue
        self._open_session = open_session
        self._instruments = instruments
        self._candle_periods_s = candle_periods_s
        self._quote_subscribers = tuple(quote_subscribers)
        self._trade_subscribers = tuple(trade_subscribers)
        self._candle_subscribers = tuple(candle_subscribers)
        self._watchdog = watchdog
        self._settings = settings
        self._clock_offset = clock_offset
        self._tally = Tally(settings.set_aside_max)
        self._lines: Mapping[InstrumentId, Line] = {}
        self._fetching: set[InstrumentId] = set()
        self._up = False
        self._announced: str | None = None
        self._stopping = False

    async def started(self) -> None:
        """Stale until in sync: an earlier incarnation may have died without a word."""
        self._clock = self.context.world.clock
        random = self.context.world.entropy(f"{self.context.path}/snapshots")
        backoff = Backoff(first_s=self._settings.snapshot_pause_s, cap_s=self._settings.snapshot_pause_max_s)
        self._paces = {name: Pace(lambda: delays(backoff, random), _CALM_S) for name in self._instruments}
        self.context.watch(self._watchdog)
        self._announce(_NEVER)
        self.context.every(self._settings.look_every_s, _Look())
        self.context.spawn(self._read, name=f"{self.context.path}: reading")

    async def stopping(self) -> None:
        """An orderly stop is no alarm."""
        self._stopping = True

    # The stream

    async def _read(self) -> None:
        session = self._session = self._open_session()
        try:
            async with session.market_stream(self._instruments) as items:
                self._connected()
                async for item in items:
                    self._carry(item)
            raise Unavailable(f"the market stream of {self._venue} ended without a reason")
        finally:
            # Closing takes a while, in which looks and snapshots still come by.
            self._up = False
            if not self._stopping:
                self._announce("the connection ended")
            with trio.move_on_after(_CLOSE_S, shield=True):
                await session.aclose()

    def _connected(self) -> None:
        venue_ns, now_ns = self._venue_ns(), self._clock.monotonic_ns()
        self._lines = {
            name: Line(name, self._candle_periods_s, self._settings, self._tally, venue_ns=venue_ns, now_ns=now_ns)
            for name in self._instruments
        }
        self._up = True
        self._judge()

    def _carry(self, item: MarketItem) -> None:
        """One item of the stream, to its line and on to the subscribers."""
        if isinstance(item, Malformed):
            self._tally.set_aside(Fault.MALFORMED, item.text, item.why)
            return
        line = self._lines.get(item.instrument)
        if line is None:
            self._tally.set_aside(Fault.UNKNOWN_INSTRUMENT, item)
        elif isinstance(item, TopOfBook):
            self._publish(line.top(item, self._clock.wall_ns()))
        elif isinstance(item, MarketTrade):
            self._carry_trade(line, item)
        else:
            self._carry_diff(line, item)

    def _carry_trade(self, line: Line, trade: MarketTrade) -> None:
        closed = line.trade(trade, self._venue_ns())
        if closed is not None:
            # A candle ends before the trade that closes it.
            self._publish_candles(closed)
            self._tell(self._trade_subscribers, trade)

    def _carry_diff(self, line: Line, diff: DepthDiff) -> None:
        was_synced = line.book.synced
        self._publish(line.diff(diff, self._clock.wall_ns()))
        if line.book.wants_snapshot:
            if was_synced and not line.book.synced:
                self._judge()
            self._want_snapshot(line)

    # Snapshots

    def _want_snapshot(self, line: Line) -> None:
        if line.instrument in self._fetching:
            return
        self._fetching.add(line.instrument)
        self.context.spawn(self._fetch, line, name=f"{self.context.path}: snapshot of {line.instrument}")

    async def _fetch(self, line: Line) -> None:
        """Snapshots until the book takes one."""
        why = ""
        for _ in range(self._settings.snapshot_tries_max):
            await trio.sleep(self._paces[line.instrument].wait_s(trio.current_time()))
            asked_ns = self._clock.monotonic_ns()
            try:
                snapshot = await self._session.depth_snapshot(line.instrument)
            except Unavailable as error:
                # The stream goes on, so this is no reason to give it up yet.
                self._tally.snapshots_failed += 1
                why = str(error)
                continue
            self._publish(line.load(snapshot, self._clock.wall_ns(), asked_ns))
            if not line.book.wants_snapshot:
                self._fetching.discard(line.instrument)
                self._judge()
                return
            why = line.book.why_not
        self._fetching.discard(line.instrument)
        if line.book.synced:
            # Only a renewal ahead of time failed: the next look asks again.
            return
        raise Unavailable(f"no snapshot of {line.instrument} brings its book in sync: {why}")

    # Time

    @handles(_Look, conflate(lambda _: None))
    async def on_look(self, message: _Look) -> None:
        if not self._up:
            return
        venue_ns, now_ns = self._venue_ns(), self._clock.monotonic_ns()
        for line in self._lines.values():
            self._publish_candles(line.clock(venue_ns, now_ns))
            if line.book.wants_snapshot:
                # A quiet instrument has no diff that would ask.
                self._want_snapshot(line)
        self._judge()

    def _venue_ns(self) -> int:
        return self._clock.wall_ns() + self._clock_offset()

    # Alarms

    def _judge(self) -> None:
        """Tell the watchdog where the state of the lines has changed."""
        if not self._up:
            return
        now_ns = self._clock.monotonic_ns()
        found = [(name, line.trouble(now_ns)) for name, line in self._lines.items()]
        detail = "; ".join(f"{name} {trouble}" for name, trouble in found if trouble is not None)
        if all(line.book.synced for line in self._lines.values()):
            self.context.ready()
        if detail != self._announced:
            self._announce(detail)

    def _announce(self, detail: str) -> None:
        """`detail`: what is wrong; empty when nothing is."""
        self._announced = detail
        text = detail or "every book is in sync and data flows"
        scope = f"venue:{self._venue}"
        self._watchdog.tell(Alarm(self.context.path, Cause.STALE_FEED, scope, active=bool(detail), detail=text))

    @handles(Down, BLOCK)
    async def on_down(self, message: Down) -> None:
        """The watchdog died, perhaps with our alarm in hand: its next incarnation gets it again."""
        if self._announced is not None and not message.gone:
            self._announce(self._announced)

    # Subscribers

    def _publish(self, quote: Quote | None) -> None:
        if quote is not None:
            self._tell(self._quote_subscribers, quote)

    def _publish_candles(self, candles: Iterable[object]) -> None:
        for candle in candles:
            self._tally.candles += 1
            self._tell(self._candle_subscribers, candle)

    def _tell(self, subscribers: tuple[Address, ...], message: object) -> None:
        for subscriber in subscribers:
            try:
                subscriber.tell(message)
            except MailboxFull:
                # One slow reader must not take the data from all others.
                self._tally.undelivered += 1

    @handles(FeedStatisticsWanted, BLOCK)
    async def on_statistics_wanted(self, message: FeedStatisticsWanted) -> FeedStatistics:
        now_ns = self._clock.monotonic_ns()
        return self._tally.frozen({name: line.statistics(now_ns) for name, line in self._lines.items()})
