"""Rate limits: request weight per minute, unfilled orders per 10 seconds and day, 429, and 418 for who goes on.

Source: `rest-api.md` LIMITS, `faqs/order_count_decrement.md`. Every client of a loopback exchange has the same
address, so there is one weight bucket; order counts are per account.
"""

from enum import Enum

from attrs import define, frozen

from tbot_actors.exchange.records import VenueError

WEIGHT_LIMIT = 6000
REFUSED_BEFORE_BAN = 100
BAN_FIRST_S = 120
BAN_MAX_S = 3 * 24 * 3600
_NS = 1_000_000_000
_STREAMS_ADVICE = "Please use WebSocket Streams for live updates to avoid"


class RateLimited(VenueError):
    """HTTP 429 or 418; `retry_after_s` is the number of seconds to wait."""

    def __init__(self, code: int, message: str, status: int, retry_after_s: int) -> None:
        super().__init__(code, message, status)
        self.retry_after_s = retry_after_s


class LimitKind(Enum):
    """What is counted, spelled as on the wire."""

    REQUEST_WEIGHT = "REQUEST_WEIGHT"
    ORDERS = "ORDERS"


@frozen
class Window:
    """One limit: at most `limit` per aligned interval of `seconds`."""

    kind: LimitKind
    interval: str
    number: int
    seconds: int
    limit: int

    @property
    def letter(self) -> str:
        """The interval as header names spell it, such as 1M."""
        return f"{self.number}{self.interval[0]}"


WEIGHT_WINDOW = Window(LimitKind.REQUEST_WEIGHT, "MINUTE", 1, 60, WEIGHT_LIMIT)
ORDER_WINDOWS = (
    Window(LimitKind.ORDERS, "SECOND", 10, 10, 100),
    Window(LimitKind.ORDERS, "DAY", 1, 86_400, 200_000),
)


@define
class _Counter:
    window: Window
    slot: int = -1
    count: int = 0

    def at(self, now_ns: int) -> int:
        slot = now_ns // (self.window.seconds * _NS)
        if slot != self.slot:
            self.slot, self.count = slot, 0
        return self.count

    def left_s(self, now_ns: int) -> int:
        return self.window.seconds - int(now_ns // _NS % self.window.seconds)


class Limits:
    """Counts what clients use and refuses what is over the limits. Intervals are aligned to the wall clock."""

    def __init__(self) -> None:
        self._weight = _Counter(WEIGHT_WINDOW)
        self._refused = 0
        self._orders: dict[str, tuple[_Counter, ...]] = {}
        self._banned_until_ns = 0
        self._ban_s = BAN_FIRST_S

    def charge(self, weight: int, now_ns: int) -> None:
        """Count a request; raises RateLimited 429 over the limit, 418 for a client that goes on after many of them."""
        if now_ns < self._banned_until_ns:
            raise self._ban(now_ns)
        used = self._weight.at(now_ns)
        self._weight.count = used + weight
        if used + weight <= WEIGHT_LIMIT:
            self._refused = 0
            return
        self._refused += 1
        if self._refused > REFUSED_BEFORE_BAN:
            self._banned_until_ns = now_ns + self._ban_s * _NS
            self._ban_s = min(self._ban_s * 2, BAN_MAX_S)
            self._refused = 0
            raise self._ban(now_ns)
        message = f"Too much request weight used; current limit is {WEIGHT_LIMIT} request weight per 1 MINUTE."
        advice = f"{_STREAMS_ADVICE} polling the API."
        raise RateLimited(-1003, f"{message} {advice}", 429, self._weight.left_s(now_ns))

    def _ban(self, now_ns: int) -> RateLimited:
        until_ms = self._banned_until_ns // 1_000_000
        message = f"Way too much request weight used; IP banned until {until_ms}. {_STREAMS_ADVICE} bans."
        return RateLimited(-1003, message, 418, -(-(self._banned_until_ns - now_ns) // _NS))

    def check_order(self, account: str, now_ns: int) -> None:
        """Raise RateLimited -1015 when the account has no order left in one of the intervals."""
        for counter in self._counters(account):
            if counter.at(now_ns) >= counter.window.limit:
                window = counter.window
                message = f"Too many new orders; current limit is {window.limit} orders per "
                raise RateLimited(-1015, f"{message}{window.number} {window.interval}.", 429, counter.left_s(now_ns))

    def order_placed(self, account: str, now_ns: int) -> None:
        """Count an accepted order."""
        for counter in self._counters(account):
            counter.count = counter.at(now_ns) + 1

    def order_filled(self, account: str, now_ns: int) -> None:
        """An order had its first fill: it counts as unfilled no longer. Never below zero."""
        for counter in self._counters(account):
            counter.count = max(0, counter.at(now_ns) - 1)

    def _counters(self, account: str) -> tuple[_Counter, ...]:
        found = self._orders.get(account)
        if found is None:
            found = self._orders[account] = tuple(_Counter(window) for window in ORDER_WINDOWS)
        return found

    def headers(self, now_ns: int, orders_of: str | None) -> list[tuple[str, str]]:
        """`X-MBX-USED-WEIGHT*`, and `X-MBX-ORDER-COUNT-*` of an account that just placed an order."""
        used = str(self._weight.at(now_ns))
        found = [("x-mbx-used-weight", used), ("x-mbx-used-weight-1m", used)]
        if orders_of is not None:
            for counter in self._counters(orders_of):
                found.append((f"x-mbx-order-count-{counter.window.letter.lower()}", str(counter.at(now_ns))))
        return found

    def used(self, now_ns: int, orders_of: str | None) -> list[dict[str, object]]:
        """The `rateLimits` array of a WebSocket API reply."""
        found = [{**limit_json(WEIGHT_WINDOW), "count": self._weight.at(now_ns)}]
        if orders_of is None:
            return found
        counters = self._counters(orders_of)
        return [{**limit_json(counter.window), "count": counter.at(now_ns)} for counter in counters] + found


def limit_json(window: Window) -> dict[str, object]:
    """One entry of exchangeInfo's `rateLimits`."""
    return {
        "rateLimitType": window.kind.value,
        "interval": window.interval,
        "intervalNum": window.number,
        "limit": window.limit,
    }
