"""The anchor: the journal's head, kept outside the database, so that rows missing at its end are seen.

A database that lost its newest commits is as consistent as one that never had them; only a witness outside can tell.
"""

from pathlib import Path

import msgspec
from attrs import frozen

from tbot_actors.journal.chain import Link
from tbot_actors.journal.errors import JournalCorrupt
from tbot_actors.world import Files, SlotFile, SlotsUnreadable

ANCHOR_NAME = "journal.anchor"
_BYTES_MAX = 256


@frozen
class _Anchored:
    sequence: int
    hash: str


@frozen
class Anchor:
    """The anchor file of one journal, open."""

    path: Path
    _slots: SlotFile

    @classmethod
    def open(cls, files: Files, folder: Path) -> "Anchor":
        """Open it, made durably where it is missing. Raises DiskFailure."""
        path = folder / ANCHOR_NAME
        return cls(path, files.open_slots(path, _BYTES_MAX))

    def read(self) -> Link | None:
        """The head written last, or None where none ever was. Raises JournalCorrupt where the file is damaged."""
        try:
            data = self._slots.read()
            if data is None:
                return None
            anchored = msgspec.json.decode(data, type=_Anchored)
            return Link(anchored.sequence, bytes.fromhex(anchored.hash))
        except (SlotsUnreadable, msgspec.MsgspecError, ValueError) as error:
            raise JournalCorrupt(
                f"{self.path} is unreadable, so rows missing at the journal's end would go unseen ({error}): check "
                "orders and positions at the venue, then start with a backup of this folder, or another one"
            ) from error

    def write(self, head: Link) -> None:
        """Keep `head`; durable on return. Only for rows that are durable themselves. Raises DiskFailure."""
        self._slots.write(msgspec.json.encode(_Anchored(head.sequence, head.hash.hex())))

    def close(self) -> None:
        """Close the file."""
        self._slots.close()
