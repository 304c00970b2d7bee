"""What is left of a position, with the journal behind and answers lost: never more than is certain."""

from __future__ import annotations

from decimal import Decimal

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from tbot_actors.domain.events import Evidence, InstrumentDefined, OrderAccepted, OrderLost
from tbot_actors.domain.ids import Sender
from tbot_actors.domain.instruments import Side
from tbot_actors.domain.messages import OrderReport, ReportedState, VenueTrade
from tbot_actors.watchdog.books import Books
from tbot_actors.watchdog.sight import Sight
from tests.watchdog.house import START_NS, committed, fill_of, order_id
from tests.watchdog.venue import BTC, BTCUSDT

S = 1_000_000_000
ENTRY, CLOSE = order_id(1), order_id(1, Sender.SAFETY)


def sight_of(*, held: str = "1") -> Sight:
    """The books hold so much, bought by ENTRY."""
    books = Books()
    for event in (
        InstrumentDefined(BTCUSDT, START_NS),
        committed(ENTRY, "2"),
        OrderAccepted(ENTRY, "v1", Evidence.RESPONSE, START_NS),
        fill_of(ENTRY, "t1", held),
    ):
        books.apply(event)
    return Sight("binance", "main", books, settle_ns=7 * S, second_look_ns=2 * S)


def trade(trade_id: str, quantity: str, *, venue_order_id: str = "v2", side: Side = Side.SELL) -> VenueTrade:
    price, amount = Decimal(100), Decimal(quantity)
    return VenueTrade(BTC, trade_id, venue_order_id, None, side, price, amount, Decimal(0), "USDT", False, START_NS)


def report(client_id: str, state: ReportedState, executed: str, *trades: VenueTrade) -> OrderReport:
    side = Side.SELL if client_id == CLOSE else Side.BUY
    number = "v2" if client_id == CLOSE else "v1"
    quantity = Decimal(1) if client_id == CLOSE else Decimal(2)
    return OrderReport(
        client_id, number, BTC, state, side, quantity, None, Decimal(executed), trades, "", Evidence.QUERY, START_NS
    )


def left(sight: Sight) -> Decimal:
    """What a plan may still close."""
    return sight.position("momentum", BTC) - sight.closing("momentum", BTC, Side.SELL)


def test_an_order_on_its_way_may_have_closed_all_it_says() -> None:
    sight = sight_of()
    sight.sent(committed(CLOSE, "0.4", side=Side.SELL))
    assert left(sight) == Decimal("0.6")
    assert [order.client_id for order in sight.doubtful(0)] == [ENTRY, CLOSE]


def test_an_order_that_never_left_has_closed_nothing() -> None:
    sight = sight_of()
    sight.sent(committed(CLOSE, "0.4", side=Side.SELL))
    sight.not_there(CLOSE)
    assert left(sight) == Decimal(1)


def test_trades_count_before_the_journal_has_them_and_once_when_it_does() -> None:
    sight = sight_of()
    row = committed(CLOSE, "1", side=Side.SELL)
    sight.sent(row)
    sight.reported(report(CLOSE, ReportedState.EXPIRED, "0.3", trade("t2", "0.3")))
    assert left(sight) == Decimal("0.7")
    assert [found.client_id for found in sight.unbooked_trades()] == [CLOSE]
    sight.books.apply(row)
    sight.books.apply(fill_of(CLOSE, "t2", "0.3", side=Side.SELL))
    assert left(sight) == Decimal("0.7")
    assert sight.unbooked_trades() == ()
    sight.traded([trade("t2", "0.3")])
    assert left(sight) == Decimal("0.7")


def test_an_execution_whose_trades_are_not_seen_counts_as_gone_and_is_asked_for() -> None:
    sight = sight_of()
    sight.sent(committed(CLOSE, "1", side=Side.SELL))
    sight.reported(report(CLOSE, ReportedState.EXPIRED, "0.3"))
    assert left(sight) == Decimal("0.7")
    assert CLOSE in [order.client_id for order in sight.doubtful(0)]
    sight.traded([trade("t2", "0.3")])
    assert left(sight) == Decimal("0.7")
    assert CLOSE not in [order.client_id for order in sight.doubtful(0)]


def test_a_fill_that_the_stream_did_not_tell_is_held_all_the_same() -> None:
    sight = sight_of()
    sight.traded([trade("t3", "0.5", venue_order_id="v1", side=Side.BUY)])
    assert sight.position("momentum", BTC) == Decimal("1.5")


def test_trades_of_orders_that_are_not_ours_are_nothing_to_us() -> None:
    sight = sight_of()
    sight.traded([trade("t9", "5", venue_order_id="somebody's")])
    assert sight.position("momentum", BTC) == Decimal(1)
    assert sight.unbooked_trades() == ()


def test_not_found_is_proof_only_at_the_second_look_past_the_settling_time() -> None:
    sight = sight_of()
    sight.books.apply(committed(CLOSE, "1", side=Side.SELL))
    sight.books.apply(OrderLost(CLOSE, "timeout", START_NS))
    sight.reported(report(ENTRY, ReportedState.CANCELED, "1"))

    def doubtful_after_look_at(at_s: float) -> bool:
        sight.absent(CLOSE, int(at_s * S))
        return bool(sight.doubtful(int(at_s * S)))

    assert sight.doubtful(0)
    assert [doubtful_after_look_at(at_s) for at_s in (1, 6.9, 7, 7.5, 8.9)] == [True] * 5
    assert not doubtful_after_look_at(9)
    assert left(sight) == Decimal(1)


@given(st.permutations(["row", "booked", "report", "trades", "end"]), st.integers(0, 100), st.booleans())
def test_in_whatever_order_news_come_what_is_left_is_never_more_than_the_truth(
    news: list[str], percent: int, again: bool
) -> None:
    """CLOSE sells `percent` of the position. The journal, the answer and the list of trades tell so in any order."""
    executed = Decimal(percent) / 100
    row = committed(CLOSE, "1", side=Side.SELL)
    trades = [trade("t2", str(executed))] if executed else []
    sight = sight_of()
    sight.sent(row)
    journaled: list[str] = []
    for what in news + (news if again else []):
        if what == "report":
            sight.reported(report(CLOSE, ReportedState.EXPIRED, str(executed)))
        elif what == "trades":
            sight.traded(trades)
        elif what == "row" and "row" not in journaled:
            sight.books.apply(row)
            journaled.append("row")
        elif what == "booked" and "row" in journaled and "booked" not in journaled and executed:
            sight.books.apply(evolve(fill_of(CLOSE, "t2", str(executed), side=Side.SELL)))
            journaled.append("booked")
        assert left(sight) <= 1 - executed
    sight.reported(report(CLOSE, ReportedState.EXPIRED, str(executed), *trades))
    assert left(sight) == 1 - executed
