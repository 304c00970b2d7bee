"""The flatten plan: the one order that closes as much of a position as is certain, or why there is none. Pure.

Never more than is held, less what other orders may already be closing; never below what the venue takes; never a price
beyond the collar. One order per position at a time: what it did is known before the next one is planned.
"""

from decimal import Decimal
from enum import Enum

from attrs import frozen

from tbot_actors.domain.instruments import Instrument, Side
from tbot_actors.domain.money import ZERO, ceil_to
from tbot_actors.watchdog.settings import WatchdogSettings


@frozen
class Holding:
    """One position of one strategy, and what stands around it."""

    strategy: str
    instrument: Instrument
    held: Decimal
    """Signed, base currency."""
    committed: Decimal
    """What orders under way may still close of it, at most; not negative."""
    free: Decimal | None
    """What the venue would let us sell of the base asset, on spot; None where that is no bound."""
    best: Decimal | None
    """Best price of the side that would take our order; None where that side of the book is empty."""
    reference: Decimal | None
    """The first best price of this run: the collar's limit is counted from it."""
    attempt: int
    """Closing orders tried before in this run."""

    @property
    def side(self) -> Side:
        """The side that closes."""
        return Side.SELL if self.held > ZERO else Side.BUY


@frozen
class Close:
    """An immediate-or-cancel limit order."""

    strategy: str
    instrument: Instrument
    side: Side
    quantity: Decimal
    price: Decimal


class Rest(Enum):
    """Why no order is placed now."""

    DUST = "too small for the venue"
    COMMITTED = "orders under way may close it"
    SHORT = "the venue holds less than the bot owns"
    NO_PRICE = "nobody quotes on the other side"
    TOO_DEAR = "the price has moved further than the widest collar"
    OVERSOLD = "more was sold than it owned: nothing there to close"
    SPENT = "as many orders as one run may send did not close it"


def plan_close(holding: Holding, settings: WatchdogSettings) -> Close | Rest:
    """The next closing order of a position that is not zero, or why there is none."""
    if holding.instrument.spot and holding.held < ZERO:
        return Rest.OVERSOLD
    if holding.best is None or holding.reference is None:
        return Rest.NO_PRICE
    instrument, side, best = holding.instrument, holding.side, holding.best
    quantity = _quantity(holding)
    price = _price(instrument, side, best, holding.reference, quantity, holding.attempt, settings)
    if not instrument.tradable(abs(holding.held), best):
        return Rest.DUST
    if price is None:
        return Rest.TOO_DEAR
    if not instrument.tradable(quantity, price):
        return _too_small(holding)
    return Close(holding.strategy, instrument, side, quantity, price)


def collar_of(attempt: int, settings: WatchdogSettings) -> Decimal:
    """How far through the best price the order of this attempt may trade, as a fraction; doubles up to the widest."""
    return min(settings.collar_start * Decimal(2) ** min(attempt, 64), settings.collar_max)


def _quantity(holding: Holding) -> Decimal:
    instrument = holding.instrument
    certain = max(abs(holding.held) - holding.committed, ZERO)
    if holding.free is not None and holding.side is Side.SELL:
        certain = min(certain, max(holding.free, ZERO))
    return instrument.round_quantity(min(certain, instrument.quantity_max))


def _price(
    instrument: Instrument,
    side: Side,
    best: Decimal,
    reference: Decimal,
    quantity: Decimal,
    attempt: int,
    settings: WatchdogSettings,
) -> Decimal | None:
    """The limit price; None where the best price is beyond what this run may pay."""
    collar = collar_of(attempt, settings)
    if side is Side.BUY:
        highest = min(best * (1 + collar), reference * (1 + settings.collar_max))
        return instrument.round_price(side, highest) if highest >= best else None
    lowest = max(best * (1 - collar), reference * (1 - settings.collar_max))
    if quantity > ZERO and quantity * best >= instrument.notional_min:
        # The venue judges a small order by its limit price: a wide collar must not make it too small.
        lowest = max(lowest, ceil_to(instrument.notional_min / quantity, instrument.tick))
    return instrument.round_price(side, lowest) if lowest <= best else None


def _too_small(holding: Holding) -> Rest:
    """What is held is large enough, what is certain of it is not: what makes the difference?"""
    if holding.committed > ZERO:
        return Rest.COMMITTED
    if holding.free is not None and holding.side is Side.SELL and holding.free < abs(holding.held):
        return Rest.SHORT
    return Rest.DUST
