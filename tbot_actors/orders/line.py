"""The way to the venues: who waits, who is in flight, who may go. An order leaves the line once, in one direction."""

from collections import deque
from collections.abc import Iterator

from attrs import define, field, frozen

from tbot_actors.domain.orders import Order


@frozen
class Waiting:
    """A durable order that was not sent."""

    client_id: str
    venue: str
    since_ns: int
    """When it was approved, monotonic."""


@define
class Line:
    """Venues are independent: one that does not answer holds up only its own orders."""

    slots: int
    """Submits in flight at one venue."""
    waiting: deque[Waiting] = field(factory=deque)
    in_flight: dict[str, str] = field(factory=dict)
    """The venue, by client id."""
    ready: set[str] = field(factory=set)
    """Venues whose gateway takes orders."""

    def join(self, order: Order, since_ns: int) -> None:
        """Wait for a slot, behind all others."""
        self.waiting.append(Waiting(order.client_id, venue_of(order), since_ns))

    def leave(self, client_id: str) -> bool:
        """Give up waiting; False where it does not wait."""
        for place in self.waiting:
            if place.client_id == client_id:
                self.waiting.remove(place)
                return True
        return False

    def may_go(self) -> Iterator[Waiting]:
        """One after the other, oldest first, those for which their venue has a slot: each is out of the line then."""
        for place in tuple(self.waiting):
            if place.venue in self.ready and self._flying(place.venue) < self.slots:
                self.waiting.remove(place)
                yield place

    def go(self, place: Waiting) -> None:
        """It takes a slot."""
        self.in_flight[place.client_id] = place.venue

    def landed(self, client_id: str) -> None:
        """Its submit has ended."""
        self.in_flight.pop(client_id, None)

    def lost(self, venue: str) -> tuple[str, ...]:
        """The venue's gateway is gone, and with it what was in flight: those client ids."""
        self.ready.discard(venue)
        gone = tuple(sorted(client_id for client_id, name in self.in_flight.items() if name == venue))
        for client_id in gone:
            del self.in_flight[client_id]
        return gone

    def overtaken(self, before_ns: int) -> tuple[Waiting, ...]:
        """Those that wait since before then: each is out of the line."""
        old = tuple(place for place in self.waiting if place.since_ns < before_ns)
        for place in old:
            self.waiting.remove(place)
        return old

    def has(self, client_id: str) -> bool:
        """Whether it waits or flies."""
        return client_id in self.in_flight or any(place.client_id == client_id for place in self.waiting)

    def _flying(self, venue: str) -> int:
        return sum(1 for name in self.in_flight.values() if name == venue)


def venue_of(order: Order) -> str:
    """The venue that an order is for."""
    return order.instrument.partition(":")[0]
