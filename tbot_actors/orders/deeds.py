"""What the desk tells the shell to do, in order."""

from collections.abc import Iterator

from attrs import frozen

from tbot_actors.domain.events import Event
from tbot_actors.domain.messages import ApprovalRefused
from tbot_actors.domain.orders import Order


@frozen
class Now:
    """One moment by both clocks: ages are counted by the first, events carry the second."""

    ns: int
    """Monotonic."""
    wall_ns: int


@frozen
class Write:
    """Journal these events as one commit."""

    events: tuple[Event, ...]


@frozen
class Send:
    """Submit this order: its row is durable, and it was never told to be sent before."""

    order: Order


@frozen
class SendCancel:
    """Cancel this order at the venue."""

    order: Order


@frozen
class Look:
    """Ask the venue what it knows of this order."""

    order: Order


@frozen
class Refuse:
    """Give an approval back to risk."""

    refusal: ApprovalRefused


@frozen
class Overdue:
    """The set of orders that are unknown beyond the budget changed."""

    client_ids: tuple[str, ...]


@frozen
class Tell:
    """A person should know."""

    text: str
    client_id: str


Deed = Write | Send | SendCancel | Look | Refuse | Overdue | Tell
Deeds = Iterator[Deed]
