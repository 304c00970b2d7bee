"""The trading floor: venue, market, readers' books and streams of one exchange, moved along by `advance` and `publish`.

It has no tasks of its own. Whoever calls decides the order of a request's answer and the events it caused.
"""

import string
from collections.abc import Mapping

from tbot_actors.exchange.books import FIRST_UPDATE_ID, BookView, DiffSpeed
from tbot_actors.exchange.history import History, Interval
from tbot_actors.exchange.memory import Counters
from tbot_actors.exchange.records import (
    BalanceChanged,
    BookChanged,
    Execution,
    ExecutionReport,
    TradePrinted,
    VenueEvent,
)
from tbot_actors.exchange.shapes import account_position, candle_event, execution_report, trade_event
from tbot_actors.exchange.signing import Keyring
from tbot_actors.exchange.source import Source
from tbot_actors.exchange.streams import Streams
from tbot_actors.exchange.users import UserStreams
from tbot_actors.exchange.venue import Venue
from tbot_actors.exchange.weights import Limits
from tbot_actors.world import Clock, Random

_ID_LETTERS = string.ascii_letters + string.digits
_ID_LENGTH = 22
_CANDLE_PERIOD_MS = 2_000


class Floor:
    """One running exchange without its sockets. `now` is read from the clock at each call.

    `counters` are those of the exchange that had these accounts before; its numbering goes on from there.
    """

    def __init__(
        self,
        venue: Venue,
        source: Source | None,
        keyring: Keyring,
        clock: Clock,
        ids: Random,
        counters: Counters | None = None,
    ) -> None:
        counters = counters or Counters()
        self.venue = venue
        self.keyring = keyring
        self.clock = clock
        self.limits = Limits()
        self.streams = Streams()
        self.users = UserStreams()
        # A reopened book is a change of its own: a reader who kept the old one must see that something is between.
        self.books: Mapping[str, BookView] = {
            symbol: BookView(rules, venue.market(symbol), 1 + counters.update_ids.get(symbol, FIRST_UPDATE_ID - 1))
            for symbol, rules in venue.symbols.items()
        }
        self.histories: Mapping[str, History] = {symbol: History() for symbol in venue.symbols}
        self._source = source
        self._ids = ids
        self._executions = counters.executions
        self._slots = dict.fromkeys((*DiffSpeed, "candles"), 0)

    def advance(self) -> None:
        """Bring the market to the present, publishing after each step so that streams show every one of them."""
        if self._source is None:
            return
        now_ns = self.clock.wall_ns()
        for matches in self._source.due(now_ns):
            if matches:
                self.venue.market_matched(self._source.symbol, matches, now_ns)
            self.publish()

    def publish(self) -> None:
        """Send out what happened since the last call, and the diffs and candles that are due."""
        now_ns = self.clock.wall_ns()
        for event in self.venue.drain():
            self._publish_event(event, now_ns)
        for symbol, book in self.books.items():
            book.collect()
            ticker = book.ticker_event()
            if ticker is not None:
                self.streams.publish(f"{symbol.lower()}@bookTicker", ticker)
        for speed, suffix in ((DiffSpeed.FAST, "@100ms"), (DiffSpeed.SLOW, "")):
            if self._due(speed, speed.value, now_ns):
                self._publish_diffs(speed, suffix, now_ns)
        self._publish_candles(now_ns)

    def counters(self) -> Counters:
        """Where the numbering stands."""
        update_ids = {symbol: book.update_id for symbol, book in self.books.items()}
        return Counters(executions=self._executions, update_ids=update_ids)

    def new_client_id(self) -> str:
        """A client order id for a request that came without one."""
        return "".join(self._ids.choices(_ID_LETTERS, k=_ID_LENGTH))

    def _publish_event(self, event: VenueEvent, now_ns: int) -> None:
        match event:
            case ExecutionReport(account=account, record=record, execution=execution, trade=trade):
                self._executions += 1
                if execution is Execution.TRADE and trade is not None and record.executed == trade.quantity:
                    self.limits.order_filled(account, now_ns)
                if self.users.heard(account):
                    self.users.publish(account, execution_report(event, self._executions, now_ns))
            case BalanceChanged(account=account):
                if self.users.heard(account):
                    self.users.publish(account, account_position(event, now_ns))
            case TradePrinted(symbol=symbol):
                self.histories[symbol].add(event)
                stream = f"{symbol.lower()}@trade"
                if self.streams.heard(stream):
                    self.streams.publish(stream, trade_event(event, now_ns))
            case BookChanged():
                pass  # every book is collected after the events, whatever changed it

    def _publish_diffs(self, speed: DiffSpeed, suffix: str, now_ns: int) -> None:
        for symbol, book in self.books.items():
            diff = book.diff(speed, now_ns)
            if diff is not None:
                self.streams.publish(f"{symbol.lower()}@depth{suffix}", diff)

    def _publish_candles(self, now_ns: int) -> None:
        due = self._due("candles", _CANDLE_PERIOD_MS, now_ns)
        for symbol, history in self.histories.items():
            for kind, candle in history.roll(now_ns):
                event = candle_event(symbol, kind, candle, closed=True, now_ns=now_ns)
                self.streams.publish(f"{symbol.lower()}@kline_{kind.value}", event)
            current = history.current(Interval.MINUTE)
            if due and current is not None:
                event = candle_event(symbol, Interval.MINUTE, current, closed=False, now_ns=now_ns)
                self.streams.publish(f"{symbol.lower()}@kline_{Interval.MINUTE.value}", event)

    def _due(self, what: object, period_ms: int, now_ns: int) -> bool:
        """Whether the aligned period of `what` ended since it was last due."""
        slot = now_ns // (period_ms * 1_000_000)
        if slot == self._slots[what]:
            return False
        self._slots[what] = slot
        return True
