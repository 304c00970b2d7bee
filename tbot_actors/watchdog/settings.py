"""What the watchdog can be told."""

from decimal import Decimal

from attrs import field, frozen, validators

_positive = validators.gt(0.0)


@frozen
class WatchdogSettings:
    """Deadlines and bounds of safety; the defaults are those of DESIGN §12 where it names them."""

    look_every_s: float = field(default=1.0, validator=_positive)
    """How often progress, the journal's lag and the kill file are looked at."""
    stalled_s: float = field(default=5.0, validator=_positive)
    """An actor with waiting mail, or one message in hand, for longer than this without progress bars new risk."""
    journal_lag_s: float = field(default=1.0, validator=_positive)
    """An append without an answer for longer bars new risk; an order that closes waits no longer to be durable."""
    run_s: float = field(default=45.0, validator=_positive)
    """A stop or a flatten reports after this at the latest, whatever is left."""
    again_s: float = field(default=30.0, validator=_positive)
    """A flatten that left something begins anew after this, for as long as its latch stands."""
    pass_every_s: float = field(default=0.5, validator=_positive)
    """Pause between two passes over a venue."""
    settle_s: float = field(default=7.0, validator=_positive)
    """recvWindow (5 s) + 2 s: before this a venue's "not found" proves nothing."""
    second_look_s: float = field(default=2.0, validator=_positive)
    """Distance between the two looks that prove absence."""
    send_within_s: float = field(default=2.0, validator=_positive)
    """A closing order that could not be sent within this is not sent. Must stay below `settle_s`."""
    flat_hold_s: float = field(default=3.0, validator=validators.ge(0.0))
    """How long the venue must show nothing of ours before it counts as flat."""
    collar_start: Decimal = field(default=Decimal("0.005"), validator=validators.gt(Decimal(0)))
    """First closing order: how far through the best price it may trade, a fraction. Doubles with each further one."""
    collar_max: Decimal = field(default=Decimal("0.05"), validator=validators.lt(Decimal(1)))
    """The widest collar, and how far below the first best price of a run it closes at all."""
    attempts_max: int = field(default=8, validator=validators.ge(1))
    """Closing orders, or looks without a way to place one, per position and run."""
    trades_overlap_s: float = field(default=600.0, validator=validators.ge(0.0))
    """Trades this young are read from the venue even where the journal has later ones."""

    def __attrs_post_init__(self) -> None:
        crossed = []
        if self.collar_start > self.collar_max:
            crossed.append("collar_start must not be above collar_max")
        if self.send_within_s >= self.settle_s:
            crossed.append("send_within_s must be below settle_s: an order proven absent must never be sent afterwards")
        if crossed:
            raise ValueError("; ".join(crossed))
