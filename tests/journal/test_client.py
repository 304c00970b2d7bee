"""The two ends that a room holds."""

from __future__ import annotations

import pytest

from tbot_actors.domain.messages import Append, Appended, AppendFailed, EventsRead, JournalAdvanced, ReadEvents
from tbot_actors.journal.client import JournalBehind, JournalReader, JournalWriter
from tests.domain.samples import pause
from tests.journal.rooms import Box


class Clock:
    """Stands still until moved."""

    now_ns = 5

    def monotonic_ns(self) -> int:
        return self.now_ns

    def wall_ns(self) -> int:
        return 1000 + self.now_ns


def reading() -> tuple[Box, JournalReader]:
    journal = Box("journal")
    reader = JournalReader(journal, Box())
    reader.start()
    return journal, reader


def questions(journal: Box) -> list[int]:
    return [message.after for message in journal.take() if isinstance(message, ReadEvents)]


def test_a_reader_takes_page_after_page_until_it_has_what_was_there_when_it_asked() -> None:
    journal, reader = reading()
    assert (questions(journal), reader.caught_up) == ([0], False)
    assert list(reader.take(EventsRead(0, (pause(1), pause(2)), 3))) == [(1, pause(1)), (2, pause(2))]
    assert (questions(journal), reader.caught_up) == ([2], False)
    assert list(reader.take(EventsRead(2, (pause(3),), 4))) == [(3, pause(3))]
    assert (reader.sequence, reader.caught_up) == (3, True)
    assert questions(journal) == [3]


def test_a_reader_of_an_empty_journal_has_caught_up() -> None:
    journal, reader = reading()
    assert list(reader.take(EventsRead(0, (), 0))) == []
    assert reader.caught_up and questions(journal) == [0]


def test_a_reader_can_begin_in_the_middle() -> None:
    journal = Box("journal")
    reader = JournalReader(journal, Box())
    reader.start(after=7)
    assert questions(journal) == [7]
    assert list(reader.take(EventsRead(7, (pause(8),), 8))) == [(8, pause(8))]


def test_news_are_asked_for_once() -> None:
    journal, reader = reading()
    reader.take(EventsRead(0, (), 0))
    questions(journal)
    reader.advanced(JournalAdvanced(1))
    reader.advanced(JournalAdvanced(2))
    reader.advanced(JournalAdvanced(1))
    assert questions(journal) == [0]
    reader.take(EventsRead(0, (pause(1), pause(2)), 2))
    reader.advanced(JournalAdvanced(2))
    assert questions(journal) == []


def test_a_page_that_comes_twice_is_taken_once() -> None:
    _, reader = reading()
    page = EventsRead(0, (pause(1),), 1)
    reader.take(page)
    assert list(reader.take(page)) == [] and reader.sequence == 1


def test_a_page_for_an_earlier_incarnation_is_not_taken_even_where_its_place_fits() -> None:
    journal, _ = reading()
    (question,) = journal.take()
    reader = JournalReader(journal, Box())
    reader.start()
    assert list(reader.take(EventsRead(0, (pause(1),), 1, question.token))) == []
    assert not reader.caught_up


def test_a_dead_journal_is_asked_again() -> None:
    journal, reader = reading()
    reader.take(EventsRead(0, (pause(1),), 2))
    questions(journal)
    reader.journal_down()
    assert questions(journal) == [1]


def test_a_journal_that_ends_before_what_was_read_of_it_is_not_believed() -> None:
    _, reader = reading()
    reader.start(after=7)
    with pytest.raises(AssertionError, match="ends at 3"):
        reader.take(EventsRead(7, (), 3))


def writing(outstanding_max: int = 256) -> tuple[Box, JournalWriter, Clock]:
    journal, clock = Box("journal"), Clock()
    return journal, JournalWriter(journal, Box(), clock, outstanding_max=outstanding_max), clock


def waiting(writer: JournalWriter) -> tuple[int, int | None]:
    return writer.outstanding, writer.oldest_ns


def test_an_append_has_an_id_of_its_own_and_names_the_unanswered_one_before_it() -> None:
    journal, writer, _ = writing()
    ids = [writer.append(pause(1), pause(2)), writer.append(pause(3))]
    assert ids == ["core/orders/1005/1", "core/orders/1005/2"]
    first, second = journal.take()
    assert (first.append_id, first.events, first.follows) == (ids[0], (pause(1), pause(2)), None)
    assert (second.append_id, second.events, second.follows) == (ids[1], (pause(3),), ids[0])


def test_an_answer_gives_the_events_back_once() -> None:
    _, writer, clock = writing()
    assert waiting(writer) == (0, None)
    append_id = writer.append(pause(1))
    clock.now_ns = 9
    writer.append(pause(2))
    assert waiting(writer) == (2, 5)
    assert writer.appended(Appended(append_id, 1, 1)) == (pause(1),)
    assert writer.appended(Appended(append_id, 1, 1)) is None
    assert writer.appended(Appended("core/orders/3/1", 1, 1)) is None
    assert waiting(writer) == (1, 9)


def test_a_failure_gives_the_events_back_and_is_never_told_again() -> None:
    journal, writer, _ = writing()
    append_id = writer.append(pause(1))
    assert writer.failed(AppendFailed(append_id, "no")) == (pause(1),)
    journal.take()
    writer.journal_down()
    assert journal.take() == [] and writer.outstanding == 0


def test_a_dead_journal_is_told_again_in_order_what_it_has_not_answered() -> None:
    journal, writer, _ = writing()
    ids = [writer.append(pause(n)) for n in range(4)]
    journal.take()
    writer.appended(Appended(ids[0], 1, 1))
    writer.failed(AppendFailed(ids[2], "no"))
    writer.journal_down()
    again = [message for message in journal.take() if isinstance(message, Append)]
    assert [(append.append_id, append.events, append.follows) for append in again] == [
        (ids[1], (pause(1),), None),
        (ids[3], (pause(3),), ids[1]),
    ]


def test_what_waits_for_an_answer_is_bounded() -> None:
    journal, writer, _ = writing(outstanding_max=2)
    ids = [writer.append(pause(n)) for n in range(2)]
    journal.take()
    with pytest.raises(JournalBehind, match="core/orders waits for 2"):
        writer.append(pause(3))
    assert journal.take() == []
    writer.appended(Appended(ids[0], 1, 1))
    assert writer.append(pause(3)).endswith("/3")


def test_an_append_without_events_or_with_too_many_is_a_mistake_of_the_caller() -> None:
    _, writer, _ = writing()
    for events in ((), tuple(pause(n) for n in range(1001))):
        with pytest.raises(ValueError, match="1 to 1000"):
            writer.append(*events)
