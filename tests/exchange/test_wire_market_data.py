"""Numbered book changes and candles."""

import itertools
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from tbot_actors.exchange.books import BookView, DiffSpeed
from tbot_actors.exchange.filters import SymbolRules
from tbot_actors.exchange.history import CANDLES_MAX, History, Interval
from tbot_actors.exchange.market import Order, Side
from tbot_actors.exchange.matching import OrderBookMarket
from tbot_actors.exchange.records import TradePrinted
from tbot_actors.exchange.source import TapeSource
from tbot_actors.exchange.tape import TapeDepth, TapeRecord, TapeSnapshot, TapeTrade
from tbot_actors.exchange.tape_market import TapeMarket

SECOND_NS = 1_000_000_000
START_NS = 1_723_161_300 * SECOND_NS
Levels = dict[str, str]


def trade(number: int, price: int, quantity: str, time_ns: int, *, buyer_is_maker: bool = False) -> TradePrinted:
    return TradePrinted("BTCUSDT", number, Decimal(price), Decimal(quantity), buyer_is_maker, time_ns)


def numbers(*values: int) -> list[Decimal]:
    return [Decimal(value) for value in values]


class Copy:
    """A book kept as the documentation tells clients to."""

    def __init__(self, snapshot: dict[str, object]) -> None:
        self.update_id = snapshot["lastUpdateId"]
        self.sides: dict[str, Levels] = {"b": dict(snapshot["bids"]), "a": dict(snapshot["asks"])}  # type: ignore[call-overload]

    def apply(self, diff: dict[str, object] | None) -> None:
        if diff is None or diff["u"] <= self.update_id:  # type: ignore[operator]
            return
        assert diff["U"] <= self.update_id + 1, "a gap"  # type: ignore[operator]
        for side, levels in self.sides.items():
            for price, quantity in diff[side]:  # type: ignore[attr-defined]
                if Decimal(quantity) == 0:
                    levels.pop(price, None)
                else:
                    levels[price] = quantity
        self.update_id = diff["u"]


steps = st.lists(
    st.tuples(st.sampled_from(list(Side)), st.integers(90, 110), st.integers(1, 50), st.sampled_from("odcs")),
    max_size=60,
)


@given(steps)
def test_diffs_continue_each_other_and_rebuild_the_book(events: list[tuple[Side, int, int, str]]) -> None:
    market = OrderBookMarket()
    book = BookView(SymbolRules(), market)
    copies = [Copy(book.snapshot(5000))]
    last_id = book.update_id
    for number, (side, price, quantity, what) in enumerate(events, 1):
        if what == "o":
            market.submit(Order(number, f"owner {number}", side, price, quantity))
        elif what == "c":
            market.cancel(number // 2)
        elif what == "s":
            book.collect()
            copies.append(Copy(book.snapshot(5000)))
        else:
            book.collect()
            diff = book.diff(DiffSpeed.FAST, START_NS)
            if diff is not None:
                assert diff["U"] == last_id + 1
                last_id = book.update_id
                assert diff["u"] == last_id
            for copy in copies:
                copy.apply(diff)
    book.collect()
    final = book.diff(DiffSpeed.FAST, START_NS)
    expected = Copy(book.snapshot(5000))
    for copy in copies:
        copy.apply(final)
        assert (copy.update_id, copy.sides) == (expected.update_id, expected.sides)


def test_every_changed_level_takes_an_update_id() -> None:
    market = OrderBookMarket()
    book = BookView(SymbolRules(), market)
    first_id = book.update_id + 1
    for number in range(3):
        market.submit(Order(number + 1, "a", Side.BUY, 100 - number, 5))
    book.collect()
    diff = book.diff(DiffSpeed.FAST, START_NS)
    assert diff is not None and (diff["U"], diff["u"]) == (first_id, first_id + 2)


def test_of_a_tapes_trade_our_part_is_ours_and_only_the_rest_is_printed_for_strangers() -> None:
    market = TapeMarket()
    records: list[TapeRecord] = [
        TapeSnapshot(START_NS, 10, ((100, 500),), ((110, 500),)),
        TapeDepth(START_NS + 1, 11, 11, ((99, 5),), ()),
        TapeTrade(START_NS + SECOND_NS, 1, 100, 30, True, START_NS // 1_000_000),
    ]
    source = TapeSource("BTCUSDT", market, iter(records), start_ns=START_NS, speed=1.0, ended=lambda: None)
    market.submit(Order(7, "main", Side.BUY, 105, 10))
    matches = [match for step in source.due(START_NS + 5 * SECOND_NS) for match in step]
    assert [(match.maker_id, match.price, match.quantity, match.taker_side) for match in matches] == [
        (7, 105, 10, Side.SELL),
        (0, 100, 20, Side.SELL),
    ]


def test_a_book_ticker_event_is_due_once_per_change_of_the_best() -> None:
    market = OrderBookMarket()
    book = BookView(SymbolRules(), market)
    market.submit(Order(1, "a", Side.BUY, 100, 5))
    book.collect()
    assert book.ticker_event() is None, "one side is empty"
    market.submit(Order(2, "a", Side.SELL, 102, 7))
    book.collect()
    event = book.ticker_event()
    assert event == {
        "u": book.update_id, "s": "BTCUSDT", "b": "1.00000000", "B": "0.00005000", "a": "1.02000000", "A": "0.00007000"
    }  # fmt: skip
    market.submit(Order(3, "a", Side.SELL, 103, 7))
    book.collect()
    assert book.ticker_event() is None


def test_candles_add_up_and_a_quiet_second_repeats_the_close() -> None:
    history = History()
    history.add(trade(1, 100, "1", START_NS))
    history.add(trade(2, 103, "2", START_NS + 1, buyer_is_maker=True))
    history.add(trade(3, 99, "1", START_NS + 3 * SECOND_NS))
    rows = history.candles(Interval.SECOND, start_ms=None, end_ms=None, limit=500)
    assert [(row.open_ms - START_NS // 1_000_000, row.count, int(row.close)) for row in rows] == [
        (0, 2, 103), (1000, 0, 103), (2000, 0, 103), (3000, 1, 99)
    ]  # fmt: skip
    first = rows[0]
    assert [first.open, first.high, first.low, first.volume, first.quote] == numbers(100, 103, 100, 3, 306)
    assert [first.taker_buy_volume, first.taker_buy_quote] == numbers(1, 100)
    assert (first.first_id, first.last_id) == (1, 2)
    minute = history.current(Interval.MINUTE)
    assert minute is not None and minute.count == 3 and minute.volume == 4


def test_closed_candles_are_told_once_and_a_long_silence_stays_bounded() -> None:
    history = History()
    history.add(trade(1, 100, "1", START_NS))
    assert [kind for kind, _ in history.roll(START_NS + SECOND_NS)] == [Interval.SECOND]
    assert history.roll(START_NS + SECOND_NS) == []
    history.roll(START_NS + 10 * CANDLES_MAX * SECOND_NS)
    rows = history.candles(Interval.SECOND, start_ms=None, end_ms=None, limit=10**9)
    assert len(rows) == CANDLES_MAX
    assert all(later.open_ms - row.open_ms == 1000 for row, later in itertools.pairwise(rows))


def test_a_candle_that_a_trade_closed_is_told_as_well() -> None:
    history = History()
    history.add(trade(1, 100, "1", START_NS))
    history.add(trade(2, 101, "1", START_NS + SECOND_NS))
    ((kind, candle),) = history.roll(START_NS + SECOND_NS)
    assert kind is Interval.SECOND and candle.count == 1 and candle.close == 100


def test_candles_are_the_oldest_from_a_start_and_the_latest_without_one() -> None:
    history = History()
    for second in range(10):
        history.add(trade(second, 100 + second, "1", START_NS + second * SECOND_NS))
    start_ms = START_NS // 1_000_000

    def closes(start: int | None, end: int | None) -> list[int]:
        return [int(row.close) for row in history.candles(Interval.SECOND, start_ms=start, end_ms=end, limit=2)]

    assert closes(None, None) == [108, 109]
    assert closes(start_ms + 3000, None) == [103, 104]
    assert closes(None, start_ms + 3000) == [102, 103]
