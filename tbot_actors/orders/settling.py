"""Finding out what became of an order: when to look, when "not found" is proof, and which end is believed only later.

A venue answers reads with a lag and may still accept a late request, so "not found" counts only for looks begun a
settling time after the loss, and only the second of two such looks proves that the order never arrived (ccxt #1786,
hummingbot #493).
"""

from decimal import Decimal

from attrs import evolve, frozen

from tbot_actors.domain.messages import OrderReport, ReportedState
from tbot_actors.domain.money import ZERO
from tbot_actors.orders.settings import OrdersSettings

_NS = 1_000_000_000
_ENDS = (ReportedState.CANCELED, ReportedState.EXPIRED, ReportedState.REJECTED)


@frozen
class Settling:
    """One order that is being asked for. Times are monotonic nanoseconds."""

    since_ns: int
    sent_until_ns: int
    """The submit may have left us until here: the settling time is counted from it."""
    looked_ns: int | None = None
    """When the last look was sent."""
    absent_ns: int | None = None
    """When the first look that counts was sent, if it found nothing."""
    overdue: bool = False
    """The budget is spent and the alarm was raised."""
    until_found: bool = False
    """Not over before the venue was heard of the order once more, whatever its state is here."""
    claimed: Decimal = ZERO
    """The most executed that the venue has told; trades may be missing up to it."""
    end: OrderReport | None = None
    """The report of an end that waits for the trades before it."""

    @staticmethod
    def begun(now_ns: int, *, sent_until_ns: int | None = None, until_found: bool = False) -> "Settling":
        """From this moment on."""
        return Settling(now_ns, now_ns if sent_until_ns is None else sent_until_ns, until_found=until_found)

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

    def owed(self, report: OrderReport) -> "Settling":
        """The report counts more executed than our trades: wait for them, and for the end it tells, if any."""
        end = report if report.state in _ENDS and report.executed >= self.claimed else self.end
        return evolve(self, until_found=True, absent_ns=None, claimed=max(self.claimed, report.executed), end=end)

    def absent(self, asked_ns: int, settings: OrdersSettings) -> "Settling | None":
        """The look sent at `asked_ns` found nothing. None means: proven, the venue does not have the order."""
        if asked_ns - self.sent_until_ns < settings.settle_s * _NS:
            return self
        if self.absent_ns is None:
            return evolve(self, absent_ns=asked_ns)
        return None if asked_ns - self.absent_ns >= settings.second_look_s * _NS else self
