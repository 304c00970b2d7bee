"""What is wrong with market data, what is odd about it, and how long silence is normal. Pure.

What is wrong (Fault) is set aside: it is in no book, no candle and no quote. What is odd (Flag) is counted and stays,
because a crash of the market looks like this too.
"""

from collections.abc import Iterable
from decimal import Decimal, InvalidOperation
from enum import Enum
from itertools import pairwise

from tbot_actors.domain.market import DepthDiff, DepthSnapshot, Level, MarketTrade, TopOfBook
from tbot_actors.domain.money import ZERO

INFINITY = Decimal("Infinity")


class Fault(Enum):
    """Why an item was set aside."""

    MALFORMED = "MALFORMED"
    """Not a message of the venue's dialect."""
    UNKNOWN_INSTRUMENT = "UNKNOWN_INSTRUMENT"
    """Of an instrument that this feed does not carry."""
    NOT_FINITE = "NOT_FINITE"
    """A price or quantity is NaN or infinite."""
    NOT_POSITIVE = "NOT_POSITIVE"
    """A price or quantity is zero or below; a quantity of zero is sound in a diff only."""
    CROSSED = "CROSSED"
    """The best bid is not below the best ask."""
    DISORDERED = "DISORDERED"
    """Levels not from the best to the worst, or update ids that end before they begin."""
    REPEATED = "REPEATED"
    """The trade before it again."""
    FUTURE = "FUTURE"
    """Stamped ahead of the venue's clock."""
    OLD = "OLD"
    """Stamped long before now."""


class Flag(Enum):
    """What is odd about an item that is used all the same."""

    OUTLIER = "OUTLIER"
    """The price is far from the one before it."""
    WIDE_SPREAD = "WIDE_SPREAD"
    """The spread is a large part of the price."""


def diff_fault(diff: DepthDiff) -> Fault | None:
    """What is wrong with a diff. Its levels may be on the other side of the ones in the book: it removes those too."""
    if diff.first_update > diff.last_update:
        return Fault.DISORDERED
    try:
        # One comparison chain for each number and no call: this runs for every level of every diff.
        for levels in (diff.bids, diff.asks):
            for price, quantity in levels:
                if not (ZERO < price < INFINITY and ZERO <= quantity < INFINITY):
                    return _number_fault(price, quantity)
    except InvalidOperation:
        return Fault.NOT_FINITE
    return None


def top_fault(top: TopOfBook) -> Fault | None:
    """What is wrong with the venue's best prices. An empty side, which venues show as 0, is no quote either."""
    (bid, bid_quantity), (ask, ask_quantity) = top.bid, top.ask
    try:
        if ZERO < bid < ask < INFINITY and ZERO < bid_quantity < INFINITY and ZERO < ask_quantity < INFINITY:
            return None
    except InvalidOperation:
        return Fault.NOT_FINITE
    return _number_fault(bid, bid_quantity, ask, ask_quantity) or Fault.CROSSED


def trade_fault(trade: MarketTrade, venue_ns: int, future_max_ns: int, old_max_ns: int) -> Fault | None:
    """What is wrong with a trade. `venue_ns`: the venue's time now, ns UTC."""
    try:
        if not (ZERO < trade.price < INFINITY and ZERO < trade.quantity < INFINITY):
            return _number_fault(trade.price, trade.quantity)
    except InvalidOperation:
        return Fault.NOT_FINITE
    age_ns = venue_ns - trade.stamp_ns
    if age_ns < -future_max_ns:
        return Fault.FUTURE
    return Fault.OLD if age_ns > old_max_ns else None


def snapshot_fault(snapshot: DepthSnapshot) -> Fault | None:
    """What is wrong with a snapshot."""
    numbers = [number for level in (*snapshot.bids, *snapshot.asks) for number in level]
    fault = _number_fault(*numbers)
    if fault is not None:
        return fault
    if not (_falls(snapshot.bids) and _falls(snapshot.asks[::-1])):
        return Fault.DISORDERED
    crossed = snapshot.bids and snapshot.asks and snapshot.bids[0][0] >= snapshot.asks[0][0]
    return Fault.CROSSED if crossed else None


def _falls(levels: Iterable[Level]) -> bool:
    return all(one[0] > other[0] for one, other in pairwise(levels))


def _number_fault(*numbers: Decimal) -> Fault | None:
    if not all(number.is_finite() for number in numbers):
        return Fault.NOT_FINITE
    return Fault.NOT_POSITIVE if any(number <= ZERO for number in numbers) else None


class Jumps:
    """Flags prices far from the one before them. A price that stays there is flagged once."""

    def __init__(self, outlier: Decimal) -> None:
        """`outlier`: fraction of the price before."""
        self._up = 1 + float(outlier)
        self._down = 1 - float(outlier)
        self._before: float | None = None

    def odd(self, price: Decimal) -> bool:
        """Whether this price is an outlier."""
        # Floats: this is statistics, and an eighth of the time of Decimals.
        now, before = float(price), self._before
        self._before = now
        return before is not None and not (before * self._down <= now <= before * self._up)


class Silence:
    """How long an instrument has been silent, and how long is too long for it.

    The threshold is `factor` times the longest quiet interval of the last one to two windows, between `min_ns` and
    `max_ns`. A silence beyond the threshold is learned as if it had been as long as the threshold: an outage widens it
    only step by step, and an instrument that has become quiet does not raise the alarm for ever.
    """

    def __init__(self, now_ns: int, *, min_ns: int, max_ns: int, factor: float, window_ns: int) -> None:
        """All times are monotonic ns; `now_ns`: when listening began."""
        self._min_ns = min_ns
        self._max_ns = max_ns
        self._factor = factor
        self._window_ns = window_ns
        self._turn_ns = now_ns + window_ns
        self._heard_ns = now_ns
        self._longest_ns = 0
        self._longest_before_ns = 0

    def heard(self, received_ns: int) -> None:
        """Something sound came."""
        quiet_ns = received_ns - self._heard_ns
        if quiet_ns > self._longest_ns:
            self._longest_ns = min(quiet_ns, self.threshold_ns)
        if received_ns >= self._turn_ns:
            self._turn_ns = received_ns + self._window_ns
            self._longest_before_ns, self._longest_ns = self._longest_ns, 0
        self._heard_ns = received_ns

    @property
    def threshold_ns(self) -> int:
        """Silent for longer than this is stale."""
        longest_ns = max(self._longest_ns, self._longest_before_ns)
        return max(self._min_ns, min(self._max_ns, int(self._factor * longest_ns)))

    def stale(self, now_ns: int) -> bool:
        """Whether it has been silent for too long."""
        return now_ns - self._heard_ns > self.threshold_ns
