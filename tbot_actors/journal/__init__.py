"""The durable record: append, read, verify, back up. Everything durable is a fold of its events.

`Journal` is the actor; other rooms hold a `JournalReader` and a `JournalWriter`; the command line uses `open_record`.
"""

from tbot_actors.journal.actor import Journal
from tbot_actors.journal.chain import Link
from tbot_actors.journal.client import JournalBehind, JournalReader, JournalWriter
from tbot_actors.journal.errors import JournalCorrupt, JournalRefused
from tbot_actors.journal.opening import prove, record
from tbot_actors.journal.outbox import OutboxFull
from tbot_actors.journal.reads import Record, open_record, read_all
from tbot_actors.journal.settings import JournalSettings
from tbot_actors.journal.store import Owner
from tbot_actors.journal.verify import Fault, VerifyReport, verify

__all__ = [
    "Journal",
    "JournalSettings",
    "JournalReader",
    "JournalWriter",
    "JournalBehind",
    "JournalRefused",
    "JournalCorrupt",
    "OutboxFull",
    "Record",
    "Owner",
    "prove",
    "record",
    "open_record",
    "read_all",
    "Link",
    "VerifyReport",
    "Fault",
    "verify",
]
