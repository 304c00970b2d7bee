"""The book of a tape alone, rebuilt from the snapshot, the depth diffs and the book tickers by their update ids."""

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

from attrs import frozen

from tbot_actors.exchange.market import Side
from tbot_actors.exchange.tape import Level, TapeBookTicker, TapeDepth, TapeError, TapeSnapshot

_DIFFS_BUFFERED_MAX = 2000
_TOPS_KEPT_MAX = 4096
_BELOW_ALL = -(1 << 62)


class LevelChange(NamedTuple):
    """The tape's own total of one level went from `before` to `after` steps."""

    side: Side
    price: int
    before: int
    after: int


def rank(side: Side, price: int) -> int:
    """A number that is greater the better the price is for its side, so that one code serves both; its own inverse."""
    return price if side is Side.BUY else -price


class TapeSide:
    """One side's levels: totals by price, and the ranks of the prices in order, best last."""

    __slots__ = ("ranks", "side", "totals")

    def __init__(self, side: Side) -> None:
        self.side = side
        self.totals: dict[int, int] = {}
        self.ranks: list[int] = []

    def set(self, price: int, total: int, changes: list[LevelChange]) -> None:
        """Make `total` the level's total and note the change, if it is one."""
        before = self.totals.get(price, 0)
        if total == before:
            return
        at = rank(self.side, price)
        if total == 0:
            del self.totals[price]
            del self.ranks[bisect_left(self.ranks, at)]
        else:
            self.totals[price] = total
            if before == 0:
                insort(self.ranks, at)
        changes.append(LevelChange(self.side, price, before, total))

    def drop_better(self, at: int, changes: list[LevelChange]) -> None:
        """Remove every level better than rank `at`."""
        while self.ranks and self.ranks[-1] > at:
            self.set(rank(self.side, self.ranks[-1]), 0, changes)


@frozen
class _Top:
    """Ranks of the best bid and ask after `update`."""

    update: int
    bid: int
    ask: int


class TapeBook:
    """The tape's levels, sides and update ids; no order of ours is in here.

    Start (Binance, "How to manage a local order book correctly"): diffs before the snapshot are buffered; those whose
    last update the snapshot contains are dropped; the first one applied must contain the update after the snapshot,
    each later one must continue the one before (`U` == previous `u` + 1; USD-M `pu` == previous `u`). A diff that does
    not continue makes the book unsynced (`gaps` counts it): diffs are buffered again until a snapshot continues them,
    and meanwhile only the tickers move the top. A snapshot too old for the diffs to continue it is passed over: the
    rules say to ask for another.

    Book tickers run ahead of the diffs, which are batches. A diff with last update `u` states its levels as of `u`.
    Each ticker applied with a greater update told later that nothing better than its best was left, and its best's
    total. So what the diff says of a level at or better than the worst best among those tickers is older than what is
    known, and is passed over; the levels behind were in no such ticker, and are set. The snapshot obeys the same rule.
    A ticker older than the last diff says nothing new.
    """

    def __init__(self) -> None:
        self.bids = TapeSide(Side.BUY)
        self.asks = TapeSide(Side.SELL)
        self.synced = False
        """Whether the diffs continue a snapshot without a gap."""
        self.gaps = 0
        """How often a diff did not continue the one before."""
        self.last_update = 0
        """The greatest update id of any record applied."""
        self._diff_update = 0
        self._joined = False
        self._buffered: list[TapeDepth] = []
        self._tops: deque[_Top] = deque()

    def side(self, side: Side) -> TapeSide:
        """The levels of one side."""
        return self.bids if side is Side.BUY else self.asks

    def apply(self, record: TapeDepth | TapeBookTicker | TapeSnapshot) -> list[LevelChange]:
        """Apply one record; the changes of totals, each level's in order.

        Raises TapeError when diffs go on and on without a snapshot that they continue.
        """
        changes: list[LevelChange] = []
        if isinstance(record, TapeBookTicker):
            self._apply_ticker(record, changes)
        elif isinstance(record, TapeDepth):
            self._take_diff(record, changes)
        else:
            self._apply_snapshot(record, changes)
        return changes

    def _apply_ticker(self, ticker: TapeBookTicker, changes: list[LevelChange]) -> None:
        if ticker.update <= self.last_update:
            return
        self.last_update = ticker.update
        bid = rank(Side.BUY, ticker.bid) if ticker.bid else _BELOW_ALL
        ask = rank(Side.SELL, ticker.ask) if ticker.ask else _BELOW_ALL
        self.bids.drop_better(bid, changes)
        self.asks.drop_better(ask, changes)
        if ticker.bid:
            self.bids.set(ticker.bid, ticker.bid_quantity, changes)
        if ticker.ask:
            self.asks.set(ticker.ask, ticker.ask_quantity, changes)
        self._tops.append(_Top(ticker.update, bid, ask))
        if len(self._tops) > _TOPS_KEPT_MAX:
            # The two oldest as one that supersedes at least as much: better a level stale than one back from the dead.
            first, second = self._tops.popleft(), self._tops.popleft()
            self._tops.appendleft(_Top(second.update, min(first.bid, second.bid), min(first.ask, second.ask)))

    def _take_diff(self, diff: TapeDepth, changes: list[LevelChange]) -> None:
        if self.synced:
            if diff.last_update <= self._diff_update:
                return
            if self._continues(diff):
                self._apply_diff(diff, changes)
                return
            self.gaps += 1
            self.synced = False
        if len(self._buffered) == _DIFFS_BUFFERED_MAX:
            raise TapeError(f"no snapshot continues the depth diffs from update {self._buffered[0].first_update} on")
        self._buffered.append(diff)

    def _continues(self, diff: TapeDepth) -> bool:
        last = self._diff_update
        if not self._joined and diff.first_update <= last + 1:
            return True
        if diff.previous_update is not None:
            return diff.previous_update == last or (not self._joined and diff.previous_update < last)
        return diff.first_update == last + 1

    def _apply_diff(self, diff: TapeDepth, changes: list[LevelChange]) -> None:
        self._diff_update = diff.last_update
        self._joined = True
        self.last_update = max(self.last_update, diff.last_update)
        bid, ask = self._superseded_from(diff.last_update)
        for side, levels, superseded_from in ((self.bids, diff.bids, bid), (self.asks, diff.asks, ask)):
            for price, total in levels:
                if rank(side.side, price) < superseded_from:
                    side.set(price, total, changes)

    def _apply_snapshot(self, snapshot: TapeSnapshot, changes: list[LevelChange]) -> None:
        if self.synced and snapshot.last_update <= self._diff_update:
            return
        pending = [diff for diff in self._buffered if diff.last_update > snapshot.last_update]
        self._diff_update, self._joined = snapshot.last_update, False
        if pending and not self._continues(pending[0]):
            return
        self.last_update = max(self.last_update, snapshot.last_update)
        bid, ask = self._superseded_from(snapshot.last_update)
        _replace(self.bids, snapshot.bids, bid, changes)
        _replace(self.asks, snapshot.asks, ask, changes)
        self.synced, self._buffered = True, []
        for diff in pending:
            self._take_diff(diff, changes)

    def _superseded_from(self, update: int) -> tuple[int, int]:
        while self._tops and self._tops[0].update <= update:
            self._tops.popleft()
        above_all = -_BELOW_ALL
        bid = min((top.bid for top in self._tops), default=above_all)
        return bid, min((top.ask for top in self._tops), default=above_all)


def _replace(side: TapeSide, levels: Iterable[Level], superseded_from: int, changes: list[LevelChange]) -> None:
    stated = {price: total for price, total in levels if rank(side.side, price) < superseded_from}
    for at in side.ranks[: bisect_left(side.ranks, superseded_from)]:
        price = rank(side.side, at)
        if price not in stated:
            side.set(price, 0, changes)
    for price, total in stated.items():
        side.set(price, total, changes)
