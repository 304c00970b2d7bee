"""Strategies: the API a user writes against, where and how one is hosted, and a library of ready ones.

Only what a strategy's own process needs is imported here; the actor is in `strategies.actor`, its hosts in `.hosts`.
"""

from tbot_actors.strategies.api import Strategy
from tbot_actors.strategies.load import load_strategy

__all__ = ["Strategy", "load_strategy"]
