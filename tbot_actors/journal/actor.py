"""The journal: the durable record of the bot. The only actor that writes to the disk, and the backbone of all others.

    rooms ── Append ─────> queue ──> one commit for all that wait ──> Appended to each, JournalAdvanced to all readers
    rooms ── ReadEvents ──────────────────────────────────────────> EventsRead, from memory or from the disk

One task owns the open files; the incarnation ends with it.
"""

from functools import partial
from pathlib import Path

import trio

from tbot_actors.domain.messages import Append, AppendFailed, EventsRead, ReadEvents
from tbot_actors.journal import store
from tbot_actors.journal.chain import Link
from tbot_actors.journal.desk import Desk, Letter
from tbot_actors.journal.opening import OpenJournal, generation_id, open_journal
from tbot_actors.journal.outbox import Outbox
from tbot_actors.journal.settings import JournalSettings
from tbot_actors.kernel import REJECT, Actor, Address, Down, handles

APPENDS_IN_MAILBOX_MAX = 4096
READS_IN_MAILBOX_MAX = 1024


class Journal(Actor):
    """Appends events, tells who appended them once they are durable, and serves them in order to whoever reads.

    Ready once the journal is verified against its anchor and this process start is counted. Failed starts that no
    restart mends raise JournalRefused (other mode, account or bot; later format) or JournalCorrupt.
    """

    def __init__(
        self,
        folder: Path,
        *,
        bot: str,
        mode: str,
        account: str,
        process_token: str,
        settings: JournalSettings | None = None,
    ) -> None:
        self._folder = folder
        self._owner = store.Owner(bot, mode, account)
        self._process_token = process_token
        self._settings = settings or JournalSettings()
        self._desk = Desk(self._settings)
        self._outbox = Outbox(self._settings.undelivered_max)
        self._opened = trio.Event()
        self._work = trio.Event()
        self._far_work = trio.Event()
        self._undelivered = trio.Event()
        self._progress = trio.Event()
        self._anchored: Link | None = None
        self._open: OpenJournal | None = None

    async def started(self) -> None:
        """Open and verify; see the class for what is raised."""
        self.context.spawn(self._hold_files, name="journal files")
        await self._opened.wait()
        self.context.ready()

    async def stopping(self) -> None:
        """Write what was taken, tell its senders, and leave the anchor at the head."""
        while not self._desk.idle:
            await self._progress.wait()
        self._anchor()

    @handles(Append, REJECT, room=APPENDS_IN_MAILBOX_MAX)
    async def on_append(self, message: Append) -> None:
        """Waits while a slow disk has too much before it: the mailbox fills, and then refuses."""
        while self._desk.full:
            await self._progress.wait()
        self._tell(self._desk.take_append(message))
        self._work.set()

    @handles(ReadEvents, REJECT, room=READS_IN_MAILBOX_MAX)
    async def on_read_events(self, message: ReadEvents) -> None:
        """Whoever reads is told of new heads from now on."""
        if isinstance(message.reply_to, Address):
            self.context.watch(message.reply_to)
        self._desk.take_read(message)
        self._serve_reads()

    @handles(Down)
    async def on_down(self, message: Down) -> None:
        """A reader that only restarts keeps its mailbox, and stays."""
        if message.gone:
            self._desk.forget(message.path)

    async def _hold_files(self) -> None:
        async with open_journal(
            self.context.world, self._folder, self._owner, generation_id(self._process_token), self._settings
        ) as journal:
            self._open = journal
            self._anchored = journal.anchored
            self._desk.tail.restart(journal.head.sequence - len(journal.newest))
            self._desk.tail.add(journal.newest)
            self.context.log.info("journal open", head=journal.head.sequence, generation=journal.generation)
            self._opened.set()
            self.context.spawn(self._write, journal, name="journal writer")
            self.context.spawn(self._read_far, journal, name="journal reader")
            self.context.spawn(self._keep_anchor, name="journal anchor")
            self.context.spawn(self._tell_again, name="journal outbox")
            await trio.sleep_forever()

    async def _write(self, journal: OpenJournal) -> None:
        while True:
            batch = self._desk.batch()
            if not batch:
                self._work = await _woken(self._work)
                continue
            job = partial(store.write, appends=[job.prepared for job in batch], answered=self._desk.failed)
            written = await journal.database.write(job)
            # No checkpoint from here on: what is durable is answered even where this incarnation is being cancelled.
            journal.head = written.head
            if early := sum(isinstance(result, store.Early) for result in written.results):
                self.context.log.info("appends without their predecessor, to be told again", count=early)
            self._tell(self._desk.settle(batch, written))
            self._serve_reads()
            self._progress.set()
            self._progress = trio.Event()

    async def _read_far(self, journal: OpenJournal) -> None:
        while True:
            asked = self._desk.next_far_read()
            if asked is None:
                self._far_work = await _woken(self._far_work)
                continue
            job = partial(store.read, after=asked.after, last=self._desk.tail.head)
            events = await journal.database.read(job)
            page = EventsRead(asked.after, events, self._desk.tail.head, asked.token)
            self._tell([Letter(asked.reply_to, page)])

    async def _keep_anchor(self) -> None:
        while True:
            await trio.sleep(self._settings.anchor_period_s)
            self._anchor()

    def _anchor(self) -> None:
        if self._open is not None and self._open.head != self._anchored:
            self._open.anchor.write(self._open.head)
            self._anchored = self._open.head

    def _serve_reads(self) -> None:
        self._tell(self._desk.pages())
        self._far_work.set()

    async def _tell_again(self) -> None:
        while True:
            await trio.sleep(self._settings.undelivered_retry_s)
            if not self._outbox:
                self._undelivered = await _woken(self._undelivered)
            self._outbox.retry()

    def _tell(self, letters: list[Letter]) -> None:
        for letter in letters:
            if isinstance(letter.message, AppendFailed):
                self.context.log.error(
                    "append failed", by=letter.to.path, append_id=letter.message.append_id, why=letter.message.why
                )
        self._outbox.tell(letters)
        if self._outbox:
            self._undelivered.set()


async def _woken(event: trio.Event) -> trio.Event:
    """Wait for the event, and return the one to wait for next."""
    await event.wait()
    return trio.Event()
