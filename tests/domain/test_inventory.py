"""Positions are the fold of the fills, and no money appears or vanishes in it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from tbot_actors.domain.events import Fill
from tbot_actors.domain.instruments import InstrumentId, Side
from tbot_actors.domain.inventory import Inventory, Position, reducing_quantity
from tests.domain.samples import BTC, BTCUSDT, fill

ETHUSDT = evolve(BTCUSDT, symbol="ETHUSDT", base="ETH")


def trade(side: Side, quantity: str, price: str, fee: str = "0", fee_asset: str = "USDT") -> Fill:
    amounts: dict[str, Any] = {"quantity": Decimal(quantity), "price": Decimal(price), "fee": Decimal(fee)}
    return fill("t", side=side, fee_asset=fee_asset, **amounts)


def shown(*values: object) -> tuple[object, ...]:
    """To compare Decimals with whole numbers at once."""
    return values


def after(*fills: Fill) -> Position:
    position = Position()
    for one in fills:
        position = position.after(one, BTCUSDT)
    return position


def test_a_position_that_never_traded_is_flat() -> None:
    flat = Position()
    assert shown(flat.quantity, flat.average_price, flat.unrealized(Decimal(100))) == (0, None, 0)


def test_buys_average_their_cost() -> None:
    held = after(trade(Side.BUY, "1", "100"), trade(Side.BUY, "3", "120"))
    assert shown(held.quantity, held.average_price, held.realized) == (4, 115, 0)
    assert held.unrealized(Decimal(125)) == 40


def test_a_sell_realizes_its_share_and_leaves_the_average() -> None:
    held = after(trade(Side.BUY, "4", "115"), trade(Side.SELL, "1", "135"))
    assert shown(held.quantity, held.average_price, held.realized) == (3, 115, 20)


def test_a_short_earns_when_the_price_falls() -> None:
    held = after(trade(Side.SELL, "2", "100"))
    assert shown(held.quantity, held.average_price, held.unrealized(Decimal(90))) == (-2, 100, 20)
    closed = held.after(trade(Side.BUY, "2", "90"), BTCUSDT)
    assert shown(closed.quantity, closed.cost, closed.realized) == (0, 0, 20)


def test_a_sell_beyond_flat_closes_first_and_then_opens_at_its_own_price() -> None:
    held = after(trade(Side.BUY, "1", "100"), trade(Side.SELL, "3", "110"))
    assert shown(held.quantity, held.average_price, held.realized) == (-2, 110, 10)


def test_a_fee_in_quote_is_taken_off_the_profit_at_once() -> None:
    held = after(trade(Side.BUY, "1", "100", "0.1"), trade(Side.SELL, "1", "110", "0.11"))
    assert shown(held.quantity, held.cost, held.realized, held.fees) == (0, 0, Decimal("9.79"), Decimal("0.21"))


def test_a_fee_in_base_makes_what_was_bought_less_and_dearer() -> None:
    held = after(trade(Side.BUY, "1", "100", "0.001", "BTC"))
    assert shown(held.quantity, held.cost, held.realized, held.fees) == (Decimal("0.999"), 100, 0, Decimal("0.1"))
    sold = held.after(trade(Side.SELL, "0.999", "110"), BTCUSDT)
    assert shown(sold.quantity, sold.cost, sold.realized) == (0, 0, Decimal("9.89"))


def test_a_fee_in_a_third_asset_is_counted_apart() -> None:
    held = after(trade(Side.BUY, "1", "100", "0.0002", "BNB"))
    assert shown(held.quantity, held.cost, held.fees, held.fees_elsewhere) == (1, 100, 0, Decimal("0.0002"))


def test_a_fee_in_base_that_takes_the_last_of_a_position_leaves_no_cost_behind() -> None:
    """A venue's own coin pays its fees: selling 0.999 of 1 with a fee of 0.001 of the same coin leaves nothing."""
    held = after(trade(Side.BUY, "1", "100"), trade(Side.SELL, "0.999", "110", "0.001", "BTC"))
    assert shown(held.quantity, held.cost) == (0, 0)
    assert held.realized == Decimal("9.89")
    assert after(
        trade(Side.BUY, "1", "100"), trade(Side.SELL, "0.999", "110", "0.001", "BTC"), trade(Side.BUY, "1", "50")
    ).average_price == Decimal(50)


amounts = st.decimals(Decimal("0.00001"), Decimal(100), places=5)
prices = st.decimals(Decimal("0.01"), Decimal(100_000), places=2)
fills = st.builds(
    lambda side, quantity, price, rate, asset: trade(
        side, str(quantity), str(price), str(quantity * rate * (price if asset == "USDT" else 1)), asset
    ),
    st.sampled_from(Side),
    amounts,
    prices,
    st.sampled_from([Decimal(0), Decimal("0.001"), Decimal("-0.0002")]),
    st.sampled_from(["USDT", "BTC", "BNB"]),
)
histories = st.lists(fills, max_size=20)


def cash_and_coins(history: list[Fill]) -> tuple[Decimal, Decimal]:
    """What the account itself would show: quote and base, from nothing."""
    cash = coins = Decimal(0)
    for one in history:
        cash -= one.quantity * one.price * one.side.sign + (one.fee if one.fee_asset == "USDT" else 0)
        coins += one.quantity * one.side.sign - (one.fee if one.fee_asset == "BTC" else 0)
    return cash, coins


@given(histories, prices)
def test_profit_is_what_the_account_gained(history: list[Fill], mark: Decimal) -> None:
    held = after(*history)
    cash, coins = cash_and_coins(history)
    assert held.quantity == coins
    assert abs(held.realized + held.unrealized(mark) - (cash + coins * mark)) < Decimal("1e-9")


@given(histories)
def test_cost_has_the_sign_of_the_quantity_and_flat_has_none(history: list[Fill]) -> None:
    position = Position()
    for one in history:
        position = position.after(one, BTCUSDT)
        assert position.cost * position.quantity >= 0 or abs(position.cost) < Decimal("1e-9")
        assert position.quantity or abs(position.cost) < Decimal("1e-9")


@given(histories)
def test_the_bots_inventory_is_the_sum_of_what_its_strategies_hold(history: list[Fill]) -> None:
    inventory = Inventory()
    inventory.define(BTCUSDT)
    inventory.define(ETHUSDT)
    owned = [evolve(one, strategy=("momentum", "quoter")[n % 2]) for n, one in enumerate(history)]
    for one in owned:
        assert inventory.apply(one) == inventory.position(one.strategy, BTC)
    assert inventory.net(BTC) == cash_and_coins(history)[1]
    assert inventory.nets() == {BTC: inventory.net(BTC), ETHUSDT.id: 0}
    for strategy in ("momentum", "quoter"):
        assert inventory.position(strategy, BTC) == after(*(one for one in owned if one.strategy == strategy))


def test_a_fill_of_an_instrument_nobody_defined_is_an_error() -> None:
    with pytest.raises(KeyError):
        Inventory().apply(fill("t1"))
    assert Inventory().position("momentum", InstrumentId("binance:XYZ")) == Position()


@pytest.mark.parametrize(
    ("position", "side", "quantity"),
    [("2", Side.SELL, "2"), ("-2", Side.BUY, "2"), ("2", Side.BUY, "0"), ("-2", Side.SELL, "0"), ("0", Side.BUY, "0")],
)
def test_only_the_opposite_side_reduces(position: str, side: Side, quantity: str) -> None:
    assert reducing_quantity(Decimal(position), side) == Decimal(quantity)
