"""Looks in between live news, in any order and any number: the journal ends where the venue is, no fill twice."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from attrs import define, evolve, field, frozen
from hypothesis import given
from hypothesis import strategies as st

from tbot_actors.domain.events import (
    Event,
    Evidence,
    Fill,
    GenerationStarted,
    InstrumentDefined,
    OrderAccepted,
    OrderCanceled,
)
from tbot_actors.domain.instruments import Side
from tbot_actors.domain.messages import Balance, OrderReport, ReportedState, VenueFacts, VenueState, VenueTrade
from tbot_actors.reconciler.books import Books
from tbot_actors.reconciler.compare import Comparison, Seen, compare
from tests.watchdog.house import BOT, START_NS, committed, fill_of, order_id
from tests.watchdog.venue import BTC, BTCUSDT, Venue

S = 1_000_000_000
ORDERS = tuple(order_id(number) for number in range(1, 5))


@define
class Now:
    """A clock that the test turns."""

    ns: int = S

    def monotonic_ns(self) -> int:
        return self.ns

    def wall_ns(self) -> int:
        return START_NS + self.ns


@frozen
class Told:
    """Live news on its way."""

    news: OrderReport | VenueTrade


@define
class Bot:
    """A venue, a journal, and the one door through which the journal learns of the venue."""

    now: Now = field(factory=Now)
    venue: Venue = field(init=False)
    books: Books = field(factory=lambda: Books(overlap_ns=0))
    journal: list[Event] = field(factory=list)
    on_the_way: list[Told] = field(factory=list)
    before: Seen = field(factory=Seen)

    def __attrs_post_init__(self) -> None:
        self.venue = Venue(self.now)
        self.write(GenerationStarted(1, BOT, "paper", "main", START_NS), InstrumentDefined(BTCUSDT, START_NS))
        self.venue.open_order("somebody's", Side.BUY, "5", "90")
        for client_id in ORDERS:
            report = self.venue.open_order(client_id, Side.BUY, "1", "90")
            self.write(
                committed(client_id, "1"), OrderAccepted(client_id, report.venue_order_id, Evidence.RESPONSE, START_NS)
            )

    def write(self, *events: Event) -> None:
        for event in events:
            self.journal.append(event)
            self.books.apply(event, self.now.ns)

    def happens(self, what: str, client_id: str, percent: int) -> None:
        """Something at the venue, of which live news is sent."""
        order = self.venue.orders[client_id]
        if order not in self.venue.open():
            return
        if what == "trades":
            left = order.quantity - order.executed
            trade = self.venue.fill(client_id, max(left * percent / 100, Decimal("0.01")).min(left), "90")
            self.on_the_way.append(Told(trade))
        elif what == "ends":
            self.venue.end(client_id)
        self.on_the_way.append(Told(self.venue.report(client_id)))

    def look(self) -> Comparison:
        """One look: nothing happens while it lasts, which other tests cover."""
        state = VenueState(
            "binance",
            1,
            tuple(self.venue.open()),
            tuple(self.venue.trades),
            {name: Balance(total, Decimal(0)) for name, total in self.venue.balances.items()},
            None,
            self.now.ns,
        )
        self.now.ns += S
        found = compare(state, self.books, self.before, 7 * S)
        assert compare(state, self.books, self.before, 7 * S) == found
        self.before = found.seen
        self.take(found.facts)
        return found

    def take(self, facts: VenueFacts) -> None:
        """What orders does with facts."""
        for trade in facts.trades:
            self.book(trade)
        for report in facts.reports:
            self.end(report)
        for client_id in facts.absent:
            report = self.venue.report(client_id)
            for trade in report.trades:
                self.book(trade)
            self.end(report)
        assert not facts.orphans

    def book(self, trade: VenueTrade) -> None:
        """Each trade once."""
        order = self.books.owner(trade)
        if order is not None and not self.books.booked(trade.instrument, trade.trade_id):
            fill = fill_of(order.client_id, trade.trade_id, str(trade.quantity))
            self.write(evolve(fill, stamp_ns=trade.stamp_ns))

    def end(self, report: OrderReport) -> None:
        """An end is believed when every fill before it is booked."""
        order = self.books.blotter[report.client_id]
        if report.state is ReportedState.CANCELED and not order.state.terminal and order.executed == report.executed:
            self.write(OrderCanceled(report.client_id, report.evidence, self.now.wall_ns()))


actions = st.one_of(
    st.tuples(
        st.sampled_from(["trades", "trades", "ends"]), st.sampled_from((*ORDERS, "somebody's")), st.integers(1, 100)
    ),
    st.tuples(st.sampled_from(["told", "told twice", "lost"]), st.integers(0, 20), st.just(0)),
    st.tuples(st.just("look"), st.just(0), st.just(0)),
)


@given(st.lists(actions, max_size=40), st.integers(1, 4))
def test_the_journal_ends_where_the_venue_is_however_news_and_looks_interleave(
    steps: list[tuple[str, Any, int]], looks: int
) -> None:
    bot = Bot()
    for what, which, percent in steps:
        bot.now.ns += S // 10
        if what == "look":
            bot.look()
        elif what in ("trades", "ends"):
            bot.happens(what, which, percent)
        elif bot.on_the_way:
            told = bot.on_the_way.pop(which % len(bot.on_the_way)).news
            for _ in range({"lost": 0, "told": 1, "told twice": 2}[what]):
                if isinstance(told, VenueTrade):
                    bot.book(told)
                elif told.client_id in ORDERS:
                    bot.end(told)
    for _ in range(2):
        bot.look()
    rows = len(bot.journal)
    for _ in range(looks):
        found = bot.look()
        assert found.equal
        assert found.facts == VenueFacts((), (), (), ())
    assert len(bot.journal) == rows
    ours = {bot.venue.orders[client_id].venue_order_id for client_id in ORDERS}
    booked = [event.trade_id for event in bot.journal if isinstance(event, Fill)]
    assert sorted(booked) == sorted(trade.trade_id for trade in bot.venue.trades if trade.venue_order_id in ours)
    for client_id in ORDERS:
        assert bot.books.blotter[client_id].executed == bot.venue.orders[client_id].executed
        assert bot.books.blotter[client_id].state.terminal == (bot.venue.orders[client_id] not in bot.venue.open())
    foreign = bot.venue.orders["somebody's"].executed
    assert bot.books.inventory.net(BTC) == bot.venue.total("BTC") - foreign
