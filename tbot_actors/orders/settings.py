"""What the order path can be told."""

from attrs import field, frozen, validators

_positive = validators.gt(0)


@frozen
class OrdersSettings:
    """Deadlines and bounds of the order path; the defaults are those of DESIGN §12."""

    slots: int = field(default=8, validator=_positive)
    """Submits in flight at one venue; further ones wait here, journaled and unsent."""
    waiting_max: int = field(default=64, validator=_positive)
    """Approvals that may wait for a slot; beyond it an approval is refused."""
    send_within_s: float = field(default=2.0, validator=_positive)
    """A submit that the gateway could not start within this is not sent at all. Must stay below `settle_s`."""
    settle_s: float = field(default=7.0, validator=_positive)
    """recvWindow (5 s) + 2 s: before this a venue's "not found" proves nothing."""
    second_look_s: float = field(default=2.0, validator=_positive)
    """Distance between the two looks that prove absence."""
    look_every_s: float = field(default=1.0, validator=_positive)
    """How often an order without a known outcome is asked for."""
    unknown_budget_s: float = field(default=60.0, validator=_positive)
    """An order Unknown for longer raises the alarm; it stays Unknown."""
    cancel_again_s: float = field(default=2.0, validator=_positive)
    """A cancel without a confirmed end is sent again after this."""
    lifetime_s: float | None = None
    """Cancel an entry that rests longer than this; None lets it rest."""

    def __attrs_post_init__(self) -> None:
        if self.send_within_s >= self.settle_s:
            raise ValueError("send_within_s must be below settle_s: an order proven absent must never be sent afterwards")
