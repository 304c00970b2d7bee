"""The gate as a table: small checks in order, the first objection denies. Pure; every figure used goes into the
verdict.

An order that only shrinks its strategy's own position passes where new risk is barred, but is still held to the venue's
filters, a fresh price and the price band. Comparisons are written `not (x <= limit)`; what is not finite is denied
before it is compared, because comparing NaN raises.
"""

from collections.abc import Callable
from decimal import Decimal

from attrs import define, field, frozen

from tbot_actors.domain.events import DenyReason
from tbot_actors.domain.instruments import Instrument, Side, filter_violation
from tbot_actors.domain.intents import IntentKey, OrderType, Place
from tbot_actors.domain.inventory import reducing_quantity
from tbot_actors.domain.market import Quote
from tbot_actors.domain.money import ZERO
from tbot_actors.domain.orders import Order
from tbot_actors.risk.books import Books, Working
from tbot_actors.risk.settings import RiskSettings


@frozen
class Denial:
    """Why not."""

    reason: DenyReason
    text: str


@define
class Case:
    """One intent before the gate, and the figures looked at on the way."""

    intent: IntentKey
    place: Place
    books: Books
    limits: RiskSettings
    capital: Decimal
    """Allocated to the strategy."""
    capital_all: Decimal
    """Allocated to all strategies."""
    now_ns: int
    """Monotonic."""
    replaced: Order | None = None
    """The order that this one replaces: `place.quantity` then includes what was filled of it."""
    inputs: dict[str, str] = field(factory=dict)

    @property
    def instrument(self) -> Instrument:
        """Known after the check of that name."""
        return self.books.inventory.instruments[self.place.instrument]

    @property
    def quote(self) -> Quote:
        """Known and fresh after the price check."""
        return self.books.quotes[self.place.instrument]

    @property
    def price(self) -> Decimal:
        """What one unit costs at worst, quote currency."""
        if self.place.price is not None:
            return self.place.price
        return self.quote.ask if self.place.side is Side.BUY else self.quote.bid

    @property
    def quantity(self) -> Decimal:
        """What would be new at the venue."""
        return self.place.quantity - (self.replaced.executed if self.replaced is not None else ZERO)

    @property
    def replaced_id(self) -> str | None:
        """Client id of the order that this one replaces."""
        return None if self.replaced is None else self.replaced.client_id

    def note(self, **figures: object) -> None:
        """Keep figures for the verdict."""
        self.inputs.update({name: str(value) for name, value in figures.items()})


Check = Callable[[Case], Denial | None]


def judge(case: Case) -> Denial | None:
    """The first objection, or None: approved. Shrinking orders skip the checks that bar new risk."""
    for check in (*ALWAYS, *(SHRINKING if case.place.reduces else NEW_RISK)):
        denial = check(case)
        if denial is not None:
            return denial
    return None


def decided_once(case: Case) -> Denial | None:
    """One decision, one intent; one order per key."""
    if case.books.seen(case.intent):
        return Denial(DenyReason.DUPLICATE_INTENT, f"{case.intent.key!r} at {case.intent.event} was decided before")
    key = (case.intent.strategy, case.place.key)
    reserved = any((intent.strategy, held.place.key) == key for intent, held in case.books.reserved.items())
    if reserved or (case.replaced is None and case.books.blotter.by_key(*key) is not None):
        text = f"an order of key {case.place.key!r} is working or on its way: replace or cancel it"
        return Denial(DenyReason.KEY_IN_USE, text)
    return None


def instrument_known(case: Case) -> Denial | None:
    """The venue has told what it trades and by which filters."""
    if case.place.instrument not in case.books.inventory.instruments:
        return Denial(DenyReason.UNKNOWN_INSTRUMENT, f"{case.place.instrument} is not defined by a venue")
    return None


def figures_real(case: Case) -> Denial | None:
    """Numbers that can be compared and divided, of an order that can exist."""
    place = case.place
    figures = (place.quantity,) if place.price is None else (place.quantity, place.price)
    if not all(figure.is_finite() and figure > ZERO for figure in figures):
        text = f"quantity {place.quantity} and price {place.price} must be finite and positive"
        return Denial(DenyReason.FILTER, text)
    if (place.price is None) is not (place.type is OrderType.MARKET):
        return Denial(DenyReason.FILTER, f"a {place.type.value} order with price {place.price}: only MARKET has none")
    if not (place.quantity <= case.instrument.quantity_max):
        return Denial(DenyReason.FILTER, f"quantity {place.quantity} is above {case.instrument.quantity_max}")
    if not (case.quantity > ZERO):
        text = f"{case.place.quantity} was wanted in all, that much is filled"
        return Denial(DenyReason.NOTHING_TO_REPLACE, text)
    return None


def price_fresh(case: Case) -> Denial | None:
    """No order on stale data, and none at all without a price."""
    quote = case.books.quotes.get(case.place.instrument)
    if quote is None:
        return Denial(DenyReason.STALE_PRICE, "no quote yet")
    age_s = (case.now_ns - quote.received_ns) / 1_000_000_000
    case.note(bid=quote.bid, ask=quote.ask, quote_age_s=round(age_s, 3))
    if not (quote.bid.is_finite() and quote.ask.is_finite() and ZERO < quote.bid <= quote.ask):
        return Denial(DenyReason.STALE_PRICE, f"bid {quote.bid} and ask {quote.ask} are no prices")
    if not (age_s <= case.limits.quote_age_max_s):
        text = f"the quote is {age_s:.1f} s old, at most {case.limits.quote_age_max_s} s"
        return Denial(DenyReason.STALE_PRICE, text)
    return None


def price_in_band(case: Case) -> Denial | None:
    """A limit price near the mid; the band is some ticks wide at least, or a cheap one could not trade at all."""
    if case.place.price is None:
        return None
    mid = case.quote.mid
    band = max(mid * case.limits.price_band_percent / 100, case.instrument.tick * case.limits.price_band_ticks)
    distance = abs(case.place.price - mid)
    case.note(mid=mid, band=band)
    if not (distance <= band):
        return Denial(DenyReason.PRICE_BAND, f"price {case.place.price} is {distance} from the mid, at most {band}")
    return None


def filters_hold(case: Case) -> Denial | None:
    """What the venue would refuse anyway is refused here."""
    objection = filter_violation(case.instrument, case.quantity, case.place.price, case.quote.mid)
    return Denial(DenyReason.FILTER, objection) if objection else None


def shrinks_only(case: Case) -> Denial | None:
    """A reducing order, together with the others of its side, stays within the strategy's own position."""
    place, strategy = case.place, case.intent.strategy
    held = case.books.inventory.position(strategy, place.instrument).quantity
    committed = _own_working(case, place.side)
    case.note(position=held, working=committed)
    if not (committed + case.quantity <= reducing_quantity(held, place.side)):
        text = f"{case.quantity} and {committed} working on the position {held} would open"
        return Denial(DenyReason.NOT_REDUCING, text)
    return None


def not_barred(case: Case) -> Denial | None:
    """No pause stands for the account, the venue or the strategy; a latch is a pause that a person lifts."""
    causes = case.books.pauses.bars(case.instrument.venue, case.intent.strategy)
    return Denial(DenyReason.PAUSED, "; ".join(causes)) if causes else None


def capital_given(case: Case) -> Denial | None:
    """A strategy without capital has no share of any limit."""
    case.note(capital=case.capital, capital_all=case.capital_all)
    if not (case.capital.is_finite() and case.capital_all.is_finite() and case.capital > ZERO):
        return Denial(DenyReason.NO_CAPITAL, f"no capital is allocated to {case.intent.strategy}")
    return None


def day_not_lost(case: Case) -> Denial | None:
    """The day's loss is known and within the limit."""
    loss = case.books.day_loss()
    if loss is None:
        return Denial(DenyReason.NOT_READY, "the books are not known yet")
    limit = case.capital_all * case.limits.daily_loss_percent / 100
    case.note(day_loss=loss, day_loss_limit=limit)
    if not (loss <= limit):
        return Denial(DenyReason.DAILY_LOSS, f"lost {loss} today, at most {limit}")
    return None


def order_small(case: Case) -> Denial | None:
    """One order is a small part of its strategy's capital."""
    if case.limits.order_max is None:
        return Denial(DenyReason.ORDER_TOO_LARGE, "no limit is set: set risk.order_max")
    limit = min(case.capital * case.limits.order_max_percent / 100, case.limits.order_max)
    notional = case.quantity * max(case.price, case.quote.mid)
    case.note(notional=notional, order_limit=limit)
    if not (notional <= limit):
        return Denial(DenyReason.ORDER_TOO_LARGE, f"notional {notional} is above {limit}")
    return None


def owned_on_spot(case: Case) -> Denial | None:
    """Spot is sold only as far as the strategy owns it: other coins of the account are not the bot's."""
    place = case.place
    if not case.instrument.spot or place.side is Side.BUY:
        return None
    held = case.books.inventory.position(case.intent.strategy, place.instrument).quantity
    committed = _own_working(case, Side.SELL)
    case.note(position=held, selling=committed)
    if not (committed + case.quantity <= held):
        return Denial(DenyReason.NO_SHORT_ON_SPOT, f"the strategy owns {held}, {committed} of it is being sold")
    return None


def position_small(case: Case) -> Denial | None:
    """The bot's position stays small even if everything working on this side fills and nothing on the other does."""
    place = case.place
    net = case.books.inventory.net(place.instrument) * place.side.sign
    worst = net + case.quantity + sum((w.remaining for w in _side_working(case, place.side)), ZERO)
    limit = case.capital_all * case.limits.position_max_percent / 100
    notional = worst * max(case.price, case.quote.mid)
    case.note(worst_position=worst, worst_notional=notional, position_limit=limit)
    if not (notional <= limit):
        return Denial(DenyReason.POSITION_LIMIT, f"the position could reach {notional}, at most {limit}")
    return None


def orders_few(case: Case) -> Denial | None:
    """A bounded number of orders at once."""
    count = case.books.orders(case.replaced_id)
    case.note(orders=count)
    if not (count < case.limits.orders_max):
        return Denial(DenyReason.TOO_MANY_ORDERS, f"{count} orders are working, at most {case.limits.orders_max}")
    return None


ALWAYS: tuple[Check, ...] = (decided_once, instrument_known, figures_real, price_fresh, price_in_band, filters_hold)
"""Asked of every order."""
SHRINKING: tuple[Check, ...] = (shrinks_only,)
"""Asked of an order that says it only shrinks its strategy's position."""
NEW_RISK: tuple[Check, ...] = (
    not_barred,
    capital_given,
    day_not_lost,
    order_small,
    owned_on_spot,
    position_small,
    orders_few,
)
"""Asked of every order that may open or grow a position."""


def _side_working(case: Case, side: Side) -> list[Working]:
    working = case.books.working(case.replaced_id)
    return [held for held in working if held.instrument == case.place.instrument and held.side is side]


def _own_working(case: Case, side: Side) -> Decimal:
    own = case.intent.strategy
    return sum((working.remaining for working in _side_working(case, side) if working.strategy == own), ZERO)
