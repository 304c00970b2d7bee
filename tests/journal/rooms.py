"""What the tests of the journal share: a mailbox to look into, a journal in memory, and a journal on disk to damage."""

from __future__ import annotations

import sqlite3
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tbot_actors.domain.events import Event
from tbot_actors.domain.messages import Append
from tbot_actors.journal import store
from tbot_actors.kernel import MailboxFull

OWNER = store.Owner("MMMM", "paper", "main")


class Box:
    """A mailbox that keeps what it is told, up to its room."""

    def __init__(self, path: str = "core/orders", room: int = 1_000_000) -> None:
        self.path = path
        self.room = room
        self.messages: deque[Any] = deque()

    def tell(self, message: Any) -> None:
        if len(self.messages) >= self.room:
            raise MailboxFull(self.path, type(message), self.room)
        self.messages.append(message)

    def take(self) -> list[Any]:
        taken = list(self.messages)
        self.messages.clear()
        return taken


def memory() -> sqlite3.Connection:
    """An empty journal in memory, in autocommit as the world's connections are."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    store.create(connection)
    return connection


def prepared(append_id: str, *events: Event, follows: str | None = None) -> store.Prepared:
    """An append ready to be written."""
    return store.prepare(Append(append_id, events, Box(), follows))


def write(
    connection: sqlite3.Connection, *appends: store.Prepared, answered: Sequence[str] = ()
) -> Sequence[store.Result]:
    """One commit."""
    connection.execute("BEGIN IMMEDIATE")
    written = store.write(connection, appends, answered)
    connection.execute("COMMIT")
    assert written.head == store.head(connection)
    return written.results


def everything(connection: sqlite3.Connection) -> tuple[Event, ...]:
    """All events."""
    last = store.head(connection).sequence
    return store.read(connection, 0, last, limit=last + 1)


@contextmanager
def surgery(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """What no job can do: change rows that are final."""
    triggers = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
    for name, _ in triggers:
        connection.execute(f"DROP TRIGGER {name}")
    yield connection
    for _, sql in triggers:
        connection.execute(sql)


@contextmanager
def on_disk(folder: Path) -> Iterator[sqlite3.Connection]:
    """The database of a stopped journal, open for surgery."""
    connection = sqlite3.connect(folder / store.DATABASE_NAME, isolation_level=None)
    with surgery(connection):
        yield connection
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
