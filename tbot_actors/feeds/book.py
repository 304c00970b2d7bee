"""A local order book, kept in step with the venue's by a snapshot and diffs. Pure.

    diffs ──▶ kept ───────────────▶ applied, one after the other ──▶ top()
               ▲    │ load(snapshot)                     │
               │    └── does not continue them: another ─┤ gap, crossed, beyond what the snapshot covered
               └─────────────────────────────────────────┘

A diff covers the updates `(previous, last_update]`, where `previous` is what the venue states (futures `pu`) or
`first_update - 1` (spot `U`). What must hold, by the venue's manual ("How to manage a local order book correctly"):

    diff                               spot                       futures                   otherwise
    the first one on a snapshot L      U <= L + 1 <= u            pu <= L < u               another snapshot
    each one after it                  U == u before + 1          pu == u before            start again
    all updates known already          u <= the book's            u <= the book's           (dropped)

Quantities are the levels' new totals, so removing a level that is not there is normal. A book that cannot be proven
right says so (`synced`) and shows nothing.
"""

from bisect import bisect_left
from collections import deque
from collections.abc import Iterable, Iterator
from decimal import Decimal
from enum import Enum
from itertools import islice

from tbot_actors.domain.market import DepthDiff, DepthSnapshot, Level

OLD_IN_A_ROW_MAX = 100
"""More dropped diffs in a row than this, and it is the venue that counts anew."""


class Step(Enum):
    """What became of a diff."""

    APPLIED = "applied"
    DROPPED = "dropped"
    """Its updates are known already."""
    KEPT = "kept"
    """It waits for a snapshot."""
    LOST = "lost"
    """The book was in sync before it and is not any more."""


class _Side:
    """Levels in ascending order of price, complete from the best one to the horizon."""

    __slots__ = ("_enough", "horizon", "prices", "quantities")

    def __init__(self, levels: Iterable[Level], *, whole: bool) -> None:
        rising = sorted(levels)
        self.prices: list[Decimal] = [price for price, _ in rising]
        self.quantities: list[Decimal] = [quantity for _, quantity in rising]
        self.horizon: Decimal | None = None if whole else self.worst
        """Beyond this price levels may exist that nobody told us of; None = there are none."""
        self._enough = max(1, len(rising) // 2)

    def apply(self, levels: Iterable[Level]) -> None:
        prices, quantities = self.prices, self.quantities
        for price, quantity in levels:
            at = bisect_left(prices, price)
            if at < len(prices) and prices[at] == price:
                if quantity:
                    quantities[at] = quantity
                else:
                    del prices[at], quantities[at]
            elif quantity:
                prices.insert(at, price)
                quantities.insert(at, quantity)

    @property
    def thin(self) -> bool:
        """Whether less than half of what was known is left: time to look further, before the top gets there."""
        return not self.complete(self._enough)

    @property
    def worst(self) -> Decimal:
        raise NotImplementedError

    def best(self) -> Level | None:
        raise NotImplementedError

    def complete(self, count: int) -> bool:
        """Whether the best `count` levels, or all there are, lie within the horizon."""
        raise NotImplementedError

    def trim(self, levels_max: int) -> None:
        raise NotImplementedError

    def levels(self) -> Iterator[Level]:
        """Best first, as far as the side is complete."""
        raise NotImplementedError


class _Bids(_Side):
    __slots__ = ()

    @property
    def worst(self) -> Decimal:
        return self.prices[0]

    def best(self) -> Level | None:
        return (self.prices[-1], self.quantities[-1]) if self.prices else None

    def complete(self, count: int) -> bool:
        prices, horizon = self.prices, self.horizon
        return horizon is None or (len(prices) >= count and prices[-count] >= horizon)

    def trim(self, levels_max: int) -> None:
        excess = len(self.prices) - levels_max
        if excess > 0:
            del self.prices[:excess], self.quantities[:excess]
            if self.horizon is None or self.horizon < self.worst:
                self.horizon, self._enough = self.worst, max(1, levels_max // 2)

    def levels(self) -> Iterator[Level]:
        for level in zip(reversed(self.prices), reversed(self.quantities), strict=True):
            if self.horizon is not None and level[0] < self.horizon:
                return
            yield level


class _Asks(_Side):
    __slots__ = ()

    @property
    def worst(self) -> Decimal:
        return self.prices[-1]

    def best(self) -> Level | None:
        return (self.prices[0], self.quantities[0]) if self.prices else None

    def complete(self, count: int) -> bool:
        prices, horizon = self.prices, self.horizon
        return horizon is None or (len(prices) >= count and prices[count - 1] <= horizon)

    def trim(self, levels_max: int) -> None:
        if len(self.prices) > levels_max:
            del self.prices[levels_max:], self.quantities[levels_max:]
            if self.horizon is None or self.horizon > self.worst:
                self.horizon, self._enough = self.worst, max(1, levels_max // 2)

    def levels(self) -> Iterator[Level]:
        for level in zip(self.prices, self.quantities, strict=True):
            if self.horizon is not None and level[0] > self.horizon:
                return
            yield level


class LocalBook:
    """One instrument's book. `apply` each diff of one stream as it arrives, `load` snapshots asked for after its start.

    Items are expected to be sound (`quality.py`): finite prices and quantities, snapshots in order of price.
    """

    def __init__(self, *, levels_max: int = 5_000, diffs_waiting_max: int = 1_000, whole_below: int = 100) -> None:
        self.synced = False
        """The book is the venue's as of `last_update`."""
        self.last_update = 0
        self.why_not = "there is no snapshot yet"
        """Why it is, or last was, not in sync."""
        self.losses = 0
        """Times that the sync was lost, for whatever reason."""
        self.gaps = 0
        """Times that it was lost because updates were missing."""
        self.crossings = 0
        """Times that a best bid was not below the best ask."""
        self._levels_max = levels_max
        self._whole_below = whole_below
        self._bids = _Bids((), whole=True)
        self._asks = _Asks((), whole=True)
        self._bare = True
        """Nothing was applied on the snapshot yet."""
        self._kept: deque[DepthDiff] = deque(maxlen=diffs_waiting_max)
        """Diffs since a snapshot is wanted; where there is a gap between them, only one from behind it serves."""
        self._renewing = False
        self._old_in_a_row = 0

    @property
    def wants_snapshot(self) -> bool:
        """Out of sync, or the price is on its way out of what the last snapshot covered: a new one is due before."""
        return self._renewing or not self.synced

    def top(self) -> tuple[Level, Level] | None:
        """Best bid and best ask; None while out of sync, or without one of them."""
        if not self.synced:
            return None
        bid, ask = self._bids.best(), self._asks.best()
        return None if bid is None or ask is None else (bid, ask)

    def bids(self, count: int) -> tuple[Level, ...]:
        """At most `count` levels, best first, no further than the book is complete; none while out of sync."""
        return tuple(islice(self._bids.levels(), count)) if self.synced else ()

    def asks(self, count: int) -> tuple[Level, ...]:
        """As `bids`."""
        return tuple(islice(self._asks.levels(), count)) if self.synced else ()

    # Diffs

    def apply(self, diff: DepthDiff) -> Step:
        """Take the next diff of the stream."""
        if not self.synced:
            self._keep(diff)
            return Step.KEPT
        if self._renewing:
            self._keep(diff)
        if diff.last_update <= self.last_update:
            return self._drop(diff)
        if not _continues(diff, self.last_update, bare=self._bare):
            self.gaps += 1
            self.lose(f"the diff after update {self.last_update} begins at {diff.first_update}")
            self._keep(diff)
            return Step.LOST
        self._bids.apply(diff.bids)
        self._asks.apply(diff.asks)
        self.last_update = diff.last_update
        self._bare = False
        self._old_in_a_row = 0
        return self._settled()

    def lose(self, why: str) -> None:
        """Believe nothing any more until there is a new snapshot."""
        self.losses += self.synced
        self.synced = False
        self.why_not = why
        self._renewing = False
        self._kept.clear()
        self._old_in_a_row = 0

    def _settled(self) -> Step:
        """What must hold after each diff."""
        bids, asks = self._bids, self._asks
        bids.trim(self._levels_max)
        asks.trim(self._levels_max)
        why_wrong = _why_wrong(bids, asks)
        if why_wrong is not None:
            self.crossings += _crossed(bids, asks)
            self.lose(why_wrong)
            return Step.LOST
        if not self._renewing and (bids.thin or asks.thin):
            self._renewing = True
        return Step.APPLIED

    def _drop(self, diff: DepthDiff) -> Step:
        self._old_in_a_row += 1
        if self._old_in_a_row <= OLD_IN_A_ROW_MAX:
            return Step.DROPPED
        self.lose(f"{OLD_IN_A_ROW_MAX} diffs in a row are older than update {self.last_update}")
        self._keep(diff)
        return Step.LOST

    def _keep(self, diff: DepthDiff) -> None:
        kept = self._kept
        if kept and diff.last_update <= kept[-1].last_update:
            self._old_in_a_row += not self.synced
            if self._old_in_a_row <= OLD_IN_A_ROW_MAX:
                return
            self._old_in_a_row = 0
            kept.clear()
        kept.append(diff)

    # Snapshots

    def load(self, snapshot: DepthSnapshot) -> bool:
        """Start from a snapshot and the diffs kept since it was wanted. False: it does not serve, take another one."""
        bids = _Bids(snapshot.bids, whole=len(snapshot.bids) < self._whole_below)
        asks = _Asks(snapshot.asks, whole=len(snapshot.asks) < self._whole_below)
        last, bare = snapshot.last_update, True
        for diff in self._kept:
            if diff.last_update <= last:
                continue
            if not _continues(diff, last, bare=bare):
                return self._refuse(f"a snapshot of update {last} is too old for diffs from {diff.first_update} on")
            bids.apply(diff.bids)
            asks.apply(diff.asks)
            last, bare = diff.last_update, False
        if self.synced and last < self.last_update:
            return False
        bids.trim(self._levels_max)
        asks.trim(self._levels_max)
        why_wrong = _why_wrong(bids, asks)
        if why_wrong is not None:
            return self._refuse(why_wrong)
        self._bids, self._asks = bids, asks
        self.last_update, self._bare = last, bare
        self.synced = True
        self._renewing = False
        self._kept.clear()
        self._old_in_a_row = 0
        return True

    def _refuse(self, why: str) -> bool:
        if not self.synced:
            self.why_not = why
        return False


def _continues(diff: DepthDiff, last: int, *, bare: bool) -> bool:
    """Whether nothing lies between update `last` and this diff, which ends after it."""
    previous = diff.first_update - 1 if diff.previous_update is None else diff.previous_update
    return previous <= last if bare else previous == last


def _crossed(bids: _Side, asks: _Side) -> bool:
    bid, ask = bids.best(), asks.best()
    return bid is not None and ask is not None and bid[0] >= ask[0]


def _why_wrong(bids: _Side, asks: _Side) -> str | None:
    """Why this is not the venue's book, or None."""
    if _crossed(bids, asks):
        return "the best bid is not below the best ask"
    if not (bids.complete(1) and asks.complete(1)):
        return "the top is beyond what the snapshot covered"
    return None
