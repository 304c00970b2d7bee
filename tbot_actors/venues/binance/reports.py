"""Orders, trades and balances out of Binance's answers and user stream.

Which id is the order's own: in the answer to a cancel and in the report of one, `clientOrderId`/`c` is the cancel's id
and `origClientOrderId`/`C` the order's (`rest-api.md`, Cancel order; `user-data-stream.md`, Order Update).
"""

from collections.abc import Mapping
from decimal import Decimal

import msgspec
from msgspec import field

from tbot_actors.domain.events import Evidence
from tbot_actors.domain.instruments import InstrumentId, Side
from tbot_actors.domain.messages import Balance, BalancesChanged, OrderReport, ReportedState, VenueTrade
from tbot_actors.venues.binance.wire import AccountAnswer, OrderRow, TradeRow, decode, money, stamp_ns
from tbot_actors.venues.dialect import StreamEnding, UnreadableAnswer, UserItem

_STATES = {
    "NEW": ReportedState.OPEN,
    "PENDING_NEW": ReportedState.OPEN,
    "PENDING_CANCEL": ReportedState.OPEN,
    "PARTIALLY_FILLED": ReportedState.PARTIAL,
    "FILLED": ReportedState.FILLED,
    "CANCELED": ReportedState.CANCELED,
    "REJECTED": ReportedState.REJECTED,
    "EXPIRED": ReportedState.EXPIRED,
    "EXPIRED_IN_MATCH": ReportedState.EXPIRED,
}
_NO_REASON = "NONE"


def instrument_id(venue: str, symbol: str) -> InstrumentId:
    """`venue:symbol`."""
    return InstrumentId(f"{venue}:{symbol}")


def order_report(venue: str, row: OrderRow, evidence: Evidence) -> OrderReport:
    """An order as an answer shows it, with the fills that the answer carries.

    Fills of an answer are those of the moment the order came in, so they took liquidity.
    """
    instrument = instrument_id(venue, row.symbol)
    client_id = row.orig_client_order_id or row.client_order_id
    stamp = _order_stamp_ns(row)
    side = _side(row.side)
    fills = tuple(
        VenueTrade(
            instrument=instrument,
            trade_id=str(fill.trade_id),
            venue_order_id=str(row.order_id),
            client_id=client_id,
            side=side,
            price=money(fill.price),
            quantity=money(fill.qty),
            fee=money(fill.commission),
            fee_asset=fill.commission_asset,
            maker=False,
            stamp_ns=stamp,
        )
        for fill in row.fills
    )
    return OrderReport(
        client_id=client_id,
        venue_order_id=str(row.order_id),
        instrument=instrument,
        state=_state(row.status),
        side=side,
        quantity=money(row.orig_qty),
        price=_limit_price(row.type, row.price),
        executed=money(row.executed_qty),
        trades=fills,
        why=row.expiry_reason,
        evidence=evidence,
        stamp_ns=stamp,
    )


def venue_trade(venue: str, row: TradeRow, client_id: str | None = None) -> VenueTrade:
    """One row of myTrades; it names the venue's order id, ours only where the caller knows it."""
    return VenueTrade(
        instrument=instrument_id(venue, row.symbol),
        trade_id=str(row.id),
        venue_order_id=str(row.order_id),
        client_id=client_id,
        side=Side.BUY if row.is_buyer else Side.SELL,
        price=money(row.price),
        quantity=money(row.qty),
        fee=money(row.commission),
        fee_asset=row.commission_asset,
        maker=row.is_maker,
        stamp_ns=stamp_ns(row.time),
    )


def balances(answer: AccountAnswer) -> Mapping[str, Balance]:
    """Assets of which the account holds anything."""
    every = {row.asset: Balance(money(row.free), money(row.locked)) for row in answer.balances}
    return {asset: balance for asset, balance in every.items() if balance.free or balance.locked}


# The user stream


class _Event(msgspec.Struct):
    kind: str = field(name="e")
    stamp_ms: int = field(name="E")


class _Wrapped(msgspec.Struct, rename="camel"):
    subscription_id: int
    event: msgspec.Raw


class _Execution(msgspec.Struct):
    symbol: str = field(name="s")
    client_id: str = field(name="c")
    side: str = field(name="S")
    type: str = field(name="o")
    quantity: str = field(name="q")
    price: str = field(name="p")
    execution: str = field(name="x")
    status: str = field(name="X")
    order_id: int = field(name="i")
    last_quantity: str = field(name="l")
    executed: str = field(name="z")
    last_price: str = field(name="L")
    fee: str = field(name="n")
    fee_asset: str | None = field(name="N")
    stamp_ms: int = field(name="T")
    trade_id: int = field(name="t")
    maker: bool = field(name="m")
    cancelled_id: str = field(name="C", default="")
    reject_reason: str = field(name="r", default=_NO_REASON)
    expiry_reason: str = field(name="eR", default="")


class _AssetChange(msgspec.Struct):
    asset: str = field(name="a")
    free: str = field(name="f")
    locked: str = field(name="l")


class _AccountChange(msgspec.Struct):
    stamp_ms: int = field(name="u")
    changes: tuple[_AssetChange, ...] = field(name="B")


def user_item(venue: str, text: str) -> UserItem | None:
    """One message of the user stream; None for an event that says nothing of orders or balances' totals.

    Raises UnreadableAnswer: a user stream that cannot be read is not complete any more.
    """
    raw = bytes(decode(text, _Wrapped).event)
    event = decode(raw, _Event)
    if event.kind == "executionReport":
        return _execution_report(venue, decode(raw, _Execution))
    if event.kind == "outboundAccountPosition":
        change = decode(raw, _AccountChange)
        changed = {row.asset: Balance(money(row.free), money(row.locked)) for row in change.changes}
        return BalancesChanged(venue, changed, stamp_ns(change.stamp_ms))
    if event.kind in ("eventStreamTerminated", "serverShutdown"):
        return StreamEnding(event.kind)
    # balanceUpdate and externalLockUpdate are deltas (an outboundAccountPosition follows), listStatus repeats reports.
    return None


def is_shutdown(text: str) -> bool:
    """Whether a message that is no event of the subscription announces the server's end (`web-socket-api.md`)."""
    try:
        return decode(text, _Event).kind == "serverShutdown"
    except UnreadableAnswer:
        return False


def _execution_report(venue: str, event: _Execution) -> OrderReport:
    instrument = instrument_id(venue, event.symbol)
    client_id = event.cancelled_id or event.client_id
    side = _side(event.side)
    trades: tuple[VenueTrade, ...] = ()
    if event.execution == "TRADE":
        if event.fee_asset is None:
            raise UnreadableAnswer(f"trade {event.trade_id} of {instrument} names no commission asset")
        trade = VenueTrade(
            instrument=instrument,
            trade_id=str(event.trade_id),
            venue_order_id=str(event.order_id),
            client_id=client_id,
            side=side,
            price=money(event.last_price),
            quantity=money(event.last_quantity),
            fee=money(event.fee),
            fee_asset=event.fee_asset,
            maker=event.maker,
            stamp_ns=stamp_ns(event.stamp_ms),
        )
        trades = (trade,)
    return OrderReport(
        client_id=client_id,
        venue_order_id=str(event.order_id),
        instrument=instrument,
        state=_state(event.status),
        side=side,
        quantity=money(event.quantity),
        price=_limit_price(event.type, event.price),
        executed=money(event.executed),
        trades=trades,
        why=event.expiry_reason or ("" if event.reject_reason == _NO_REASON else event.reject_reason),
        evidence=Evidence.STREAM,
        stamp_ns=stamp_ns(event.stamp_ms),
    )


def _state(status: str) -> ReportedState:
    try:
        return _STATES[status]
    except KeyError:
        raise UnreadableAnswer(f"unknown order status {status!r}") from None


def _side(text: str) -> Side:
    try:
        return Side(text)
    except ValueError:
        raise UnreadableAnswer(f"unknown side {text!r}") from None


def _limit_price(order_type: str, text: str) -> Decimal | None:
    return None if order_type == "MARKET" else money(text)


def _order_stamp_ns(row: OrderRow) -> int:
    for stamp_ms in (row.transact_time, row.update_time, row.time):
        if stamp_ms is not None:
            return stamp_ns(stamp_ms)
    raise UnreadableAnswer(f"order {row.order_id} of {row.symbol} carries no time")
