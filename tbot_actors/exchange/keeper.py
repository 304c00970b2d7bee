"""Keeps a running exchange's accounts in one file of its state folder, and brings them back.

The file is replaced as a whole: when the exchange ends in order, and while it runs after changes, once a look.
An exchange that is killed therefore loses what its accounts did since the last look, at most a second: the next
one knows less than the bot's journal does, as a venue that rolled back, and the bot's reconciler finds the difference.

Writing holds everything else up: 2 ms for an account that has just begun, 8 ms (1.4 MB) for one that remembers all it
may, about 50 ms (3.9 MB) when all three do. A look that finds no change takes less than a millisecond for one account.
"""

from pathlib import Path
from typing import Final

from attrs import evolve

from tbot_actors.exchange.floor import Floor
from tbot_actors.exchange.memory import Memory, MemoryUnreadable, decode, encode
from tbot_actors.exchange.signing import Key
from tbot_actors.world import Files

ACCOUNTS_FILE: Final = "exchange.state"

IDS_AHEAD: Final = 10_000_000
"""How far the numbering in the file of a running exchange is ahead, so that none is given out twice over a kill."""


class StateRefused(Exception):
    """What a state folder remembers cannot be used; one line that says what to do."""

    def __init__(self, path: Path, reason: str) -> None:
        advice = "put a good copy in its place, or name another bot.state"
        missing = "fresh accounts would not hold what the bot's journal owns"
        super().__init__(f"{path} cannot be used: {reason}; {advice} ({missing})")


def recall(files: Files, folder: Path, symbol: str) -> Memory | None:
    """What the last exchange of this folder remembered, None where there was none.

    Raises StateRefused for a file that cannot be read or is about another symbol, and DiskFailure.
    """
    path = folder / ACCOUNTS_FILE
    try:
        memory = decode(files.read_bytes(path))
    except FileNotFoundError:
        return None
    except MemoryUnreadable as error:
        raise StateRefused(path, str(error)) from error
    if set(memory.venue.desks) != {symbol}:
        raise StateRefused(path, f"its accounts trade {', '.join(memory.venue.desks)}, not {symbol}")
    return memory


class Keeper:
    """Writes down what a floor must remember. Synchronous: a cancellation cannot come between."""

    def __init__(self, files: Files, folder: Path, floor: Floor, keys: list[Key], starts: int) -> None:
        self._files = files
        self._path = folder / ACCOUNTS_FILE
        self._floor = floor
        self._keys = tuple(keys)
        self._starts = starts
        self._kept: Memory | None = None

    def keep(self) -> bool:
        """Bring the file up to date; returns whether it had to be written. Raises DiskFailure, Unbalanced."""
        memory, kept = self._memory(), self._kept
        if kept is not None and memory.same_accounts(kept) and memory.used(kept) < IDS_AHEAD // 2:
            return False
        self._write(memory.ahead(IDS_AHEAD))
        self._kept = memory
        return True

    def end(self) -> None:
        """Write the last state, after which nothing may happen on the floor. Raises DiskFailure, Unbalanced."""
        self._write(evolve(self._memory(), orderly=True))

    def _memory(self) -> Memory:
        floor = self._floor
        return Memory(
            orderly=False,
            starts=self._starts,
            keys=self._keys,
            counters=floor.counters(),
            venue=floor.venue.remember(),
        )

    def _write(self, memory: Memory) -> None:
        # What went wrong inside must not outlive the process that it went wrong in.
        self._floor.venue.check_conservation()
        self._files.write_atomic(self._path, encode(memory))
