"""The books: profit is what was paid and what is held, and a day begins at midnight, wherever the bot was then."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tbot_actors.domain.events import Fill, InstrumentDefined, PauseChanged
from tbot_actors.domain.instruments import Side
from tbot_actors.domain.market import Quote
from tbot_actors.domain.messages import PortfolioState
from tbot_actors.domain.money import ZERO
from tbot_actors.portfolio import PortfolioSettings
from tbot_actors.portfolio.accounts import DAY_NS, Accounts
from tests.domain import samples
from tests.domain.samples import BTC, BTCUSDT

CAPITAL = Decimal(1_000)
HOUR_NS = DAY_NS // 24


def accounts() -> Accounts:
    books = Accounts(CAPITAL)
    books.apply(InstrumentDefined(BTCUSDT, 0))
    return books


def fill(number: int, quantity: str, price: str, side: Side = Side.BUY, stamp_ns: int = 0, **changes: Any) -> Fill:
    return samples.fill(
        str(number), quantity=Decimal(quantity), price=Decimal(price), side=side, stamp_ns=stamp_ns, **changes
    )


def quote(bid: str, ask: str | None = None, stamp_ns: int = 0) -> Quote:
    one = Decimal(1)
    return Quote(BTC, Decimal(bid), one, Decimal(ask or bid), one, 1, stamp_ns, 0)


def day_profit(books: Accounts, stamp_ns: int) -> Decimal:
    return books.state(stamp_ns, 0).day_profit


def test_a_flat_bot_is_worth_its_capital() -> None:
    state = accounts().state(5, 7)
    assert (state.equity, state.day_profit) == (CAPITAL, ZERO)
    assert (dict(state.positions), state.sequence) == ({}, 7)


def test_only_fills_and_instruments_concern_the_books() -> None:
    books = accounts()
    assert not books.apply(PauseChanged("account", (), 1))
    assert books.apply(fill(1, "1", "100"))


def test_profit_is_realised_by_closing_and_the_rest_is_at_the_mark() -> None:
    books = accounts()
    books.apply(fill(1, "2", "100"))
    books.mark(quote("109", "111"))
    assert (books.state(0, 0).realized, books.state(0, 0).unrealized) == (ZERO, Decimal(20))
    books.apply(fill(2, "1", "120", Side.SELL))
    state = books.state(0, 0)
    assert (state.realized, state.unrealized, state.equity) == (Decimal(20), Decimal(10), CAPITAL + 30)
    books.apply(fill(3, "1", "90", Side.SELL))
    assert (books.state(0, 0).realized, books.state(0, 0).unrealized) == (Decimal(10), ZERO)


def test_a_fee_in_quote_is_paid_from_the_profit_and_a_fee_in_base_from_the_holding() -> None:
    books = accounts()
    books.apply(fill(1, "1", "100", fee=Decimal("0.1"), fee_asset="USDT"))
    assert books.state(0, 0).equity == CAPITAL - Decimal("0.1")
    books.apply(fill(2, "1", "100", fee=Decimal("0.001"), fee_asset="BTC"))
    assert books.state(0, 0).positions["momentum", BTC].quantity == Decimal("1.999")
    assert books.state(0, 0).equity == CAPITAL - Decimal("0.2")


def test_before_a_quote_the_last_fill_is_the_mark_and_after_it_the_quote_is() -> None:
    books = accounts()
    books.apply(fill(1, "1", "100"))
    books.apply(fill(2, "1", "104"))
    assert books.marks[BTC] == 104
    books.mark(quote("110"))
    books.apply(fill(3, "1", "111"))
    assert books.marks[BTC] == 110


@pytest.mark.parametrize(("bid", "ask"), [("NaN", "100"), ("100", "NaN"), ("1", "Infinity"), ("0", "1"), ("2", "1")])
def test_what_is_no_price_marks_nothing(bid: str, ask: str) -> None:
    books = accounts()
    books.apply(fill(1, "1", "100"))
    books.mark(quote(bid, ask))
    assert books.marks[BTC] == 100


trades = st.tuples(
    st.integers(1, 50), st.integers(90, 110), st.booleans(), st.sampled_from(["USDT", "BTC", "BNB"]), st.integers(0, 5)
)


@given(st.lists(trades, max_size=30), st.integers(80, 120))
def test_equity_changes_by_cash_and_inventory_alone(moves: list[tuple[int, int, bool, str, int]], mark: int) -> None:
    books = accounts()
    cash, held = Decimal(0), Decimal(0)
    for number, (size, price, buys, fee_asset, thousandths) in enumerate(moves):
        side = Side.BUY if buys else Side.SELL
        quantity = Decimal(size) / 10
        amount = quantity if fee_asset == "BTC" else quantity * price
        fee = amount * thousandths / 1000
        books.apply(fill(number, str(quantity), str(price), side, fee=fee, fee_asset=fee_asset))
        cash -= side.sign * quantity * price + (fee if fee_asset == "USDT" else 0)
        held += side.sign * quantity - (fee if fee_asset == "BTC" else 0)
    books.mark(quote(str(mark)))
    assert abs(books.state(0, 0).equity - (CAPITAL + cash + held * mark)) < Decimal("1E-15")


# Days


def test_the_day_s_profit_starts_at_midnight() -> None:
    books = accounts()
    books.mark(quote("100", stamp_ns=20 * HOUR_NS))
    books.apply(fill(1, "1", "100", stamp_ns=21 * HOUR_NS))
    books.mark(quote("130", stamp_ns=23 * HOUR_NS))
    assert day_profit(books, 23 * HOUR_NS) == 30
    # What moved between the last quote of the day and the first of the next is the next day's.
    books.mark(quote("125", stamp_ns=25 * HOUR_NS))
    assert day_profit(books, 25 * HOUR_NS) == -5
    books.apply(fill(2, "1", "120", Side.SELL, stamp_ns=26 * HOUR_NS))
    assert day_profit(books, 27 * HOUR_NS) == -10
    assert day_profit(books, 49 * HOUR_NS) == 0


def test_a_clock_that_goes_back_over_midnight_does_not_start_the_day_again() -> None:
    books = accounts()
    books.mark(quote("100", stamp_ns=20 * HOUR_NS))
    books.apply(fill(1, "1", "100", stamp_ns=20 * HOUR_NS))
    books.mark(quote("90", stamp_ns=25 * HOUR_NS))
    assert day_profit(books, 23 * HOUR_NS) == -10
    assert day_profit(books, 25 * HOUR_NS) == -10


def test_after_a_restart_a_position_from_an_earlier_day_has_lost_nothing_today() -> None:
    """Bought at 100 a week ago, now at 80: a restart must not call that a loss of this day (DESIGN §10, V14)."""
    books = accounts()
    books.apply(fill(1, "1", "100", stamp_ns=0))
    now_ns = 7 * DAY_NS + HOUR_NS
    assert day_profit(books, now_ns) == 0
    books.mark(quote("80", stamp_ns=now_ns))
    assert day_profit(books, now_ns) == 0
    books.mark(quote("75", stamp_ns=now_ns))
    assert day_profit(books, now_ns) == -5
    assert books.state(now_ns, 0).equity == CAPITAL - 25


def test_after_a_restart_a_position_of_today_still_counts_from_its_price() -> None:
    books = accounts()
    books.apply(fill(1, "1", "100", stamp_ns=HOUR_NS))
    books.mark(quote("80", stamp_ns=2 * HOUR_NS))
    assert day_profit(books, 2 * HOUR_NS) == -20


def test_a_fill_of_today_prices_what_was_held_before_it() -> None:
    books = accounts()
    books.apply(fill(1, "1", "100", stamp_ns=0))
    books.apply(fill(2, "1", "80", stamp_ns=DAY_NS + 1))
    books.mark(quote("70", stamp_ns=DAY_NS + 2))
    assert day_profit(books, DAY_NS + 2) == -20


def test_the_books_of_a_replay_are_those_of_the_life_before() -> None:
    events = [fill(1, "2", "100"), fill(2, "1", "110", Side.SELL), fill(3, "3", "90")]
    live, replayed = accounts(), accounts()
    for number, event in enumerate(events):
        live.apply(event)
        live.mark(quote(str(100 + number)))
    for event in events:
        replayed.apply(event)
    replayed.mark(quote("102"))
    states: list[PortfolioState] = [books.state(5, 3) for books in (live, replayed)]
    assert states[0] == states[1]


def test_a_period_of_publishing_must_be_positive() -> None:
    with pytest.raises(ValueError, match="publish_every_s"):
        PortfolioSettings(publish_every_s=0)
