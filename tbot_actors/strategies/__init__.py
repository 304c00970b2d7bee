"""Strategies: the API a user writes against, the actor that hosts one, and a library of ready ones."""

from tbot_actors.strategies.actor import StrategyActor
from tbot_actors.strategies.api import Strategy
from tbot_actors.strategies.load import load_strategy

__all__ = ["Strategy", "StrategyActor", "load_strategy"]
