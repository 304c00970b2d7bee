"""The latch: the durable "no new risk", as values and bytes. Its file is two checksummed slots of the world."""

import msgspec
from attrs import field, frozen

ACCOUNT = "account"


class LatchUnreadable(Exception):
    """The bytes are no latch. Whoever meets this must act as if latched."""


@frozen
class Latch:
    """Causes by scope (`account`, `venue:NAME`, `strategy:NAME`).

    A scope with causes takes no new risk until a person lifts it.
    """

    causes: dict[str, tuple[str, ...]] = field(factory=dict)

    def set(self, scope: str, cause: str) -> "Latch":
        """With one more cause; the same cause twice changes nothing."""
        standing = self.causes.get(scope, ())
        return self if cause in standing else Latch({**self.causes, scope: (*standing, cause)})

    def cleared(self, scope: str, causes: tuple[str, ...]) -> "Latch":
        """Without the named causes of one scope."""
        left = tuple(cause for cause in self.causes.get(scope, ()) if cause not in causes)
        others = {name: standing for name, standing in self.causes.items() if name != scope}
        return Latch({**others, scope: left} if left else others)

    def bars(self, venue: str, strategy: str) -> tuple[str, ...]:
        """The causes that bar new risk for this strategy at this venue; empty when none does."""
        scopes = (ACCOUNT, f"venue:{venue}", f"strategy:{strategy}")
        return tuple(f"{scope}: {cause}" for scope in scopes for cause in self.causes.get(scope, ()))


UNREADABLE = Latch({ACCOUNT: ("the latch file is unreadable",)})
"""What an unreadable latch counts as."""


def encode_latch(latch: Latch) -> bytes:
    """Stable bytes."""
    return msgspec.json.encode(latch, order="deterministic")


def decode_latch(data: bytes | None) -> Latch:
    """The latch; None (a file never written) is no latch. Raises LatchUnreadable."""
    if data is None:
        return Latch()
    try:
        return msgspec.json.decode(data, type=Latch)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        # Damaged bytes are no UTF-8, which msgspec lets through as Python's own error.
        raise LatchUnreadable(str(error)) from error
