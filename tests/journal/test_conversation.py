"""Rooms and journal talk while either crashes at any point: nothing is doubled, reordered, lost after it was answered,
or left without an answer. The mailboxes and the crashes are Hypothesis's; tables, desk and clients are the real ones.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from attrs import define, field
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tbot_actors.domain.events import Event, Fill, PauseChanged
from tbot_actors.domain.messages import Append, Appended, AppendFailed, EventsRead, JournalAdvanced, ReadEvents
from tbot_actors.journal import store
from tbot_actors.journal.client import JournalBehind, JournalReader, JournalWriter
from tbot_actors.journal.desk import Desk, Letter
from tbot_actors.journal.settings import JournalSettings
from tbot_actors.journal.verify import verify
from tests.domain.samples import fill, pause
from tests.journal.rooms import Box, everything, memory

SETTINGS = JournalSettings(appends_per_commit_max=3, tail_events=4, appends_waiting_max=6)
OUTSTANDING_MAX = 5


class JournalDown:
    """In place of the kernel's Down."""


class Clock:
    """Every look is later: a restart takes time."""

    def __init__(self) -> None:
        self.now_ns = 0

    def monotonic_ns(self) -> int:
        self.now_ns += 1
        return self.now_ns

    wall_ns = monotonic_ns


@define
class Room:
    """One incarnation after the other of an actor that appends and reads."""

    inbox: Box
    journal: Box
    clock: Clock
    reader: JournalReader = field(init=False)
    writer: JournalWriter = field(init=False)
    log: list[Event] = field(factory=list)
    told: dict[str, list[str]] = field(factory=dict)
    """Append ids by name of the writer, in order."""
    durable: set[str] = field(factory=set)

    def start(self) -> None:
        self.log = []
        self.reader = JournalReader(self.journal, self.inbox)
        self.writer = JournalWriter(self.journal, self.inbox, self.clock, outstanding_max=OUTSTANDING_MAX)
        self.reader.start()

    def handle(self, message: Any) -> None:
        match message:
            case EventsRead():
                for sequence, event in self.reader.take(message):
                    self.log.append(event)
                    assert sequence == len(self.log)
            case JournalAdvanced():
                self.reader.advanced(message)
            case Appended():
                if self.writer.appended(message) is not None:
                    self.durable.add(message.append_id)
            case AppendFailed():
                self.writer.failed(message)
            case _:
                assert isinstance(message, JournalDown)
                self.reader.journal_down()
                self.writer.journal_down()


class Conversation(RuleBasedStateMachine):
    """`number` makes every append unlike any other."""

    def __init__(self) -> None:
        super().__init__()
        self.mail = Box("journal")
        self.disk = memory()
        self.clock = Clock()
        self.desk = Desk(SETTINGS)
        self.rooms = [Room(Box(f"core/{name}"), self.mail, self.clock) for name in ("orders", "risk")]
        self.numbers: dict[str, int] = {}
        self.sizes: dict[int, int] = {}
        self.failed: set[str] = set()
        self.number = 0

    @initialize()
    def start(self) -> None:
        for room in self.rooms:
            room.start()

    # What rooms do.

    @rule(index=st.integers(0, 1), size=st.integers(1, 3), trade=st.sampled_from([None, None, None, 1, 2, 3, 4, 5]))
    def append(self, index: int, size: int, trade: int | None) -> None:
        room = self.rooms[index]
        self.number += 1
        events: list[Event] = [pause(self.number, room.inbox.path) for _ in range(size)]
        if trade is not None:
            events.append(fill(str(trade)))
        try:
            append_id = room.writer.append(*events)
        except JournalBehind:
            assert room.writer.outstanding == OUTSTANDING_MAX
            return
        self.numbers[append_id] = self.number
        self.sizes[self.number] = size
        room.told.setdefault(append_id.rpartition("/")[0], []).append(append_id)

    @rule(index=st.integers(0, 1), count=st.integers(1, 5))
    def room_handles(self, index: int, count: int) -> None:
        room = self.rooms[index]
        for _ in range(min(count, len(room.inbox.messages))):
            room.handle(room.inbox.messages.popleft())

    @rule(index=st.integers(0, 1), in_hand=st.booleans())
    def room_crashes(self, index: int, in_hand: bool) -> None:
        room = self.rooms[index]
        if in_hand and room.inbox.messages:
            room.inbox.messages.popleft()
        room.start()

    @rule(index=st.integers(0, 1))
    def an_answer_comes_twice(self, index: int) -> None:
        inbox = self.rooms[index].inbox.messages
        if inbox:
            inbox.append(inbox[0])

    # What the journal does.

    @rule(count=st.integers(1, 8))
    def journal_handles(self, count: int) -> None:
        while count and self.mail.messages and not self.desk.full:
            count -= 1
            match self.mail.messages.popleft():
                case Append() as append:
                    self.tell(self.desk.take_append(append))
                case asked:
                    assert isinstance(asked, ReadEvents)
                    self.desk.take_read(asked)
                    self.tell(self.desk.pages())

    @rule(commits=st.booleans(), answers=st.booleans())
    def journal_writes(self, commits: bool, answers: bool) -> None:
        """One group; the journal may die before its commit, or after it and before a word of it is told."""
        batch = self.desk.batch()
        if not batch:
            return
        self.disk.execute("BEGIN IMMEDIATE")
        written = store.write(self.disk, [job.prepared for job in batch], self.desk.failed)
        self.disk.execute("COMMIT" if commits else "ROLLBACK")
        if commits:
            for job, result in zip(batch, written.results, strict=True):
                if isinstance(result, store.Contradicts):
                    self.failed.add(job.append.append_id)
        if commits and answers:
            self.tell(self.desk.settle(batch, written))
            self.tell(self.desk.pages())
        else:
            self.journal_crashes(in_hand=False)

    @rule()
    def journal_reads_far(self) -> None:
        asked = self.desk.next_far_read()
        if asked is not None:
            events = store.read(self.disk, asked.after, self.desk.tail.head)
            self.tell([Letter(asked.reply_to, EventsRead(asked.after, events, self.desk.tail.head, asked.token))])

    @rule(in_hand=st.booleans())
    def journal_crashes(self, in_hand: bool) -> None:
        if in_hand and self.mail.messages:
            self.mail.messages.popleft()
        self.desk = Desk(SETTINGS)
        self.desk.tail.restart(store.head(self.disk).sequence)
        for room in self.rooms:
            room.inbox.messages.append(JournalDown())

    def tell(self, letters: list[Letter]) -> None:
        for letter in letters:
            assert not isinstance(letter.message, AppendFailed) or letter.message.append_id in self.failed
            letter.to.tell(letter.message)

    # What always holds.

    @invariant()
    def the_journal_is_what_it_promises(self) -> None:
        events = everything(self.disk)
        stamps = [event.stamp_ns for event in events if isinstance(event, PauseChanged)]
        written = list(dict.fromkeys(stamps))
        self.every_append_is_there_wholly_and_once(events, stamps)
        self.appends_of_one_incarnation_are_there_in_order_and_without_a_gap(written)
        for room in self.rooms:
            assert {self.numbers[append_id] for append_id in room.durable} <= set(written), "answered, and not there"
            assert not {self.numbers[append_id] for append_id in self.failed} & set(written), "failed, and there"
            assert tuple(room.log) == events[: room.reader.sequence], "read something else"
            self.who_caught_up_knows_all_that_its_former_selves_will_ever_have_written(room, events)

    def every_append_is_there_wholly_and_once(self, events: tuple[Event, ...], stamps: list[int]) -> None:
        assert Counter(stamps) == {number: self.sizes[number] for number in set(stamps)}
        keys = [event.key for event in events if isinstance(event, Fill)]
        assert len(keys) == len(set(keys))
        (rows,) = self.disk.execute("SELECT coalesce(sum(last - first + 1), 0) FROM appends").fetchone()
        assert rows == len(events)

    def appends_of_one_incarnation_are_there_in_order_and_without_a_gap(self, written: list[int]) -> None:
        place = {number: index for index, number in enumerate(written)}
        for room in self.rooms:
            for told in room.told.values():
                places = [place.get(self.numbers[append_id]) for append_id in told if append_id not in self.failed]
                there = [found for found in places if found is not None]
                assert places[: len(there)] == there == sorted(there)

    def who_caught_up_knows_all_that_its_former_selves_will_ever_have_written(
        self, room: Room, events: tuple[Event, ...]
    ) -> None:
        own = {self.numbers[append_id] for append_id in room.told.get(room.writer._name, [])}
        for event in events[room.reader.sequence :] if room.reader.caught_up else ():
            assert not (isinstance(event, PauseChanged) and event.scope == room.inbox.path) or event.stamp_ns in own

    @precondition(lambda self: self.number > 20)
    @rule()
    def calm(self) -> None:
        """Left alone, everything is answered and read."""
        for _ in range(200):
            self.journal_handles(8)
            self.journal_writes(commits=True, answers=True)
            self.journal_reads_far()
            for index in range(len(self.rooms)):
                self.room_handles(index, 5)
            if self.at_rest():
                break
        assert self.at_rest()
        assert all(room.writer.oldest_ns is None for room in self.rooms)
        head = store.head(self.disk)
        assert verify(self.disk, head).ok

    def at_rest(self) -> bool:
        """Whether everything is answered and read."""
        head = store.head(self.disk).sequence
        return all(
            room.writer.outstanding == 0 and room.reader.caught_up and room.reader.sequence == head
            for room in self.rooms
        )

    def teardown(self) -> None:
        self.number = max(self.number, 21)
        self.calm()
        self.disk.close()


TestConversation = Conversation.TestCase
TestConversation.settings = settings(max_examples=200, stateful_step_count=50)
