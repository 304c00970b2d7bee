"""Offline and fast: what the feed makes of real captures is what the venue itself said at the same update ids.

The captures carry two independent accounts of the same market: depth diffs with a snapshot, from which the book is
rebuilt, and the venue's own best prices, by which it is checked.
"""

from collections.abc import Iterator
from decimal import Decimal
from itertools import pairwise
from time import process_time

import pytest

from tbot_actors.domain.instruments import InstrumentId
from tbot_actors.domain.market import Candle, DepthDiff, DepthSnapshot, Level, MarketTrade, Quote, TopOfBook
from tbot_actors.feeds.book import LocalBook
from tbot_actors.feeds.line import Line
from tbot_actors.feeds.settings import FeedSettings
from tbot_actors.feeds.statistics import Tally
from tests.feeds.tapes import BTCUSDT, ETHUSDT, SPOT, USDM, tape

MINUTE_NS = 60_000_000_000
WHOLE = 100_000
"""The captures have one snapshot, of 1,000 levels, and the price may leave its range: from there on a live feed has
another one, and here the book is told that there is nothing beyond it."""
CAPTURES = pytest.mark.parametrize(("name", "states"), [(SPOT, 3_449), (USDM, 6_581)], ids=["spot", "usdm"])
SHAPES = pytest.mark.parametrize(
    ("name", "instrument", "stale_tops"), [(SPOT, BTCUSDT, 0), (USDM, ETHUSDT, 336)], ids=["spot", "usdm"]
)


def states_of(name: str, book: LocalBook) -> Iterator[tuple[int, tuple[Level, Level]]]:
    """Update id and top after every diff that the snapshot does not contain, until the book is out of sync.

    The snapshot comes first, so that each diff that had to wait for it shows its state by itself.
    """
    items = [item for _, item in tape(name)]
    (start,) = (item for item in items if isinstance(item, DepthSnapshot))
    assert book.load(start)
    for diff in items:
        if isinstance(diff, DepthDiff) and diff.last_update >= start.last_update:
            book.apply(diff)
            top = book.top()
            if top is None:
                return
            assert book.last_update == diff.last_update
            yield book.last_update, top


def agreement(name: str, states: Iterator[tuple[int, tuple[Level, Level]]]) -> tuple[int, int]:
    """Of how many states the top is the venue's best prices of the greatest update id not after it, and of how many."""
    tops = [item for _, item in tape(name) if isinstance(item, TopOfBook)]
    known, said = iter(sorted(tops, key=lambda top: top.update)), None
    upcoming = next(known, None)
    seen = agreed = 0
    for update, top in states:
        while upcoming is not None and upcoming.update <= update:
            said, upcoming = upcoming, next(known, None)
        seen += 1
        agreed += said is not None and top == (said.bid, said.ask)
    return agreed, seen


@CAPTURES
def test_the_book_of_diffs_and_snapshot_is_the_venues_at_every_state(
    name: str, states: int, capsys: pytest.CaptureFixture[str]
) -> None:
    tape(name)
    book, began_s = LocalBook(whole_below=WHOLE), process_time()
    agreed, seen = agreement(name, states_of(name, book))
    took_s = process_time() - began_s
    with capsys.disabled():
        print(f"\n{name}: {agreed} of {seen} book states equal the venue's own best prices, in {took_s:.2f} s")
    assert (agreed, seen) == (states, states)
    assert (book.losses, book.gaps, book.crossings) == (0, 0, 0)


def test_a_book_asks_for_another_snapshot_long_before_the_price_leaves_the_one_it_has() -> None:
    book = LocalBook()
    asked_at = None
    states = []
    for state in states_of(SPOT, book):
        states.append(state)
        if book.wants_snapshot and asked_at is None:
            asked_at = len(states)
    assert asked_at is not None
    assert len(states) - asked_at > 10 * 30, "ten diffs a second: half a minute to ask in"
    assert book.why_not == "the top is beyond what the snapshot covered"
    assert agreement(SPOT, iter(states)) == (len(states), len(states))


def replayed(name: str, instrument: InstrumentId) -> tuple[Line, Tally, list[Quote], list[Candle]]:
    """A whole capture through one line, candles of one second and of one minute."""
    items = tape(name)
    tally, first_ns = Tally(50), items[0][0]
    # The captures' local clock was 1.2 s behind the venue's.
    venue_ahead_ns = 1_200_000_000
    settings = FeedSettings(levels_max=WHOLE, whole_below=WHOLE)
    line = Line(instrument, (1, 60), settings, tally, venue_ns=first_ns + venue_ahead_ns, now_ns=first_ns)
    quotes: list[Quote | None] = []
    candles: list[Candle] = []
    for local_ns, item in items:
        venue_ns = local_ns + venue_ahead_ns
        if isinstance(item, TopOfBook):
            quotes.append(line.top(item, local_ns))
        elif isinstance(item, DepthDiff):
            quotes.append(line.diff(item, local_ns))
        elif isinstance(item, DepthSnapshot):
            quotes.append(line.load(item, local_ns, local_ns))
        else:
            closed = line.trade(item, venue_ns)
            assert closed is not None
            candles += closed
        assert line.book.synced == (line.trouble(local_ns) is None)
    return line, tally, [quote for quote in quotes if quote is not None], candles


@SHAPES
def test_quotes_go_forward_and_take_every_best_price_that_is_newer(
    name: str, instrument: InstrumentId, stale_tops: int
) -> None:
    line, tally, quotes, _ = replayed(name, instrument)
    said = {item.update: item for _, item in tape(name) if isinstance(item, TopOfBook)}
    assert all(one.update < other.update for one, other in pairwise(quotes))
    assert all(quote.bid < quote.ask for quote in quotes)
    own = [quote for quote in quotes if quote.update in said]
    for quote in own:
        top = said[quote.update]
        assert ((quote.bid, quote.bid_quantity), (quote.ask, quote.ask_quantity)) == (top.bid, top.ask)
    assert len(said) - len(own) <= stale_tops
    assert (dict(tally.faults), dict(tally.flags)) == ({}, {})
    # The diffs that waited for the snapshot are in the book as well as those that did not have to.
    assert (line.book.last_update, line.book.top()) == list(states_of(name, LocalBook(whole_below=WHOLE)))[-1]


@SHAPES
def test_the_candles_of_a_capture_hold_its_whole_volume(name: str, instrument: InstrumentId, stale_tops: int) -> None:
    line, _, _, candles = replayed(name, instrument)
    trades = [item for _, item in tape(name) if isinstance(item, MarketTrade)]
    traded = sum((trade.quantity for trade in trades), Decimal(0))
    for maker in line.candles:
        own = [candle for candle in candles if candle.period_ns == maker.period_ns]
        held = sum((candle.volume for candle in own), Decimal(0))
        assert held + maker.volume + maker.partial_volume + maker.late_volume == traded
        assert all(one.open_ns + one.period_ns == other.open_ns for one, other in pairwise(own))
        assert all(candle.low <= min(candle.open, candle.close) for candle in own)
        assert all(candle.high >= max(candle.open, candle.close) for candle in own)
    minutes = [candle for candle in candles if candle.period_ns == MINUTE_NS]
    assert len(minutes) == 5
    for candle in minutes:
        inside = [t for t in trades if candle.open_ns <= t.stamp_ns < candle.open_ns + MINUTE_NS]
        assert (candle.open, candle.close) == (inside[0].price, inside[-1].price)
        assert (candle.high, candle.low) == (max(t.price for t in inside), min(t.price for t in inside))
        assert (candle.volume, candle.trades) == (sum(t.quantity for t in inside), len(inside))
