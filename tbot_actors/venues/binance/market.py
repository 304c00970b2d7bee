"""Market data and instruments out of Binance's answers and market streams."""

from collections.abc import Collection
from decimal import Decimal

import msgspec
from msgspec import field

from tbot_actors.domain.instruments import Instrument, InstrumentId, Side
from tbot_actors.domain.market import DepthDiff, DepthSnapshot, Level, MarketTrade, TopOfBook
from tbot_actors.domain.money import ZERO
from tbot_actors.venues.binance.reports import instrument_id
from tbot_actors.venues.binance.wire import (
    CommissionAnswer,
    DepthAnswer,
    FilterRow,
    RateRow,
    SymbolRow,
    decode,
    money,
    stamp_ns,
)
from tbot_actors.venues.dialect import Malformed, MarketItem, UnreadableAnswer

TRADING = "TRADING"
_EXCERPT = 2_000
_STREAMS = ("depth@100ms", "bookTicker", "trade")
_NOTIONAL = ("NOTIONAL", "MIN_NOTIONAL")


class MarketEnding(Exception):
    """The server said that it is about to shut down (`web-socket-streams.md`, Server Shutdown): connect anew."""


def stream_target(symbols: Collection[str]) -> str:
    """Path and query of the combined stream with diffs, best prices and trades of these symbols."""
    names = "/".join(f"{symbol.lower()}@{stream}" for symbol in symbols for stream in _STREAMS)
    return f"/stream?streams={names}"


class _Combined(msgspec.Struct):
    stream: str
    data: msgspec.Raw


class _Diff(msgspec.Struct):
    symbol: str = field(name="s")
    first: int = field(name="U")
    last: int = field(name="u")
    bids: tuple[tuple[str, str], ...] = field(name="b")
    asks: tuple[tuple[str, str], ...] = field(name="a")


class _Top(msgspec.Struct):
    symbol: str = field(name="s")
    update: int = field(name="u")
    bid: str = field(name="b")
    bid_quantity: str = field(name="B")
    ask: str = field(name="a")
    ask_quantity: str = field(name="A")


class _Trade(msgspec.Struct):
    symbol: str = field(name="s")
    trade_id: int = field(name="t")
    price: str = field(name="p")
    quantity: str = field(name="q")
    stamp_ms: int = field(name="T")
    buyer_is_maker: bool = field(name="m")


def market_item(venue: str, text: str, received_ns: int) -> MarketItem:
    """One message of a combined stream. What cannot be read comes back as Malformed; raises MarketEnding."""
    try:
        message = decode(text, _Combined)
        name = message.stream.partition("@")[2]
        if message.stream == "!serverShutdown":
            raise MarketEnding
        return _item(venue, name, bytes(message.data), received_ns)
    except UnreadableAnswer as error:
        return Malformed(text[:_EXCERPT], str(error))


def _item(venue: str, name: str, data: bytes, received_ns: int) -> MarketItem:
    if name.startswith("depth"):
        return depth_diff(venue, data, received_ns)
    if name == "bookTicker":
        return top_of_book(venue, data, received_ns)
    if name == "trade":
        return market_trade(venue, data, received_ns)
    raise UnreadableAnswer(f"unknown stream {name!r}")


def depth_diff(venue: str, data: bytes | str, received_ns: int) -> DepthDiff:
    """A `depthUpdate` event. Raises UnreadableAnswer."""
    diff = decode(data, _Diff)
    return DepthDiff(
        instrument=instrument_id(venue, diff.symbol),
        first_update=diff.first,
        last_update=diff.last,
        previous_update=None,
        bids=_levels(diff.bids),
        asks=_levels(diff.asks),
        received_ns=received_ns,
    )


def top_of_book(venue: str, data: bytes | str, received_ns: int) -> TopOfBook:
    """A `bookTicker` event. Raises UnreadableAnswer."""
    top = decode(data, _Top)
    return TopOfBook(
        instrument=instrument_id(venue, top.symbol),
        update=top.update,
        bid=(money(top.bid), money(top.bid_quantity)),
        ask=(money(top.ask), money(top.ask_quantity)),
        received_ns=received_ns,
    )


def market_trade(venue: str, data: bytes | str, received_ns: int) -> MarketTrade:
    """A `trade` event: where the buyer was the maker, the seller took. Raises UnreadableAnswer."""
    trade = decode(data, _Trade)
    return MarketTrade(
        instrument=instrument_id(venue, trade.symbol),
        trade_id=str(trade.trade_id),
        price=money(trade.price),
        quantity=money(trade.quantity),
        taker_side=Side.SELL if trade.buyer_is_maker else Side.BUY,
        stamp_ns=stamp_ns(trade.stamp_ms),
        received_ns=received_ns,
    )


def depth_snapshot(instrument: InstrumentId, answer: DepthAnswer) -> DepthSnapshot:
    """The book of GET /depth."""
    return DepthSnapshot(instrument, answer.last_update_id, _levels(answer.bids), _levels(answer.asks))


def _levels(rows: tuple[tuple[str, str], ...]) -> tuple[Level, ...]:
    return tuple((money(price), money(quantity)) for price, quantity in rows)


# Instruments


def instrument(venue: str, row: SymbolRow, rates: CommissionAnswer) -> Instrument:
    """A symbol with its filters and fees. Raises UnreadableAnswer where a filter is missing that orders are built by.

    The largest quantity is the smaller of LOT_SIZE and MARKET_LOT_SIZE: what may be bought must be sellable at market.
    """
    lot = _filter(row, "LOT_SIZE")
    market_lots = [found for found in row.filters if found.filter_type == "MARKET_LOT_SIZE"]
    quantity_max = _positive(row, "maxQty", lot.max_qty)
    for found in market_lots:
        quantity_max = min(quantity_max, money(found.max_qty) or quantity_max)
    return Instrument(
        venue=venue,
        symbol=row.symbol,
        base=row.base_asset,
        quote=row.quote_asset,
        tick=_positive(row, "tickSize", _filter(row, "PRICE_FILTER").tick_size),
        step=_positive(row, "stepSize", lot.step_size),
        quantity_min=money(lot.min_qty),
        quantity_max=quantity_max,
        notional_min=max(
            (money(found.min_notional) for found in row.filters if found.filter_type in _NOTIONAL), default=ZERO
        ),
        maker_fee=sum((money(rate.maker) + _side_fee(rate) for rate in _rates(rates)), ZERO),
        taker_fee=sum((money(rate.taker) + _side_fee(rate) for rate in _rates(rates)), ZERO),
    )


def _rates(answer: CommissionAnswer) -> tuple[RateRow, RateRow, RateRow]:
    # All three add up (`faqs/commission_faq.md`); the discount for paying in BNB is not counted on.
    return (answer.standard_commission, answer.special_commission, answer.tax_commission)


def _side_fee(rate: RateRow) -> Decimal:
    return max(money(rate.buyer), money(rate.seller))


def _filter(row: SymbolRow, kind: str) -> FilterRow:
    for found in row.filters:
        if found.filter_type == kind:
            return found
    raise UnreadableAnswer(f"{row.symbol} has no {kind} filter")


def _positive(row: SymbolRow, name: str, text: str) -> Decimal:
    value = money(text)
    if not value > ZERO:
        raise UnreadableAnswer(f"{name} of {row.symbol} is {text!r}, which is no grid to put orders on")
    return value
