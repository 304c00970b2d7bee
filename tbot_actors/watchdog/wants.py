"""What is to be closed, by scope, and what that means for one order or position. Pure."""

from collections.abc import Mapping
from enum import IntEnum

from tbot_actors.domain.latch import ACCOUNT, Latch
from tbot_actors.domain.messages import OnStop
from tbot_actors.watchdog.ladder import Rung, latched_rung


class Extent(IntEnum):
    """How much of a scope goes; each includes the ones below it."""

    NOTHING = 0
    ENTRIES = 1
    """Orders that could open or grow a position."""
    ORDERS = 2
    """All orders."""
    POSITIONS = 3
    """All orders and everything that is held."""


Wants = Mapping[str, Extent]
"""By scope."""

_OF_RUNG = {Rung.PAUSE: Extent.NOTHING, Rung.HALTED: Extent.ENTRIES, Rung.FLATTEN: Extent.POSITIONS}
_OF_STOP = {OnStop.KEEP: Extent.ORDERS, OnStop.FLATTEN: Extent.POSITIONS}


def wants_of(latch: Latch, on_stop: OnStop | None) -> dict[str, Extent]:
    """What the latch and a stop under way ask for."""
    wants = {
        scope: max((_OF_RUNG[latched_rung(cause)] for cause in causes), default=Extent.NOTHING)
        for scope, causes in latch.causes.items()
    }
    if on_stop is not None:
        wants[ACCOUNT] = max(wants.get(ACCOUNT, Extent.NOTHING), _OF_STOP[on_stop])
    return {scope: extent for scope, extent in wants.items() if extent is not Extent.NOTHING}


def extent_for(wants: Wants, venue: str, strategy: str | None) -> Extent:
    """The most that is asked for at this venue, of this strategy; of nobody in particular when None."""
    scopes = [ACCOUNT, f"venue:{venue}"]
    if strategy is not None:
        scopes.append(f"strategy:{strategy}")
    return max(wants.get(scope, Extent.NOTHING) for scope in scopes)


def widest_at(wants: Wants, venue: str) -> Extent:
    """The most that is asked for at this venue, of anybody."""
    return max(
        (extent for scope, extent in wants.items() if not scope.startswith("venue:") or scope == f"venue:{venue}"),
        default=Extent.NOTHING,
    )
