"""Records as the JSON of Binance spot. Numbers are texts with eight decimals, stamps are milliseconds.

Source: `rest-api.md`, `user-data-stream.md`, `web-socket-streams.md`.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal

from tbot_actors.exchange.filters import SymbolRules
from tbot_actors.exchange.history import Candle, Interval
from tbot_actors.exchange.market import Side
from tbot_actors.exchange.records import (
    BalanceChanged,
    Execution,
    ExecutionReport,
    OrderRecord,
    OrderStatus,
    OrderType,
    TradePrinted,
    TradeRecord,
)
from tbot_actors.exchange.weights import ORDER_WINDOWS, WEIGHT_WINDOW, limit_json

Json = dict[str, object]
ZERO = "0.00000000"
SELF_TRADE_PREVENTION = "EXPIRE_MAKER"


def number(value: Decimal) -> str:
    """A number as Binance prints it."""
    return f"{value:.8f}"


def stamp_ms(time_ns: int) -> int:
    """Nanoseconds as whole milliseconds."""
    return time_ns // 1_000_000


# Orders over REST and the WebSocket API


def ack(record: OrderRecord) -> Json:
    """The ACK answer to a placed order."""
    return {
        "symbol": record.symbol,
        "orderId": record.order_id,
        "orderListId": -1,
        "clientOrderId": record.client_order_id,
        "transactTime": stamp_ms(record.updated_ns),
    }


def result(record: OrderRecord) -> Json:
    """The RESULT answer to a placed order."""
    shape = {**ack(record), **_terms(record)}
    shape["workingTime"] = stamp_ms(record.created_ns)
    shape["selfTradePreventionMode"] = SELF_TRADE_PREVENTION
    shape.update(_ending(record))
    return shape


def full(record: OrderRecord, trades: Sequence[TradeRecord]) -> Json:
    """The FULL answer to a placed order: RESULT with its fills."""
    fills = [
        {
            "price": number(trade.price),
            "qty": number(trade.quantity),
            "commission": number(trade.fee),
            "commissionAsset": trade.fee_asset,
            "tradeId": trade.trade_id,
        }
        for trade in trades
    ]
    return {**result(record), "fills": fills}


def cancelled(record: OrderRecord) -> Json:
    """The answer to a cancel: `clientOrderId` is the cancel's id, `origClientOrderId` the order's."""
    return {
        "symbol": record.symbol,
        "origClientOrderId": record.client_order_id,
        "orderId": record.order_id,
        "orderListId": -1,
        "clientOrderId": record.cancel_client_id or "",
        "transactTime": stamp_ms(record.updated_ns),
        **_terms(record),
        "selfTradePreventionMode": SELF_TRADE_PREVENTION,
    }


def order(record: OrderRecord) -> Json:
    """An order as queries show it."""
    shape: Json = {
        "symbol": record.symbol,
        "orderId": record.order_id,
        "orderListId": -1,
        "clientOrderId": record.client_order_id,
        **_terms(record),
        "stopPrice": ZERO,
        "icebergQty": ZERO,
        "time": stamp_ms(record.created_ns),
        "updateTime": stamp_ms(record.updated_ns),
        "isWorking": True,
        "workingTime": stamp_ms(record.created_ns),
        "selfTradePreventionMode": SELF_TRADE_PREVENTION,
    }
    shape.update(_ending(record))
    return shape


def _terms(record: OrderRecord) -> Json:
    return {
        "price": number(record.price),
        "origQty": number(record.quantity),
        "executedQty": number(record.executed),
        "origQuoteOrderQty": ZERO,
        "cummulativeQuoteQty": number(record.cumulative_quote),
        "status": record.status.value,
        "timeInForce": record.time_in_force,
        "type": record.type.value,
        "side": record.side.value,
    }


def _ending(record: OrderRecord) -> Json:
    """Fields that appear only on orders that expired (`rest-api.md`, Conditional fields in Order Responses)."""
    shape: Json = {}
    reason = expiry_reason(record)
    if reason is not None:
        shape["expiryReason"] = reason
    if record.prevented:
        # A maker expires of one prevented match, so its order id can number that match.
        shape["preventedMatchId"] = record.order_id
        shape["preventedQuantity"] = number(record.prevented)
    return shape


def expiry_reason(record: OrderRecord) -> str | None:
    """Why an order expired, None for one that did not (`user-data-stream.md`, Order Expiry Reason)."""
    if record.status is not OrderStatus.EXPIRED:
        return None
    if record.type is OrderType.MARKET:
        return "INSUFFICIENT_LIQUIDITY"
    match record.time_in_force:
        case "FOK":
            return "UNFILLED_FOK_ORDER_EXPIRED"
        case "IOC":
            return "UNFILLED_IOC_QUANTITY_EXPIRED"
        case "GTC":
            # A post-only order that could not be put back when the exchange reopened.
            return "EXCHANGE_CANCELED"


def own_trade(symbol: str, trade: TradeRecord) -> Json:
    """An account's trade as `myTrades` shows it."""
    return {
        "symbol": symbol,
        "id": trade.trade_id,
        "orderId": trade.order_id,
        "orderListId": -1,
        "price": number(trade.price),
        "qty": number(trade.quantity),
        "quoteQty": number(trade.quote_quantity),
        "commission": number(trade.fee),
        "commissionAsset": trade.fee_asset,
        "time": stamp_ms(trade.time_ns),
        "isBuyer": trade.buyer,
        "isMaker": trade.maker,
        "isBestMatch": True,
    }


# User data stream


def execution_report(event: ExecutionReport, execution_id: int, now_ns: int) -> Json:
    """An `executionReport` event. `c` is the cancel's id and `C` the order's once cancelled."""
    record, trade = event.record, event.trade
    cancel = event.execution is Execution.CANCELED
    shape: Json = {
        "e": "executionReport",
        "E": stamp_ms(now_ns),
        "s": record.symbol,
        "c": (record.cancel_client_id or record.client_order_id) if cancel else record.client_order_id,
        "S": record.side.value,
        "o": record.type.value,
        "f": record.time_in_force,
        "q": number(record.quantity),
        "p": number(record.price),
        "P": ZERO,
        "F": ZERO,
        "g": -1,
        "C": record.client_order_id if cancel else "",
        "x": event.execution.value,
        "X": record.status.value,
        "r": "NONE",
        "i": record.order_id,
        "l": number(trade.quantity) if trade else ZERO,
        "z": number(record.executed),
        "L": number(trade.price) if trade else ZERO,
        "n": number(trade.fee) if trade else "0",
        "N": trade.fee_asset if trade else None,
        "T": stamp_ms(trade.time_ns if trade else record.updated_ns),
        "t": trade.trade_id if trade else -1,
        "I": execution_id,
        "w": record.status.open,
        "m": trade.maker if trade else False,
        "M": trade is not None,
        "O": stamp_ms(record.created_ns),
        "Z": number(record.cumulative_quote),
        "Y": number(trade.quote_quantity) if trade else ZERO,
        "Q": ZERO,
        "W": stamp_ms(record.created_ns),
        "V": SELF_TRADE_PREVENTION,
    }
    reason = expiry_reason(record)
    if reason is not None:
        shape["eR"] = reason
    if event.execution is Execution.TRADE_PREVENTION:
        prevented = number(record.prevented)
        shape.update(v=record.order_id, A=prevented, B=prevented)
    return shape


def account_position(event: BalanceChanged, now_ns: int) -> Json:
    """An `outboundAccountPosition` event."""
    balances = [
        {"a": asset, "f": number(free), "l": number(locked)} for asset, (free, locked) in event.balances.items()
    ]
    return {"e": "outboundAccountPosition", "E": stamp_ms(now_ns), "u": stamp_ms(event.time_ns), "B": balances}


# Market data


def public_trade(trade: TradePrinted) -> Json:
    """A trade as `GET /trades` shows it."""
    return {
        "id": trade.trade_id,
        "price": number(trade.price),
        "qty": number(trade.quantity),
        "quoteQty": number(trade.price * trade.quantity),
        "time": stamp_ms(trade.time_ns),
        "isBuyerMaker": trade.buyer_is_maker,
        "isBestMatch": True,
    }


def trade_event(trade: TradePrinted, now_ns: int) -> Json:
    """A `trade` stream event."""
    return {
        "e": "trade",
        "E": stamp_ms(now_ns),
        "s": trade.symbol,
        "t": trade.trade_id,
        "p": number(trade.price),
        "q": number(trade.quantity),
        "T": stamp_ms(trade.time_ns),
        "m": trade.buyer_is_maker,
        "M": True,
    }


def candle_row(kind: Interval, candle: Candle) -> list[object]:
    """A candle as a row of `GET /klines`."""
    return [
        candle.open_ms,
        number(candle.open),
        number(candle.high),
        number(candle.low),
        number(candle.close),
        number(candle.volume),
        candle.open_ms + kind.length_ms - 1,
        number(candle.quote),
        candle.count,
        number(candle.taker_buy_volume),
        number(candle.taker_buy_quote),
        "0",
    ]


def candle_event(symbol: str, kind: Interval, candle: Candle, *, closed: bool, now_ns: int) -> Json:
    """A `kline` stream event."""
    return {
        "e": "kline",
        "E": stamp_ms(now_ns),
        "s": symbol,
        "k": {
            "t": candle.open_ms,
            "T": candle.open_ms + kind.length_ms - 1,
            "s": symbol,
            "i": kind.value,
            "f": candle.first_id,
            "L": candle.last_id,
            "o": number(candle.open),
            "c": number(candle.close),
            "h": number(candle.high),
            "l": number(candle.low),
            "v": number(candle.volume),
            "n": candle.count,
            "x": closed,
            "q": number(candle.quote),
            "V": number(candle.taker_buy_volume),
            "Q": number(candle.taker_buy_quote),
            "B": "0",
        },
    }


def exchange_info(symbols: Sequence[SymbolRules], now_ns: int) -> Json:
    """The answer of `GET /exchangeInfo`."""
    return {
        "timezone": "UTC",
        "serverTime": stamp_ms(now_ns),
        "rateLimits": [limit_json(WEIGHT_WINDOW), *(limit_json(window) for window in ORDER_WINDOWS)],
        "exchangeFilters": [],
        "symbols": [_symbol(rules) for rules in symbols],
    }


def _symbol(rules: SymbolRules) -> Json:
    return {
        "symbol": rules.symbol,
        "status": "TRADING",
        "baseAsset": rules.base,
        "baseAssetPrecision": 8,
        "quoteAsset": rules.quote,
        "quotePrecision": 8,
        "quoteAssetPrecision": 8,
        "baseCommissionPrecision": 8,
        "quoteCommissionPrecision": 8,
        "orderTypes": [kind.value for kind in OrderType],
        "icebergAllowed": False,
        "ocoAllowed": False,
        "otoAllowed": False,
        "opoAllowed": False,
        "quoteOrderQtyMarketAllowed": False,
        "allowTrailingStop": False,
        "cancelReplaceAllowed": False,
        "amendAllowed": False,
        "pegInstructionsAllowed": False,
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False,
        "filters": filters(rules),
        "permissions": [],
        "permissionSets": [["SPOT"]],
        "defaultSelfTradePreventionMode": SELF_TRADE_PREVENTION,
        "allowedSelfTradePreventionModes": [SELF_TRADE_PREVENTION],
    }


def filters(rules: SymbolRules) -> list[Json]:
    """A symbol's filters as `filters.md` spells them."""
    lot = {"minQty": number(rules.quantity_min), "stepSize": number(rules.step)}
    return [
        {
            "filterType": "PRICE_FILTER",
            "minPrice": number(rules.price_min),
            "maxPrice": number(rules.price_max),
            "tickSize": number(rules.tick),
        },
        {"filterType": "LOT_SIZE", **lot, "maxQty": number(rules.quantity_max)},
        {"filterType": "MARKET_LOT_SIZE", **lot, "maxQty": number(rules.market_quantity_max)},
        {
            "filterType": "PERCENT_PRICE_BY_SIDE",
            "bidMultiplierUp": str(rules.percent_up),
            "bidMultiplierDown": str(rules.percent_down),
            "askMultiplierUp": str(rules.percent_up),
            "askMultiplierDown": str(rules.percent_down),
            "avgPriceMins": rules.average_minutes,
        },
        {
            "filterType": "NOTIONAL",
            "minNotional": number(rules.notional_min),
            "applyMinToMarket": True,
            "maxNotional": number(rules.notional_max),
            "applyMaxToMarket": False,
            "avgPriceMins": rules.average_minutes,
        },
        {"filterType": "MAX_NUM_ORDERS", "maxNumOrders": rules.orders_max},
    ]


def account(rates: SymbolRules, balances: Mapping[str, tuple[Decimal, Decimal]], uid: int, updated_ns: int) -> Json:
    """The answer of `GET /account`. The old integer commissions are in basis points."""
    return {
        "makerCommission": int(rates.maker_fee * 10_000),
        "takerCommission": int(rates.taker_fee * 10_000),
        "buyerCommission": 0,
        "sellerCommission": 0,
        "commissionRates": _rates(rates),
        "canTrade": True,
        "canWithdraw": True,
        "canDeposit": True,
        "brokered": False,
        "requireSelfTradePrevention": False,
        "preventSor": False,
        "updateTime": stamp_ms(updated_ns),
        "accountType": "SPOT",
        "balances": [
            {"asset": asset, "free": number(free), "locked": number(locked)}
            for asset, (free, locked) in balances.items()
        ],
        "permissions": ["SPOT"],
        "uid": uid,
    }


def commission(rules: SymbolRules) -> Json:
    """The answer of `GET /account/commission`: standard rates only."""
    nothing = {"maker": ZERO, "taker": ZERO, "buyer": ZERO, "seller": ZERO}
    return {
        "symbol": rules.symbol,
        "standardCommission": _rates(rules),
        "specialCommission": nothing,
        "taxCommission": nothing,
        "discount": {
            "enabledForAccount": False,
            "enabledForSymbol": False,
            "discountAsset": "BNB",
            "discount": ZERO,
        },
    }


def _rates(rules: SymbolRules) -> Json:
    return {"maker": number(rules.maker_fee), "taker": number(rules.taker_fee), "buyer": ZERO, "seller": ZERO}


def book_ticker(rules: SymbolRules, best: Mapping[Side, tuple[str, str]]) -> Json:
    """The answer of `GET /ticker/bookTicker`; an empty side shows zeros."""
    bid, bid_quantity = best.get(Side.BUY, (ZERO, ZERO))
    ask, ask_quantity = best.get(Side.SELL, (ZERO, ZERO))
    return {
        "symbol": rules.symbol,
        "bidPrice": bid,
        "bidQty": bid_quantity,
        "askPrice": ask,
        "askQty": ask_quantity,
    }
