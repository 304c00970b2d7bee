"""The weighted average price of the last minutes, as /api/v3/avgPrice and the price filters use it."""

from collections import deque

_SECOND_NS = 1_000_000_000


class AveragePrice:
    """Volume-weighted average over a window, kept per second of trade time: at most `minutes` × 60 + 1 entries."""

    def __init__(self, minutes: int) -> None:
        self._window_s = minutes * 60
        self._seconds: deque[tuple[int, int, int]] = deque(maxlen=self._window_s + 1)
        self._value = 0
        self._steps = 0
        self._last: int | None = None

    def add(self, price: int, steps: int, now_ns: int) -> None:
        """Count a trade of `steps` at `price` ticks."""
        second = now_ns // _SECOND_NS
        value = price * steps
        if self._seconds and self._seconds[-1][0] >= second:
            stamp, value_before, steps_before = self._seconds.pop()
            self._seconds.append((stamp, value_before + value, steps_before + steps))
        else:
            self._drop(second)
            self._seconds.append((second, value, steps))
        self._value += value
        self._steps += steps
        self._last = price

    def ticks(self, now_ns: int) -> tuple[int, int] | None:
        """The average as (numerator, denominator) in ticks; the last price when the window is empty."""
        self._drop(now_ns // _SECOND_NS)
        if self._steps:
            return self._value, self._steps
        return None if self._last is None else (self._last, 1)

    def _drop(self, second: int) -> None:
        while self._seconds and self._seconds[0][0] <= second - self._window_s:
            _, value, steps = self._seconds.popleft()
            self._value -= value
            self._steps -= steps
