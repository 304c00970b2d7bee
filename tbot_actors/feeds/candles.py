"""Candles out of trades. Pure.

A period begins and ends at multiples of its length since 1970 UTC, in the venue's time. It is closed by the first trade
of a later period, or by the clock a grace time after its end. A trade of a closed period is late: counted, but in no
candle. The period under way when the maker began is never published, because its beginning was not seen.
"""

from decimal import Decimal

from tbot_actors.domain.instruments import InstrumentId
from tbot_actors.domain.market import Candle, MarketTrade
from tbot_actors.domain.money import ZERO

EMPTY_MAX = 1_000
"""Empty candles that one trade or one look at the clock may give; of a longer pause the newest are given."""
_NS = 1_000_000_000


class CandleMaker:
    """Candles of one instrument and one length."""

    def __init__(self, instrument: InstrumentId, period_s: int, *, began_ns: int, grace_ns: int) -> None:
        """`began_ns`: the venue's time from which on every trade is seen, ns UTC."""
        self.period_ns = period_s * _NS
        self.late_trades = 0
        self.late_volume = ZERO
        """In no candle: it came when its period was closed."""
        self.partial_volume = ZERO
        """In no candle: it belongs to the period that was under way at the start."""
        self.skipped = 0
        """Empty periods passed over, see EMPTY_MAX."""
        self.volume = ZERO
        """Of the period under way."""
        self._instrument = instrument
        self._grace_ns = grace_ns
        self._whole_from_ns = -(-began_ns // self.period_ns) * self.period_ns
        self._open_ns: int | None = None
        self._open = self._high = self._low = self._close = ZERO
        self._trades = 0

    def trade(self, trade: MarketTrade) -> list[Candle]:
        """Count a trade; the candles that it closes."""
        start_ns = trade.stamp_ns - trade.stamp_ns % self.period_ns
        closed: list[Candle] = []
        if self._open_ns is None:
            self._open_ns = start_ns
        elif start_ns > self._open_ns:
            closed = self._close_until(self._open_ns, start_ns, trade.received_ns)
        elif start_ns < self._open_ns:
            self.late_trades += 1
            self.late_volume += trade.quantity
            return closed
        self._count(trade.price, trade.quantity)
        return closed

    def clock(self, venue_ns: int, received_ns: int) -> list[Candle]:
        """The candles whose time, and grace, are over. `venue_ns`: the venue's time now; `received_ns`: monotonic."""
        if self._open_ns is None:
            return []
        over_ns = venue_ns - self._grace_ns
        start_ns = over_ns - over_ns % self.period_ns
        return self._close_until(self._open_ns, start_ns, received_ns) if start_ns > self._open_ns else []

    def _count(self, price: Decimal, quantity: Decimal) -> None:
        if self._trades == 0:
            self._open = self._high = self._low = price
        elif price > self._high:
            self._high = price
        elif price < self._low:
            self._low = price
        self._close = price
        self.volume += quantity
        self._trades += 1

    def _close_until(self, open_ns: int, start_ns: int, received_ns: int) -> list[Candle]:
        """Close the period under way and the empty ones after it; the one at `start_ns` is under way then."""
        closed: list[Candle] = []
        if open_ns >= self._whole_from_ns:
            closed.append(self._candle(open_ns, received_ns))
        else:
            self.partial_volume += self.volume
        self._open = self._high = self._low = self._close
        self.volume, self._trades = ZERO, 0
        # Empty periods before `_whole_from_ns` were not seen to be empty.
        first_ns = max(open_ns + self.period_ns, self._whole_from_ns)
        empty = (start_ns - first_ns) // self.period_ns
        if empty > EMPTY_MAX:
            self.skipped += empty - EMPTY_MAX
            first_ns = start_ns - EMPTY_MAX * self.period_ns
        closed += [self._candle(at_ns, received_ns) for at_ns in range(first_ns, start_ns, self.period_ns)]
        self._open_ns = start_ns
        return closed

    def _candle(self, open_ns: int, received_ns: int) -> Candle:
        return Candle(
            instrument=self._instrument,
            period_ns=self.period_ns,
            open_ns=open_ns,
            open=self._open,
            high=self._high,
            low=self._low,
            close=self._close,
            volume=self.volume,
            trades=self._trades,
            received_ns=received_ns,
        )
