"""What one run has seen at a venue and the journal does not show yet. Pure.

The journal may be behind or dead and the answer to an order may be lost, while the position has to be closed now. So
what is left of a position is: the journal's, with the venue's trades that are not booked, less whatever orders under
way could still take.
"""

from collections.abc import Iterable, Iterator
from decimal import Decimal

from attrs import define, evolve, field, frozen

from tbot_actors.domain.blotter import Blotter
from tbot_actors.domain.events import Evidence, Fill, OrderCommitted
from tbot_actors.domain.instruments import InstrumentId, Side
from tbot_actors.domain.messages import OrderReport, ReportedState, VenueTrade
from tbot_actors.domain.money import ZERO
from tbot_actors.domain.orders import Order, OrderState
from tbot_actors.watchdog.books import Books

_ENDED = (ReportedState.FILLED, ReportedState.CANCELED, ReportedState.EXPIRED, ReportedState.REJECTED)


@frozen
class _Doubt:
    """An order whose end is not known. Monotonic ns."""

    since_ns: int
    absent_ns: int | None = None
    """When the first look that counts was sent, if it found nothing."""


@define
class Sight:
    """Kept for one venue during one run; lost with it, and seen again by the next."""

    venue: str
    account: str
    books: Books
    settle_ns: int
    second_look_ns: int
    own: Blotter = field(factory=Blotter)
    """Closing orders of this run, for as long as the journal does not show them."""
    _executed: dict[str, Decimal] = field(factory=dict)
    """What the venue says an order has executed, by client id."""
    _ended: set[str] = field(factory=set)
    """Orders that can execute no more, by the venue's word or by proof."""
    _fills: dict[tuple[InstrumentId, str], Fill] = field(factory=dict)
    _trades: dict[tuple[InstrumentId, str], VenueTrade] = field(factory=dict)
    """The trades behind them, as the venue told them, but with our id."""
    _by_venue_id: dict[tuple[InstrumentId, str], str] = field(factory=dict)
    _doubts: dict[str, _Doubt] = field(factory=dict)

    # Taking in

    def sent(self, event: OrderCommitted) -> None:
        """This closing order is about to leave: from now on it may have closed all it says."""
        self.own.apply(event)

    def not_there(self, client_id: str) -> None:
        """The order never reached the venue, or was refused: proven."""
        self._ended.add(client_id)

    def reported(self, report: OrderReport) -> None:
        """The venue's word on an order of ours."""
        self._by_venue_id[report.instrument, report.venue_order_id] = report.client_id
        self._executed[report.client_id] = max(report.executed, self._executed.get(report.client_id, ZERO))
        if report.state in _ENDED:
            self._ended.add(report.client_id)
        self.traded(report.trades)

    def traded(self, trades: Iterable[VenueTrade]) -> None:
        """Trades of the account; foreign ones are passed over."""
        for trade in trades:
            order = self._owner(trade)
            key = (trade.instrument, trade.trade_id)
            if order is not None:
                self._trades[key] = evolve(trade, client_id=order.client_id)
                self._fills[key] = _fill(trade, order, self.account)

    def absent(self, client_id: str, asked_ns: int) -> None:
        """The venue did not know the order when asked then. The second such look past the settling time is proof."""
        doubt = self._doubts.get(client_id)
        if doubt is None or asked_ns - doubt.since_ns < self.settle_ns:
            return
        if doubt.absent_ns is None:
            self._doubts[client_id] = evolve(doubt, absent_ns=asked_ns)
        elif asked_ns - doubt.absent_ns >= self.second_look_ns:
            self._ended.add(client_id)

    # Saying

    def doubtful(self, now_ns: int) -> tuple[Order, ...]:
        """The orders at this venue that may still execute, or have executed more than their trades show."""
        doubtful = tuple(
            order for order in self._orders() if order.client_id not in self._ended or self.committed(order) > ZERO
        )
        self._doubts = {order.client_id: self._doubts.get(order.client_id, _Doubt(now_ns)) for order in doubtful}
        return doubtful

    def committed(self, order: Order) -> Decimal:
        """How much more the order may have executed, or may yet, than is booked or seen as trades."""
        most = self._executed.get(order.client_id, ZERO) if order.client_id in self._ended else order.quantity
        seen = sum((fill.quantity for fill in self.unbooked() if fill.client_id == order.client_id), order.executed)
        return max(most - seen, ZERO)

    def closing(self, strategy: str, instrument: InstrumentId, side: Side) -> Decimal:
        """How much orders of this side may still take of the strategy's position, at most."""
        return sum(
            (
                self.committed(order)
                for order in self._orders()
                if order.strategy == strategy and order.instrument == instrument and order.side is side
            ),
            ZERO,
        )

    def position(self, strategy: str, instrument: InstrumentId) -> Decimal:
        """The strategy's virtual position, trades that are not booked yet included, signed."""
        position = self.books.inventory.position(strategy, instrument)
        for fill in self.unbooked():
            if (fill.strategy, fill.instrument) == (strategy, instrument):
                position = position.after(fill, self.books.inventory.instruments[instrument])
        return position.quantity

    def holders(self) -> tuple[tuple[str, InstrumentId], ...]:
        """The strategies and instruments of this venue with a position, in a stable order."""
        known = {*self.books.inventory.positions, *((fill.strategy, fill.instrument) for fill in self.unbooked())}
        ours = (name for name in sorted(known) if name[1].startswith(f"{self.venue}:"))
        return tuple(name for name in ours if self.position(*name) != ZERO)

    def unbooked(self) -> tuple[Fill, ...]:
        """Trades of ours that the journal does not have."""
        return tuple(fill for key, fill in self._fills.items() if not self.books.booked(*key))

    def unbooked_trades(self) -> tuple[VenueTrade, ...]:
        """The same as the venue told them, each with our id."""
        return tuple(trade for key, trade in self._trades.items() if not self.books.booked(*key))

    def _orders(self) -> Iterator[Order]:
        for order in self.books.blotter.working.values():
            if order.state is not OrderState.QUEUED and order.instrument.startswith(f"{self.venue}:"):
                yield order
        for client_id, order in self.own.working.items():
            if self.books.blotter.get(client_id) is None:
                yield order

    def _owner(self, trade: VenueTrade) -> Order | None:
        client_id = trade.client_id or self._by_venue_id.get((trade.instrument, trade.venue_order_id))
        if client_id is None:
            return self.books.blotter.by_venue_id(trade.instrument, trade.venue_order_id)
        return self.books.blotter.get(client_id) or self.own.get(client_id)


def _fill(trade: VenueTrade, order: Order, account: str) -> Fill:
    return Fill(
        account=account,
        instrument=trade.instrument,
        trade_id=trade.trade_id,
        client_id=order.client_id,
        strategy=order.strategy,
        side=trade.side,
        price=trade.price,
        quantity=trade.quantity,
        fee=trade.fee,
        fee_asset=trade.fee_asset,
        maker=trade.maker,
        evidence=Evidence.QUERY,
        stamp_ns=trade.stamp_ns,
    )
