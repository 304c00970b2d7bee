"""The hash chain: each row carries the hash of itself and the row before, so no row changes or goes unseen."""

from hashlib import sha256

from attrs import frozen

GENESIS = bytes(32)
"""What the first row is chained to."""


@frozen
class Link:
    """One place in the chain. All rows up to `sequence` are implied by its hash."""

    sequence: int
    hash: bytes

    def next(self, kind: str, payload: bytes) -> "Link":
        """The link of the row that follows this one."""
        sequence = self.sequence + 1
        digest = sha256(self.hash)
        digest.update(sequence.to_bytes(8, "big"))
        digest.update(kind.encode())
        digest.update(b"\0")
        digest.update(payload)
        return Link(sequence, digest.digest())


START = Link(0, GENESIS)
"""The journal before its first row."""
