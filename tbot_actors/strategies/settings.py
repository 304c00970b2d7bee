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
    """A strategy in the bot's own process (`host = "task"`) sees everything the bot sees: on a live account that must
    be said.
    """
    host: str = field(default="task", validator=validators.in_(("task",)))
    """Where it runs."""
    params: dict[str, Any] = field(factory=dict)
    """The strategy's own parameters; checked against its `Params`."""
