"""The capture is read exactly, and the book rebuilt from it is the venue's at every update that can be checked."""

import gzip
from collections.abc import Iterator
from decimal import Decimal
from time import process_time

import pytest

from tbot_actors.exchange.market import Side
from tbot_actors.exchange.tape import (
    BTCUSDT_SPOT,
    ETHUSDT_USDM,
    TapeBookTicker,
    TapeDepth,
    TapeError,
    TapeGrid,
    TapePace,
    TapeRecord,
    TapeSnapshot,
    TapeTrade,
    read_tape,
)
from tbot_actors.exchange.tape_book import TapeBook
from tbot_actors.exchange.tape_market import TapeMarket
from tests.data import data_file

SPOT = "ticks/binance_spot_btcusdt_20240808.gz"
USDM = "ticks/binance_usdm_ethusdt_20240808.gz"
TICKER = (
    b'{"stream":"btcusdt@bookTicker","data":{"u":7,"s":"BTCUSDT","b":"1.23","B":"2","a":"1.24000000","A":"0.00001"}}'
)
TRADE = b'{"stream":"btcusdt@trade","data":{"E":99,"t":5,"p":"%s","q":"%s","T":98,"m":true}}'
DIFF = b'{"stream":"btcusdt@depth@100ms","data":{"U":%d,"u":%d,"b":%s,"a":[]}}'


def lines_of(name: str) -> list[bytes]:
    return gzip.decompress(data_file(name).read_bytes()).splitlines()


def read_one(line: bytes, grid: TapeGrid = BTCUSDT_SPOT) -> TapeRecord:
    return next(read_tape([line], grid))


def diff(first: int, last: int, bids: list[tuple[int, int]], previous: int | None = None) -> TapeDepth:
    return TapeDepth(0, first, last, tuple(bids), (), previous)


def ticker(update: int, bid: int, bid_quantity: int, ask: int = 200, ask_quantity: int = 1) -> TapeBookTicker:
    return TapeBookTicker(0, update, bid, bid_quantity, ask, ask_quantity)


def snapshot(update: int, bids: list[tuple[int, int]]) -> TapeSnapshot:
    return TapeSnapshot(0, update, tuple(bids), ())


def bids_after(*records: TapeDepth | TapeBookTicker | TapeSnapshot) -> dict[int, int]:
    book = TapeBook()
    for record in records:
        book.apply(record)
    return book.bids.totals


def test_prices_become_ticks_and_quantities_steps() -> None:
    assert read_one(b"17 " + TICKER) == TapeBookTicker(17, 7, 123, 200_000, 124, 1)
    assert read_one(b"18 " + TRADE % (b"61837.63000000", b"0.02000000")) == TapeTrade(18, 5, 6183763, 2000, True, 99)
    assert read_one(b"19 " + DIFF % (3, 4, b'[["0.01","0"]]')) == TapeDepth(19, 3, 4, ((1, 0),), ())
    assert read_one(b'20 {"lastUpdateId":9,"bids":[],"asks":[["2","3"]]}') == TapeSnapshot(20, 9, (), ((200, 300_000),))


def test_a_usdm_diff_carries_the_update_before_it() -> None:
    line = b'1 {"stream":"ethusdt@depth@0ms","data":{"U":5,"u":9,"pu":2,"b":[["2681.62","1.165"]],"a":[]}}'
    assert read_one(line, ETHUSDT_USDM) == TapeDepth(1, 5, 9, ((268162, 1165),), (), 2)


def test_a_level_off_the_step_counts_in_whole_steps() -> None:
    assert read_one(b"1 " + DIFF % (3, 4, b'[["200000.00","25.42618900"]]')) == TapeDepth(
        1, 3, 4, ((20_000_000, 2_542_618),), ()
    )


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        (b"", "not `<local ns> <JSON>`"),
        (b"{}", "not `<local ns> <JSON>`"),
        (b"12x {}", "not `<local ns> <JSON>`"),
        (b"1 {}", "neither `stream` nor `lastUpdateId`"),
        (b"1 " + TICKER[:40], "truncated"),
        (b"1 " + TICKER.replace(b'"u":7,', b""), "missing required field `u`"),
        (b"1 " + TICKER.replace(b'"1.23"', b"1.23"), "Expected `str`"),
        (b"1 " + TICKER.replace(b"1.23", b"1.24"), "best bid 1.24 is not below"),
        (b"1 " + TICKER.replace(b"bookTicker", b"kline_1s"), "btcusdt@kline_1s"),
        (b"1 " + TRADE % (b"1.005", b"1"), "1.005 is not a multiple of the tick"),
        (b"1 " + TRADE % (b"1.00", b"0.000001"), "0.000001 of a trade is not a multiple of the step"),
        (b"1 " + TRADE % (b"1.00", b"0.00000000"), "a trade of 0.00000000"),
        (b"1 " + TRADE % (b"-1.00", b"1"), "'-1.00' is not an unsigned decimal"),
        (b"1 " + TRADE % (b"1e3", b"1"), "'1e3' is not an unsigned decimal"),
        (b"1 " + TRADE % (b"NaN", b"1"), "'NaN' is not an unsigned decimal"),
        (b"1 " + DIFF % (5, 4, b"[]"), "the diff ends"),
    ],
)
def test_a_malformed_line_is_named_with_what_is_wrong(line: bytes, wrong: str) -> None:
    records = read_tape([b"1 " + TICKER, line])
    next(records)
    with pytest.raises(TapeError, match=r"^line 2: ") as caught:
        next(records)
    assert wrong in str(caught.value)


def test_a_tape_holds_one_symbol() -> None:
    with pytest.raises(TapeError, match="line 2: a message of ethusdt on the tape of btcusdt"):
        list(read_tape([b"1 " + TICKER, b"1 " + TICKER.replace(b"btcusdt", b"ethusdt")]))


@pytest.mark.parametrize("tick", ["0", "-0.01", "NaN", "0.000000001"])
def test_a_grid_that_no_price_fits_does_not_construct(tick: str) -> None:
    with pytest.raises(ValueError, match="a grid must be"):
        TapeGrid(tick=Decimal(tick), step=Decimal("0.1"))


def test_the_pace_is_exact_and_never_before_the_start() -> None:
    first = 1723161253937085768
    assert TapePace(1_000, first).due_ns(first) == 1_000
    assert TapePace(1_000, first).due_ns(first + 345_678_901_237) == 345_678_902_237
    assert TapePace(1_000, first, 4.0).due_ns(first + 1_000_000_000) == 250_001_000
    assert TapePace(1_000, first, 0.5).due_ns(first + 3) == 1_006
    assert TapePace(1_000, first).due_ns(first - 5) == 1_000
    with pytest.raises(ValueError, match="must be positive"):
        TapePace(0, 0, 0.0)


def test_diffs_wait_for_the_snapshot_and_those_it_contains_are_dropped() -> None:
    diffs = [diff(1, 3, [(10, 99)]), diff(4, 6, [(11, 5)]), diff(7, 8, [(12, 6)])]
    assert bids_after(*diffs) == {}
    assert bids_after(*diffs, snapshot(5, [(10, 1), (11, 2)])) == {10: 1, 11: 5, 12: 6}
    assert bids_after(*diffs, snapshot(3, [(10, 1)]), diff(9, 9, [(10, 0)])) == {11: 5, 12: 6}


def test_a_snapshot_older_than_the_first_diff_is_passed_over() -> None:
    assert bids_after(diff(5, 6, [(10, 1)]), snapshot(3, [(9, 1)])) == {}
    assert bids_after(diff(5, 6, [(10, 1)]), snapshot(3, [(9, 1)]), snapshot(4, [(8, 1)])) == {8: 1, 10: 1}


def test_a_snapshot_between_diffs_that_do_not_adjoin_is_passed_over() -> None:
    assert bids_after(diff(1, 3, [(10, 1)]), diff(5, 6, [(10, 2)]), snapshot(3, [(9, 1)])) == {}


def test_a_gap_unsyncs_the_book_until_a_snapshot_continues_the_diffs() -> None:
    book = TapeBook()
    book.apply(snapshot(3, [(10, 1)]))
    book.apply(diff(4, 5, [(10, 2)]))
    book.apply(diff(7, 8, [(10, 3)]))
    assert (book.synced, book.gaps, book.bids.totals) == (False, 1, {10: 2})
    book.apply(diff(9, 9, [(9, 4)]))
    book.apply(snapshot(7, [(10, 7)]))
    assert (book.synced, book.gaps, book.bids.totals) == (True, 1, {10: 3, 9: 4})


def test_usdm_diffs_continue_by_pu_though_their_updates_do_not_adjoin() -> None:
    book = TapeBook()
    for record in (snapshot(10, [(5, 1)]), diff(9, 12, [(5, 2)], 8), diff(20, 22, [(5, 3)], 12)):
        book.apply(record)
    assert (book.synced, book.bids.totals) == (True, {5: 3})
    book.apply(diff(23, 24, [(5, 4)], 21))
    assert (book.synced, book.gaps) == (False, 1)


def test_diffs_without_end_and_without_a_snapshot_are_an_error() -> None:
    book = TapeBook()
    with pytest.raises(TapeError, match="no snapshot continues the depth diffs from update 1 on"):
        for update in range(1, 10_000):
            book.apply(diff(update, update, []))


def test_an_old_diff_neither_overwrites_the_newer_top_nor_resurrects_what_the_ticker_saw_gone() -> None:
    start = snapshot(1, [(100, 5), (99, 5), (98, 5)])
    falls_to_99 = ticker(8, 99, 2)
    late = diff(2, 6, [(100, 4), (99, 7), (98, 3)])
    assert bids_after(start, falls_to_99, late) == {99: 2, 98: 3}


def test_a_snapshot_older_than_the_ticker_obeys_the_same_rule() -> None:
    assert bids_after(ticker(8, 99, 2), snapshot(5, [(100, 4), (99, 7), (98, 3)])) == {99: 2, 98: 3}


def test_a_level_seen_gone_stays_gone_after_the_top_rose_again() -> None:
    start = snapshot(1, [(100, 5), (99, 5), (98, 5), (97, 5)])
    late = diff(2, 6, [(100, 4), (99, 7), (98, 3), (97, 6)])
    assert bids_after(start, ticker(8, 98, 2), ticker(9, 100, 1), late) == {100: 1, 98: 2, 97: 6}


def test_a_ticker_older_than_the_last_diff_says_nothing_new() -> None:
    assert bids_after(snapshot(1, [(100, 5)]), diff(2, 6, [(100, 4)]), ticker(5, 99, 1)) == {100: 4}


def test_an_empty_side_in_a_ticker_empties_the_side() -> None:
    assert bids_after(snapshot(1, [(100, 5)]), ticker(8, 0, 0)) == {}


@pytest.mark.parametrize(("name", "grid", "stale"), [(SPOT, BTCUSDT_SPOT, 0), (USDM, ETHUSDT_USDM, 336)])
def test_the_market_shows_the_venues_top_at_every_book_ticker_of_the_tape(
    name: str, grid: TapeGrid, stale: int
) -> None:
    market = TapeMarket()
    tickers = skipped = 0
    for record in read_tape(lines_of(name), grid):
        before = market.book.last_update
        assert market.advance(record) == []
        bid, ask = market.best(Side.BUY), market.best(Side.SELL)
        assert bid is None or ask is None or bid[0] < ask[0]
        if isinstance(record, TapeBookTicker):
            if record.update < before:
                skipped += 1
                continue
            tickers += 1
            assert bid == (record.bid, record.bid_quantity)
            assert ask == (record.ask, record.ask_quantity)
    assert tickers > 28_000
    assert skipped == stale
    assert market.book.synced
    assert market.book.gaps == 0


@pytest.mark.parametrize(("name", "grid", "states"), [(SPOT, BTCUSDT_SPOT, 3449), (USDM, ETHUSDT_USDM, 6581)])
def test_the_book_of_the_diffs_alone_agrees_with_the_book_tickers(name: str, grid: TapeGrid, states: int) -> None:
    """The checked fact of data/README.md: after each diff's last update u, the top is that of the ticker with the
    greatest update <= u."""
    records = list(read_tape(lines_of(name), grid))
    tickers = sorted(
        (record for record in records if isinstance(record, TapeBookTicker)), key=lambda record: record.update
    )
    known = iter(tickers)
    upcoming = next(known, None)
    latest: TapeBookTicker | None = None
    book = TapeBook()
    agreed = applied = 0
    for update, (bid, ask) in states_of(book, records):
        while upcoming is not None and upcoming.update <= update:
            latest, upcoming = upcoming, next(known, None)
        applied += 1
        if latest is not None:
            agreed += (bid, ask) == ((latest.bid, latest.bid_quantity), (latest.ask, latest.ask_quantity))
    assert (agreed, applied) == (states, states)


def states_of(
    book: TapeBook, records: list[TapeRecord]
) -> Iterator[tuple[int, tuple[tuple[int, int], tuple[int, int]]]]:
    # The snapshot first, so that the diffs it had to wait for show their states one by one.
    start = next(record for record in records if isinstance(record, TapeSnapshot))
    book.apply(start)
    for record in records:
        if isinstance(record, TapeDepth) and record.last_update >= start.last_update:
            book.apply(record)
            assert book.last_update == record.last_update
            bid, ask = max(book.bids.totals), min(book.asks.totals)
            yield book.last_update, ((bid, book.bids.totals[bid]), (ask, book.asks.totals[ask]))


def test_the_changes_of_the_whole_tape_add_up_to_the_book() -> None:
    market = TapeMarket()
    shown: dict[tuple[Side, int], int] = {}
    for number, record in enumerate(read_tape(lines_of(SPOT))):
        market.advance(record)
        if number % 7 == 0:
            for side, price, total in market.take_changes():
                assert shown.get((side, price), 0) != total
                shown[side, price] = total
    for side, price, total in market.take_changes():
        shown[side, price] = total
    for side in Side:
        levels = market.levels(side, 100_000)
        assert dict(levels) == {price: total for (of, price), total in shown.items() if of is side and total}
        assert levels == sorted(levels, reverse=side is Side.BUY)


def test_the_whole_tape_replays_in_under_three_seconds() -> None:
    lines = lines_of(SPOT)
    began = process_time()
    market = TapeMarket()
    for record in read_tape(lines):
        market.advance(record)
    assert process_time() - began < 3
