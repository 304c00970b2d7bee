"""The matching engine against a matcher so plain that it is obviously right."""

import pytest
from attrs import define, field
from hypothesis import given, settings
from hypothesis import strategies as st

from tbot_actors.exchange.market import Match, Order, Side, TimeInForce, WouldCross
from tbot_actors.exchange.matching import OrderBookMarket


@define
class PlainMarket:
    """One list of resting orders, searched from the start each time."""

    resting: list[Order] = field(factory=list)

    def in_line(self, order: Order) -> list[Order]:
        """The makers the order may meet, in the order it meets them: better price first, then older first."""
        makers = [
            maker
            for maker in self.resting
            if maker.side is not order.side
            and (
                order.price is None
                or maker.price is None
                or (maker.price <= order.price if order.side is Side.BUY else maker.price >= order.price)
            )
        ]
        sign = 1 if order.side is Side.BUY else -1
        return sorted(makers, key=lambda maker: sign * (maker.price or 0))

    def submit(self, order: Order) -> list[Match]:
        line = self.in_line(order)
        if order.post_only and line:
            raise WouldCross
        foreign = sum(maker.remaining for maker in line if not maker.owner or maker.owner != order.owner)
        if order.time_in_force == "FOK" and foreign < order.remaining:
            return []
        matches = []
        for maker in line:
            if not order.remaining:
                break
            if maker.owner and maker.owner == order.owner:
                self.resting.remove(maker)
                maker.expired = True
                continue
            quantity = min(maker.remaining, order.remaining)
            maker.remaining -= quantity
            order.remaining -= quantity
            assert maker.price is not None
            ids = (maker.order_id, order.order_id, maker.owner, order.owner)
            matches.append(Match(*ids, maker.price, quantity, order.side))
            if not maker.remaining:
                self.resting.remove(maker)
        if order.remaining and order.time_in_force == "GTC" and order.price is not None:
            self.resting.append(order)
        return matches

    def cancel(self, order_id: int) -> Order | None:
        for order in self.resting:
            if order.order_id == order_id:
                self.resting.remove(order)
                return order
        return None

    def levels(self, side: Side) -> list[tuple[int, int]]:
        totals: dict[int, int] = {}
        for order in self.resting:
            if order.side is side and order.price is not None:
                totals[order.price] = totals.get(order.price, 0) + order.remaining
        return sorted(totals.items(), reverse=side is Side.BUY)


@define
class Step:
    """One thing done to both markets: a cancel of an earlier order, or a new one."""

    cancel: int | None
    owner: str
    side: Side
    price: int | None
    steps: int
    force: TimeInForce
    post_only: bool


FORCES: list[TimeInForce] = ["GTC", "GTC", "GTC", "IOC", "FOK"]


@st.composite
def steps(draw: st.DrawFn) -> Step:
    if draw(st.integers(0, 5)) == 0:
        return Step(draw(st.integers(1, 60)), "", Side.BUY, None, 1, "GTC", False)
    price = draw(st.none() | st.integers(95, 105) | st.integers(95, 105) | st.integers(95, 105))
    force = "IOC" if price is None else draw(st.sampled_from(FORCES))
    post_only = force == "GTC" and draw(st.booleans())
    owner = draw(st.sampled_from(["", "ann", "bob"]))
    return Step(None, owner, draw(st.sampled_from(Side)), price, draw(st.integers(1, 9)), force, post_only)


def outcome(market: OrderBookMarket | PlainMarket, order: Order) -> list[Match] | str:
    try:
        return market.submit(order)
    except WouldCross:
        return "would cross"


@given(st.lists(steps(), max_size=60))
@settings(max_examples=300, deadline=None)
def test_any_sequence_of_orders_and_cancels_trades_exactly_as_the_plain_matcher(script: list[Step]) -> None:
    engine, plain = OrderBookMarket(), PlainMarket()
    shown: dict[tuple[Side, int], int] = {}
    placed = traded = left = 0
    for number, step in enumerate(script, start=1):
        if step.cancel is not None:
            ours, theirs = engine.cancel(step.cancel), plain.cancel(step.cancel)
            assert (ours and ours.remaining) == (theirs and theirs.remaining)
            left += ours.remaining if ours else 0
        else:
            ids = (number, step.owner, step.side, step.price, step.steps, step.force, step.post_only)
            order, twin = Order(*ids), Order(*ids)
            before = {maker.order_id: maker for maker in plain.resting}
            result = outcome(engine, order)
            assert result == outcome(plain, twin)
            assert order.remaining == twin.remaining
            placed += step.steps
            traded += sum(match.quantity for match in result if isinstance(match, Match))
            left += sum(maker.remaining for maker in before.values() if maker.expired)
            if engine.resting(number) is None:
                left += order.remaining
        for side, price, total in engine.take_changes():
            shown[side, price] = total
        for side in Side:
            levels = plain.levels(side)
            assert engine.levels(side, 1000) == levels
            assert engine.levels(side, 2) == levels[:2]
            assert engine.best(side) == (levels[0] if levels else None)
            assert {price: total for (of, price), total in shown.items() if of is side and total} == dict(levels)
    resting = sum(total for side in Side for _, total in engine.levels(side, 1000))
    assert placed == 2 * traded + left + resting, "quantity appeared or vanished"


def book(*orders: Order) -> OrderBookMarket:
    market = OrderBookMarket()
    for order in orders:
        assert market.submit(order) == []
    return market


def test_at_one_price_the_older_order_trades_first_and_at_its_own_price() -> None:
    market = book(Order(1, "a", Side.SELL, 101, 5), Order(2, "b", Side.SELL, 101, 5), Order(3, "c", Side.SELL, 100, 1))
    matches = market.submit(Order(4, "d", Side.BUY, 105, 8))
    traded = [(match.maker_id, match.price, match.quantity) for match in matches]
    assert traded == [(3, 100, 1), (1, 101, 5), (2, 101, 2)]


def test_a_cancel_and_a_new_order_at_the_same_price_goes_to_the_end_of_the_line() -> None:
    market = book(Order(1, "a", Side.BUY, 100, 5), Order(2, "b", Side.BUY, 100, 5))
    market.cancel(1)
    market.submit(Order(3, "a", Side.BUY, 100, 5))
    assert [order.order_id for order in market.queue(Side.BUY, 100)] == [2, 3]


def test_a_fok_order_that_cannot_trade_whole_leaves_no_trace() -> None:
    market = book(Order(1, "a", Side.SELL, 101, 5))
    market.take_changes()
    order = Order(2, "b", Side.BUY, 101, 6, "FOK")
    assert market.submit(order) == []
    assert (order.remaining, market.take_changes(), market.best(Side.SELL)) == (6, [], (101, 5))


def test_a_post_only_order_that_would_trade_is_refused_and_leaves_no_trace() -> None:
    market = book(Order(1, "a", Side.SELL, 101, 5))
    market.take_changes()
    with pytest.raises(WouldCross):
        market.submit(Order(2, "b", Side.BUY, 101, 6, post_only=True))
    assert (market.take_changes(), market.best(Side.BUY)) == ([], None)


def test_an_accounts_own_resting_order_expires_instead_of_trading_and_the_taker_goes_on() -> None:
    own, other = Order(1, "a", Side.SELL, 101, 5), Order(2, "b", Side.SELL, 102, 5)
    market = book(own, other)
    matches = market.submit(Order(3, "a", Side.BUY, 102, 4))
    assert [match.maker_id for match in matches] == [2]
    assert own.expired
    assert market.resting(1) is None
    assert market.levels(Side.SELL, 5) == [(102, 1)]


def test_a_fok_order_does_not_count_on_its_accounts_own_orders_and_leaves_them_when_it_expires() -> None:
    own = Order(1, "a", Side.SELL, 101, 5)
    market = book(own, Order(2, "b", Side.SELL, 101, 5))
    assert market.submit(Order(3, "a", Side.BUY, 101, 6, "FOK")) == []
    assert market.levels(Side.SELL, 5) == [(101, 10)]
    assert [match.maker_id for match in market.submit(Order(4, "a", Side.BUY, 101, 5, "FOK"))] == [2]
    assert own.expired
    assert market.best(Side.SELL) is None


def test_the_markets_own_liquidity_is_no_account_and_may_trade_with_itself() -> None:
    market = book(Order(-1, "", Side.SELL, 101, 5))
    assert [match.quantity for match in market.submit(Order(-2, "", Side.BUY, 101, 5))] == [5]


@pytest.mark.parametrize(
    "order",
    [Order(2, "a", Side.BUY, 100, 0), Order(2, "a", Side.BUY, 0, 1), Order(1, "a", Side.BUY, 99, 1)],
    ids=["no quantity", "no price", "an id that rests"],
)
def test_an_order_no_market_may_see_is_refused(order: Order) -> None:
    market = book(Order(1, "a", Side.BUY, 100, 5))
    with pytest.raises(ValueError, match="order"):
        market.submit(order)
