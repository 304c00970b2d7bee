"""Candles hold every trade of their period, and only those."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from tbot_actors.domain.market import Candle
from tbot_actors.feeds.candles import EMPTY_MAX, CandleMaker
from tests.feeds.market import BTCUSDT, NS, START_NS, trade

GRACE_NS = NS // 2


def maker(period_s: int = 60, *, began_ns: int = START_NS) -> CandleMaker:
    return CandleMaker(BTCUSDT, period_s, began_ns=began_ns, grace_ns=GRACE_NS)


def at(second: float) -> int:
    return START_NS + int(second * NS)


def candle(minute: int, prices: tuple[int, int, int, int], volume: int, trades: int, received_ns: int) -> Candle:
    opened, high, low, closed = (Decimal(price) for price in prices)
    return Candle(BTCUSDT, 60 * NS, at(60 * minute), opened, high, low, closed, Decimal(volume), trades, received_ns)


def test_a_trade_of_the_next_period_closes_the_candle() -> None:
    candles = maker()
    for number, (second, price) in enumerate([(0, 100), (10, 104), (20, 98), (59.9, 101)]):
        assert candles.trade(trade(number, price, 2, stamp_ns=at(second))) == []
    assert candles.trade(trade(9, 105, stamp_ns=at(60), at=77)) == [candle(0, (100, 104, 98, 101), 8, 4, 77)]
    assert candles.volume == 1


def test_the_clock_closes_a_candle_once_its_grace_is_over() -> None:
    candles = maker()
    candles.trade(trade(1, 100, stamp_ns=at(5)))
    assert candles.clock(at(60.4), 1) == []
    assert candles.clock(at(60.5), 2) == [candle(0, (100, 100, 100, 100), 1, 1, 2)]
    assert candles.clock(at(61), 3) == []


def test_a_period_without_trades_repeats_the_close_with_no_volume() -> None:
    candles = maker()
    candles.trade(trade(1, 100, stamp_ns=at(5)))
    candles.trade(trade(2, 103, stamp_ns=at(6)))
    still = (103, 103, 103, 103)
    assert candles.clock(at(120.5), 4)[1:] == [candle(1, still, 0, 0, 4)]
    assert candles.trade(trade(3, 90, stamp_ns=at(190), at=5)) == [candle(2, still, 0, 0, 5)]
    assert candles.clock(at(241), 6) == [candle(3, (90, 90, 90, 90), 1, 1, 6)]


def test_a_trade_of_a_closed_period_is_late_and_in_no_candle() -> None:
    candles = maker()
    candles.trade(trade(1, stamp_ns=at(5)))
    candles.clock(at(61), 0)
    assert candles.trade(trade(2, 500, 3, stamp_ns=at(59))) == []
    assert (candles.late_trades, candles.late_volume, candles.volume) == (1, Decimal(3), Decimal(0))


def test_the_period_under_way_at_the_start_is_never_published() -> None:
    candles = maker(began_ns=at(30))
    candles.trade(trade(1, 100, 5, stamp_ns=at(31)))
    assert candles.trade(trade(2, 101, stamp_ns=at(61))) == []
    assert candles.partial_volume == 5
    assert [found.open_ns for found in candles.clock(at(121), 0)] == [at(60)]


def test_before_the_first_trade_there_is_no_candle_because_there_is_no_price() -> None:
    assert maker().clock(at(1_000), 0) == []


def test_a_long_pause_gives_a_bounded_number_of_empty_candles() -> None:
    candles = maker(1)
    candles.trade(trade(1, stamp_ns=at(0)))
    closed = candles.trade(trade(2, stamp_ns=at(5_000)))
    assert len(closed) == EMPTY_MAX + 1
    assert candles.skipped == 5_000 - 1 - EMPTY_MAX
    assert closed[-1].open_ns == at(4_999)


@given(
    st.lists(st.tuples(st.integers(-3, 40), st.integers(1, 9), st.integers(1, 5), st.booleans()), max_size=60),
    st.integers(1, 7),
    st.integers(0, 10),
)
def test_volume_is_conserved_and_candles_follow_each_other(
    steps: list[tuple[int, int, int, bool]], period_s: int, began_s: int
) -> None:
    """Trades in any order of stamps, clock looks between them: each is in one candle, under way, partial or late."""
    candles = maker(period_s, began_ns=at(began_s))
    closed: list[Candle] = []
    traded = 0
    now_s = 0
    for number, (ahead_s, price, quantity, look) in enumerate(steps):
        now_s = max(now_s, now_s + ahead_s)
        if look:
            closed += candles.clock(at(now_s), number)
        closed += candles.trade(trade(number, price, quantity, stamp_ns=at(max(0, now_s + min(ahead_s, 0)))))
        traded += quantity
    closed += candles.clock(at(now_s + 2 * period_s + 1), 0)
    assert (
        sum(found.volume for found in closed) + candles.volume + candles.late_volume + candles.partial_volume == traded
    )
    opens = [found.open_ns for found in closed]
    assert opens == list(range(opens[0], opens[-1] + 1, period_s * NS)) if opens else True
    assert all(open_ns >= at(began_s) and open_ns % (period_s * NS) == 0 for open_ns in opens)
    for found in closed:
        assert found.low <= min(found.open, found.close) <= max(found.open, found.close) <= found.high
        assert (found.volume == 0) is (found.trades == 0)
