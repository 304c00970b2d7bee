"""The matching engine: one symbol's book by price-time priority, in integer ticks and steps.

A side is a sorted list of keys with the best last (bids by price, asks by minus price) over a dict of levels;
a level is a FIFO of orders. Placing, cancelling and taking the best cost O(log levels) plus a short move.
Self-trade prevention is EXPIRE_MAKER (binance-spot-api-docs, faqs/stp_faq.md): a resting order its own account
would have hit leaves the book and is marked `expired`; the taker goes on. Captured exchangeInfo answers name it as
the default; the examples in the manual say NONE.
"""

from bisect import bisect_left, insort
from collections import OrderedDict

from attrs import define, field

from tbot_actors.exchange.market import Market, Match, Order, Side, WouldCross


@define(slots=True, eq=False)
class _Level:
    """Orders at one price, oldest first, and the sum of what they have left."""

    orders: OrderedDict[int, Order] = field(factory=OrderedDict)
    total: int = 0


class _Half:
    """One side of the book. `key(price)` grows towards the better price."""

    __slots__ = ("changed", "keys", "levels", "sign")

    def __init__(self, sign: int) -> None:
        self.sign = sign
        self.keys: list[int] = []
        self.levels: dict[int, _Level] = {}
        self.changed: dict[int, None] = {}

    def add(self, order: Order, price: int) -> None:
        key = self.sign * price
        level = self.levels.get(key)
        if level is None:
            level = self.levels[key] = _Level()
            insort(self.keys, key)
        level.orders[order.order_id] = order
        level.total += order.remaining
        self.changed[price] = None

    def remove(self, order: Order, price: int) -> None:
        key = self.sign * price
        level = self.levels[key]
        del level.orders[order.order_id]
        level.total -= order.remaining
        if not level.orders:
            self.drop(key)
        self.changed[price] = None

    def drop(self, key: int) -> None:
        del self.levels[key]
        if self.keys[-1] == key:
            self.keys.pop()
        else:
            del self.keys[bisect_left(self.keys, key)]


class OrderBookMarket(Market):
    """A real order book: what rests is only what was submitted here."""

    def __init__(self) -> None:
        self._bids = _Half(1)
        self._asks = _Half(-1)
        self._resting: dict[int, Order] = {}

    def submit(self, order: Order) -> list[Match]:
        """Match, then rest what is left of a GTC limit order.

        Raises WouldCross for a post-only order that would trade, and ValueError for an order no market may
        see: nothing left, no positive price, or an id that already rests.
        """
        _check(order, self._resting)
        own, other = self._halves(order.side)
        reach = None if order.price is None else other.sign * order.price
        crosses = bool(other.keys) and (reach is None or other.keys[-1] >= reach)
        if order.post_only and crosses:
            raise WouldCross(f"order {order.order_id} would match at once")
        matches: list[Match] = []
        if crosses and (order.time_in_force != "FOK" or self._fillable(order, other, reach)):
            matches = self._match(order, other, reach)
        if order.remaining and order.time_in_force == "GTC" and order.price is not None:
            own.add(order, order.price)
            self._resting[order.order_id] = order
        return matches

    def cancel(self, order_id: int) -> Order | None:
        """Take a resting order out of the book; None when it is not resting."""
        order = self._resting.pop(order_id, None)
        if order is None or order.price is None:
            return None
        self._halves(order.side)[0].remove(order, order.price)
        return order

    def levels(self, side: Side, limit: int) -> list[tuple[int, int]]:
        """At most `limit` levels as (price in ticks, total steps), best first."""
        if limit <= 0:
            return []
        half = self._halves(side)[0]
        return [(half.sign * key, half.levels[key].total) for key in reversed(half.keys[-limit:])]

    def best(self, side: Side) -> tuple[int, int] | None:
        """The best level of a side, None when it is empty."""
        half = self._halves(side)[0]
        if not half.keys:
            return None
        key = half.keys[-1]
        return half.sign * key, half.levels[key].total

    def take_changes(self) -> list[tuple[Side, int, int]]:
        """Levels changed since the last call with absolute totals, 0 = gone; bids first, oldest change first."""
        changes: list[tuple[Side, int, int]] = []
        for side, half in ((Side.BUY, self._bids), (Side.SELL, self._asks)):
            for price in half.changed:
                level = half.levels.get(half.sign * price)
                changes.append((side, price, 0 if level is None else level.total))
            half.changed = {}
        return changes

    def resting(self, order_id: int) -> Order | None:
        """The resting order with this id."""
        return self._resting.get(order_id)

    def queue(self, side: Side, price: int) -> list[Order]:
        """The orders resting at a price, first in line first."""
        half = self._halves(side)[0]
        level = half.levels.get(half.sign * price)
        return [] if level is None else list(level.orders.values())

    def _halves(self, side: Side) -> tuple[_Half, _Half]:
        return (self._bids, self._asks) if side is Side.BUY else (self._asks, self._bids)

    def _match(self, order: Order, other: _Half, reach: int | None) -> list[Match]:
        matches: list[Match] = []
        while order.remaining and other.keys:
            key = other.keys[-1]
            if reach is not None and key < reach:
                break
            level = other.levels[key]
            self._match_level(order, level, other.sign * key, matches)
            other.changed[other.sign * key] = None
            if not level.orders:
                other.drop(key)
        return matches

    def _match_level(self, order: Order, level: _Level, price: int, matches: list[Match]) -> None:
        queue = level.orders
        while queue and order.remaining:
            maker = next(iter(queue.values()))
            if maker.owner and maker.owner == order.owner:
                maker.expired = True
                quantity = maker.remaining
            else:
                quantity = min(maker.remaining, order.remaining)
                maker.remaining -= quantity
                order.remaining -= quantity
                matches.append(
                    Match(maker.order_id, order.order_id, maker.owner, order.owner, price, quantity, order.side)
                )
            level.total -= quantity
            if maker.expired or not maker.remaining:
                del queue[maker.order_id]
                del self._resting[maker.order_id]

    def _fillable(self, order: Order, other: _Half, reach: int | None) -> bool:
        """Whether the book holds the whole order within its price, the account's own orders not counted."""
        needed = order.remaining
        for key in reversed(other.keys):
            if reach is not None and key < reach:
                return False
            level = other.levels[key]
            needed -= level.total
            if order.owner:
                needed += sum(each.remaining for each in level.orders.values() if each.owner == order.owner)
            if needed <= 0:
                return True
        return False


def _check(order: Order, resting: dict[int, Order]) -> None:
    if order.remaining <= 0:
        raise ValueError(f"order {order.order_id} has nothing to trade")
    if order.price is not None and order.price <= 0:
        raise ValueError(f"order {order.order_id} has the price {order.price}")
    if order.order_id in resting:
        raise ValueError(f"order {order.order_id} is already resting")
