"""What a strategy may ask for. Ids of orders are ours; a strategy knows its orders by the keys it chose."""

from decimal import Decimal
from enum import Enum

from attrs import frozen

from tbot_actors.domain.instruments import InstrumentId, Side
from tbot_actors.domain.market import EventId


class OrderType(Enum):
    """Order types of the spine; conditional types join with the issues that need them."""

    LIMIT = "LIMIT"
    MARKET = "MARKET"
    POST_ONLY = "POST_ONLY"
    """A limit order that the venue refuses rather than match at once."""


class TimeInForce(Enum):
    """How long an order lives."""

    GTC = "GTC"
    IOC = "IOC"
    FOK = "FOK"


@frozen
class Place:
    """Open or change exposure. `key` names the order within the strategy: one working order per key."""

    key: str
    instrument: InstrumentId
    side: Side
    quantity: Decimal
    price: Decimal | None = None
    """None for a market order."""
    type: OrderType = OrderType.LIMIT
    time_in_force: TimeInForce = TimeInForce.GTC
    reduces: bool = False
    """The order may only shrink the strategy's own position.

    Risk refuses it otherwise, and lets it through where new risk is barred.
    """


@frozen
class Cancel:
    """Cancel the working order of this key; nothing happens where there is none."""

    key: str


@frozen
class Replace:
    """Cancel the working order of this key and, once that is confirmed, place this for what was not filled."""

    key: str
    quantity: Decimal
    price: Decimal


Intent = Place | Cancel | Replace


@frozen
class IntentKey:
    """One decision, one intent: the same strategy, event and key are the same decision, also after a restart."""

    strategy: str
    event: EventId
    key: str
