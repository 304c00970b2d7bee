"""One symbol at the venue: its rules, market, ids and everybody's orders."""

from collections.abc import Iterable

from tbot_actors.exchange.archive import Archive, Live
from tbot_actors.exchange.average import AveragePrice
from tbot_actors.exchange.filters import SymbolRules
from tbot_actors.exchange.market import Market


class Desk:
    """What the venue keeps per symbol. `order_id` and `trade_id` are the last ones given out."""

    __slots__ = ("archives", "average", "live", "market", "order_id", "rules", "trade_id")

    def __init__(self, rules: SymbolRules, market: Market, accounts: Iterable[str]) -> None:
        self.rules = rules
        self.market = market
        self.live: dict[int, Live] = {}
        self.archives = {account: Archive() for account in accounts}
        self.average = AveragePrice(rules.average_minutes)
        self.order_id = 0
        self.trade_id = 0
