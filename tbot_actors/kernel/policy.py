"""What a mailbox does with a message of one class when there is no room for it."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from enum import Enum
from typing import Any

from attrs import frozen


class PolicyKind(Enum):
    """The four answers to a full mailbox."""

    BLOCK = "block"
    REJECT = "reject"
    DROP_OLDEST = "drop oldest"
    CONFLATE = "conflate"


@frozen
class Policy:
    """One answer; use the constants `BLOCK`, `REJECT`, `DROP_OLDEST` and the function `conflate`."""

    kind: PolicyKind
    key: Callable[[Any], Hashable] | None = None
    """For CONFLATE: messages with an equal key share one place."""

    @property
    def droppable(self) -> bool:
        """True where a queued message may be replaced, and counted, without its sender being told."""
        return self.kind in (PolicyKind.DROP_OLDEST, PolicyKind.CONFLATE)


BLOCK = Policy(PolicyKind.BLOCK)
"""`tell` raises MailboxFull, `send` waits for room."""

REJECT = Policy(PolicyKind.REJECT)
"""`tell` and `send` both raise MailboxFull at once."""

DROP_OLDEST = Policy(PolicyKind.DROP_OLDEST)
"""The oldest waiting message of the same class makes room, and is counted as dropped."""


def conflate(key: Callable[[Any], Hashable]) -> Policy:
    """One waiting message per key: it keeps the oldest place and has the newest value; replaced values are counted."""
    return Policy(PolicyKind.CONFLATE, key)
