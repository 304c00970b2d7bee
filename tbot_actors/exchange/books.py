"""One symbol's book as its readers see it: numbered changes, diffs, snapshots and the best prices.

Every changed level takes the next update id, so that diffs are contiguous (`U` = last `u` + 1) and a snapshot's
`lastUpdateId` names the exact change it contains (`web-socket-streams.md`, How to manage a local order book).
"""

from enum import Enum

from attrs import define, field

from tbot_actors.exchange.filters import SymbolRules
from tbot_actors.exchange.market import Market, Side
from tbot_actors.exchange.shapes import Json, number, stamp_ms

DEPTH_MAX = 5000
FIRST_UPDATE_ID = 1_000


class DiffSpeed(Enum):
    """The two paces of diff depth streams, by their period in milliseconds."""

    FAST = 100
    SLOW = 1000


@define
class _Pending:
    """Changes since the last diff of one pace: the first update id among them, and the latest total per level."""

    first_id: int
    levels: dict[tuple[Side, int], int] = field(factory=dict)


class BookView:
    """Numbers the changes of one market. `collect` must run before anything is read that names an update id.

    What the market holds already is change number `update_id`.
    """

    def __init__(self, rules: SymbolRules, market: Market, update_id: int = FIRST_UPDATE_ID) -> None:
        self.rules = rules
        self.market = market
        self.update_id = update_id
        market.take_changes()
        self._pending = {speed: _Pending(self.update_id + 1) for speed in DiffSpeed}
        self._best = self._read_best()
        self._best_changed = False

    def collect(self) -> None:
        """Take the market's changes in."""
        changes = self.market.take_changes()
        if not changes:
            return
        self.update_id += len(changes)
        for pending in self._pending.values():
            for side, price, total in changes:
                pending.levels[side, price] = total
        best = self._read_best()
        if best != self._best:
            self._best = best
            self._best_changed = True

    def diff(self, speed: DiffSpeed, now_ns: int) -> Json | None:
        """The `depthUpdate` event since the last one of this pace, None when nothing changed."""
        pending = self._pending[speed]
        if not pending.levels:
            return None
        self._pending[speed] = _Pending(self.update_id + 1)
        bids: list[list[str]] = []
        asks: list[list[str]] = []
        for (side, price), total in pending.levels.items():
            (bids if side is Side.BUY else asks).append(self._level(price, total))
        return {
            "e": "depthUpdate",
            "E": stamp_ms(now_ns),
            "s": self.rules.symbol,
            "U": pending.first_id,
            "u": self.update_id,
            "b": bids,
            "a": asks,
        }

    def snapshot(self, limit: int) -> Json:
        """The answer of `GET /depth`."""
        return {
            "lastUpdateId": self.update_id,
            "bids": [self._level(*level) for level in self.market.levels(Side.BUY, limit)],
            "asks": [self._level(*level) for level in self.market.levels(Side.SELL, limit)],
        }

    def best(self) -> dict[Side, tuple[str, str]]:
        """The best price and quantity of each side that has one."""
        found: dict[Side, tuple[str, str]] = {}
        for side, level in zip(Side, self._best, strict=True):
            if level is not None:
                price, total = self._level(*level)
                found[side] = (price, total)
        return found

    def ticker_event(self) -> Json | None:
        """The `bookTicker` event due, None when the best prices did not change or a side of the book is empty."""
        changed, self._best_changed = self._best_changed, False
        best = self.best() if changed else {}
        if len(best) < 2:
            return None
        bid, bid_quantity = best[Side.BUY]
        ask, ask_quantity = best[Side.SELL]
        return {
            "u": self.update_id,
            "s": self.rules.symbol,
            "b": bid,
            "B": bid_quantity,
            "a": ask,
            "A": ask_quantity,
        }

    def _read_best(self) -> tuple[tuple[int, int] | None, ...]:
        return tuple(self.market.best(side) for side in Side)

    def _level(self, price: int, total: int) -> list[str]:
        return [number(self.rules.ticks_to_price(price)), number(self.rules.steps_to_quantity(total))]
