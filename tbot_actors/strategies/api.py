"""The strategy API: synchronous hooks that look at a View and return what they want.

    market or order event ──▶ hook(view, event) ──▶ Place | Cancel | Replace ──▶ risk ──▶ orders ──▶ venue
                                   ▲                                                       │
                                   └────────── view, kept by the host from the journal ◀───┘

A strategy keeps no orders and no positions of its own, reads no clock, does no I/O and never waits; so the same file
runs live, on paper, in a backtest and in a test. What it learned (an indicator, a level) it gives as `snapshot()` and
takes back in `restore()`.
"""

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from tbot_actors.domain.events import Fill
from tbot_actors.domain.instruments import InstrumentId
from tbot_actors.domain.intents import Intent
from tbot_actors.domain.market import Candle, MarketTrade, Quote
from tbot_actors.domain.orders import Order
from tbot_actors.domain.view import View

Wanted = Iterable[Intent]
"""What a hook returns; nothing wanted is an empty tuple."""


class Strategy:
    """Override the hooks you need. An exception in a hook restarts this strategy alone, from its last snapshot."""

    Params: ClassVar[Any]
    """A frozen attrs class with the strategy's parameters; the configuration is checked against it."""

    def __init__(self, params: Any, instruments: tuple[InstrumentId, ...]) -> None:
        """`params` is an instance of `Params`; `instruments` are those it may trade."""
        self.params = params
        self.instruments = instruments

    def candles_s(self) -> tuple[int, ...]:
        """The candle periods it wants, seconds."""
        return ()

    def on_quote(self, view: View, quote: Quote) -> Wanted:
        """The best bid or ask changed. Conflated: under load only the newest quote of an instrument comes."""
        return ()

    def on_trade(self, view: View, trade: MarketTrade) -> Wanted:
        """A public trade. Under load the oldest are dropped and counted."""
        return ()

    def on_candle(self, view: View, candle: Candle) -> Wanted:
        """A candle closed."""
        return ()

    def on_order(self, view: View, order: Order) -> Wanted:
        """One of its orders changed its state."""
        return ()

    def on_fill(self, view: View, fill: Fill) -> Wanted:
        """One of its orders was filled, in part or whole; the view has the new position."""
        return ()

    def on_timer(self, view: View) -> Wanted:
        """Once a second."""
        return ()

    def on_disconnect(self, view: View) -> Wanted:
        """A venue it trades on is out of reach or its prices are stale. Orders there may still fill."""
        return ()

    def on_trading_disabled(self, view: View) -> Wanted:
        """New risk is barred from now on (`view.barred` tells why). Cancels and reducing orders still go through."""
        return ()

    def snapshot(self) -> Mapping[str, str]:
        """What it learned and cannot be read from the view. Kept with its intents, small."""
        return {}

    def restore(self, snapshot: Mapping[str, str]) -> None:
        """Take a snapshot back, before any hook is called."""
