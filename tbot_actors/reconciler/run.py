"""One venue's reconcile as a state machine: when to look, when to look again, and what a finished run says. Pure.

    wanted ──▶ look ──▶ equal ─────────────────────────────▶ clean
                ▲ └──▶ differs ──▶ facts to orders ──▶ pause ──▶ looks spent ──▶ mismatch
                │                                        │
                └────────── read failed: pause ◀─────────┘

What only waits for something on its way when the looks are spent is no mismatch: the next run sees it.
"""

from attrs import define, field, frozen

from tbot_actors.domain.messages import VenueFacts, VenueState
from tbot_actors.reconciler.books import Books
from tbot_actors.reconciler.compare import Seen, compare
from tbot_actors.reconciler.settings import ReconcilerSettings


@frozen
class LookNow:
    """Read the venue under this token."""

    token: int


@frozen
class LookLater:
    """Read the venue under this token, after a pause."""

    token: int
    delay_s: float
    facts: VenueFacts | None = None
    """To be told to orders first."""
    failed: str | None = None
    """Why the look before it failed."""


@frozen
class Finished:
    """A run is over."""

    mismatches: tuple[str, ...]
    fills_found: int
    foreign_orders: int
    foreign_trades: int

    @property
    def clean(self) -> bool:
        """The venue and the journal say the same."""
        return not self.mismatches


Step = LookNow | LookLater | Finished


@define
class Run:
    """The runs of one venue, one at a time. A token names one look; whatever comes for another is stale."""

    settings: ReconcilerSettings
    token: int = 0
    active: bool = False
    """A look is under way or has its time."""
    wanted_again: bool = False
    """Asked for while a run was under way: what it has read so far may be too old for who asked."""
    looks: int = 0
    failures: int = 0
    seen: Seen = field(factory=Seen)
    found: set[tuple[str, str]] = field(factory=set)
    """Missed fills handed to orders in this run."""

    def wanted(self) -> Step | None:
        """Run now, or once more after the run under way."""
        if self.active:
            self.wanted_again = True
            return None
        self.active, self.wanted_again = True, False
        self.looks, self.failures, self.seen, self.found = 0, 0, Seen(), set()
        self.token += 1
        return LookNow(self.token)

    def broken_off(self) -> None:
        """The venue is out of reach for now: forget the run; answers of it are stale."""
        self.active = self.wanted_again = False
        self.token += 1

    def failed(self, why: str) -> Step:
        """The look failed: the same look once more, later each time."""
        delay_s = min(self.settings.retry_first_s * 2.0 ** min(self.failures, 30), self.settings.retry_cap_s)
        self.failures += 1
        self.token += 1
        return LookLater(self.token, delay_s, failed=why)

    def looked(self, state: VenueState, books: Books) -> Step:
        """What the look found, and what follows."""
        if state.failed is not None:
            return self.failed(state.failed)
        self.looks += 1
        self.failures = 0
        comparison = compare(state, books, self.seen, int(self.settings.settle_s * 1_000_000_000))
        self.seen = comparison.seen
        self.found |= {(trade.instrument, trade.trade_id) for trade in comparison.facts.trades}
        if comparison.equal or self.looks >= self.settings.looks_max:
            self.active = False
            return Finished(
                comparison.mismatches, len(self.found), comparison.foreign_orders, comparison.foreign_trades
            )
        self.token += 1
        delay_s = self.settings.look_first_s * 2.0 ** (self.looks - 1)
        return LookLater(self.token, delay_s, facts=comparison.facts)
