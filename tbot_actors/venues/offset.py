"""What the venue's clock shows, seen from ours."""

from attrs import define


@define(eq=False)
class Offset:
    """Venue clock minus our wall clock, ns. One per venue: VenueClock writes it, sessions stamp requests by it."""

    ns: int = 0

    def __call__(self) -> int:
        """The offset now."""
        return self.ns
