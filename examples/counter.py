"""A supervised counter: it crashes on one message, its supervisor starts it again, and no other message is lost.

Run it: python -m examples.counter
"""

from __future__ import annotations

import logging

import structlog
import trio
from attrs import frozen

from tbot_actors.kernel import Actor, ActorDown, Backoff, Branch, Child, Strategy, handles, open_system
from tbot_actors.world import real_world


@frozen
class Add:
    """Count this much further."""

    amount: int


@frozen
class Total:
    """How far has it come? The reply is a number."""


class Counter(Actor):
    """Its state dies with it: what must survive belongs outside, here in a list that stands for a journal."""

    def __init__(self, journal: list[int]) -> None:
        self.journal = journal
        self.total = 0

    async def started(self) -> None:
        self.total = sum(self.journal)
        print(f"incarnation {self.context.incarnation} starts at {self.total}")

    @handles(Add)
    async def on_add(self, message: Add) -> None:
        if message.amount < 0:
            raise ValueError(f"{message.amount} is no amount")
        self.journal.append(message.amount)
        self.total += message.amount

    @handles(Total)
    async def on_total(self, message: Total) -> int:
        return self.total


async def main() -> None:
    """Tell it five amounts, of which one is poison, and ask for the total."""
    journal: list[int] = []
    counter = Child("counter", Counter, lambda: Counter(journal))
    root = Branch("root", Strategy.ONE_FOR_ONE, (counter,), backoff=Backoff(first_s=0.01))
    async with open_system(root, real_world(hosts=())) as system:
        address = system.directory["counter"]
        for amount in (1, 2, -3, 4, 5):
            address.tell(Add(amount))
        print("total:", await address.ask(Total(), timeout_s=1))
        for letter in system.dead_letters.recent():
            print("not handled:", letter.message, "because", letter.error)
        try:
            await address.ask(Add(-1), timeout_s=1)
        except ActorDown as down:
            print("no reply:", down)


if __name__ == "__main__":
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    trio.run(main)
