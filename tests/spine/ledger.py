"""What the exchange itself has on record of our account, asked over HTTP with a signature made here.

Nothing of the bot is used: a bot that signs, pages or reads wrongly must not be able to make its own witness agree.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
from attrs import frozen

SYMBOL, BASE, QUOTE = "BTCUSDT", "BTC", "USDT"
ROWS_PER_PAGE = 100
PAGES_MAX = 200
Row = dict[str, Any]


@frozen
class Ledger:
    """One account at one moment, wholly read."""

    balances: dict[str, Decimal]
    """Free and locked together; an asset that is not there is zero."""
    open_orders: list[Row]
    orders: list[Row]
    """All ever placed, in order of their ids."""
    trades: list[Row]
    """All ever made, in order of their ids."""


@frozen
class Customer:
    """A signing client of one account."""

    http: httpx.AsyncClient
    secret: str

    async def ask(self, path: str, **params: object) -> Any:
        """A signed GET's answer. Raises AssertionError for a refusal."""
        query = urlencode({**params, "timestamp": time.time_ns() // 1_000_000, "recvWindow": 5000})
        signature = hmac.new(self.secret.encode(), query.encode(), hashlib.sha256).hexdigest()
        answer = await self.http.get(f"/api/v3{path}?{query}&signature={signature}")
        assert answer.status_code == 200, f"{path}: {answer.status_code} {answer.text}"
        return answer.json()

    async def open_orders(self) -> list[Row]:
        """What is open now."""
        return list(await self.ask("/openOrders", symbol=SYMBOL))

    async def trades(self) -> list[Row]:
        """Every trade."""
        return await self._all("/myTrades", "fromId", lambda trade: int(trade["id"]))

    async def orders(self) -> list[Row]:
        """Every order."""
        return await self._all("/allOrders", "orderId", lambda order: int(order["orderId"]))

    async def ledger(self) -> Ledger:
        """Everything."""
        account = await self.ask("/account")
        balances = {row["asset"]: Decimal(row["free"]) + Decimal(row["locked"]) for row in account["balances"]}
        return Ledger(balances, await self.open_orders(), await self.orders(), await self.trades())

    async def _all(self, path: str, start: str, number: Callable[[Row], int]) -> list[Row]:
        """Every row, a page at a time, each page from the id after the last of the one before."""
        found: list[Row] = []
        for _ in range(PAGES_MAX):
            after = number(found[-1]) + 1 if found else 0
            page = list(await self.ask(path, symbol=SYMBOL, limit=ROWS_PER_PAGE, **{start: after}))
            found += page
            if len(page) < ROWS_PER_PAGE:
                return found
        raise AssertionError(f"{path} has more than {PAGES_MAX * ROWS_PER_PAGE} rows: too many to compare")


@asynccontextmanager
async def open_customer(state: Path) -> AsyncIterator[Customer]:
    """The account of the bot whose exchange wrote its address into this state folder."""
    address = json.loads((state / "exchange.json").read_bytes())
    headers = {"X-MBX-APIKEY": address["api_key"]}
    async with httpx.AsyncClient(base_url=address["rest"], headers=headers, timeout=5.0, trust_env=False) as http:
        yield Customer(http, address["api_secret"])
