"""What a feed can be told."""

from decimal import Decimal

from attrs import field, frozen
from attrs.validators import ge, gt


@frozen
class FeedSettings:
    """Deadlines and bounds of market data; the defaults are those of DESIGN §12."""

    stale_min_s: float = field(default=5.0, validator=gt(0))
    """An instrument silent for less than this is never stale."""
    stale_factor: float = field(default=3.0, validator=ge(1))
    """Stale after this many times the instrument's own longest recent quiet interval."""
    stale_max_s: float = field(default=60.0, validator=gt(0))
    """An instrument silent for longer than this is stale, however quiet it has been before."""
    quiet_window_s: float = field(default=300.0, validator=gt(0))
    """The quiet interval is the longest of this window and of the one before it."""
    look_every_s: float = field(default=0.25, validator=gt(0))
    """How often silence is looked for and candles are closed by the clock."""
    candle_grace_s: float = field(default=0.5, validator=ge(0))
    """How long after its end a candle without a later trade waits for late ones."""
    future_max_s: float = field(default=5.0, validator=gt(0))
    """A trade stamped further ahead of the venue's clock than this is set aside."""
    old_max_s: float = field(default=60.0, validator=gt(0))
    """A trade stamped further behind the venue's clock than this is set aside."""
    outlier: Decimal = field(default=Decimal("0.1"), validator=gt(Decimal(0)))
    """A price further than this fraction from the one before it is flagged; it stays."""
    spread_wide: Decimal = field(default=Decimal("0.01"), validator=gt(Decimal(0)))
    """A spread above this fraction of the bid is flagged; it stays."""
    faults_in_a_row_max: int = field(default=20, validator=gt(0))
    """After so many items of one instrument set aside without a good one between them, its feed counts as stale."""
    set_aside_max: int = field(default=50, validator=gt(0))
    """Newest items set aside that are kept for a person to look at."""
    levels_max: int = field(default=5_000, validator=gt(0))
    """Levels kept on each side of a book; the ones furthest from the top go first."""
    diffs_waiting_max: int = field(default=1_000, validator=gt(0))
    """Diffs kept while a snapshot is under way; the oldest go first, and a newer snapshot is needed then."""
    whole_below: int = field(default=100, validator=gt(0))
    """A side with fewer levels than this in a snapshot is the whole side; of a longer one, nothing is known beyond its
    end. At most what the session's snapshots are asked for."""
    snapshot_tries_max: int = field(default=8, validator=gt(0))
    """Snapshots in a row that fail or do not continue the stream, before the feed connects anew."""
    snapshot_pause_s: float = field(default=0.5, validator=gt(0))
    """Before the second snapshot in a row; doubles from there."""
    snapshot_pause_max_s: float = field(default=30.0, validator=gt(0))
    """The longest of these pauses."""

    def __attrs_post_init__(self) -> None:
        pairs = (
            ("stale_min_s", "stale_max_s"),
            ("snapshot_pause_s", "snapshot_pause_max_s"),
            ("whole_below", "levels_max"),
        )
        crossed = [f"{low} must not be above {high}" for low, high in pairs if getattr(self, low) > getattr(self, high)]
        if crossed:
            raise ValueError("; ".join(crossed))
