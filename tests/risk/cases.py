"""A case that passes the gate, to be spoilt one figure at a time."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from attrs import evolve

from tbot_actors.domain.events import Fill, GenerationStarted, InstrumentDefined, OrderCommitted, PauseChanged
from tbot_actors.domain.instruments import Side
from tbot_actors.domain.intents import IntentKey, Place
from tbot_actors.domain.market import EventId, Quote
from tbot_actors.domain.messages import PortfolioState
from tbot_actors.risk.books import Books, Reservation
from tbot_actors.risk.gate import Case
from tbot_actors.risk.settings import RiskSettings
from tests.domain import samples
from tests.domain.samples import BTC, BTCUSDT

NS = 1_000_000_000
NOW_NS = 1_000 * NS


def number(value: str | int | Decimal) -> Decimal:
    return Decimal(value)


def key(event: str = "q/1", name: str = "entry", strategy: str = "momentum") -> IntentKey:
    return IntentKey(strategy, EventId(event), name)


def place(quantity: str = "1", price: str | None = "100", side: Side = Side.BUY, **changes: Any) -> Place:
    wanted = Place("entry", BTC, side, Decimal(quantity), None if price is None else Decimal(price))
    return evolve(wanted, **changes)


def quote(bid: str = "99.99", ask: str = "100.01", *, age_s: float = 0) -> Quote:
    one = Decimal(1)
    return Quote(BTC, Decimal(bid), one, Decimal(ask), one, 1, 1, NOW_NS - int(age_s * NS))


def portfolio(day_profit: str = "0") -> PortfolioState:
    zero = Decimal(0)
    return PortfolioState({}, {}, Decimal(10_000), zero, Decimal(day_profit), Decimal(10_000), 1, 1)


def committed(client_id: str = "A1", name: str = "other", quantity: str = "1", **changes: Any) -> OrderCommitted:
    event = EventId(f"q/{client_id}")
    strategy = changes.pop("strategy", "momentum")
    order = samples.committed(client_id, name, quantity=Decimal(quantity), strategy=strategy, **changes)
    return evolve(order, intent=IntentKey(strategy, event, name))


def fill(quantity: str, side: Side = Side.BUY, *, client_id: str = "A1", trade_id: str = "1", **changes: Any) -> Fill:
    return samples.fill(trade_id, client_id, quantity=Decimal(quantity), side=side, **changes)


def books(*events: Any) -> Books:
    """Reconciled, with a fresh quote and a day without loss; then these events."""
    known = Books(quotes={BTC: quote()}, portfolio=portfolio())
    for event in (
        GenerationStarted(1, "TB0T", "paper", "main", 1),
        InstrumentDefined(BTCUSDT, 2),
        PauseChanged("account", (), 3),
        *events,
    ):
        known.apply(event)
    return known


def owning(quantity: str, *events: Any, strategy: str = "momentum") -> Books:
    """As above, and the strategy has bought so much."""
    bought = committed("OLD", "bought", quantity, strategy=strategy)
    return books(bought, fill(quantity, client_id="OLD", trade_id="old", strategy=strategy), *events)


def reserve(known: Books, intent: IntentKey, wanted: Place, replaces: str | None = None) -> Books:
    known.reserved[intent] = Reservation(wanted, wanted.quantity, replaces)
    return known


def case(**changes: Any) -> Case:
    """One bitcoin at 100, of 10 000 allocated: 100 of at most 500 per order and 1 000 per position."""
    capital = Decimal(10_000)
    passes: dict[str, Any] = {
        "intent": key(),
        "place": place(),
        "limits": RiskSettings(),
        "capital": capital,
        "capital_all": capital,
        "now_ns": NOW_NS,
        **changes,
    }
    return Case(**{"books": books(), **passes})
