"""The journal's tables, and the jobs that run on them inside the writer's or a reader's transaction.

`events` is the chain. `appends` remembers which appends are in it, so that a repeated one is answered, not written.
`fills` holds the key of every fill once.
"""

import sqlite3
from collections.abc import Collection, Iterable, Sequence

from attrs import frozen

from tbot_actors.domain.codec import UnreadableEvent, decode_event, encode_event
from tbot_actors.domain.events import Event, Fill, GenerationStarted
from tbot_actors.domain.messages import Append
from tbot_actors.journal.chain import START, Link
from tbot_actors.journal.errors import JournalCorrupt, JournalRefused

DATABASE_NAME = "journal.db"
APPLICATION_ID = 0x54424F54
FORMAT = 1
PAGE_EVENTS_MAX = 500
EVENTS_PER_APPEND_MAX = 1000
PAYLOAD_BYTES_MAX = 1 << 20

_SCHEMA = (
    """CREATE TABLE events (
        sequence INTEGER PRIMARY KEY CHECK (sequence > 0),
        kind TEXT NOT NULL,
        payload BLOB NOT NULL,
        hash BLOB NOT NULL CHECK (length(hash) = 32))""",
    """CREATE TABLE appends (
        append_id TEXT NOT NULL PRIMARY KEY,
        first INTEGER NOT NULL,
        last INTEGER NOT NULL) WITHOUT ROWID""",
    """CREATE TABLE fills (
        account TEXT NOT NULL,
        instrument TEXT NOT NULL,
        trade_id TEXT NOT NULL,
        sequence INTEGER NOT NULL,
        PRIMARY KEY (account, instrument, trade_id)) WITHOUT ROWID""",
    "CREATE INDEX generations ON events (sequence) WHERE kind = 'GenerationStarted'",
    "CREATE TRIGGER events_are_final BEFORE UPDATE ON events BEGIN SELECT RAISE(ABORT, 'events are final'); END",
    "CREATE TRIGGER events_stay BEFORE DELETE ON events BEGIN SELECT RAISE(ABORT, 'events stay'); END",
    f"PRAGMA application_id = {APPLICATION_ID}",
    f"PRAGMA user_version = {FORMAT}",
)


@frozen
class Row:
    """One event as it will stand in the journal."""

    event: Event
    kind: str
    payload: bytes
    fill: tuple[str, str, str] | None
    """Account, instrument and trade id of a fill: unique in the journal."""


@frozen
class Prepared:
    """An append whose events are known to be readable again."""

    append_id: str
    follows: str | None
    rows: tuple[Row, ...]


class Unwritable(Exception):
    """These events cannot be taken; the text says which and why."""


@frozen
class Wrote:
    """Now in the journal."""

    first: int
    last: int


@frozen
class Repeated:
    """In the journal since an earlier append of the same id; nothing was written."""

    first: int
    last: int


@frozen
class Contradicts:
    """The events contradict the journal; nothing of this append was written."""

    why: str


@frozen
class Early:
    """The append that it follows is not in the journal: lost in a crash, and told again with this one."""


Result = Wrote | Repeated | Contradicts | Early


@frozen
class Written:
    """What one commit did."""

    head: Link
    results: tuple[Result, ...]
    """In the order of the appends."""


def prepare(append: Append) -> Prepared:
    """Encode the events. Raises Unwritable for one that would not come back as it is: a journal must stay readable."""
    return prepared(append.append_id, append.follows, append.events)


def prepared(append_id: str, follows: str | None, events: Sequence[Event]) -> Prepared:
    """`prepare` for events that no actor appends."""
    if not 0 < len(events) <= EVENTS_PER_APPEND_MAX:
        raise Unwritable(f"an append has 1 to {EVENTS_PER_APPEND_MAX} events, not {len(events)}")
    return Prepared(append_id, follows, tuple(_row(event) for event in events))


def _row(event: Event) -> Row:
    name = type(event).__name__
    try:
        kind, payload = encode_event(event)
        # What is told live must be what a replay tells: the event comes out of its bytes, and they are its only ones.
        back = decode_event(kind, payload)
        same = back == event and encode_event(back) == (kind, payload)
    except (TypeError, ValueError, OverflowError, RecursionError, NotImplementedError, UnreadableEvent) as error:
        raise Unwritable(f"{name} cannot be journaled: {error}") from error
    if not same:
        raise Unwritable(f"{name} would be read back as another event: it holds a value of a wrong type, or NaN")
    if len(payload) > PAYLOAD_BYTES_MAX:
        raise Unwritable(f"{name} takes {len(payload)} bytes, more than {PAYLOAD_BYTES_MAX}")
    return Row(back, kind, payload, back.key if isinstance(back, Fill) else None)


def create(connection: sqlite3.Connection) -> None:
    """Make the tables in an empty database. Raises JournalRefused for another kind or format."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if (application, version) == (APPLICATION_ID, FORMAT):
        return
    if application == APPLICATION_ID:
        raise JournalRefused(
            f"the journal has format {version}, this version writes {FORMAT}: use the version that wrote it"
        )
    if tables or application or version:
        raise JournalRefused(f"{DATABASE_NAME} is the database of something else: name another journal folder")
    for statement in _SCHEMA:
        connection.execute(statement)


def head(connection: sqlite3.Connection) -> Link:
    """The newest row's link."""
    found = connection.execute("SELECT sequence, hash FROM events ORDER BY sequence DESC LIMIT 1").fetchone()
    return START if found is None else Link(*found)


def read(connection: sqlite3.Connection, after: int, last: int, limit: int = PAGE_EVENTS_MAX) -> tuple[Event, ...]:
    """The events `after + 1` to `last`, at most `limit`. Raises JournalCorrupt where one is missing or unreadable."""
    rows = connection.execute(
        "SELECT sequence, kind, payload FROM events WHERE sequence > ? AND sequence <= ? ORDER BY sequence LIMIT ?",
        (after, last, limit),
    )
    events: list[Event] = []
    for sequence, kind, payload in rows:
        if sequence != after + len(events) + 1:
            raise JournalCorrupt(f"row {after + len(events) + 1} of the journal is missing: run `tbot journal verify`")
        try:
            events.append(decode_event(kind, payload))
        except UnreadableEvent as error:
            raise JournalCorrupt(f"row {sequence} of the journal is unreadable ({error})") from error
    if len(events) < min(limit, last - after):
        raise JournalCorrupt(f"row {after + len(events) + 1} of the journal is missing: run `tbot journal verify`")
    return tuple(events)


def write(connection: sqlite3.Connection, appends: Sequence[Prepared], answered: Collection[str] = ()) -> Written:
    """Write the appends, each wholly or not at all, and none twice. `answered`: ids that were told AppendFailed."""
    now = head(connection)
    failed = set(answered)
    results: list[Result] = []
    for append in appends:
        now, result = _write_one(connection, append, now, failed)
        if isinstance(result, Contradicts):
            failed.add(append.append_id)
        results.append(result)
    return Written(now, tuple(results))


def _write_one(
    connection: sqlite3.Connection, append: Prepared, now: Link, failed: Collection[str]
) -> tuple[Link, Result]:
    known = _find(connection, append.append_id)
    if known is not None:
        if _stored(connection, *known) != [(row.kind, row.payload) for row in append.rows]:
            return now, Contradicts(f"append id {append.append_id} was used before, for other events")
        return now, Repeated(*known)
    if append.follows is not None and append.follows not in failed and _find(connection, append.follows) is None:
        return now, Early()
    for row in append.rows:
        if (why := _known_fill(connection, row)) is not None:
            return now, Contradicts(why)
    connection.execute("SAVEPOINT append_")
    try:
        after = _insert(connection, append, now)
    except sqlite3.IntegrityError as error:
        connection.execute("ROLLBACK TO append_")
        connection.execute("RELEASE append_")
        return now, Contradicts(f"the journal has it already, or it is twice in one append: {error}")
    connection.execute("RELEASE append_")
    return after, Wrote(now.sequence + 1, after.sequence)


def _insert(connection: sqlite3.Connection, append: Prepared, now: Link) -> Link:
    first = now.sequence + 1
    for row in append.rows:
        now = now.next(row.kind, row.payload)
        connection.execute("INSERT INTO events VALUES (?, ?, ?, ?)", (now.sequence, row.kind, row.payload, now.hash))
        if row.fill is not None:
            connection.execute("INSERT INTO fills VALUES (?, ?, ?, ?)", (*row.fill, now.sequence))
    connection.execute("INSERT INTO appends VALUES (?, ?, ?)", (append.append_id, first, now.sequence))
    return now


def _find(connection: sqlite3.Connection, append_id: str) -> tuple[int, int] | None:
    found: tuple[int, int] | None = connection.execute(
        "SELECT first, last FROM appends WHERE append_id = ?", (append_id,)
    ).fetchone()
    return found


def _stored(connection: sqlite3.Connection, first: int, last: int) -> Iterable[tuple[str, bytes]]:
    rows = "SELECT kind, payload FROM events WHERE sequence BETWEEN ? AND ? ORDER BY sequence"
    return connection.execute(rows, (first, last)).fetchall()


def _known_fill(connection: sqlite3.Connection, row: Row) -> str | None:
    if row.fill is None:
        return None
    found = connection.execute(
        "SELECT sequence FROM fills WHERE account = ? AND instrument = ? AND trade_id = ?", row.fill
    ).fetchone()
    if found is None:
        return None
    account, instrument, trade_id = row.fill
    return f"the fill {trade_id} of {instrument} in account {account} is in the journal already, in row {found[0]}"


@frozen
class Owner:
    """Whose journal it is, for good; stated by its first row."""

    bot: str
    mode: str
    account: str


def start_generation(connection: sqlite3.Connection, append_id: str, owner: Owner, stamp_ns: int) -> int:
    """Count this process start, once per `append_id`: its number. Raises JournalRefused for another owner."""
    refuse_another(connection, owner)
    newest = connection.execute(
        "SELECT payload FROM events WHERE kind = 'GenerationStarted' ORDER BY sequence DESC LIMIT 1"
    ).fetchone()
    before = 0 if newest is None else _generation(newest[0]).generation
    if _find(connection, append_id) is not None:
        return before
    event = GenerationStarted(before + 1, owner.bot, owner.mode, owner.account, stamp_ns)
    (result,) = write(connection, [Prepared(append_id, None, (_row(event),))]).results
    assert isinstance(result, Wrote), result
    return before + 1


def refuse_another(connection: sqlite3.Connection, owner: Owner) -> None:
    """Raise JournalRefused where the journal belongs to another bot, mode or account."""
    first = connection.execute("SELECT kind, payload FROM events WHERE sequence = 1").fetchone()
    if first is None:
        return
    if first[0] != GenerationStarted.__name__:
        raise JournalCorrupt("row 1 of the journal is not a start of the bot: run `tbot journal verify`")
    found = _generation(first[1])
    theirs = Owner(found.bot, found.mode, found.account)
    if theirs != owner:
        raise JournalRefused(
            f"this journal is of bot {theirs.bot}, {theirs.mode}, account {theirs.account}; this is bot {owner.bot}, "
            f"{owner.mode}, account {owner.account}: name another journal folder, they cannot share one"
        )


def _generation(payload: bytes) -> GenerationStarted:
    try:
        event = decode_event(GenerationStarted.__name__, payload)
    except UnreadableEvent as error:
        raise JournalCorrupt(f"a start of the bot in the journal is unreadable ({error})") from error
    assert isinstance(event, GenerationStarted)
    return event
