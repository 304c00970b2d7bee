"""What the simulated exchange is told: where it listens, what it trades, who its customers are."""

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path

from attrs import field, frozen

ACCOUNTS = ("main", "second", "third")


def _default_balances() -> Mapping[str, Decimal]:
    return {"BTC": Decimal(1), "USDT": Decimal(100_000)}


@frozen(kw_only=True)
class ExchangeSettings:
    """Settings of one simulated exchange.

    `port` 0 lets the system choose. `seed` fixes keys, ids and the market's own flow; None takes the world's entropy.
    With `tape` the market is that capture at `speed` times its own pace, otherwise generated flow.
    With `state` the folder receives `exchange.json`, its accounts are kept there in `exchange.state`, and the exchange
    ends `lock_grace_s` after the flock on `bot.lock` in it is free; it looks at both every `lock_period_s`.
    `balances` are what each of the three accounts starts with where nothing is kept.
    """

    host: str = "127.0.0.1"
    port: int = 0
    symbol: str = "BTCUSDT"
    seed: int | None = None
    tape: Path | None = None
    speed: float = field(default=1.0)
    state: Path | None = None
    balances: Mapping[str, Decimal] = field(factory=_default_balances)
    pump_period_s: float = 0.01
    lock_period_s: float = 1.0
    lock_grace_s: float = 60.0

    @speed.validator
    def _speed_is_positive(self, _attribute: object, value: float) -> None:
        if not 0 < value <= 10_000:
            raise ValueError(f"speed {value} is not a multiple of the tape's pace: give a number over 0, at most 10000")
