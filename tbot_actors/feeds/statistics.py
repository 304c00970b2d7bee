"""Counters of a feed: mutable while it lives, frozen for whoever asks."""

from collections import Counter, deque
from collections.abc import Mapping

from attrs import define, field, frozen

from tbot_actors.domain.instruments import InstrumentId
from tbot_actors.feeds.quality import Fault, Flag

TEXT_MAX = 2_000


@frozen
class FeedStatisticsWanted:
    """Asked by whoever wants to know how a feed is doing; the reply is a FeedStatistics."""


@frozen
class SetAside:
    """An item that was not used, as a person would want to see it."""

    fault: Fault
    why: str
    """In words, where the fault alone does not say it."""
    text: str
    """The item, or its beginning."""


@frozen
class InstrumentStatistics:
    """One instrument of a feed."""

    synced: bool
    """Its book is in step with the venue's."""
    trouble: str | None
    """Why it counts as stale now; None = it does not."""
    last_update: int
    """The book's update id."""
    levels: tuple[int, int]
    """Bids and asks that are known without a gap from the top."""
    losses: int
    """Times that the book lost its sync."""
    gaps: int
    """Losses because updates were missing."""
    crossings: int
    """Losses because the best bid was not below the best ask."""
    stale_after_ns: int
    """Silence that would make it stale, as learned so far."""
    late_trades: int
    """Trades that came after their candle was closed; of the shortest candles."""


@frozen
class FeedStatistics:
    """A feed since the start of its incarnation."""

    diffs: int
    """Book diffs received."""
    tops: int
    """Best prices received."""
    trades: int
    """Trades published."""
    quotes: int
    """Quotes published."""
    candles: int
    """Candles published."""
    snapshots: int
    """Book snapshots received."""
    snapshots_failed: int
    """Book snapshots that could not be had."""
    undelivered: int
    """Messages that a subscriber had no room for; it lost those, nobody else did."""
    faults: Mapping[Fault, int]
    """Items set aside, by reason."""
    flags: Mapping[Flag, int]
    """Odd items that were used, by reason."""
    set_aside: tuple[SetAside, ...]
    """The newest items set aside, oldest first."""
    instruments: Mapping[InstrumentId, InstrumentStatistics]
    """Each instrument."""


@define(eq=False)
class Tally:
    """The counters of one incarnation."""

    set_aside_max: int
    diffs: int = 0
    tops: int = 0
    trades: int = 0
    quotes: int = 0
    candles: int = 0
    snapshots: int = 0
    snapshots_failed: int = 0
    undelivered: int = 0
    faults: Counter[Fault] = field(factory=Counter)
    flags: Counter[Flag] = field(factory=Counter)
    ring: deque[SetAside] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.ring = deque(maxlen=self.set_aside_max)

    def set_aside(self, fault: Fault, item: object, why: str = "") -> None:
        """Count an item that is not used, and keep it for a person to look at."""
        self.faults[fault] += 1
        text = item if isinstance(item, str) else repr(item)
        self.ring.append(SetAside(fault, why, text[:TEXT_MAX]))

    def frozen(self, instruments: Mapping[InstrumentId, InstrumentStatistics]) -> FeedStatistics:
        """All of it at this moment."""
        return FeedStatistics(
            diffs=self.diffs,
            tops=self.tops,
            trades=self.trades,
            quotes=self.quotes,
            candles=self.candles,
            snapshots=self.snapshots,
            snapshots_failed=self.snapshots_failed,
            undelivered=self.undelivered,
            faults=dict(self.faults),
            flags=dict(self.flags),
            set_aside=tuple(self.ring),
            instruments=dict(instruments),
        )
