"""What the books can be told."""

from attrs import field, frozen, validators


@frozen
class PortfolioSettings:
    """How often the books are published."""

    publish_every_s: float = field(default=0.25, validator=validators.gt(0))
    """New marks reach the listeners at most this late; fills at once."""
