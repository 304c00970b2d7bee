"""Binance's rate limit headers and limits, as the throttle counts them. Source: `rest-api.md`, LIMITS."""

import re

from tbot_actors.venues.binance.errors import RATE_LIMIT_STATUSES, TOO_MANY_ORDERS, TOO_MANY_REQUESTS, fault_in
from tbot_actors.venues.binance.wire import LimitRow
from tbot_actors.venues.throttle import Counted, Throttle
from tbot_actors.world import HttpResponse

_HEADER = re.compile(r"x-mbx-(used-weight|order-count)-([0-9]{1,4})([smhd])", re.ASCII)
_KINDS = {"used-weight": Counted.WEIGHT, "order-count": Counted.ORDERS}
_LETTER_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_INTERVAL_S = {"SECOND": 1, "MINUTE": 60, "HOUR": 3600, "DAY": 86_400}
_ROWS = {"REQUEST_WEIGHT": Counted.WEIGHT, "ORDERS": Counted.ORDERS}
_WAIT_UNSAID_S = 60
"""Where a 429 comes without Retry-After: the longest that a weight window lasts."""
_WAIT_MAX_S = 4 * 86_400
"""Bans end after three days at the latest."""


def learn_limits(throttle: Throttle, rows: tuple[LimitRow, ...]) -> None:
    """Take in exchangeInfo's `rateLimits`, which are authoritative. RAW_REQUESTS has no header to be followed by."""
    for row in rows:
        counted, unit_s = _ROWS.get(row.rate_limit_type), _INTERVAL_S.get(row.interval)
        if counted is not None and unit_s is not None:
            throttle.learn(counted, unit_s * row.interval_num, row.limit)


def heed(throttle: Throttle, response: HttpResponse) -> None:
    """Take in what an answer says of the limits: counts, and the pause that a 429 or 418 orders."""
    for name, value in response.headers.items():
        found = _HEADER.fullmatch(name)
        if found is not None and value.isascii() and value.isdigit():
            kind, number, letter = found.groups()
            throttle.seen(_KINDS[kind], int(number) * _LETTER_S[letter], int(value))
    if response.status in RATE_LIMIT_STATUSES:
        fault = fault_in(response.body)
        orders_only = fault is not None and fault.code == TOO_MANY_ORDERS
        throttle.bar(Counted.ORDERS if orders_only else Counted.WEIGHT, _wait_s(response))
    elif response.status >= 400:
        fault = fault_in(response.body)
        if fault is not None and fault.code == TOO_MANY_REQUESTS:
            throttle.bar(Counted.WEIGHT, _wait_s(response))


def _wait_s(response: HttpResponse) -> int:
    text = response.headers.get("retry-after", "")
    said = text.isascii() and text.isdigit() and len(text) < 9
    return min(int(text), _WAIT_MAX_S) if said else _WAIT_UNSAID_S
