"""The journal's bookkeeping between mailbox and disk: what waits to be written, who reads, who is told what. No I/O.

    Append ──> take_append ──> batch ──> (commit) ──> settle ──> Appended, AppendFailed
    ReadEvents ──> take_read ──────────> pages ─────────────> EventsRead from memory, or a read of the disk
                                         settle ────────────> JournalAdvanced to all who ever read

A reader sees what it appended: a page is made only after everything taken before the question is settled.
"""

from collections import OrderedDict, deque
from collections.abc import Iterable, Sequence
from typing import Any

from attrs import frozen

from tbot_actors.domain.messages import Append, Appended, AppendFailed, EventsRead, JournalAdvanced, Mailbox, ReadEvents
from tbot_actors.journal.settings import JournalSettings
from tbot_actors.journal.store import (
    PAGE_EVENTS_MAX,
    Contradicts,
    Early,
    Prepared,
    Repeated,
    Result,
    Unwritable,
    Written,
    Wrote,
    prepare,
)
from tbot_actors.journal.tail import Tail

_FAILED_KEPT = 4096
_FOLLOWERS_MAX = 1024


@frozen
class Letter:
    """A message to be told."""

    to: Mailbox
    message: Any


@frozen
class Job:
    """An append on its way to the disk."""

    append: Append
    prepared: Prepared


class Desk:
    """State of one incarnation of the journal; lost in a crash, and told again by those who wait for an answer."""

    def __init__(self, settings: JournalSettings) -> None:
        self._settings = settings
        self._jobs: deque[Job] = deque()
        self._in_flight = 0
        self._reads: deque[tuple[int, ReadEvents]] = deque()
        self._far_reads: OrderedDict[str, ReadEvents] = OrderedDict()
        self._followers: dict[str, Mailbox] = {}
        self._failed: OrderedDict[str, None] = OrderedDict()
        self._taken = 0
        self._settled = 0
        self.tail = Tail(settings.tail_events)

    @property
    def full(self) -> bool:
        """Whether further appends must wait in the mailbox."""
        return len(self._jobs) >= self._settings.appends_waiting_max

    @property
    def idle(self) -> bool:
        """Whether every append taken is settled."""
        return self._taken == self._settled

    @property
    def failed(self) -> frozenset[str]:
        """Newest appends that were told AppendFailed; those that follow them are in order."""
        return frozenset(self._failed)

    def take_append(self, append: Append) -> list[Letter]:
        """Queue an append, or fail it alone where it cannot be written."""
        assert not self.full
        try:
            self._jobs.append(Job(append, prepare(append)))
        except Unwritable as error:
            return [self._fail(append, str(error))]
        self._taken += 1
        return []

    def take_read(self, asked: ReadEvents) -> None:
        """Queue a read behind the appends taken so far. From now on the reader is told of every new head."""
        self._followers[asked.reply_to.path] = asked.reply_to
        assert len(self._followers) <= _FOLLOWERS_MAX, "too many readers of the journal"
        self._reads.append((self._taken, asked))

    def forget(self, path: str) -> None:
        """A reader that is gone for good."""
        self._followers.pop(path, None)
        self._far_reads.pop(path, None)

    def batch(self) -> tuple[Job, ...]:
        """The appends of the next commit; empty where nothing waits."""
        assert not self._in_flight
        size = min(len(self._jobs), self._settings.appends_per_commit_max)
        self._in_flight = size
        return tuple(self._jobs.popleft() for _ in range(size))

    def settle(self, batch: Sequence[Job], written: Written) -> list[Letter]:
        """Take in what the commit did, and return who is told what."""
        assert len(batch) == len(written.results) == self._in_flight
        self._in_flight = 0
        self._settled += len(batch)
        before = self.tail.head
        letters = [
            letter
            for job, result in zip(batch, written.results, strict=True)
            for letter in self._settle_one(job, result)
        ]
        assert self.tail.head == written.head.sequence, f"{self.tail.head} in memory, {written.head.sequence} on disk"
        if self.tail.head > before:
            advanced = JournalAdvanced(self.tail.head)
            letters += [Letter(follower, advanced) for follower in self._followers.values()]
        return letters

    def _settle_one(self, job: Job, result: Result) -> Iterable[Letter]:
        append = job.append
        match result:
            case Wrote(first, last):
                assert first == self.tail.head + 1
                self.tail.add(row.event for row in job.prepared.rows)
                return [Letter(append.reply_to, Appended(append.append_id, first, last))]
            case Repeated(first, last):
                return [Letter(append.reply_to, Appended(append.append_id, first, last))]
            case Contradicts(why):
                return [self._fail(append, why)]
            case Early():
                return []

    def _fail(self, append: Append, why: str) -> Letter:
        self._failed[append.append_id] = None
        if len(self._failed) > _FAILED_KEPT:
            self._failed.popitem(last=False)
        return Letter(append.reply_to, AppendFailed(append.append_id, why))

    def pages(self) -> list[Letter]:
        """Answer the reads whose turn it is and that memory can answer; the others become far reads."""
        letters = []
        while self._reads and self._reads[0][0] <= self._settled:
            _, asked = self._reads.popleft()
            if asked.after > self.tail.head:
                # Its own mistake: told so by a head below its place, it crashes there and not here.
                letters.append(Letter(asked.reply_to, EventsRead(asked.after, (), self.tail.head, asked.token)))
                continue
            events = self.tail.page(asked.after, PAGE_EVENTS_MAX)
            if events is None:
                # A reader has one question at a time: an older one is of an incarnation that is gone.
                self._far_reads[asked.reply_to.path] = asked
            else:
                letters.append(Letter(asked.reply_to, EventsRead(asked.after, events, self.tail.head, asked.token)))
        return letters

    def next_far_read(self) -> ReadEvents | None:
        """A read that needs the disk, or None."""
        return self._far_reads.popitem(last=False)[1] if self._far_reads else None
