"""Run as a process: `producers.py FOLDER ROUND`. Ten rooms append without end and print what is answered.

It never stops by itself: it is there to be killed.
"""

from __future__ import annotations

import logging
import os
import sys
from functools import partial
from pathlib import Path

import structlog
import trio

from tbot_actors.domain.messages import Appended
from tbot_actors.journal import Journal, JournalSettings, JournalWriter
from tbot_actors.kernel import Actor, Branch, Child, Down, Strategy, handles, open_system
from tbot_actors.world import real_world
from tests.domain.samples import fill, pause

PRODUCERS = 10
UNANSWERED = 20


class Producer(Actor):
    """Keeps a number of appends without an answer: a numbered event and a fill each."""

    def __init__(self, number: int, round_: str) -> None:
        self._number = number
        self._round = round_
        self._count = 0

    async def started(self) -> None:
        journal = self.context.directory["journal"]
        self.context.watch(journal)
        self._writer = JournalWriter(journal, self.context.address, self.context.world.clock)
        for _ in range(UNANSWERED):
            self._append()

    def _append(self) -> None:
        self._count += 1
        name = f"{self._round}/{self._number}/{self._count}"
        self._writer.append(pause(self._count, name), fill(name))

    @handles(Appended)
    async def on_appended(self, message: Appended) -> None:
        events = self._writer.appended(message)
        assert events is not None
        os.write(1, f"{events[0].scope}\n".encode())  # type: ignore[union-attr]
        self._append()

    @handles(Down)
    async def on_down(self, _: Down) -> None:
        self._writer.journal_down()


async def main(folder: Path, round_: str) -> None:
    settings = JournalSettings(anchor_period_s=0.02)
    journal = partial(
        Journal, folder, bot="MMMM", mode="paper", account="main", process_token=round_, settings=settings
    )
    producers = [Child(f"room{n}", Producer, partial(Producer, n, round_)) for n in range(PRODUCERS)]
    root = Branch("root", Strategy.ONE_FOR_ONE, (Child("journal", Journal, journal), *producers))
    async with open_system(root, real_world(hosts=())) as system:
        await system.wait_stopped()


if __name__ == "__main__":
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    trio.run(main, Path(sys.argv[1]), sys.argv[2])
