"""The watchdog: turns what is wrong into what may still be done, and does what must be done.

    Alarm, kill file, tree, journal's lag ──▶ Standing ──▶ PauseChanged (journaled, and told at once)
                                                 └──▶ latch (file first, then journaled) ──▶ closing
    HaltWanted, FlattenWanted, ResumeWanted (asked) ──▶ latch      StopWanted ──▶ closing ──▶ StopReport

Closing (closing.py) runs beside the mailbox, one run at a time, for everything that is wanted closed at that moment.
After a restart of this actor a latched flatten goes on by itself; a stop goes on when it is asked for again, and its
pause STOPPING stands until then.
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path

import trio
from attrs import define, evolve, field, frozen

from tbot_actors.domain.events import Event, LatchChanged, OrderCommitted, PauseChanged, Stopped
from tbot_actors.domain.ids import ClientIds, Sender
from tbot_actors.domain.instruments import InstrumentId
from tbot_actors.domain.latch import ACCOUNT
from tbot_actors.domain.messages import (
    Alarm,
    Appended,
    AppendFailed,
    Cause,
    EventsRead,
    FlattenWanted,
    GatewayReady,
    HaltWanted,
    JournalAdvanced,
    Mailbox,
    OnStop,
    ResumeWanted,
    SafetyAnswer,
    StopReport,
    StopWanted,
)
from tbot_actors.domain.money import plain
from tbot_actors.journal import JournalBehind, JournalReader, JournalWriter
from tbot_actors.kernel import (
    BLOCK,
    Actor,
    Address,
    BranchLimitReached,
    Down,
    MailboxFull,
    TreeSnapshot,
    conflate,
    handles,
)
from tbot_actors.venues.dialect import Session
from tbot_actors.watchdog.books import Books
from tbot_actors.watchdog.closing import Surroundings, close_all
from tbot_actors.watchdog.kill_file import read_kill_file
from tbot_actors.watchdog.ladder import (
    JOURNAL,
    LatchCause,
    Standing,
    pauses,
    still_holds,
    to_latch,
    with_alarm,
    with_found,
    with_inherited,
)
from tbot_actors.watchdog.latching import LatchDoor
from tbot_actors.watchdog.progress import core_is_up, found_in, is_core
from tbot_actors.watchdog.settings import WatchdogSettings
from tbot_actors.watchdog.wants import Extent, extent_for, wants_of
from tbot_actors.world import DiskFailure, SlotFile

_NS = 1_000_000_000
_PAUSES_BEHIND_MAX = 64
"""Appends without an answer beyond which changes of pauses are told but not journaled, until the journal is back."""
_IDS_PER_INCARNATION = 1 << 20
"""Each incarnation counts from its own multiple: an id that a dead journal never saw is not given again."""
_BACKLOG_MAX = 1000

Held = tuple[tuple[str, InstrumentId, Decimal], ...]
"""Strategy, instrument, quantity."""


class AppendRefused(Exception):
    """The journal refused rows of safety: start again from the journal."""


@frozen
class _Tick:
    """Time to look around."""


@frozen
class _Closed:
    """A run has ended."""

    report: StopReport
    version: int
    """Of what was wanted when it began."""


@frozen
class _CloseAgain:
    """Time to try again what a run has left."""


@define(eq=False)
class _Commit:
    """A row that somebody waits for."""

    last: int | None = None
    """Its sequence, once it is durable."""
    read_back: trio.Event = field(factory=trio.Event)


class Watchdog(Actor):
    """Safety. It owns the latch and the pauses, and it alone closes positions beside the strategies."""

    def __init__(
        self,
        *,
        bot: str,
        account: str,
        journal: Address,
        risk: Address,
        orders: Address,
        listeners: Sequence[Address] = (),
        open_sessions: Mapping[str, Callable[[], Session]],
        latch: SlotFile,
        kill_file: Path,
        snapshot: Callable[[], TreeSnapshot | None],
        settings: WatchdogSettings,
    ) -> None:
        """`listeners` are told of pauses at once, beside risk. `snapshot` may give None while the tree is built."""
        self._bot = bot
        self._account = account
        self._journal = journal
        self._orders = orders
        self._listeners = {address.path: address for address in (risk, *listeners)}
        self._open_sessions = open_sessions
        self._kill_file = kill_file
        self._snapshot = snapshot
        self._settings = settings
        self._books = Books()
        self._door = LatchDoor.load(latch)
        self._standing = Standing(unreconciled=frozenset(open_sessions), latch=self._door.latch)
        self._told: dict[str, dict[str, tuple[str, ...] | None]] = {path: {} for path in self._listeners}
        """Pauses by listener and scope; None where they must be told again."""
        self._journaled: dict[str, tuple[str, ...] | None] = {}
        self._stamp_ns = 0
        self._backlog: deque[tuple[Event, ...]] = deque(maxlen=_BACKLOG_MAX)
        self._commits: dict[str, _Commit] = {}
        self._ids: ClientIds | None = None
        self._core_down: str | None = None
        self._on_stop: OnStop | None = None
        self._stop_askers: dict[str, Mailbox] = {}
        self._wants: dict[str, Extent] = {}
        self._version = 0
        """Counts the changes of `_wants`."""
        self._closing = False
        self._closed_version = 0
        self._held_at_end: Held = ()
        """What the journal showed of the scopes to be flat when the last run ended."""

    async def started(self) -> None:
        """In force at once: the latch as the file has it, and no new risk before every venue is reconciled."""
        self._clock = self.context.world.clock
        self._reader = JournalReader(self._journal, self.context.address)
        self._writer = JournalWriter(self._journal, self.context.address, self._clock)
        self._journal_seen_ns = self._clock.monotonic_ns()
        self.context.watch(self._journal)
        self._reader.start()
        self.context.every(self._settings.look_every_s, _Tick())
        self._look()

    # The journal

    @handles(JournalAdvanced, conflate(lambda _: None))
    async def on_journal_advanced(self, message: JournalAdvanced) -> None:
        self._reader.advanced(message)

    @handles(EventsRead, BLOCK)
    async def on_events_read(self, message: EventsRead) -> None:
        was_caught_up = self._reader.caught_up
        for _, event in self._reader.take(message):
            self._books.apply(event)
        if self._reader.caught_up and not was_caught_up:
            self._recover()
        self._end_commits()

    def _recover(self) -> None:
        """The journal is read: take over what an earlier incarnation, or process, left."""
        given = self.context.incarnation * _IDS_PER_INCARNATION
        self._ids = ClientIds(self._bot, Sender.SAFETY, self._books.generation, given)
        self._standing = with_inherited(self._standing, self._books.pauses)
        # What an earlier incarnation barred is lifted, or barred again, with newer stamps than it used.
        self._stamp_ns = max(self._stamp_ns, self._books.stamp_ns)
        for known in (self._journaled, *self._told.values()):
            known.update(dict.fromkeys({*known, *self._books.pauses}))
        for scope in sorted({*self._books.latched, *self._door.latch.causes}):
            causes = self._door.latch.causes.get(scope, ())
            if causes != self._books.latched.get(scope, ()):
                self._append(LatchChanged(scope, causes, "watchdog", "as found in the latch file", self._stamp()))
        self._settle()
        self.context.ready()

    @handles(Appended, BLOCK)
    async def on_appended(self, message: Appended) -> None:
        if self._writer.appended(message) is not None and message.append_id in self._commits:
            self._commits[message.append_id].last = message.last
            self._end_commits()
        self._flush()

    @handles(AppendFailed, BLOCK)
    async def on_append_failed(self, message: AppendFailed) -> None:
        raise AppendRefused(message.why)

    @handles(Down, BLOCK)
    async def on_down(self, message: Down) -> None:
        self._reader.journal_down()
        self._writer.journal_down()

    # What is wrong

    @handles(Alarm, conflate(lambda alarm: (alarm.source, alarm.cause, alarm.scope)))
    async def on_alarm(self, message: Alarm) -> None:
        self._standing = with_alarm(self._standing, message)
        self._settle()

    @handles(GatewayReady, BLOCK)
    async def on_gateway_ready(self, message: GatewayReady) -> None:
        alarm = Alarm(JOURNAL, Cause.VENUE_OUTAGE, f"venue:{message.venue}", False, "")
        self._standing = with_alarm(self._standing, alarm)
        self._settle()

    @handles(BranchLimitReached, BLOCK)
    async def on_branch_limit_reached(self, message: BranchLimitReached) -> None:
        self.context.log.error("restart limit reached", path=message.path, outcome=message.outcome.value)
        if is_core(message.path):
            self._core_down = f"{message.path}: {message.outcome.value}"
            self._look()

    @handles(_Tick, conflate(lambda _: None))
    async def on_tick(self, message: _Tick) -> None:
        if self._door.unwritten is not None:
            self.context.log.error("the latch stands in memory only", why=self._door.unwritten)
            self._door.write()
        self._flush()
        self._look()

    def _look(self) -> None:
        """Look around: the tree, the journal's answers, the kill file."""
        found: dict[tuple[Cause, str], str] = {}
        tree = self._snapshot()
        if tree is not None:
            found.update(found_in(tree, int(self._settings.stalled_s * _NS)))
            if self._core_down is not None and core_is_up(tree):
                self._core_down = None
        if self._core_down is not None:
            found[Cause.CORE_DOWN, ACCOUNT] = self._core_down
        lag_ns = self._journal_lag_ns()
        if lag_ns > self._settings.journal_lag_s * _NS:
            found[Cause.JOURNAL_LAG, ACCOUNT] = f"no answer of the journal for {lag_ns / _NS:.1f} s"
        if self._on_stop is not None:
            found[Cause.STOPPING, ACCOUNT] = self._on_stop.value
        standing = with_found(self._standing, self.context.path, found)
        self._standing = evolve(standing, kill=read_kill_file(self.context.world.files, self._kill_file))
        self._settle()

    def _journal_lag_ns(self) -> int:
        """How long the journal owes an answer to us, or is not there at all."""
        now_ns = self._clock.monotonic_ns()
        if self._journal.ready:
            self._journal_seen_ns = now_ns
        oldest_ns = self._writer.oldest_ns
        return now_ns - (self._journal_seen_ns if oldest_ns is None else min(oldest_ns, self._journal_seen_ns))

    # The ladder

    def _settle(self) -> None:
        """Bring latch, pauses and closing in line with what stands."""
        for scope, cause, detail in to_latch(self._standing):
            self._latch(scope, cause, "watchdog", detail)
        self._publish()
        self._start_closing()

    def _latch(self, scope: str, cause: LatchCause, by: str, reason: str) -> None:
        """Set a cause: the file first, the journal after."""
        self._door.raise_to(self._door.latch.set(scope, cause.value))
        self._standing = evolve(self._standing, latch=self._door.latch)
        self.context.log.error("latched", scope=scope, cause=cause.value, by=by, reason=reason)
        self._append(LatchChanged(scope, self._door.latch.causes[scope], by, reason, self._stamp()))

    def _publish(self) -> None:
        """Tell and journal the pauses that changed."""
        standing = pauses(self._standing)
        for scope in sorted({*standing, *self._journaled, *(scope for told in self._told.values() for scope in told)}):
            causes = standing.get(scope, ())
            if all(known.get(scope, ()) == causes for known in (self._journaled, *self._told.values())):
                continue
            change = PauseChanged(scope, causes, self._stamp())
            for path, address in self._listeners.items():
                if self._told[path].get(scope, ()) != causes:
                    try:
                        address.tell(change)
                        self._told[path][scope] = causes
                    except MailboxFull:
                        self.context.log.warning("no room for a change of pauses; told again", to=path, scope=scope)
            if self._journaled.get(scope, ()) != causes and self._writer.outstanding < _PAUSES_BEHIND_MAX:
                self._append(change)
                self._journaled[scope] = causes

    # A person

    @handles(HaltWanted, BLOCK)
    async def on_halt_wanted(self, message: HaltWanted) -> SafetyAnswer:
        return self._latched_by(message.scope, LatchCause.PERSON_HALT, message.by, message.reason)

    @handles(FlattenWanted, BLOCK)
    async def on_flatten_wanted(self, message: FlattenWanted) -> SafetyAnswer:
        return self._latched_by(message.scope, LatchCause.PERSON_FLATTEN, message.by, message.reason)

    def _latched_by(self, scope: str, cause: LatchCause, by: str, reason: str) -> SafetyAnswer:
        if not _is_scope(scope):
            return SafetyAnswer(False, f"{scope!r} is no scope: account, venue:NAME or strategy:NAME")
        self._latch(scope, cause, by or "unnamed", reason)
        self._settle()
        return SafetyAnswer(True, f"{scope} is latched: {cause.value}")

    @handles(ResumeWanted, BLOCK)
    async def on_resume_wanted(self, message: ResumeWanted) -> SafetyAnswer:
        refusal = self._refusal(message)
        if refusal is not None:
            return SafetyAnswer(False, refusal)
        latch = self._door.latch.cleared(message.scope, message.causes)
        try:
            self._door.lower_to(latch)
        except DiskFailure as failure:
            return SafetyAnswer(False, f"the latch file cannot be written: {failure}")
        self._standing = evolve(self._standing, latch=latch)
        left = latch.causes.get(message.scope, ())
        self._append(LatchChanged(message.scope, left, message.by, message.reason, self._stamp()))
        self._settle()
        still = f"; still latched: {', '.join(left)}" if left else ""
        return SafetyAnswer(True, f"{message.scope} resumed from {', '.join(message.causes)}{still}")

    def _refusal(self, wanted: ResumeWanted) -> str | None:
        """Why a latch is not lifted."""
        if not wanted.by.strip() or not wanted.reason.strip():
            return "a resume needs a name and a reason"
        standing = self._door.latch.causes.get(wanted.scope, ())
        strange = [cause for cause in wanted.causes if cause not in standing]
        if strange or not wanted.causes:
            return f"{wanted.scope} is latched for {', '.join(standing) or 'nothing'}: name the causes to lift"
        if self._closing:
            return "safety is cancelling or closing: wait for its end"
        holding = [why for cause in wanted.causes if (why := still_holds(self._standing, wanted.scope, cause))]
        return "; ".join(holding) or None

    # Closing

    @handles(StopWanted, BLOCK)
    async def on_stop_wanted(self, message: StopWanted) -> None:
        self._stop_askers[message.reply_to.path] = message.reply_to
        if self._on_stop is not OnStop.FLATTEN:
            self._on_stop = message.on_stop
        self._look()

    def _start_closing(self) -> None:
        """Begin a run where something is wanted that no run has done, or somebody waits for one."""
        wants = wants_of(self._door.latch, self._on_stop)
        if any(extent > self._wants.get(scope, Extent.NOTHING) for scope, extent in wants.items()):
            self._version += 1
        self._wants = wants
        due = self._version != self._closed_version or self._stop_askers or self._held() != self._held_at_end
        if wants and due and not self._closing:
            self._run()

    def _run(self) -> None:
        self._closing = True
        self.context.spawn(self._close, self._version, name=f"{self.context.path}: closing")

    def _held(self) -> Held:
        """What the journal shows of the scopes that are to be flat: a change there after a run makes another."""
        return tuple(
            (strategy, name, position.quantity)
            for (strategy, name), position in self._books.inventory.positions.items()
            if position.quantity and extent_for(self._wants, name.partition(":")[0], strategy) is Extent.POSITIONS
        )

    async def _close(self, version: int) -> None:
        report = await close_all(
            Surroundings(
                bot=self._bot,
                account=self._account,
                me=self.context.address,
                orders=self._orders,
                clock=self._clock,
                settings=self._settings,
                log=self.context.log,
                books=self._books,
                wants=lambda: self._wants,
                books_ready=lambda: self._reader.caught_up,
                next_id=self._next_id,
                commit=self._commit,
            ),
            self._open_sessions,
        )
        if self._on_stop is not None and version == self._version:
            left = {str(name): plain(quantity) for name, quantity in report.left.items()}
            await self._commit(Stopped(report.flat, report.open_orders, self._stamp(), left))
        self.context.address.tell(_Closed(report, version))

    @handles(_Closed, BLOCK)
    async def on_closed(self, message: _Closed) -> None:
        self._closing = False
        self._closed_version = message.version
        self._held_at_end = self._held()
        report = message.report
        closes = Extent.POSITIONS in self._wants.values()
        say = self.context.log.error if closes and not report.flat else self.context.log.info
        left = {name: plain(quantity) for name, quantity in report.left.items()}
        say("closing ended", flat=report.flat, open_orders=report.open_orders, left=left, why=report.detail)
        if message.version == self._version:
            for asker in self._stop_askers.values():
                asker.tell(report)
            self._stop_askers.clear()
            if closes and not report.flat:
                self.context.after(self._settings.again_s, _CloseAgain())
        self._start_closing()

    @handles(_CloseAgain, BLOCK)
    async def on_close_again(self, message: _CloseAgain) -> None:
        if self._wants and not self._closing:
            self._run()

    # Rows

    def _next_id(self) -> str:
        assert self._ids is not None, "no closing order before the journal is read"
        return self._ids.next()

    async def _commit(self, event: OrderCommitted | Stopped) -> bool:
        """Journal it and read it back, with all before it. It stays on its way when that takes too long."""
        append_id = self._append(event)
        if append_id is None:
            return False
        commit = self._commits[append_id] = _Commit()
        with trio.move_on_after(self._settings.journal_lag_s):
            await commit.read_back.wait()
        del self._commits[append_id]
        return commit.read_back.is_set()

    def _end_commits(self) -> None:
        for commit in self._commits.values():
            if commit.last is not None and self._reader.sequence >= commit.last:
                commit.read_back.set()

    def _append(self, *events: Event) -> str | None:
        """Append, or keep for when the journal answers again."""
        if not self._backlog:
            try:
                return self._writer.append(*events)
            except (JournalBehind, MailboxFull):
                self.context.log.error("the journal is behind; kept for later", rows=len(self._backlog) + 1)
        self._backlog.append(events)
        return None

    def _flush(self) -> None:
        while self._backlog:
            try:
                self._writer.append(*self._backlog[0])
            except (JournalBehind, MailboxFull):
                return
            self._backlog.popleft()

    def _stamp(self) -> int:
        """Wall time, but never the same or an earlier one twice: whoever hears of two changes knows the newer one."""
        self._stamp_ns = max(self._clock.wall_ns(), self._stamp_ns + 1)
        return self._stamp_ns


def _is_scope(scope: str) -> bool:
    kind, _, name = scope.partition(":")
    return scope == ACCOUNT or (kind in ("venue", "strategy") and bool(name))
