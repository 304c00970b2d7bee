"""Each append is in the journal wholly or not at all, and never twice."""

from __future__ import annotations

import sqlite3
from decimal import Decimal

import pytest
from attrs import evolve

from tbot_actors.domain.events import Fill, GenerationStarted, PauseChanged
from tbot_actors.domain.messages import Append
from tbot_actors.journal import store
from tbot_actors.journal.chain import START
from tbot_actors.journal.errors import JournalCorrupt, JournalRefused
from tests.domain.samples import fill, pause
from tests.journal.rooms import OWNER, Box, everything, memory, prepared, surgery, write


def test_an_append_is_written_in_order_and_read_back() -> None:
    journal = memory()
    assert write(journal, prepared("a/1", pause(1), pause(2)), prepared("b/1", fill("t1"))) == (
        store.Wrote(1, 2),
        store.Wrote(3, 3),
    )
    assert everything(journal) == (pause(1), pause(2), fill("t1"))


def test_the_same_append_id_again_is_answered_with_the_first_result_and_writes_nothing() -> None:
    journal = memory()
    write(journal, prepared("a/1", pause(1)), prepared("a/2", pause(2), pause(3)))
    again = prepared("a/2", pause(2), pause(3))
    assert write(journal, again, again) == (store.Repeated(2, 3), store.Repeated(2, 3))
    assert everything(journal) == (pause(1), pause(2), pause(3))


def test_an_append_told_twice_before_one_commit_is_written_once() -> None:
    journal = memory()
    assert write(journal, prepared("a/1", pause(1)), prepared("a/1", pause(1))) == (
        store.Wrote(1, 1),
        store.Repeated(1, 1),
    )


def test_the_same_append_id_for_other_events_fails_instead_of_losing_them() -> None:
    journal = memory()
    write(journal, prepared("a/1", pause(1)))
    (result,) = write(journal, prepared("a/1", pause(2)))
    assert isinstance(result, store.Contradicts) and "a/1" in result.why
    assert everything(journal) == (pause(1),)


def test_a_fill_known_already_fails_its_append_whole_and_no_other_of_the_group() -> None:
    journal = memory()
    write(journal, prepared("a/1", fill("t1")))
    results = write(
        journal,
        prepared("b/1", pause(1)),
        prepared("a/2", pause(9), fill("t1"), pause(10)),
        prepared("c/1", fill("t2")),
    )
    assert results[0] == store.Wrote(2, 2)
    assert results[1] == store.Contradicts(
        "the fill t1 of binance:BTCUSDT in account main is in the journal already, in row 1"
    )
    assert results[2] == store.Wrote(3, 3)
    assert everything(journal) == (fill("t1"), pause(1), fill("t2"))


def test_a_fill_twice_in_one_append_fails_it_whole() -> None:
    journal = memory()
    results = write(journal, prepared("a/1", pause(1), fill("t1"), fill("t1")), prepared("b/1", fill("t1")))
    assert isinstance(results[0], store.Contradicts)
    assert results[1] == store.Wrote(1, 1)
    assert everything(journal) == (fill("t1"),)


def test_the_same_trade_id_of_another_account_is_another_fill() -> None:
    journal = memory()
    assert write(journal, prepared("a/1", fill("t1"), fill("t1", account="second"))) == (store.Wrote(1, 2),)


def test_an_append_whose_predecessor_was_lost_is_not_written_before_it() -> None:
    journal = memory()
    late = prepared("a/2", pause(2), follows="a/1")
    assert write(journal, late) == (store.Early(),)
    assert write(journal, prepared("a/1", pause(1)), late) == (store.Wrote(1, 1), store.Wrote(2, 2))


def test_an_append_whose_predecessor_failed_is_written() -> None:
    journal = memory()
    write(journal, prepared("x/1", fill("t1")))
    bad, good = prepared("a/1", fill("t1")), prepared("a/2", pause(2), follows="a/1")
    results = write(journal, bad, good)
    assert isinstance(results[0], store.Contradicts)
    assert results[1] == store.Wrote(2, 2)
    assert write(journal, prepared("a/3", pause(3), follows="b/1"), answered=["b/1"]) == (store.Wrote(3, 3),)


@pytest.mark.parametrize(
    ("event", "why"),
    [
        (PauseChanged("account", ["a", "b"], 1), "read back as another event"),  # type: ignore[arg-type]
        (evolve(fill("t1"), price=Decimal("NaN")), "read back as another event"),
        (fill("t1", quantity=0.5), "read back as another event"),
        (PauseChanged("account", (), "1"), "PauseChanged"),  # type: ignore[arg-type]
        (PauseChanged("\ud800", (), 1), "PauseChanged"),
        (PauseChanged("a" * (2 << 20), (), 1), "bytes"),
        (Box(), "Box"),
    ],
)
def test_an_event_that_would_not_come_back_as_it_is_is_refused_before_it_is_written(event: Fill, why: str) -> None:
    with pytest.raises(store.Unwritable, match=why):
        store.prepare(Append("a/1", (event,), Box()))


def test_an_append_has_at_least_one_event_and_a_bounded_number_of_them() -> None:
    for events in ((), tuple(pause(n) for n in range(store.EVENTS_PER_APPEND_MAX + 1))):
        with pytest.raises(store.Unwritable, match="1 to 1000"):
            store.prepare(Append("a/1", events, Box()))


def test_a_page_has_at_most_500_events_and_ends_where_asked() -> None:
    journal = memory()
    write(journal, prepared("a/1", *(pause(n) for n in range(1, 801))))
    assert store.read(journal, 0, 800) == tuple(pause(n) for n in range(1, 501))
    assert store.read(journal, 500, 700) == tuple(pause(n) for n in range(501, 701))
    assert store.read(journal, 800, 800) == ()


def test_a_missing_or_unreadable_row_is_never_read_over() -> None:
    journal = memory()
    write(journal, prepared("a/1", *(pause(n) for n in range(1, 6))))
    with surgery(journal):
        journal.execute("UPDATE events SET payload = x'7b' WHERE sequence = 4")
        with pytest.raises(JournalCorrupt, match="row 4"):
            store.read(journal, 0, 5)
        journal.execute("DELETE FROM events WHERE sequence = 2")
        with pytest.raises(JournalCorrupt, match="row 2"):
            store.read(journal, 0, 3)
        journal.execute("DELETE FROM events WHERE sequence = 5")
        with pytest.raises(JournalCorrupt, match="row 5"):
            store.read(journal, 4, 5)


def test_rows_are_final_for_every_connection() -> None:
    journal = memory()
    write(journal, prepared("a/1", pause(1)))
    for statement in ("UPDATE events SET payload = x'00'", "DELETE FROM events"):
        with pytest.raises(sqlite3.IntegrityError, match=r"final|stay"):
            journal.execute(statement)


def test_a_process_start_is_counted_once_per_token_and_numbers_go_up() -> None:
    journal = memory()
    numbers = [store.start_generation(journal, f"generation/{token}", OWNER, 7) for token in ("p", "p", "q", "q", "r")]
    assert numbers == [1, 1, 2, 2, 3]
    assert everything(journal) == tuple(GenerationStarted(n, "MMMM", "paper", "main", 7) for n in (1, 2, 3))


@pytest.mark.parametrize("other", [evolve(OWNER, mode="live"), evolve(OWNER, account="x"), evolve(OWNER, bot="NNNN")])
def test_a_journal_of_another_mode_account_or_bot_is_refused_in_words(other: store.Owner) -> None:
    journal = memory()
    store.start_generation(journal, "generation/p", OWNER, 7)
    with pytest.raises(JournalRefused, match=r"bot MMMM, paper, account main.*name another journal folder"):
        store.start_generation(journal, "generation/q", other, 8)
    assert store.head(journal).sequence == 1


def test_a_journal_that_does_not_begin_with_a_start_is_corrupt() -> None:
    journal = memory()
    write(journal, prepared("a/1", pause(1)))
    with pytest.raises(JournalCorrupt, match="row 1"):
        store.start_generation(journal, "generation/p", OWNER, 7)


def test_the_tables_are_made_once_and_a_database_of_something_else_is_refused() -> None:
    journal = memory()
    write(journal, prepared("a/1", pause(1)))
    store.create(journal)
    assert store.head(journal).sequence == 1
    journal.execute("PRAGMA user_version = 2")
    with pytest.raises(JournalRefused, match="format 2"):
        store.create(journal)
    other = sqlite3.connect(":memory:")
    other.execute("CREATE TABLE notes (text)")
    with pytest.raises(JournalRefused, match="something else"):
        store.create(other)


def test_an_empty_journal_has_no_row() -> None:
    assert store.head(memory()) == START
