"""The course of one number over any length of time, in bounded room."""

from decimal import Decimal

from attrs import define, field

POINTS_MAX = 120
PERIOD_FIRST_NS = 500_000_000


@define
class History:
    """At most `POINTS_MAX` values at even distances; when it is full every second one goes and the distance doubles."""

    period_ns: int = PERIOD_FIRST_NS
    values: list[Decimal] = field(factory=list)
    _next_ns: int = 0

    def add(self, stamp_ns: int, value: Decimal) -> None:
        """Take a value in, if one is due. The last one is always the newest."""
        if self.values and stamp_ns < self._next_ns:
            self.values[-1] = value
            return
        if len(self.values) == POINTS_MAX:
            self.values = self.values[::2]
            self.period_ns *= 2
        self.values.append(value)
        self._next_ns = stamp_ns + self.period_ns
