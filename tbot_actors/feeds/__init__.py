"""Market data of one venue: the local book, quotes, trades, candles, and whether any of it can be believed."""

from tbot_actors.feeds.actor import Feed
from tbot_actors.feeds.quality import Fault, Flag
from tbot_actors.feeds.settings import FeedSettings
from tbot_actors.feeds.statistics import FeedStatistics, FeedStatisticsWanted, InstrumentStatistics, SetAside

__all__ = [
    "Feed",
    "FeedSettings",
    "FeedStatistics",
    "FeedStatisticsWanted",
    "InstrumentStatistics",
    "SetAside",
    "Fault",
    "Flag",
]
