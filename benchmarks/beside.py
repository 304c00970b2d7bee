"""The same work in Pykka (threads), where it has such a thing and is installed: `pip install tbot-actors[bench]`."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from threading import Event
from time import perf_counter
from typing import Any

from benchmarks.raw import Tick


def installed() -> bool:
    """Whether there is anything to measure."""
    return find_spec("pykka") is not None


def _actor(started: Event | None = None) -> Any:
    def on_start(self: Any) -> None:
        if started is not None:
            started.set()

    def on_receive(self: Any, message: Any) -> Any:
        return message.number

    pykka = import_module("pykka")
    return type("Counter", (pykka.ThreadingActor,), {"on_start": on_start, "on_receive": on_receive})


async def burst_tell(count: int) -> float:
    """Seconds per message told and handled; its inbox has no bound."""
    counter = _actor().start()
    began = perf_counter()
    for number in range(count):
        counter.tell(Tick(number))
    counter.ask(Tick(count))
    took_s = perf_counter() - began
    counter.stop()
    return took_s / count


async def ask(count: int) -> float:
    """Seconds per question with a timeout."""
    counter = _actor().start()
    began = perf_counter()
    for number in range(count):
        counter.ask(Tick(number), timeout=5)
    took_s = perf_counter() - began
    counter.stop()
    return took_s / count


async def spawn(count: int) -> float:
    """Seconds per actor, from `start` to `on_start`; it has no supervisor."""
    actors = []
    began = perf_counter()
    for _ in range(count):
        started = Event()
        actors.append(_actor(started).start())
        started.wait()
    took_s = perf_counter() - began
    for actor in actors:
        actor.stop()
    return took_s / count
