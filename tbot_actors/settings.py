"""The settings of the whole bot, composed of each room's own class, read from one TOML file."""

import re
import tomllib
from collections.abc import Iterator
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any

import attrs
import cattrs
from attrs import evolve, field, frozen, validators

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

PAPER_SYMBOL = "BTCUSDT"
"""What the simulated exchange trades."""

_NAME = re.compile(r"[A-Za-z0-9_-]{1,32}")


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
    """`paper`, or `live` for real money."""
    tag: str = field(default="TB0T", validator=_tag)
    """Four characters at the head of every client order id: what carries them is ours.

    Two bots on one account need two tags.
    """
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
    """`[venues.NAME.gateway]`: how many requests at once, how many waiting."""
    feed: FeedSettings = field(factory=FeedSettings)
    """`[venues.NAME.feed]`: market data, when it is stale, what is set aside."""

    def __attrs_post_init__(self) -> None:
        gateway, connections = self.gateway, self.binance.connections_max
        slots = gateway.submit_slots + gateway.cancel_slots + gateway.query_slots + gateway.state_slots
        if slots > connections:
            raise ValueError(
                f"the gateway's slots are {slots} together, above binance.connections_max = {connections}: "
                "cancels would wait behind reads"
            )


@frozen
class MarketSettings:
    """`[exchange]`: the simulated exchange of a paper bot."""

    port: int = field(default=0, validator=[validators.ge(0), validators.le(65535)])
    """0 takes a free one."""
    seed: int | None = None
    """The same seed gives the same order flow; none draws one."""
    balances: dict[str, Decimal] = field(
        factory=lambda: {"BTC": ZERO, "USDT": Decimal(100_000)},
        validator=validators.deep_mapping(value_validator=validators.ge(ZERO)),
    )
    """What the account holds there at first, by asset."""


@frozen
class Settings:
    """Everything a configuration file may say."""

    bot: BotSettings
    """Who it is, where it keeps its state, how it stops."""
    venues: dict[str, VenueSettings]
    """By a name of your own: instruments are `NAME:SYMBOL`."""
    strategies: dict[str, StrategySettings]
    """By a name of your own."""
    exchange: MarketSettings = field(factory=MarketSettings)
    """The simulated counterpart, on paper."""
    journal: JournalSettings = field(factory=JournalSettings)
    """Sizes and periods of the durable record."""
    orders: OrdersSettings = field(factory=OrdersSettings)
    """Deadlines and bounds of the order path."""
    portfolio: PortfolioSettings = field(factory=PortfolioSettings)
    """How often the books are published."""
    reconciler: ReconcilerSettings = field(factory=ReconcilerSettings)
    """When venue and journal are compared."""
    risk: RiskSettings = field(factory=RiskSettings)
    """The limits."""
    watchdog: WatchdogSettings = field(factory=WatchdogSettings)
    """Deadlines and bounds of safety."""

    @property
    def capital(self) -> Decimal:
        """Allocated to all strategies together, quote currency."""
        return sum((strategy.capital for strategy in self.strategies.values()), ZERO)


def read_settings(text: str) -> Settings:
    """The settings of a TOML document. Raises Problems that names every wrong key and what is allowed there."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise Problems([Problem("", f"no TOML: {error}")]) from None
    converter = make_converter()
    problems: list[Problem] = []
    settings: Settings | None = None
    try:
        settings = converter.structure(document, Settings)
    except Problems as found:
        problems += found.problems
    problems += _name_problems(document)
    problems += _params_problems(document, converter)
    problems += _instrument_problems(document)
    problems += _mode_problems(document)
    if problems or settings is None:
        raise Problems(_by_table(problems))
    named = {name: evolve(venue, binance=evolve(venue.binance, venue=name)) for name, venue in settings.venues.items()}
    return evolve(settings, venues=named)


def runs_apart(kind: str, host: str) -> bool:
    """Whether a strategy is a user's file that runs in its own process and nowhere else, not even to check it."""
    return host == "process" and kind.rpartition(":")[0].endswith(".py")


def strategy_params(settings: StrategySettings) -> tuple[type[Strategy], Any]:
    """The strategy's class and its parameters. Raises StrategyNotFound, Problems."""
    strategy = load_strategy(settings.type)
    return strategy, make_converter().structure(settings.params, strategy.Params)


def _by_table(problems: list[Problem]) -> list[Problem]:
    """What is said of one table stands together, whoever found it."""
    order = [field.name for field in attrs.fields(Settings)]
    seen: dict[str, int] = {}

    def place(problem: Problem) -> tuple[int, int]:
        top, _, rest = problem.path.partition(".")
        nth = seen.setdefault(f"{top}.{rest.partition('.')[0]}", len(seen))
        return (order.index(top) if top in order else -1, nth if top in ("venues", "strategies") else 0)

    return sorted(problems, key=place)


# What is wrong only in combination, read from the document as it is: other tables may be wrong too, and what is wrong
# with them alone is said elsewhere.


def _tables(document: dict[str, Any], name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    tables = document.get(name)
    for key, table in tables.items() if isinstance(tables, dict) else ():
        if isinstance(table, dict):
            yield key, table


def _name_problems(document: dict[str, Any]) -> Iterator[Problem]:
    """Names become parts of paths, scopes and instruments."""
    for kind in ("venues", "strategies"):
        if document.get(kind) == {}:
            yield Problem(kind, "at least one is needed")
        for name, _ in _tables(document, kind):
            if not _NAME.fullmatch(name):
                yield Problem(f"{kind}.{name}", "is no name: up to 32 letters without accents, digits, - and _")
    for name, table in _tables(document, "venues"):
        dialect = table.get("binance")
        if isinstance(dialect, dict) and dialect.get("venue", name) != name:
            yield Problem(f"venues.{name}.binance.venue", f"is the name of its table, {name}: leave it out")


def _params_problems(document: dict[str, Any], converter: cattrs.Converter) -> Iterator[Problem]:
    """What the strategies' own parameter classes object to."""
    for name, table in _tables(document, "strategies"):
        kind = table.get("type")
        if not isinstance(kind, str) or runs_apart(kind, table.get("host", "process")):
            continue
        try:
            converter.structure(table.get("params", {}), load_strategy(kind).Params)
        except StrategyNotFound as error:
            yield Problem(f"strategies.{name}.type", str(error))
        except Problems as found:
            for each in found.problems:
                yield Problem(".".join(filter(None, ("strategies", name, "params", each.path))), each.text)
        except (ValueError, TypeError) as error:
            yield Problem(f"strategies.{name}.params", str(error))


def _instrument_problems(document: dict[str, Any]) -> Iterator[Problem]:
    """Instruments of venues that are not there, or that do not have them."""
    venues = dict(_tables(document, "venues"))
    for name, table in _tables(document, "strategies"):
        listed = table.get("instruments")
        for instrument in listed if isinstance(listed, list) else ():
            if not isinstance(instrument, str):
                continue
            venue, _, symbol = instrument.partition(":")
            path = f"strategies.{name}.instruments"
            if venue not in venues:
                there = ", ".join(sorted(venues)) or "none"
                yield Problem(path, f"{instrument!r} names no venue: write VENUE:SYMBOL with a venue of {there}")
            elif symbol not in (symbols := _symbols(venues[venue], symbol)):
                there = ", ".join(symbols) or "none"
                yield Problem(path, f"{instrument!r} is not among venues.{venue}.binance.symbols: {there}")


def _symbols(venue: dict[str, Any], wanted: str) -> tuple[str, ...]:
    """What the venue trades; whatever is wanted, where that cannot be told because it is written wrongly."""
    dialect = venue.get("binance")
    symbols = dialect.get("symbols", BinanceSettings().symbols) if isinstance(dialect, dict) else None
    if isinstance(symbols, (list, tuple)) and all(isinstance(symbol, str) for symbol in symbols):
        return tuple(symbols)
    return (wanted,)


def _mode_problems(document: dict[str, Any]) -> Iterator[Problem]:
    """What only paper or only a live account objects to."""
    bot = document.get("bot")
    mode = bot.get("mode", Mode.PAPER.value) if isinstance(bot, dict) else None
    if mode == Mode.PAPER.value:
        for name, venue in _tables(document, "venues"):
            for symbol in _symbols(venue, PAPER_SYMBOL):
                if symbol != PAPER_SYMBOL:
                    text = f"{symbol!r} is not traded on paper: the simulated exchange has {PAPER_SYMBOL} only"
                    yield Problem(f"venues.{name}.binance.symbols", text)
    if mode == Mode.LIVE.value:
        for name, table in _tables(document, "strategies"):
            if table.get("host", "process") == "task" and table.get("trusted", False) is False:
                text = "a strategy inside the bot's process sees its keys: say trusted = true if you wrote or read it"
                yield Problem(f"strategies.{name}.trusted", text)
