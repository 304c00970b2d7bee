"""What the kernel is measured against: the same work on trio alone, with no actor, no counter and no supervisor."""

from __future__ import annotations

from time import perf_counter

import trio
from attrs import frozen


@frozen
class Tick:
    """A message as rooms write them; built anew for each delivery, on every side."""

    number: int


async def channel(count: int) -> float:
    """Seconds per message through one memory channel of 1024 places: `await send` to `async for`."""
    sender, receiver = trio.open_memory_channel[Tick](1024)

    async def produce() -> None:
        async with sender:
            for number in range(count):
                await sender.send(Tick(number))

    began = perf_counter()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(produce)
        async for _ in receiver:
            pass
    return (perf_counter() - began) / count


async def ping_pong(count: int) -> float:
    """Seconds per round trip over two memory channels."""
    there, received = trio.open_memory_channel[Tick](1)
    back, replies = trio.open_memory_channel[Tick](1)

    async def answer() -> None:
        async for tick in received:
            await back.send(tick)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(answer)
        began = perf_counter()
        for number in range(count):
            await there.send(Tick(number))
            await replies.receive()
        took_s = perf_counter() - began
        nursery.cancel_scope.cancel()
    return took_s / count


async def start_soon(count: int) -> float:
    """Seconds per trivial task, started and ended."""

    async def trivial() -> None:
        await trio.lowlevel.checkpoint()

    began = perf_counter()
    async with trio.open_nursery() as nursery:
        for _ in range(count):
            nursery.start_soon(trivial)
    return (perf_counter() - began) / count


class _Boom(Exception):
    pass


async def restart_loop(count: int) -> float:
    """Seconds per restart of a bare loop: open a nursery, fail in it, and again."""
    began = perf_counter()
    for _ in range(count):
        try:
            async with trio.open_nursery():
                raise _Boom
        except* _Boom:
            pass
    return (perf_counter() - began) / count
