"""The venue's rate limits as its headers tell them."""

import json

import pytest
import trio
from trio.testing import MockClock

from tbot_actors.venues.binance.limits import heed, learn_limits
from tbot_actors.venues.binance.wire import LimitRow
from tbot_actors.venues.throttle import Counted, Throttle, Use
from tbot_actors.world import HttpResponse, TrioClock

# Aligned to a minute: a window begins with the test.
START_NS = 1_800_000_000 * 1_000_000_000


@pytest.fixture
async def throttle(autojump_clock: MockClock) -> Throttle:
    found = Throttle(TrioClock(START_NS))
    found.learn(Counted.WEIGHT, 60, 1000)
    found.learn(Counted.ORDERS, 10, 100)
    return found


def answer(status: int, code: int | None = None, **headers: str) -> HttpResponse:
    body = b"{}" if code is None else json.dumps({"code": code, "msg": "x"}).encode()
    return HttpResponse(status, {name.replace("_", "-"): value for name, value in headers.items()}, body)


async def test_each_use_may_fill_its_share_and_cancels_more_than_submits(
    throttle: Throttle, autojump_clock: MockClock
) -> None:
    throttle.seen(Counted.WEIGHT, 60, 760)
    assert throttle.wait_s(Use.READ) == 60 and throttle.wait_s(Use.SUBMIT) == 60
    assert throttle.wait_s(Use.CANCEL) == 0
    throttle.seen(Counted.WEIGHT, 60, 960)
    assert throttle.wait_s(Use.CANCEL) == 60 and throttle.wait_s(Use.SAFETY) == 0


async def test_the_wait_ends_with_the_window(throttle: Throttle, autojump_clock: MockClock) -> None:
    await trio.sleep(45)
    throttle.seen(Counted.WEIGHT, 60, 1000)
    assert throttle.wait_s(Use.CANCEL) == 15
    await trio.sleep(15)
    assert throttle.wait_s(Use.CANCEL) == 0


async def test_what_we_send_counts_until_the_venue_tells(throttle: Throttle, autojump_clock: MockClock) -> None:
    for _ in range(75):
        assert throttle.wait_s(Use.SUBMIT) == 0
        throttle.spend(Counted.ORDERS, 1)
    assert throttle.wait_s(Use.SUBMIT) == 10
    assert throttle.wait_s(Use.CANCEL) == 0, "the order count is no limit of cancels"
    heed(throttle, answer(200, x_mbx_order_count_10s="2"))
    assert throttle.wait_s(Use.SUBMIT) == 0


async def test_a_429_bars_everything_exactly_as_long_as_it_says(
    throttle: Throttle, autojump_clock: MockClock
) -> None:
    heed(throttle, answer(429, -1003, retry_after="7"))
    assert throttle.barred_s(Use.SAFETY) == throttle.wait_s(Use.CANCEL) == 7
    await trio.sleep(6.5)
    assert throttle.wait_s(Use.CANCEL) == pytest.approx(0.5)
    await trio.sleep(0.5)
    assert throttle.wait_s(Use.SUBMIT) == 0


async def test_too_many_orders_bars_orders_and_not_cancels(throttle: Throttle, autojump_clock: MockClock) -> None:
    heed(throttle, answer(429, -1015, retry_after="3"))
    assert throttle.wait_s(Use.SUBMIT) == 3 and throttle.wait_s(Use.CANCEL) == 0


async def test_a_ban_without_a_readable_time_is_waited_out_for_a_minute(
    throttle: Throttle, autojump_clock: MockClock
) -> None:
    heed(throttle, answer(418, retry_after="soon"))
    assert throttle.wait_s(Use.SAFETY) == 60


async def test_a_shorter_pause_never_ends_a_longer_one(throttle: Throttle, autojump_clock: MockClock) -> None:
    heed(throttle, answer(418, -1003, retry_after="120"))
    heed(throttle, answer(429, -1003, retry_after="2"))
    assert throttle.wait_s(Use.CANCEL) == 120


async def test_limits_are_learned_from_exchange_info(autojump_clock: MockClock) -> None:
    throttle = Throttle(TrioClock(START_NS))
    throttle.seen(Counted.WEIGHT, 60, 10_000)
    assert throttle.wait_s(Use.READ) == 0, "an unknown limit bars nothing"
    learn_limits(throttle, (LimitRow("REQUEST_WEIGHT", "MINUTE", 1, 6000), LimitRow("RAW_REQUESTS", "MINUTE", 5, 1)))
    assert throttle.wait_s(Use.READ) == 60


async def test_headers_that_are_no_counts_change_nothing(throttle: Throttle, autojump_clock: MockClock) -> None:
    heed(throttle, answer(200, x_mbx_used_weight_1m="many", x_mbx_used_weight="99999", server="x"))
    assert throttle.wait_s(Use.READ) == 0
