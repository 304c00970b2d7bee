"""What an exchange still knows after a restart: everything about its accounts, whichever way it ended."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal as D
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio
from attrs import evolve, field, frozen
from hypothesis import given
from hypothesis import strategies as st

from tbot_actors.exchange.archive import Archive
from tbot_actors.exchange.books import DiffSpeed
from tbot_actors.exchange.filters import SymbolRules
from tbot_actors.exchange.floor import Floor
from tbot_actors.exchange.keeper import IDS_AHEAD, Keeper, StateRefused, recall
from tbot_actors.exchange.ledger import LedgerMemory, Unbalanced
from tbot_actors.exchange.market import Match, Order, Side
from tbot_actors.exchange.matching import OrderBookMarket
from tbot_actors.exchange.memory import (
    CLOSED_KEPT_MAX,
    TRADES_KEPT_MAX,
    Counters,
    Memory,
    MemoryUnreadable,
    decode,
    encode,
)
from tbot_actors.exchange.records import NewOrder, OrderRecord, OrderStatus, OrderType, TradeRecord, VenueError
from tbot_actors.exchange.run import run_exchange
from tbot_actors.exchange.settings import ExchangeSettings
from tbot_actors.exchange.shapes import expiry_reason
from tbot_actors.exchange.signing import Key, Keyring
from tbot_actors.exchange.venue import Venue
from tbot_actors.world import DiskFailure, SystemFiles, TrioClock, World, real_world
from tests.exchange.wire_client import Customer

BUY, SELL = Side.BUY, Side.SELL
SYMBOL = "BTCUSDT"
NOW = 1_723_161_255_000_000_000
SECOND_NS = 1_000_000_000
PURSE = {"USDT": D(20_000), "BTC": D("0.3")}
ACCOUNTS = ("ann", "bob", "eve")
KEYS = tuple(Key(f"key-{name}", f"secret-{name}", name) for name in ACCOUNTS)


def fresh_venue() -> Venue:
    return Venue({SYMBOL: (SymbolRules(), OrderBookMarket())}, dict.fromkeys(ACCOUNTS, PURSE))


def memory_of(venue: Venue) -> Memory:
    counters = Counters(executions=3, update_ids={SYMBOL: 4})
    return Memory(orderly=True, starts=1, keys=KEYS, counters=counters, venue=venue.remember())


def reopened(venue: Venue, market: OrderBookMarket | None = None, rules: SymbolRules | None = None) -> Venue:
    """The venue after its state has been bytes."""
    markets = {SYMBOL: (rules or SymbolRules(), market or OrderBookMarket())}
    return Venue.restored(markets, decode(encode(memory_of(venue))).venue, NOW + SECOND_NS)


def limit(side: Side, price: int | str, quantity: str, **more: Any) -> NewOrder:
    parts: dict[str, Any] = {"type": OrderType.LIMIT, "time_in_force": "GTC"} | more
    return NewOrder(symbol=SYMBOL, side=side, quantity=D(quantity), price=D(price), **parts)


def quote(market: OrderBookMarket, side: Side, price: int, quantity: str) -> list[Match]:
    """Liquidity of nobody in particular at a whole price."""
    return market.submit(Order(-price, "", side, price * 100, int(D(quantity) * 100_000)))


def shown(venue: Venue) -> list[object]:
    """Everything that anybody can ask a venue."""
    answers: list[object] = [venue.market(SYMBOL).levels(side, 1000) for side in Side]
    for account in ACCOUNTS:
        answers += [venue.balances(account), venue.updated_ns(account), venue.open_orders(account)]
        answers += [venue.all_orders(account, SYMBOL, limit=1000), venue.trades(account, SYMBOL, limit=1000)]
    return answers


# A venue and what it remembers.


@frozen
class Step:
    """Something an account does."""

    account: str
    kind: str
    side: Side
    price: int
    steps: int
    name: str

    def on(self, venue: Venue, now_ns: int) -> object:
        """Do it; what came of it, a refusal too."""
        quantity = D(self.steps) / 100
        try:
            match self.kind:
                case "cancel":
                    return venue.cancel(self.account, SYMBOL, client_order_id=self.name, now_ns=now_ns)
                case "cancel all":
                    return venue.cancel_all(self.account, SYMBOL, now_ns)
                case "MARKET":
                    new = NewOrder(symbol=SYMBOL, side=self.side, type=OrderType.MARKET, quantity=quantity)
                case "LIMIT_MAKER":
                    terms: dict[str, Any] = {"type": OrderType.LIMIT_MAKER, "time_in_force": None}
                    new = limit(self.side, self.price, str(quantity), client_order_id=self.name, **terms)
                case force:
                    more: dict[str, Any] = {"time_in_force": force, "client_order_id": self.name}
                    new = limit(self.side, self.price, str(quantity), **more)
            return venue.place(self.account, new, now_ns)
        except VenueError as refused:
            return refused.code, refused.message


steps = st.builds(
    Step,
    account=st.sampled_from(ACCOUNTS),
    kind=st.sampled_from(["GTC"] * 6 + ["LIMIT_MAKER", "IOC", "FOK", "MARKET", "cancel", "cancel", "cancel all"]),
    side=st.sampled_from(Side),
    price=st.integers(50_000, 50_004),
    steps=st.integers(1, 7),
    name=st.sampled_from([f"n{number}" for number in range(12)]),
)


@given(st.lists(steps, max_size=40), st.lists(steps, max_size=25))
def test_a_restored_venue_goes_on_exactly_as_the_one_that_never_ended(before: list[Step], after: list[Step]) -> None:
    venue = fresh_venue()
    for number, step in enumerate(before):
        step.on(venue, NOW + number)
    twin = reopened(venue)
    assert twin.remember() == venue.remember()
    assert shown(twin) == shown(venue)
    venue.drain()
    twin.drain()
    for number, step in enumerate(after, start=2 * SECOND_NS):
        assert step.on(twin, NOW + number) == step.on(venue, NOW + number)
    assert shown(twin) == shown(venue)
    assert twin.drain() == venue.drain(), "balances, trades and ids are told alike"
    twin.check_conservation()


def test_what_was_filled_in_part_rests_with_what_is_left_and_its_money_locked() -> None:
    venue = fresh_venue()
    venue.place("ann", limit(BUY, 50_000, "0.1", client_order_id="part"), NOW)
    venue.place("bob", limit(SELL, 50_000, "0.04"), NOW)
    twin = reopened(venue)
    assert twin.market(SYMBOL).best(BUY) == (5_000_000, 6_000)
    assert twin.balances("ann")["USDT"] == (D(15_000), D(3_000))
    twin.place("bob", limit(SELL, 50_000, "0.06"), NOW + 5)
    record = twin.order("ann", SYMBOL, client_order_id="part")
    assert (record.status, record.executed, record.cumulative_quote) == (OrderStatus.FILLED, D("0.1"), D(5_000))
    assert record.created_ns == NOW and record.updated_ns == NOW + 5


def test_an_order_whose_price_the_market_has_passed_meanwhile_matches_as_it_reopens() -> None:
    venue = fresh_venue()
    venue.place("ann", limit(BUY, 50_000, "0.1", client_order_id="mine"), NOW)
    market = OrderBookMarket()
    quote(market, SELL, 49_000, "0.03")
    twin = reopened(venue, market)
    record = twin.order("ann", SYMBOL, client_order_id="mine")
    assert (record.status, record.executed, record.cumulative_quote) == (
        OrderStatus.PARTIALLY_FILLED, D("0.03"), D(1_470)
    )  # fmt: skip
    [trade] = twin.trades("ann", SYMBOL)
    assert (trade.price, trade.maker, trade.time_ns) == (D(49_000), False, NOW + SECOND_NS)
    assert twin.balances("ann")["USDT"] == (D(15_000) + 30, D(3_500))


def test_a_post_only_order_expires_rather_than_take_as_it_reopens() -> None:
    venue = fresh_venue()
    venue.place("ann", limit(BUY, 50_000, "0.1", type=OrderType.LIMIT_MAKER, time_in_force=None), NOW)
    market = OrderBookMarket()
    quote(market, SELL, 49_000, "0.03")
    twin = reopened(venue, market)
    [record] = twin.all_orders("ann", SYMBOL)
    assert (record.status, record.executed) == (OrderStatus.EXPIRED, D(0))
    assert expiry_reason(record) == "EXCHANGE_CANCELED"
    assert twin.open_orders("ann") == []
    assert twin.balances("ann") == {"USDT": (D(20_000), D(0)), "BTC": (D("0.3"), D(0))}
    assert market.best(SELL) == (4_900_000, 3_000)


def test_orders_keep_their_turn_at_a_price() -> None:
    venue = fresh_venue()
    for account in ("eve", "ann", "bob"):
        venue.place(account, limit(BUY, 50_000, "0.01"), NOW)
    twin = reopened(venue)
    twin.place("bob", limit(SELL, 50_000, "0.01"), NOW)
    assert [len(twin.open_orders(account)) for account in ("eve", "ann", "bob")] == [0, 1, 1]


def test_accounts_that_do_not_add_up_are_refused() -> None:
    venue = fresh_venue()
    venue.place("ann", limit(BUY, 50_000, "0.1"), NOW)
    good = venue.remember()

    def restore(ledger: LedgerMemory, rules: SymbolRules | None = None) -> None:
        remembered = evolve(good, ledger=ledger)
        Venue.restored({SYMBOL: (rules or SymbolRules(), OrderBookMarket())}, remembered, NOW)

    restore(good.ledger)
    balances = good.ledger.balances
    richer = {**balances, "bob": {**balances["bob"], "USDT": (D(20_001), D(0))}}
    free = {**balances, "ann": {**balances["ann"], "USDT": (D(20_000), D(0))}}
    for wrong in (richer, free):
        with pytest.raises(Unbalanced):
            restore(evolve(good.ledger, balances=wrong))
    with pytest.raises(VenueError, match="PRICE_FILTER"):
        restore(good.ledger, SymbolRules(tick=D(7)))


# Sizes.


def closed_order(number: int) -> OrderRecord:
    return OrderRecord(
        order_id=number, client_order_id=f"TB0T-1-ORDERS-{number:012d}", symbol=SYMBOL, side=BUY, type=OrderType.LIMIT,
        time_in_force="GTC", price=D("61234.56"), quantity=D("0.00123"), executed=D("0.00123"),
        cumulative_quote=D("75.31850880"), status=OrderStatus.FILLED, created_ns=NOW, updated_ns=NOW,
    )  # fmt: skip


def own_trade(number: int) -> TradeRecord:
    return TradeRecord(
        trade_id=number, order_id=number, client_order_id=f"TB0T-1-ORDERS-{number:012d}", symbol=SYMBOL,
        price=D("61234.56"), quantity=D("0.00123"), quote_quantity=D("75.31850880"), fee=D("0.00000123"),
        fee_asset="BTC", buyer=True, maker=False, time_ns=NOW,
    )  # fmt: skip


def test_the_newest_are_kept_and_every_open_order_however_old() -> None:
    venue = fresh_venue()
    first, _ = venue.place("ann", limit(BUY, 40_000, "0.001", client_order_id="oldest"), NOW)
    for _ in range(CLOSED_KEPT_MAX + 10):
        venue.place("ann", limit(BUY, 50_000, "0.001", time_in_force="IOC"), NOW)
    twin = reopened(venue)
    kept = venue.remember().desks[SYMBOL].accounts["ann"].orders
    last_id = first.order_id + CLOSED_KEPT_MAX + 10
    wanted = [first.order_id, *range(last_id - CLOSED_KEPT_MAX + 1, last_id + 1)]
    assert [record.order_id for record in kept] == wanted
    assert twin.order("ann", SYMBOL, client_order_id="oldest") == first
    with pytest.raises(VenueError, match="-2013"):
        twin.order("ann", SYMBOL, order_id=2)


def test_the_file_of_the_fullest_accounts_is_a_few_megabytes() -> None:
    archive = Archive()
    for number in range(1, 5_000):
        archive.recall(closed_order(number))
        archive.add_trade(own_trade(number))
    orders, trades = archive.newest(CLOSED_KEPT_MAX, TRADES_KEPT_MAX)
    assert (len(orders), len(trades)) == (CLOSED_KEPT_MAX, TRADES_KEPT_MAX)
    assert orders[-1].order_id == trades[-1].trade_id == 4_999
    memory = memory_of(fresh_venue())
    desk = memory.venue.desks[SYMBOL]
    full = {account: evolve(kept, orders=orders, trades=trades) for account, kept in desk.accounts.items()}
    memory = evolve(memory, venue=evolve(memory.venue, desks={SYMBOL: evolve(desk, accounts=full)}))
    data = encode(memory)
    assert len(data) < 5_000_000
    assert decode(data) == memory


# The file.


def small_memory() -> bytes:
    venue = fresh_venue()
    venue.place("ann", limit(BUY, 50_000, "0.1", client_order_id="mine"), NOW)
    venue.place("bob", limit(SELL, 50_000, "0.05"), NOW)
    return encode(memory_of(venue))


WRITTEN = small_memory()


@given(st.data())
def test_no_damaged_byte_goes_unnoticed(data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(WRITTEN) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda value: value != WRITTEN[at]))
    with pytest.raises(MemoryUnreadable):
        decode(WRITTEN[:at] + bytes([byte]) + WRITTEN[at + 1 :])
    with pytest.raises(MemoryUnreadable):
        decode(WRITTEN[:at])


def write(folder: Path, data: bytes) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "exchange.state").write_bytes(data)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "damaged"),
        (b"{}", "damaged"),
        (b"[" * 100_000, "damaged"),
        (WRITTEN.replace(b'"version":1', b'"version":2', 1), "format 2, and this version of tbot reads 1 only"),
        (WRITTEN.replace(b"tbot simulated exchange", b"a shopping list", 1), "of another kind, 'a shopping list'"),
        (WRITTEN.replace(b'"0.1"', b'"0.2"'), "checksum"),
        (encode(evolve(decode(WRITTEN), keys=KEYS[:1])), "different accounts"),
    ],
)
async def test_a_file_that_cannot_be_used_is_refused_in_one_line_and_left_alone(
    data: bytes, reason: str, tmp_path: Path
) -> None:
    write(tmp_path, data)
    world = real_world(hosts={"127.0.0.1"}, seed=1)
    with pytest.raises(StateRefused, match=reason) as refused:
        await run_exchange(ExchangeSettings(state=tmp_path), world, announce=print)
    line = str(refused.value)
    assert "\n" not in line and "exchange.state" in line and "name another bot.state" in line
    assert (tmp_path / "exchange.state").read_bytes() == data
    assert os.listdir(tmp_path) == ["exchange.state"]


async def test_sound_bytes_whose_accounts_do_not_fit_are_refused_too(tmp_path: Path) -> None:
    world = real_world(hosts={"127.0.0.1"}, seed=1)
    memory = decode(WRITTEN)
    balances = memory.venue.ledger.balances
    richer = {**balances, "bob": {**balances["bob"], "USDT": (D(90_000), D(0))}}
    ledger = evolve(memory.venue.ledger, balances=richer)
    write(tmp_path, encode(evolve(memory, venue=evolve(memory.venue, ledger=ledger))))
    with pytest.raises(StateRefused, match="do not add up"):
        await run_exchange(ExchangeSettings(state=tmp_path), world, announce=print)
    write(tmp_path, WRITTEN)
    with pytest.raises(StateRefused, match="its accounts trade BTCUSDT, not ETHUSDT"):
        await run_exchange(ExchangeSettings(state=tmp_path, symbol="ETHUSDT"), world, announce=print)


def keeper_of(venue: Venue, folder: Path) -> Keeper:
    world = real_world(hosts=(), seed=1)
    floor = Floor(venue, None, Keyring(KEYS), world.clock, world.entropy("ids"))
    return Keeper(SystemFiles(), folder, floor, list(KEYS), starts=1)


def test_a_crash_in_the_middle_of_writing_leaves_the_state_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    venue = fresh_venue()
    keeper = keeper_of(venue, tmp_path)
    venue.place("ann", limit(BUY, 50_000, "0.1"), NOW)
    keeper.keep()
    before = recall(SystemFiles(), tmp_path, SYMBOL)
    venue.place("ann", limit(BUY, 50_001, "0.1"), NOW)

    def power_fails(*_: object) -> None:
        raise KeyboardInterrupt

    for call in ("fsync", "replace"):
        with monkeypatch.context() as patched:
            patched.setattr(os, call, power_fails)
            with pytest.raises(KeyboardInterrupt):
                keeper.keep()
        assert before is not None and recall(SystemFiles(), tmp_path, SYMBOL) == before
    assert keeper.keep(), "what could not be written is written at the next look"
    after = recall(SystemFiles(), tmp_path, SYMBOL)
    assert after is not None and len(after.venue.desks[SYMBOL].accounts["ann"].orders) == 2


def test_accounts_gone_wrong_inside_are_never_written(tmp_path: Path) -> None:
    venue = fresh_venue()
    keeper = keeper_of(venue, tmp_path)
    keeper.keep()
    good = (tmp_path / "exchange.state").read_bytes()
    record, _ = venue.place("ann", limit(BUY, 50_000, "0.1"), NOW)
    resting = venue.market(SYMBOL).cancel(record.order_id)
    assert resting is not None
    resting.remaining -= 1
    for end in (keeper.keep, keeper.end):
        with pytest.raises(Unbalanced):
            end()
    assert (tmp_path / "exchange.state").read_bytes() == good


def test_the_numbering_in_the_file_stays_ahead_though_only_strangers_trade(tmp_path: Path) -> None:
    venue = fresh_venue()
    keeper = keeper_of(venue, tmp_path)
    assert keeper.keep() and not keeper.keep()
    desk = venue._desks[SYMBOL]
    desk.trade_id += IDS_AHEAD // 2 - 1
    assert not keeper.keep()
    desk.trade_id += 1
    assert keeper.keep()
    kept = recall(SystemFiles(), tmp_path, SYMBOL)
    assert kept is not None and kept.venue.desks[SYMBOL].trade_id == desk.trade_id + IDS_AHEAD


def test_a_reopened_book_cannot_be_taken_for_the_next_change_of_the_old_one() -> None:
    counters = Counters(executions=7, update_ids={SYMBOL: 5_000})
    market = OrderBookMarket()
    venue = Venue({SYMBOL: (SymbolRules(), market)}, dict.fromkeys(ACCOUNTS, PURSE))
    quote(market, SELL, 49_000, "1")
    world = real_world(hosts=(), seed=1)
    floor = Floor(venue, None, Keyring(KEYS), world.clock, world.entropy("ids"), counters)
    assert floor.books[SYMBOL].snapshot(5)["lastUpdateId"] == 5_001, "who has 5000 still waits for 5001, and sees a gap"
    quote(market, SELL, 49_001, "1")
    floor.books[SYMBOL].collect()
    diff = floor.books[SYMBOL].diff(DiffSpeed.FAST, NOW)
    assert diff is not None and (diff["U"], diff["u"]) == (5_002, 5_002)
    assert floor.counters() == evolve(counters, update_ids={SYMBOL: 5_002})


# The whole exchange, over real loopback.


@frozen
class Open:
    """An exchange that is open, and its first customer."""

    told: dict[str, Any]
    main: Customer
    second: Customer

    async def rows(self, path: str, **params: object) -> Any:
        answer = await self.main.call("GET", path, **params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def shown(self) -> list[Any]:
        """What the account sees of itself."""
        account = await self.rows("/account")
        rows = [await self.rows(path, symbol=SYMBOL) for path in ("/openOrders", "/allOrders", "/myTrades")]
        return [account["balances"], account["updateTime"], account["uid"], *rows]


@asynccontextmanager
async def opened(folder: Path, world: World | None = None, **settings: Any) -> AsyncIterator[Open]:
    """An exchange on a folder, ended by cancellation."""
    chosen = world or real_world(hosts={"127.0.0.1"})
    parts: dict[str, Any] = {"state": folder, "lock_period_s": 0.02, **settings}
    async with trio.open_nursery() as nursery:
        line = await nursery.start(lambda task_status: run_exchange(
            ExchangeSettings(**parts), chosen, announce=lambda line: None, task_status=task_status))  # fmt: skip
        told = json.loads(line)
        async with httpx.AsyncClient(base_url=told["rest"]) as http:
            keys = [told, *told["keys"]]
            main, second = (Customer(http, Key(key["api_key"], key["api_secret"], "")) for key in keys[:2])
            yield Open(told, main, second)
        nursery.cancel_scope.cancel()


def same_but_address(first: Open, second: Open) -> bool:
    return {**first.told, "rest": "", "ws": ""} == {**second.told, "rest": "", "ws": ""}


async def test_over_a_restart_accounts_answer_as_before_and_go_on(tmp_path: Path) -> None:
    async with opened(tmp_path, balances={"USDT": D(50_000), "BTC": D(1)}) as first:
        rested = await first.main.order("BUY", "0.01", "40000", newClientOrderId="resting")
        traded = await first.main.order("BUY", "0.01", newClientOrderId="traded")
        await first.main.order("SELL", "0.01", "90000", newClientOrderId="gone")
        await first.main.call("DELETE", "/order", symbol=SYMBOL, origClientOrderId="gone")
        await first.second.order("BUY", "0.02", "41000")
        depth = (await first.main.http.get("/api/v3/depth?symbol=BTCUSDT")).json()
        before = await first.shown()
    assert [row["status"] for row in before[4]] == ["NEW", "FILLED", "CANCELED"] and before[5]

    async with opened(tmp_path, balances={"USDT": D(7)}) as second:
        assert same_but_address(first, second), "keys are still good"
        assert await second.shown() == before, "balances, orders, trades and every timestamp"
        named = await second.rows("/order", symbol=SYMBOL, origClientOrderId="traded")
        assert (named["orderId"], named["status"]) == (traded["orderId"], "FILLED")
        again = await second.main.order("SELL", "0.005", newClientOrderId="after")
        assert again["orderId"] == before[4][-1]["orderId"] + 2, "the other account's order took the id between"
        last = before[5][-1]["id"]
        later = await second.rows("/myTrades", symbol=SYMBOL, fromId=last)
        assert later[0] == before[5][-1] and len(later) > 1
        assert [row["id"] for row in later[1:]] == [fill["tradeId"] for fill in again["fills"]]
        assert later[1]["id"] > last
        answer = await second.main.call("DELETE", "/order", symbol=SYMBOL, origClientOrderId="resting")
        assert (answer.json()["orderId"], answer.json()["status"]) == (rested["orderId"], "CANCELED")
        now = (await second.main.http.get("/api/v3/depth?symbol=BTCUSDT")).json()
        assert now["lastUpdateId"] > depth["lastUpdateId"] + 1, "nobody can take the new book for the old one, changed"

    async with opened(tmp_path) as third:
        assert [row["clientOrderId"] for row in await third.rows("/allOrders", symbol=SYMBOL)][-1] == "after"
        assert await third.rows("/openOrders") == []


async def test_what_a_kill_leaves_behind_is_at_most_a_look_old_and_repeats_no_id(tmp_path: Path) -> None:
    killed, left = tmp_path / "killed", tmp_path / "left"
    async with opened(killed) as first:
        placed = await first.main.order("BUY", "0.01", "40000", newClientOrderId="resting")
        await first.main.order("BUY", "0.01", newClientOrderId="traded")
        before = await first.shown()
        with trio.fail_after(5):
            while len(kept(killed).venue.desks[SYMBOL].accounts["main"].orders) < 2:  # noqa: ASYNC110
                await trio.sleep(0.01)
        write(left, (killed / "exchange.state").read_bytes())
        lost = await first.main.order("BUY", "0.01", newClientOrderId="lost")
        depth = (await first.main.http.get("/api/v3/depth?symbol=BTCUSDT")).json()
    async with opened(left) as second:
        assert same_but_address(first, second)
        assert await second.shown() == before
        assert await second.main.refused("GET", "/order", symbol=SYMBOL, origClientOrderId="lost") == (400, -2013)
        after = await second.main.order("BUY", "0.01")
        assert after["orderId"] > lost["orderId"] > placed["orderId"]
        assert after["fills"][0]["tradeId"] > lost["fills"][-1]["tradeId"]
        now = (await second.main.http.get("/api/v3/depth?symbol=BTCUSDT")).json()
        assert now["lastUpdateId"] > depth["lastUpdateId"] + 1


def kept(folder: Path) -> Memory:
    found = recall(SystemFiles(), folder, SYMBOL)
    assert found is not None
    return found


async def test_an_exchange_killed_before_anybody_came_still_knows_its_keys(tmp_path: Path) -> None:
    async with opened(tmp_path / "killed", lock_period_s=50.0) as first:
        write(tmp_path / "left", (tmp_path / "killed" / "exchange.state").read_bytes())
    async with opened(tmp_path / "left") as second:
        assert same_but_address(first, second)


async def test_with_a_seed_a_restart_does_not_give_out_the_same_client_ids_again(tmp_path: Path) -> None:
    names = []
    for _ in range(3):
        async with opened(tmp_path, world=real_world(hosts={"127.0.0.1"}, seed=5), seed=5) as exchange:
            names.append((await exchange.main.order("BUY", "0.001", "40000"))["clientOrderId"])
    assert len(set(names)) == 3


async def test_the_address_is_there_while_it_serves_and_says_on_which_market(tmp_path: Path) -> None:
    async with opened(tmp_path) as exchange:
        assert json.loads((tmp_path / "exchange.json").read_bytes()) == exchange.told
        assert (exchange.told["tape"], exchange.told["speed"]) == (None, 1.0)
        assert not kept(tmp_path).orderly
    assert os.listdir(tmp_path) == ["exchange.state"]
    assert kept(tmp_path).orderly


@frozen
class WatchedFiles(SystemFiles):
    """Real files that note what is written, and refuse each name in `full` once."""

    written: list[tuple[float, str]] = field(factory=list)
    full: list[str] = field(factory=list)

    def write_atomic(self, path: Path, data: bytes) -> None:
        if path.name in self.full:
            self.full.remove(path.name)
            raise DiskFailure(f"cannot write {path}: no space is left")
        self.written.append((trio.current_time(), path.name))
        super().write_atomic(path, data)


def watched_world(files: WatchedFiles) -> World:
    return evolve(real_world(hosts={"127.0.0.1"}, seed=1), clock=TrioClock(NOW), files=files)


async def test_it_writes_once_a_second_while_accounts_change_and_never_for_strangers_trades(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    files = WatchedFiles()
    world = watched_world(files)
    lock = world.files.lock(tmp_path / "bot.lock")
    assert lock is not None
    await run_for(world, tmp_path, 30)
    assert [name for _, name in files.written] == ["exchange.state", "exchange.json", "exchange.state"]
    files.written.clear()
    await run_for(world, tmp_path, 30, order_that_never_rests)
    times = [at for at, name in files.written if name == "exchange.state"]
    assert len(times) in (31, 32)
    # the last is the end's
    assert all(later - earlier > 0.99 for earlier, later in pairwise(times[:-1]))
    lock.release()


async def run_for(world: World, folder: Path, seconds: float, deed: Callable[[Floor], object] | None = None) -> None:
    """Run an exchange whose floor gets a deed done to it four times a second."""
    floors: list[Floor] = []
    original = Keeper.__init__

    def noting(self: Keeper, files: Any, folder: Path, floor: Floor, keys: Any, starts: int) -> None:
        floors.append(floor)
        original(self, files, folder, floor, keys, starts)

    settings = ExchangeSettings(state=folder, pump_period_s=0.1)
    with pytest.MonkeyPatch.context() as patched, trio.move_on_after(seconds):
        patched.setattr(Keeper, "__init__", noting)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lambda: run_exchange(settings, world, announce=lambda line: None))
            while True:
                await trio.sleep(0.25)
                if deed is not None:
                    deed(floors[0])


def order_that_never_rests(floor: Floor) -> OrderRecord:
    new = limit(BUY, 50_000, "0.001", time_in_force="IOC")
    return floor.venue.place("main", new, floor.clock.wall_ns())[0]


async def test_an_exchange_that_cannot_keep_its_accounts_any_more_ends_and_says_why(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    files = WatchedFiles()

    def deed(floor: Floor) -> None:
        if trio.current_time() > 5 and not orders:
            files.full.append("exchange.state")
            orders.append(order_that_never_rests(floor))

    orders: list[OrderRecord] = []
    # in the group of the nursery above only
    with pytest.RaisesGroup(DiskFailure):
        await run_for(watched_world(files), tmp_path, 30, deed)
    assert trio.current_time() < 7
    assert os.listdir(tmp_path) == ["exchange.state"]
    assert list(kept(tmp_path).venue.desks[SYMBOL].accounts["main"].orders) == orders, "it tried once more at its end"


async def test_a_minute_after_the_bot_it_ends_with_everything_written_and_no_address_left(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    world = watched_world(WatchedFiles())
    with trio.fail_after(70):
        await run_exchange(ExchangeSettings(state=tmp_path, pump_period_s=1.0), world, announce=lambda line: None)
    assert os.listdir(tmp_path) == ["exchange.state"] and kept(tmp_path).orderly
    with trio.fail_after(70):
        await run_exchange(ExchangeSettings(state=tmp_path, pump_period_s=1.0), world, announce=lambda line: None)
    assert kept(tmp_path).starts == 2


# Real processes.


async def started(folder: Path, *arguments: str) -> tuple[trio.Process, dict[str, Any]]:
    command = [sys.executable, "-m", "tbot_actors", "exchange", "--state", str(folder), *arguments]
    process = await trio.lowlevel.open_process(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdout is not None
    with trio.fail_after(20):
        line = await process.stdout.receive_some()
    return process, json.loads(line)


@asynccontextmanager
async def customer(told: dict[str, Any]) -> AsyncIterator[Customer]:
    async with httpx.AsyncClient(base_url=told["rest"]) as http:
        yield Customer(http, Key(told["api_key"], told["api_secret"], ""))


@pytest.mark.processes
async def test_told_to_end_the_process_keeps_the_last_order_and_killed_all_but_the_last_second(tmp_path: Path) -> None:
    process, told = await started(tmp_path)
    async with customer(told) as main:
        first = await main.order("BUY", "0.01", "40000", newClientOrderId="first")
    process.send_signal(signal.SIGTERM)
    with trio.fail_after(10):
        assert await process.wait() == 0
    assert sorted(os.listdir(tmp_path)) == ["exchange.lock", "exchange.state"] and kept(tmp_path).orderly

    process, told = await started(tmp_path)
    async with customer(told) as main:
        assert [row["clientOrderId"] for row in (await main.call("GET", "/openOrders")).json()] == ["first"]
        second = await main.order("BUY", "0.01", "40001", newClientOrderId="second")
        assert second["orderId"] == first["orderId"] + 1
        with trio.fail_after(10):
            while len(kept(tmp_path).venue.desks[SYMBOL].accounts["main"].orders) < 2:  # noqa: ASYNC110
                await trio.sleep(0.05)
    process.kill()
    await process.wait()
    assert not kept(tmp_path).orderly and (tmp_path / "exchange.json").exists()

    process, told = await started(tmp_path)
    async with customer(told) as main:
        assert len((await main.call("GET", "/openOrders")).json()) == 2
    process.send_signal(signal.SIGINT)
    with trio.fail_after(10):
        assert await process.wait() == 0
    assert kept(tmp_path).orderly
