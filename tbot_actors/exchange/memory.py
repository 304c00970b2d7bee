"""What an exchange remembers over its own restarts, as values and as bytes. Pure.

Remembered: keys, balances, open orders, the newest closed orders and trades of each account, and where every
numbering stands. Forgotten: the market itself with its prices, public trades and candles, and what counts
against rate limits. An open order is remembered by its record alone; the rest of it follows from the rules.

As bytes it is one JSON object: the name of the format, its version, the SHA-256 of the body, the body.
"""

import hashlib
from typing import Final

import msgspec
from attrs import evolve, field, frozen

from tbot_actors.exchange.archive import Live
from tbot_actors.exchange.desk import Desk
from tbot_actors.exchange.filters import SymbolRules
from tbot_actors.exchange.ledger import FEES, MARKET, LedgerMemory, to_units
from tbot_actors.exchange.market import Market, Order, Side
from tbot_actors.exchange.records import OrderRecord, OrderType, TradeRecord
from tbot_actors.exchange.signing import Key

CLOSED_KEPT_MAX: Final = 2_000
"""Closed orders remembered per account and symbol, the newest."""

TRADES_KEPT_MAX: Final = 2_000
"""Trades remembered per account and symbol, the newest."""

FORMAT: Final = "tbot simulated exchange"
VERSION: Final = 1


class MemoryUnreadable(Exception):
    """The bytes are not what `encode` of this version has written; the message says what is wrong with them."""


@frozen(kw_only=True)
class AccountMemory:
    """One account's orders, open and closed, and trades on one symbol, by id."""

    orders: tuple[OrderRecord, ...]
    trades: tuple[TradeRecord, ...]


@frozen(kw_only=True)
class DeskMemory:
    """One symbol: the last ids given out, and what each account has there."""

    order_id: int
    trade_id: int
    accounts: dict[str, AccountMemory]


@frozen(kw_only=True)
class Remembered:
    """A venue as a value; made by `Venue.remember`, read by `Venue.restored`."""

    ledger: LedgerMemory
    updated_ns: dict[str, int]
    desks: dict[str, DeskMemory]


@frozen(kw_only=True)
class Counters:
    """Where a floor's numbering stands: executions, and the book's update id per symbol."""

    executions: int = 0
    update_ids: dict[str, int] = field(factory=dict)


@frozen(kw_only=True)
class Memory:
    """A whole exchange. `starts` counts how often it was opened; `orderly` is False while it runs."""

    orderly: bool
    starts: int
    keys: tuple[Key, ...]
    counters: Counters
    venue: Remembered

    def ahead(self, count: int) -> "Memory":
        """The same with every numbering moved on, so that who continues from here repeats none of the next ids."""
        counters, venue = self.counters, self.venue
        update_ids = {symbol: update_id + count for symbol, update_id in counters.update_ids.items()}
        desks = {
            symbol: evolve(desk, order_id=desk.order_id + count, trade_id=desk.trade_id + count)
            for symbol, desk in venue.desks.items()
        }
        moved = Counters(executions=counters.executions + count, update_ids=update_ids)
        return evolve(self, counters=moved, venue=evolve(venue, desks=desks))

    def same_accounts(self, other: "Memory") -> bool:
        """Whether nothing of the accounts differs; the numbering may."""
        mine, others = self.venue, other.venue
        return mine.ledger == others.ledger and all(
            desk.accounts == others.desks[symbol].accounts for symbol, desk in mine.desks.items()
        )

    def used(self, since: "Memory") -> int:
        """How far the numbering that moved most has moved."""
        desks, before = self.venue.desks, since.venue.desks
        moved = [self.counters.executions - since.counters.executions]
        moved += [desk.order_id - before[symbol].order_id for symbol, desk in desks.items()]
        moved += [desk.trade_id - before[symbol].trade_id for symbol, desk in desks.items()]
        moved += [now - since.counters.update_ids[symbol] for symbol, now in self.counters.update_ids.items()]
        return max(moved)


def remembered_desk(desk: Desk) -> DeskMemory:
    """One symbol as a value."""
    accounts = {}
    for account, archive in desk.archives.items():
        orders, trades = archive.newest(CLOSED_KEPT_MAX, TRADES_KEPT_MAX)
        accounts[account] = AccountMemory(orders=orders, trades=trades)
    return DeskMemory(order_id=desk.order_id, trade_id=desk.trade_id, accounts=accounts)


def restored_desk(rules: SymbolRules, market: Market, memory: DeskMemory) -> Desk:
    """The desk, its open orders not yet in the market. Raises VenueError for an order that the rules do not allow."""
    desk = Desk(rules, market, memory.accounts)
    desk.order_id, desk.trade_id = memory.order_id, memory.trade_id
    live: list[Live] = []
    for account, kept in memory.accounts.items():
        archive = desk.archives[account]
        for record in kept.orders:
            if record.status.open:
                live.append(_live(rules, account, record))
                archive.add(live[-1])
            else:
                archive.recall(record)
        for trade in kept.trades:
            archive.add_trade(trade)
    desk.live = {each.record.order_id: each for each in sorted(live, key=lambda each: each.record.order_id)}
    return desk


def _live(rules: SymbolRules, account: str, record: OrderRecord) -> Live:
    ticks, steps = rules.price_to_ticks(record.price), rules.quantity_to_steps(record.quantity)
    filled = rules.quantity_to_steps(record.executed)
    left, buying = steps - filled, record.side is Side.BUY
    post_only = record.type is OrderType.LIMIT_MAKER
    return Live(
        account=account,
        order=Order(record.order_id, account, record.side, ticks, left, post_only=post_only),
        record=record,
        steps=steps,
        lock_asset=rules.quote if buying else rules.base,
        locked=left * (ticks * rules.quote_units if buying else rules.base_units),
        filled=filled,
        quote=to_units(record.cumulative_quote),
    )


@frozen
class _Head:
    format: str
    version: int


@frozen
class _Document:
    format: str
    version: int
    sha256: str
    body: msgspec.Raw


_encoder = msgspec.json.Encoder(decimal_format="string")
_heads = msgspec.json.Decoder(_Head)
_documents = msgspec.json.Decoder(_Document)
_bodies = msgspec.json.Decoder(Memory)


def encode(memory: Memory) -> bytes:
    """The bytes that `decode` reads."""
    body = _encoder.encode(memory)
    return _encoder.encode(_Document(FORMAT, VERSION, hashlib.sha256(body).hexdigest(), msgspec.Raw(body)))


def decode(data: bytes) -> Memory:
    """What was remembered. Raises MemoryUnreadable."""
    try:
        head = _heads.decode(data)
        if head.format != FORMAT:
            raise MemoryUnreadable(f"it is of another kind, {head.format[:40]!r}")
        if head.version != VERSION:
            raise MemoryUnreadable(f"it has format {head.version}, and this version of tbot reads {VERSION} only")
        document = _documents.decode(data)
        body = bytes(document.body)
        if hashlib.sha256(body).hexdigest() != document.sha256:
            raise MemoryUnreadable("it is damaged, its checksum does not fit")
        memory = _bodies.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        # Damaged bytes are no UTF-8, which msgspec lets through as Python's own error.
        raise MemoryUnreadable(f"it is damaged ({error})") from error
    _check_accounts(memory)
    return memory


def _check_accounts(memory: Memory) -> None:
    named = {key.account for key in memory.keys}
    places = [set(memory.venue.ledger.balances) - {MARKET, FEES}, set(memory.venue.updated_ns)]
    places += [set(desk.accounts) for desk in memory.venue.desks.values()]
    if any(place != named for place in places):
        raise MemoryUnreadable("it names different accounts in different places")
