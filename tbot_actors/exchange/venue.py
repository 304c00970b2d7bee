"""The venue: accounts, orders and trades on top of one market per symbol, as strict as Binance spot.

place: filters → client id → open orders limit → balance → market → ledger → records → events. A refusal
changes nothing. After every event the ledger's sums are asserted. Ids count per symbol from 1, so equal
inputs give equal ids. Self-trade prevention is the symbol's default EXPIRE_MAKER.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal

from attrs import evolve

from tbot_actors.exchange.archive import Archive, Live
from tbot_actors.exchange.desk import Desk
from tbot_actors.exchange.filters import SymbolRules, check_filters, fee_units, filter_failure
from tbot_actors.exchange.ledger import Ledger, Unbalanced, to_amount
from tbot_actors.exchange.market import Market, Match, Order, Side, TimeInForce, WouldCross
from tbot_actors.exchange.memory import Remembered, remembered_desk, restored_desk
from tbot_actors.exchange.records import (
    BalanceChanged,
    BookChanged,
    Execution,
    ExecutionReport,
    NewOrder,
    OrderRecord,
    OrderStatus,
    OrderType,
    TradePrinted,
    TradeRecord,
    VenueError,
    VenueEvent,
)

EVENTS_MAX = 200_000
"""Undrained events the venue holds before it stops: the wire drains after every call."""


class EventsUndrained(AssertionError):
    """Nobody drains the venue's events: a bug in whoever runs it."""


class Venue:
    """Every account's door to the markets. Synchronous and deterministic; time comes with each call.

    Methods taking `account` raise KeyError for one the venue was not built with, and VenueError for what
    Binance would refuse.
    """

    def __init__(
        self,
        markets: Mapping[str, tuple[SymbolRules, Market]],
        accounts: Mapping[str, Mapping[str, Decimal]],
    ) -> None:
        self._ledger = Ledger(accounts)
        self._desks = {symbol: Desk(rules, market, accounts) for symbol, (rules, market) in markets.items()}
        self._updated_ns = dict.fromkeys(accounts, 0)
        self._events: list[VenueEvent] = []

    @classmethod
    def restored(
        cls, markets: Mapping[str, tuple[SymbolRules, Market]], remembered: Remembered, now_ns: int
    ) -> "Venue":
        """The venue that was remembered, on markets that know none of its orders; reopened at `now_ns`.

        Open orders go back into the market in the order they came, as new ones do: they match at once or rest, at
        the end of the queue. A post-only order that would trade expires. `remembered` must be about these symbols.
        Raises Unbalanced, or VenueError, when the sums or the rules do not fit what is remembered.
        """
        venue = cls({}, {})
        venue._ledger = Ledger.restored(remembered.ledger)
        venue._updated_ns = dict(remembered.updated_ns)
        venue._desks = {
            symbol: restored_desk(rules, market, remembered.desks[symbol])
            for symbol, (rules, market) in markets.items()
        }
        for desk in venue._desks.values():
            venue._reopen(desk, now_ns)
        venue.check_conservation()
        return venue

    def remember(self) -> Remembered:
        """Everything `restored` needs, as values that no later event changes."""
        desks = {symbol: remembered_desk(desk) for symbol, desk in self._desks.items()}
        return Remembered(ledger=self._ledger.remember(), updated_ns=dict(self._updated_ns), desks=desks)

    @property
    def symbols(self) -> Mapping[str, SymbolRules]:
        """The rules of every symbol traded here."""
        return {symbol: desk.rules for symbol, desk in self._desks.items()}

    def rules(self, symbol: str) -> SymbolRules:
        """The symbol's rules. Raises VenueError -1121."""
        return self._desk(symbol).rules

    def market(self, symbol: str) -> Market:
        """The symbol's market. Raises VenueError -1121."""
        return self._desk(symbol).market

    def check(self, account: str, new: NewOrder, now_ns: int) -> None:
        """What `place` would check without the market and the balance (order/test). Raises VenueError."""
        self._admit(account, new, now_ns)

    def place(self, account: str, new: NewOrder, now_ns: int) -> tuple[OrderRecord, list[TradeRecord]]:
        """Place an order: the record as it stands afterwards, and the account's taker trades.

        Raises VenueError -1013, -1100, -1102, -1106, -1111, -1121, -2010; then nothing has changed.
        """
        desk, ticks, steps = self._admit(account, new, now_ns)
        archive = desk.archives[account]
        client_order_id = new.client_order_id or f"or{desk.order_id + 1:020d}"
        if archive.is_open(client_order_id):
            raise VenueError(-2010, "Duplicate order sent.")
        if new.type is not OrderType.MARKET and len(archive.open) >= desk.rules.orders_max:
            raise filter_failure("MAX_NUM_ORDERS")
        post_only = new.type is OrderType.LIMIT_MAKER
        order = Order(desk.order_id + 1, account, new.side, ticks, steps, _force(new), post_only)
        asset, amount = self._needed(desk, order)
        if self._ledger.free(account, asset) < amount:
            raise VenueError(-2010, "Account has insufficient balance for requested action.")
        try:
            matches = desk.market.submit(order)
        except WouldCross as crossed:
            raise VenueError(-2010, "Order would immediately match and take.") from crossed
        desk.order_id += 1
        self._ledger.lock(account, asset, amount)
        live = Live(
            account=account,
            order=order,
            record=_record(order, new, client_order_id, now_ns),
            steps=steps,
            lock_asset=asset,
            locked=amount,
        )
        desk.live[order.order_id] = live
        archive.add(live)
        self._emit(ExecutionReport(account, live.record, Execution.NEW))
        trades = self._matched(desk, matches, now_ns, account)
        self._finish(desk, live, now_ns)
        self._settle(desk, now_ns)
        return live.record, trades

    def cancel(
        self,
        account: str,
        symbol: str,
        *,
        order_id: int | None = None,
        client_order_id: str | None = None,
        cancel_client_id: str | None = None,
        now_ns: int,
    ) -> OrderRecord:
        """Cancel an open order by id, client id or both (then both must fit).

        Raises VenueError -2011 when no open order fits, -1102 without any id.
        """
        desk = self._desk(symbol)
        archive = desk.archives[account]
        record = self._find(archive, order_id, client_order_id)
        if record is None or not record.status.open:
            raise VenueError(-2011, "Unknown order sent.")
        cancelled = self._cancel(desk, archive.open[record.order_id], cancel_client_id, now_ns)
        self._settle(desk, now_ns)
        return cancelled

    def cancel_all(self, account: str, symbol: str, now_ns: int) -> list[OrderRecord]:
        """Cancel every open order of the account on the symbol. Raises VenueError -2011 when there is none."""
        desk = self._desk(symbol)
        lives = list(desk.archives[account].open.values())
        if not lives:
            raise VenueError(-2011, "Unknown order sent.")
        cancelled = [self._cancel(desk, live, None, now_ns) for live in lives]
        self._settle(desk, now_ns)
        return cancelled

    def order(
        self, account: str, symbol: str, *, order_id: int | None = None, client_order_id: str | None = None
    ) -> OrderRecord:
        """One order, open or closed. Raises VenueError -2013 when there is none, -1102 without any id."""
        record = self._find(self._desk(symbol).archives[account], order_id, client_order_id)
        if record is None:
            raise VenueError(-2013, "Order does not exist.")
        return record

    def open_orders(self, account: str, symbol: str | None = None) -> list[OrderRecord]:
        """Open orders on one symbol, or on all, oldest first."""
        desks = list(self._desks.values()) if symbol is None else [self._desk(symbol)]
        return [live.record for desk in desks for live in desk.archives[account].open.values()]

    def all_orders(
        self, account: str, symbol: str, *, from_id: int | None = None, limit: int = 500
    ) -> list[OrderRecord]:
        """Orders, open and closed, by id: from `from_id` on, else the latest. At most 1000."""
        return self._desk(symbol).archives[account].records(from_id, limit)

    def trades(
        self,
        account: str,
        symbol: str,
        *,
        from_id: int | None = None,
        order_id: int | None = None,
        limit: int = 500,
    ) -> list[TradeRecord]:
        """The account's trades by id: from `from_id` on, else the latest. At most 1000."""
        return self._desk(symbol).archives[account].trades(from_id, order_id, limit)

    def balances(self, account: str) -> dict[str, tuple[Decimal, Decimal]]:
        """Asset → (free, locked)."""
        return self._ledger.balances(account)

    def updated_ns(self, account: str) -> int:
        """When a balance of the account last changed; 0 when none ever has."""
        return self._updated_ns[account]

    def average_price(self, symbol: str, now_ns: int) -> Decimal | None:
        """The weighted average price of the last minutes, cut to 8 decimals; None before any price is known.

        Without a trade yet, the middle of the book stands in.
        """
        desk = self._desk(symbol)
        ratio = desk.average.ticks(now_ns)
        if ratio is None:
            bid, ask = desk.market.best(Side.BUY), desk.market.best(Side.SELL)
            if bid is None or ask is None:
                return None
            ratio = (bid[0] + ask[0], 2)
        return to_amount(ratio[0] * int(desk.rules.tick * 10**8) // ratio[1])

    def market_matched(self, symbol: str, matches: Iterable[Match], now_ns: int) -> None:
        """Book matches the market made by itself (flow or tape): fills of resting orders, public prints."""
        desk = self._desk(symbol)
        self._matched(desk, matches, now_ns, None)
        self._settle(desk, now_ns)

    def drain(self) -> list[VenueEvent]:
        """Everything that happened since the last call, in order."""
        events, self._events = self._events, []
        return events

    def check_conservation(self) -> None:
        """Recount everything: balances against deposits, locks against open orders. Raises Unbalanced."""
        self._ledger.check()
        held: dict[tuple[str, str], int] = {}
        for desk in self._desks.values():
            for live in desk.live.values():
                held[live.account, live.lock_asset] = held.get((live.account, live.lock_asset), 0) + live.locked
                if live.order.remaining != live.steps - live.filled or live.locked != _lock(desk.rules, live.order):
                    raise Unbalanced(f"{live} does not hold what it may still trade")
        for account in self._ledger.accounts():
            for asset in self._ledger.balances(account):
                if self._ledger.locked(account, asset) != held.get((account, asset), 0):
                    raise Unbalanced(f"{account} has {asset} locked that no order holds")

    def _desk(self, symbol: str) -> Desk:
        desk = self._desks.get(symbol)
        if desk is None:
            raise VenueError(-1121, "Invalid symbol.")
        return desk

    def _admit(self, account: str, new: NewOrder, now_ns: int) -> tuple[Desk, int | None, int]:
        desk = self._desk(new.symbol)
        if account not in desk.archives:
            raise KeyError(account)
        ticks, steps = check_filters(desk.rules, new, self.average_price(new.symbol, now_ns))
        return desk, ticks, steps

    def _find(self, archive: Archive, order_id: int | None, client_order_id: str | None) -> OrderRecord | None:
        if order_id is None and client_order_id is None:
            message = "Param 'origClientOrderId' or 'orderId' must be sent, but both were empty/null!"
            raise VenueError(-1102, message)
        return archive.find(order_id, client_order_id)

    def _needed(self, desk: Desk, order: Order) -> tuple[str, int]:
        """The asset and units to lock: a market buy's cost is walked along the book."""
        asset = desk.rules.quote if order.side is Side.BUY else desk.rules.base
        if order.side is Side.BUY and order.price is None:
            return asset, self._cost(desk, order) * desk.rules.quote_units
        return asset, _lock(desk.rules, order)

    def _cost(self, desk: Desk, order: Order) -> int:
        """Ticks × steps a market buy will pay; the account's own asks will expire and are passed over."""
        own: dict[int, int] = {}
        for live in desk.archives[order.owner].open.values():
            if live.order.side is Side.SELL and live.order.price is not None:
                own[live.order.price] = own.get(live.order.price, 0) + live.order.remaining
        limit = 32
        while True:
            levels = desk.market.levels(Side.SELL, limit)
            needed, cost = order.remaining, 0
            for price, steps in levels:
                taken = min(needed, steps - own.get(price, 0))
                needed -= taken
                cost += taken * price
                if not needed:
                    return cost
            if len(levels) < limit:
                return cost
            limit *= 2

    def _matched(self, desk: Desk, matches: Iterable[Match], now_ns: int, account: str | None) -> list[TradeRecord]:
        """Book matches; the trades `account` made as the taker."""
        if account is not None:
            self._expire_makers(desk, account, now_ns)
        trades: list[TradeRecord] = []
        for match in matches:
            trade = self._book(desk, match, now_ns)
            if trade is not None:
                trades.append(trade)
        return trades

    def _book(self, desk: Desk, match: Match, now_ns: int) -> TradeRecord | None:
        """Move the money of one match, then show it to taker, maker and public. Returns the taker's trade."""
        rules, ledger = desk.rules, self._ledger
        desk.trade_id += 1
        desk.average.add(match.price, match.quantity, now_ns)
        taker_buys = match.taker_side is Side.BUY
        if match.taker_owner or match.maker_owner:
            buyer, seller = match.taker_owner, match.maker_owner
            if not taker_buys:
                buyer, seller = seller, buyer
            ledger.pay(buyer, seller, rules.quote, match.price * match.quantity * rules.quote_units)
            ledger.pay(seller, buyer, rules.base, match.quantity * rules.base_units)
        trade = None
        if match.taker_owner:
            trade = self._fill(desk, match.taker_id, match, buyer=taker_buys, maker=False, now_ns=now_ns)
        if match.maker_owner:
            self._fill(desk, match.maker_id, match, buyer=not taker_buys, maker=True, now_ns=now_ns)
        self._emit(
            TradePrinted(
                symbol=rules.symbol,
                trade_id=desk.trade_id,
                price=rules.ticks_to_price(match.price),
                quantity=rules.steps_to_quantity(match.quantity),
                buyer_is_maker=not taker_buys,
                time_ns=now_ns,
            )
        )
        return trade

    def _fill(self, desk: Desk, order_id: int, match: Match, *, buyer: bool, maker: bool, now_ns: int) -> TradeRecord:
        rules, live = desk.rules, desk.live[order_id]
        quote = match.price * match.quantity * rules.quote_units
        base = match.quantity * rules.base_units
        live.locked -= quote if buyer else base
        live.filled += match.quantity
        live.quote += quote
        if live.order.price is not None:
            self._release(live, _lock_of(rules, live.order, live.steps - live.filled))
        rate = rules.maker_fee if maker else rules.taker_fee
        fee_asset, fee = (rules.base, fee_units(rate, base)) if buyer else (rules.quote, fee_units(rate, quote))
        self._ledger.charge(live.account, fee_asset, fee)
        status = OrderStatus.FILLED if live.filled == live.steps else OrderStatus.PARTIALLY_FILLED
        record = evolve(
            live.record,
            executed=rules.steps_to_quantity(live.filled),
            cumulative_quote=to_amount(live.quote),
            status=status,
            updated_ns=now_ns,
        )
        self._update(desk, live, record)
        trade = TradeRecord(
            trade_id=desk.trade_id,
            order_id=order_id,
            client_order_id=record.client_order_id,
            symbol=rules.symbol,
            price=rules.ticks_to_price(match.price),
            quantity=rules.steps_to_quantity(match.quantity),
            quote_quantity=to_amount(quote),
            fee=to_amount(fee),
            fee_asset=fee_asset,
            buyer=buyer,
            maker=maker,
            time_ns=now_ns,
        )
        desk.archives[live.account].add_trade(trade)
        self._emit(ExecutionReport(live.account, record, Execution.TRADE, trade))
        return trade

    def _expire_makers(self, desk: Desk, account: str, now_ns: int) -> None:
        """Close the account's own resting orders that self-trade prevention took out of the market."""
        for live in [each for each in desk.archives[account].open.values() if each.order.expired]:
            prevented = desk.rules.steps_to_quantity(live.order.remaining)
            record = evolve(live.record, status=OrderStatus.EXPIRED_IN_MATCH, updated_ns=now_ns, prevented=prevented)
            self._update(desk, live, record)
            self._emit(ExecutionReport(account, record, Execution.TRADE_PREVENTION))

    def _finish(self, desk: Desk, live: Live, now_ns: int) -> None:
        """Expire what the market did not let rest, and hold ledger and market to the same remainder."""
        if live.order.remaining != live.steps - live.filled:
            raise Unbalanced(f"{live} disagrees with its matches")
        resting = live.order.time_in_force == "GTC"
        if live.record.status.open and not resting:
            self._expire(desk, live, now_ns)

    def _expire(self, desk: Desk, live: Live, now_ns: int) -> None:
        record = evolve(live.record, status=OrderStatus.EXPIRED, updated_ns=now_ns)
        self._update(desk, live, record)
        self._emit(ExecutionReport(live.account, record, Execution.EXPIRED))

    def _reopen(self, desk: Desk, now_ns: int) -> None:
        for live in list(desk.live.values()):
            try:
                matches = desk.market.submit(live.order)
            except WouldCross:
                self._expire(desk, live, now_ns)
            else:
                self._matched(desk, matches, now_ns, live.account)
                self._finish(desk, live, now_ns)
            self._settle(desk, now_ns)

    def _cancel(self, desk: Desk, live: Live, cancel_client_id: str | None, now_ns: int) -> OrderRecord:
        order_id = live.record.order_id
        if desk.market.cancel(order_id) is None:
            raise Unbalanced(f"order {order_id} is open but not in the market")
        record = evolve(
            live.record,
            status=OrderStatus.CANCELED,
            updated_ns=now_ns,
            cancel_client_id=cancel_client_id or f"cx{order_id:020d}",
        )
        self._update(desk, live, record)
        self._emit(ExecutionReport(live.account, record, Execution.CANCELED))
        return record

    def _update(self, desk: Desk, live: Live, record: OrderRecord) -> None:
        desk.archives[live.account].update(live, record)
        if not record.status.open:
            self._release(live, 0)
            del desk.live[record.order_id]

    def _release(self, live: Live, still_needed: int) -> None:
        surplus = live.locked - still_needed
        if surplus < 0:
            raise Unbalanced(f"{live} holds {-surplus} units too few")
        if surplus:
            self._ledger.unlock(live.account, live.lock_asset, surplus)
            live.locked = still_needed

    def _settle(self, desk: Desk, now_ns: int) -> None:
        """Close one event: sums asserted, changed balances and the book announced."""
        self._ledger.assert_balanced()
        for account, balances in self._ledger.take_touched().items():
            self._updated_ns[account] = now_ns
            self._emit(BalanceChanged(account, balances, now_ns))
        self._emit(BookChanged(desk.rules.symbol))

    def _emit(self, event: VenueEvent) -> None:
        if len(self._events) >= EVENTS_MAX:
            raise EventsUndrained(f"{EVENTS_MAX} events wait")
        self._events.append(event)


def _force(new: NewOrder) -> TimeInForce:
    if new.type is OrderType.MARKET:
        return "IOC"
    return new.time_in_force or "GTC"


def _lock(rules: SymbolRules, order: Order) -> int:
    return _lock_of(rules, order, order.remaining)


def _lock_of(rules: SymbolRules, order: Order, steps: int) -> int:
    """Units an order with `steps` to go must hold: its price × quantity when buying, its quantity when selling."""
    if order.side is Side.SELL:
        return steps * rules.base_units
    assert order.price is not None
    return order.price * steps * rules.quote_units


def _record(order: Order, new: NewOrder, client_order_id: str, now_ns: int) -> OrderRecord:
    assert new.quantity is not None
    return OrderRecord(
        order_id=order.order_id,
        client_order_id=client_order_id,
        symbol=new.symbol,
        side=new.side,
        type=new.type,
        time_in_force="GTC" if new.type is OrderType.MARKET else order.time_in_force,
        price=new.price or Decimal(0),
        quantity=new.quantity,
        executed=Decimal(0),
        cumulative_quote=Decimal(0),
        status=OrderStatus.NEW,
        created_ns=now_ns,
        updated_ns=now_ns,
    )
