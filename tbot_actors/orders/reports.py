"""From what a venue reports of an order to the facts that are journaled: each fill once, each step once, nothing
guessed.
"""

from decimal import Decimal

from attrs import frozen

from tbot_actors.domain.events import (
    Event,
    Evidence,
    Fill,
    OrderAccepted,
    OrderCanceled,
    OrderExpired,
    OrderRejected,
)
from tbot_actors.domain.messages import OrderReport, ReportedState, VenueTrade
from tbot_actors.domain.money import ZERO
from tbot_actors.domain.orders import Order


@frozen
class Reading:
    """What one report says that the journal does not know yet."""

    events: tuple[Event, ...]
    trades_missing: bool
    """The venue counts more executed than the trades we know: ask for the trades, and believe the end of the order
    only then.
    """


def read_report(
    order: Order, report: OrderReport, booked: Decimal, fresh: tuple[VenueTrade, ...], account: str, now_ns: int
) -> Reading:
    """The new facts of `report` about `order`.

    `booked` is the quantity of the fills already written, `fresh` the report's trades that are not. A cumulative
    quantity never books a fill. An end is written only when every fill before it is.
    """
    events: list[Event] = []
    if order.venue_order_id is None and report.state is not ReportedState.REJECTED:
        events.append(OrderAccepted(order.client_id, report.venue_order_id, report.evidence, now_ns))
    events += [fill_of(order, trade, account, report.evidence) for trade in fresh]
    known = booked + sum((trade.quantity for trade in fresh), ZERO)
    if not (report.executed <= known):
        return Reading(tuple(events), trades_missing=True)
    return Reading((*events, *ending_of(order, report, now_ns)), trades_missing=False)


def ending_of(order: Order, report: OrderReport, now_ns: int) -> tuple[Event, ...]:
    """The end that the report tells, if it tells one. Filled is no end of its own: the fills are."""
    if order.state.terminal:
        return ()
    match report.state:
        case ReportedState.CANCELED:
            return (OrderCanceled(order.client_id, report.evidence, now_ns),)
        case ReportedState.EXPIRED:
            return (OrderExpired(order.client_id, report.why or "expired at the venue", report.evidence, now_ns),)
        case ReportedState.REJECTED:
            return (OrderRejected(order.client_id, report.why or "rejected by the venue", report.evidence, now_ns),)
        case _:
            return ()


def fill_of(order: Order, trade: VenueTrade, account: str, evidence: Evidence) -> Fill:
    """The fill that books `trade` on `order`."""
    return Fill(
        account=account,
        instrument=trade.instrument,
        trade_id=trade.trade_id,
        client_id=order.client_id,
        strategy=order.strategy,
        side=trade.side,
        price=trade.price,
        quantity=trade.quantity,
        fee=trade.fee,
        fee_asset=trade.fee_asset,
        maker=trade.maker,
        evidence=evidence,
        stamp_ns=trade.stamp_ns,
    )
