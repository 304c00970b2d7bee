"""Momentum: what it wants on a signal, at its stop, at its target, and after a restart."""

from __future__ import annotations

from decimal import Decimal

import pytest
from attrs import evolve

from tbot_actors.domain.instruments import InstrumentId, Side
from tbot_actors.domain.intents import Intent, Place, TimeInForce
from tbot_actors.domain.market import EventId
from tbot_actors.domain.view import View, with_intent
from tbot_actors.strategies.library.momentum import ENTRY, EXIT, Momentum, MomentumParams
from tests.domain import samples
from tests.domain.samples import BTC
from tests.strategies.views import candle, quote, view, with_order

PARAMS = MomentumParams(fast=2, slow=3, atr=2, threshold_percent=Decimal(1), notional=Decimal(100))


def warm(*closes: str, known: View | None = None, params: MomentumParams = PARAMS) -> tuple[Momentum, list[Intent]]:
    """A strategy that has seen these closes, each a bar of 4 in height, and what it wanted at the last one."""
    momentum = Momentum(params, (BTC,))
    wanted: list[Intent] = []
    for number, close in enumerate(closes):
        price = Decimal(close)
        bar = candle(number, close, str(price + 2), str(price - 2))
        wanted = list(momentum.on_candle(known or view(), bar))
    return momentum, wanted


def test_it_wants_one_period_of_candles() -> None:
    assert Momentum(PARAMS, (BTC,)).candles_s() == (60,)


def test_a_rise_beyond_the_threshold_is_bought_at_the_market_with_a_limit() -> None:
    # Fast (104 + 108)/2 = 106, slow 104: 1.92 % above.
    _, wanted = warm("100", "104", "108")
    assert wanted == [
        Place(ENTRY, BTC, Side.BUY, Decimal("0.999"), Decimal("100.10"), time_in_force=TimeInForce.IOC)
    ]


@pytest.mark.parametrize("closes", [("100", "101", "102"), ("100", "100", "100"), ("100", "99", "98"), ("104", "108")])
def test_within_the_threshold_and_before_the_averages_are_known_it_waits(closes: tuple[str, ...]) -> None:
    assert warm(*closes)[1] == []


def test_on_spot_a_fall_is_not_sold_short_but_closes() -> None:
    assert warm("108", "104", "100")[1] == []
    _, wanted = warm("108", "104", "100", known=view(held="0.5", cost="52"))
    assert wanted == [
        Place(EXIT, BTC, Side.SELL, Decimal("0.5"), Decimal("99.90"), time_in_force=TimeInForce.IOC, reduces=True)
    ]


def test_where_shorts_exist_a_fall_is_sold_and_a_rise_closes_the_short() -> None:
    (entry,) = warm("108", "104", "100", known=view(spot=False))[1]
    assert isinstance(entry, Place)
    assert (entry.key, entry.side, entry.price) == (ENTRY, Side.SELL, Decimal("99.90"))
    (close,) = warm("100", "104", "108", known=view(held="-0.5", cost="-50", spot=False))[1]
    assert isinstance(close, Place)
    assert (close.key, close.side, close.quantity, close.reduces) == (EXIT, Side.BUY, Decimal("0.5"), True)


def test_a_signal_in_the_direction_it_holds_adds_nothing() -> None:
    assert warm("100", "104", "108", known=view(held="0.5", cost="50"))[1] == []


def test_an_entry_or_exit_on_its_way_is_waited_for() -> None:
    entry = Place(ENTRY, BTC, Side.BUY, Decimal(1), Decimal(100))
    assert warm("100", "104", "108", known=with_intent(view(), EventId("q/1"), entry))[1] == []
    assert warm("100", "104", "108", known=with_order(view(), EXIT, "1", "100", Side.SELL))[1] == []
    exit_ = evolve(entry, key=EXIT, side=Side.SELL)
    known = with_intent(view(held="0.5", cost="52"), EventId("q/1"), exit_)
    assert warm("108", "104", "100", known=known)[1] == []


def test_an_entry_too_small_for_the_venue_is_not_wanted() -> None:
    assert warm("100", "104", "108", params=evolve(PARAMS, notional=Decimal("4.99")))[1] == []


def test_other_instruments_and_periods_are_not_its_own() -> None:
    momentum, _ = warm("100", "104")
    assert momentum.on_candle(view(), candle(3, "108", instrument=InstrumentId("binance:ETHUSDT"))) == ()
    assert momentum.on_candle(view(), candle(3, "108", period_ns=1)) == ()
    assert list(momentum.on_candle(view(), candle(3, "108")))


def holding(bid: str, ask: str | None = None, held: str = "0.5") -> View:
    return view(bid, ask, held=held, cost=str(Decimal(held) * 100), spot=Decimal(held) > 0)


# The true ranges of these bars are 4 each: the stop is 8 from the entry, the target 16.
@pytest.mark.parametrize(
    ("bid", "closes"), [("100", False), ("92.01", False), ("92", True), ("80", True), ("115.99", False), ("116", True)]
)
def test_it_closes_at_the_stop_and_at_the_target(bid: str, closes: bool) -> None:
    momentum, _ = warm("100", "100", "100", known=holding("100"))
    ask = str(Decimal(bid) + 1)
    wanted = list(momentum.on_quote(holding(bid, ask), quote(bid, ask)))
    assert [intent.key for intent in wanted] == ([EXIT] if closes else [])


@pytest.mark.parametrize(("ask", "closes"), [("107.99", False), ("108", True), ("84.01", False), ("84", True)])
def test_a_short_is_measured_by_what_it_costs_to_buy_back(ask: str, closes: bool) -> None:
    momentum, _ = warm("100", "100", "100", known=holding("100", held="-0.5"))
    known = holding(str(Decimal(ask) - 1), ask, held="-0.5")
    wanted = list(momentum.on_quote(known, quote(ask)))
    assert [intent.key for intent in wanted] == ([EXIT] if closes else [])


def test_dust_is_no_position() -> None:
    momentum, _ = warm("100", "100", "100", known=holding("100"))
    assert momentum.on_quote(holding("50", held="0.05"), quote("50")) == ()


def test_the_range_at_the_entry_sets_the_stop_for_the_whole_position() -> None:
    momentum, _ = warm("100", "100", "100", known=holding("100"))
    assert momentum.snapshot() == {"stop_distance": "8.0"}
    momentum.on_candle(holding("100"), candle(9, "100", "150", "50"))
    assert momentum.snapshot() == {"stop_distance": "8.0"}
    momentum.on_fill(view(), samples.fill("1"))
    assert momentum.snapshot() == {}


def test_a_restart_keeps_the_stop_also_before_the_first_quote() -> None:
    momentum = Momentum(PARAMS, (BTC,))
    momentum.restore({"stop_distance": "8"})
    unpriced = evolve(holding("100"), quotes={})
    assert momentum.on_candle(unpriced, candle(1, "100")) == ()
    assert momentum.on_quote(unpriced, quote("92")) == ()
    assert [intent.key for intent in momentum.on_quote(holding("92"), quote("92"))] == [EXIT]
    fresh = Momentum(PARAMS, (BTC,))
    fresh.restore({})
    assert fresh.on_quote(holding("1"), quote("1")) == ()


def test_a_signal_without_a_quote_is_let_go() -> None:
    assert warm("100", "104", "108", known=evolve(view(), quotes={}))[1] == []


def test_flat_it_wants_nothing_of_a_quote() -> None:
    momentum = Momentum(PARAMS, (BTC,))
    momentum.restore({"stop_distance": "8"})
    assert momentum.on_quote(view(), quote("1")) == ()
    assert momentum.on_quote(holding("92"), evolve(quote("92"), instrument=InstrumentId("binance:ETHUSDT"))) == ()


def test_the_fast_window_is_shorter_than_the_slow_one() -> None:
    with pytest.raises(ValueError, match="fast"):
        MomentumParams(fast=30, slow=30)
