"""The judge lets two records that agree pass, and names each way in which they can disagree."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from decimal import Decimal
from typing import Any

import pytest
from attrs import evolve

from tbot_actors.domain.events import (
    Event,
    Evidence,
    Fill,
    GenerationStarted,
    InstrumentDefined,
    OrderAccepted,
    OrderCanceled,
    OrderExpired,
    OrderRejected,
)
from tbot_actors.domain.instruments import Side
from tests.domain.samples import BTCUSDT, committed, fill
from tests.spine.judge import Case, agree, judge
from tests.spine.ledger import Ledger, Row

BOUGHT, REFUSED, CANCELED, SOLD = "TB0TA000010000001", "TB0TA000010000002", "TB0TA000010000003", "TB0TS000010010001"


def order(number: int, client_id: str, side: str, status: str, executed: str) -> Row:
    """An order of 1 BTC at 100 as the exchange shows it."""
    amounts = {"origQty": "1.00000000", "executedQty": executed, "price": "100.00000000"}
    return {"orderId": number, "clientOrderId": client_id, "side": side, "status": status, **amounts}


def trade(number: int, order_id: int, *, buyer: bool, fee: str, asset: str) -> Row:
    """A trade of 1 BTC at 100 as the exchange shows it."""
    amounts = {"price": "100.00000000", "qty": "1.00000000", "commission": fee, "commissionAsset": asset}
    return {"id": number, "orderId": order_id, "isBuyer": buyer, "isMaker": True, "time": 5, **amounts}


def a_case() -> Case:
    """Bought 1 BTC for a fee in BTC, an order refused, one canceled, and 1 BTC sold in the second generation."""
    ledger = Ledger(
        balances={"BTC": Decimal("9.99900000"), "USDT": Decimal("999.90000000")},
        open_orders=[],
        orders=[
            order(1, BOUGHT, "BUY", "FILLED", "1.00000000"),
            order(2, CANCELED, "BUY", "CANCELED", "0.00000000"),
            order(4, SOLD, "SELL", "FILLED", "1.00000000"),
        ],
        trades=[
            trade(7, 1, buyer=True, fee="0.00100000", asset="BTC"),
            trade(9, 4, buyer=False, fee="0.10000000", asset="USDT"),
        ],
    )
    one = {"quantity": Decimal(1), "stamp_ns": 5_000_001}
    sold: dict[str, Any] = {"side": Side.SELL, "fee": Decimal("0.1"), **one}
    events: list[Event] = [
        GenerationStarted(1, "TB0T", "paper", "main", 1),
        InstrumentDefined(BTCUSDT, 1),
        committed(BOUGHT),
        committed(REFUSED),
        OrderRejected(REFUSED, "would match at once", Evidence.RESPONSE, 2),
        fill("7", BOUGHT, fee=Decimal("0.001"), fee_asset="BTC", **one),
        committed(CANCELED),
        GenerationStarted(2, "TB0T", "paper", "main", 3),
        OrderCanceled(CANCELED, Evidence.QUERY, 4),
        committed(SOLD, side=Side.SELL),
        fill("9", SOLD, **sold),
    ]
    summary = {
        "orders": 1,
        "fills": 1,
        "open_orders": 0,
        "positions": {"binance:BTCUSDT": "-0.001"},
        "reconciled": True,
        "journal_verified": True,
        "journal_events": len(events),
    }
    return Case(ledger, events, summary, given={"BTC": Decimal(10), "USDT": Decimal(1000)})


def test_two_records_that_agree_pass(capsys: pytest.CaptureFixture[str]) -> None:
    case = a_case()
    assert judge(case) == []
    agree(case)
    assert "3 orders and 2 trades of the exchange with 4 committed orders and 2 fills" in capsys.readouterr().out


def test_two_empty_records_prove_nothing() -> None:
    case = evolve(a_case(), ledger=Ledger(dict(a_case().given), [], [], []), events=a_case().events[:2])
    with pytest.raises(AssertionError, match="nothing to compare"):
        agree(case)


def without(case: Case, kind: type[Fill | OrderCanceled | OrderRejected], of: str) -> Case:
    """The case without the rows of this kind about this order."""
    kept = [event for event in case.events if not (isinstance(event, kind) and event.client_id == of)]
    return evolve(case, events=kept)


def changed(case: Case, of: str, **changes: Any) -> Case:
    """The case with other figures in the fill of this order."""

    def other(event: Event) -> Event:
        return evolve(event, **changes) if isinstance(event, Fill) and event.client_id == of else event

    return evolve(case, events=[other(event) for event in case.events])


def there(case: Case, change: Callable[[Ledger], object]) -> Case:
    """The case with another ledger."""
    ledger = deepcopy(case.ledger)
    change(ledger)
    return evolve(case, ledger=ledger)


def told(case: Case, **changes: object) -> Case:
    """The case with another summary."""
    return evolve(case, summary={**case.summary, **changes})


PLANTED: dict[str, tuple[Callable[[Case], Case], str]] = {
    "a lost fill": (lambda case: without(case, Fill, BOUGHT), "is no fill of the journal"),
    "an invented fill": (lambda case: evolve(case, events=[*case.events, fill("8", BOUGHT)]), "is no trade of the"),
    "a doubled fill": (lambda case: evolve(case, events=[*case.events, case.fills()[0]]), "has 2 fills in the journal"),
    "another price": (lambda case: changed(case, BOUGHT, price=Decimal(101)), "is no trade of the exchange"),
    "another quantity": (lambda case: changed(case, BOUGHT, quantity=Decimal(2)), "1.00000000 executed at the"),
    "another fee": (lambda case: changed(case, BOUGHT, fee=Decimal(0)), "the BTC balance changed by -0.001"),
    "another fee asset": (lambda case: changed(case, SOLD, fee_asset="BTC"), "the USDT balance changed by -0.1"),
    "another side": (lambda case: changed(case, SOLD, side=Side.BUY), "is no trade of the exchange"),
    "a fill of another order": (lambda case: changed(case, SOLD, client_id=BOUGHT), "is no trade of the exchange"),
    "an order nobody decided": (
        lambda case: there(case, lambda ledger: ledger.orders.append(order(5, "TB0TA9", "BUY", "CANCELED", "0"))),
        "order TB0TA9 of the exchange was committed 0 times",
    ),
    "a client id used twice": (
        lambda case: there(case, lambda ledger: ledger.orders.append(order(5, CANCELED, "BUY", "CANCELED", "0"))),
        f"the exchange has 2 orders with the client id {CANCELED}",
    ),
    "one decision sent twice": (
        lambda case: evolve(
            case,
            events=[
                evolve(event, intent=case.committed()[0].intent) if event is case.committed()[2] else event
                for event in case.events
            ],
        ),
        "one decision, 2 orders at the exchange",
    ),
    "an order left open": (
        lambda case: there(case, lambda ledger: ledger.open_orders.append(order(2, CANCELED, "BUY", "NEW", "0"))),
        "still open at the exchange",
    ),
    "other terms": (
        lambda case: there(case, lambda ledger: ledger.orders[0].update(price="99.00000000")),
        f"order {BOUGHT} was decided as",
    ),
    "an order that vanished": (
        lambda case: without(case, OrderRejected, REFUSED),
        f"order {REFUSED} is not at the exchange, and the journal does not say why",
    ),
    "an end not written": (lambda case: without(case, OrderCanceled, CANCELED), "ended as CANCELED at the exchange"),
    "an end the exchange denies": (
        lambda case: evolve(case, events=[*case.events, OrderExpired(SOLD, "absent", Evidence.QUERY, 9)]),
        f"order {SOLD} ended as FILLED at the exchange, and not so in the journal",
    ),
    "an end written twice": (
        lambda case: evolve(case, events=[*case.events, OrderCanceled(CANCELED, Evidence.STREAM, 9)]),
        f"order {CANCELED} ended 2 times in the journal",
    ),
    "another order's number": (
        lambda case: evolve(case, events=[*case.events, OrderAccepted(SOLD, "2", Evidence.QUERY, 9)]),
        f"order {SOLD} was accepted as 2, at the exchange it is 4",
    ),
    "coins from nowhere": (
        lambda case: there(case, lambda ledger: ledger.balances.update(BTC=Decimal(10))),
        "the BTC balance changed by 0",
    ),
    "a position told wrong": (lambda case: told(case, positions={}), "the summary tells {}"),
    "a position elsewhere": (lambda case: told(case, positions={**case.summary["positions"], "x:y": "1"}), "x:y"),
    "orders told wrong": (lambda case: told(case, orders=3), "the summary tells 3 orders, counted are 1"),
    "fills told wrong": (lambda case: told(case, fills=2), "the summary tells 2 fills, counted are 1"),
    "open orders told wrong": (lambda case: told(case, open_orders=None), "the summary tells None open_orders"),
    "not reconciled": (lambda case: told(case, reconciled=False), "does not tell that it is reconciled"),
    "not verified": (lambda case: told(case, journal_verified=False), "does not tell that it is journal_verified"),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_disagreement_is_named(name: str) -> None:
    plant, sentence = PLANTED[name]
    found = judge(plant(a_case()))
    assert any(sentence in each for each in found), found
