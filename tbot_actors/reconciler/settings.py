"""What the reconciler can be told."""

from attrs import field, frozen, validators

_positive = validators.gt(0.0)


@frozen
class ReconcilerSettings:
    """Deadlines and bounds of a reconcile; the defaults are those of DESIGN §12 where it names them."""

    period_s: float = field(default=60.0, validator=_positive)
    """A run at least this often at every venue that can be read."""
    settle_s: float = field(default=7.0, validator=_positive)
    """recvWindow (5 s) + 2 s. What may be a request or a report on its way counts only when it is that old."""
    look_first_s: float = field(default=0.5, validator=_positive)
    """Pause before the second look of a run; doubles with each further one."""
    looks_max: int = field(default=6, validator=validators.ge(2))
    """Looks of one run. Together they must last longer than `settle_s`, or no difference could ever be proven."""
    read_within_s: float = field(default=20.0, validator=_positive)
    """A look without an answer by then has failed."""
    retry_first_s: float = field(default=1.0, validator=_positive)
    """Pause after a failed look; doubles with each further failure."""
    retry_cap_s: float = field(default=30.0, validator=_positive)
    """Longest pause after a failed look."""
    unclean_again_s: float = field(default=10.0, validator=_positive)
    """A run that found a mismatch is repeated after this."""
    trades_overlap_s: float = field(default=600.0, validator=validators.ge(0))
    """Trades this young are read again in the next run: a venue's list lags, and ids alone show no gap."""

    def __attrs_post_init__(self) -> None:
        lasts_s = self.look_first_s * (2 ** (self.looks_max - 1) - 1)
        if lasts_s <= self.settle_s:
            raise ValueError(
                f"the looks of a run last {lasts_s} s, not longer than settle_s = {self.settle_s}: "
                "raise looks_max or look_first_s"
            )
