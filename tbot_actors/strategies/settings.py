"""What the configuration says of one strategy."""

from decimal import Decimal
from typing import Any

from attrs import field, frozen, validators


@frozen
class StrategySettings:
    """One `[strategies.NAME]` table."""

    type: str
    """A name from the library, or `path/to/file.py:ClassName` for a strategy of your own."""
    capital: Decimal = field(validator=validators.gt(Decimal(0)))
    """Allocated to this strategy, quote currency: percentages of limits are of this."""
    instruments: tuple[str, ...] = field(validator=validators.min_len(1))
    """`venue:SYMBOL`, as many as it may trade."""
    trusted: bool = False
    """A strategy in the bot's own process (`host = "task"`) sees all it has: on a live account it must be said."""
    host: str = field(default="process", validator=validators.in_(("process", "task")))
    """Where it runs: in a process of its own, behind a fence, or inside the bot."""
    hook_max_s: float = field(default=4.0, validator=validators.gt(0))
    """A hook that takes longer is a crash; in a process of its own only."""
    memory_max_mib: int = field(default=256, validator=validators.ge(32))
    """More is a crash; in a process of its own only."""
    params: dict[str, Any] = field(factory=dict)
    """The strategy's own parameters; checked against its `Params`."""
