"""What a symbol's public past looks like: its latest trades, and candles built from them. Bounded."""

from collections import deque
from decimal import Decimal
from enum import Enum

from attrs import define

from tbot_actors.exchange.records import TradePrinted

TRADES_MAX = 1000
CANDLES_MAX = 5000
CLOSED_MAX = 64
_ZERO = Decimal(0)


class Interval(Enum):
    """Candle lengths served, spelled as on the wire."""

    SECOND = "1s"
    MINUTE = "1m"

    @property
    def length_ms(self) -> int:
        """The candle's length in milliseconds."""
        return 1_000 if self is Interval.SECOND else 60_000


@define
class Candle:
    """One candle. `first_id` and `last_id` are -1 while it holds no trade; its prices are then the last trade's."""

    open_ms: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal = _ZERO
    quote: Decimal = _ZERO
    taker_buy_volume: Decimal = _ZERO
    taker_buy_quote: Decimal = _ZERO
    count: int = 0
    first_id: int = -1
    last_id: int = -1

    def add(self, trade: TradePrinted) -> None:
        """Count one trade that happened inside the candle."""
        if self.count == 0:
            self.open = self.high = self.low = trade.price
            self.first_id = trade.trade_id
        self.high = max(self.high, trade.price)
        self.low = min(self.low, trade.price)
        self.close = trade.price
        quote = trade.price * trade.quantity
        self.volume += trade.quantity
        self.quote += quote
        if not trade.buyer_is_maker:
            self.taker_buy_volume += trade.quantity
            self.taker_buy_quote += quote
        self.count += 1
        self.last_id = trade.trade_id


class History:
    """The last TRADES_MAX trades and CANDLES_MAX candles per interval of one symbol."""

    def __init__(self) -> None:
        self.trades: deque[TradePrinted] = deque(maxlen=TRADES_MAX)
        self._candles: dict[Interval, deque[Candle]] = {kind: deque(maxlen=CANDLES_MAX) for kind in Interval}
        self._closed: deque[tuple[Interval, Candle]] = deque(maxlen=CLOSED_MAX)

    @property
    def last_price(self) -> Decimal | None:
        """The price of the latest trade, None before the first."""
        return self.trades[-1].price if self.trades else None

    def add(self, trade: TradePrinted) -> None:
        """Record one trade."""
        self.trades.append(trade)
        for kind, candles in self._candles.items():
            open_ms = _open_ms(kind, trade.time_ns)
            if not candles or candles[-1].open_ms < open_ms:
                self._open_until(kind, open_ms, trade.price)
            candles[-1].add(trade)

    def roll(self, now_ns: int) -> list[tuple[Interval, Candle]]:
        """Open the candle of `now_ns` where none is open, without trades; returns the candles closed since last time.

        A trade may have closed one, too. Candles that a silence of several intervals skipped are not among them.
        """
        for kind, candles in self._candles.items():
            open_ms = _open_ms(kind, now_ns)
            if candles and candles[-1].open_ms < open_ms:
                self._open_until(kind, open_ms, candles[-1].close)
        closed = list(self._closed)
        self._closed.clear()
        return closed

    def current(self, kind: Interval) -> Candle | None:
        """The candle under way, None before the first trade."""
        candles = self._candles[kind]
        return candles[-1] if candles else None

    def candles(self, kind: Interval, *, start_ms: int | None, end_ms: int | None, limit: int) -> list[Candle]:
        """At most `limit` candles in order: the oldest from `start_ms`, or the latest up to `end_ms`."""
        found = [
            candle
            for candle in self._candles[kind]
            if (start_ms is None or candle.open_ms >= start_ms) and (end_ms is None or candle.open_ms <= end_ms)
        ]
        return found[:limit] if start_ms is not None else found[-limit:]

    def _open_until(self, kind: Interval, open_ms: int, price: Decimal) -> None:
        candles = self._candles[kind]
        if candles:
            self._closed.append((kind, candles[-1]))
            price = candles[-1].close
            # A quiet market still has a candle per interval; after a long silence only those that are kept.
            step = kind.length_ms
            from_ms = max(candles[-1].open_ms + step, open_ms - (CANDLES_MAX - 1) * step)
            for missing_ms in range(from_ms, open_ms, step):
                candles.append(Candle(missing_ms, price, price, price, price))
        candles.append(Candle(open_ms, price, price, price, price))


def _open_ms(kind: Interval, time_ns: int) -> int:
    time_ms = time_ns // 1_000_000
    return time_ms - time_ms % kind.length_ms
