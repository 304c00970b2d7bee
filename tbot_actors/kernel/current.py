"""Which actor the running task belongs to; inherited by the tasks it starts."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tbot_actors.kernel.cell import Cell

SENDER: ContextVar[Cell | None] = ContextVar("kernel_sender", default=None)
"""The actor in whose name messages are sent; None outside of actors."""

HANDLING: ContextVar[Cell | None] = ContextVar("kernel_handling", default=None)
"""The actor whose mailbox stands still while this task waits; None in background tasks, which block nobody."""
