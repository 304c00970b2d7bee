"""The orders that are being asked for, and what is known of each meanwhile."""

from collections.abc import Iterator
from decimal import Decimal

from attrs import define, evolve, field

from tbot_actors.domain.messages import OrderReport
from tbot_actors.domain.orders import Order, OrderState
from tbot_actors.orders.settings import OrdersSettings
from tbot_actors.orders.settling import Settling

_NS = 1_000_000_000
_UNSETTLED = frozenset({OrderState.SUBMITTING, OrderState.UNKNOWN})


@define
class Inquiries:
    """Settlings by client id. Times are monotonic nanoseconds."""

    settings: OrdersSettings
    settling: dict[str, Settling] = field(factory=dict)
    _told: tuple[str, ...] | None = None
    """The overdue ones as last told; None before, when what an earlier incarnation told stands."""

    def begin(self, client_id: str, now_ns: int, *, unsent: bool = False) -> None:
        """Ask for this order. `unsent`: its request may still be on its way to the venue, until it is too late for
        it.
        """
        sent_until_ns = now_ns + int(self.settings.send_within_s * _NS) if unsent else now_ns
        self.settling.setdefault(client_id, Settling.begun(now_ns, sent_until_ns=sent_until_ns))

    def keep(self, order: Order, booked: Decimal, now_ns: int) -> None:
        """Bring the inquiry in line with the order as the journal shows it now."""
        settling = self.settling.get(order.client_id)
        if order.state is OrderState.UNKNOWN:
            self.begin(order.client_id, now_ns)
        elif settling is None or order.state in _UNSETTLED:
            return
        elif not settling.until_found or (order.state.terminal and settling.claimed <= booked):
            del self.settling[order.client_id]

    def owed(self, client_id: str, report: OrderReport, now_ns: int) -> bool:
        """A report counts more than our trades. True where the venue is to be asked now, not only in its turn."""
        before = self.settling.get(client_id)
        settling = (before or Settling.begun(now_ns)).owed(report)
        asks = before is None or settling.looks_due(now_ns, self.settings)
        self.settling[client_id] = settling.looked(now_ns) if asks else settling
        return asks

    def found(self, order: Order, report: OrderReport) -> None:
        """The venue told of the order, and our trades are as many as it counts."""
        settling = self.settling.get(order.client_id)
        if settling is None:
            return
        whole = report.executed >= settling.claimed and settling.end is None
        if whole and order.state not in _UNSETTLED:
            del self.settling[order.client_id]
        else:
            self.settling[order.client_id] = evolve(settling, until_found=settling.until_found and not whole)

    def end_of(self, client_id: str, booked: Decimal) -> OrderReport | None:
        """The end that waited for trades, once they are booked."""
        settling = self.settling.get(client_id)
        if settling is None or settling.end is None or settling.end.executed > booked or settling.claimed > booked:
            return None
        self.settling[client_id] = evolve(settling, end=None, until_found=False)
        return settling.end

    def proves_absence(self, client_id: str, asked_ns: int, booked: Decimal) -> bool:
        """The look sent at `asked_ns` found nothing. True: the venue has no such order, and owes nothing of it."""
        settling = self.settling.get(client_id)
        if settling is None:
            # It was at the venue and is not found any more: a proper settling instead of a guess.
            self.settling[client_id] = Settling.begun(asked_ns, until_found=True)
            return False
        if settling.claimed > booked:
            return False
        after = settling.absent(asked_ns, self.settings)
        if after is not None:
            self.settling[client_id] = after
        return after is None

    def due(self, now_ns: int) -> Iterator[str]:
        """The orders to ask for now."""
        for client_id, settling in tuple(self.settling.items()):
            if settling.budget_spent(now_ns, self.settings):
                settling = evolve(settling, overdue=True)
            due = settling.looks_due(now_ns, self.settings)
            self.settling[client_id] = settling.looked(now_ns) if due else settling
            if due:
                yield client_id

    def overdue_changed(self) -> tuple[str, ...] | None:
        """The overdue ones where they are others than those told before, else None."""
        overdue = tuple(sorted(client_id for client_id, settling in self.settling.items() if settling.overdue))
        # What an earlier incarnation raised is lifted only when nothing is in doubt any more.
        if overdue == self._told or (self._told is None and not overdue and self.settling):
            return None
        self._told = overdue
        return overdue
