"""A strategy sees its own orders and positions, what is pending, and why it may not trade; nobody else's."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from attrs import evolve

from tbot_actors.domain.blotter import Blotter
from tbot_actors.domain.events import (
    DecisionDenied,
    DenyReason,
    Event,
    Evidence,
    GenerationStarted,
    InstrumentDefined,
    OrderCanceled,
    PauseChanged,
)
from tbot_actors.domain.instruments import Side
from tbot_actors.domain.intents import Cancel, IntentKey, Place, Replace
from tbot_actors.domain.market import EventId, Quote
from tbot_actors.domain.view import NOT_RECONCILED, View, exposure_after, with_event, with_intent, with_quote
from tests.domain.samples import BTC, BTCUSDT, accepted, committed, fill

ONE = Decimal(1)
EVENT = EventId("q/A1")


def view(**changes: Any) -> View:
    return evolve(View("momentum", Decimal(1000), instruments={BTC: BTCUSDT}), **changes)


def folded(start: View, *events: Event) -> View:
    blotter = Blotter()
    for event in events:
        start = with_event(start, event, blotter.apply(event))
    return start


def place(key: str = "entry", side: Side = Side.BUY, quantity: Decimal = ONE) -> Place:
    return Place(key, BTC, side, quantity, Decimal(100))


def test_an_order_is_seen_by_its_key_while_it_works() -> None:
    working = folded(view(), committed(), accepted())
    assert working.orders["entry"].venue_order_id == "77" and working.busy("entry")
    ended = folded(view(), committed(), accepted(), OrderCanceled("A1", Evidence.STREAM, 2))
    assert ended.orders == {} and not ended.busy("entry")


def test_the_end_of_an_order_does_not_hide_its_successor_of_the_same_key() -> None:
    canceled = OrderCanceled("A1", Evidence.STREAM, 2)
    seen = folded(view(), committed("A1"), canceled, committed("A2"), fill("t1", "A1"))
    assert seen.orders["entry"].client_id == "A2"


def test_orders_and_fills_of_other_strategies_are_not_seen() -> None:
    other = committed(strategy="quoter", intent=IntentKey("quoter", EVENT, "entry"))
    seen = folded(view(), other, fill("t1", strategy="quoter"))
    assert seen == view()


def test_fills_make_the_position_also_late_ones() -> None:
    seen = folded(view(), committed(), OrderCanceled("A1", Evidence.STREAM, 2), fill("t1"))
    assert seen.position(BTC).quantity == Decimal("0.1")
    assert view().position(BTC).quantity == 0


def test_instruments_are_learned_from_the_journal() -> None:
    dearer = evolve(BTCUSDT, tick=Decimal(1))
    assert folded(View("momentum", ONE), InstrumentDefined(dearer, 1)).instruments == {BTC: dearer}


# What may be done


def test_a_fresh_view_and_a_fresh_process_take_no_new_risk_until_reconciled() -> None:
    assert not view().enabled
    trading = folded(view(), PauseChanged("account", (), 1))
    assert trading.enabled
    started = folded(trading, GenerationStarted(2, "MMMM", "paper", "main", 1))
    assert started.barred == NOT_RECONCILED and not started.enabled


def test_pauses_of_its_own_scopes_bar_it_and_others_do_not() -> None:
    trading = view(barred={}, venues=frozenset({"binance"}))
    for scope in ("account", "venue:binance", "strategy:momentum"):
        paused = folded(trading, PauseChanged(scope, ("STALE_FEED",), 1))
        assert paused.barred == {scope: ("STALE_FEED",)} and not paused.enabled
        assert folded(paused, PauseChanged(scope, (), 2)).enabled
    for scope in ("venue:okx", "strategy:quoter"):
        assert folded(trading, PauseChanged(scope, ("STALE_FEED",), 1)).enabled
    assert not folded(view(barred={}), PauseChanged("venue:okx", ("STALE_FEED",), 1)).enabled


# What is on its way


def test_an_intent_is_pending_from_the_moment_it_was_returned_until_it_is_an_order() -> None:
    sent = with_intent(view(), EVENT, place())
    assert sent.busy("entry") and sent.pending["entry"].quantity == ONE
    seen = folded(sent, committed())
    assert seen.pending == {} and seen.busy("entry")


def test_a_denied_intent_is_pending_no_longer() -> None:
    sent = with_intent(view(), EVENT, place())
    denied = DecisionDenied(IntentKey("momentum", EVENT, "entry"), DenyReason.PAUSED, "", {}, 1)
    assert folded(sent, denied).pending == {}
    for intent in (IntentKey("quoter", EVENT, "entry"), IntentKey("momentum", EventId("q/other"), "entry")):
        assert folded(sent, evolve(denied, intent=intent)).busy("entry")


def test_a_cancel_is_not_pending() -> None:
    assert with_intent(view(), EVENT, Cancel("entry")) == view()


def test_a_replacement_is_on_the_side_of_the_order_it_replaces() -> None:
    working = folded(view(), committed(side=Side.SELL))
    waiting = with_intent(working, EVENT, Replace("entry", Decimal(2), Decimal(101))).pending["entry"]
    assert (waiting.side, waiting.instrument, waiting.quantity) == (Side.SELL, BTC, Decimal(2))
    nothing = with_intent(view(), EVENT, Replace("entry", Decimal(2), Decimal(101))).pending["entry"]
    assert nothing.instrument is None


def test_exposure_counts_position_working_pending_and_the_intent_on_its_side() -> None:
    held = folded(view(), committed("A0", "old"), fill("t1", "A0", quantity=ONE), committed("A1", "entry"))
    assert exposure_after(held, place("next")) == 3
    sent = with_intent(held, EVENT, place("other", quantity=Decimal(5)))
    assert exposure_after(sent, place("next")) == 8
    assert exposure_after(sent, place("next", Side.SELL)) == 0
    assert exposure_after(with_intent(sent, EVENT, place("short", Side.SELL)), place("next", Side.SELL)) == -1


def test_an_order_that_is_being_replaced_counts_once_with_the_larger_quantity() -> None:
    working = folded(view(), committed(quantity=Decimal(2)))
    for quantity, expected in ((Decimal(1), 3), (Decimal(5), 6)):
        replacing = with_intent(working, EVENT, Replace("entry", quantity, Decimal(99)))
        assert exposure_after(replacing, place("next")) == expected


def test_time_is_the_time_of_what_is_being_handled() -> None:
    quote = Quote(BTC, Decimal(99), ONE, Decimal(101), ONE, update=7, stamp_ns=5, received_ns=1)
    seen = with_quote(view(), quote)
    assert (seen.quotes, seen.now_ns, quote.mid) == ({BTC: quote}, 5, Decimal(100))
