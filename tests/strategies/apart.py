"""A strategy that cannot be loaded in the bot's own process: nobody has read it."""

from __future__ import annotations

import sys

from attrs import field, frozen, validators

from tbot_actors.strategies.api import Strategy

if "trio" in sys.modules:
    raise RuntimeError("loaded where the keys are")


@frozen
class ApartParams:
    length: int = field(default=1, validator=validators.gt(0))


class Apart(Strategy):
    Params = ApartParams

    def candles_s(self) -> tuple[int, ...]:
        return (60, 60 * self.params.length)
