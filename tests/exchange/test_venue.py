"""The venue's promises: money locked and conserved, Binance's refusals, records and events in order."""

from decimal import Decimal as D
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tbot_actors.exchange.archive import CLOSED_MAX
from tbot_actors.exchange.filters import SymbolRules
from tbot_actors.exchange.ledger import Unbalanced
from tbot_actors.exchange.market import Order, Side
from tbot_actors.exchange.matching import OrderBookMarket
from tbot_actors.exchange.records import (
    BalanceChanged,
    BookChanged,
    Execution,
    ExecutionReport,
    NewOrder,
    OrderRecord,
    OrderStatus,
    OrderType,
    TradePrinted,
    TradeRecord,
    VenueError,
)
from tbot_actors.exchange.venue import Venue

BUY, SELL = Side.BUY, Side.SELL
NOW = 1_723_161_255_000_000_000


class Exchange:
    """A venue with one symbol and two rich accounts, and short ways to trade on it."""

    def __init__(self, **rules: Any) -> None:
        self.book = OrderBookMarket()
        purse = {"USDT": D(10_000), "BTC": D(1)}
        rules_ = SymbolRules(**rules)
        self.venue = Venue({"BTCUSDT": (rules_, self.book)}, {"ann": purse, "bob": purse, "poor": {"USDT": D(10)}})
        self.anonymous = 0

    def quote(self, side: Side, price: int, quantity: str) -> None:
        """Liquidity of nobody in particular at a whole price."""
        self.anonymous -= 1
        order = Order(self.anonymous, "", side, price * 100, int(D(quantity) * 100_000))
        self.venue.market_matched("BTCUSDT", self.book.submit(order), NOW)

    def limit(
        self, who: str, side: Side, price: str, quantity: str, force: str | None = "GTC", **more: Any
    ) -> tuple[OrderRecord, list[TradeRecord]]:
        parts: dict[str, Any] = {"type": OrderType.LIMIT, "time_in_force": force} | more
        new = NewOrder(symbol="BTCUSDT", side=side, quantity=D(quantity), price=D(price), **parts)
        return self.venue.place(who, new, NOW)

    def market(self, who: str, side: Side, quantity: str) -> tuple[OrderRecord, list[TradeRecord]]:
        new = NewOrder(symbol="BTCUSDT", side=side, type=OrderType.MARKET, quantity=D(quantity))
        return self.venue.place(who, new, NOW)

    def cancel(self, who: str, **which: Any) -> OrderRecord:
        return self.venue.cancel(who, "BTCUSDT", now_ns=NOW, **which)

    def purse(self, who: str) -> dict[str, tuple[D, D]]:
        return self.venue.balances(who)


@pytest.fixture
def exchange() -> Exchange:
    return Exchange()


def refusal(action: Any, *args: Any, **more: Any) -> tuple[int, str]:
    with pytest.raises(VenueError) as caught:
        action(*args, **more)
    assert caught.value.status == 400
    return caught.value.code, caught.value.message


def test_a_resting_buy_locks_price_times_quantity_and_a_cancel_gives_it_back(exchange: Exchange) -> None:
    record, trades = exchange.limit("ann", BUY, "60000", "0.1")
    assert (record.status, trades) == (OrderStatus.NEW, [])
    assert exchange.purse("ann")["USDT"] == (D(4000), D(6000))
    cancelled = exchange.cancel("ann", order_id=record.order_id, cancel_client_id="why")
    assert (cancelled.status, cancelled.cancel_client_id) == (OrderStatus.CANCELED, "why")
    assert cancelled.client_order_id == record.client_order_id
    assert exchange.purse("ann")["USDT"] == (D(10_000), D(0))


def test_a_resting_sell_locks_its_quantity(exchange: Exchange) -> None:
    exchange.limit("ann", SELL, "60000", "0.1")
    assert exchange.purse("ann")["BTC"] == (D("0.9"), D("0.1"))


def test_a_buy_that_trades_at_a_better_price_pays_that_and_gets_the_rest_back(exchange: Exchange) -> None:
    exchange.quote(SELL, 60_000, "0.04")
    record, trades = exchange.limit("ann", BUY, "61000", "0.1")
    assert record.status is OrderStatus.PARTIALLY_FILLED
    assert (record.executed, record.cumulative_quote) == (D("0.04"), D(2400))
    assert [(trade.price, trade.quantity, trade.maker) for trade in trades] == [(D(60_000), D("0.04"), False)]
    assert exchange.purse("ann")["USDT"] == (D(10_000) - 2400 - 3660, D(3660))
    exchange.venue.check_conservation()


def test_the_fee_is_taken_from_what_each_side_receives(exchange: Exchange) -> None:
    exchange.limit("bob", SELL, "60000", "0.1")
    _, [trade] = exchange.limit("ann", BUY, "60000", "0.1")
    assert (trade.fee, trade.fee_asset) == (D("0.0001"), "BTC")
    assert exchange.purse("ann") == {"USDT": (D(4000), D(0)), "BTC": (D("1.0999"), D(0))}
    assert exchange.purse("bob") == {"USDT": (D("15994"), D(0)), "BTC": (D("0.9"), D(0))}
    [made] = exchange.venue.trades("bob", "BTCUSDT")
    assert (made.trade_id, made.maker, made.buyer) == (trade.trade_id, True, False)
    assert (made.fee, made.fee_asset) == (D(6), "USDT")


def test_a_market_buy_may_spend_the_last_unit_it_has_along_the_book_and_not_one_more(exchange: Exchange) -> None:
    exchange.quote(SELL, 50_000, "0.1")
    exchange.quote(SELL, 100_000, "0.1")
    assert refusal(exchange.market, "ann", BUY, "0.15001")[0] == -2010
    record, trades = exchange.market("ann", BUY, "0.15")
    assert (record.status, len(trades)) == (OrderStatus.FILLED, 2)
    assert exchange.purse("ann")["USDT"] == (D(0), D(0))


def test_a_market_buy_is_priced_through_as_many_levels_as_it_takes(exchange: Exchange) -> None:
    for level in range(100):
        exchange.quote(SELL, 50_000 + level, "0.001")
    record, trades = exchange.market("ann", BUY, "0.1")
    assert (record.status, len(trades)) == (OrderStatus.FILLED, 100)
    exchange.venue.check_conservation()


def test_checking_an_order_refuses_what_placing_would_and_places_nothing(exchange: Exchange) -> None:
    new = NewOrder(symbol="BTCUSDT", side=BUY, type=OrderType.MARKET, quantity=D("0.000001"))
    assert refusal(exchange.venue.check, "ann", new, NOW) == (-1013, "Filter failure: LOT_SIZE")
    exchange.venue.check("ann", NewOrder(symbol="BTCUSDT", side=BUY, type=OrderType.MARKET, quantity=D(1)), NOW)
    assert (exchange.venue.open_orders("ann"), exchange.venue.drain()) == ([], [])


def test_a_market_order_larger_than_the_book_expires_with_what_it_got(exchange: Exchange) -> None:
    exchange.quote(BUY, 60_000, "0.1")
    record, _ = exchange.market("ann", SELL, "0.5")
    assert (record.status, record.executed) == (OrderStatus.EXPIRED, D("0.1"))
    assert exchange.purse("ann")["BTC"] == (D("0.9"), D(0))


def test_an_ioc_order_gives_back_what_it_did_not_trade(exchange: Exchange) -> None:
    exchange.quote(SELL, 60_000, "0.01")
    record, _ = exchange.limit("ann", BUY, "60000", "0.1", "IOC")
    assert (record.status, record.executed) == (OrderStatus.EXPIRED, D("0.01"))
    assert exchange.purse("ann")["USDT"] == (D(9400), D(0))


def test_a_fok_order_the_book_cannot_fill_expires_untouched(exchange: Exchange) -> None:
    exchange.quote(SELL, 60_000, "0.01")
    record, trades = exchange.limit("ann", BUY, "60000", "0.1", "FOK")
    assert (record.status, trades) == (OrderStatus.EXPIRED, [])
    assert exchange.purse("ann")["USDT"] == (D(10_000), D(0))


@pytest.mark.parametrize(
    ("side", "price", "quantity"), [(BUY, "60000", "0.2"), (SELL, "60000", "1.00001"), (BUY, "10000.01", "1")]
)
def test_an_order_the_balance_does_not_cover_is_refused(
    exchange: Exchange, side: Side, price: str, quantity: str
) -> None:
    wanted = (-2010, "Account has insufficient balance for requested action.")
    assert refusal(exchange.limit, "ann", side, price, quantity) == wanted


def test_balance_locked_for_one_order_does_not_cover_another(exchange: Exchange) -> None:
    exchange.limit("ann", BUY, "60000", "0.1")
    assert refusal(exchange.limit, "ann", BUY, "60000", "0.1")[0] == -2010


def test_a_maker_only_order_that_would_trade_is_refused(exchange: Exchange) -> None:
    exchange.quote(SELL, 60_000, "0.1")
    answer = refusal(exchange.limit, "ann", BUY, "60000", "0.01", None, type=OrderType.LIMIT_MAKER)
    assert answer == (-2010, "Order would immediately match and take.")
    record, _ = exchange.limit("ann", BUY, "59999.99", "0.01", None, type=OrderType.LIMIT_MAKER)
    assert record.status is OrderStatus.NEW


def test_a_refusal_changes_nothing_and_says_nothing(exchange: Exchange) -> None:
    exchange.quote(SELL, 60_000, "0.1")
    exchange.venue.drain()
    before = exchange.purse("ann")
    refusal(exchange.limit, "ann", BUY, "60000", "9")
    refusal(exchange.limit, "ann", BUY, "60000", "0.01", None, type=OrderType.LIMIT_MAKER)
    refusal(exchange.limit, "ann", BUY, "60000.001", "0.01")
    assert (exchange.purse("ann"), exchange.venue.drain()) == (before, [])
    assert exchange.venue.all_orders("ann", "BTCUSDT") == []
    assert exchange.limit("ann", BUY, "59000", "0.01")[0].order_id == 1


def test_a_client_id_is_taken_only_while_its_order_is_open(exchange: Exchange) -> None:
    first, _ = exchange.limit("ann", BUY, "59000", "0.01", client_order_id="mine")
    assert refusal(exchange.limit, "ann", BUY, "59000", "0.01", client_order_id="mine") == (
        -2010,
        "Duplicate order sent.",
    )
    exchange.limit("bob", BUY, "59000", "0.01", client_order_id="mine")
    exchange.cancel("ann", client_order_id="mine")
    second, _ = exchange.limit("ann", BUY, "59000", "0.01", client_order_id="mine")
    assert second.order_id != first.order_id
    assert exchange.venue.order("ann", "BTCUSDT", client_order_id="mine") == second


def test_the_same_market_order_sent_twice_fills_twice(exchange: Exchange) -> None:
    exchange.quote(SELL, 60_000, "1")
    new = NewOrder(symbol="BTCUSDT", side=BUY, type=OrderType.MARKET, quantity=D("0.01"), client_order_id="again")
    for _ in range(2):
        assert exchange.venue.place("ann", new, NOW)[0].status is OrderStatus.FILLED
    assert len(exchange.venue.trades("ann", "BTCUSDT")) == 2


def test_unknown_symbols_orders_and_missing_ids_get_their_codes(exchange: Exchange) -> None:
    venue = exchange.venue
    closed, _ = exchange.limit("ann", BUY, "59000", "0.01", "IOC")
    assert refusal(venue.market, "XXXUSDT") == (-1121, "Invalid symbol.")
    assert refusal(venue.open_orders, "ann", "XXXUSDT") == (-1121, "Invalid symbol.")
    assert refusal(venue.order, "ann", "BTCUSDT", order_id=99) == (-2013, "Order does not exist.")
    assert refusal(venue.order, "bob", "BTCUSDT", order_id=closed.order_id)[0] == -2013
    assert refusal(exchange.cancel, "ann", order_id=99) == (-2011, "Unknown order sent.")
    assert refusal(exchange.cancel, "ann", order_id=closed.order_id) == (-2011, "Unknown order sent.")
    assert refusal(venue.cancel_all, "ann", "BTCUSDT", NOW) == (-2011, "Unknown order sent.")
    assert refusal(venue.order, "ann", "BTCUSDT") == (
        -1102,
        "Param 'origClientOrderId' or 'orderId' must be sent, but both were empty/null!",
    )


def test_both_ids_must_name_the_same_order(exchange: Exchange) -> None:
    one, _ = exchange.limit("ann", BUY, "59000", "0.01", client_order_id="one")
    exchange.limit("ann", BUY, "59000", "0.01", client_order_id="two")
    assert refusal(exchange.cancel, "ann", order_id=one.order_id, client_order_id="two")[0] == -2011
    assert exchange.cancel("ann", order_id=one.order_id, client_order_id="one").status is OrderStatus.CANCELED


def test_one_account_cannot_cancel_anothers_order(exchange: Exchange) -> None:
    record, _ = exchange.limit("ann", BUY, "59000", "0.01")
    assert refusal(exchange.cancel, "bob", order_id=record.order_id)[0] == -2011


def test_an_account_may_have_so_many_open_orders_and_a_market_order_beside_them() -> None:
    exchange = Exchange(orders_max=2)
    for _ in range(2):
        exchange.limit("ann", BUY, "59000", "0.001")
    assert refusal(exchange.limit, "ann", BUY, "59000", "0.001") == (-1013, "Filter failure: MAX_NUM_ORDERS")
    exchange.limit("bob", BUY, "59000", "0.001")
    assert exchange.market("ann", SELL, "0.001")[0].executed == D("0.001")


def test_cancel_all_takes_every_order_of_that_account_and_only_those(exchange: Exchange) -> None:
    ids = [exchange.limit("ann", side, price, "0.01")[0].order_id for side, price in ((BUY, "59000"), (SELL, "62000"))]
    theirs, _ = exchange.limit("bob", BUY, "59000", "0.01")
    assert [record.order_id for record in exchange.venue.cancel_all("ann", "BTCUSDT", NOW)] == ids
    assert exchange.venue.open_orders("ann") == []
    assert exchange.venue.open_orders("bob") == [theirs]
    exchange.venue.check_conservation()


def test_an_accounts_own_order_in_the_way_expires_in_match(exchange: Exchange) -> None:
    own, _ = exchange.limit("ann", SELL, "60000", "0.1")
    exchange.quote(SELL, 60_001, "0.01")
    exchange.venue.drain()
    record, trades = exchange.limit("ann", BUY, "60001", "0.01")
    assert (record.status, [trade.price for trade in trades]) == (OrderStatus.FILLED, [D(60_001)])
    expired = exchange.venue.order("ann", "BTCUSDT", order_id=own.order_id)
    assert (expired.status, expired.prevented) == (OrderStatus.EXPIRED_IN_MATCH, D("0.1"))
    assert exchange.purse("ann")["BTC"] == (D("1.00999"), D(0))
    reports = [event for event in exchange.venue.drain() if isinstance(event, ExecutionReport)]
    assert [report.execution for report in reports] == [Execution.NEW, Execution.TRADE_PREVENTION, Execution.TRADE]
    exchange.venue.check_conservation()


def test_a_market_buy_is_charged_for_the_book_behind_the_accounts_own_order(exchange: Exchange) -> None:
    exchange.limit("ann", SELL, "50000", "0.1")
    exchange.quote(SELL, 100_000, "1")
    record, [trade] = exchange.market("ann", BUY, "0.1")
    assert (record.status, trade.price) == (OrderStatus.FILLED, D(100_000))
    assert exchange.purse("ann")["USDT"] == (D(0), D(0))
    exchange.venue.check_conservation()


def test_what_the_market_does_by_itself_fills_resting_orders(exchange: Exchange) -> None:
    record, _ = exchange.limit("ann", BUY, "60000", "0.1")
    exchange.venue.drain()
    exchange.quote(SELL, 60_000, "0.04")
    events = exchange.venue.drain()
    assert [type(event) for event in events] == [ExecutionReport, TradePrinted, BalanceChanged, BookChanged]
    report, printed, changed, _ = events
    assert isinstance(report, ExecutionReport)
    assert isinstance(printed, TradePrinted)
    assert isinstance(changed, BalanceChanged)
    assert report.trade is not None
    assert report.trade.maker
    assert (report.record.status, report.record.executed) == (OrderStatus.PARTIALLY_FILLED, D("0.04"))
    assert (printed.trade_id, printed.buyer_is_maker) == (report.trade.trade_id, True)
    assert changed.balances == {"USDT": (D(4000), D(3600)), "BTC": (D("1.03996"), D(0))}
    assert record.executed == 0, "a record handed out must not change"


def test_one_order_tells_its_story_in_order(exchange: Exchange) -> None:
    exchange.limit("bob", SELL, "60000", "0.04")
    exchange.venue.drain()
    exchange.limit("ann", BUY, "60000", "0.1", "IOC")
    told = []
    for event in exchange.venue.drain():
        match event:
            case ExecutionReport(account, record, execution):
                told.append((account, execution.value, record.status.value))
            case BalanceChanged(account):
                told.append((account, "balance", ""))
            case other:
                told.append(("", type(other).__name__, ""))
    assert told == [
        ("ann", "NEW", "NEW"),
        ("ann", "TRADE", "PARTIALLY_FILLED"),
        ("bob", "TRADE", "FILLED"),
        ("", "TradePrinted", ""),
        ("ann", "EXPIRED", "EXPIRED"),
        ("ann", "balance", ""),
        ("bob", "balance", ""),
        ("", "BookChanged", ""),
    ]


def test_trades_are_found_by_id_by_order_and_latest_first_cut(exchange: Exchange) -> None:
    exchange.quote(SELL, 60_000, "1")
    records = [exchange.market("ann", BUY, "0.001")[0] for _ in range(5)]
    trades = exchange.venue.trades
    assert [trade.trade_id for trade in trades("ann", "BTCUSDT", limit=2)] == [4, 5]
    assert [trade.trade_id for trade in trades("ann", "BTCUSDT", from_id=2, limit=2)] == [2, 3]
    assert [trade.trade_id for trade in trades("ann", "BTCUSDT", order_id=records[2].order_id)] == [3]
    orders = exchange.venue.all_orders
    assert [record.order_id for record in orders("ann", "BTCUSDT", limit=2)] == [4, 5]
    assert [record.order_id for record in orders("ann", "BTCUSDT", from_id=2, limit=2)] == [2, 3]


def test_the_average_price_is_weighted_and_forgets_after_its_minutes(exchange: Exchange) -> None:
    exchange.quote(BUY, 50_000, "1")
    exchange.quote(SELL, 60_000, "1")
    average = exchange.venue.average_price
    assert average("BTCUSDT", NOW) == D(55_000), "the middle of the book until something trades"
    exchange.market("ann", BUY, "0.01")
    exchange.market("ann", SELL, "0.03")
    assert average("BTCUSDT", NOW) == D(52_500)
    assert average("BTCUSDT", NOW + 301 * 10**9) == D(50_000), "the last price when the window is empty"


def test_history_is_bounded_and_keeps_open_orders(exchange: Exchange) -> None:
    kept, _ = exchange.limit("ann", BUY, "30000", "0.001", client_order_id="old")
    for _ in range(CLOSED_MAX + 10):
        exchange.limit("ann", BUY, "59000", "0.001", "IOC")
        exchange.venue.drain()
    assert exchange.venue.order("ann", "BTCUSDT", client_order_id="old") == kept
    assert refusal(exchange.venue.order, "ann", "BTCUSDT", order_id=2)[0] == -2013
    assert exchange.venue.order("ann", "BTCUSDT", order_id=CLOSED_MAX).status is OrderStatus.EXPIRED


def test_an_order_lost_by_the_market_stops_the_exchange(exchange: Exchange) -> None:
    record, _ = exchange.limit("ann", BUY, "59000", "0.01")
    exchange.book.cancel(record.order_id)
    with pytest.raises(Unbalanced, match="not in the market"):
        exchange.cancel("ann", order_id=record.order_id)


PRICES = st.integers(5990, 6010).map(lambda tens: tens * 10)
QUANTITIES = st.integers(1, 5000).map(lambda steps: str(D(steps) * D("0.00001")))
ACTIONS = st.one_of(
    st.tuples(st.just("quote"), st.sampled_from(Side), PRICES, QUANTITIES),
    st.tuples(
        st.just("limit"),
        st.sampled_from(["ann", "bob", "poor"]),
        st.sampled_from(Side),
        PRICES.map(str),
        QUANTITIES,
        st.sampled_from(["GTC", "GTC", "IOC", "FOK", None]),
    ),
    st.tuples(st.just("market"), st.sampled_from(["ann", "bob", "poor"]), st.sampled_from(Side), QUANTITIES),
    st.tuples(st.just("cancel"), st.sampled_from(["ann", "bob"]), st.integers(1, 20)),
)


def act(exchange: Exchange, action: tuple[Any, ...]) -> object:
    """Do one drawn thing; what came of it."""
    name, *rest = action
    try:
        if name == "cancel":
            return exchange.cancel(rest[0], order_id=rest[1])
        if name == "limit" and rest[-1] is None:
            return exchange.limit(*rest, type=OrderType.LIMIT_MAKER)
        return getattr(exchange, name)(*rest)
    except VenueError as refused:
        return refused.code


@given(st.lists(ACTIONS, max_size=40))
@settings(max_examples=150, deadline=None)
def test_whatever_is_done_money_and_locks_are_exact_and_the_same_again(actions: list[tuple[Any, ...]]) -> None:
    exchange, again = Exchange(), Exchange()
    for action in actions:
        came = act(exchange, action)
        exchange.venue.check_conservation()
        assert came == act(again, action)
    assert exchange.venue.drain() == again.venue.drain()
    for who in ("ann", "bob", "poor"):
        bought = {"USDT": D(0), "BTC": D(0)}
        for trade in exchange.venue.trades(who, "BTCUSDT", limit=1000):
            sign = 1 if trade.buyer else -1
            bought["BTC"] += sign * trade.quantity
            bought["USDT"] -= sign * trade.quote_quantity
            bought[trade.fee_asset] -= trade.fee
        start = {"USDT": D(10), "BTC": D(0)} if who == "poor" else {"USDT": D(10_000), "BTC": D(1)}
        held = {asset: sum(parts, D(0)) for asset, parts in exchange.purse(who).items()}
        assert {asset: held.get(asset, D(0)) - start[asset] for asset in start} == bought
