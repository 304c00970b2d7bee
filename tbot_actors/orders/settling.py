"""Finding out what became of an order whose answer was lost: when to look, and when "not found" is proof.

A venue answers reads with a lag and may still accept a late request, so "not found" counts only for looks begun a settling time after the
loss, and only the second of two such looks proves that the order never arrived (ccxt #1786, hummingbot #493).
"""

from attrs import evolve, frozen

from tbot_actors.orders.settings import OrdersSettings

_NS = 1_000_000_000


@frozen
class Settling:
    """One order that is being asked for. Times are monotonic nanoseconds."""

    since_ns: int
    looked_ns: int | None = None
    """When the last look was sent."""
    absent_ns: int | None = None
    """When the first look that counts was sent, if it found nothing."""
    overdue: bool = False
    """The budget is spent and the alarm was raised."""

    def looks_due(self, now_ns: int, settings: OrdersSettings) -> bool:
        """Whether it is time to ask the venue again."""
        last = self.since_ns if self.looked_ns is None else self.looked_ns
        return now_ns - last >= settings.look_every_s * _NS

    def budget_spent(self, now_ns: int, settings: OrdersSettings) -> bool:
        """Whether the order has been unknown for longer than the budget."""
        return now_ns - self.since_ns >= settings.unknown_budget_s * _NS

    def looked(self, now_ns: int) -> "Settling":
        """A look was sent now."""
        return evolve(self, looked_ns=now_ns)

    def absent(self, asked_ns: int, settings: OrdersSettings) -> "Settling | None":
        """The look sent at `asked_ns` found nothing. None means: proven, the order never arrived."""
        if asked_ns - self.since_ns < settings.settle_s * _NS:
            return self
        if self.absent_ns is None:
            return evolve(self, absent_ns=asked_ns)
        return None if asked_ns - self.absent_ns >= settings.second_look_s * _NS else self
