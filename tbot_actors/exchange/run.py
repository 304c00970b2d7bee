"""A whole simulated exchange: builds floor and market, listens, moves time along, and ends when nobody needs it.

`run_exchange` is what `tbot exchange` and a rehearsal call. The CLI prints what `announce` is given.
"""

import json
import string
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import structlog
import trio

from tbot_actors.exchange.filters import SymbolRules
from tbot_actors.exchange.floor import Floor
from tbot_actors.exchange.flow import Flow
from tbot_actors.exchange.market import Market
from tbot_actors.exchange.matching import OrderBookMarket
from tbot_actors.exchange.server import Server
from tbot_actors.exchange.settings import ACCOUNTS, ExchangeSettings
from tbot_actors.exchange.signing import Key, Keyring
from tbot_actors.exchange.source import FlowSource, Source, TapeSource
from tbot_actors.exchange.tape import TapeGrid, read_tape
from tbot_actors.exchange.tape_market import TapeMarket
from tbot_actors.exchange.venue import Venue
from tbot_actors.world import Entropy, Files, Listening, Random, SeededEntropy, World

STATE_FILE = "exchange.json"
LOCK_FILE = "bot.lock"
CONNECTIONS_MAX = 256
_LETTERS = string.ascii_letters + string.digits
_KEY_LENGTH = 64


async def run_exchange(
    settings: ExchangeSettings,
    world: World,
    *,
    announce: Callable[[str], None],
    task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until cancelled, or until `bot.lock` in the state folder has been free for the grace time.

    Once it listens, `announce` and `task_status.started` get one line of JSON: `rest` and `ws` (URLs), `api_key` and
    `api_secret` of the first account, `keys` of the others, `pid`. Raises PortInUse, and TapeError for a tape
    that cannot be replayed.
    """
    log = _stderr_log(settings)
    entropy = world.entropy if settings.seed is None else SeededEntropy(settings.seed)
    keys = make_keys(entropy("exchange/keys"))
    floor = build_floor(settings, world, entropy, keys, log)
    listening = await world.net.listen(settings.host, settings.port)
    line = json.dumps(_announcement(settings.host, listening, keys, world.processes.own_pid))
    if settings.state is not None:
        world.files.make_folder(settings.state)
        world.files.write_atomic(settings.state / STATE_FILE, line.encode() + b"\n")
    announce(line)
    task_status.started(line)
    log.info("the exchange is open", port=listening.port, tape=str(settings.tape or ""))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(keep_open, floor, listening, settings.pump_period_s)
        if settings.state is not None:
            await _until_unused(settings, settings.state / LOCK_FILE, world.files)
            log.info("no bot uses the exchange any more; it ends", free_for_s=settings.lock_grace_s)
            nursery.cancel_scope.cancel()


def make_keys(random: Random) -> list[Key]:
    """One key per account, shaped as Binance's."""
    return [Key(_letters(random), _letters(random), account) for account in ACCOUNTS]


def build_floor(settings: ExchangeSettings, world: World, entropy: Entropy, keys: list[Key], log: Any) -> Floor:
    """The floor with its market: a tape's, or one with flow of its own. Raises TapeError."""
    rules = rules_for(settings.symbol)
    start_ns = world.clock.wall_ns()
    market: Market
    source: Source
    if settings.tape is None:
        market = OrderBookMarket()
        source = FlowSource(rules.symbol, Flow(entropy("exchange/flow"), market, start_ns=start_ns))
    else:
        market = tape_market = TapeMarket()
        records = read_tape(world.files.open_lines(settings.tape), TapeGrid(tick=rules.tick, step=rules.step))
        source = TapeSource(
            rules.symbol,
            tape_market,
            records,
            start_ns=start_ns,
            speed=settings.speed,
            ended=lambda: log.warning("the tape is at its end; the market stands still", tape=str(settings.tape)),
        )
    venue = Venue({rules.symbol: (rules, market)}, {key.account: settings.balances for key in keys})
    return Floor(venue, source, Keyring(keys), world.clock, entropy("exchange/ids"))


def rules_for(symbol: str) -> SymbolRules:
    """Trading rules of a symbol quoted in USDT. Raises ValueError for another quote currency."""
    base = symbol.removesuffix("USDT")
    if base == symbol or not base:
        raise ValueError(f"the simulated exchange trades symbols quoted in USDT, such as BTCUSDT, not {symbol}")
    return SymbolRules(symbol=symbol, base=base)


def _announcement(host: str, listening: Listening, keys: list[Key], pid: int) -> dict[str, object]:
    first, *others = keys
    address = f"{host}:{listening.port}"
    return {
        "rest": f"http://{address}",
        "ws": f"ws://{address}",
        "api_key": first.api_key,
        "api_secret": first.secret,
        "keys": [{"api_key": key.api_key, "api_secret": key.secret} for key in others],
        "pid": pid,
    }


async def keep_open(floor: Floor, listening: Listening, pump_period_s: float) -> None:
    """Serve a floor and move its time along until cancelled."""
    server = Server(floor)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_pump, floor, pump_period_s)
        await listening.serve(server.serve_stream, connections_max=CONNECTIONS_MAX)


async def _pump(floor: Floor, period_s: float) -> None:
    while True:
        floor.advance()
        floor.publish()
        await trio.sleep(period_s)


async def _until_unused(settings: ExchangeSettings, path: Path, files: Files) -> None:
    """Return when the lock has been free, at every look, for the grace time."""
    free_since_s = trio.current_time()
    while trio.current_time() - free_since_s < settings.lock_grace_s:
        await trio.sleep(settings.lock_period_s)
        if files.is_locked(path):
            free_since_s = trio.current_time()


def _letters(random: Random) -> str:
    return "".join(random.choices(_LETTERS, k=_KEY_LENGTH))


def _stderr_log(settings: ExchangeSettings) -> Any:
    """The first line of stdout is for whoever started the exchange, so its log never goes there."""
    level, line = structlog.processors.add_log_level, structlog.processors.KeyValueRenderer(key_order=["event"])
    log = structlog.wrap_logger(structlog.WriteLogger(sys.stderr), processors=[level, line])
    return log.bind(actor="exchange", symbol=settings.symbol)
