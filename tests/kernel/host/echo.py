"""Workers for the tests, as files of somebody's own: obedient ones and others."""

from __future__ import annotations

import fcntl
import os
import sys
from typing import Any

import msgspec

from tbot_actors.kernel.host.vocabulary import Vocabulary
from tbot_actors.kernel.host.worker import Worker, answers


class Say(msgspec.Struct, frozen=True):
    """Answered with the same text, and how many were said before."""

    text: str


class Said(msgspec.Struct, frozen=True):
    text: str
    before: int


class Price(msgspec.Struct, frozen=True):
    """Conflated by product."""

    product: str
    value: int


class Misbehave(msgspec.Struct, frozen=True):
    how: str
    amount: int = 0


class Facts(msgspec.Struct, frozen=True):
    values: dict[str, Any]


VOCABULARY = Vocabulary(Say, Said, Price, Misbehave, Facts)


class Echo(Worker):
    vocabulary = VOCABULARY

    def started(self, argument: bytes) -> None:
        self.said = 0
        self.prices: list[tuple[str, int]] = []
        self.argument = argument
        if argument == b"raise":
            raise RuntimeError("no start today")

    @answers(Say)
    def on_say(self, say: Say) -> Said:
        self.said += 1
        return Said(say.text, self.said - 1)

    @answers(Price)
    def on_price(self, price: Price) -> None:
        self.prices.append((price.product, price.value))
        if price.value == 0:
            spin(0.2)

    @answers(Misbehave)
    def on_misbehave(self, message: Misbehave) -> Any:
        return getattr(self, message.how)(message.amount)

    def facts(self, _amount: int) -> Facts:
        return Facts({
            "pid": os.getpid(),
            "group": os.getpgrp(),
            "parent": os.getppid(),
            "modules": sorted(sys.modules),
            "environment": dict(os.environ),
            "prices": self.prices,
            "argument": self.argument.decode(),
        })

    def raise_it(self, _amount: int) -> None:
        secret_of_the_hook = 1
        raise ValueError(f"a hook failed, {secret_of_the_hook}")

    def leave(self, amount: int) -> None:
        sys.exit(amount)

    def vanish(self, amount: int) -> None:
        os._exit(amount)

    def answer_and_vanish(self, amount: int) -> Said:
        from tbot_actors.world.child.wire import Wire

        send = Wire.send

        def send_and_vanish(wire: Wire, data: bytes) -> bool:
            send(wire, data)
            os._exit(amount)

        Wire.send = send_and_vanish  # type: ignore[method-assign,assignment]
        return Said("last words", 0)

    def spin(self, _amount: int) -> None:
        while True:
            pass

    def hang(self, _amount: int) -> None:
        import threading

        threading.Event().wait()

    def grow(self, amount: int) -> None:
        held = bytearray()
        while True:
            held += b"x" * amount

    def garbage(self, _amount: int) -> None:
        os.write(_wire(), b"this is no frame at all, and long enough to be one")

    def oversize(self, _amount: int) -> None:
        os.write(_wire(), b"\xff\xff\xff\xff\x0a\x00\x00\x00\x00")

    def other_number(self, _amount: int) -> None:
        os.write(_wire(), b"\x00\x00\x00\x00\x0a\x77\x00\x00\x00")

    def twice(self, _amount: int) -> Said:
        os.write(_wire(), b"\x00\x00\x00\x00\x0a\x00\x00\x00\x00")
        return Said("again", 0)

    def wrong_class(self, _amount: int) -> Any:
        return Price("p", "not a number")  # type: ignore[arg-type]

    def too_long(self, _amount: int) -> Said:
        return Said("x" * (2 << 20), 0)

    def print_lines(self, amount: int) -> None:
        for number in range(amount):
            print("line", number)
        print("error", file=sys.stderr)


class Hasty(Echo):
    """Has printed and gone before it is started."""

    def started(self, argument: bytes) -> None:
        print("I leave")
        os._exit(3)


def spin(seconds: float) -> None:
    import time

    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


def _wire() -> int:
    """The end it answers on."""
    return next(each for each in range(3, 64) if _is_written(each))


def _is_written(descriptor: int) -> bool:
    try:
        return fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE == os.O_WRONLY
    except OSError:
        return False
