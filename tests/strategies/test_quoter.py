"""The quoter: one bid and one ask where they belong, and no more inventory than allowed."""

from __future__ import annotations

from decimal import Decimal

from attrs import evolve

from tbot_actors.domain.events import PauseChanged
from tbot_actors.domain.instruments import InstrumentId, Side
from tbot_actors.domain.intents import Cancel, Intent, OrderType, Place, Replace
from tbot_actors.domain.market import EventId
from tbot_actors.domain.view import View, with_event, with_intent
from tbot_actors.strategies.library.quoter import ASK, BID, Quoter, QuoterParams
from tests.domain import samples
from tests.domain.samples import BTC
from tests.strategies.views import quote, view, with_order

PARAMS = QuoterParams(
    notional=Decimal(50), half_spread_bp=Decimal(10), requote_bp=Decimal(5), inventory_max=Decimal(120)
)


def wanted(known: View, bid: str = "99.99", ask: str = "100.01") -> list[Intent]:
    return list(Quoter(PARAMS, (BTC,)).on_quote(known, quote(bid, ask)))


def resting(key: str = BID, price: str = "99.90", executed: str | None = None, side: Side = Side.BUY) -> View:
    """One quote at the venue, of half a bitcoin."""
    fills = [] if executed is None else [samples.fill("1", "A1", quantity=Decimal(executed), side=side)]
    return with_order(view(), key, "0.5", price, side, samples.accepted("A1"), *fills)


def test_it_bids_a_half_spread_below_the_mid_and_asks_only_for_what_it_has() -> None:
    assert wanted(view()) == [Place(BID, BTC, Side.BUY, Decimal("0.50050"), Decimal("99.90"), OrderType.POST_ONLY)]
    both = wanted(view(held="0.4", cost="40"))
    assert both[1] == Place(ASK, BTC, Side.SELL, Decimal("0.4"), Decimal("100.10"), OrderType.POST_ONLY)
    assert wanted(view(held="0.6", cost="60"))[1] == Place(
        ASK, BTC, Side.SELL, Decimal("0.49950"), Decimal("100.10"), OrderType.POST_ONLY
    )


def test_in_a_wide_market_it_joins_the_best_price_and_never_crosses() -> None:
    (bid,) = wanted(view(), "99", "101")
    assert isinstance(bid, Place)
    assert bid.price == Decimal(99)


def test_a_quote_near_its_place_is_left_alone() -> None:
    assert wanted(resting(price="99.86")) == []
    assert wanted(resting(price="99.94")) == []


def test_a_quote_far_from_its_place_is_moved() -> None:
    assert wanted(resting(price="99.84")) == [Replace(BID, Decimal("0.50050"), Decimal("99.90"))]


def test_what_is_filled_already_is_part_of_the_whole() -> None:
    known = resting(price="99.84", executed="0.1")
    (bid, ask) = wanted(known)
    assert bid == Replace(BID, Decimal("0.60050"), Decimal("99.90"))
    assert isinstance(ask, Place)


def test_a_quote_that_is_not_accepted_or_is_being_cancelled_is_not_moved() -> None:
    assert wanted(with_order(view(), BID, "0.5", "99.84")) == []
    known = with_order(view(), BID, "0.5", "99.84", Side.BUY, samples.accepted("A1"), samples.cancel_asked("A1"))
    assert wanted(known) == []


def test_a_quote_on_its_way_is_waited_for() -> None:
    pending = with_intent(view(), EventId("q/1"), Place(BID, BTC, Side.BUY, Decimal("0.5"), Decimal(90)))
    assert wanted(pending) == []


def test_full_of_inventory_it_cancels_its_bid_once_and_goes_on_asking() -> None:
    full = evolve(resting(), positions=view(held="0.71", cost="71").positions)
    assert wanted(full)[0] == Cancel(BID)
    assert [intent.key for intent in wanted(full)[1:]] == [ASK]
    asked = with_order(view(), BID, "0.5", "99.90", Side.BUY, samples.accepted("A1"), samples.cancel_asked("A1"))
    assert BID not in [intent.key for intent in wanted(evolve(asked, positions=full.positions))]
    assert [intent.key for intent in wanted(view(held="0.7", cost="70"))] == [BID, ASK]


def test_it_quotes_only_its_instrument_and_only_while_it_may() -> None:
    known = view()
    other = evolve(quote("99.99", "100.01"), instrument=InstrumentId("binance:ETHUSDT"))
    assert Quoter(PARAMS, (BTC,)).on_quote(known, other) == ()
    assert wanted(evolve(known, instruments={})) == []
    assert wanted(with_event(known, PauseChanged("account", ("MISMATCH",), 9), None)) == []


def test_when_trading_ends_its_quotes_are_taken_back_wherever_they_are() -> None:
    quoter = Quoter(PARAMS, (BTC,))
    assert quoter.on_trading_disabled(view()) == ()
    pending = with_intent(resting(BID), EventId("q/1"), Place(ASK, BTC, Side.SELL, Decimal("0.1"), Decimal(101)))
    assert quoter.on_trading_disabled(pending) == (Cancel(BID), Cancel(ASK))
