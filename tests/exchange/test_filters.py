"""What Binance refuses before an order reaches the book, with its codes and words."""

from decimal import Decimal as D
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tbot_actors.exchange.filters import SymbolRules, check_filters, fee_units
from tbot_actors.exchange.market import Side
from tbot_actors.exchange.records import NewOrder, OrderType, VenueError

RULES = SymbolRules()


def limit(**changes: Any) -> NewOrder:
    parts: dict[str, Any] = {
        "symbol": "BTCUSDT",
        "side": Side.BUY,
        "type": OrderType.LIMIT,
        "quantity": D("0.001"),
        "price": D("61700.00"),
        "time_in_force": "GTC",
    }
    return NewOrder(**(parts | changes))


def market(quantity: D | None) -> NewOrder:
    return NewOrder(symbol="BTCUSDT", side=Side.BUY, type=OrderType.MARKET, quantity=quantity)


def refusal(new: NewOrder, average: D | None = D(61700)) -> tuple[int, str]:
    with pytest.raises(VenueError) as caught:
        check_filters(RULES, new, average)
    assert caught.value.status == 400
    return caught.value.code, caught.value.message


def test_a_good_order_becomes_whole_ticks_and_steps() -> None:
    assert check_filters(RULES, limit(), D(61700)) == (6_170_000, 100)
    assert check_filters(RULES, market(D("0.001")), D(61700)) == (None, 100)


def test_trailing_zeros_are_not_precision() -> None:
    new = limit(price=D("61700.0000000000"), quantity=D("0.0010000000"))
    assert check_filters(RULES, new, None) == (6_170_000, 100)


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"price": D("61700.001")}, "PRICE_FILTER"),
        ({"price": D("1000000.01")}, "PRICE_FILTER"),
        ({"price": D("0.001")}, "PRICE_FILTER"),
        ({"quantity": D("0.000015")}, "LOT_SIZE"),
        ({"quantity": D("0.000001")}, "LOT_SIZE"),
        ({"quantity": D("9000.00001")}, "LOT_SIZE"),
        ({"price": D("12339.99")}, "PERCENT_PRICE_BY_SIDE"),
        ({"price": D("308500.01")}, "PERCENT_PRICE_BY_SIDE"),
        ({"quantity": D("0.00008")}, "NOTIONAL"),
        ({"quantity": D("146")}, "NOTIONAL"),
    ],
)
def test_each_filter_refuses_by_name(changes: dict[str, Any], name: str) -> None:
    assert refusal(limit(**changes)) == (-1013, f"Filter failure: {name}")


@pytest.mark.parametrize(
    "changes",
    [
        {"price": D("12340")},
        {"price": D("308500")},
        {"quantity": D("0.00009")},
        {"price": D("20000"), "quantity": D("450")},
    ],
)
def test_the_bound_itself_passes(changes: dict[str, Any]) -> None:
    check_filters(RULES, limit(**changes), D(61700))


def test_a_market_order_is_measured_at_the_average_price_against_the_minimum_only() -> None:
    assert refusal(market(D("0.00008"))) == (-1013, "Filter failure: NOTIONAL")
    check_filters(RULES, market(D("9000")), D(61700))
    check_filters(RULES, market(D("0.00001")), None)


def test_a_market_order_has_its_own_largest_size() -> None:
    rules = SymbolRules(market_quantity_max=D(100))
    with pytest.raises(VenueError, match="MARKET_LOT_SIZE"):
        check_filters(rules, market(D("100.00001")), D(61700))


@pytest.mark.parametrize(
    ("new", "code", "message"),
    [
        (limit(price=None), -1102, "Mandatory parameter 'price' was not sent, was empty/null, or malformed."),
        (limit(quantity=None), -1102, "Mandatory parameter 'quantity' was not sent, was empty/null, or malformed."),
        (
            limit(time_in_force=None),
            -1102,
            "Mandatory parameter 'timeInForce' was not sent, was empty/null, or malformed.",
        ),
        (limit(type=OrderType.MARKET), -1106, "Parameter 'price' sent when not required."),
        (limit(type=OrderType.MARKET, price=None), -1106, "Parameter 'timeInForce' sent when not required."),
        (limit(type=OrderType.LIMIT_MAKER), -1106, "Parameter 'timeInForce' sent when not required."),
        (limit(price=D("61700.000000001")), -1111, "Parameter 'price' has too much precision."),
        (limit(quantity=D("0.001000001")), -1111, "Parameter 'quantity' has too much precision."),
        (limit(quantity=D(0)), -1013, "Invalid quantity."),
        (limit(price=D("-1")), -1013, "Invalid price."),
        (
            limit(client_order_id="no spaces"),
            -1100,
            "Illegal characters found in parameter 'newClientOrderId'; legal range is '^[a-zA-Z0-9-_]{1,36}$'.",
        ),
    ],
)
def test_missing_needless_and_malformed_parameters_are_named(new: NewOrder, code: int, message: str) -> None:
    assert refusal(new) == (code, message)


@pytest.mark.parametrize("client_order_id", ["", "x" * 37, "new\nline", "line\n", "ü"])
def test_a_client_id_outside_the_pattern_is_refused(client_order_id: str) -> None:
    assert refusal(limit(client_order_id=client_order_id))[0] == -1100


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1E+999999", "1E+20"])
def test_a_number_no_wire_carries_is_refused_without_work(number: str) -> None:
    assert refusal(limit(price=D(number)))[0] == -1100


def test_converting_what_is_no_whole_number_of_ticks_or_steps_raises() -> None:
    with pytest.raises(VenueError, match="Filter failure: PRICE_FILTER"):
        RULES.price_to_ticks(D("0.015"))
    with pytest.raises(VenueError, match="Filter failure: LOT_SIZE"):
        RULES.quantity_to_steps(D("0.000015"))


@given(st.integers(0, 10**12))
def test_ticks_and_steps_survive_the_way_to_decimal_and_back(count: int) -> None:
    assert RULES.price_to_ticks(RULES.ticks_to_price(count)) == count
    assert RULES.quantity_to_steps(RULES.steps_to_quantity(count)) == count


def test_a_fee_is_cut_to_eight_decimals() -> None:
    assert fee_units(D("0.001"), 1_999) == 1


def test_rules_whose_money_could_not_be_exact_do_not_construct() -> None:
    with pytest.raises(ValueError, match="whole number"):
        SymbolRules(tick=D("0.0001"), step=D("0.00001"))
