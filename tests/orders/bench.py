"""A desk on a bench: a journal that is read back when the test says so, a clock in its hand, and every deed kept."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, TypeVar

from attrs import define, field

from tbot_actors.domain.events import (
    Event,
    Evidence,
    Fill,
    GenerationStarted,
    InstrumentDefined,
    OrderCommitted,
    PauseChanged,
    Verdict,
)
from tbot_actors.domain.instruments import Side
from tbot_actors.domain.intents import IntentKey, OrderType, Place, TimeInForce
from tbot_actors.domain.market import EventId
from tbot_actors.domain.messages import ApprovalRefused, Approved, Lost, OrderReport, ReportedState, VenueTrade
from tbot_actors.domain.orders import Order
from tbot_actors.orders.deeds import Deed, Deeds, Now, Refuse, Send, Write
from tbot_actors.orders.desk import Desk
from tbot_actors.orders.settings import OrdersSettings
from tests.domain.samples import BTC, BTCUSDT

D = TypeVar("D", bound=Deed)
NS = 1_000_000_000
WALL_NS = 1_700_000_000 * NS
TAG = "TB0T"

BEGINNING: tuple[Event, ...] = (
    GenerationStarted(1, TAG, "paper", "main", 1),
    InstrumentDefined(BTCUSDT, 2),
    PauseChanged("account", (), 3),
)


def approved(
    key: str = "entry",
    quantity: str = "1",
    *,
    event: str = "q/1",
    price: str | None = "100",
    side: Side = Side.BUY,
    reduces: bool = False,
    replaces: bool = False,
    incarnation: int = 1,
) -> Approved:
    """Momentum wants one bitcoin at 100, and risk agrees."""
    place = Place(
        key,
        BTC,
        side,
        Decimal(quantity),
        None if price is None else Decimal(price),
        OrderType.MARKET if price is None else OrderType.LIMIT,
        TimeInForce.GTC,
        reduces,
    )
    return Approved(IntentKey("momentum", EventId(event), key), place, Verdict({}, incarnation), replaces)


def trade(number: int | str, quantity: str = "0.4", client_id: str | None = None, venue_id: str = "v1") -> VenueTrade:
    """A trade of ours at 100."""
    return VenueTrade(
        instrument=BTC,
        trade_id=str(number),
        venue_order_id=venue_id,
        client_id=client_id,
        side=Side.BUY,
        price=Decimal(100),
        quantity=Decimal(quantity),
        fee=Decimal(0),
        fee_asset="USDT",
        maker=True,
        stamp_ns=WALL_NS,
    )


def report(
    order: Order | str,
    state: ReportedState = ReportedState.OPEN,
    executed: str = "0",
    trades: tuple[VenueTrade, ...] = (),
    evidence: Evidence = Evidence.STREAM,
    why: str = "",
) -> OrderReport:
    """What the venue says of an order."""
    client_id = order if isinstance(order, str) else order.client_id
    return OrderReport(
        client_id=client_id,
        venue_order_id="v1",
        instrument=BTC,
        state=state,
        side=Side.BUY,
        quantity=Decimal(1),
        price=Decimal(100),
        executed=Decimal(executed),
        trades=trades,
        why=why,
        evidence=evidence,
        stamp_ns=WALL_NS,
    )


@define
class Bench:
    """`told` is written and not read back; `read` moves it into the desk. `deeds` is everything else it wanted."""

    settings: OrdersSettings = field(factory=OrdersSettings)
    incarnation: int = 1
    journal: list[Event] = field(factory=list)
    read_count: int = 0
    deeds: list[Deed] = field(factory=list)
    now_ns: int = 100 * NS
    desk: Desk = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.journal = [*BEGINNING, *self.journal]
        self.start()

    def start(self, *, ready: bool = True) -> None:
        """An incarnation that has read the journal to its head."""
        self.desk = Desk("main", TAG, self.settings, self.incarnation)
        if ready:
            self.do(self.desk.gateway_ready("binance", self.now))
        self.read_count = 0
        while self.read_count < len(self.journal):
            self._read_one()
        self.do(self.desk.recovered(self.now))

    def crash(self, *, journal_loses: int = 0, ready: bool = True) -> None:
        """The order path dies; with `journal_loses`, so does the journal, and the last rows told to it never were."""
        keep = max(self.read_count, len(self.journal) - journal_loses)
        del self.journal[keep:]
        self.incarnation += 1
        self.start(ready=ready)

    @property
    def now(self) -> Now:
        return Now(self.now_ns, WALL_NS + self.now_ns)

    def do(self, deeds: Deeds) -> list[Deed]:
        """Carry out: rows go to the journal, the rest is kept. What was new is returned."""
        new = list(deeds)
        for deed in new:
            if isinstance(deed, Write):
                self.journal += deed.events
            else:
                self.deeds.append(deed)
        return new

    def read(self) -> None:
        """Read everything back, also what follows from it."""
        while self.read_count < len(self.journal):
            self._read_one()

    def _read_one(self) -> None:
        event = self.journal[self.read_count]
        self.read_count += 1
        self.do(self.desk.read(event, self.now))

    def wait(self, seconds: float) -> None:
        """Time passes, in half seconds, as the actor's tick has it."""
        end_ns = self.now_ns + int(seconds * NS)
        while self.now_ns < end_ns:
            self.now_ns = min(end_ns, self.now_ns + NS // 2)
            self.do(self.desk.tick(self.now))
            self.read()

    # Shorthands

    def approve(self, *arguments: Any, **named: Any) -> Approved:
        wanted = approved(*arguments, **named)
        self.do(self.desk.approve(wanted, self.now))
        return wanted

    def sent(self, *arguments: Any, **named: Any) -> Order:
        """An order that is on its way to the venue."""
        self.approve(*arguments, **named)
        self.read()
        return self.all(Send)[-1].order

    def open(self, *arguments: Any, **named: Any) -> Order:
        """An order that the venue has."""
        order = self.sent(*arguments, **named)
        self.submitted(order, report(order, evidence=Evidence.RESPONSE))
        return self.order(order)

    def unknown(self) -> Order:
        """An order whose answer was lost."""
        order = self.sent()
        self.submitted(order, Lost("timeout"))
        return self.order(order)

    def submitted(self, order: Order, result: Any) -> list[Deed]:
        new = self.do(self.desk.submitted(order.client_id, result, self.now))
        self.read()
        return new

    def cancelled(self, order: Order, result: Any) -> list[Deed]:
        new = self.do(self.desk.cancelled(order.client_id, result, self.now))
        self.read()
        return new

    def queried(self, order: Order, result: Any, *, asked_ago_s: float = 0) -> list[Deed]:
        asked_ns = self.now_ns - int(asked_ago_s * NS)
        new = self.do(self.desk.queried(order.client_id, result, asked_ns, self.now))
        self.read()
        return new

    def reported(self, what: OrderReport) -> list[Deed]:
        new = self.do(self.desk.reported(what, self.now))
        self.read()
        return new

    def traded(self, what: VenueTrade) -> list[Deed]:
        new = self.do(self.desk.traded(what, Evidence.RECONCILE, self.now))
        self.read()
        return new

    def cancel_wanted(self, key: str = "entry") -> list[Deed]:
        new = self.do(self.desk.cancel_wanted("momentum", key, "it wants to", self.now))
        self.read()
        return new

    def pause(self, *causes: str, scope: str = "account") -> None:
        self.journal.append(PauseChanged(scope, causes, self.now.wall_ns))
        self.read()

    def order(self, order: Order | str) -> Order:
        """As it is now."""
        return self.desk.blotter[order if isinstance(order, str) else order.client_id]

    def all(self, kind: type[D]) -> list[D]:
        return [deed for deed in self.deeds if isinstance(deed, kind)]

    def take(self, kind: type[D]) -> list[D]:
        """Those since the last time."""
        found = self.all(kind)
        self.deeds = [deed for deed in self.deeds if not isinstance(deed, kind)]
        return found

    def refusals(self) -> list[ApprovalRefused]:
        return [deed.refusal for deed in self.take(Refuse)]

    def rows(self, kind: type[Event]) -> list[Any]:
        return [event for event in self.journal if isinstance(event, kind)]


def committed(bench: Bench) -> list[OrderCommitted]:
    """The decisions in the journal."""
    return bench.rows(OrderCommitted)


def fills(bench: Bench) -> list[Fill]:
    """The fills in the journal."""
    return bench.rows(Fill)


