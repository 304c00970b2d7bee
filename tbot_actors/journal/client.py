"""The two ends that a room holds of the journal: what it reads, in order and without gaps, and what it appends.

    async def started(self):
        self.context.watch(self.journal)
        self.reader = JournalReader(self.journal, self.context.address)
        self.writer = JournalWriter(self.journal, self.context.address, self.context.world.clock)
        self.reader.start()

Handlers hand `EventsRead` to `reader.take`, `JournalAdvanced` to `reader.advanced`, `Appended` to `writer.appended`,
`AppendFailed` to `writer.failed`, and on the kernel's `Down` of the journal call `journal_down()` of both.
"""

from collections.abc import Iterable

from attrs import evolve, frozen

from tbot_actors.domain.events import Event
from tbot_actors.domain.messages import Append, Appended, AppendFailed, EventsRead, JournalAdvanced, Mailbox, ReadEvents
from tbot_actors.journal.store import EVENTS_PER_APPEND_MAX
from tbot_actors.world import Clock

OUTSTANDING_MAX = 256


class JournalBehind(Exception):
    """As many appends as allowed have no answer. Nothing was told; the journal is slow or down."""


class JournalReader:
    """Every event of the journal once and in order, from the beginning and then live, by the same path."""

    def __init__(self, journal: Mailbox, me: Mailbox) -> None:
        self._journal = journal
        self._me = me
        self._head = 0
        self._goal: int | None = None
        self._asking = False
        self._token = object()
        self.sequence = 0
        """The last event taken."""
        self.caught_up = False
        """Everything that was in the journal when it first answered has been taken. Stays true.

        That includes whatever earlier incarnations of this actor appended: nothing of theirs can follow.
        """

    def start(self, after: int = 0) -> None:
        """Ask for the first page, of the events above `after`. Raises MailboxFull."""
        self.sequence = self._head = after
        self._goal = None
        self.caught_up = False
        self._ask()

    def advanced(self, news: JournalAdvanced) -> None:
        """The journal has more. Raises MailboxFull."""
        self._head = max(self._head, news.head)
        self._ask_for_more()

    def take(self, page: EventsRead) -> Iterable[tuple[int, Event]]:
        """The page's events with their sequences; the next page is asked for. Nothing for a page taken before.

        Apply all of them before the next message is handled. Raises MailboxFull.
        """
        # A page asked for by an earlier incarnation does not have what that one appended last.
        if page.after != self.sequence or (page.token is not None and page.token is not self._token):
            return ()
        last = page.after + len(page.events)
        assert page.head >= last, f"the journal ends at {page.head}, before what was read from it ({last})"
        self._asking = False
        self._head = max(self._head, page.head)
        self._goal = page.head if self._goal is None else self._goal
        first, self.sequence = self.sequence + 1, last
        self.caught_up = self.caught_up or self.sequence >= self._goal
        self._ask_for_more()
        return tuple(enumerate(page.events, first))

    def journal_down(self) -> None:
        """The journal's incarnation is dead, and with it the question: ask the next one. Raises MailboxFull."""
        self._ask()

    def _ask_for_more(self) -> None:
        if self._head > self.sequence and not self._asking:
            self._ask()

    def _ask(self) -> None:
        self._journal.tell(ReadEvents(self.sequence, self._me, self._token))
        self._asking = True


@frozen
class _Outstanding:
    append: Append
    told_ns: int


class JournalWriter:
    """Appends in order: each is in the journal once or never, whatever crashes, and never before the one before it."""

    def __init__(self, journal: Mailbox, me: Mailbox, clock: Clock, *, outstanding_max: int = OUTSTANDING_MAX) -> None:
        self._journal = journal
        self._me = me
        self._clock = clock
        self._outstanding_max = outstanding_max
        # No earlier incarnation has this name: a restart takes time.
        self._name = f"{me.path}/{clock.wall_ns()}"
        self._count = 0
        self._waiting: dict[str, _Outstanding] = {}

    @property
    def outstanding(self) -> int:
        """Appends without an answer; at most 256."""
        return len(self._waiting)

    @property
    def oldest_ns(self) -> int | None:
        """When the oldest append without an answer was first told, monotonic; None where all are answered."""
        return next(iter(self._waiting.values())).told_ns if self._waiting else None

    def append(self, *events: Event) -> str:
        """Tell the journal to write these as one commit, and return the append's id. They are durable once `appended`.

        Raises ValueError for no or too many events, JournalBehind, MailboxFull: nothing was told.
        """
        if not 0 < len(events) <= EVENTS_PER_APPEND_MAX:
            raise ValueError(f"an append has 1 to {EVENTS_PER_APPEND_MAX} events, not {len(events)}")
        if len(self._waiting) >= self._outstanding_max:
            raise JournalBehind(f"{self._me.path} waits for {len(self._waiting)} answers of the journal")
        append_id = f"{self._name}/{self._count + 1}"
        append = Append(append_id, events, self._me, next(reversed(self._waiting), None))
        self._journal.tell(append)
        self._count += 1
        self._waiting[append_id] = _Outstanding(append, self._clock.monotonic_ns())
        return append_id

    def appended(self, answer: Appended) -> tuple[Event, ...] | None:
        """The events that are durable now; None for an append of an earlier incarnation, or one answered before."""
        return self._answered(answer.append_id)

    def failed(self, answer: AppendFailed) -> tuple[Event, ...] | None:
        """The events that never will be in the journal; None as in `appended`. Crash, unless you know better."""
        return self._answered(answer.append_id)

    def journal_down(self) -> None:
        """The journal's incarnation is dead: tell everything without an answer again, in order. Raises MailboxFull."""
        follows: str | None = None
        for append_id, outstanding in self._waiting.items():
            append = evolve(outstanding.append, follows=follows)
            self._waiting[append_id] = _Outstanding(append, outstanding.told_ns)
            self._journal.tell(append)
            follows = append_id

    def _answered(self, append_id: str) -> tuple[Event, ...] | None:
        outstanding = self._waiting.pop(append_id, None)
        return None if outstanding is None else outstanding.append.events
