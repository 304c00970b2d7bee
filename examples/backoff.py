"""Backoff and escalation: an outage is waited out; crashes that do not stop go up the tree, until it gives up.

Run it: python -m examples.backoff
"""

from __future__ import annotations

import logging

import structlog
import trio

from tbot_actors.kernel import (
    Actor,
    Backoff,
    Branch,
    BranchLimitReached,
    Child,
    ChildExited,
    RestartLimit,
    RestartLimitExceeded,
    Strategy,
    Unavailable,
    handles,
    open_system,
)
from tbot_actors.world import real_world


class Feed(Actor):
    """Connects when it starts. The first two times nobody is there, which is an outage; afterwards it is broken."""

    async def started(self) -> None:
        if self.context.incarnation <= 2:
            raise Unavailable("nobody answers")
        raise RuntimeError("cannot read what it says")


class Observer(Actor):
    """Tells what the supervisors do."""

    @handles(ChildExited)
    async def on_exit(self, message: ChildExited) -> None:
        print(
            f"{trio.current_time() - self.began_s:.1f} s: {message.path} ends, {message.reason.value}: {message.error}"
        )

    @handles(BranchLimitReached)
    async def on_limit(self, message: BranchLimitReached) -> None:
        print(f"{message.path}: {len(message.history)} crashes are too many, {message.outcome.value}")

    async def started(self) -> None:
        self.began_s = trio.current_time()


async def main() -> None:
    """Let it fail until the root gives up."""
    backoff = Backoff(first_s=0.1, factor=2, cap_s=0.4)
    venue = Branch("venue", Strategy.ONE_FOR_ONE, (Child("feed", Feed, Feed),), RestartLimit(2, 60), backoff)
    root = Branch(
        "root", Strategy.ONE_FOR_ONE, (Child("observer", Observer, Observer), venue), RestartLimit(1, 60), backoff
    )
    try:
        async with open_system(root, real_world(hosts=()), observers=("observer",)):
            await trio.sleep_forever()
    except RestartLimitExceeded as error:
        print("the tree gave up:", error)


if __name__ == "__main__":
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    trio.run(main)
