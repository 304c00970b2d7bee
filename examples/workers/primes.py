"""The worker of ../process_hosted.py: a file of its own, because it runs in a process of its own."""

from __future__ import annotations

import msgspec

from tbot_actors.kernel.host.vocabulary import Vocabulary
from tbot_actors.kernel.host.worker import Worker, answers


class Range(msgspec.Struct, frozen=True):
    """How many primes are in `[start, end)`?"""

    start: int
    end: int


class Primes(msgspec.Struct, frozen=True):
    """The answer."""

    count: int


VOCABULARY = Vocabulary(Range, Primes)


class PrimeWorker(Worker):
    """Plain methods, no event loop; one question at a time."""

    vocabulary = VOCABULARY

    @answers(Range)
    def on_range(self, asked: Range) -> Primes:
        if asked.start < 0:
            raise ValueError("there are no primes below zero")
        return Primes(sum(_is_prime(number) for number in range(asked.start, asked.end)))


def _is_prime(number: int) -> bool:
    if number < 2:
        return False
    return all(number % divisor for divisor in range(2, int(number**0.5) + 1))
