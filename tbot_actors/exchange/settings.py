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
    """Settings of one simulated exchange."""

    host: str = "127.0.0.1"
    """Where it listens."""
    port: int = 0
    """0 lets the system choose."""
    symbol: str = "BTCUSDT"
    """What it trades; quoted in USDT."""
    seed: int | None = None
    """Fixes keys, ids and the market's own flow; None takes the world's entropy."""
    tape: Path | None = None
    """The market is this capture; without it, generated flow."""
    speed: float = field(default=1.0)
    """Pace of the tape, in multiples of its own."""
    state: Path | None = None
    """This folder receives `exchange.json`; the accounts are kept in it in `exchange.state`."""
    balances: Mapping[str, Decimal] = field(factory=_default_balances)
    """What each of the three accounts starts with where nothing is kept."""
    pump_period_s: float = 0.01
    """How often the market moves on."""
    lock_period_s: float = 1.0
    """How often `bot.lock` and what is to be kept in the state folder are looked at."""
    lock_grace_s: float = 60.0
    """With a state folder, it ends so long after the flock on `bot.lock` there is free."""

    @speed.validator
    def _speed_is_positive(self, _attribute: object, value: float) -> None:
        if not 0 < value <= 10_000:
            raise ValueError(f"speed {value} is not a multiple of the tape's pace: give a number over 0, at most 10000")
