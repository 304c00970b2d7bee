"""Iterators over an open WebSocket: messages in, items of the dialect out. Its end, or silence, is an outage."""

import json
from collections.abc import AsyncIterator
from typing import Generic, TypeVar

import msgspec
import trio

from tbot_actors.kernel import Unavailable
from tbot_actors.venues.binance.errors import heals, proof
from tbot_actors.venues.binance.market import MarketEnding, market_item
from tbot_actors.venues.binance.reports import is_shutdown, user_item
from tbot_actors.venues.binance.wire import Fault, NotJson, decode
from tbot_actors.venues.dialect import MarketItem, ReadRefused, StreamEnding, UnreadableAnswer, UserItem
from tbot_actors.world import Clock, NetFailure, WebSocket

Item = TypeVar("Item", MarketItem, UserItem)
SUBSCRIBE = "userDataStream.subscribe.signature"
_REPLIES_BEFORE_MAX = 16
"""Messages that may come before the reply to the subscription."""


class _Items(Generic[Item]):
    """What both iterators share: the next text, within the time in which the venue would have pinged."""

    def __init__(self, venue: str, socket: WebSocket, silence_s: float) -> None:
        self._venue = venue
        self._socket = socket
        self._silence_s = silence_s

    def __aiter__(self) -> AsyncIterator[Item]:
        return self

    async def __anext__(self) -> Item:
        raise NotImplementedError

    async def _text(self) -> str:
        while True:
            # Pings keep a quiet connection alive; they are seen on the socket, not here.
            quiet_until_s = self._socket.last_received_ns / 1_000_000_000 + self._silence_s
            with trio.move_on_at(quiet_until_s):
                try:
                    return await self._socket.receive()
                except NetFailure as error:
                    raise Unavailable(f"the stream of {self._venue} ended: {error}") from error
            if trio.current_time() >= self._socket.last_received_ns / 1_000_000_000 + self._silence_s:
                raise Unavailable(f"the stream of {self._venue} has been silent for {self._silence_s:g} s")


class MarketItems(_Items[MarketItem]):
    """The market stream."""

    def __init__(self, venue: str, socket: WebSocket, silence_s: float, clock: Clock) -> None:
        super().__init__(venue, socket, silence_s)
        self._clock = clock

    async def __anext__(self) -> MarketItem:
        text = await self._text()
        try:
            return market_item(self._venue, text, self._clock.monotonic_ns())
        except MarketEnding:
            raise Unavailable(f"{self._venue} is about to shut the market stream down") from None


class UserItems(_Items[UserItem]):
    """The user stream of one subscription."""

    async def __anext__(self) -> UserItem:
        while True:
            text = await self._text()
            if is_shutdown(text):
                return StreamEnding("serverShutdown")
            item = user_item(self._venue, text)
            if item is not None:
                return item


class _Reply(msgspec.Struct):
    id: int | str | None
    status: int
    error: Fault | None = None


async def subscribe(venue: str, socket: WebSocket, params: dict[str, str | int], timeout_s: float) -> None:
    """Subscribe the connection to the account's events (`web-socket-api.md`, userDataStream.subscribe.signature).

    Raises Unavailable, and ReadRefused where the key or the signature is wrong.
    """
    with trio.move_on_after(timeout_s) as deadline:
        try:
            await socket.send(json.dumps({"id": 1, "method": SUBSCRIBE, "params": params}, separators=(",", ":")))
            for _ in range(_REPLIES_BEFORE_MAX):
                if _confirms(venue, await socket.receive()):
                    return
        except NetFailure as error:
            raise Unavailable(f"{venue} closed the user stream before it was subscribed: {error}") from error
    said = f"within {timeout_s:g} s" if deadline.cancelled_caught else "among its first messages"
    raise Unavailable(f"{venue} did not confirm the user stream {said}")


def _confirms(venue: str, text: str) -> bool:
    """Whether this is the reply to the subscription, and a good one."""
    try:
        reply = decode(text, _Reply)
    except NotJson as error:
        raise Unavailable(f"{venue}: {error}") from error
    except UnreadableAnswer:
        return False
    if reply.id != 1 and reply.id is not None:
        return False
    if reply.status == 200:
        return True
    fault = reply.error
    if fault is not None and not heals(reply.status, fault):
        raise ReadRefused("the user stream", fault.code, fault.msg)
    why = "no reason" if fault is None else f"{fault.code} {fault.msg} ({proof(reply.status, fault).value.lower()})"
    raise Unavailable(f"{venue} does not open the user stream now: {reply.status}, {why}")
