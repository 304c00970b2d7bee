"""Whether two records of the same trading agree: the exchange's ledger and the bot's journal.

`judge` is pure and lists every disagreement; `agree` raises them, and prints how much was compared.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from attrs import frozen

from tbot_actors.domain.events import (
    Event,
    Fill,
    GenerationStarted,
    InstrumentDefined,
    OrderAccepted,
    OrderCanceled,
    OrderCommitted,
    OrderExpired,
    OrderRejected,
)
from tbot_actors.domain.instruments import InstrumentId
from tbot_actors.domain.inventory import Inventory
from tests.spine.ledger import BASE, QUOTE, SYMBOL, Ledger, Row

INSTRUMENT = InstrumentId(f"binance:{SYMBOL}")
GIVEN = {BASE: Decimal(0), QUOTE: Decimal(100_000)}
"""What config/*.toml gives the account at first."""
_ZERO = Decimal(0)


@frozen
class Case:
    """All the evidence of one trading history."""

    ledger: Ledger
    events: Sequence[Event]
    """Of the whole journal, all generations."""
    summary: Mapping[str, Any]
    """Of the last run."""
    given: Mapping[str, Decimal] = GIVEN

    def fills(self) -> list[Fill]:
        return [event for event in self.events if isinstance(event, Fill)]

    def committed(self) -> list[OrderCommitted]:
        return [event for event in self.events if isinstance(event, OrderCommitted)]

    def this_run(self) -> Sequence[Event]:
        """What came after the newest process start."""
        starts = [at for at, event in enumerate(self.events) if isinstance(event, GenerationStarted)]
        return self.events[starts[-1] :] if starts else ()


def agree(case: Case) -> None:
    """Raise AssertionError with every disagreement; print what was compared."""
    ledger = case.ledger
    print(
        f"compared {len(ledger.orders)} orders and {len(ledger.trades)} trades of the exchange with "
        f"{len(case.committed())} committed orders and {len(case.fills())} fills of {len(case.events)} events"
    )
    found = judge(case)
    assert not found, f"{len(found)} disagreements:\n  " + "\n  ".join(found[:20])


def judge(case: Case) -> list[str]:
    """Every disagreement, as a sentence."""
    return [*_something(case), *_trades(case), *_orders(case), *_ends(case), *_balances(case), *_summary(case)]


def _something(case: Case) -> Iterator[str]:
    """Two empty records agree, and prove nothing."""
    if not case.ledger.orders:
        yield "nothing to compare: the exchange has no order of ours"
    if not case.ledger.trades:
        yield "nothing to compare: the exchange has no trade of ours"


def _trades(case: Case) -> Iterator[str]:
    theirs = Counter(_trade_of(trade, case.ledger) for trade in case.ledger.trades)
    ours = Counter(_trade_in(fill) for fill in case.fills())
    yield from (f"a trade of the exchange is no fill of the journal: {trade}" for trade in theirs - ours)
    yield from (f"a fill of the journal is no trade of the exchange: {fill}" for fill in ours - theirs)
    ids = Counter((fill.account, fill.instrument, fill.trade_id) for fill in case.fills())
    yield from (f"trade {key} has {count} fills in the journal" for key, count in ids.items() if count > 1)


def _trade_of(trade: Row, ledger: Ledger) -> tuple[object, ...]:
    """Everything both sides know of a trade, as the exchange has it."""
    client_id = {order["orderId"]: order["clientOrderId"] for order in ledger.orders}.get(trade["orderId"])
    price, quantity, fee = (Decimal(trade[name]) for name in ("price", "qty", "commission"))
    side = "BUY" if trade["isBuyer"] else "SELL"
    stamp_ms = int(trade["time"])
    terms = (side, price, quantity, fee, trade["commissionAsset"], trade["isMaker"])
    return (str(trade["id"]), client_id, *terms, stamp_ms)


def _trade_in(fill: Fill) -> tuple[object, ...]:
    """The same, as the journal has it."""
    terms = (fill.side.value, fill.price, fill.quantity, fill.fee, fill.fee_asset, fill.maker)
    return (fill.trade_id, fill.client_id, *terms, fill.stamp_ns // 1_000_000)


def _orders(case: Case) -> Iterator[str]:
    theirs = Counter(str(order["clientOrderId"]) for order in case.ledger.orders)
    ours = Counter(order.client_id for order in case.committed())
    for name, count in theirs.items():
        if count > 1:
            yield f"the exchange has {count} orders with the client id {name}"
        if ours[name] != 1:
            yield f"order {name} of the exchange was committed {ours[name]} times"
    yield from (f"{name} was committed {count} times" for name, count in ours.items() if count > 1)
    placed = [order for order in case.committed() if order.client_id in theirs]
    for intent, count in Counter(order.intent for order in placed).items():
        if count > 1:
            yield f"one decision, {count} orders at the exchange: {intent}"
    if case.ledger.open_orders:
        yield f"still open at the exchange: {[order['clientOrderId'] for order in case.ledger.open_orders]}"
    by_name = {order.client_id: order for order in case.committed()}
    for order in case.ledger.orders:
        if order["clientOrderId"] in by_name:
            yield from _terms(order, by_name[order["clientOrderId"]])
    numbers = {order["clientOrderId"]: str(order["orderId"]) for order in case.ledger.orders}
    for event in case.events:
        if isinstance(event, OrderAccepted) and event.venue_order_id != numbers.get(event.client_id):
            number = numbers.get(event.client_id)
            yield f"order {event.client_id} was accepted as {event.venue_order_id}, at the exchange it is {number}"


def _terms(order: Row, committed: OrderCommitted) -> Iterator[str]:
    """An order at the exchange is the one that was decided."""
    price = committed.price if committed.price is not None else _ZERO
    wanted = (committed.side.value, committed.quantity, price)
    got = (order["side"], Decimal(order["origQty"]), Decimal(order["price"]))
    if wanted != got:
        yield f"order {committed.client_id} was decided as {wanted}, and the exchange has {got}"


def _ends(case: Case) -> Iterator[str]:
    """Each order ended in the journal as it ended at the exchange; one that is not there was refused or never sent."""
    canceled, expired, rejected = (_named(case, kind) for kind in (OrderCanceled, OrderExpired, OrderRejected))
    ends = canceled + expired + rejected
    yield from (f"order {name} ended {count} times in the journal" for name, count in ends.items() if count > 1)
    filled: Counter[str] = Counter()
    for fill in case.fills():
        filled[fill.client_id] += fill.quantity  # type: ignore[assignment]
    theirs = {order["clientOrderId"]: order for order in case.ledger.orders}
    for order in case.committed():
        name = order.client_id
        there = theirs.get(name)
        if there is None:
            if not rejected[name] + expired[name]:
                yield f"order {name} is not at the exchange, and the journal does not say why"
            continue
        if Decimal(there["executedQty"]) != filled[name]:
            yield f"order {name}: {there['executedQty']} executed at the exchange, {filled[name]} in the journal"
        match there["status"]:
            case "FILLED":
                said = filled[name] == order.quantity and not ends[name]
            case "CANCELED":
                said = canceled[name] > 0
            case "EXPIRED" | "EXPIRED_IN_MATCH":
                said = expired[name] > 0
            case _:
                said = False
        if not said:
            yield f"order {name} ended as {there['status']} at the exchange, and not so in the journal"


def _named(case: Case, kind: type[OrderCanceled | OrderExpired | OrderRejected]) -> Counter[str]:
    return Counter(event.client_id for event in case.events if isinstance(event, kind))


def _balances(case: Case) -> Iterator[str]:
    moved = sum((_coins(fill) for fill in case.fills()), _ZERO)
    base = _change(case, BASE)
    if base != moved:
        yield f"the {BASE} balance changed by {base}, and the journal's fills moved {moved}"
    folded = _inventory(case).net(INSTRUMENT)
    if base != folded:
        yield f"the {BASE} balance changed by {base}, and the inventory is {folded}"
    told = {name: Decimal(quantity) for name, quantity in case.summary["positions"].items()}
    if told.get(INSTRUMENT, _ZERO) != base or set(told) - {INSTRUMENT}:
        yield f"the {BASE} balance changed by {base}, and the summary tells {told}"
    cash = sum((_cash(fill) for fill in case.fills()), _ZERO)
    quote = _change(case, QUOTE)
    if quote != cash:
        yield f"the {QUOTE} balance changed by {quote}, and the journal's fills moved {cash}"


def _inventory(case: Case) -> Inventory:
    inventory = Inventory()
    for event in case.events:
        if isinstance(event, InstrumentDefined):
            inventory.define(event.instrument)
        elif isinstance(event, Fill):
            inventory.apply(event)
    return inventory


def _change(case: Case, asset: str) -> Decimal:
    return case.ledger.balances.get(asset, _ZERO) - case.given.get(asset, _ZERO)


def _coins(fill: Fill) -> Decimal:
    return fill.side.sign * fill.quantity - (fill.fee if fill.fee_asset == BASE else _ZERO)


def _cash(fill: Fill) -> Decimal:
    fee = fill.fee if fill.fee_asset == QUOTE else _ZERO
    return -fill.side.sign * fill.price * fill.quantity - fee


def _summary(case: Case) -> Iterator[str]:
    run, told = case.this_run(), case.summary
    counts = {
        "orders": sum(isinstance(event, OrderCommitted) for event in run),
        "fills": sum(isinstance(event, Fill) for event in run),
        "journal_events": len(case.events),
        "open_orders": len(case.ledger.open_orders),
    }
    for name, count in counts.items():
        if told[name] != count:
            yield f"the summary tells {told[name]} {name}, counted are {count}"
    for name in ("reconciled", "journal_verified"):
        if told[name] is not True:
            yield f"the summary does not tell that it is {name}"
