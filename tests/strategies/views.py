"""Views for strategies under test, put together by the same functions that keep them live."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from attrs import evolve

from tbot_actors.domain.blotter import Blotter
from tbot_actors.domain.events import InstrumentDefined, PauseChanged
from tbot_actors.domain.instruments import Side
from tbot_actors.domain.inventory import Position
from tbot_actors.domain.market import Candle, Quote
from tbot_actors.domain.view import View, with_event, with_quote
from tests.domain import samples
from tests.domain.samples import BTC, BTCUSDT

MINUTE_NS = 60_000_000_000


def quote(bid: str, ask: str | None = None, number: int = 1) -> Quote:
    one = Decimal(1)
    return Quote(BTC, Decimal(bid), one, Decimal(ask or bid), one, number, number, number)


def candle(number: int, close: str, high: str | None = None, low: str | None = None, **changes: Any) -> Candle:
    price, one = Decimal(close), Decimal(1)
    top, bottom = Decimal(high or close), Decimal(low or close)
    return evolve(Candle(BTC, MINUTE_NS, number * MINUTE_NS, price, top, bottom, price, one, 1, 0), **changes)


def view(bid: str = "100", ask: str | None = None, *, held: str = "0", cost: str = "0", spot: bool = True) -> View:
    """Trading is on, and there is a quote."""
    known = View(strategy="momentum", capital=Decimal(1_000), venues=frozenset({"binance"}))
    for event in (InstrumentDefined(evolve(BTCUSDT, spot=spot), 1), PauseChanged("account", (), 2)):
        known = with_event(known, event, None)
    known = with_quote(known, quote(bid, ask))
    return evolve(known, positions={BTC: Position(Decimal(held), Decimal(cost))}) if Decimal(held) else known


def with_order(known: View, key: str, quantity: str, price: str, side: Side = Side.BUY, *events: Any) -> View:
    """The view with one working order; `events` follow on its row."""
    blotter = Blotter()
    for event in (samples.committed("A1", key, quantity=Decimal(quantity), price=Decimal(price), side=side), *events):
        known = with_event(known, event, blotter.apply(event))
    return known
