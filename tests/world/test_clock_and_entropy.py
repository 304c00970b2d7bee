"""Time and randomness."""

from __future__ import annotations

import subprocess
import sys

import trio
from trio.testing import MockClock

from tbot_actors.world import SeededEntropy, SystemClock, TrioClock, real_world, system_entropy

START_NS = 1_700_000_000_123_456_789


async def test_the_trio_clock_is_virtual_under_an_autojump_clock(autojump_clock: MockClock) -> None:
    clock = TrioClock(wall_start_ns=START_NS)
    assert (clock.monotonic_ns(), clock.wall_ns()) == (0, START_NS)
    await trio.sleep(48 * 3600 + 0.5)
    assert clock.monotonic_ns() == 172_800_500_000_000
    assert clock.wall_ns() == START_NS + 172_800_500_000_000


def test_the_system_clock_gives_integer_nanoseconds() -> None:
    clock = SystemClock()
    assert clock.monotonic_ns() <= clock.monotonic_ns()
    assert clock.wall_ns() > START_NS


def test_streams_are_independent_of_each_other_and_of_the_order_of_asking() -> None:
    one, other = SeededEntropy(7), SeededEntropy(7)
    first = [one("a/x").random() for _ in range(3)]
    other("b/y").random()
    assert [other("a/x").random() for _ in range(3)] == first
    assert one("b/y").random() != one("a/x").random()


def test_a_stream_asked_for_again_goes_on() -> None:
    entropy = SeededEntropy(7)
    first = entropy("orders/ids").getrandbits(64)
    assert entropy("orders/ids").getrandbits(64) != first


def test_streams_are_the_same_in_another_process() -> None:
    code = "from tbot_actors.world import SeededEntropy; print(SeededEntropy(7)('a/x').getrandbits(64))"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, env={"PYTHONHASHSEED": "3"})
    assert int(told.stdout) == SeededEntropy(7)("a/x").getrandbits(64)


def test_two_real_worlds_draw_different_seeds_unless_given_one() -> None:
    assert system_entropy().seed != system_entropy().seed
    named = [real_world(hosts=["api.binance.com"], seed=5).entropy("x").random() for _ in range(2)]
    assert named[0] == named[1]
