"""Randomness: one independent, named stream for each use, all from one seed."""

import os
from random import Random
from typing import Final, Protocol

from attrs import define, field

__all__ = ["Entropy", "Random", "SeededEntropy", "system_entropy"]

STREAMS_MAX: Final = 10_000


class Entropy(Protocol):
    """Gives out streams of random numbers by name, so that adding or removing one use does not reshuffle the rest."""

    def __call__(self, name: str) -> Random:
        """The stream of that name, such as `entropy("venues/binance/backoff")`.

        Asked again (by an actor that was restarted, say) the same stream goes on; it does not start over.
        """
        ...


@define(eq=False)
class SeededEntropy(Entropy):
    """The same seed gives the same streams, in any process and under any PYTHONHASHSEED."""

    seed: int
    _streams: dict[str, Random] = field(init=False, factory=dict)

    def __call__(self, name: str) -> Random:
        """The stream of that name: `Random(f"{seed}/{name}")`, going on where it was left."""
        stream = self._streams.get(name)
        if stream is None:
            # A name made from an id or a number would fill the memory one stream at a time.
            assert len(self._streams) < STREAMS_MAX, f"more than {STREAMS_MAX} entropy streams; the last is {name!r}"
            stream = self._streams[name] = Random(f"{self.seed}/{name}")
        return stream


def system_entropy() -> SeededEntropy:
    """Streams from a seed that the operating system draws; `.seed` is worth a line in the log."""
    return SeededEntropy(int.from_bytes(os.urandom(16), "big"))
