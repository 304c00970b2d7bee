"""Real captures as the items that a session would have given."""

import gzip
import json
from collections.abc import Iterator
from functools import cache
from typing import Any

from tbot_actors.domain.instruments import InstrumentId, Side
from tbot_actors.domain.market import DepthDiff, DepthSnapshot, Level, MarketTrade, TopOfBook
from tbot_actors.domain.money import to_decimal
from tbot_actors.venues.binance.market import depth_snapshot, market_item
from tbot_actors.venues.binance.wire import DepthAnswer, decode
from tests.data import data_file

SPOT = "ticks/binance_spot_btcusdt_20240808.gz"
USDM = "ticks/binance_usdm_ethusdt_20240808.gz"
BTCUSDT = InstrumentId("binance:BTCUSDT")
ETHUSDT = InstrumentId("usdm:ETHUSDT")

TapeItem = DepthDiff | TopOfBook | MarketTrade | DepthSnapshot


@cache
def tape(name: str) -> list[tuple[int, TapeItem]]:
    """All items with their time of receipt, ns UTC, which is also their `received_ns`."""
    lines = gzip.decompress(data_file(name).read_bytes()).decode().splitlines()
    return list(_spot(lines) if name == SPOT else _usdm(lines))


def _spot(lines: list[str]) -> Iterator[tuple[int, TapeItem]]:
    for line in lines:
        stamp, _, text = line.partition(" ")
        if text.startswith('{"lastUpdateId"'):
            yield int(stamp), depth_snapshot(BTCUSDT, decode(text, DepthAnswer))
        else:
            item = market_item("binance", text, int(stamp))
            assert isinstance(item, DepthDiff | TopOfBook | MarketTrade), item
            yield int(stamp), item


def _usdm(lines: list[str]) -> Iterator[tuple[int, TapeItem]]:
    """By hand: the project has no dialect of the futures yet, but its book has their rules."""
    for line in lines:
        stamp, _, text = line.partition(" ")
        yield int(stamp), _usdm_item(json.loads(text), int(stamp))


def _usdm_item(message: Any, received_ns: int) -> TapeItem:
    if "lastUpdateId" in message:
        return DepthSnapshot(ETHUSDT, message["lastUpdateId"], _levels(message["bids"]), _levels(message["asks"]))
    stream, data = message["stream"], message["data"]
    if stream.endswith("@bookTicker"):
        (bid,), (ask,) = _levels([[data["b"], data["B"]]]), _levels([[data["a"], data["A"]]])
        return TopOfBook(ETHUSDT, data["u"], bid, ask, received_ns)
    if stream.endswith("@trade"):
        ((price, quantity),) = _levels([[data["p"], data["q"]]])
        side = Side.SELL if data["m"] else Side.BUY
        return MarketTrade(ETHUSDT, str(data["t"]), price, quantity, side, data["T"] * 1_000_000, received_ns)
    bids, asks = _levels(data["b"]), _levels(data["a"])
    return DepthDiff(ETHUSDT, data["U"], data["u"], data["pu"], bids, asks, received_ns)


def _levels(rows: list[list[str]]) -> tuple[Level, ...]:
    return tuple((to_decimal(price), to_decimal(quantity)) for price, quantity in rows)
