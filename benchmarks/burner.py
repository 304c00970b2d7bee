"""The worker that the host's measurements talk to: it answers at once, or computes for a while first."""

from __future__ import annotations

import time

import msgspec

from tbot_actors.kernel.host.vocabulary import Vocabulary
from tbot_actors.kernel.host.worker import Worker, answers


class Ping(msgspec.Struct, frozen=True, array_like=True):
    number: int


class Burn(msgspec.Struct, frozen=True, array_like=True):
    seconds: float


VOCABULARY = Vocabulary(Ping, Burn)


class Burner(Worker):
    vocabulary = VOCABULARY

    @answers(Ping)
    def on_ping(self, ping: Ping) -> Ping:
        return Ping(ping.number)

    @answers(Burn)
    def on_burn(self, burn: Burn) -> None:
        end = time.perf_counter() + burn.seconds
        while time.perf_counter() < end:
            pass
