"""What the order path can be told."""

from attrs import field, frozen, validators

_count = validators.ge(1)
_seconds = validators.gt(0.0)


@frozen
class OrdersSettings:
    """Deadlines and bounds of the order path; the defaults are those of DESIGN §12."""

    slots: int = field(default=8, validator=_count)
    """Submits in flight at one venue; further ones wait here, journaled and unsent."""
    waiting_max: int = field(default=64, validator=_count)
    """Approvals that may wait for a slot; beyond it an approval is refused."""
    waiting_max_s: float = field(default=30.0, validator=_seconds)
    """An approval that is not on its way to the venue within this is not sent at all: its price is too old."""
    send_within_s: float = field(default=2.0, validator=_seconds)
    """A submit that the gateway could not start within this is not sent at all. Must stay below `settle_s`."""
    settle_s: float = field(default=7.0, validator=_seconds)
    """recvWindow (5 s) + 2 s: before this a venue's "not found" proves nothing."""
    second_look_s: float = field(default=2.0, validator=_seconds)
    """Distance between the two looks that prove absence."""
    look_every_s: float = field(default=1.0, validator=_seconds)
    """How often an order without a known outcome is asked for."""
    unknown_budget_s: float = field(default=60.0, validator=_seconds)
    """An order Unknown for longer raises the alarm; it stays Unknown."""
    cancel_again_s: float = field(default=2.0, validator=_seconds)
    """A cancel without a confirmed end is sent again after this."""
    lifetime_s: float | None = field(default=None, validator=validators.optional(_seconds))
    """Cancel an entry that rests longer than this; None lets it rest."""

    def __attrs_post_init__(self) -> None:
        if self.send_within_s >= self.settle_s:
            raise ValueError("send_within_s must be below settle_s: an order proven absent is never sent afterwards")
