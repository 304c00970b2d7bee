"""A venue for the tests of safety and of the reconciler: strict with its accounts, and failing on command."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from decimal import Decimal

import trio
from attrs import define, evolve, field, frozen

from tbot_actors.domain.events import Evidence
from tbot_actors.domain.instruments import Instrument, InstrumentId, Side, filter_violation
from tbot_actors.domain.intents import OrderType, TimeInForce
from tbot_actors.domain.market import DepthSnapshot
from tbot_actors.domain.messages import (
    Absent,
    Balance,
    CancelResult,
    Lost,
    OrderReport,
    QueryResult,
    Refused,
    ReportedState,
    SubmitOrder,
    SubmitResult,
    VenueTrade,
)
from tbot_actors.kernel import Unavailable
from tbot_actors.venues import MarketItem, Throttle, UserItem
from tbot_actors.world import Clock

BTC = InstrumentId("binance:BTCUSDT")
BTCUSDT = Instrument(
    venue="binance",
    symbol="BTCUSDT",
    base="BTC",
    quote="USDT",
    tick=Decimal("0.01"),
    step=Decimal("0.00001"),
    quantity_min=Decimal("0.00001"),
    quantity_max=Decimal(9000),
    notional_min=Decimal(5),
    maker_fee=Decimal(0),
    taker_fee=Decimal("0.001"),
)
_ENDED = (ReportedState.FILLED, ReportedState.CANCELED, ReportedState.EXPIRED, ReportedState.REJECTED)


class Spell:
    """What may go wrong with one request."""


@frozen
class AnswerLost(Spell):
    """The venue does it, and nobody hears of it."""


@frozen
class RequestLost(Spell):
    """It never arrives, and nobody can know."""


@frozen
class Refuse(Spell):
    """The venue refuses it."""

    code: int = -2010


@frozen
class Partly(Spell):
    """Only this much of it can trade now."""

    quantity: Decimal


@frozen
class Hang(Spell):
    """The venue does it, and the answer takes this long."""

    seconds: float


@define(eq=False)
class Venue:
    """The truth of the tests. Everything in it happened."""

    clock: Clock
    instruments: dict[InstrumentId, Instrument] = field(factory=lambda: {BTC: BTCUSDT})
    bid: Decimal = Decimal(100)
    """Takes any quantity, unless a spell says otherwise."""
    ask: Decimal = Decimal("100.01")
    balances: dict[str, Decimal] = field(factory=lambda: {"USDT": Decimal(1_000_000)})
    orders: dict[str, OrderReport] = field(factory=dict)
    """Newest of each client id."""
    trades: list[VenueTrade] = field(factory=list)
    sent: list[SubmitOrder] = field(factory=list)
    cancelled: list[str] = field(factory=list)
    submits: deque[Spell | None] = field(factory=deque)
    """What happens to the next submits."""
    cancels: deque[Spell | None] = field(factory=deque)
    down: bool = False
    quotes: bool = True
    sessions_open: int = 0
    first_session_is_throttled: bool = False
    """The gateway's session gets no answer to its questions; safety has a share of its own."""
    durable: Callable[[str], bool] = lambda _: True
    """Whether the journal has the row of an order: one that has not must not come here."""
    reads: int = 0
    read_takes_s: deque[float] = field(factory=deque)
    """How long the next reads take."""
    trades_asked: list[str | None] = field(factory=list)
    """After which trades were asked for."""
    _numbers: Iterator[int] = field(factory=lambda: iter(range(1000, 10**9)))

    # What the test does at the venue

    def open_order(self, client_id: str, side: Side, quantity: str, price: str) -> OrderReport:
        """An order that rests there."""
        report = OrderReport(
            client_id=client_id,
            venue_order_id=f"v{next(self._numbers)}",
            instrument=BTC,
            state=ReportedState.OPEN,
            side=side,
            quantity=Decimal(quantity),
            price=Decimal(price),
            executed=Decimal(0),
            trades=(),
            why="",
            evidence=Evidence.QUERY,
            stamp_ns=self.clock.wall_ns(),
        )
        self.orders[client_id] = report
        return report

    def fill(self, client_id: str, quantity: str | Decimal, price: str | Decimal) -> VenueTrade:
        """Somebody trades with a resting order."""
        return self._trade(client_id, Decimal(quantity), Decimal(price), Decimal(0))

    def end(self, client_id: str, state: ReportedState = ReportedState.CANCELED) -> None:
        """It is gone."""
        self.orders[client_id] = evolve(self.orders[client_id], state=state)

    def total(self, asset: str) -> Decimal:
        """What the account holds of it."""
        return self.balances.get(asset, Decimal(0))

    def free(self, asset: str) -> Decimal:
        """What no open sell order holds."""
        selling = [o for o in self.open() if o.side is Side.SELL and self.instruments[o.instrument].base == asset]
        return self.total(asset) - sum((o.quantity - o.executed for o in selling), Decimal(0))

    def open(self) -> list[OrderReport]:
        """The open orders."""
        return [order for order in self.orders.values() if order.state not in _ENDED]

    # What sessions do

    def submit(self, order: SubmitOrder) -> SubmitResult:
        """Take an order in, as strictly as a venue does."""
        spell = self.submits.popleft() if self.submits else None
        self.sent.append(order)
        instrument = self.instruments[order.instrument]
        assert order.client_id not in self.orders, f"{order.client_id} was used before"
        assert self.durable(order.client_id), f"{order.client_id} was sent before it was durable"
        assert order.type is OrderType.LIMIT and order.price is not None
        objection = filter_violation(instrument, order.quantity, order.price, self.bid)
        assert objection is None, objection
        if isinstance(spell, RequestLost):
            return Lost("timeout")
        if isinstance(spell, Refuse):
            return Refused(spell.code, "no")
        if order.side is Side.SELL and order.quantity > self.free(instrument.base):
            return Refused(-2010, "Account has insufficient balance for requested action.")
        self.open_order(order.client_id, order.side, str(order.quantity), str(order.price))
        if order.side is Side.SELL and order.price <= self.bid:
            takes = min(order.quantity, spell.quantity) if isinstance(spell, Partly) else order.quantity
            if takes:
                self._trade(order.client_id, takes, self.bid, takes * self.bid * instrument.taker_fee)
        if order.time_in_force is TimeInForce.IOC and self.orders[order.client_id].state not in _ENDED:
            self.end(order.client_id, ReportedState.EXPIRED)
        return Lost("timeout") if isinstance(spell, AnswerLost) else self.report(order.client_id)

    def cancel(self, client_id: str) -> CancelResult:
        """Cancel an open order."""
        spell = self.cancels.popleft() if self.cancels else None
        self.cancelled.append(client_id)
        if isinstance(spell, RequestLost):
            return Lost("timeout")
        order = self.orders.get(client_id)
        if order is None or order.state in _ENDED:
            return Refused(-2011, "Unknown order sent.")
        self.end(client_id)
        return Lost("timeout") if isinstance(spell, AnswerLost) else evolve(self.report(client_id), trades=())

    def report(self, client_id: str) -> OrderReport:
        """The order with its trades, as a query gives it."""
        order = self.orders[client_id]
        return evolve(order, trades=tuple(t for t in self.trades if t.venue_order_id == order.venue_order_id))

    def _trade(self, client_id: str, quantity: Decimal, price: Decimal, fee: Decimal) -> VenueTrade:
        order = self.orders[client_id]
        instrument = self.instruments[order.instrument]
        executed = order.executed + quantity
        assert executed <= order.quantity
        full = executed == order.quantity
        state = ReportedState.FILLED if full else order.state if order.state in _ENDED else ReportedState.PARTIAL
        self.orders[client_id] = evolve(order, executed=executed, state=state)
        trade = VenueTrade(
            instrument=order.instrument,
            trade_id=str(next(self._numbers)),
            venue_order_id=order.venue_order_id,
            client_id=None,
            side=order.side,
            price=price,
            quantity=quantity,
            fee=fee,
            fee_asset=instrument.quote,
            maker=not fee,
            stamp_ns=self.clock.wall_ns(),
        )
        self.trades.append(trade)
        self.balances[instrument.base] = self.total(instrument.base) + quantity * order.side.sign
        self.balances[instrument.quote] = self.total(instrument.quote) - quantity * price * order.side.sign - fee
        assert self.balances[instrument.base] >= 0, "the account sold what it does not have"
        return trade


@define(eq=False)
class VenueSession:
    """A connection to it."""

    venue: Venue
    latency_s: float = 0.01
    name: str = "binance"
    throttle: Throttle = field(init=False)
    _first: bool = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.venue.sessions_open += 1
        self._first = self.venue.sessions_open == 1
        self.throttle = Throttle(self.venue.clock)

    async def _read(self) -> None:
        await trio.sleep(self.venue.read_takes_s.popleft() if self.venue.read_takes_s else self.latency_s)
        self.venue.reads += 1
        if self.venue.down:
            raise Unavailable("no route to the venue")

    async def login(self) -> tuple[Instrument, ...]:
        await self._read()
        return tuple(self.venue.instruments.values())

    async def server_time(self) -> int:
        await self._read()
        return self.venue.clock.wall_ns()

    async def submit(self, order: SubmitOrder) -> SubmitResult:
        await trio.sleep(self.latency_s)
        if self.venue.down:
            return Lost("no route to the venue")
        spell = self.venue.submits[0] if self.venue.submits else None
        result = self.venue.submit(order)
        await trio.sleep(spell.seconds if isinstance(spell, Hang) else self.latency_s)
        return result

    async def cancel(self, client_id: str, instrument: InstrumentId) -> CancelResult:
        await trio.sleep(self.latency_s)
        return Lost("no route to the venue") if self.venue.down else self.venue.cancel(client_id)

    async def query(self, client_id: str, instrument: InstrumentId) -> QueryResult:
        await trio.sleep(self.latency_s)
        if self.venue.down:
            return Lost("no route to the venue")
        if self._first and self.venue.first_session_is_throttled:
            return Lost("the rate limit leaves nothing for reads")
        return self.venue.report(client_id) if client_id in self.venue.orders else Absent()

    async def open_orders(self, instruments: Collection[InstrumentId]) -> tuple[OrderReport, ...]:
        await self._read()
        return tuple(order for order in self.venue.open() if order.instrument in instruments)

    async def trades(self, instrument: InstrumentId, after_id: str | None) -> tuple[VenueTrade, ...]:
        await self._read()
        self.venue.trades_asked.append(after_id)
        after = 0 if after_id is None else int(after_id)
        return tuple(t for t in self.venue.trades if t.instrument == instrument and int(t.trade_id) > after)

    async def balances(self) -> Mapping[str, Balance]:
        await self._read()
        return {
            asset: Balance(self.venue.free(asset), total - self.venue.free(asset))
            for asset, total in self.venue.balances.items()
        }

    async def depth_snapshot(self, instrument: InstrumentId) -> DepthSnapshot:
        await self._read()
        bids = ((self.venue.bid, Decimal(1)),) if self.venue.quotes else ()
        return DepthSnapshot(instrument, 1, bids, ((self.venue.ask, Decimal(1)),))

    def market_stream(
        self, instruments: Collection[InstrumentId]
    ) -> AbstractAsyncContextManager[AsyncIterator[MarketItem]]:
        raise AssertionError("nobody here reads market data")

    def user_stream(self) -> AbstractAsyncContextManager[AsyncIterator[UserItem]]:
        raise AssertionError("nobody here reads the user stream")

    async def aclose(self) -> None:
        self.venue.sessions_open -= 1
        await trio.lowlevel.checkpoint()
