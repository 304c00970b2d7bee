"""Recorded and documented payloads of Binance spot, read as values."""

import gzip
import json
from decimal import Decimal
from typing import Any

import pytest

from tbot_actors.domain.events import Evidence
from tbot_actors.domain.instruments import InstrumentId, Side
from tbot_actors.domain.market import MarketTrade
from tbot_actors.domain.messages import Balance, BalancesChanged, OrderReport, ReportedState, VenueTrade
from tbot_actors.venues.binance import market, reports
from tbot_actors.venues.binance.wire import (
    AccountAnswer,
    CommissionAnswer,
    NotJson,
    OrderRow,
    SymbolRow,
    TradeRow,
    decode,
    money,
)
from tbot_actors.venues.dialect import Malformed, StreamEnding, UnreadableAnswer
from tests.data import data_file

MS = 1_000_000
OPEN = {"open": ReportedState.OPEN, "closed": ReportedState.FILLED, "canceled": ReportedState.CANCELED}


def recorded() -> dict[str, dict[str, Any]]:
    cases = json.loads(data_file("wire/payloads/binance.json").read_bytes())
    return {case["id"]: case for case in cases}


def raw(case_id: str) -> bytes:
    return json.dumps(recorded()[case_id]["raw"]).encode()


def wrapped(case_id: str) -> str:
    return json.dumps({"subscriptionId": 0, "event": recorded()[case_id]["raw"]})


# Recorded


@pytest.mark.parametrize("case_id", ["3966472465c8", "abffcb50ba9a", "c0394494c872", "d3f2b32bc850"])
def test_an_order_reads_as_an_independent_client_reads_it(case_id: str) -> None:
    expected = recorded()[case_id]["expected"]
    report = reports.order_report("binance", decode(raw(case_id), OrderRow), Evidence.RESPONSE)
    assert report.venue_order_id == expected["id"]
    assert report.instrument == "binance:" + recorded()[case_id]["raw"]["symbol"]
    assert report.side.value.lower() == expected["side"]
    assert report.quantity == money(str(expected["amount"]))
    assert report.executed == money(str(expected["filled"]))
    assert report.state is OPEN[expected["status"]]
    assert report.stamp_ns == expected["timestamp"] * MS
    if expected["type"] == "market":
        assert report.price is None
    else:
        assert report.price == money(str(expected["price"]))
    for trade, told in zip(report.trades, expected["trades"], strict=True):
        assert trade.trade_id == told["id"]
        assert trade.price == money(str(told["price"])) and trade.quantity == money(str(told["amount"]))
        assert trade.fee == money(repr(told["fee"]["cost"])) and trade.fee_asset == told["fee"]["currency"]


def test_every_recorded_spot_order_that_openorders_or_allorders_shows_is_read() -> None:
    rows = decode(raw("7cdc24ada2d6"), tuple[OrderRow, ...])
    assert [reports.order_report("binance", row, Evidence.RECONCILE).client_id for row in rows] == ["myOrder1"]


def test_the_answer_to_a_cancel_names_the_order_not_the_cancel() -> None:
    report = reports.order_report("binance", decode(raw("d3f2b32bc850"), OrderRow), Evidence.RESPONSE)
    assert report.client_id == "myOrder1" and report.state is ReportedState.CANCELED


@pytest.mark.parametrize("case_id", ["b1230ee39c82", "f9fe04a4c8a0"])
def test_a_trade_of_ours_reads_as_an_independent_client_reads_it(case_id: str) -> None:
    expected = recorded()[case_id]["expected"]
    trade = reports.venue_trade("binance", decode(raw(case_id), TradeRow))
    assert (trade.trade_id, trade.venue_order_id, trade.client_id) == (expected["id"], expected["order"], None)
    assert trade.side.value.lower() == expected["side"]
    assert trade.maker is (expected["takerOrMaker"] == "maker")
    assert trade.price == money(repr(expected["price"])) and trade.quantity == money(repr(expected["amount"]))
    assert trade.fee == money(repr(expected["fee"]["cost"])) and trade.fee_asset == expected["fee"]["currency"]
    assert trade.stamp_ns == expected["timestamp"] * MS


def test_balances_read_as_an_independent_client_reads_them() -> None:
    expected = recorded()["afe22f24409e"]["expected"]
    found = reports.balances(decode(raw("afe22f24409e"), AccountAnswer))
    assert set(found) == {"BTC", "LTC"}
    for asset, balance in found.items():
        assert balance.free == money(repr(expected[asset]["free"])) and balance.locked == 0


def test_a_balance_push_is_read() -> None:
    assert reports.user_item("binance", wrapped("684aac880a5e")) == BalancesChanged(
        "binance",
        {"USDT": Balance(Decimal(10000), Decimal(2500)), "ETH": Balance(Decimal(5), Decimal(0))},
        1709654400000 * MS,
    )


@pytest.mark.parametrize("case_id", ["3f76a879444c", "ab0e8e4ed988"])
def test_deltas_of_balances_are_no_items_because_the_totals_follow(case_id: str) -> None:
    assert reports.user_item("binance", wrapped(case_id)) is None


def test_a_recorded_wrapped_event_is_read() -> None:
    assert reports.user_item("binance", raw("cdac89533892").decode()) is None


def test_recorded_execution_reports_are_read() -> None:
    new = reports.user_item("binance", wrapped("51c9d08bd518"))
    assert isinstance(new, OrderReport) and new.state is ReportedState.OPEN and new.trades == ()
    cancelled = reports.user_item("binance", wrapped("95e38905634e"))
    assert isinstance(cancelled, OrderReport) and cancelled.state is ReportedState.CANCELED
    assert cancelled.client_id == "x-TD67BGP9-T0000000000000"
    expired = reports.user_item("binance", wrapped("5e7d6fb7500c"))
    assert isinstance(expired, OrderReport) and expired.state is ReportedState.EXPIRED
    assert expired.why == "INSUFFICIENT_LIQUIDITY"


def test_a_recorded_symbol_without_filters_is_refused() -> None:
    row = decode(json.dumps(recorded()["0ff3684e3fb8"]["raw"]["symbols"][0]), SymbolRow)
    with pytest.raises(UnreadableAnswer, match="ETHBTC has no LOT_SIZE filter"):
        market.instrument("binance", row, rates())


def test_every_message_of_a_recorded_market_is_an_item() -> None:
    kinds: dict[str, int] = {}
    with gzip.open(data_file("ticks/binance_spot_btcusdt_20240808.gz")) as lines:
        for _, line in zip(range(4000), lines, strict=False):
            text = line.partition(b" ")[2].decode()
            if '"stream"' not in text:
                continue
            item = market.market_item("binance", text, received_ns=7)
            assert not isinstance(item, Malformed), item
            kinds[type(item).__name__] = kinds.get(type(item).__name__, 0) + 1
    assert set(kinds) == {"DepthDiff", "TopOfBook", "MarketTrade"}


# Written by hand, from user-data-stream.md and rest-api.md

EXECUTION = {
    "e": "executionReport", "E": 1499405658658, "s": "BTCUSDT", "c": "TBOTA0000100000001", "S": "SELL", "o": "LIMIT",
    "f": "GTC", "q": "1.00000000", "p": "50000.00000000", "P": "0.00000000", "F": "0.00000000", "g": -1, "C": "",
    "x": "TRADE", "X": "PARTIALLY_FILLED", "r": "NONE", "i": 4293153, "l": "0.25000000", "z": "0.50000000",
    "L": "50000.10000000", "n": "12.50002500", "N": "USDT", "T": 1499405658657, "t": 77, "I": 8641984, "w": True,
    "m": True, "M": False, "O": 1499405658657, "Z": "25000.00000000", "Y": "12500.02500000", "Q": "0.00000000",
    "W": 1499405658657, "V": "NONE",
}  # fmt: skip


def execution(**changes: object) -> str:
    return json.dumps({"subscriptionId": 3, "event": {**EXECUTION, **changes}})


def test_an_execution_report_of_a_trade_carries_that_trade() -> None:
    instrument = InstrumentId("binance:BTCUSDT")
    assert reports.user_item("binance", execution()) == OrderReport(
        client_id="TBOTA0000100000001",
        venue_order_id="4293153",
        instrument=instrument,
        state=ReportedState.PARTIAL,
        side=Side.SELL,
        quantity=Decimal(1),
        price=Decimal(50000),
        executed=Decimal("0.5"),
        trades=(
            VenueTrade(
                instrument=instrument,
                trade_id="77",
                venue_order_id="4293153",
                client_id="TBOTA0000100000001",
                side=Side.SELL,
                price=Decimal("50000.1"),
                quantity=Decimal("0.25"),
                fee=Decimal("12.500025"),
                fee_asset="USDT",
                maker=True,
                stamp_ns=1499405658657 * MS,
            ),
        ),
        why="",
        evidence=Evidence.STREAM,
        stamp_ns=1499405658657 * MS,
    )


def test_after_a_cancel_the_orders_own_id_is_the_original_one() -> None:
    item = reports.user_item("binance", execution(x="CANCELED", X="CANCELED", c="someCancel", C="TBOTA0000100000001"))
    assert isinstance(item, OrderReport) and item.client_id == "TBOTA0000100000001" and item.trades == ()


def test_a_rejection_in_the_stream_tells_its_reason() -> None:
    item = reports.user_item("binance", execution(x="REJECTED", X="REJECTED", r="INSUFFICIENT_BALANCES"))
    assert isinstance(item, OrderReport) and item.state is ReportedState.REJECTED
    assert item.why == "INSUFFICIENT_BALANCES"


def test_an_order_that_self_trade_prevention_ended_is_expired() -> None:
    item = reports.user_item("binance", execution(x="TRADE_PREVENTION", X="EXPIRED_IN_MATCH"))
    assert isinstance(item, OrderReport) and item.state is ReportedState.EXPIRED and item.trades == ()


def test_the_end_of_a_user_stream_is_announced() -> None:
    text = json.dumps({"subscriptionId": 0, "event": {"e": "eventStreamTerminated", "E": 1728973001334}})
    assert reports.user_item("binance", text) == StreamEnding("eventStreamTerminated")


@pytest.mark.parametrize(
    "changes",
    [{"q": 1.0}, {"L": "NaN"}, {"L": "Infinity"}, {"X": "NEWISH"}, {"S": "LONG"}, {"N": None}, {"i": "4293153"}],
    ids=str,
)
def test_what_the_user_stream_must_not_guess_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(UnreadableAnswer):
        reports.user_item("binance", execution(**changes))


def test_a_price_that_is_a_json_number_is_malformed_and_the_stream_goes_on() -> None:
    trade = {"e": "trade", "E": 1, "s": "BTCUSDT", "t": 1, "p": 0.1, "q": "1", "T": 1, "m": True}
    item = market.market_item("binance", json.dumps({"stream": "btcusdt@trade", "data": trade}), 5)
    assert isinstance(item, Malformed) and "p" in item.why


@pytest.mark.parametrize("text", ["", "{", "[]", "text", '{"stream":"btcusdt@kline_1m","data":{}}', '{"result":null}'])
def test_rubbish_in_the_market_stream_is_malformed(text: str) -> None:
    assert isinstance(market.market_item("binance", text, 5), Malformed)


@pytest.mark.parametrize(("buyer_is_maker", "side"), [(True, Side.SELL), (False, Side.BUY)])
def test_where_the_buyer_was_the_maker_the_seller_took(buyer_is_maker: bool, side: Side) -> None:
    trade = {"e": "trade", "E": 1, "s": "BTCUSDT", "t": 5, "p": "1.5", "q": "2", "T": 3, "m": buyer_is_maker}
    item = market.market_item("binance", json.dumps({"stream": "btcusdt@trade", "data": trade}), 7)
    assert item == MarketTrade(
        InstrumentId("binance:BTCUSDT"), "5", Decimal("1.5"), Decimal(2), side, 3 * MS, received_ns=7
    )


def test_the_server_says_that_it_shuts_down() -> None:
    text = json.dumps({"stream": "!serverShutdown", "data": {"e": "serverShutdown", "E": 1}})
    with pytest.raises(market.MarketEnding):
        market.market_item("binance", text, 5)


def rates(**standard: str) -> CommissionAnswer:
    nothing = {"maker": "0", "taker": "0", "buyer": "0", "seller": "0"}
    answer = {
        "symbol": "BTCUSDT",
        "standardCommission": {**nothing, "maker": "0.001", "taker": "0.002", **standard},
        "specialCommission": nothing,
        "taxCommission": {**nothing, "taker": "0.0005"},
    }
    return decode(json.dumps(answer), CommissionAnswer)


FILTERS: list[dict[str, Any]] = [
    {"filterType": "PRICE_FILTER", "minPrice": "0.01", "maxPrice": "1000000", "tickSize": "0.01000000"},
    {"filterType": "LOT_SIZE", "minQty": "0.00001000", "maxQty": "9000.00000000", "stepSize": "0.00001000"},
    {"filterType": "MARKET_LOT_SIZE", "minQty": "0.00000000", "maxQty": "120.00000000", "stepSize": "0.00000000"},
    {"filterType": "NOTIONAL", "minNotional": "5.00000000", "applyMinToMarket": True},
    {"filterType": "TRAILING_DELTA", "minTrailingAboveDelta": 10},
]


def symbol_row(filters: list[dict[str, Any]]) -> SymbolRow:
    row = {"symbol": "BTCUSDT", "status": "TRADING", "baseAsset": "BTC", "quoteAsset": "USDT", "filters": filters}
    return decode(json.dumps(row), SymbolRow)


def test_an_instrument_has_the_venues_filters_and_all_kinds_of_fees() -> None:
    found = market.instrument("binance", symbol_row(FILTERS), rates(buyer="0.0001", seller="0.0002"))
    assert (found.id, found.base, found.quote) == ("binance:BTCUSDT", "BTC", "USDT")
    assert (found.tick, found.step, found.notional_min) == (Decimal("0.01"), Decimal("0.00001"), Decimal(5))
    assert (found.quantity_min, found.quantity_max) == (Decimal("0.00001"), Decimal(120))
    assert (found.maker_fee, found.taker_fee) == (Decimal("0.0012"), Decimal("0.0027"))


def test_an_instrument_without_a_price_grid_is_refused() -> None:
    flat = [{**row, "tickSize": "0.00000000"} if row["filterType"] == "PRICE_FILTER" else row for row in FILTERS]
    with pytest.raises(UnreadableAnswer, match="tickSize of BTCUSDT"):
        market.instrument("binance", symbol_row(flat), rates())


def test_what_is_no_json_is_told_from_json_of_another_shape() -> None:
    with pytest.raises(NotJson):
        decode(b"<html>503</html>", OrderRow)
    with pytest.raises(UnreadableAnswer) as found:
        decode(b'{"a": 1}', OrderRow)
    assert not isinstance(found.value, NotJson)
