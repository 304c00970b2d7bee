"""How long to wait before the next start. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import TYPE_CHECKING

from attrs import field, frozen
from attrs.validators import ge, gt, lt

if TYPE_CHECKING:
    from tbot_actors.world import Random


@frozen
class Backoff:
    """Exponential delays between restarts, capped and jittered.

    The n-th delay (n from 0) lies in `[base * (1 - jitter), base]` with `base = min(cap_s, first_s * factor ** n)`.
    Below the cap each delay is at least as long as the one before it, whatever the jitter draws.
    """

    first_s: float = field(default=0.05, validator=ge(0))
    factor: float = field(default=2.0, validator=gt(1))
    cap_s: float = field(default=5.0, validator=ge(0))
    jitter: float = field(default=0.1, validator=[ge(0), lt(1)])
    """Share of the delay that chance may take away."""
    reset_after_s: float = field(default=10.0, validator=gt(0))
    """An incarnation that lived this long starts the sequence, and an outage's clock, afresh."""

    def __attrs_post_init__(self) -> None:
        if not (self.factor * (1 - self.jitter) >= 1):
            raise ValueError(f"jitter {self.jitter} is too much for factor {self.factor}: delays would not grow")
        if self.first_s > self.cap_s:
            raise ValueError(f"first_s {self.first_s} is above cap_s {self.cap_s}")


def delay_s(backoff: Backoff, attempt: int, random: Random) -> float:
    """The delay before start number `attempt` (0 = the first one after a crash)."""
    try:
        base = min(backoff.cap_s, backoff.first_s * backoff.factor**attempt)
    except OverflowError:
        base = backoff.cap_s
    return base * (1 - backoff.jitter * random.random())


def delays(backoff: Backoff, random: Random) -> Iterator[float]:
    """The endless sequence of `delay_s` from the first attempt on."""
    return (delay_s(backoff, attempt, random) for attempt in count())
