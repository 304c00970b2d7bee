"""What moves the market by itself: generated flow, or a capture at a multiple of its own pace."""

from collections.abc import Callable, Iterator
from typing import Protocol

from tbot_actors.exchange.flow import Flow
from tbot_actors.exchange.market import Match, Side
from tbot_actors.exchange.tape import TapePace, TapeRecord, TapeTrade
from tbot_actors.exchange.tape_market import TapeMarket

STEPS_MAX = 5_000


class Source(Protocol):
    """Moves one symbol's market."""

    symbol: str

    def due(self, now_ns: int) -> Iterator[list[Match]]:
        """Apply what is due by `now_ns`, a step at a time, and give each step's matches."""
        ...


class FlowSource:
    """The market's own makers and takers, as one step."""

    def __init__(self, symbol: str, flow: Flow) -> None:
        self.symbol = symbol
        self._flow = flow

    def due(self, now_ns: int) -> Iterator[list[Match]]:
        """Everything the flow does until `now_ns`."""
        yield self._flow.advance(now_ns)


class TapeSource:
    """A tape played once: each record is a step. At its end the market stands still and `ended` is called, once.

    What comes before the tape's book is complete is read at once, so that playing starts with a book.
    """

    def __init__(
        self,
        symbol: str,
        market: TapeMarket,
        records: Iterator[TapeRecord],
        *,
        start_ns: int,
        speed: float,
        ended: Callable[[], None],
    ) -> None:
        self.symbol = symbol
        self._market = market
        self._records = records
        self._ended = ended
        self._next = self._read()
        for _ in range(STEPS_MAX):
            if self._next is None or market.book.synced:
                break
            market.advance(self._next)
            self._next = self._read()
        first_ns = self._next.local_ns if self._next is not None else 0
        self._pace = TapePace(start_ns, first_ns, speed)

    def due(self, now_ns: int) -> Iterator[list[Match]]:
        """The records due by `now_ns`, at most STEPS_MAX in one go so that others get their turn."""
        for _ in range(STEPS_MAX):
            record = self._next
            if record is None or self._pace.due_ns(record.local_ns) > now_ns:
                return
            yield self._apply(record)
            self._next = self._read()

    def _read(self) -> TapeRecord | None:
        record = next(self._records, None)
        if record is None:
            self._ended()
        return record

    def _apply(self, record: TapeRecord) -> list[Match]:
        matches = self._market.advance(record)
        if isinstance(record, TapeTrade):
            # Of the tape's trade our orders took a part; the rest happened between strangers and is printed too.
            left = record.quantity - sum(match.quantity for match in matches)
            if left > 0:
                taker = Side.SELL if record.buyer_is_maker else Side.BUY
                matches.append(Match(0, 0, "", "", record.price, left, taker))
        return matches
