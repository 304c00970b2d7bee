"""The gateway, and one folder for each exchange dialect.

    throttle, offset = Throttle(world.clock), Offset()
    def open_session() -> Session:
        return BinanceSession(world, BinanceSettings(symbols=("BTCUSDT",)), keys, offset, throttle)

One throttle and one offset per venue, whatever the number of sessions: rate limits and clocks are the venue's.
"""

from tbot_actors.venues.binance import BinanceSession, BinanceSettings
from tbot_actors.venues.clock import VenueClock
from tbot_actors.venues.dialect import (
    Malformed,
    MarketItem,
    ReadRefused,
    Session,
    StreamEnding,
    UnreadableAnswer,
    UserItem,
)
from tbot_actors.venues.gateway import Gateway
from tbot_actors.venues.keys import Keys
from tbot_actors.venues.offset import Offset
from tbot_actors.venues.settings import ClockSettings, GatewaySettings
from tbot_actors.venues.throttle import Counted, Throttle, Use
from tbot_actors.venues.user_stream import UserStream

__all__ = [
    "Session",
    "MarketItem",
    "UserItem",
    "Malformed",
    "StreamEnding",
    "ReadRefused",
    "UnreadableAnswer",
    "Gateway",
    "GatewaySettings",
    "VenueClock",
    "ClockSettings",
    "UserStream",
    "BinanceSession",
    "BinanceSettings",
    "Keys",
    "Offset",
    "Throttle",
    "Counted",
    "Use",
]
