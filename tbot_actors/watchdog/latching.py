"""The latch file as safety holds it.

What cannot be read counts as latched; what cannot be written stands in memory and is tried again.
"""

from attrs import define

from tbot_actors.domain.latch import UNREADABLE, Latch, LatchUnreadable, decode_latch, encode_latch
from tbot_actors.world import DiskFailure, SlotFile


@define
class LatchDoor:
    """The latch in force, and its file."""

    _slots: SlotFile
    latch: Latch
    unwritten: str | None = None
    """Why the file does not say what is in force; None when it does."""

    @classmethod
    def load(cls, slots: SlotFile) -> "LatchDoor":
        """Read the file."""
        try:
            return cls(slots, decode_latch(slots.read()))
        except (DiskFailure, LatchUnreadable):
            # Not written back: what the damaged file held is evidence, until a cause is set or lifted.
            return cls(slots, UNREADABLE)

    def raise_to(self, latch: Latch) -> None:
        """A stricter latch is in force from now on, whatever the disk says."""
        self.latch = latch
        self.write()

    def lower_to(self, latch: Latch) -> None:
        """A less strict latch, in force only once it is durable. Raises DiskFailure: then nothing has changed."""
        self._slots.write(encode_latch(latch))
        self.latch, self.unwritten = latch, None

    def write(self) -> None:
        """Write what is in force; a failure is kept in `unwritten`, for the next try."""
        try:
            self._slots.write(encode_latch(self.latch))
            self.unwritten = None
        except DiskFailure as failure:
            self.unwritten = str(failure)
