"""All that a feed knows of one instrument. Pure: items in, what is to be published out.

Quotes come from the book's top or from the venue's own best prices, whichever is newer by update id. The venue's are
good without a book too, so they go on while it is out of sync.
"""

from decimal import Decimal

from tbot_actors.domain.instruments import InstrumentId
from tbot_actors.domain.market import Candle, DepthDiff, DepthSnapshot, Level, MarketTrade, Quote, TopOfBook
from tbot_actors.feeds.book import OLD_IN_A_ROW_MAX, LocalBook, Step
from tbot_actors.feeds.candles import CandleMaker
from tbot_actors.feeds.quality import Fault, Flag, Jumps, Silence, diff_fault, snapshot_fault, top_fault, trade_fault
from tbot_actors.feeds.settings import FeedSettings
from tbot_actors.feeds.statistics import InstrumentStatistics, Tally

_NS = 1_000_000_000


class Line:
    """One instrument. `wall_ns` is our time and `venue_ns` the venue's, UTC; `now_ns`, `received_ns` are monotonic."""

    def __init__(
        self,
        instrument: InstrumentId,
        candle_periods_s: tuple[int, ...],
        settings: FeedSettings,
        tally: Tally,
        *,
        venue_ns: int,
        now_ns: int,
    ) -> None:
        """The times are those from which on every item of the stream is seen."""
        self.instrument = instrument
        self.book = LocalBook(
            levels_max=settings.levels_max,
            diffs_waiting_max=settings.diffs_waiting_max,
            whole_below=settings.whole_below,
        )
        grace_ns = int(settings.candle_grace_s * _NS)
        self.candles = tuple(
            CandleMaker(instrument, period_s, began_ns=venue_ns, grace_ns=grace_ns)
            for period_s in sorted(set(candle_periods_s))
        )
        self.silence = Silence(
            now_ns,
            min_ns=int(settings.stale_min_s * _NS),
            max_ns=int(settings.stale_max_s * _NS),
            factor=settings.stale_factor,
            window_ns=int(settings.quiet_window_s * _NS),
        )
        self._settings = settings
        self._tally = tally
        self._future_max_ns = int(settings.future_max_s * _NS)
        self._old_max_ns = int(settings.old_max_s * _NS)
        self._behind_max_ns = int(settings.stale_min_s * _NS)
        self._spread_wide = 1 + settings.spread_wide
        self._quote_jumps = Jumps(settings.outlier)
        self._trade_jumps = Jumps(settings.outlier)
        self._update = -1
        """Of the newest quote."""
        self._old_in_a_row = 0
        self._behind_since_ns: int | None = None
        """Since when the venue's best prices have been newer than the book, without any diff."""
        self._trade_id = ""
        self._faults_in_a_row = 0

    # Items

    def diff(self, diff: DepthDiff, wall_ns: int) -> Quote | None:
        """Bring the book forward; a quote if that makes the book's top the newest there is."""
        self._tally.diffs += 1
        fault = diff_fault(diff)
        if fault is not None:
            self._set_aside(fault, diff)
            # Its updates are missing now, whatever comes next.
            self.book.lose(f"a diff was set aside: {fault.value}")
            return None
        step = self.book.apply(diff)
        self._sound(diff.received_ns)
        if step is not Step.APPLIED:
            return None
        self._behind_since_ns = None
        return self._book_quote(wall_ns, diff.received_ns)

    def top(self, top: TopOfBook, wall_ns: int) -> Quote | None:
        """The venue's best prices; a quote if they are the newest there are."""
        self._tally.tops += 1
        fault = top_fault(top)
        if fault is not None:
            self._set_aside(fault, top)
            return None
        self._sound(top.received_ns)
        if self._behind_since_ns is None and top.update > self.book.last_update:
            self._behind_since_ns = top.received_ns
        return self._quote(top.update, top.bid, top.ask, wall_ns, top.received_ns)

    def trade(self, trade: MarketTrade, venue_ns: int) -> list[Candle] | None:
        """The candles that a trade closes; None if it was set aside."""
        fault = trade_fault(trade, venue_ns, self._future_max_ns, self._old_max_ns)
        if fault is None and trade.trade_id == self._trade_id:
            fault = Fault.REPEATED
        if fault is not None:
            self._set_aside(fault, trade)
            return None
        self._tally.trades += 1
        self._trade_id = trade.trade_id
        self._sound(trade.received_ns)
        if self._trade_jumps.odd(trade.price):
            self._tally.flags[Flag.OUTLIER] += 1
        closed: list[Candle] = []
        for maker in self.candles:
            closed += maker.trade(trade)
        return closed

    def clock(self, venue_ns: int, now_ns: int) -> list[Candle]:
        """The candles whose time is over. None of an instrument that is silent: nobody knows what its trades are."""
        if self.silence.stale(now_ns):
            return []
        return [candle for maker in self.candles for candle in maker.clock(venue_ns, now_ns)]

    def load(self, snapshot: DepthSnapshot, wall_ns: int, asked_ns: int) -> Quote | None:
        """Start the book from a snapshot asked for at `asked_ns`; see `book.synced` for whether it served."""
        self._tally.snapshots += 1
        fault = snapshot_fault(snapshot)
        if fault is not None:
            # A book of thousands of levels would fill the ring with itself.
            self._tally.set_aside(fault, f"a snapshot of {self.instrument} at update {snapshot.last_update}")
            return None
        if not self.book.load(snapshot):
            return None
        self._behind_since_ns = None
        return self._book_quote(wall_ns, asked_ns)

    # State

    def trouble(self, now_ns: int) -> str | None:
        """Why its data should not be traded on now, or None."""
        if not self.book.synced:
            return f"the book is not in sync: {self.book.why_not}"
        if self.silence.stale(now_ns):
            return f"silent for over {self.silence.threshold_ns / _NS:.1f} s"
        if self._behind_since_ns is not None and now_ns - self._behind_since_ns > self._behind_max_ns:
            return "best prices come, but no diffs of the book"
        if self._faults_in_a_row >= self._settings.faults_in_a_row_max:
            return f"{self._settings.faults_in_a_row_max} items in a row were set aside"
        return None

    def statistics(self, now_ns: int) -> InstrumentStatistics:
        """Its part of a FeedStatistics."""
        book, levels_max = self.book, self._settings.levels_max
        return InstrumentStatistics(
            synced=book.synced,
            trouble=self.trouble(now_ns),
            last_update=book.last_update,
            levels=(len(book.bids(levels_max)), len(book.asks(levels_max))),
            losses=book.losses,
            gaps=book.gaps,
            crossings=book.crossings,
            stale_after_ns=self.silence.threshold_ns,
            late_trades=self.candles[0].late_trades if self.candles else 0,
        )

    def _set_aside(self, fault: Fault, item: object) -> None:
        self._tally.set_aside(fault, item)
        self._faults_in_a_row += 1

    def _sound(self, received_ns: int) -> None:
        self._faults_in_a_row = 0
        self.silence.heard(received_ns)

    # Quotes

    def _book_quote(self, wall_ns: int, received_ns: int) -> Quote | None:
        top = self.book.top()
        if top is None:
            return None
        return self._quote(self.book.last_update, *top, wall_ns, received_ns)

    def _quote(self, update: int, bid: Level, ask: Level, wall_ns: int, received_ns: int) -> Quote | None:
        if update <= self._update and not self._counts_anew():
            return None
        self._old_in_a_row = 0
        self._update = update
        self._tally.quotes += 1
        self._flag(bid[0], ask[0])
        return Quote(self.instrument, bid[0], bid[1], ask[0], ask[1], update, wall_ns, received_ns)

    def _counts_anew(self) -> bool:
        """Whether so many in a row were older that it must be the venue that started its ids again."""
        self._old_in_a_row += 1
        return self._old_in_a_row > OLD_IN_A_ROW_MAX

    def _flag(self, bid: Decimal, ask: Decimal) -> None:
        if self._quote_jumps.odd(bid):
            self._tally.flags[Flag.OUTLIER] += 1
        if ask > bid * self._spread_wide:
            self._tally.flags[Flag.WIDE_SPREAD] += 1
