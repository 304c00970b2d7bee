"""One account's orders and trades on one symbol: what is open, and a bounded memory of what was."""

from collections import deque

from attrs import define

from tbot_actors.exchange.market import Order
from tbot_actors.exchange.records import OrderRecord, TradeRecord

CLOSED_MAX = 10_000
"""Closed orders remembered per account and symbol; the oldest are forgotten in batches."""

TRADES_MAX = 10_000
"""Trades remembered per account and symbol."""

_LIMIT_MAX = 1000  # Binance answers at most 1000 orders or trades


@define(slots=True, eq=False, kw_only=True)
class Live:
    """An order the market still holds. `locked` is what the ledger holds for it, in units of `lock_asset`."""

    account: str
    order: Order
    record: OrderRecord
    steps: int
    lock_asset: str
    locked: int
    filled: int = 0
    quote: int = 0


class Archive:
    """Orders and trades of one account on one symbol, found by either id."""

    def __init__(self) -> None:
        self.open: dict[int, Live] = {}
        self._open_ids: dict[str, int] = {}
        self._records: dict[int, OrderRecord] = {}
        self._last_ids: dict[str, int] = {}
        self._trades: deque[TradeRecord] = deque(maxlen=TRADES_MAX)

    def is_open(self, client_order_id: str) -> bool:
        """Whether an open order carries this client id: only then is it taken."""
        return client_order_id in self._open_ids

    def add(self, live: Live) -> None:
        """Start an order."""
        record = live.record
        self.open[record.order_id] = live
        self._open_ids[record.client_order_id] = record.order_id
        self._last_ids[record.client_order_id] = record.order_id
        self._records[record.order_id] = record

    def update(self, live: Live, record: OrderRecord) -> None:
        """Show the order as `record` from now on, and take it out of the open ones when it is closed."""
        live.record = record
        self._records[record.order_id] = record
        if not record.status.open:
            del self.open[record.order_id]
            del self._open_ids[record.client_order_id]
            if len(self._records) - len(self.open) > CLOSED_MAX:
                self._forget()

    def recall(self, record: OrderRecord) -> None:
        """Take in a closed order of before. Orders, these and those for `add`, must come in the order of their ids."""
        self._last_ids[record.client_order_id] = record.order_id
        self._records[record.order_id] = record

    def newest(self, closed_max: int, trades_max: int) -> tuple[tuple[OrderRecord, ...], tuple[TradeRecord, ...]]:
        """Every open order and the newest closed ones, and the newest trades; both by id."""
        surplus = len(self._records) - len(self.open) - closed_max
        records = []
        for order_id, record in self._records.items():
            if surplus > 0 and order_id not in self.open:
                surplus -= 1
            else:
                records.append(record)
        return tuple(records), tuple(self._trades)[-trades_max:]

    def add_trade(self, trade: TradeRecord) -> None:
        """Remember a trade."""
        self._trades.append(trade)

    def find(self, order_id: int | None, client_order_id: str | None) -> OrderRecord | None:
        """The order with this id, which must then also carry the client id if both are given.

        By client id alone: the open one, else the latest.
        """
        if order_id is None:
            if client_order_id is None:
                return None
            order_id = self._open_ids.get(client_order_id, self._last_ids.get(client_order_id, -1))
        record = self._records.get(order_id)
        if record is not None and client_order_id not in (None, record.client_order_id):
            return None
        return record

    def records(self, from_id: int | None, limit: int) -> list[OrderRecord]:
        """Orders by id: from `from_id` on, else the latest `limit`."""
        records = list(self._records.values())
        if from_id is None:
            return records[-_clip(limit) :]
        return [record for record in records if record.order_id >= from_id][: _clip(limit)]

    def trades(self, from_id: int | None, order_id: int | None, limit: int) -> list[TradeRecord]:
        """Trades by id: from `from_id` on, else the latest `limit`; of one order when `order_id` is given."""
        trades = [
            trade
            for trade in self._trades
            if (order_id is None or trade.order_id == order_id) and (from_id is None or trade.trade_id >= from_id)
        ]
        return trades[-_clip(limit) :] if from_id is None else trades[: _clip(limit)]

    def _forget(self) -> None:
        closed = [order_id for order_id in self._records if order_id not in self.open]
        for order_id in closed[: CLOSED_MAX // 4]:
            record = self._records.pop(order_id)
            if self._last_ids.get(record.client_order_id) == order_id:
                del self._last_ids[record.client_order_id]


def _clip(limit: int) -> int:
    return max(1, min(limit, _LIMIT_MAX))
