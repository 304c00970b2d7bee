"""The books: positions, profit and equity of the bot's own trading, folded from fills and valued at the market."""

from tbot_actors.portfolio.actor import BooksWanted, Portfolio
from tbot_actors.portfolio.settings import PortfolioSettings

__all__ = ["BooksWanted", "Portfolio", "PortfolioSettings"]
