"""Incremental indicators: one update per value, no recomputation. Statistics, so floats."""

from collections import deque

from attrs import define, field


@define
class SimpleAverage:
    """Mean of the last `length` values; None before there are as many."""

    length: int
    _values: deque[float] = field(factory=deque)
    _total: float = 0.0
    _updates: int = 0

    def update(self, value: float) -> float | None:
        """Take one value in and return the mean."""
        self._values.append(value)
        self._total += value
        if len(self._values) > self.length:
            self._total -= self._values.popleft()
        self._updates += 1
        if self._updates % 1_000_000 == 0:
            self._total = sum(self._values)  # rounding errors of the running sum would otherwise grow for ever
        return self.value

    @property
    def value(self) -> float | None:
        """The mean, or None."""
        return self._total / self.length if len(self._values) == self.length else None


@define
class AverageTrueRange:
    """Wilder's ATR (New Concepts in Technical Trading Systems, 1978): the first is the mean of `length` true ranges,
    then (ATR(n-1)+TR)/n.

    A true range needs the close before it, so the first value comes with candle `length + 1`.
    """

    length: int
    _close: float | None = None
    _first: list[float] = field(factory=list)
    value: float | None = None
    """The ATR in price units, or None before it is known."""

    def update(self, high: float, low: float, close: float) -> float | None:
        """Take one candle in and return the ATR."""
        before, self._close = self._close, close
        if before is None:
            return None
        true_range = max(high - low, abs(high - before), abs(low - before))
        if self.value is not None:
            self.value = (self.value * (self.length - 1) + true_range) / self.length
            return self.value
        self._first.append(true_range)
        if len(self._first) == self.length:
            self.value = sum(self._first) / self.length
        return self.value
