"""Our orders stand in the tape's queues: filled when the venue must have filled them, never sooner, nothing twice."""

from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tbot_actors.exchange.market import Match, Order, Side, TimeInForce, WouldCross
from tbot_actors.exchange.tape import TapeBookTicker, TapeDepth, TapeRecord, TapeSnapshot, TapeTrade
from tbot_actors.exchange.tape_market import TapeMarket
from tbot_actors.exchange.tape_queue import LATE_TRADE_NS, Resting, shares_of_trade

BUY, SELL = Side.BUY, Side.SELL


class Replay:
    """A tape written by hand: time passes far enough between records that no trade is late, unless `at_once`."""

    def __init__(self, bids: dict[int, int], asks: dict[int, int]) -> None:
        self.market = TapeMarket()
        self.now_ns = 0
        self.update = self.diffed = 1
        self.orders = count(1)
        self.advance(TapeSnapshot(0, 1, tuple(bids.items()), tuple(asks.items())))

    def advance(self, record: TapeRecord) -> list[tuple[int, int, int]]:
        matches = self.market.advance(record)
        assert all(match.taker_id == 0 and match.taker_owner == "" for match in matches)
        return [(match.maker_id, match.price, match.quantity) for match in matches]

    def pass_time(self, at_once: bool) -> None:
        self.now_ns += 1 if at_once else 2 * LATE_TRADE_NS

    def diff(
        self, bids: dict[int, int] | None = None, asks: dict[int, int] | None = None, at_once: bool = False
    ) -> list[tuple[int, int, int]]:
        self.pass_time(at_once)
        self.update += 1
        first, self.diffed = self.diffed + 1, self.update
        levels = tuple((bids or {}).items()), tuple((asks or {}).items())
        return self.advance(TapeDepth(self.now_ns, first, self.update, *levels))

    def ticker(self, bid: tuple[int, int], ask: tuple[int, int]) -> list[tuple[int, int, int]]:
        self.pass_time(False)
        self.update += 1
        return self.advance(TapeBookTicker(self.now_ns, self.update, *bid, *ask))

    def trade(self, price: int, quantity: int, taker: Side = SELL, at_once: bool = False) -> list[tuple[int, int, int]]:
        self.pass_time(at_once)
        return self.advance(TapeTrade(self.now_ns, 1, price, quantity, taker is SELL, 0))

    def order(
        self,
        side: Side,
        price: int | None,
        quantity: int,
        owner: str = "a",
        time_in_force: TimeInForce = "GTC",
        post_only: bool = False,
    ) -> tuple[Order, list[Match]]:
        order = Order(next(self.orders), owner, side, price, quantity, time_in_force, post_only)
        return order, self.market.submit(order)

    def rest(self, side: Side, price: int, quantity: int, owner: str = "a") -> Order:
        order, matches = self.order(side, price, quantity, owner)
        assert matches == []
        return order

    def ahead(self, order: Order) -> int | None:
        return self.market.queue_ahead(order.order_id)


def replay() -> Replay:
    return Replay({100: 10, 99: 20, 98: 30}, {102: 8, 103: 16, 104: 32})


def test_trades_consume_the_queue_ahead_first_and_then_fill_us_in_parts() -> None:
    tape = replay()
    ours = tape.rest(BUY, 100, 5)
    assert tape.ahead(ours) == 10
    assert tape.trade(100, 4) == []
    assert tape.ahead(ours) == 6
    assert tape.trade(100, 8) == [(1, 100, 2)]
    assert (tape.ahead(ours), ours.remaining) == (0, 3)
    assert tape.trade(100, 1) == [(1, 100, 1)]
    assert tape.trade(100, 9) == [(1, 100, 2)]
    assert (tape.ahead(ours), ours.remaining) == (None, 0)
    assert tape.trade(100, 9) == []


def test_asks_queue_as_bids_do() -> None:
    tape = replay()
    ours = tape.rest(SELL, 102, 5)
    assert tape.trade(102, 8, taker=BUY) == []
    assert tape.trade(102, 3, taker=BUY) == [(1, 102, 3)]
    assert tape.trade(103, 9, taker=BUY) == [(1, 102, 2)]
    assert ours.remaining == 0


def test_a_trade_on_the_other_side_does_not_move_us() -> None:
    tape = replay()
    ours = tape.rest(BUY, 100, 5)
    assert tape.trade(100, 50, taker=BUY) == []
    assert tape.ahead(ours) == 10


def test_our_orders_of_one_price_fill_first_come_first_around_the_tape_between_them() -> None:
    tape = replay()
    first = tape.rest(BUY, 100, 3)
    tape.diff(bids={100: 14})
    second = tape.rest(BUY, 100, 3, "b")
    assert (tape.ahead(first), tape.ahead(second)) == (10, 14)
    assert tape.trade(100, 12) == [(1, 100, 2)]
    assert (tape.ahead(first), tape.ahead(second)) == (0, 4)
    assert tape.trade(100, 4) == [(1, 100, 1)]
    assert tape.ahead(second) == 1
    assert tape.trade(100, 2) == [(2, 100, 1)]


def test_cancellations_come_from_behind_us_until_they_cannot() -> None:
    tape = replay()
    ours = tape.rest(BUY, 100, 5)
    tape.diff(bids={100: 25})
    tape.diff(bids={100: 12})
    assert tape.ahead(ours) == 10
    tape.diff(bids={100: 7})
    assert tape.ahead(ours) == 7
    tape.diff(bids={100: 30})
    assert tape.ahead(ours) == 7


def test_a_better_price_of_ours_fills_first_at_our_price_and_the_rest_goes_on_to_the_trades_price() -> None:
    tape = replay()
    tape.rest(BUY, 101, 2)
    at_trade = tape.rest(BUY, 99, 4, "b")
    assert tape.trade(99, 3) == [(1, 101, 2)]
    assert tape.ahead(at_trade) == 19
    assert tape.trade(99, 21) == [(2, 99, 2)]
    assert tape.trade(98, 100) == [(2, 99, 2)]


def test_a_trade_through_us_fills_no_more_than_was_traded() -> None:
    tape = replay()
    tape.rest(BUY, 101, 50)
    tape.rest(BUY, 100, 50)
    assert tape.trade(99, 60) == [(1, 101, 50), (2, 100, 10)]


def test_the_opposite_quote_at_our_price_fills_us_once_and_is_then_taken() -> None:
    tape = replay()
    ours = tape.rest(BUY, 101, 9)
    assert tape.ticker((100, 10), (101, 4)) == [(1, 101, 4)]
    assert tape.market.best(SELL) == (102, 8)
    assert tape.ticker((100, 9), (101, 4)) == []
    assert tape.ticker((100, 9), (101, 6)) == [(1, 101, 2)]
    assert ours.remaining == 3
    assert tape.market.best(BUY) == (101, 3)


def test_a_quote_through_our_price_fills_us_at_our_price_best_price_first() -> None:
    tape = replay()
    tape.rest(BUY, 100, 3)
    tape.rest(BUY, 101, 3)
    assert tape.ticker((98, 30), (99, 5)) == [(2, 101, 3), (1, 100, 2)]


def test_a_trade_that_arrives_after_the_ticker_that_showed_it_is_not_counted_twice() -> None:
    tape = replay()
    ours = tape.rest(BUY, 100, 5)
    tape.diff(bids={100: 6})
    assert tape.ahead(ours) == 6
    assert tape.trade(100, 4, at_once=True) == []
    assert tape.ahead(ours) == 6
    assert tape.trade(100, 4, at_once=True) == []
    assert tape.ahead(ours) == 2


def test_a_sweep_told_first_by_the_book_fills_us_by_what_it_had_left_after_the_queue() -> None:
    tape = replay()
    tape.rest(BUY, 100, 5)
    tape.diff(bids={100: 0})
    assert tape.trade(100, 7, at_once=True) == []
    assert tape.trade(100, 6, at_once=True) == [(1, 100, 3)]


def test_an_order_does_not_count_trades_that_happened_before_it_came() -> None:
    tape = replay()
    tape.diff(bids={100: 4, 99: 15}, at_once=True)
    ours = tape.rest(BUY, 100, 5)
    assert tape.trade(100, 6, at_once=True) == []
    assert tape.trade(99, 5, at_once=True) == []
    assert tape.ahead(ours) == 4
    assert tape.trade(99, 1, at_once=True) == [(1, 100, 1)]


def test_a_late_trade_is_accounted_for_once_also_where_a_better_price_of_ours_took_part_of_it() -> None:
    tape = replay()
    tape.rest(BUY, 101, 2)
    ours = tape.rest(BUY, 100, 5)
    tape.diff(bids={100: 6})
    assert tape.trade(100, 4, at_once=True) == [(1, 101, 2)]
    assert tape.trade(100, 4, at_once=True) == []
    assert tape.ahead(ours) == 2


def test_no_order_passes_the_one_before_it_whatever_each_of_them_may_count() -> None:
    first, second = (Resting(Order(n, "a", BUY, 100, 5), 100, ahead=5, since=0) for n in (1, 2))
    assert shares_of_trade([first, second], [4, 0], 8, 0) == [0, 0]
    assert (first.ahead, second.ahead) == (1, 1)
    assert shares_of_trade([first, second], [1, 0], 4, 0) == [2, 0]
    assert shares_of_trade([first, second], [0, 0], 9, 3) == [5, 1]


def test_a_drop_that_no_trade_followed_in_time_was_a_cancellation() -> None:
    tape = replay()
    ours = tape.rest(BUY, 100, 5)
    tape.diff(bids={100: 6})
    assert tape.trade(100, 4) == []
    assert tape.ahead(ours) == 2


def test_what_is_cancelled_fills_no_more() -> None:
    tape = replay()
    ours = tape.rest(BUY, 101, 5)
    assert tape.market.cancel(ours.order_id) is ours
    assert tape.market.cancel(ours.order_id) is None
    assert tape.trade(99, 5) == []
    assert tape.market.best(BUY) == (100, 10)


def test_a_taker_matches_what_is_displayed_best_first_at_the_makers_price() -> None:
    tape = replay()
    order, matches = tape.order(BUY, 103, 30)
    assert matches == [Match(0, 1, "", "a", 102, 8, BUY), Match(0, 1, "", "a", 103, 16, BUY)]
    assert order.remaining == 6
    assert tape.market.levels(SELL, 5) == [(104, 32)]
    assert tape.market.levels(BUY, 2) == [(103, 6), (100, 10)]


def test_a_market_order_takes_any_price_and_never_rests() -> None:
    tape = replay()
    order, matches = tape.order(SELL, None, 100)
    assert [(match.price, match.quantity) for match in matches] == [(100, 10), (99, 20), (98, 30)]
    assert order.remaining == 40
    assert (tape.market.best(BUY), tape.market.best(SELL)) == (None, (102, 8))
    assert tape.market.cancel(order.order_id) is None


def test_displayed_quantity_is_not_taken_twice_however_often_the_tape_states_it() -> None:
    tape = replay()
    tape.order(BUY, 102, 5, time_in_force="IOC")
    tape.diff(asks={102: 8})
    assert tape.market.best(SELL) == (102, 3)
    tape.diff(asks={102: 7})
    assert tape.market.best(SELL) == (102, 3)
    tape.diff(asks={102: 9})
    assert tape.market.best(SELL) == (102, 5)
    tape.diff(asks={102: 2})
    assert tape.market.best(SELL) == (102, 2)
    tape.diff(asks={102: 0})
    tape.diff(asks={102: 6})
    assert tape.market.best(SELL) == (102, 6)


def test_another_account_takes_the_tape_ahead_of_us_then_us_then_the_tape_behind() -> None:
    tape = replay()
    ours = tape.rest(BUY, 100, 5)
    tape.diff(bids={100: 12})
    _, matches = tape.order(SELL, 100, 4, "b", "IOC")
    assert matches == [Match(0, 2, "", "b", 100, 4, SELL)]
    assert tape.ahead(ours) == 6
    _, matches = tape.order(SELL, 100, 13, "b", "IOC")
    assert [(match.maker_owner, match.quantity) for match in matches] == [("", 6), ("a", 5), ("", 2)]
    assert tape.market.best(BUY) == (99, 20)


def test_an_order_of_the_takers_own_account_expires_instead_of_trading() -> None:
    tape = replay()
    ours = tape.rest(SELL, 101, 5)
    _, matches = tape.order(BUY, 102, 3)
    assert [(match.maker_id, match.price, match.quantity) for match in matches] == [(0, 102, 3)]
    assert ours.expired
    assert tape.market.cancel(ours.order_id) is None
    assert tape.market.best(SELL) == (102, 5)


def test_ioc_takes_what_it_can_and_fok_all_or_nothing() -> None:
    tape = replay()
    order, matches = tape.order(BUY, 102, 9, time_in_force="FOK")
    assert (matches, order.remaining) == ([], 9)
    order, matches = tape.order(BUY, 102, 9, time_in_force="IOC")
    assert ([match.quantity for match in matches], order.remaining) == ([8], 1)
    order, matches = tape.order(BUY, 103, 16, time_in_force="FOK")
    assert ([match.quantity for match in matches], order.remaining) == ([16], 0)
    assert tape.market.best(BUY) == (100, 10)


def test_fok_does_not_count_its_own_accounts_orders_and_leaves_them_when_it_fails() -> None:
    tape = replay()
    ours = tape.rest(SELL, 101, 5)
    _, matches = tape.order(BUY, 102, 9, time_in_force="FOK")
    assert matches == []
    assert not ours.expired
    assert tape.market.best(SELL) == (101, 5)


def test_post_only_refuses_to_trade_and_changes_nothing() -> None:
    tape = replay()
    with pytest.raises(WouldCross):
        tape.order(BUY, 102, 1, post_only=True)
    tape.market.take_changes()
    order, matches = tape.order(BUY, 101, 1, post_only=True)
    assert (matches, tape.ahead(order)) == ([], 0)
    assert tape.market.take_changes() == [(BUY, 101, 1)]


@pytest.mark.parametrize(("price", "quantity"), [(100, 0), (0, 1), (-1, 1)])
def test_an_order_that_no_market_may_see_is_refused(price: int, quantity: int) -> None:
    with pytest.raises(ValueError, match="order 1 has"):
        replay().order(BUY, price, quantity)


def test_levels_and_changes_show_our_orders_in_the_totals() -> None:
    tape = replay()
    tape.market.take_changes()
    ours = tape.rest(BUY, 100, 5)
    tape.rest(SELL, 101, 2)
    assert tape.market.levels(BUY, 2) == [(100, 15), (99, 20)]
    assert tape.market.levels(SELL, 2) == [(101, 2), (102, 8)]
    assert tape.market.take_changes() == [(BUY, 100, 15), (SELL, 101, 2)]
    tape.market.cancel(ours.order_id)
    tape.rest(BUY, 100, 5)
    assert tape.market.take_changes() == []


PRICES = st.integers(95, 105)
STEPS = st.integers(1, 12)
EVENTS = st.one_of(
    st.tuples(st.just("ticker"), PRICES, STEPS, st.integers(1, 3), STEPS),
    st.tuples(st.just("diff"), st.sampled_from(Side), st.integers(90, 110), st.integers(0, 12)),
    st.tuples(st.just("trade"), st.sampled_from(Side), PRICES, STEPS),
    st.tuples(
        st.just("order"),
        st.sampled_from(Side),
        st.one_of(st.none(), PRICES),
        STEPS,
        st.sampled_from(["a", "b"]),
        st.sampled_from(["GTC", "GTC", "GTC", "IOC", "FOK"]),
    ),
    st.tuples(st.just("cancel"), st.integers(0, 30)),
)


class Checked:
    """Any tape with any orders; after every event, what must hold whatever the tape does."""

    def __init__(self) -> None:
        self.market = TapeMarket()
        self.update = self.diffed = 1
        self.now_ns = 0
        self.orders: list[tuple[Order, int]] = []
        self.filled: dict[int, int] = {}
        self.ahead: dict[int, int] = {}
        self.shown: dict[tuple[Side, int], int] = {}
        self.displayed: dict[tuple[Side, int], int] = {}
        self.tape: dict[tuple[Side, int], int] = {}
        self.advance(TapeSnapshot(0, 1, ((97, 9), (96, 9), (95, 9)), ((103, 9), (104, 9), (105, 9))))

    def advance(self, record: TapeRecord) -> list[Match]:
        matches = self.market.advance(record)
        for side in Side:
            totals = self.market.book.side(side).totals
            for price in range(80, 120):
                before, after = self.tape.get((side, price), 0), totals.get(price, 0)
                self.displayed[side, price] = self.displayed.get((side, price), 0) + max(0, after - before)
                self.tape[side, price] = after
        return matches

    def play(self, kind: str, *what: object) -> None:
        self.now_ns += LATE_TRADE_NS // 3
        match kind, *what:
            case "ticker", int(bid), int(bid_quantity), int(spread), int(ask_quantity):
                self.update += 1
                record = TapeBookTicker(self.now_ns, self.update, bid, bid_quantity, bid + spread, ask_quantity)
                self.check(self.advance(record))
            case "diff", Side() as side, int(price), int(total):
                self.update += 1
                best = self.market.book.side(side.opposite).totals
                if total and best and (price >= min(best) if side is BUY else price <= max(best)):
                    return
                levels = ((price, total),)
                bids, asks = (levels, ()) if side is BUY else ((), levels)
                first, self.diffed = self.diffed + 1, self.update
                self.check(self.advance(TapeDepth(self.now_ns, first, self.update, bids, asks)))
            case "trade", Side() as taker, int(price), int(quantity):
                matches = self.advance(TapeTrade(self.now_ns, 1, price, quantity, taker is SELL, 0))
                assert sum(match.quantity for match in matches) <= quantity
                self.check(matches)
            case "order", Side() as side, price, int(quantity), str(owner), ("GTC" | "IOC" | "FOK") as time_in_force:
                assert price is None or isinstance(price, int)
                order = Order(len(self.orders) + 1, owner, side, price, quantity, time_in_force)
                self.orders.append((order, quantity))
                self.check(self.market.submit(order))
                assert time_in_force != "FOK" or order.remaining in (0, quantity)
            case "cancel", int(number):
                self.market.cancel(number)
                self.check([])
            case _:
                raise AssertionError(kind)

    def check(self, matches: list[Match]) -> None:
        for match in matches:
            assert match.quantity > 0
            assert match.maker_owner != match.taker_owner
            for order_id in (match.maker_id, match.taker_id):
                if order_id:
                    order = self.orders[order_id - 1][0]
                    self.filled[order_id] = self.filled.get(order_id, 0) + match.quantity
                    assert order.price is None or (
                        match.price <= order.price if order.side is BUY else match.price >= order.price
                    )
            if match.maker_id:
                maker = self.orders[match.maker_id - 1][0]
                for earlier, _ in self.orders[: match.maker_id - 1]:
                    if (earlier.side, earlier.price) == (maker.side, maker.price):
                        assert self.market.queue_ahead(earlier.order_id) is None
            else:
                self.displayed[match.taker_side.opposite, match.price] -= match.quantity
        for order, quantity in self.orders:
            assert order.remaining + self.filled.get(order.order_id, 0) == quantity
        self.check_queues()
        self.check_levels()

    def check_queues(self) -> None:
        last: dict[tuple[Side, int], int] = {}
        for order, _ in self.orders:
            ahead = self.market.queue_ahead(order.order_id)
            if ahead is None or order.price is None:
                continue
            assert 0 <= ahead <= self.ahead.get(order.order_id, ahead)
            assert ahead >= last.get((order.side, order.price), 0)
            self.ahead[order.order_id] = last[order.side, order.price] = ahead

    def check_levels(self) -> None:
        # No level gave more than the tape ever added to it: nothing displayed was filled twice.
        assert all(left >= 0 for left in self.displayed.values())
        for side, price, total in self.market.take_changes():
            assert total >= 0
            self.shown[side, price] = total
        for side in Side:
            levels = self.market.levels(side, 1000)
            assert all(total > 0 for _, total in levels)
            assert dict(levels) == {price: total for (of, price), total in self.shown.items() if of is side and total}
            assert self.market.best(side) == (levels[0] if levels else None)
        bid, ask = self.market.best(BUY), self.market.best(SELL)
        assert bid is None or ask is None or bid[0] < ask[0]


@given(st.lists(EVENTS, max_size=40))
def test_whatever_the_tape_does_and_we_do_nothing_is_filled_twice_or_out_of_turn(
    events: list[tuple[object, ...]],
) -> None:
    checked = Checked()
    for kind, *what in events:
        checked.play(str(kind), *what)
