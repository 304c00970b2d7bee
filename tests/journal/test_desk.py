"""What the journal keeps between mailbox and disk: who waits for what, and who is told."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tbot_actors.domain.messages import Append, Appended, AppendFailed, EventsRead, JournalAdvanced, ReadEvents
from tbot_actors.journal import store
from tbot_actors.journal.desk import Desk, Letter
from tbot_actors.journal.outbox import Outbox, OutboxFull
from tbot_actors.journal.settings import JournalSettings
from tbot_actors.journal.tail import Tail
from tests.domain.samples import fill, pause
from tests.journal.rooms import Box, memory


def commit(desk: Desk, journal: sqlite3.Connection) -> list[Letter]:
    batch = desk.batch()
    return desk.settle(batch, store.write(journal, [job.prepared for job in batch], desk.failed))


def told(letters: list[Letter], kind: type) -> list[tuple[str, object]]:
    return [(letter.to.path, letter.message) for letter in letters if isinstance(letter.message, kind)]


def test_all_that_wait_share_one_commit_and_each_is_answered() -> None:
    desk, journal, orders, risk = Desk(JournalSettings()), memory(), Box("core/orders"), Box("core/risk")
    desk.take_append(Append("o/1", (pause(1), pause(2)), orders))
    desk.take_append(Append("r/1", (pause(3),), risk))
    assert told(commit(desk, journal), Appended) == [
        ("core/orders", Appended("o/1", 1, 2)),
        ("core/risk", Appended("r/1", 3, 3)),
    ]
    assert desk.idle
    assert desk.batch() == ()


def test_a_commit_has_a_bounded_number_of_appends() -> None:
    desk = Desk(JournalSettings(appends_per_commit_max=2, appends_waiting_max=3))
    for number in range(3):
        assert not desk.full
        desk.take_append(Append(f"o/{number}", (pause(number),), Box()))
    assert desk.full
    assert [job.append.append_id for job in desk.batch()] == ["o/0", "o/1"]


def test_an_append_that_cannot_be_written_fails_alone_and_at_once() -> None:
    desk, journal = Desk(JournalSettings()), memory()
    (failed,) = desk.take_append(Append("o/1", (), Box()))
    assert failed.message == AppendFailed("o/1", "an append has 1 to 1000 events, not 0")
    assert desk.idle
    desk.take_append(Append("o/2", (pause(2),), Box(), follows="o/1"))
    assert told(commit(desk, journal), Appended) == [("core/orders", Appended("o/2", 1, 1))]


def test_who_contradicts_the_journal_is_told_why() -> None:
    desk, journal = Desk(JournalSettings()), memory()
    for number in (1, 2):
        desk.take_append(Append(f"o/{number}", (fill("t1"),), Box()))
    ((_, answer),) = told(commit(desk, journal), AppendFailed)
    assert isinstance(answer, AppendFailed) and answer.append_id == "o/2" and "in row 1" in answer.why


def test_everybody_who_ever_read_is_told_of_a_new_head_until_gone() -> None:
    desk, journal, orders = Desk(JournalSettings()), memory(), Box("core/orders")
    for path in ("core/risk", "core/portfolio"):
        desk.take_read(ReadEvents(0, Box(path)))
    desk.pages()
    desk.take_append(Append("o/1", (pause(1),), orders))
    assert told(commit(desk, journal), JournalAdvanced) == [
        ("core/risk", JournalAdvanced(1)),
        ("core/portfolio", JournalAdvanced(1)),
    ]
    desk.forget("core/risk")
    desk.take_append(Append("o/1", (pause(1),), orders))
    assert told(commit(desk, journal), JournalAdvanced) == []
    desk.take_append(Append("o/2", (pause(2),), orders))
    assert told(commit(desk, journal), JournalAdvanced) == [("core/portfolio", JournalAdvanced(2))]


def test_a_page_is_made_only_after_everything_taken_before_the_question_is_durable() -> None:
    desk, journal, orders = Desk(JournalSettings()), memory(), Box("core/orders")
    desk.take_append(Append("o/1", (pause(1),), orders))
    desk.take_read(ReadEvents(0, orders))
    assert desk.pages() == []
    commit(desk, journal)
    (page,) = desk.pages()
    assert page.message == EventsRead(0, (pause(1),), 1)


def test_a_page_carries_the_token_of_its_question() -> None:
    desk, token = Desk(JournalSettings()), object()
    desk.take_read(ReadEvents(0, Box(), token))
    (page,) = desk.pages()
    assert page.message.token is token


def test_what_memory_no_longer_has_is_read_from_the_disk_and_only_the_newest_question_of_a_reader() -> None:
    desk, first, second = Desk(JournalSettings()), Box("core/orders"), Box("core/risk")
    desk.tail.restart(10)
    desk.take_read(ReadEvents(3, first))
    desk.take_read(ReadEvents(5, second))
    desk.take_read(ReadEvents(0, first))
    assert desk.pages() == []
    assert [desk.next_far_read(), desk.next_far_read(), desk.next_far_read()] == [
        ReadEvents(0, first),
        ReadEvents(5, second),
        None,
    ]


def test_who_asks_beyond_the_head_learns_of_the_head_and_harms_nobody() -> None:
    desk = Desk(JournalSettings())
    desk.take_read(ReadEvents(7, Box()))
    assert [letter.message for letter in desk.pages()] == [EventsRead(7, (), 0)]


@given(st.lists(st.integers(1, 4), max_size=30), st.integers(0, 200))
def test_memory_gives_the_right_events_or_none(sizes: list[int], after: int) -> None:
    tail = Tail(5)
    tail.restart(10)
    for size in sizes:
        tail.add([pause(tail.head + n) for n in range(1, size + 1)])
    after = min(after, tail.head)
    page = tail.page(after, 3)
    if page is None:
        assert after < tail.head - 5 or after < 10
    else:
        assert page == tuple(pause(n) for n in range(after + 1, min(after + 3, tail.head) + 1))


@pytest.fixture
def letters() -> Callable[..., list[Letter]]:
    return lambda box, *numbers: [Letter(box, number) for number in numbers]


def test_an_answer_for_a_full_mailbox_is_kept_in_order_and_told_later(letters: Callable[..., list[Letter]]) -> None:
    outbox, slow, quick = Outbox(10), Box("slow", room=1), Box("quick")
    outbox.tell(letters(slow, 1, 2) + letters(quick, 1))
    assert (slow.take(), quick.take(), len(outbox)) == ([1], [1], 1)
    outbox.tell(letters(slow, 3))
    assert slow.take() == []
    outbox.retry()
    assert (slow.take(), len(outbox)) == ([2], 1)
    outbox.retry()
    assert (slow.take(), len(outbox)) == ([3], 0)
    outbox.tell(letters(slow, 4))
    assert slow.take() == [4]


def test_answers_that_nobody_takes_end_the_incarnation_rather_than_be_forgotten(
    letters: Callable[..., list[Letter]],
) -> None:
    outbox = Outbox(2)
    with pytest.raises(OutboxFull, match="slow"):
        outbox.tell(letters(Box("slow", room=1), 1, 2, 3, 4))
