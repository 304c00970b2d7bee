"""The gate, check by check: each reason, the values on both sides of each limit, and nothing that is no number."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from tbot_actors.domain.events import (
    DecisionDenied,
    DenyReason,
    Evidence,
    GenerationStarted,
    InstrumentDefined,
    OrderAccepted,
    OrderCanceled,
    OrderLost,
    PauseChanged,
)
from tbot_actors.domain.instruments import InstrumentId, Side
from tbot_actors.domain.intents import OrderType
from tbot_actors.domain.orders import OrderState
from tbot_actors.risk.books import INTENTS_REMEMBERED, Books
from tbot_actors.risk.gate import Denial, judge
from tbot_actors.risk.settings import RiskSettings
from tests.domain import samples
from tests.domain.samples import BTC, BTCUSDT
from tests.risk.cases import books, case, committed, fill, key, owning, place, portfolio, quote, reserve

R = DenyReason
SELL, BUY = Side.SELL, Side.BUY


def reason(**changes: Any) -> DenyReason | None:
    denial = judge(case(**changes))
    return None if denial is None else denial.reason


def with_quote(*figures: str, age_s: float = 0) -> Books:
    known = books()
    known.quotes[BTC] = quote(*figures, age_s=age_s)
    return known


def with_loss(day_profit: str) -> Books:
    known = books()
    known.portfolio = portfolio(day_profit)
    return known


def without_books() -> Books:
    known = books()
    known.portfolio = None
    return known


def perpetual() -> InstrumentDefined:
    return InstrumentDefined(evolve(BTCUSDT, spot=False), 4)


def many(count: int) -> Books:
    return books(*(committed(f"A{number}", f"k{number}", "0.1") for number in range(count)))


def partly(executed: str, state: str = "open", name: str = "entry", quantity: str = "1", side: Side = BUY) -> list[Any]:
    return [
        committed("A1", name, quantity, side=side),
        samples.accepted("A1"),
        fill(executed, side, client_id="A1", trade_id="1"),
    ]


def denied(intent: Any) -> DecisionDenied:
    return DecisionDenied(intent, DenyReason.FILTER, "", {}, 5)


def test_an_ordinary_order_passes_with_its_figures() -> None:
    passing = case()
    assert judge(passing) is None
    assert passing.inputs == {
        "bid": "99.99", "ask": "100.01", "quote_age_s": "0.0", "mid": "100.00", "band": "5.00", "capital": "10000",
        "capital_all": "10000", "day_loss": "0", "day_loss_limit": "300", "notional": "100", "order_limit": "500",
        "worst_position": "1", "worst_notional": "100", "position_limit": "1000", "orders": "0",
    }  # fmt: skip


NO_FIGURES = ("NaN", "sNaN", "Infinity", "-Infinity", "0", "-1")

CASES: list[tuple[str, DenyReason | None, dict[str, Any]]] = [
    # One decision, one intent; one order per key
    ("decided and committed before", R.DUPLICATE_INTENT, {"books": books(committed()), "intent": key("q/A1", "other")}),
    ("denied before", R.DUPLICATE_INTENT, {"books": books(denied(key()))}),
    ("approved and on its way", R.DUPLICATE_INTENT, {"books": reserve(books(), key(), place())}),
    ("same event, other key", None, {"books": books(denied(key("q/1", "exit")))}),
    ("same key, other event", None, {"books": books(denied(key("q/0")))}),
    ("same key, other strategy", None, {"books": books(denied(key(strategy="quoter")))}),
    ("an order of the key works", R.KEY_IN_USE, {"books": books(committed("A1", "entry"))}),
    ("an order of the key is on its way", R.KEY_IN_USE, {"books": reserve(books(), key("q/0"), place())}),
    ("another strategy's key", None, {"books": books(committed("A1", "entry", strategy="quoter"))}),
    # The instrument
    ("nobody defined it", R.UNKNOWN_INSTRUMENT, {"place": place(instrument=InstrumentId("binance:DOGEUSDT"))}),
    # Figures that are none
    *((f"quantity {bad}", R.FILTER, {"place": place(bad)}) for bad in NO_FIGURES),
    *((f"price {bad}", R.FILTER, {"place": place("1", bad)}) for bad in NO_FIGURES),
    ("a market order with a price", R.FILTER, {"place": place(type=OrderType.MARKET)}),
    ("a limit order without one", R.FILTER, {"place": place("1", None)}),
    ("a market order", None, {"place": place("1", None, type=OrderType.MARKET)}),
    ("more than the venue takes", R.FILTER, {"place": place("9000.00001")}),
    ("a price beyond arithmetic", R.PRICE_BAND, {"place": place("1", "1E+40")}),
    ("a quantity beyond arithmetic", R.FILTER, {"place": place("1E+40")}),
    ("a tiny price", R.PRICE_BAND, {"place": place("1", "1E-40")}),
    # The price
    ("no quote", R.STALE_PRICE, {"books": evolve(books(), quotes={})}),
    ("a quote at the age limit", None, {"books": with_quote(age_s=5)}),
    ("a quote beyond it", R.STALE_PRICE, {"books": with_quote(age_s=5.001)}),
    *(
        (f"bid {bid}, ask {ask}", R.STALE_PRICE, {"books": with_quote(bid, ask)})
        for bid, ask in [("NaN", "100"), ("100", "NaN"), ("99", "Infinity"), ("0", "100"), ("-1", "1"), ("101", "100")]
    ),
    ("a locked book", None, {"books": with_quote("100", "100")}),
    ("the highest price in the band", None, {"place": place("1", "105")}),
    ("a tick above it", R.PRICE_BAND, {"place": place("1", "105.01")}),
    ("the lowest price in the band", None, {"place": place("1", "95")}),
    ("a tick below it", R.PRICE_BAND, {"place": place("1", "94.99")}),
    ("some ticks of a cheap one", None, {"books": with_quote("0.09", "0.11"), "place": place("100", "0.2")}),
    ("more of them", R.PRICE_BAND, {"books": with_quote("0.09", "0.11"), "place": place("100", "0.21")}),
    # The venue's filters
    ("between ticks", R.FILTER, {"place": place("1", "100.001")}),
    ("between steps", R.FILTER, {"place": place("0.100001")}),
    ("the smallest notional", None, {"place": place("0.05")}),
    ("less than it", R.FILTER, {"place": place("0.04999")}),
    ("less than it at the market", R.FILTER, {"place": place("0.04999", None, type=OrderType.MARKET)}),
    # What bars new risk
    ("paused", R.PAUSED, {"books": books(PauseChanged("account", ("PERSON",), 4))}),
    ("its venue paused", R.PAUSED, {"books": books(PauseChanged("venue:binance", ("STALE_FEED",), 4))}),
    ("it paused", R.PAUSED, {"books": books(PauseChanged("strategy:momentum", ("PERSON",), 4))}),
    ("another venue paused", None, {"books": books(PauseChanged("venue:okx", ("STALE_FEED",), 4))}),
    ("another strategy paused", None, {"books": books(PauseChanged("strategy:quoter", ("PERSON",), 4))}),
    ("a fresh process", R.PAUSED, {"books": books(GenerationStarted(2, "TB0T", "paper", "main", 4))}),
    ("no capital", R.NO_CAPITAL, {"capital": Decimal(0)}),
    ("capital that is no number", R.NO_CAPITAL, {"capital": Decimal("NaN")}),
    ("a sum that is no number", R.NO_CAPITAL, {"capital_all": Decimal("Infinity")}),
    ("the books unknown", R.NOT_READY, {"books": without_books()}),
    ("a loss that is no number", R.NOT_READY, {"books": with_loss("NaN")}),
    ("a loss without end", R.NOT_READY, {"books": with_loss("-Infinity")}),
    ("the whole loss of a day", None, {"books": with_loss("-300")}),
    ("more than that", R.DAILY_LOSS, {"books": with_loss("-300.01")}),
    ("a profit", None, {"books": with_loss("5000")}),
    # Sizes
    ("the largest order", None, {"place": place("5")}),
    ("a step more", R.ORDER_TOO_LARGE, {"place": place("5.00001")}),
    ("below the mid it costs the mid", R.ORDER_TOO_LARGE, {"place": place("5.00001", "99")}),
    ("the absolute limit", R.ORDER_TOO_LARGE, {"limits": RiskSettings(order_max=Decimal("99.99"))}),
    ("no limit set", R.ORDER_TOO_LARGE, {"limits": RiskSettings(order_max=None)}),
    ("a share of its own capital", R.ORDER_TOO_LARGE, {"capital": Decimal(1_999)}),
    ("the largest position", None, {"books": owning("9")}),
    ("a step more", R.POSITION_LIMIT, {"books": owning("9.00001")}),
    ("another strategy's position counts", R.POSITION_LIMIT, {"books": owning("9.00001", strategy="quoter")}),
    ("working orders count as filled", R.POSITION_LIMIT, {"books": owning("5", committed("A1", "k", "4.5"))}),
    ("working orders of the other side do not help", R.POSITION_LIMIT, {
        "books": owning("9.5", committed("A1", "k", "4.5", side=SELL)),
    }),
    ("nor do they count", None, {"books": owning("9", committed("A1", "k", "8", side=SELL))}),
    ("reservations count as filled", R.POSITION_LIMIT, {
        "books": reserve(owning("5"), key("q/0", "k"), place("4.5", key="k")),
    }),
    ("Unknown counts as filled", R.POSITION_LIMIT, {
        "books": owning("5", committed("A1", "k", "4.5"), OrderLost("A1", "timeout", 5)),
    }),
    ("what is filled counts once", None, {"books": books(*partly("4", name="k", quantity="8"))}),
    ("and what is left of it too", R.POSITION_LIMIT, {"books": books(*partly("4", name="k", quantity="9.1"))}),
    ("the last order", None, {"books": many(19), "place": place("0.1")}),
    ("one more", R.TOO_MANY_ORDERS, {"books": many(20), "place": place("0.1")}),
    ("reservations are orders", R.TOO_MANY_ORDERS, {
        "books": reserve(many(19), key("q/0", "k"), place("0.1", key="k")), "place": place("0.1"),
    }),
    # Selling
    ("all that it owns", None, {"books": owning("1"), "place": place(side=SELL)}),
    ("more than it owns", R.NO_SHORT_ON_SPOT, {"books": owning("0.99999"), "place": place(side=SELL)}),
    ("what another strategy owns", R.NO_SHORT_ON_SPOT, {
        "books": owning("1", strategy="quoter"), "place": place(side=SELL),
    }),
    ("what is being sold already", R.NO_SHORT_ON_SPOT, {
        "books": owning("1", committed("A1", "k", "0.1", side=SELL)), "place": place(side=SELL),
    }),
    ("what another strategy is selling is its own", None, {
        "books": owning("1", committed("A1", "k", "1", side=SELL, strategy="quoter")), "place": place(side=SELL),
    }),
    ("what is being bought is not owned yet", R.NO_SHORT_ON_SPOT, {
        "books": owning("0.5", committed("A1", "k", "0.5")), "place": place(side=SELL),
    }),
    ("a short where there is one", None, {"books": books(perpetual()), "place": place(side=SELL)}),
    ("a short that grows", R.POSITION_LIMIT, {
        "books": books(perpetual(), *partly("9.5", name="k", quantity="9.5", side=SELL)), "place": place(side=SELL),
    }),
    ("a short that shrinks", None, {
        "books": books(perpetual(), *partly("9.5", name="k", quantity="9.5", side=SELL)), "place": place("5"),
    }),
    ("a short is a position", R.POSITION_LIMIT, {
        "books": books(perpetual(), committed("A1", "k", "9.5", side=SELL)), "place": place(side=SELL),
    }),
    # What only shrinks a position
    ("closing all of it", None, {"books": owning("1"), "place": place(side=SELL, reduces=True)}),
    ("closing more", R.NOT_REDUCING, {"books": owning("0.99999"), "place": place(side=SELL, reduces=True)}),
    ("closing nothing", R.NOT_REDUCING, {"place": place(side=SELL, reduces=True)}),
    ("buying more is not closing", R.NOT_REDUCING, {"books": owning("1"), "place": place(reduces=True)}),
    ("closing it twice", R.NOT_REDUCING, {
        "books": owning("1", committed("A1", "k", "0.5", side=SELL, reduces=True)),
        "place": place(side=SELL, reduces=True),
    }),
    ("closing it twice at once", R.NOT_REDUCING, {
        "books": reserve(owning("1"), key("q/0", "k"), place("0.5", side=SELL, key="k")),
        "place": place(side=SELL, reduces=True),
    }),
    ("closing while paused, after a lost day, without capital, and large", None, {
        "books": evolve(owning("9", PauseChanged("account", ("DAILY_LOSS",), 4)), portfolio=portfolio("-5000")),
        "place": place("9", side=SELL, reduces=True),
        "capital": Decimal(0),
        "limits": RiskSettings(order_max=None),
    }),
    ("closing on a stale price", R.STALE_PRICE, {
        "books": evolve(owning("1"), quotes={BTC: quote(age_s=6)}), "place": place(side=SELL, reduces=True),
    }),
    ("closing far from the market", R.PRICE_BAND, {
        "books": owning("1"), "place": place("1", "50", SELL, reduces=True),
    }),
    ("closing between ticks", R.FILTER, {"books": owning("1"), "place": place("1", "100.001", SELL, reduces=True)}),
]  # fmt: skip


@pytest.mark.parametrize(("expected", "changes"), [(r, c) for _, r, c in CASES], ids=[name for name, _, _ in CASES])
def test_the_gate(expected: DenyReason | None, changes: dict[str, Any]) -> None:
    denial = judge(case(**changes))
    assert (None if denial is None else denial.reason) is expected, denial


def test_every_reason_of_the_gate_has_a_case() -> None:
    elsewhere = {R.LATCHED, R.RESTARTED, R.STALE_APPROVAL, R.NOTHING_TO_REPLACE, R.SELF_TRADE}
    assert {expected for _, expected, _ in CASES if expected is not None} == set(R) - elsewhere


# Replacing


def replacing(executed: str = "0.4", quantity: str = "1", side: Side = BUY, *before: Any, **changes: Any) -> Any:
    known = books(*before, *partly(executed, quantity=quantity, side=side))
    old = known.blotter["A1"]
    return case(**{"books": known, "replaced": old, "place": place(side=side), **changes})


def test_a_replacement_takes_the_place_of_what_it_replaces() -> None:
    assert judge(replacing()) is None


def test_a_replacement_counts_only_for_what_it_adds() -> None:
    """9.4 are owned and 0.6 of 1 still work; 1 in all, of which 0.4 are filled, stay within 10."""
    extra = [committed("B1", "bought", "9"), fill("9", client_id="B1", trade_id="b")]
    assert judge(replacing("0.4", "1", BUY, *extra)) is None
    denial = judge(replacing("0.4", "1", BUY, *extra, place=place("1.00001")))
    assert denial is not None
    assert denial.reason is R.POSITION_LIMIT


def test_a_replacement_of_a_sell_counts_only_for_what_is_left_to_sell() -> None:
    held = [committed("B1", "bought", "1"), fill("1", client_id="B1", trade_id="b")]
    assert judge(replacing("0.4", "1", SELL, *held)) is None
    assert judge(replacing("0.4", "1", SELL, *held, place=place(side=SELL, reduces=True))) is None
    denial = judge(replacing("0.4", "1", SELL, *held, place=place("1.1", side=SELL)))
    assert denial is not None
    assert denial.reason is R.NO_SHORT_ON_SPOT


@pytest.mark.parametrize(("quantity", "expected"), [("0.4", R.NOTHING_TO_REPLACE), ("0.3", R.NOTHING_TO_REPLACE)])
def test_a_replacement_for_less_than_is_filled_is_none(quantity: str, expected: DenyReason) -> None:
    denial = judge(replacing(place=place(quantity)))
    assert denial is not None
    assert denial.reason is expected


def test_what_a_replacement_adds_must_be_tradable() -> None:
    denial = judge(replacing(place=place("0.41")))
    assert denial is not None
    assert denial.reason is R.FILTER


def test_an_order_is_replaced_once_at_a_time() -> None:
    one = replacing()
    reserve(one.books, key("q/0"), place(), "A1")
    denial = judge(one)
    assert denial is not None
    assert denial.reason is R.KEY_IN_USE


def test_an_order_and_its_replacement_count_as_the_larger_of_the_two() -> None:
    for quantity, remaining in (("2", "2"), ("0.3", "0.6")):
        known = books(*partly("0.4"))
        reserve(known, key("q/0"), place(quantity), "A1")
        assert sum(working.remaining for working in known.working()) == Decimal(remaining)
        assert known.orders() == 1
        # When the old one has ended, the reservation stands alone.
        known.apply(OrderCanceled("A1", Evidence.STREAM, 9))
        assert sum(working.remaining for working in known.working()) == Decimal(quantity)
        assert known.orders() == 1


def test_a_full_table_lets_an_order_be_replaced() -> None:
    known = books(*(committed(f"A{number}", "entry" if number == 1 else f"k{number}", "0.1") for number in range(20)))
    assert judge(case(books=known, replaced=known.blotter["A1"], place=place("0.2"))) is None


# Together


@given(st.lists(st.integers(1, 50), max_size=40))
def test_however_many_orders_are_wanted_at_once_together_they_stay_within_the_limits(tenths: list[int]) -> None:
    """Checking and reserving is one step: each approval is in the books before the next intent is looked at."""
    known = owning("2")
    for number, size in enumerate(tenths):
        wanted = place(str(Decimal(size) / 10), key=f"k{number}")
        intent = key("q/1", f"k{number}")
        if judge(case(books=known, intent=intent, place=wanted)) is None:
            reserve(known, intent, wanted)
    assert 2 + sum(working.remaining for working in known.working()) <= 10
    assert known.orders() <= 20


@given(st.lists(st.tuples(st.integers(1, 30), st.booleans()), max_size=20))
def test_however_it_sells_it_never_sells_more_than_it_owns(sells: list[tuple[int, bool]]) -> None:
    known = owning("3")
    for number, (size, reduces) in enumerate(sells):
        wanted = place(str(Decimal(size) / 10), side=SELL, key=f"k{number}", reduces=reduces)
        intent = key("q/1", f"k{number}")
        if judge(case(books=known, intent=intent, place=wanted)) is None:
            reserve(known, intent, wanted)
    assert sum(working.remaining for working in known.working()) <= 3


@given(quantity=st.decimals(allow_nan=True, allow_infinity=True), price=st.none() | st.decimals(allow_nan=True))
def test_no_figure_breaks_the_gate_and_what_passes_is_finite_and_within_limits(
    quantity: Decimal, price: Decimal | None
) -> None:
    kind = OrderType.MARKET if price is None else OrderType.LIMIT
    wanted = evolve(place(type=kind), quantity=quantity, price=price)
    denial = judge(case(place=wanted))
    if denial is None:
        assert Decimal(5) <= quantity * 100 <= 505
    else:
        assert isinstance(denial, Denial)


@given(bid=st.decimals(allow_nan=True, allow_infinity=True), ask=st.decimals(allow_nan=True, allow_infinity=True))
def test_no_quote_breaks_the_gate(bid: Decimal, ask: Decimal) -> None:
    known = books()
    known.quotes[BTC] = evolve(quote(), bid=bid, ask=ask)
    if judge(case(books=known)) is None:
        assert bid <= ask


def test_a_replayed_journal_still_refuses_what_was_decided() -> None:
    again = Books()
    for event in (committed(), denied(key("q/2")), samples.accepted("A1")):
        again.apply(event)
    assert again.seen(key("q/A1", "other"))
    assert again.seen(key("q/2"))
    assert not again.seen(key("q/3"))


def test_decisions_are_remembered_up_to_a_bound() -> None:
    known = Books()
    for index in range(INTENTS_REMEMBERED + 1):
        known.remember(key(f"q/{index}"))
    assert not known.seen(key("q/0"))
    assert known.seen(key("q/1"))


def test_a_reservation_becomes_the_order_in_one_step_and_ends_with_a_denial() -> None:
    known = reserve(books(), key("q/A1", "other"), place(key="other"))
    assert [working.remaining for working in known.working()] == [Decimal(1)]
    known.apply(committed())
    assert known.reserved == {}
    assert [working.remaining for working in known.working()] == [Decimal(1)]
    reserve(known, key("q/5"), place())
    known.apply(OrderAccepted("A1", "77", Evidence.STREAM, 6))
    assert list(known.reserved) == [key("q/5")]
    known.apply(denied(key("q/5")))
    assert known.reserved == {}
    assert known.blotter["A1"].state is OrderState.OPEN


@pytest.mark.parametrize(
    "wrong",
    [
        {"order_max_percent": Decimal(0)}, {"order_max_percent": Decimal(26)}, {"order_max_percent": Decimal("NaN")},
        {"position_max_percent": Decimal("Infinity")}, {"daily_loss_percent": Decimal("5.1")},
        {"order_max": Decimal(0)}, {"order_max": Decimal("NaN")}, {"price_band_percent": Decimal(51)},
        {"price_band_ticks": 0}, {"quote_age_max_s": 0.0}, {"orders_max": 0},
    ],
)  # fmt: skip
def test_limits_that_limit_nothing_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        RiskSettings(**wrong)
