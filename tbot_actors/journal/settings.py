"""What can be set for the journal."""

from attrs import field, frozen
from attrs.validators import ge, gt, le


@frozen
class JournalSettings:
    """Sizes and periods of the journal; the defaults suit a bot of a few strategies on a small machine."""

    appends_per_commit_max: int = field(default=512, validator=[ge(1), le(4096)])
    """Appends that share one commit. More waits for the next one."""
    appends_waiting_max: int = field(default=4096, validator=ge(1))
    """Appends taken out of the mailbox and not yet written; beyond it the mailbox fills."""
    tail_events: int = field(default=4096, validator=ge(1))
    """Newest events kept in memory, so that followers are served without touching the disk."""
    anchor_period_s: float = field(default=1.0, validator=[gt(0), le(1.0)])
    """How often a new head is written into the anchor file."""
    rows_verified_at_start: int = field(default=100_000, validator=ge(1))
    """Rows before the anchor that are verified at each start; the rows after it always are."""
    undelivered_max: int = field(default=8192, validator=ge(1))
    """Answers kept for mailboxes that are full. Beyond it the journal crashes rather than forget one."""
    undelivered_retry_s: float = field(default=0.02, validator=gt(0))
    """How soon an answer is told again to a mailbox that was full."""
