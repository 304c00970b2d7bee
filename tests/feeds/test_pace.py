"""Snapshots are asked for at once after a calm time, and ever later while they do not help."""

from itertools import count

from tbot_actors.feeds.pace import Pace


def test_the_first_request_is_free_and_the_next_ones_wait_ever_longer() -> None:
    pace = Pace(lambda: (float(2**n) for n in count()), calm_s=60)
    assert [pace.wait_s(now_s) for now_s in (0, 1, 3, 7)] == [0, 1, 2, 4]


def test_a_calm_time_makes_it_free_again() -> None:
    pace = Pace(lambda: (float(2**n) for n in count()), calm_s=60)
    for now_s in (0, 1, 3):
        pace.wait_s(now_s)
    assert [pace.wait_s(now_s) for now_s in (65, 66, 127)] == [4, 8, 16]
    assert [pace.wait_s(now_s) for now_s in (300, 301)] == [0, 1]
