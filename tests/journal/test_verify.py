"""Whatever happens to the rows behind the journal's back is found, with the number of the row."""

from __future__ import annotations

import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tbot_actors.journal import store
from tbot_actors.journal.chain import START, Link
from tbot_actors.journal.verify import VerifyReport, verify
from tests.domain.samples import any_event, fill, pause
from tests.journal.rooms import OWNER, memory, prepared, surgery, write


def ten_rows() -> tuple[sqlite3.Connection, Link]:
    journal = memory()
    store.start_generation(journal, "generation/p", OWNER, 7)
    write(journal, *(prepared(f"a/{n}", pause(n)) for n in range(1, 7)))
    write(journal, prepared("a/7", fill("t1"), pause(8), fill("t2")))
    return journal, store.head(journal)


def rows(report: VerifyReport) -> list[int]:
    return [fault.row for fault in report.faults]


def test_a_journal_as_written_is_sound() -> None:
    journal, head = ten_rows()
    report = verify(journal, head)
    assert report.ok and report.rows == 10 and report.head == head


def test_an_empty_journal_is_sound() -> None:
    report = verify(memory(), None)
    assert report.ok and report.head == START


def test_rows_after_the_anchor_are_fine() -> None:
    journal, head = ten_rows()
    write(journal, prepared("a/8", pause(11)))
    assert verify(journal, head).ok
    assert verify(journal, START).ok
    assert verify(journal, None).ok


def test_rows_missing_at_the_end_are_seen_by_the_anchor_alone() -> None:
    journal, head = ten_rows()
    with surgery(journal):
        for table in ("events WHERE sequence", "appends WHERE last", "fills WHERE sequence"):
            journal.execute(f"DELETE FROM {table} >= 8")
    assert verify(journal, None).ok
    report = verify(journal, head)
    assert rows(report) == [8]
    assert "rows 8 to 10 are missing at the end" in str(report.faults[0])


def test_an_emptied_journal_is_seen_by_the_anchor() -> None:
    _, head = ten_rows()
    assert rows(verify(memory(), head)) == [1]


@given(st.data())
def test_any_flipped_bit_of_a_payload_or_hash_is_found_at_its_row(data: st.DataObject) -> None:
    journal, head = ten_rows()
    row = data.draw(st.integers(1, 10), "row")
    column = data.draw(st.sampled_from(["payload", "hash"]), "column")
    (value,) = journal.execute(f"SELECT {column} FROM events WHERE sequence = ?", (row,)).fetchone()
    bit = data.draw(st.integers(0, 8 * len(value) - 1), "bit")
    flipped = bytearray(value)
    flipped[bit // 8] ^= 1 << bit % 8
    with surgery(journal):
        journal.execute(f"UPDATE events SET {column} = ? WHERE sequence = ?", (bytes(flipped), row))
    found = verify(journal, head)
    assert not found.ok
    assert rows(found)[0] == row


@given(st.lists(st.integers(1, 10), min_size=1, max_size=9, unique=True))
def test_missing_rows_are_named(gone: list[int]) -> None:
    journal, head = ten_rows()
    with surgery(journal):
        for row in gone:
            journal.execute("DELETE FROM events WHERE sequence = ?", (row,))
    report = verify(journal, head)
    assert rows(report)[0] == min(gone)
    assert "missing" in report.faults[0].what


@pytest.mark.parametrize(
    ("statement", "row"),
    [
        ("UPDATE events SET kind = 'Stopped' WHERE sequence = 4", 4),
        ("UPDATE events SET payload = CAST(payload AS TEXT) WHERE sequence = 4", 4),
        ("UPDATE events SET payload = (SELECT payload FROM events WHERE sequence = 5) WHERE sequence = 4", 4),
        ("DELETE FROM appends WHERE append_id = 'a/3'", 4),
        ("UPDATE appends SET last = 12 WHERE append_id = 'a/3'", 5),
        ("INSERT INTO appends VALUES ('b/1', 11, 11)", 11),
        ("DELETE FROM fills WHERE trade_id = 't2'", 10),
        ("INSERT INTO fills VALUES ('main', 'binance:BTCUSDT', 't9', 3)", 3),
    ],
)
def test_a_changed_kind_a_swapped_payload_and_wrong_side_tables_are_found(statement: str, row: int) -> None:
    journal, head = ten_rows()
    with surgery(journal):
        journal.execute(statement)
    assert rows(verify(journal, head))[0] == row


def test_a_whole_journal_written_anew_is_not_the_anchored_one() -> None:
    _, head = ten_rows()
    other = memory()
    write(other, prepared("a/1", *(pause(n) for n in range(12))))
    report = verify(other, head)
    assert rows(report) == [10] and "anchored" in report.faults[0].what


def test_a_row_this_version_cannot_read_is_found() -> None:
    journal, head = ten_rows()
    link = head.next("Unheard", b"{}")
    journal.execute("INSERT INTO events VALUES (11, 'Unheard', x'7b7d', ?)", (link.hash,))
    journal.execute("INSERT INTO appends VALUES ('a/8', 11, 11)")
    report = verify(journal, head)
    assert rows(report) == [11] and "another version" in report.faults[0].what


def test_a_start_looks_only_at_the_newest_rows() -> None:
    journal, head = ten_rows()
    with surgery(journal):
        journal.execute("UPDATE events SET payload = x'00' WHERE sequence = 3")
    assert verify(journal, head, after=5).ok
    assert verify(journal, head, after=5).rows == 5
    assert rows(verify(journal, head, after=2)) == [3, 3]
    with surgery(journal):
        journal.execute("DELETE FROM events WHERE sequence = 5")
    assert 5 in rows(verify(journal, head, after=5))


def test_the_number_of_faults_is_bounded() -> None:
    journal = memory()
    write(journal, prepared("a/1", *(pause(n) for n in range(500))))
    head = store.head(journal)
    with surgery(journal):
        journal.execute("UPDATE events SET payload = x'00'")
    assert len(verify(journal, head).faults) == 100


@given(st.lists(any_event, max_size=5))
def test_the_hash_of_a_row_depends_on_all_before_it(events: list[object]) -> None:
    first, second = START, Link(0, b"\x01" * 32)
    for event in events:
        payload = repr(event).encode()
        first, second = first.next("Kind", payload), second.next("Kind", payload)
        assert first.sequence == second.sequence and first.hash != second.hash
