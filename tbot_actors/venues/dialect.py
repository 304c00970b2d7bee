"""What the bot asks of any exchange: the Session, and what its streams carry. Each dialect has a folder beside this.

Writes (`submit`, `cancel`) and `query` never raise for trouble of the venue or the network, they answer:

    answer         what is proven                                       what may follow
    OrderReport    the venue has the order, as reported                 -
    Refused        the venue's verdict: no; nothing was placed          another order
    NotSent        it did not happen: no byte left, or the venue        the same request again, later
                   turned it away at its door (rate limit, overload,
                   clock) before looking at it
    Lost           nothing                                              only questions, until there is evidence

Everything else raises `kernel.Unavailable` while the venue cannot be read and `ReadRefused` where it will not be.
"""

from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from attrs import frozen

from tbot_actors.domain.instruments import Instrument, InstrumentId
from tbot_actors.domain.market import DepthDiff, DepthSnapshot, MarketTrade, TopOfBook
from tbot_actors.domain.messages import (
    Balance,
    BalancesChanged,
    CancelResult,
    OrderReport,
    QueryResult,
    SubmitOrder,
    SubmitResult,
    VenueTrade,
)
from tbot_actors.venues.throttle import Throttle


class UnreadableAnswer(ValueError):
    """The venue said something that this dialect does not know. Of a write: its outcome is lost. Elsewhere: crash."""


class ReadRefused(Exception):
    """The venue answered a read with a refusal that waiting does not heal: a wrong key, an unknown symbol. Crash."""

    def __init__(self, what: str, code: int, why: str) -> None:
        super().__init__(f"{what}: the venue refuses with {code}: {why}")
        self.code = code
        self.why = why


@frozen
class Malformed:
    """A message of the market stream that is none of its kinds: to be counted and set aside, the stream goes on."""

    text: str
    """The beginning of the message as received, at most 2,000 characters."""
    why: str


@frozen
class StreamEnding:
    """The venue announced the end of this user stream: what happens from now on is not told here."""

    why: str


MarketItem = DepthDiff | TopOfBook | MarketTrade | Malformed
UserItem = OrderReport | BalancesChanged | StreamEnding


class Session(Protocol):
    """One account at one venue. Several requests may be under way at once; each has its own deadline."""

    @property
    def name(self) -> str:
        """The venue, as in instrument ids."""
        ...

    @property
    def throttle(self) -> Throttle:
        """What the venue's rate limits leave; shared by all sessions of the process with this venue."""
        ...

    async def login(self) -> tuple[Instrument, ...]:
        """Prove that the account can be read, and return the configured instruments with filters and fees."""
        ...

    async def server_time(self) -> int:
        """The venue's clock, ns UTC. Needs no login."""
        ...

    async def submit(self, order: SubmitOrder) -> SubmitResult:
        """Send an order once. Fills that the answer carries are in the report."""
        ...

    async def cancel(self, client_id: str, instrument: InstrumentId) -> CancelResult:
        """Cancel once. `Refused` says that the venue has no such order open: already ended, or never there."""
        ...

    async def query(self, client_id: str, instrument: InstrumentId) -> QueryResult:
        """What the venue knows of our id; with the order's trades where it has executed any."""
        ...

    async def open_orders(self, instruments: Collection[InstrumentId]) -> tuple[OrderReport, ...]:
        """Everything open on these instruments, also what is not ours. Without trades."""
        ...

    async def trades(self, instrument: InstrumentId, after_id: str | None) -> tuple[VenueTrade, ...]:
        """Our trades with ids above `after_id`, oldest first and complete; None reads from the venue's beginning."""
        ...

    async def balances(self) -> Mapping[str, Balance]:
        """Every asset of which the account holds anything; what is missing is zero."""
        ...

    async def depth_snapshot(self, instrument: InstrumentId) -> DepthSnapshot:
        """The book now, as deep as configured."""
        ...

    def market_stream(
        self, instruments: Collection[InstrumentId]
    ) -> AbstractAsyncContextManager[AsyncIterator[MarketItem]]:
        """Diffs, best prices and trades as they come. Connected once entered; the end of it raises Unavailable."""
        ...

    def user_stream(self) -> AbstractAsyncContextManager[AsyncIterator[UserItem]]:
        """What happens to the account. Complete from the moment it is entered; the end of it raises Unavailable."""
        ...

    async def aclose(self) -> None:
        """Close the connections. Requests still under way end at once, as lost."""
        ...
