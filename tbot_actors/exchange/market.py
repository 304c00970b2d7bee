"""What the exchange asks of a market: orders in, matches out, in integer ticks and steps.

Two kinds stand behind it: the matching engine (`matching.py`) and a replayed capture (`tape.py`).
"""

from enum import Enum
from typing import Literal, Protocol

from attrs import define, frozen

TimeInForce = Literal["GTC", "IOC", "FOK"]


class Side(Enum):
    """The side of an order, spelled as on Binance's wire."""

    BUY = "BUY"
    SELL = "SELL"

    @property
    def opposite(self) -> "Side":
        """The side this one trades against."""
        return Side.SELL if self is Side.BUY else Side.BUY


class WouldCross(Exception):
    """A post-only order would have matched at once; nothing was changed."""


@define(slots=True, eq=False)
class Order:
    """One order inside a market; the market lowers `remaining` as it matches.

    `price` is in ticks (None for a market order), `remaining` in steps. `owner` is the account,
    "" for the market's own liquidity. Compared by identity: one object lives through the order's life.
    `expired` is set by a market that took the resting order out because its owner's next order would
    have traded with it (Binance STP mode EXPIRE_MAKER).
    """

    order_id: int
    owner: str
    side: Side
    price: int | None
    remaining: int
    time_in_force: TimeInForce = "GTC"
    post_only: bool = False
    expired: bool = False


@frozen(slots=True)
class Match:
    """One maker met one taker: `price` in ticks is the maker's, `quantity` in steps.

    Owner "" and id 0 stand for anonymous liquidity.
    """

    maker_id: int
    taker_id: int
    maker_owner: str
    taker_owner: str
    price: int
    quantity: int
    taker_side: Side


class Market(Protocol):
    """Price-time priority for one symbol. Pure: no clock, no entropy, no I/O."""

    def submit(self, order: Order) -> list[Match]:
        """Match by price-time priority at the makers' prices.

        What is left rests when the order is GTC with a price; the caller reads `order.remaining`.
        FOK trades whole or not at all. Raises WouldCross when `post_only` would trade.
        """
        ...

    def cancel(self, order_id: int) -> Order | None:
        """Take a resting order out of the book; None when it is not resting."""
        ...

    def levels(self, side: Side, limit: int) -> list[tuple[int, int]]:
        """At most `limit` levels as (price in ticks, total steps), best first."""
        ...

    def best(self, side: Side) -> tuple[int, int] | None:
        """The best level of a side as (price in ticks, total steps), None when the side is empty."""
        ...

    def take_changes(self) -> list[tuple[Side, int, int]]:
        """Levels changed since the last call with their absolute totals (0 = gone), for depth diffs."""
        ...
