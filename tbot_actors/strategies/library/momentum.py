"""Momentum: the gap between a fast and a slow average of the closes, with a stop and a take-profit.

signal = (fast - slow) / slow. Above the threshold it goes long, below minus the threshold short; on spot a short
signal closes. The stop lies two of Wilder's average true ranges from the entry unless told otherwise, the take-profit
twice as far (reward to risk 2:1, so it breaks even at one win in three before costs).
"""

from collections.abc import Mapping
from decimal import Decimal

from attrs import field, frozen, validators

from tbot_actors.domain.events import Fill
from tbot_actors.domain.instruments import Instrument, InstrumentId, Side
from tbot_actors.domain.intents import Intent, Place, TimeInForce
from tbot_actors.domain.inventory import Position
from tbot_actors.domain.market import Candle, Quote
from tbot_actors.domain.money import ZERO, to_decimal
from tbot_actors.domain.view import View
from tbot_actors.strategies.api import Strategy, Wanted
from tbot_actors.strategies.exits import ExitUnit, exit_due, stop_distance
from tbot_actors.strategies.indicators import AverageTrueRange, SimpleAverage

ENTRY = "entry"
EXIT = "exit"


@frozen
class MomentumParams:
    """Windows are counted in candles."""

    candle_s: int = field(default=60, validator=validators.gt(0))
    """Length of a candle."""
    fast: int = field(default=10, validator=validators.gt(1))
    """Window of the fast average."""
    slow: int = field(default=30, validator=validators.gt(1))
    """Window of the slow average; above `fast`."""
    threshold_percent: Decimal = field(default=Decimal(2), validator=validators.gt(ZERO))
    """How far the fast average must be from the slow one, percent of the slow one."""
    atr: int = field(default=14, validator=validators.gt(1))
    """Window of the average true range."""
    exit_unit: ExitUnit = ExitUnit.ATR
    """What `stop` is counted in: `atr`, `percent` of the entry, or `fixed` quote currency."""
    stop: Decimal = field(default=Decimal(2), validator=validators.gt(ZERO))
    """Distance of the stop from the entry, in `exit_unit`."""
    reward: Decimal = field(default=Decimal(2), validator=validators.gt(ZERO))
    """The take-profit lies so many times as far as the stop."""
    notional: Decimal = field(default=Decimal(100), validator=validators.gt(ZERO))
    """Size of an entry, quote currency."""
    slippage_percent: Decimal = field(default=Decimal("0.1"), validator=validators.ge(ZERO))
    """How far beyond the touch an entry or exit may trade."""

    def __attrs_post_init__(self) -> None:
        if self.fast >= self.slow:
            raise ValueError("fast must be below slow")


class Momentum(Strategy):
    """One instrument; flat, long or (not on spot) short."""

    Params = MomentumParams

    def __init__(self, params: MomentumParams, instruments: tuple[InstrumentId, ...]) -> None:
        super().__init__(params, instruments)
        self.params: MomentumParams = params
        self.instrument = instruments[0]
        self._fast = SimpleAverage(params.fast)
        self._slow = SimpleAverage(params.slow)
        self._atr = AverageTrueRange(params.atr)
        self._stop_distance: Decimal | None = None
        """Of the position that is open, as it was at its entry."""

    def candles_s(self) -> tuple[int, ...]:
        """Its one period."""
        return (self.params.candle_s,)

    def on_candle(self, view: View, candle: Candle) -> Wanted:
        """Update the averages and act on the signal."""
        if candle.instrument != self.instrument or candle.period_ns != self.params.candle_s * 1_000_000_000:
            return ()
        close = float(candle.close)
        self._atr.update(float(candle.high), float(candle.low), close)
        fast, slow = self._fast.update(close), self._slow.update(close)
        self._set_stop(view)
        if fast is None or slow is None or self._atr.value is None:
            return ()
        signal_percent = to_decimal((fast - slow) / slow * 100)
        if signal_percent > self.params.threshold_percent:
            return self._go(view, Side.BUY)
        if signal_percent < -self.params.threshold_percent:
            return self._go(view, Side.SELL)
        return ()

    def on_quote(self, view: View, quote: Quote) -> Wanted:
        """Watch the stop and the take-profit."""
        held = view.position(self.instrument)
        if quote.instrument != self.instrument or not self._priced(view) or self._stop_distance is None:
            return ()
        entry = held.average_price
        if entry is None or not self._open(view, held):
            return ()
        side = Side.BUY if held.quantity > 0 else Side.SELL
        closes_at = quote.bid if side is Side.BUY else quote.ask
        due = exit_due(side, entry, closes_at, self._stop_distance, self.params.reward)
        return self._close(view, held) if due else ()

    def on_fill(self, view: View, fill: Fill) -> Wanted:
        """The market's range at the entry sets the stop of this position: learned, so it goes into the snapshot."""
        self._set_stop(view)
        return ()

    def snapshot(self) -> Mapping[str, str]:
        """The stop of the open position."""
        return {} if self._stop_distance is None else {"stop_distance": str(self._stop_distance)}

    def restore(self, snapshot: Mapping[str, str]) -> None:
        """Averages warm up again; an open position keeps its stop."""
        if "stop_distance" in snapshot:
            self._stop_distance = Decimal(snapshot["stop_distance"])

    def _set_stop(self, view: View) -> None:
        if not self._priced(view):
            # After a restart, before the first quote: what was learned stands until there is something to judge it by.
            return
        held = view.position(self.instrument)
        entry = held.average_price
        if entry is None or not self._open(view, held):
            self._stop_distance = None
        elif self._stop_distance is None:
            true_range = None if self._atr.value is None else to_decimal(self._atr.value)
            self._stop_distance = stop_distance(self.params.exit_unit, self.params.stop, entry, true_range)

    def _go(self, view: View, side: Side) -> Wanted:
        held = view.position(self.instrument)
        if not self._priced(view):
            return ()
        if self._open(view, held):
            against = held.quantity * side.sign < 0
            return self._close(view, held) if against else ()
        instrument = view.instruments[self.instrument]
        if (side is Side.SELL and instrument.spot) or view.busy(ENTRY) or view.busy(EXIT):
            return ()
        price = self._beyond(view, instrument, side)
        quantity = instrument.round_quantity(self.params.notional / price)
        if not instrument.tradable(quantity, price):
            return ()
        return (Place(ENTRY, self.instrument, side, quantity, price, time_in_force=TimeInForce.IOC),)

    def _close(self, view: View, held: Position) -> tuple[Intent, ...]:
        if view.busy(EXIT):
            return ()
        instrument = view.instruments[self.instrument]
        side = Side.SELL if held.quantity > 0 else Side.BUY
        quantity = instrument.round_quantity(abs(held.quantity))
        price = self._beyond(view, instrument, side)
        return (Place(EXIT, self.instrument, side, quantity, price, time_in_force=TimeInForce.IOC, reduces=True),)

    def _priced(self, view: View) -> bool:
        """Whether the venue has said what the instrument is and what it costs."""
        return self.instrument in view.quotes and self.instrument in view.instruments

    def _open(self, view: View, held: Position) -> bool:
        """Whether there is a position worth the name; what the venue would not take is dust."""
        instrument, quote = view.instruments[self.instrument], view.quotes[self.instrument]
        return instrument.tradable(held.quantity, quote.bid)

    def _beyond(self, view: View, instrument: Instrument, side: Side) -> Decimal:
        quote = view.quotes[self.instrument]
        touch = quote.ask if side is Side.BUY else quote.bid
        return instrument.round_price(side, touch * (1 + side.sign * self.params.slippage_percent / 100))
