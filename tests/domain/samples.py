"""Events of every kind for tests: some by hand, and any by Hypothesis, drawn from the types of their fields."""

from __future__ import annotations

import types
from decimal import Decimal
from enum import Enum
from typing import Any, NewType, Union, get_args, get_origin, get_type_hints

import attrs
from hypothesis import strategies as st

from tbot_actors.domain.events import (
    KINDS,
    CancelAsked,
    Event,
    Evidence,
    Fill,
    OrderAccepted,
    OrderCommitted,
    PauseChanged,
    Verdict,
)
from tbot_actors.domain.instruments import Instrument, InstrumentId, Side
from tbot_actors.domain.intents import IntentKey, OrderType, TimeInForce
from tbot_actors.domain.market import EventId
from tbot_actors.domain.orders import OrderState

BTC = InstrumentId("binance:BTCUSDT")

BTCUSDT = Instrument(
    venue="binance",
    symbol="BTCUSDT",
    base="BTC",
    quote="USDT",
    tick=Decimal("0.01"),
    step=Decimal("0.00001"),
    quantity_min=Decimal("0.00001"),
    quantity_max=Decimal(9000),
    notional_min=Decimal(5),
    maker_fee=Decimal("0.001"),
    taker_fee=Decimal("0.001"),
)


def pause(number: int, scope: str = "account") -> PauseChanged:
    """An event that is told from others by its number."""
    return PauseChanged(scope, (str(number),), number)


def fill(trade_id: str, client_id: str = "A1", **changes: Any) -> Fill:
    """A fill of 0.1 BTC bought at 100 by momentum, without a fee."""
    bought = Fill(
        account="main",
        instrument=BTC,
        trade_id=trade_id,
        client_id=client_id,
        strategy="momentum",
        side=Side.BUY,
        price=Decimal(100),
        quantity=Decimal("0.1"),
        fee=Decimal(0),
        fee_asset="USDT",
        maker=True,
        evidence=Evidence.STREAM,
        stamp_ns=1,
    )
    return attrs.evolve(bought, **changes)


def committed(client_id: str = "A1", key: str = "entry", **changes: Any) -> OrderCommitted:
    """An order of momentum to buy 1 BTC at 100, about to be sent."""
    order = OrderCommitted(
        client_id=client_id,
        strategy="momentum",
        intent=IntentKey("momentum", EventId(f"q/{client_id}"), key),
        instrument=BTC,
        side=Side.BUY,
        type=OrderType.LIMIT,
        time_in_force=TimeInForce.GTC,
        quantity=Decimal(1),
        price=Decimal(100),
        reduces=False,
        verdict=Verdict({"equity": "1000"}, 1),
        state=OrderState.SUBMITTING,
        stamp_ns=1,
    )
    return attrs.evolve(order, **changes)


def accepted(client_id: str = "A1", venue_order_id: str = "77") -> OrderAccepted:
    """The venue took the order."""
    return OrderAccepted(client_id, venue_order_id, Evidence.RESPONSE, 2)


def cancel_asked(client_id: str = "A1") -> CancelAsked:
    """We want it gone."""
    return CancelAsked(client_id, "stale", 3)


amounts = st.decimals(-(10**12), 10**12, allow_nan=False, allow_infinity=False, places=8)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


def values(hint: Any) -> st.SearchStrategy[Any]:
    """Anything that a field of this type may hold."""
    if isinstance(hint, NewType):
        return values(hint.__supertype__)
    if get_origin(hint) in (Union, types.UnionType):
        return st.one_of([values(choice) for choice in get_args(hint)])
    if get_origin(hint) is tuple:
        return st.lists(values(get_args(hint)[0]), max_size=3).map(tuple)
    if get_origin(hint) is dict:
        key, value = get_args(hint)
        return st.dictionaries(values(key), values(value), max_size=3)
    if attrs.has(hint):
        return st.builds(hint, **{name: values(field) for name, field in get_type_hints(hint).items()})
    if issubclass(hint, Enum):
        return st.sampled_from(hint)
    plain: dict[Any, st.SearchStrategy[Any]] = {
        int: st.integers(-(2**63), 2**63 - 1),
        bool: st.booleans(),
        str: texts,
        Decimal: amounts,
        type(None): st.none(),
    }
    return plain[hint]


any_event: st.SearchStrategy[Event] = st.one_of([values(kind) for kind in KINDS.values()])
