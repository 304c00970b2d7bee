"""The replica that is shown."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given

from tbot_actors.domain.blotter import UnknownOrder
from tbot_actors.domain.events import (
    DecisionDenied,
    DenyReason,
    Event,
    Evidence,
    LatchChanged,
    OrderCanceled,
    OrderExpired,
    OrderLost,
    OrderRejected,
    PauseChanged,
    Reconciled,
    Stopped,
)
from tbot_actors.domain.intents import IntentKey
from tbot_actors.domain.market import EventId
from tbot_actors.domain.orders import ImpossibleStep
from tbot_actors.kernel import State
from tbot_actors.operator.picture import LINES_KEPT, NOTABLE_KEPT, TEXT_MAX, Picture
from tests.domain.samples import BTC, accepted, any_event, cancel_asked
from tests.operator.samples import SECOND, START_NS, actor, balance, books, filled, freed, order, picture, start, tree

NOW = START_NS + SECOND


def denied(text: str = "too much") -> DecisionDenied:
    intent = IntentKey("quoter", EventId("q/1"), "bid")
    return DecisionDenied(intent, DenyReason.POSITION_LIMIT, text, {}, NOW)


def texts(made: Picture) -> list[str]:
    return [line.text for line in made.lines]


def test_it_counts_what_this_process_start_did() -> None:
    made = picture(freed(), order(1), order(2), filled(1), denied())
    assert (made.orders, made.fills, made.denied) == (2, 1, 1)
    made.apply(100, start(2))
    assert (made.orders, made.fills, made.denied) == (0, 0, 0)
    assert made.generation == 2


def test_a_process_start_begins_a_new_page_and_takes_no_new_risk() -> None:
    made = picture(freed(), order(1))
    assert made.barred == {}
    made.apply(100, start(2))
    assert texts(made) == ["process start 2, paper account main"]
    assert made.barred == {"account": ("NOT_RECONCILED",)}


def test_open_orders_of_an_earlier_start_are_still_open() -> None:
    made = picture(order(1), accepted("A1"))
    made.apply(100, start(2))
    assert set(made.blotter.working) == {"A1"}


TOLD: list[tuple[Event, str]] = [
    (order(1), "momentum: buy 1 binance:BTCUSDT at 100 (A1)"),
    (order(1, price=None), "momentum: buy 1 binance:BTCUSDT at market (A1)"),
    (filled(0), "momentum: buy 0.1 binance:BTCUSDT filled at 100 (A0)"),
    (denied("at most 5"), "quoter: bid denied, POSITION_LIMIT: at most 5"),
    (OrderCanceled("A0", Evidence.STREAM, NOW), "momentum: canceled (A0)"),
    (OrderRejected("A0", "no funds", Evidence.RESPONSE, NOW), "momentum: rejected: no funds (A0)"),
    (OrderExpired("A0", "IOC", Evidence.STREAM, NOW), "momentum: expired: IOC (A0)"),
    (OrderLost("A0", "timeout", NOW), "momentum: answer lost, being asked for: timeout (A0)"),
    (PauseChanged("venue:x", ("STALE_FEED", "MISMATCH"), NOW), "venue:x: no new risk: STALE_FEED, MISMATCH"),
    (LatchChanged("account", ("PERSON_HALT",), "ann", "odd", NOW), "account: latched by ann: PERSON_HALT (odd)"),
    (LatchChanged("account", (), "ann", "fine now", NOW), "account: resumed by ann (fine now)"),
    (Reconciled("binance", True, (), 0, NOW), "binance: reconciled"),
    (Reconciled("binance", True, (), 2, NOW), "binance: reconciled, 2 fills found"),
    (Reconciled("binance", False, ("one", "two"), 0, NOW), "binance: mismatch: one; two"),
    (Stopped(True, 0, NOW), "stopped flat, 0 orders open"),
    (Stopped(False, 2, NOW, {"b:X": "1"}), "stopped not flat, 2 orders open, left: 1 b:X"),
]


@pytest.mark.parametrize(("event", "text"), TOLD, ids=lambda value: type(value).__name__)
def test_each_event_worth_telling_has_its_sentence(event: Event, text: str) -> None:
    assert texts(picture(order(0), event))[-1] == text


def test_what_a_strategy_learned_or_a_cancel_on_its_way_is_no_line() -> None:
    assert texts(picture(order(1), accepted("A1"), cancel_asked("A1")))[1:] == [
        "momentum: buy 1 binance:BTCUSDT at 100 (A1)"
    ]


@given(any_event)
def test_any_event_is_lines_of_printable_letters_or_contradicts_the_journal(event: Event) -> None:
    made = picture(order(1))
    try:
        made.apply(9, event)
    except (UnknownOrder, ImpossibleStep):
        return
    assert all(text.isprintable() and len(text) <= TEXT_MAX + 1 for text in texts(made))


def test_what_a_venue_says_cannot_break_the_line_or_steer_the_terminal() -> None:
    made = picture(order(0), OrderRejected("A0", "no\n\x1b[2Jfunds" + "!" * 1000, Evidence.RESPONSE, NOW))
    assert texts(made)[-1].startswith("momentum: rejected: no  [2Jfunds!!!")
    assert len(texts(made)[-1]) == TEXT_MAX + 1


def test_the_same_end_told_twice_is_one_line_but_a_late_fill_is_its_own() -> None:
    twice = OrderCanceled("A1", Evidence.STREAM, NOW)
    made = picture(order(1), OrderCanceled("A1", Evidence.RESPONSE, NOW), twice, filled(1))
    assert texts(made)[-2:] == ["momentum: canceled (A1)", "momentum: buy 0.1 binance:BTCUSDT filled at 100 (A1)"]


def test_a_pause_told_again_is_no_new_line() -> None:
    pause = PauseChanged("account", ("STOPPING",), NOW)
    made = picture(pause, pause, freed(), freed(), pause)
    assert texts(made)[1:] == [
        "account: no new risk: STOPPING",
        "account: new risk allowed",
        "account: no new risk: STOPPING",
    ]


def test_lines_are_bounded_and_notable_ones_outlive_the_noise() -> None:
    made = picture(order(0), OrderLost("A0", "timeout", NOW))
    for number in range(1, LINES_KEPT + 10):
        made.apply(100 + number, order(number))
    assert len(made.lines) == LINES_KEPT
    assert [line.kind for line in made.notable] == ["OrderLost"]
    for number in range(NOTABLE_KEPT + 10):
        made.apply(1000 + number, PauseChanged("account", (str(number),), NOW))
    assert len(made.notable) == NOTABLE_KEPT


def test_a_restart_becomes_a_line_with_its_reason() -> None:
    made = picture()
    made.see(tree(), NOW)
    assert texts(made)[1:] == [], "what has run before anybody looked is nothing new"
    made.see(tree(actor("core/risk", starts=2, error="Boom()")), NOW)
    made.see(tree(actor("core/risk", starts=2, error="Boom()")), NOW)
    assert texts(made)[1:] == ["core/risk started again, start 2: Boom()"]
    assert made.notable[-1].kind == "Restart"


def test_an_actor_that_is_given_up_becomes_a_line() -> None:
    made = picture()
    made.see(tree(), NOW)
    gone = tree(actor("strategies/momentum", State.GONE, 6, "Boom()"))
    made.see(gone, NOW)
    made.see(gone, NOW)
    assert texts(made)[1:] == ["strategies/momentum is off and will not be started again: Boom()"]


def test_the_first_start_of_an_actor_is_no_restart() -> None:
    made = picture()
    made.see(tree(actor("core/risk", State.STARTING, 0)), NOW)
    made.see(tree(), NOW)
    assert texts(made)[1:] == []


def test_lines_are_in_order_whether_they_come_from_the_journal_or_from_the_tree() -> None:
    made = picture()
    made.see(tree(), NOW)
    made.apply(5, order(1))
    made.see(tree(actor("core/risk", starts=2)), NOW + 1)
    made.see(tree(actor("core/risk", starts=3)), NOW + 2)
    made.apply(6, order(2))
    places = [line.place for line in made.lines]
    assert places == sorted(set(places))


def test_books_and_balances_are_those_last_heard() -> None:
    made = picture()
    made.hear_books(books("10000", "100"))
    made.hear_books(books("10001", "100"))
    assert made.books is not None and made.books.equity == 10_001
    assert made.equity.values == [Decimal(10_001)]
    made.hear_balances("binance", {"BTC": balance("1", "0"), "USDT": balance("5", "0")})
    made.hear_balances("binance", {"BTC": balance("2", "0")})
    assert {asset: each.free for asset, each in made.balances["binance"].items()} == {"BTC": 2, "USDT": 5}


def test_the_price_grid_is_the_one_the_venue_stated() -> None:
    assert picture().tick == {BTC: Decimal("0.01")}
