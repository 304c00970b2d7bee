"""Proves that the journal is what was written: every row chained to the one before, none missing, none changed.

SQLite's own integrity_check does not see changed bytes inside a row, nor commits lost with a torn log (measured,
reference/operations.md §0.3): hence the chain and the anchor.
"""

import sqlite3
from typing import Any

from attrs import frozen

from tbot_actors.domain.codec import UnreadableEvent, decode_event
from tbot_actors.domain.events import Fill
from tbot_actors.journal.chain import START, Link

FAULTS_MAX = 100


@frozen
class Fault:
    """Something that is not as it was written."""

    row: int
    """Sequence of the event; 0 where it concerns the file as a whole."""
    what: str

    def __str__(self) -> str:
        return f"row {self.row}: {self.what}" if self.row else self.what


@frozen
class VerifyReport:
    """What was looked at and what was found."""

    rows: int
    """Rows looked at."""
    head: Link
    """The newest row."""
    anchored: Link | None
    """What the anchor says; None where nothing was ever anchored."""
    faults: tuple[Fault, ...]
    """At most 100, in the order of the rows."""

    @property
    def ok(self) -> bool:
        """Whether the journal can be built on."""
        return not self.faults


def verify(connection: sqlite3.Connection, anchored: Link | None, *, after: int = 0) -> VerifyReport:
    """Look at the rows above `after`, whose own hash is taken as it stands; 0 looks at all rows and side tables."""
    scan = _Scan()
    try:
        scan.file(connection)
        scan.start(connection, after)
        rows = "SELECT sequence, kind, payload, hash FROM events WHERE sequence > ? ORDER BY sequence"
        for sequence, kind, payload, digest in connection.execute(rows, (after,)):
            scan.row(sequence, kind, payload, digest)
            if anchored is not None and sequence == anchored.sequence and digest != anchored.hash:
                scan.fault(sequence, "it is not the row that was anchored")
        scan.end(anchored)
        if after == 0:
            scan.appends(connection)
            scan.fills(connection)
    except sqlite3.DatabaseError as error:
        scan.fault(scan.link.sequence + 1, f"the file is unreadable from here on ({error})")
    return VerifyReport(scan.rows, scan.link, anchored, tuple(sorted(scan.faults, key=lambda fault: fault.row)))


class _Scan:
    def __init__(self) -> None:
        self.link = START
        self.rows = 0
        self.faults: list[Fault] = []
        self.found_fills: dict[tuple[str, str, str], int] = {}

    def fault(self, row: int, what: str) -> None:
        if len(self.faults) < FAULTS_MAX:
            self.faults.append(Fault(row, what))

    def file(self, connection: sqlite3.Connection) -> None:
        for (line,) in connection.execute("PRAGMA quick_check(10)"):
            if line != "ok":
                self.fault(0, f"the database file is damaged: {line}")

    def start(self, connection: sqlite3.Connection, after: int) -> None:
        if after == 0:
            return
        found = connection.execute("SELECT hash FROM events WHERE sequence = ?", (after,)).fetchone()
        if found is None:
            self.fault(after, "it is missing")
            self.link = Link(after, b"")
        else:
            self.link = Link(after, found[0])

    def row(self, sequence: int, kind: Any, payload: Any, digest: Any) -> None:
        """One row, by the hash that stands before it: the rows after a changed one are still judged."""
        self.rows += 1
        expected = self.link.sequence + 1
        if sequence != expected:
            self.fault(expected, f"{_rows(expected, sequence - 1)} missing")
        # One flipped bit turns bytes into text.
        if not (isinstance(kind, str) and isinstance(payload, bytes) and isinstance(digest, bytes)):
            self.fault(sequence, "its columns are of wrong types")
            self.link = Link(sequence, digest if isinstance(digest, bytes) else b"")
            return
        if sequence == expected and self.link.next(kind, payload).hash != digest:
            self.fault(sequence, "it, or the hash of the row before it, was changed")
        self._event(sequence, kind, payload)
        self.link = Link(sequence, digest)

    def _event(self, sequence: int, kind: str, payload: bytes) -> None:
        try:
            event = decode_event(kind, payload)
        except UnreadableEvent as error:
            self.fault(sequence, str(error))
            return
        if isinstance(event, Fill):
            if event.key in self.found_fills:
                self.fault(sequence, f"the fill of row {self.found_fills[event.key]} again")
            self.found_fills[event.key] = sequence

    def end(self, anchored: Link | None) -> None:
        if anchored is not None and anchored.sequence > self.link.sequence:
            missing = _rows(self.link.sequence + 1, anchored.sequence)
            self.fault(
                self.link.sequence + 1, f"{missing} missing at the end: the anchor has seen row {anchored.sequence}"
            )

    def appends(self, connection: sqlite3.Connection) -> None:
        end = 0
        for append_id, first, last in connection.execute("SELECT append_id, first, last FROM appends ORDER BY first"):
            if first != end + 1 or last < first:
                self.fault(min(first, end + 1), f"append {append_id} claims rows {first} to {last}")
            end = last
        if end != self.link.sequence:
            self.fault(min(end, self.link.sequence) + 1, f"the appends end at row {end}, the events do not")

    def fills(self, connection: sqlite3.Connection) -> None:
        kept = {
            (account, instrument, trade_id): sequence
            for account, instrument, trade_id, sequence in connection.execute("SELECT * FROM fills")
        }
        for key in kept.keys() ^ self.found_fills.keys():
            row = kept.get(key) or self.found_fills[key]
            self.fault(row, f"the fill {key[2]} is {'not an event' if key in kept else 'not in the index of fills'}")


def _rows(first: int, last: int) -> str:
    return f"row {first} is" if first == last else f"rows {first} to {last} are"
