"""A market capture as typed records. A line is `<local ns> <raw websocket JSON>`, one is the JSON of a REST snapshot.

Reads Binance spot and USD-M captures of one symbol: `depth` diffs, `bookTicker`, `trade`, and the depth snapshot.
Prices become integer ticks and quantities integer steps. A price or a trade off the grid is an error. A level's total
may be off the step (orders from before a step was made coarser rest for years: the spot capture shows 25.42618900 at
200000.00); it counts in whole steps, rounded down, since less than a step cannot be traded.
"""

from collections.abc import Iterable, Iterator
from decimal import Decimal
from fractions import Fraction

import msgspec
from attrs import field, frozen

_DECIMALS = 8
_POWERS: list[int] = [10**places for places in range(_DECIMALS + 1)]
_UNIT = Decimal(1).scaleb(-_DECIMALS)

Level = tuple[int, int]
"""Price in ticks, quantity in steps; in a diff the quantity is the level's new total, 0 = gone."""


class TapeError(Exception):
    """The tape cannot be replayed; the message names the line, where one is to blame, and what is wrong with it."""


@frozen
class TapeDepth:
    """One depth diff: the new totals of every level changed by the updates `first_update`..`last_update`."""

    local_ns: int
    """When the capture received it, ns UTC on the capturing machine's clock."""
    first_update: int
    last_update: int
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]
    previous_update: int | None = None
    """USD-M only (`pu`): the `last_update` of the diff before."""


@frozen
class TapeBookTicker:
    """The best bid and ask after book update `update`. A price of 0 says the side is empty."""

    local_ns: int
    update: int
    bid: int
    bid_quantity: int
    ask: int
    ask_quantity: int


@frozen
class TapeTrade:
    """One public trade. `buyer_is_maker`: the seller was the taker."""

    local_ns: int
    trade_id: int
    price: int
    quantity: int
    buyer_is_maker: bool
    event_ms: int
    """The venue's event time, ms UTC (the venue's clock, not `local_ns`'s)."""


@frozen
class TapeSnapshot:
    """The REST depth snapshot: every level, down to the depth that was asked for, after update `last_update`."""

    local_ns: int
    last_update: int
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]


TapeRecord = TapeDepth | TapeBookTicker | TapeTrade | TapeSnapshot


def _positive_multiple_of_unit(_instance: object, attribute: object, value: Decimal) -> None:
    if not (value.is_finite() and value > 0 and value % _UNIT == 0):
        raise ValueError(f"a grid must be a positive multiple of {_UNIT}, got {value}")


@frozen
class TapeGrid:
    """The symbol's price tick (quote currency) and quantity step (base currency)."""

    tick: Decimal = field(validator=_positive_multiple_of_unit)
    step: Decimal = field(validator=_positive_multiple_of_unit)


BTCUSDT_SPOT = TapeGrid(tick=Decimal("0.01"), step=Decimal("0.00001"))
ETHUSDT_USDM = TapeGrid(tick=Decimal("0.01"), step=Decimal("0.001"))


def read_tape(lines: Iterable[bytes], grid: TapeGrid = BTCUSDT_SPOT) -> Iterator[TapeRecord]:
    """The records of `lines` in order, decoded one at a time as they are asked for.

    Raises TapeError, naming the line (from 1), at the first line that is not a record of the first line's symbol.
    """
    parse = _Parser(grid).parse
    for number, line in enumerate(lines, 1):
        try:
            yield parse(line)
        except (_Malformed, msgspec.MsgspecError) as error:
            raise TapeError(f"line {number}: {error}") from error


@frozen
class TapePace:
    """When each record of a tape is due: `speed` 2 plays it twice as fast as it was captured."""

    start_ns: int
    """The player's clock when playing starts."""
    first_local_ns: int
    """`local_ns` of the first record played."""
    speed: float = 1.0

    def __attrs_post_init__(self) -> None:
        """Raises ValueError for a speed that is not a positive finite number."""
        if not 0 < self.speed < float("inf"):
            raise ValueError(f"the speed of a tape must be positive and finite, got {self.speed}")

    def due_ns(self, local_ns: int) -> int:
        """The player's clock when the record stamped `local_ns` is due; never before `start_ns`.

        Exact to the nanosecond however long the tape: a float would be off by 256 ns at today's stamps.
        """
        return self.start_ns + max(0, int((local_ns - self.first_local_ns) / Fraction(self.speed)))


class _Malformed(Exception):
    pass


class _Message(msgspec.Struct):
    stream: str | None = None
    data: msgspec.Raw = msgspec.Raw()
    last_update: int | None = msgspec.field(default=None, name="lastUpdateId")
    bids: list[tuple[str, str]] = msgspec.field(default_factory=list)
    asks: list[tuple[str, str]] = msgspec.field(default_factory=list)


class _Depth(msgspec.Struct):
    first_update: int = msgspec.field(name="U")
    last_update: int = msgspec.field(name="u")
    bids: list[tuple[str, str]] = msgspec.field(name="b")
    asks: list[tuple[str, str]] = msgspec.field(name="a")
    previous_update: int | None = msgspec.field(default=None, name="pu")


class _BookTicker(msgspec.Struct):
    update: int = msgspec.field(name="u")
    bid: str = msgspec.field(name="b")
    bid_quantity: str = msgspec.field(name="B")
    ask: str = msgspec.field(name="a")
    ask_quantity: str = msgspec.field(name="A")


class _Trade(msgspec.Struct):
    trade_id: int = msgspec.field(name="t")
    price: str = msgspec.field(name="p")
    quantity: str = msgspec.field(name="q")
    buyer_is_maker: bool = msgspec.field(name="m")
    event_ms: int = msgspec.field(name="E")


class _Parser:
    def __init__(self, grid: TapeGrid) -> None:
        self._tick_units = int(grid.tick / _UNIT)
        self._step_units = int(grid.step / _UNIT)
        self._symbol: str | None = None
        self._message = msgspec.json.Decoder(_Message)
        self._depth = msgspec.json.Decoder(_Depth)
        self._book_ticker = msgspec.json.Decoder(_BookTicker)
        self._trade = msgspec.json.Decoder(_Trade)

    def parse(self, line: bytes) -> TapeRecord:
        stamp, _, text = line.partition(b" ")
        if not stamp.isdigit() or not text:
            raise _Malformed("it is not `<local ns> <JSON>`")
        local_ns = int(stamp)
        message = self._message.decode(text)
        if message.stream is None:
            return self._read_snapshot(local_ns, message)
        symbol, _, stream = message.stream.partition("@")
        if self._symbol is None:
            self._symbol = symbol
        elif symbol != self._symbol:
            raise _Malformed(f"a message of {symbol} on the tape of {self._symbol}")
        if stream == "bookTicker":
            return self._read_book_ticker(local_ns, self._book_ticker.decode(message.data))
        if stream == "trade":
            return self._read_trade(local_ns, self._trade.decode(message.data))
        if stream == "depth" or stream.startswith("depth@"):
            return self._read_depth(local_ns, self._depth.decode(message.data))
        raise _Malformed(f"no record is known for the stream {message.stream!r}")

    def _read_snapshot(self, local_ns: int, message: _Message) -> TapeSnapshot:
        if message.last_update is None:
            raise _Malformed("it has neither `stream` nor `lastUpdateId`")
        return TapeSnapshot(local_ns, message.last_update, self._levels(message.bids), self._levels(message.asks))

    def _read_depth(self, local_ns: int, depth: _Depth) -> TapeDepth:
        if depth.first_update > depth.last_update:
            raise _Malformed(f"the diff ends (u {depth.last_update}) before it starts (U {depth.first_update})")
        return TapeDepth(
            local_ns,
            depth.first_update,
            depth.last_update,
            self._levels(depth.bids),
            self._levels(depth.asks),
            depth.previous_update,
        )

    def _read_book_ticker(self, local_ns: int, ticker: _BookTicker) -> TapeBookTicker:
        record = TapeBookTicker(
            local_ns,
            ticker.update,
            self._ticks(ticker.bid),
            self._steps(ticker.bid_quantity),
            self._ticks(ticker.ask),
            self._steps(ticker.ask_quantity),
        )
        if record.ask and record.bid >= record.ask:
            raise _Malformed(f"the best bid {ticker.bid} is not below the best ask {ticker.ask}")
        return record

    def _read_trade(self, local_ns: int, trade: _Trade) -> TapeTrade:
        price = self._ticks(trade.price)
        quantity, off = divmod(_units(trade.quantity), self._step_units)
        if off:
            raise _Malformed(f"the quantity {trade.quantity} of a trade is not a multiple of the step")
        if price == 0 or quantity == 0:
            raise _Malformed(f"a trade of {trade.quantity} at {trade.price}")
        return TapeTrade(local_ns, trade.trade_id, price, quantity, trade.buyer_is_maker, trade.event_ms)

    def _levels(self, levels: list[tuple[str, str]]) -> tuple[Level, ...]:
        return tuple([(self._ticks(price), self._steps(quantity)) for price, quantity in levels])

    def _ticks(self, text: str) -> int:
        ticks, off = divmod(_units(text), self._tick_units)
        if off:
            raise _Malformed(f"the price {text} is not a multiple of the tick")
        return ticks

    def _steps(self, text: str) -> int:
        return _units(text) // self._step_units


def _units(text: str) -> int:
    whole, _, fraction = text.partition(".")
    digits = whole + fraction
    missing = _DECIMALS - len(fraction)
    if missing < 0 or not digits.isdecimal() or not digits.isascii():
        raise _Malformed(f"{text!r} is not an unsigned decimal of at most {_DECIMALS} places")
    return int(digits) * _POWERS[missing]
