"""One look at a venue against the journal: what is said, what waits, what is left alone."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from attrs import evolve

from tbot_actors.domain.events import (
    Event,
    Evidence,
    GenerationStarted,
    InstrumentDefined,
    OrderAccepted,
    OrderCanceled,
    OrderLost,
    Reconciled,
)
from tbot_actors.domain.ids import Sender
from tbot_actors.domain.instruments import Side
from tbot_actors.domain.messages import Balance, OrderReport, ReportedState, VenueState, VenueTrade
from tbot_actors.reconciler.books import Books
from tbot_actors.reconciler.compare import Comparison, Seen, compare
from tests.watchdog.house import BOT, START_NS, committed, fill_of, order_id
from tests.watchdog.venue import BTC, BTCUSDT

S = 1_000_000_000
MINUTE = 60 * S
SETTLE = 7 * S
ONE, TWO = order_id(1), order_id(2)
START: tuple[Event, ...] = (
    GenerationStarted(1, BOT, "paper", "main", START_NS),
    InstrumentDefined(BTCUSDT, START_NS),
)
OPEN_ONE: tuple[Event, ...] = (committed(ONE, "1"), OrderAccepted(ONE, "v1", Evidence.RESPONSE, START_NS))


def books_of(*events: Event, at_s: float = 0, books: Books | None = None) -> Books:
    books = books or books_of(*START, books=Books(overlap_ns=10 * MINUTE))
    for event in events:
        books.apply(event, int(at_s * S))
    return books


def report(client_id: str, executed: str = "0", **more: Any) -> OrderReport:
    usual = OrderReport(
        client_id=client_id,
        venue_order_id=f"v{client_id[-1:]}",
        instrument=BTC,
        state=ReportedState.OPEN,
        side=Side.BUY,
        quantity=Decimal(1),
        price=Decimal(90),
        executed=Decimal(executed),
        trades=(),
        why="",
        evidence=Evidence.QUERY,
        stamp_ns=START_NS,
    )
    return evolve(usual, **more)


def trade(trade_id: str, quantity: str = "1", venue_order_id: str = "v1", side: Side = Side.BUY) -> VenueTrade:
    price, amount = Decimal(90), Decimal(quantity)
    return VenueTrade(BTC, trade_id, venue_order_id, None, side, price, amount, Decimal(0), "USDT", True, START_NS)


def venue(
    *reports: OrderReport, trades: tuple[VenueTrade, ...] = (), btc: str = "100", read_s: float = 10
) -> VenueState:
    balances = {"BTC": Balance(Decimal(btc), Decimal(0))}
    return VenueState("binance", 1, reports, trades, balances, None, int(read_s * S))


def look(state: VenueState, books: Books, before: Seen | None = None) -> Comparison:
    return compare(state, books, before or Seen(), SETTLE)


def says_nothing(found: Comparison) -> bool:
    facts = found.facts
    return found.equal and not (facts.reports or facts.trades or facts.absent or facts.orphans)


def test_an_empty_venue_and_an_empty_journal_are_equal() -> None:
    assert says_nothing(look(venue(btc="0"), books_of()))


def test_an_order_that_both_know_is_nothing_to_speak_of() -> None:
    assert says_nothing(look(venue(report(ONE)), books_of(*OPEN_ONE)))


def test_an_order_that_is_being_sent_is_left_to_its_answer() -> None:
    books = books_of(committed(ONE, "1"), at_s=9)
    assert says_nothing(look(venue(), books))
    assert says_nothing(look(venue(report(ONE)), books))


def test_an_order_whose_answer_never_came_is_resolved_by_what_the_venue_lists() -> None:
    found = look(venue(report(ONE)), books_of(committed(ONE, "1"), at_s=1))
    assert [told.client_id for told in found.facts.reports] == [ONE]
    found = look(venue(report(ONE)), books_of(committed(ONE, "1"), OrderLost(ONE, "timeout", START_NS), at_s=9))
    assert [told.client_id for told in found.facts.reports] == [ONE]
    assert not found.equal


def test_an_unknown_order_that_is_not_listed_is_for_orders_to_settle() -> None:
    assert says_nothing(look(venue(), books_of(committed(ONE, "1"), OrderLost(ONE, "timeout", START_NS))))


def test_an_order_that_is_not_listed_is_asked_for_and_a_ghost_only_when_it_stays_away() -> None:
    books = books_of(*OPEN_ONE)
    first = look(venue(read_s=10), books)
    assert (first.facts.absent, first.mismatches, first.waiting) == ((ONE,), (), True)
    soon = look(venue(read_s=16.9), books, first.seen)
    assert (soon.mismatches, soon.waiting) == ((), True)
    late = look(venue(read_s=17), books, soon.seen)
    assert late.mismatches == (f"{ONE} is working here and not open at the venue",)
    back = look(venue(report(ONE), read_s=18), books, late.seen)
    assert says_nothing(back)


def test_an_order_accepted_after_the_read_began_is_not_missed() -> None:
    assert says_nothing(look(venue(read_s=10), books_of(*OPEN_ONE, at_s=10)))


def test_an_order_of_ours_that_the_journal_lacks_is_an_orphan_at_the_second_look() -> None:
    books = books_of()
    first = look(venue(report(ONE)), books)
    assert (first.facts.orphans, first.waiting) == ((), True)
    second = look(venue(report(ONE)), books, first.seen)
    assert [told.client_id for told in second.facts.orphans] == [ONE]
    assert second.mismatches == (f"{ONE} is open at the venue and not working here",)


def test_an_order_that_ended_here_and_is_open_there_is_an_orphan() -> None:
    books = books_of(*OPEN_ONE, OrderCanceled(ONE, Evidence.STREAM, START_NS), at_s=9)
    first = look(venue(report(ONE)), books)
    assert [told.client_id for told in look(venue(report(ONE)), books, first.seen).facts.orphans] == [ONE]


def test_an_order_that_ended_while_the_venue_was_read_is_none() -> None:
    books = books_of(OrderCanceled(ONE, Evidence.STREAM, START_NS), at_s=10, books=books_of(*OPEN_ONE))
    assert says_nothing(look(venue(report(ONE), read_s=10), books))


@pytest.mark.parametrize(
    "client_id", ["somebody's", "", ONE.lower(), "XXXX" + ONE[4:], ONE + "0", order_id(1, Sender.CLI)[:-1]]
)
def test_foreign_orders_and_trades_are_counted_and_never_touched(client_id: str) -> None:
    found = look(venue(report(client_id), trades=(trade("t1", venue_order_id="theirs"),)), books_of())
    assert says_nothing(found)
    assert (found.foreign_orders, found.foreign_trades) == (1, 1)


def test_a_fill_that_nobody_told_is_found_by_the_venues_order_id() -> None:
    found = look(venue(report(ONE, "0.4"), trades=(trade("t1", "0.4"),)), books_of(*OPEN_ONE))
    assert [told.trade_id for told in found.facts.trades] == ["t1"]
    assert not found.equal
    booked = books_of(*OPEN_ONE, fill_of(ONE, "t1", "0.4"))
    assert says_nothing(look(venue(report(ONE, "0.4"), trades=(trade("t1", "0.4"),)), booked))


def test_an_execution_whose_trades_lag_is_told_by_its_count() -> None:
    found = look(venue(report(ONE, "0.4")), books_of(*OPEN_ONE))
    assert [told.client_id for told in found.facts.reports] == [ONE]
    assert not found.equal


def test_a_late_fill_of_an_ended_order_is_found() -> None:
    books = books_of(*OPEN_ONE, OrderCanceled(ONE, Evidence.STREAM, START_NS))
    found = look(venue(trades=(trade("t1"),)), books)
    assert [told.trade_id for told in found.facts.trades] == ["t1"]


def test_a_trade_that_carries_our_id_needs_no_venue_order_id() -> None:
    named = evolve(trade("t1", venue_order_id="never seen"), client_id=ONE)
    assert look(venue(report(ONE, "1"), trades=(named,)), books_of(*OPEN_ONE)).facts.trades == (named,)


# What the venue holds


def held(quantity: str, at_s: float = 0) -> Books:
    return books_of(*OPEN_ONE, fill_of(ONE, "t1", quantity), at_s=at_s)


def test_the_venue_must_hold_what_the_bot_owns() -> None:
    assert look(venue(btc="1"), held("1")).equal
    assert look(venue(btc="50"), held("1")).equal
    found = look(venue(btc="0.9"), held("1"))
    assert found.mismatches == ("the bot owns 1 BTC, the venue holds 0.9",)


def test_what_open_orders_lock_is_held_too() -> None:
    state = evolve(venue(), balances={"BTC": Balance(Decimal("0.2"), Decimal("0.8"))})
    assert look(state, held("1")).equal


def test_an_asset_that_the_venue_does_not_name_is_not_there() -> None:
    assert not look(evolve(venue(), balances={}), held("1")).equal


def test_the_strategies_of_one_coin_are_summed() -> None:
    books = books_of(
        *OPEN_ONE,
        fill_of(ONE, "t1", "1"),
        committed(TWO, "1", strategy="quoter"),
        fill_of(TWO, "t2", "1", strategy="quoter"),
    )
    assert look(venue(btc="2"), books).equal
    assert look(venue(btc="1.5"), books).mismatches == ("the bot owns 2 BTC, the venue holds 1.5",)


def test_a_purchase_that_was_booked_after_the_read_began_may_not_be_in_it() -> None:
    assert look(venue(btc="0", read_s=10), held("1", at_s=10)).equal
    assert not look(venue(btc="0", read_s=10), held("1", at_s=9.9)).equal


def test_a_sale_that_is_not_booked_yet_explains_what_is_missing() -> None:
    sale = committed(TWO, "1", side=Side.SELL)
    books = books_of(sale, OrderAccepted(TWO, "v2", Evidence.RESPONSE, START_NS), books=held("1"))
    found = look(
        venue(report(TWO, "0.4", side=Side.SELL), trades=(trade("t2", "0.4", "v2", Side.SELL),), btc="0.6"), books
    )
    assert not any("owns" in mismatch for mismatch in found.mismatches)


# From where trades are read


def test_trades_are_read_from_the_beginning_until_a_reconcile_was_clean() -> None:
    books = held("1")
    assert books.trades_after("binance") == {BTC: None}
    books_of(Reconciled("binance", False, ("x",), 0, START_NS + 60 * MINUTE), books=books)
    assert books.trades_after("binance") == {BTC: None}
    books_of(Reconciled("binance", True, (), 0, START_NS + 60 * MINUTE), books=books)
    assert books.trades_after("binance") == {BTC: "t1"}


def test_young_trades_are_read_once_more() -> None:
    books = held("1")
    books_of(evolve(fill_of(ONE, "t2", "0"), stamp_ns=START_NS + 55 * MINUTE), books=books)
    books_of(Reconciled("binance", True, (), 0, START_NS + 60 * MINUTE), books=books)
    assert books.trades_after("binance") == {BTC: "t1"}
    books_of(Reconciled("binance", True, (), 0, START_NS + 65 * MINUTE), books=books)
    assert books.trades_after("binance") == {BTC: "t2"}


def test_while_an_order_is_unknown_its_trades_cannot_be_told_from_foreign_ones_and_are_read_again() -> None:
    books = books_of(committed(TWO, "1"), books=held("1"))
    books_of(Reconciled("binance", True, (), 0, START_NS + 60 * MINUTE), books=books)
    assert books.trades_after("binance") == {BTC: None}


def test_foreign_trades_that_were_compared_are_not_read_again() -> None:
    books = books_of()
    books.verified([trade("7"), evolve(trade("9"), stamp_ns=START_NS + 9 * MINUTE)], START_NS + 15 * MINUTE)
    assert books.trades_after("binance") == {BTC: "7"}
    books.verified([trade("7"), evolve(trade("9"), stamp_ns=START_NS + 9 * MINUTE)], START_NS + 20 * MINUTE)
    assert books.trades_after("binance") == {BTC: "9"}
