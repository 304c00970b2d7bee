"""A hand-written client of the simulated exchange, and an exchange without a market of its own to talk to."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

import httpx
import trio
from attrs import frozen

from tbot_actors.exchange.filters import SymbolRules
from tbot_actors.exchange.floor import Floor
from tbot_actors.exchange.matching import OrderBookMarket
from tbot_actors.exchange.run import keep_open, make_keys
from tbot_actors.exchange.signing import Key, Keyring
from tbot_actors.exchange.venue import Venue
from tbot_actors.world import SystemClock, WebSocket, World, connect_websocket, real_world

ANSWER_S = 5.0


@frozen
class Customer:
    """One account's REST client, signing by itself."""

    http: httpx.AsyncClient
    key: Key

    def sign(self, query: str) -> str:
        """A query with its signature."""
        signature = hmac.new(self.key.secret.encode(), query.encode(), hashlib.sha256).hexdigest()
        return f"{query}&signature={signature}"

    async def call(self, method: str, path: str, **params: object) -> httpx.Response:
        """A signed request, stamped now."""
        stamped = {**params, "timestamp": params.get("timestamp", SystemClock().wall_ns() // 1_000_000)}
        query = self.sign(urlencode(stamped))
        return await self.http.request(method, f"/api/v3{path}?{query}", headers={"X-MBX-APIKEY": self.key.api_key})

    async def order(self, side: str, quantity: str, price: str | None = None, **more: object) -> dict[str, Any]:
        """A placed order's answer: a limit order good till cancelled with a price, otherwise a market order."""
        terms = {"type": "MARKET"} if price is None else {"type": "LIMIT", "timeInForce": "GTC", "price": price}
        answer = await self.call("POST", "/order", symbol="BTCUSDT", side=side, quantity=quantity, **{**terms, **more})
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def refused(self, method: str, path: str, **params: object) -> tuple[int, int]:
        """The HTTP status and code of a request that must fail."""
        answer = await self.call(method, path, **params)
        assert answer.status_code >= 400, answer.text
        return answer.status_code, answer.json()["code"]


@frozen
class Exchange:
    """A running exchange and its customers."""

    world: World
    floor: Floor
    port: int
    http: httpx.AsyncClient
    main: Customer
    second: Customer

    async def get(self, path: str, **params: str) -> Any:
        """A public answer."""
        answer = await self.http.get(f"/api/v3{path}", params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    @asynccontextmanager
    async def socket(self, path: str) -> AsyncIterator[WebSocket]:
        """A WebSocket to any of its paths."""
        async with connect_websocket(self.world.net, f"ws://127.0.0.1:{self.port}{path}") as socket:
            yield socket


@asynccontextmanager
async def open_exchange(world: World | None = None) -> AsyncIterator[Exchange]:
    """An exchange over real loopback whose market is empty until somebody trades."""
    world = world or real_world(hosts={"127.0.0.1"}, seed=1)
    rules = SymbolRules()
    keys = make_keys(world.entropy("exchange/keys"))
    balances = {"BTC": Decimal(10), "USDT": Decimal(1_000_000)}
    venue = Venue({rules.symbol: (rules, OrderBookMarket())}, {key.account: balances for key in keys})
    floor = Floor(venue, None, Keyring(keys), world.clock, world.entropy("exchange/ids"))
    listening = await world.net.listen("127.0.0.1", 0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(keep_open, floor, listening, 0.005)
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{listening.port}") as http:
            main, second = (Customer(http, key) for key in keys[:2])
            yield Exchange(world, floor, listening.port, http, main, second)
        floor.venue.check_conservation()
        nursery.cancel_scope.cancel()


async def receive(socket: WebSocket) -> Any:
    """The next message, decoded."""
    with trio.fail_after(ANSWER_S):
        return json.loads(await socket.receive())


async def ask(socket: WebSocket, message: object) -> Any:
    """A message and the next one that comes back."""
    await socket.send(json.dumps(message))
    return await receive(socket)


async def until(condition: Callable[[], bool]) -> None:
    """Let everybody else run until something that they do has happened."""
    with trio.fail_after(ANSWER_S):
        while not condition():  # noqa: ASYNC110 (it has no event)
            await trio.lowlevel.checkpoint()
