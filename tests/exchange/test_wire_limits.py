"""Rate limits and parameters: what is counted, what is refused, with which code."""

from decimal import Decimal

import pytest

from tbot_actors.exchange.params import Params, parse_pairs
from tbot_actors.exchange.records import VenueError
from tbot_actors.exchange.weights import Limits, RateLimited

MINUTE_NS = 60_000_000_000
START_NS = 28_000_000 * MINUTE_NS


def test_weight_is_counted_per_minute_of_the_clock() -> None:
    limits = Limits()
    limits.charge(250, START_NS)
    limits.charge(20, START_NS + MINUTE_NS - 1)
    assert ("x-mbx-used-weight-1m", "270") in limits.headers(START_NS + MINUTE_NS - 1, None)
    assert ("x-mbx-used-weight-1m", "0") in limits.headers(START_NS + MINUTE_NS, None)


def test_over_the_limit_is_429_with_the_rest_of_the_minute_to_wait() -> None:
    limits = Limits()
    for _ in range(24):
        limits.charge(250, START_NS)
    with pytest.raises(RateLimited) as refused:
        limits.charge(1, START_NS + 15_000_000_000)
    assert (refused.value.status, refused.value.code, refused.value.retry_after_s) == (429, -1003, 45)
    limits.charge(1, START_NS + MINUTE_NS)


def hammer(limits: Limits, now_ns: int) -> RateLimited:
    for _ in range(1000):
        try:
            limits.charge(250, now_ns)
        except RateLimited as refused:
            if refused.status == 418:
                return refused
    raise AssertionError("never banned")


def test_who_goes_on_after_429_is_banned_for_longer_each_time() -> None:
    limits = Limits()
    assert hammer(limits, START_NS).retry_after_s == 120
    with pytest.raises(RateLimited) as refused:
        limits.charge(1, START_NS + MINUTE_NS)
    assert (refused.value.status, refused.value.retry_after_s) == (418, 60)
    limits.charge(1, START_NS + 2 * MINUTE_NS)
    assert hammer(limits, START_NS + 2 * MINUTE_NS).retry_after_s == 240


def test_orders_that_fill_do_not_count_and_accounts_do_not_share() -> None:
    limits = Limits()
    for _ in range(100):
        limits.order_placed("main", START_NS)
    with pytest.raises(RateLimited) as refused:
        limits.check_order("main", START_NS)
    assert (refused.value.status, refused.value.code) == (429, -1015)
    limits.check_order("second", START_NS)
    limits.order_filled("main", START_NS)
    limits.check_order("main", START_NS)
    assert ("x-mbx-order-count-10s", "99") in limits.headers(START_NS, "main")
    assert ("x-mbx-order-count-1d", "99") in limits.headers(START_NS, "main")


def test_fills_give_no_credit_below_zero() -> None:
    limits = Limits()
    limits.order_filled("main", START_NS)
    limits.order_placed("main", START_NS)
    assert ("x-mbx-order-count-10s", "1") in limits.headers(START_NS, "main")


def test_the_query_string_wins_over_the_body() -> None:
    assert parse_pairs(b"a=1&b=x%20y", b"a=2&c=3") == {"a": "1", "b": "x y", "c": "3"}


@pytest.mark.parametrize(
    ("query", "code"), [(b"a=1&a=2", -1101), (b"a=%ff", -1100), (b"\xff=1", -1100), (b"&".join([b"a=1"] * 99), -1101)]
)
def test_malformed_parameters_are_refused(query: bytes, code: int) -> None:
    with pytest.raises(VenueError) as refused:
        parse_pairs(query, b"")
    assert refused.value.code == code


@pytest.mark.parametrize("value", ["1e5", "-1", "+1", "NaN", "Infinity", "1_000", "٣", " 1", "1.", ".5"])
def test_a_number_that_is_not_plain_is_refused(value: str) -> None:
    with pytest.raises(VenueError) as refused:
        Params({"price": value}).decimal("price")
    assert refused.value.code == -1100


def test_plain_numbers_are_exact() -> None:
    assert Params({"price": "61000.10000000"}).decimal("price") == Decimal("61000.1")
    assert Params({"limit": "99999"}).limit(default=100, maximum=5000) == 5000
