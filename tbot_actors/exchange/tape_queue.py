"""Our own orders resting on a replayed book, and how much of the tape stands before each."""

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Iterable, Iterator

from attrs import define, field

from tbot_actors.exchange.market import Order, Side
from tbot_actors.exchange.tape_book import rank

LATE_TRADE_NS = 250_000_000
"""How much later than the book ticker that shows its effect a trade may arrive.

In the spot capture of 2024-08-08 a tenth of all trades came more than 91 ms after their venue time, the last 216 ms;
nine tenths of the traded quantity had left the book tickers' totals before.
"""
_DROPS_KEPT_MAX = 1024


@define
class _Drop:
    """Quantity that left a level of the tape and no trade has accounted for yet."""

    local_ns: int
    number: int
    steps: int


class Drops:
    """The unaccounted drops of the last LATE_TRADE_NS at one level, oldest first."""

    __slots__ = ("_drops",)

    def __init__(self) -> None:
        self._drops: deque[_Drop] = deque()

    def add(self, local_ns: int, number: int, steps: int) -> None:
        """Note a drop; `number` grows from drop to drop."""
        self.forget(local_ns)
        if len(self._drops) == _DROPS_KEPT_MAX:
            self._drops.popleft()
        self._drops.append(_Drop(local_ns, number, steps))

    def forget(self, local_ns: int) -> None:
        """Drop what is too old for a trade still to come."""
        while self._drops and local_ns - self._drops[0].local_ns > LATE_TRADE_NS:
            self._drops.popleft()

    def sum(self, before: int) -> int:
        """Steps of the drops numbered below `before`."""
        return sum(drop.steps for drop in self._drops if drop.number < before)

    def account(self, steps: int) -> int:
        """A trade of `steps` accounts for drops, oldest first; returns how much it accounted for."""
        left = steps
        while left and self._drops:
            part = min(left, self._drops[0].steps)
            self._drops[0].steps -= part
            left -= part
            if self._drops[0].steps == 0:
                self._drops.popleft()
        return steps - left

    def __bool__(self) -> bool:
        return bool(self._drops)


@define(eq=False)
class Resting:
    """One order of ours in the queue of its level."""

    order: Order
    price: int
    ahead: int
    """Steps of the tape that must go first."""
    since: int
    """Number of the first drop that happened while the order rested."""
    clamped: Drops = field(factory=Drops)
    """What left `ahead` because the level fell below it: a trade that still arrives may be the same quantity."""


class OwnSide:
    """Our orders on one side: by price, first come first."""

    __slots__ = ("queues", "ranks", "side")

    def __init__(self, side: Side) -> None:
        self.side = side
        self.queues: dict[int, list[Resting]] = {}
        self.ranks: list[int] = []

    def add(self, resting: Resting) -> None:
        """Last in the queue of its price."""
        queue = self.queues.get(resting.price)
        if queue is None:
            queue = self.queues[resting.price] = []
            insort(self.ranks, rank(self.side, resting.price))
        queue.append(resting)

    def remove(self, resting: Resting) -> None:
        """Out of its queue."""
        queue = self.queues[resting.price]
        queue.remove(resting)
        if not queue:
            del self.queues[resting.price]
            del self.ranks[bisect_left(self.ranks, rank(self.side, resting.price))]

    def total(self, price: int) -> int:
        """Steps of all our orders at a price."""
        queue = self.queues.get(price)
        return sum(resting.order.remaining for resting in queue) if queue else 0

    def best(self) -> int | None:
        """The best price at which an order of ours rests."""
        return rank(self.side, self.ranks[-1]) if self.ranks else None

    def prices(self) -> Iterator[int]:
        """Best first, as they were at the call: the caller may take orders out on the way."""
        return iter([rank(self.side, at) for at in reversed(self.ranks)])


def shares_of_trade(queue: Iterable[Resting], late: Iterable[int], steps: int, given: int) -> list[int]:
    """How much of a trade of `steps` at their price each order of one queue gets; lowers their `ahead`.

    `given` of the trade went to better prices of ours. `late[i]` is the part of the trade that order i must not count:
    it traded before the order rested, or its effect on the level has already shortened the order's queue. What counts
    consumes first the tape ahead of the order, then our orders, first come first.
    """
    shares: list[int] = []
    ahead_before = 0
    first_are_filled = True
    for resting, part in zip(queue, late, strict=True):
        arriving = max(0, steps - part - given)
        consumed = min(resting.ahead, arriving)
        # An order never has less before it than the one it stands behind, and never trades before it.
        resting.ahead = ahead_before = max(resting.ahead - consumed, ahead_before)
        share = min(resting.order.remaining, arriving - consumed) if resting.ahead == 0 and first_are_filled else 0
        first_are_filled = share == resting.order.remaining
        shares.append(share)
        given += share
    return shares
