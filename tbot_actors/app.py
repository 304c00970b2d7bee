"""The composition root: settings in, supervision tree out. The only place that knows every room.

    root        one_for_one                                              a limit that reaches it → the process ends
    ├─ journal        its limit → rest 10 s and try again
    ├─ safety         one_for_one: watchdog                              its limit → the process ends
    ├─ core           one_for_one: portfolio, risk, orders, reconciler   its limit → again after 60 s, 3 times an hour,
    │                                                                                then the process ends
    ├─ venues         a branch per venue, with feed beside               its limit → rest and try again
    │                 [rest_for_one: clock → gateway → user stream]
    ├─ strategies     each with a budget of its own                      its limit → that strategy off
    └─ operator       console                                            its limit → gone; trading goes on

Start order is not readiness: the journal answers readers only when it is verified, risk approves only when orders has
answered, and nothing opens risk before the reconciler has found venue and journal equal.
"""

from collections.abc import Callable, Mapping
from functools import partial

from attrs import field, frozen

from tbot_actors.domain.instruments import InstrumentId
from tbot_actors.domain.latch import UNREADABLE, Latch, LatchUnreadable, decode_latch
from tbot_actors.feeds import Feed
from tbot_actors.journal import Journal
from tbot_actors.kernel import (
    GONE,
    Branch,
    Child,
    Directory,
    RestartLimit,
    Strategy,
    TreeSnapshot,
    again,
)
from tbot_actors.kernel.host import HostLimits
from tbot_actors.operator import Console, Screen
from tbot_actors.orders import Orders
from tbot_actors.portfolio import Portfolio
from tbot_actors.reconciler import Reconciler
from tbot_actors.risk import Risk
from tbot_actors.settings import Settings, runs_apart, strategy_params
from tbot_actors.settings_reader import Problem, Problems
from tbot_actors.strategies.actor import StrategyActor
from tbot_actors.strategies.hosts import OpenHost, StrategyBroken, StrategyProgram, describe, in_process, in_task
from tbot_actors.strategies.settings import StrategySettings
from tbot_actors.venues import BinanceSession, Gateway, Keys, Offset, Session, Throttle, UserStream, VenueClock
from tbot_actors.watchdog import Watchdog
from tbot_actors.world import SlotFile, SlotsUnreadable, World

LATCH_BYTES = 16_384


@frozen
class House:
    """What the tree is built from: the settings, the world, and what only this process knows."""

    settings: Settings
    world: World
    keys: Mapping[str, Keys]
    """By venue."""
    offsets: Mapping[str, Offset]
    """By venue: its clock as `venues/NAME/clock` last measured it."""
    latch: SlotFile
    process_token: str
    """Unique to this process start: it makes the generation count once."""
    snapshot: Callable[[], TreeSnapshot]
    screen: Screen
    candles_s: Mapping[str, tuple[int, ...]] = field(factory=dict)
    """By strategy, for those whose file runs in its own process only: what `describe` said it wants to see."""

    def session_makers(self) -> dict[str, Callable[[], Session]]:
        """By venue, how to open a session. All sessions of a venue share its clock offset and its rate limits."""
        return {name: self._session_maker(name) for name in self.settings.venues}

    def _session_maker(self, venue: str) -> Callable[[], Session]:
        settings, keys = self.settings.venues[venue].binance, self.keys[venue]
        return partial(BinanceSession, self.world, settings, keys, self.offsets[venue], Throttle(self.world.clock))

    def read_latch(self) -> Latch:
        """The latch as it is on the disk at this moment; one that cannot be read counts as set."""
        try:
            return decode_latch(self.latch.read())
        except (SlotsUnreadable, LatchUnreadable):
            return UNREADABLE


def build_tree(house: House, at: Directory) -> Branch:
    """The whole tree of DESIGN §1. Addresses are looked up when an actor starts, so the order of branches is free."""
    settings = house.settings
    sessions = house.session_makers()
    venues = tuple(_venue(house, at, name, open_session) for name, open_session in sessions.items())
    strategies = tuple(_strategy(at, name, strategy) for name, strategy in settings.strategies.items())
    return Branch(
        "root",
        Strategy.ONE_FOR_ONE,
        (
            _journal(house),
            Branch("safety", Strategy.ONE_FOR_ONE, (_watchdog(house, at, sessions),), limit=RestartLimit(10, 60.0)),
            Branch(
                "core",
                Strategy.ONE_FOR_ONE,
                _core(house, at),
                limit=RestartLimit(10, 60.0),
                exhausted=again(60.0, 3, 3600.0),
            ),
            Branch("venues", Strategy.ONE_FOR_ONE, venues),
            Branch("strategies", Strategy.ONE_FOR_ONE, strategies),
            Branch("operator", Strategy.ONE_FOR_ONE, (_console(house, at),), exhausted=GONE),
        ),
        # What a branch could not heal by itself, starting it once more does not heal either.
        limit=RestartLimit(0, 1.0),
    )


def actor_paths(settings: Settings) -> tuple[str, ...]:
    """Every actor of the tree that these settings make."""
    kinds = ("clock", "gateway", "user_stream", "feed")
    venues = (f"venues/{name}/{kind}" for name in settings.venues for kind in kinds)
    core = (f"core/{actor}" for actor in ("portfolio", "risk", "orders", "reconciler"))
    strategies = (f"strategies/{name}" for name in settings.strategies)
    return ("journal", "safety/watchdog", *core, *venues, *strategies, "operator/console")


def _journal(house: House) -> Child:
    bot = house.settings.bot
    return Child(
        "journal",
        Journal,
        lambda: Journal(
            bot.state / "journal",
            bot=bot.tag,
            mode=bot.mode.value,
            account=bot.account,
            process_token=house.process_token,
            settings=house.settings.journal,
        ),
        limit=RestartLimit(5, 60.0),
        exhausted=again(10.0, 360, 3600.0),
    )


def _watchdog(house: House, at: Directory, sessions: Mapping[str, Callable[[], Session]]) -> Child:
    settings = house.settings
    return Child(
        "watchdog",
        Watchdog,
        lambda: Watchdog(
            bot=settings.bot.tag,
            account=settings.bot.account,
            journal=at["journal"],
            risk=at["core/risk"],
            orders=at["core/orders"],
            open_sessions=sessions,
            latch=house.latch,
            kill_file=settings.bot.state / "kill",
            snapshot=house.snapshot,
            settings=settings.watchdog,
        ),
        # The stop protocol has ended before the tree is stopped; what is left to do here is short.
        shutdown_s=5.0,
    )


def _core(house: House, at: Directory) -> tuple[Child, ...]:
    settings = house.settings
    gateways = _gateways(settings)
    capital = {name: strategy.capital for name, strategy in settings.strategies.items()}
    return (
        Child(
            "portfolio",
            Portfolio,
            lambda: Portfolio(
                journal=at["journal"],
                listeners=(at["core/risk"], at["operator/console"]),
                capital=settings.capital,
                settings=settings.portfolio,
            ),
        ),
        Child(
            "risk",
            Risk,
            lambda: Risk(
                journal=at["journal"],
                orders=at["core/orders"],
                strategies={name: at[f"strategies/{name}"] for name in settings.strategies},
                watchdog=at["safety/watchdog"],
                capital=capital,
                settings=settings.risk,
            ),
        ),
        Child(
            "orders",
            Orders,
            lambda: Orders(
                bot=settings.bot.tag,
                account=settings.bot.account,
                journal=at["journal"],
                risk=at["core/risk"],
                gateways={name: at[path] for name, path in gateways.items()},
                watchdog=at["safety/watchdog"],
                settings=settings.orders,
            ),
        ),
        Child(
            "reconciler",
            Reconciler,
            lambda: Reconciler(
                journal=at["journal"],
                gateways={name: at[path] for name, path in gateways.items()},
                orders=at["core/orders"],
                watchdog=at["safety/watchdog"],
                settings=settings.reconciler,
            ),
        ),
    )


def _venue(house: House, at: Directory, name: str, open_session: Callable[[], Session]) -> Branch:
    venue = house.settings.venues[name]
    instruments = tuple(InstrumentId(f"{name}:{symbol}") for symbol in venue.binance.symbols)
    clock = Child(
        "clock",
        VenueClock,
        lambda: VenueClock(name, open_session, gateway=at[f"venues/{name}/gateway"], offset=house.offsets[name]),
    )
    gateway = Child(
        "gateway",
        Gateway,
        lambda: Gateway(
            name,
            open_session,
            journal=at["journal"],
            latch=house.read_latch,
            settings=venue.gateway,
            listeners=(at["core/orders"], at["core/reconciler"], at["safety/watchdog"]),
        ),
    )
    user_stream = Child(
        "user_stream",
        UserStream,
        lambda: UserStream(
            name,
            open_session,
            orders=at["core/orders"],
            reconciler=at["core/reconciler"],
            watchdog=at["safety/watchdog"],
            balance_listeners=(at["operator/console"],),
        ),
    )
    feed = Child("feed", Feed, lambda: _feed(house, at, name, instruments, open_session))
    session = Branch("session", Strategy.REST_FOR_ONE, (clock, gateway, user_stream), inline=True)
    return Branch(
        name,
        Strategy.ONE_FOR_ONE,
        (session, feed),
        limit=RestartLimit(10, 60.0),
        exhausted=again(30.0, 120, 3600.0),
    )


def _feed(
    house: House, at: Directory, venue: str, instruments: tuple[InstrumentId, ...], open_session: Callable[[], Session]
) -> Feed:
    settings = house.settings
    strategies = tuple(at[f"strategies/{name}"] for name in settings.strategies)
    return Feed(
        venue,
        open_session,
        instruments=instruments,
        candle_periods_s=_candle_periods_s(settings, house.candles_s),
        quote_subscribers=(*strategies, at["core/risk"], at["core/portfolio"], at["operator/console"]),
        trade_subscribers=strategies,
        candle_subscribers=strategies,
        watchdog=at["safety/watchdog"],
        settings=settings.venues[venue].feed,
        clock_offset=house.offsets[venue],
    )


def _candle_periods_s(settings: Settings, described: Mapping[str, tuple[int, ...]]) -> tuple[int, ...]:
    """What the strategies want, each period once."""
    wanted: set[int] = set()
    for name, strategy in settings.strategies.items():
        if name in described:
            wanted.update(described[name])
        else:
            kind, params = strategy_params(strategy)
            wanted.update(kind(params, _instruments(strategy)).candles_s())
    return tuple(sorted(wanted))


def _instruments(strategy: StrategySettings) -> tuple[InstrumentId, ...]:
    return tuple(InstrumentId(instrument) for instrument in strategy.instruments)


def strategy_program(name: str, settings: StrategySettings) -> StrategyProgram:
    """What a strategy's own process is told."""
    return StrategyProgram(
        name,
        settings.type,
        settings.params,
        settings.capital,
        _instruments(settings),
        converter="tbot_actors.settings_reader:make_converter",
        limits=HostLimits(request_s=settings.hook_max_s, memory_max_bytes=settings.memory_max_mib << 20),
    )


async def describe_strategies(settings: Settings, world: World) -> dict[str, tuple[int, ...]]:
    """The candle periods of every strategy whose file runs in its own process only. Raises Problems."""
    described: dict[str, tuple[int, ...]] = {}
    problems: list[Problem] = []
    for name, strategy in settings.strategies.items():
        if runs_apart(strategy.type, strategy.host):
            try:
                described[name] = (await describe(strategy_program(name, strategy), world)).candles_s
            except StrategyBroken as broken:
                problems.append(Problem(f"strategies.{name}", str(broken)))
    if problems:
        raise Problems(problems)
    return described


def _open_host(program: StrategyProgram, settings: StrategySettings) -> OpenHost:
    if settings.host == "process":
        return in_process(program)
    kind, params = strategy_params(settings)
    return in_task(program, lambda: kind(params, program.instruments))


def _strategy(at: Directory, name: str, settings: StrategySettings) -> Child:
    program = strategy_program(name, settings)
    open_host = _open_host(program, settings)
    return Child(
        name,
        StrategyActor,
        lambda: StrategyActor(program, open_host, journal=at["journal"], risk=at["core/risk"]),
        limit=RestartLimit(5, 60.0),
        exhausted=GONE,
    )


def _console(house: House, at: Directory) -> Child:
    return Child(
        "console",
        Console,
        lambda: Console(journal=at["journal"], snapshot=house.snapshot, screen=house.screen),
    )


def _gateways(settings: Settings) -> dict[str, str]:
    return {name: f"venues/{name}/gateway" for name in settings.venues}
