"""The settings of the whole bot, composed of each room's own class, read from one TOML file."""

import tomllib
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any

import cattrs
from attrs import field, frozen

from tbot_actors.domain.ids import check_bot_tag
from tbot_actors.domain.messages import OnStop
from tbot_actors.domain.money import ZERO
from tbot_actors.feeds.settings import FeedSettings
from tbot_actors.journal.settings import JournalSettings
from tbot_actors.orders.settings import OrdersSettings
from tbot_actors.portfolio.settings import PortfolioSettings
from tbot_actors.reconciler.settings import ReconcilerSettings
from tbot_actors.risk.settings import RiskSettings
from tbot_actors.settings_reader import Problem, Problems, make_converter
from tbot_actors.strategies.api import Strategy
from tbot_actors.strategies.load import StrategyNotFound, load_strategy
from tbot_actors.strategies.settings import StrategySettings
from tbot_actors.venues.binance.settings import BinanceSettings
from tbot_actors.venues.settings import GatewaySettings
from tbot_actors.watchdog.settings import WatchdogSettings


class Mode(Enum):
    """Whose money it is."""

    PAPER = "paper"
    """A simulated exchange on this machine."""
    LIVE = "live"
    """A real account; needs `--live` on the command line too."""


def _tag(_instance: Any, _attribute: Any, value: str) -> None:
    check_bot_tag(value)


@frozen
class BotSettings:
    """`[bot]`"""

    state: Path
    """Folder of the journal, the latch, locks and sockets; one bot per folder."""
    mode: Mode = Mode.PAPER
    tag: str = field(default="TB0T", validator=_tag)
    """Four characters at the head of every client order id: what carries them is ours. Two bots on one account need two tags."""
    account: str = "main"
    """Your name for the account; a journal belongs to one."""
    on_stop: OnStop = OnStop.KEEP
    """What Ctrl-C and SIGTERM do with positions; working orders are cancelled in both cases."""


@frozen
class VenueSettings:
    """`[venues.NAME]`"""

    binance: BinanceSettings
    """The dialect and its own settings; one table named as the dialect."""
    gateway: GatewaySettings = field(factory=GatewaySettings)
    feed: FeedSettings = field(factory=FeedSettings)


@frozen
class MarketSettings:
    """`[exchange]`: the simulated exchange of a paper bot."""

    port: int = 0
    """0 takes a free one."""
    seed: int | None = None
    """The same seed gives the same order flow; none draws one."""
    balances: dict[str, Decimal] = field(factory=lambda: {"BTC": ZERO, "USDT": Decimal(100_000)})


@frozen
class Settings:
    """Everything a configuration file may say."""

    bot: BotSettings
    venues: dict[str, VenueSettings]
    strategies: dict[str, StrategySettings]
    exchange: MarketSettings = field(factory=MarketSettings)
    journal: JournalSettings = field(factory=JournalSettings)
    orders: OrdersSettings = field(factory=OrdersSettings)
    portfolio: PortfolioSettings = field(factory=PortfolioSettings)
    reconciler: ReconcilerSettings = field(factory=ReconcilerSettings)
    risk: RiskSettings = field(factory=RiskSettings)
    watchdog: WatchdogSettings = field(factory=WatchdogSettings)

    @property
    def capital(self) -> Decimal:
        """Allocated to all strategies together, quote currency."""
        return sum((strategy.capital for strategy in self.strategies.values()), ZERO)


def read_settings(text: str) -> Settings:
    """The settings of a TOML document. Raises Problems that names every wrong key and what is allowed there."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise Problems([Problem("the file", f"is no TOML: {error}")]) from None
    converter = make_converter()
    problems: list[Problem] = []
    settings: Settings | None = None
    try:
        settings = converter.structure(document, Settings)
    except Problems as found:
        problems += found.problems
    problems += _strategy_problems(document, converter)
    if settings is not None:
        problems += _crossed(settings)
    if problems or settings is None:
        raise Problems(problems)
    return settings


def strategy_params(settings: StrategySettings) -> tuple[type[Strategy], Any]:
    """The strategy's class and its parameters. Raises StrategyNotFound, Problems."""
    strategy = load_strategy(settings.type)
    return strategy, make_converter().structure(settings.params, strategy.Params)


def _strategy_problems(document: dict[str, Any], converter: cattrs.Converter) -> list[Problem]:
    """What the strategies' own parameter classes object to, also where the rest of the file is wrong."""
    problems: list[Problem] = []
    tables = document.get("strategies")
    for name, table in (tables.items() if isinstance(tables, dict) else ()):
        if not isinstance(table, dict) or not isinstance(table.get("type"), str):
            continue
        try:
            converter.structure(table.get("params", {}), load_strategy(table["type"]).Params)
        except StrategyNotFound as error:
            problems.append(Problem(f"strategies.{name}.type", str(error)))
        except Problems as found:
            problems += [Problem(f"strategies.{name}.params.{each.path}", each.text) for each in found.problems]
        except ValueError as error:
            problems.append(Problem(f"strategies.{name}.params", str(error)))
    return problems


def _crossed(settings: Settings) -> list[Problem]:
    """What is wrong only in combination."""
    problems: list[Problem] = []
    for name, strategy in settings.strategies.items():
        for instrument in strategy.instruments:
            venue, _, symbol = instrument.partition(":")
            if venue not in settings.venues:
                text = f"{instrument!r} names no configured venue: write VENUE:SYMBOL with a venue of {sorted(settings.venues)}"
                problems.append(Problem(f"strategies.{name}.instruments", text))
            elif symbol not in settings.venues[venue].binance.symbols:
                text = f"{instrument!r} is not among venues.{venue}.binance.symbols"
                problems.append(Problem(f"strategies.{name}.instruments", text))
        if settings.bot.mode is Mode.LIVE and strategy.host == "task" and not strategy.trusted:
            text = "a strategy inside the bot's process sees its keys: say trusted = true if you wrote or read it"
            problems.append(Problem(f"strategies.{name}.trusted", text))
    if not settings.strategies:
        problems.append(Problem("strategies", "at least one is needed"))
    if not settings.venues:
        problems.append(Problem("venues", "at least one is needed"))
    return problems
