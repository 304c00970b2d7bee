"""Quoter: one bid and one ask around the mid, moved when the market leaves them; inventory bounded, no forecast.

It sells only what it bought, and knows nothing of inventory risk.
"""

from decimal import Decimal

from attrs import field, frozen, validators

from tbot_actors.domain.instruments import Instrument, InstrumentId, Side
from tbot_actors.domain.intents import Cancel, Intent, OrderType, Place, Replace
from tbot_actors.domain.market import Quote
from tbot_actors.domain.money import ZERO
from tbot_actors.domain.view import View
from tbot_actors.strategies.api import Strategy, Wanted

BID = "bid"
ASK = "ask"


@frozen
class QuoterParams:
    """Distances in basis points of the mid."""

    notional: Decimal = field(default=Decimal(50), validator=validators.gt(ZERO))
    """Size of one quote, quote currency."""
    half_spread_bp: Decimal = field(default=Decimal(5), validator=validators.ge(ZERO))
    """Distance of each quote from the mid."""
    requote_bp: Decimal = field(default=Decimal(3), validator=validators.gt(ZERO))
    """A quote that is farther than this from where it should be is moved."""
    inventory_max: Decimal = field(default=Decimal(200), validator=validators.gt(ZERO))
    """Above this holding it stops bidding, quote currency."""


class Quoter(Strategy):
    """Quotes one instrument on both sides."""

    Params = QuoterParams

    def __init__(self, params: QuoterParams, instruments: tuple[InstrumentId, ...]) -> None:
        super().__init__(params, instruments)
        self.params: QuoterParams = params
        self.instrument = instruments[0]

    def on_quote(self, view: View, quote: Quote) -> Wanted:
        """Keep both quotes where they belong."""
        instrument = view.instruments.get(self.instrument)
        if quote.instrument != self.instrument or instrument is None or not view.enabled:
            return ()
        return (*self._bid(view, quote, instrument), *self._ask(view, quote, instrument))

    def on_trading_disabled(self, view: View) -> Wanted:
        """Quotes would rest unattended, those on their way to the venue as well."""
        return tuple(Cancel(key) for key in (BID, ASK) if view.busy(key))

    def _bid(self, view: View, quote: Quote, instrument: Instrument) -> tuple[Intent, ...]:
        price = min(self._price(quote, Side.BUY, instrument), quote.bid)
        holding = view.position(self.instrument).quantity * quote.mid
        if holding + self.params.notional > self.params.inventory_max:
            return (Cancel(BID),) if BID in view.orders and not view.orders[BID].cancel_asked else ()
        quantity = instrument.round_quantity(self.params.notional / price)
        return self._quote(view, BID, Side.BUY, price, quantity, instrument)

    def _ask(self, view: View, quote: Quote, instrument: Instrument) -> tuple[Intent, ...]:
        price = max(self._price(quote, Side.SELL, instrument), quote.ask)
        held = view.position(self.instrument).quantity
        quantity = instrument.round_quantity(min(self.params.notional / price, held))
        return self._quote(view, ASK, Side.SELL, price, quantity, instrument)

    def _quote(
        self, view: View, key: str, side: Side, price: Decimal, quantity: Decimal, instrument: Instrument
    ) -> tuple[Intent, ...]:
        working = view.orders.get(key)
        if key in view.pending or not instrument.tradable(quantity, price):
            return ()
        if working is None:
            return (Place(key, self.instrument, side, quantity, price, OrderType.POST_ONLY),)
        moved = abs((working.price or price) - price) * 10_000 > self.params.requote_bp * price
        if moved and working.venue_order_id is not None and not working.cancel_asked:
            # A replacement names the whole, with what is filled already; so `quantity` is what will rest.
            return (Replace(key, quantity + working.executed, price),)
        return ()

    def _price(self, quote: Quote, side: Side, instrument: Instrument) -> Decimal:
        distance = quote.mid * self.params.half_spread_bp / 10_000
        return instrument.round_price(side, quote.mid - side.sign * distance)
