"""Progress, escalation, latch, kill switch, flatten, and the stop protocol."""

from tbot_actors.watchdog.actor import Watchdog
from tbot_actors.watchdog.settings import WatchdogSettings

__all__ = ["Watchdog", "WatchdogSettings"]
