"""Market data made by hand, and a venue's true book for books to be compared with."""

from collections.abc import Mapping
from decimal import Decimal

from attrs import define, field

from tbot_actors.domain.instruments import InstrumentId, Side
from tbot_actors.domain.market import DepthDiff, DepthSnapshot, Level, MarketTrade, TopOfBook

BTCUSDT = InstrumentId("binance:BTCUSDT")
NS = 1_000_000_000
START_NS = 1_800_000_000 * NS
"""Wall time at the start of virtual worlds: a multiple of a minute."""

Pairs = Mapping[float | str, float | str]


def levels(pairs: Pairs) -> tuple[Level, ...]:
    """In the order given."""
    return tuple((Decimal(str(price)), Decimal(str(quantity))) for price, quantity in pairs.items())


def best(bid: float, bid_quantity: float, ask: float, ask_quantity: float) -> tuple[Level, Level]:
    """The top of a book."""
    return levels({bid: bid_quantity})[0], levels({ask: ask_quantity})[0]


def diff(
    first: int,
    last: int,
    bids: Pairs | None = None,
    asks: Pairs | None = None,
    *,
    previous: int | None = None,
    at: int = 0,
) -> DepthDiff:
    """Updates `first` to `last`."""
    return DepthDiff(BTCUSDT, first, last, previous, levels(bids or {}), levels(asks or {}), at)


def snapshot(update: int, bids: Pairs | None = None, asks: Pairs | None = None) -> DepthSnapshot:
    """By default one bid at 100 and one ask at 101."""
    return DepthSnapshot(BTCUSDT, update, levels(bids or {100: 1}), levels(asks or {101: 1}))


def top(update: int, bid: float | str = 100, ask: float | str = 101, *, at: int = 0) -> TopOfBook:
    """One unit on each side."""
    return TopOfBook(BTCUSDT, update, (Decimal(str(bid)), Decimal(1)), (Decimal(str(ask)), Decimal(1)), at)


def trade(
    number: int, price: float | str = 100, quantity: float | str = 1, *, stamp_ns: int = START_NS, at: int = 0
) -> MarketTrade:
    """A buy."""
    return MarketTrade(BTCUSDT, str(number), Decimal(str(price)), Decimal(str(quantity)), Side.BUY, stamp_ns, at)


@define
class Venue:
    """A book with all of its history, and the stream of its diffs."""

    futures: bool = False
    """Update ids jump, and diffs state where the one before them ended."""
    bids: dict[int, int] = field(factory=dict)
    asks: dict[int, int] = field(factory=dict)
    update: int = 1_000
    _changed: dict[tuple[Side, int], int] = field(factory=dict)
    _flushed: int = 1_000
    _first: int | None = None
    history: dict[int, tuple[dict[int, int], dict[int, int]]] = field(factory=dict)

    def __attrs_post_init__(self) -> None:
        self._remember()

    def change(self, side: Side, price: int, quantity: int) -> None:
        """One update: a level's new total. What it meets on the other side is gone."""
        self.update += 7 if self.futures else 1
        self._first = self._first or self.update
        self._set(side, price, quantity)
        if quantity:
            other = self.asks if side is Side.BUY else self.bids
            for met in [at for at in other if (at <= price if side is Side.BUY else at >= price)]:
                self._set(side.opposite, met, 0)
        self._remember()

    def _set(self, side: Side, price: int, quantity: int) -> None:
        book = self.bids if side is Side.BUY else self.asks
        if quantity:
            book[price] = quantity
        else:
            book.pop(price, None)
        self._changed[side, price] = quantity

    def _remember(self) -> None:
        self.history[self.update] = (dict(self.bids), dict(self.asks))

    def flush(self) -> DepthDiff | None:
        """The changes since the last flush; None where there are none."""
        if self._first is None:
            return None
        sides: dict[Side, Pairs] = {
            side: {price: quantity for (of, price), quantity in self._changed.items() if of is side} for side in Side
        }
        previous = self._flushed if self.futures else None
        made = diff(self._first, self.update, sides[Side.BUY], sides[Side.SELL], previous=previous)
        self._flushed, self._first = self.update, None
        self._changed.clear()
        return made

    def snapshot(self, update: int, depth: int) -> DepthSnapshot:
        """The best `depth` levels of each side as of an update of the past."""
        bids, asks = self.history[update]
        return DepthSnapshot(
            BTCUSDT,
            update,
            levels({price: bids[price] for price in sorted(bids, reverse=True)[:depth]}),
            levels({price: asks[price] for price in sorted(asks)[:depth]}),
        )
