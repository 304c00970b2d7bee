"""Binance spot: REST, market streams, and the user stream of the WebSocket API."""

from tbot_actors.venues.binance.session import BinanceSession
from tbot_actors.venues.binance.settings import BinanceSettings

__all__ = ["BinanceSession", "BinanceSettings"]
