"""One account at Binance spot: the Session over REST, market streams and the WebSocket API."""

from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from typing import TypeVar

from attrs import evolve

from tbot_actors.domain.events import Evidence
from tbot_actors.domain.instruments import Instrument, InstrumentId
from tbot_actors.domain.market import DepthSnapshot
from tbot_actors.domain.messages import (
    Absent,
    Balance,
    CancelResult,
    Lost,
    NotSent,
    OrderReport,
    QueryResult,
    Refused,
    SubmitOrder,
    SubmitResult,
    VenueTrade,
)
from tbot_actors.kernel import Unavailable
from tbot_actors.venues.binance import market, reports, requests
from tbot_actors.venues.binance.errors import NO_SUCH_ORDER, fault_in, heals, write_result
from tbot_actors.venues.binance.limits import heed, learn_limits
from tbot_actors.venues.binance.requests import Request, symbol_of
from tbot_actors.venues.binance.settings import BinanceSettings
from tbot_actors.venues.binance.signing import encoded, signed, signed_message
from tbot_actors.venues.binance.streams import MarketItems, UserItems, subscribe
from tbot_actors.venues.binance.wire import (
    AccountAnswer,
    CommissionAnswer,
    DepthAnswer,
    ExchangeInfo,
    NotJson,
    OrderRow,
    ServerTime,
    SymbolRow,
    TradeRow,
    decode,
    stamp_ns,
)
from tbot_actors.venues.dialect import MarketItem, ReadRefused, UnreadableAnswer, UserItem
from tbot_actors.venues.keys import Keys
from tbot_actors.venues.throttle import Counted, Throttle, Use
from tbot_actors.world import HttpClient, HttpResponse, NetFailure, World, connect_websocket
from tbot_actors.world import NotSent as NothingLeft

T = TypeVar("T")
_FORM = "application/x-www-form-urlencoded"
_OK = 200


class BinanceSession:
    """See `dialect.Session`. Nothing is connected before the first request."""

    def __init__(
        self,
        world: World,
        settings: BinanceSettings,
        keys: Keys,
        clock_offset: Callable[[], int],
        throttle: Throttle | None = None,
    ) -> None:
        """`clock_offset`: venue clock minus ours now, ns. `throttle`: the same for all sessions with this venue."""
        self._world = world
        self._settings = settings
        self._keys = keys
        self._clock_offset = clock_offset
        self._throttle = throttle or Throttle(world.clock)
        self._http = HttpClient(
            world.net,
            settings.rest_url,
            total_timeout_s=settings.request_total_s,
            connections_max=settings.connections_max,
        )

    @property
    def name(self) -> str:
        """The venue, as in instrument ids."""
        return self._settings.venue

    @property
    def throttle(self) -> Throttle:
        """What the venue's rate limits leave."""
        return self._throttle

    async def aclose(self) -> None:
        """Close the connections. Requests still under way end at once, as lost."""
        await self._http.aclose()

    # Reads

    async def login(self) -> tuple[Instrument, ...]:
        """Filters from exchangeInfo, fees from the account: the latter proves that the keys are good."""
        info = await self._read(requests.exchange_info(self._settings.symbols), ExchangeInfo)
        learn_limits(self._throttle, info.rate_limits)
        rows = {row.symbol: row for row in info.symbols}
        return tuple([await self._instrument(rows, symbol) for symbol in self._settings.symbols])

    async def _instrument(self, rows: Mapping[str, SymbolRow], symbol: str) -> Instrument:
        row = rows.get(symbol)
        if row is None:
            raise UnreadableAnswer(f"exchangeInfo does not list {symbol}")
        if row.status != market.TRADING:
            raise Unavailable(f"{symbol} at {self.name} is not trading: {row.status}")
        return market.instrument(self.name, row, await self._read(requests.commission(symbol), CommissionAnswer))

    async def server_time(self) -> int:
        """The venue's clock, ns UTC, in whole milliseconds."""
        return stamp_ns((await self._read(requests.server_time(), ServerTime)).server_time)

    async def open_orders(self, instruments: Collection[InstrumentId]) -> tuple[OrderReport, ...]:
        """Open orders, one request for each instrument."""
        found: list[OrderReport] = []
        for instrument in instruments:
            rows = await self._read(requests.open_orders(symbol_of(instrument)), tuple[OrderRow, ...])
            found += [reports.order_report(self.name, row, Evidence.RECONCILE) for row in rows]
        return tuple(found)

    async def trades(self, instrument: InstrumentId, after_id: str | None) -> tuple[VenueTrade, ...]:
        """All of our trades after `after_id`. Raises Unavailable beyond the bound of pages: never a part of them."""
        symbol, page = symbol_of(instrument), self._settings.trades_page
        rows = await self._pages(
            lambda from_id: requests.own_trades(symbol, from_id, page), 0 if after_id is None else int(after_id) + 1
        )
        return tuple(reports.venue_trade(self.name, row) for row in rows)

    async def balances(self) -> Mapping[str, Balance]:
        """Every asset that is not zero."""
        return reports.balances(await self._read(requests.account(), AccountAnswer))

    async def depth_snapshot(self, instrument: InstrumentId) -> DepthSnapshot:
        """The book now, `depth_levels` on each side."""
        request = requests.depth(symbol_of(instrument), self._settings.depth_levels)
        return market.depth_snapshot(instrument, await self._read(request, DepthAnswer))

    async def _pages(self, page: Callable[[int], Request], from_id: int) -> list[TradeRow]:
        found: list[TradeRow] = []
        for _ in range(self._settings.trade_pages_max):
            rows = await self._read(page(from_id), tuple[TradeRow, ...])
            found += rows
            if len(rows) < self._settings.trades_page:
                return found
            from_id = rows[-1].id + 1
        raise Unavailable(f"{self.name} has more than {len(found)} trades to read at once: start from a later one")

    # Writes, and the question that follows a lost one

    async def submit(self, order: SubmitOrder) -> SubmitResult:
        """POST /order, answered with fills."""
        return await self._write(requests.new_order(order))

    async def cancel(self, client_id: str, instrument: InstrumentId) -> CancelResult:
        """DELETE /order."""
        return await self._write(requests.cancel_order(symbol_of(instrument), client_id))

    async def query(self, client_id: str, instrument: InstrumentId) -> QueryResult:
        """GET /order, and myTrades of the order where it has executed any. Lost means: nothing learned."""
        symbol = symbol_of(instrument)
        answer = await self._attempt(requests.query_order(symbol, client_id))
        if not isinstance(answer, HttpResponse):
            return answer
        if answer.status != _OK:
            fault = fault_in(answer.body)
            if fault is not None and fault.code in NO_SUCH_ORDER:
                return Absent()
            return Lost(f"HTTP {answer.status}" if fault is None else f"{fault.code} {fault.msg}")
        try:
            row = decode(answer.body, OrderRow)
            # Of a cancelled order the venue may show the cancel's id; it was found by ours.
            row.orig_client_order_id = client_id
            report = reports.order_report(self.name, row, Evidence.QUERY)
            return evolve(report, trades=await self._trades_of(symbol, row, client_id)) if report.executed else report
        except (UnreadableAnswer, Unavailable, ReadRefused) as error:
            return Lost(str(error))

    async def _trades_of(self, symbol: str, row: OrderRow, client_id: str) -> tuple[VenueTrade, ...]:
        page, order_id = self._settings.trades_page, str(row.order_id)
        rows = await self._pages(lambda from_id: requests.order_trades(symbol, order_id, from_id, page), 0)
        return tuple(reports.venue_trade(self.name, trade, client_id) for trade in rows)

    async def _write(self, request: Request) -> OrderReport | Refused | Lost | NotSent:
        answer = await self._attempt(request)
        if not isinstance(answer, HttpResponse):
            return answer
        if answer.status != _OK:
            return write_result(answer.status, answer.body)
        try:
            return reports.order_report(self.name, decode(answer.body, OrderRow), Evidence.RESPONSE)
        except UnreadableAnswer as error:
            return Lost(f"the venue's answer cannot be read: {error}")

    # Streams

    @asynccontextmanager
    async def market_stream(self, instruments: Collection[InstrumentId]) -> AsyncIterator[AsyncIterator[MarketItem]]:
        """Diffs, best prices and trades over one combined stream."""
        target = market.stream_target([symbol_of(instrument) for instrument in instruments])
        url, silence_s = self._settings.stream_url + target, self._settings.stream_silence_s
        try:
            async with connect_websocket(
                self._world.net, url, open_timeout_s=self._settings.stream_open_s
            ) as socket:
                yield MarketItems(self.name, socket, silence_s, self._world.clock)
        except NetFailure as error:
            raise Unavailable(f"no market stream from {self.name}: {error}") from error

    @asynccontextmanager
    async def user_stream(self) -> AsyncIterator[AsyncIterator[UserItem]]:
        """The account's events; subscribed by signature, which any kind of key can."""
        url, open_s = f"{self._settings.api_url}/ws-api/v3", self._settings.stream_open_s
        try:
            async with connect_websocket(self._world.net, url, open_timeout_s=open_s) as socket:
                params = {"timestamp": self._venue_ms(), "recvWindow": self._window_ms()}
                await subscribe(self.name, socket, signed_message(params, self._keys), open_s)
                yield UserItems(self.name, socket, self._settings.stream_silence_s)
        except NetFailure as error:
            raise Unavailable(f"no user stream from {self.name}: {error}") from error

    # One request

    async def _read(self, request: Request, shape: type[T]) -> T:
        what = f"{request.method} {request.path}"
        answer = await self._attempt(request)
        if not isinstance(answer, HttpResponse):
            raise Unavailable(answer.why)
        if answer.status != _OK:
            fault = fault_in(answer.body)
            code, why = (answer.status, "no reason given") if fault is None else (fault.code, fault.msg)
            if not heals(answer.status, fault):
                raise ReadRefused(what, code, why)
            raise Unavailable(f"{what}: HTTP {answer.status}, {code} {why}")
        try:
            return decode(answer.body, shape)
        except NotJson as error:
            raise Unavailable(f"{what}: {error}") from error

    async def _attempt(self, request: Request) -> HttpResponse | Lost | NotSent:
        """The venue's answer, whatever it is, or why there is none. Sent once."""
        barred_s = self._throttle.barred_s(Use.SUBMIT if request.places else Use.CANCEL)
        if barred_s > 0:
            # A request during the pause that the venue ordered would make it a ban.
            return NotSent(f"{self.name} bars requests for another {barred_s:.1f} s")
        try:
            return await self._send(request)
        except NothingLeft as error:
            return NotSent(str(error))
        except NetFailure as error:
            return Lost(str(error))

    async def _send(self, request: Request) -> HttpResponse:
        self._throttle.spend(Counted.WEIGHT, request.weight)
        if request.places:
            self._throttle.spend(Counted.ORDERS, 1)
        content = self._content(request)
        headers = {"X-MBX-APIKEY": self._keys.api_key} if request.signed else {}
        if request.method == "POST":
            headers["Content-Type"] = _FORM
            response = await self._http.request("POST", request.path, headers=headers, body=content.encode())
        else:
            target = f"{request.path}?{content}" if content else request.path
            response = await self._http.request(request.method, target, headers=headers)
        heed(self._throttle, response)
        return response

    def _content(self, request: Request) -> str:
        if not request.signed:
            return encoded(request.params)
        stamped = {"timestamp": str(self._venue_ms()), **request.params, "recvWindow": str(self._window_ms())}
        return signed(stamped, self._keys)

    def _venue_ms(self) -> int:
        return (self._world.clock.wall_ns() + self._clock_offset()) // 1_000_000

    def _window_ms(self) -> int:
        return round(self._settings.receive_window_s * 1000)
