"""A whole simulated exchange: builds floor and market, listens, moves time along, and ends when nobody needs it.

A rehearsal calls `run_exchange`, `tbot exchange` calls `run_until_told`. The CLI prints what `announce` is given.
"""

import json
import string
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import structlog
import trio

from tbot_actors.exchange.filters import SymbolRules
from tbot_actors.exchange.floor import Floor
from tbot_actors.exchange.flow import Flow
from tbot_actors.exchange.keeper import ACCOUNTS_FILE, Keeper, StateRefused, recall
from tbot_actors.exchange.ledger import Unbalanced
from tbot_actors.exchange.market import Market
from tbot_actors.exchange.matching import OrderBookMarket
from tbot_actors.exchange.memory import Memory
from tbot_actors.exchange.records import VenueError
from tbot_actors.exchange.server import Server
from tbot_actors.exchange.settings import ACCOUNTS, ExchangeSettings
from tbot_actors.exchange.signing import Key, Keyring
from tbot_actors.exchange.source import FlowSource, Source, TapeSource
from tbot_actors.exchange.tape import TapeGrid, read_tape
from tbot_actors.exchange.tape_market import TapeMarket
from tbot_actors.exchange.venue import Venue
from tbot_actors.world import DiskFailure, Entropy, Files, Listening, Random, SeededEntropy, World, signals

STATE_FILE = "exchange.json"
LOCK_FILE = "bot.lock"
CONNECTIONS_MAX = 256
_LETTERS = string.ascii_letters + string.digits
_KEY_LENGTH = 64


async def run_until_told(settings: ExchangeSettings, world: World, *, announce: Callable[[str], None]) -> None:
    """`run_exchange`, which SIGTERM and Ctrl-C end in order. Raises what that raises. For the main thread only."""
    failure: Exception | None = None
    with signals() as received:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_cancel_when_told, received, nursery.cancel_scope)
            try:
                await run_exchange(settings, world, announce=announce)
            except Exception as error:  # noqa: BLE001 (raised again below, without the nursery's wrapping)
                failure = error
            nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure


async def _cancel_when_told(received: AsyncIterator[int], scope: trio.CancelScope) -> None:
    async for _ in received:
        scope.cancel()


async def run_exchange(
    settings: ExchangeSettings,
    world: World,
    *,
    announce: Callable[[str], None],
    task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until cancelled, or until `bot.lock` in the state folder has been free for the grace time.

    Once it listens, `announce` and `task_status.started` get one line of JSON: `rest` and `ws` (URLs), `api_key` and
    `api_secret` of the first account, `keys` of the others, `pid`, `tape` (its whole path, or null) and `speed`.

    With a state folder this line is also `exchange.json` there, for as long as it serves, and the accounts are kept in
    `exchange.state`, where the next exchange of the folder finds them: written at the end, a cancellation too, and
    after changes at most once a second. One that is killed loses what its accounts did since: the bot's reconciler
    then finds the difference, as with a venue that rolled back. Only one exchange at a time may use a folder.

    Raises PortInUse, TapeError for a tape that cannot be replayed, StateRefused for accounts that cannot be restored,
    and DiskFailure, also later, when they can no longer be kept.
    """
    log = _stderr_log(settings)
    entropy = world.entropy if settings.seed is None else SeededEntropy(settings.seed)
    memory = None if settings.state is None else recall(world.files, settings.state, settings.symbol)
    keys = make_keys(entropy("exchange/keys")) if memory is None else list(memory.keys)
    floor = build_floor(settings, world, entropy, keys, log, memory)
    with _kept(settings, world, floor, keys, 0 if memory is None else memory.starts) as keeper:
        listening = await world.net.listen(settings.host, settings.port)
        line = json.dumps(_announcement(settings, listening, keys, world.processes.own_pid))
        if settings.state is not None:
            world.files.write_atomic(settings.state / STATE_FILE, line.encode() + b"\n")
        announce(line)
        task_status.started(line)
        log.info("the exchange is open", port=listening.port)
        await _serve_while_used(settings, world, floor, listening, keeper)
        log.info("no bot uses the exchange any more; it ends", free_for_s=settings.lock_grace_s)


@contextmanager
def _kept(
    settings: ExchangeSettings, world: World, floor: Floor, keys: list[Key], starts: int
) -> Iterator[Keeper | None]:
    """Keep the accounts of a floor from now on and once more at the end; None where no folder is given."""
    if settings.state is None:
        yield None
        return
    world.files.make_folder(settings.state)
    keeper = Keeper(world.files, settings.state, floor, keys, starts + 1)
    # Nobody gets a key that an exchange killed at once would not know again.
    keeper.keep()
    try:
        yield keeper
    finally:
        # No task of the exchange is left by now, and nothing here waits: a cancellation changes nothing.
        try:
            world.files.remove(settings.state / STATE_FILE)
        finally:
            keeper.end()


def make_keys(random: Random) -> list[Key]:
    """One key per account, shaped as Binance's."""
    return [Key(_letters(random), _letters(random), account) for account in ACCOUNTS]


def build_floor(
    settings: ExchangeSettings,
    world: World,
    entropy: Entropy,
    keys: list[Key],
    log: Any,
    memory: Memory | None = None,
) -> Floor:
    """The floor with its market: a tape's, or one with flow of its own; its accounts as remembered, or fresh.

    Raises TapeError, and StateRefused when what is remembered does not add up.
    """
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
            ended=lambda: log.warning("the tape is at its end; the market stands still"),
        )
    markets = {rules.symbol: (rules, market)}
    if memory is None:
        venue = Venue(markets, {key.account: settings.balances for key in keys})
        return Floor(venue, source, Keyring(keys), world.clock, entropy("exchange/ids"))
    venue = _restored_venue(settings, markets, memory, start_ns)
    loss = "" if memory.orderly else "the last exchange was killed: up to a second of it is missing"
    log.info("the accounts are those of before, not those of the settings", starts=memory.starts, loss=loss)
    # With a seed, the same stream would give out the ids of the last start once more.
    ids = entropy(f"exchange/ids/{memory.starts}")
    return Floor(venue, source, Keyring(keys), world.clock, ids, memory.counters)


def _restored_venue(
    settings: ExchangeSettings, markets: Mapping[str, tuple[SymbolRules, Market]], memory: Memory, now_ns: int
) -> Venue:
    try:
        return Venue.restored(markets, memory.venue, now_ns)
    except (Unbalanced, VenueError, ValueError) as error:
        assert settings.state is not None
        raise StateRefused(settings.state / ACCOUNTS_FILE, f"its accounts do not add up ({error})") from error


def rules_for(symbol: str) -> SymbolRules:
    """Trading rules of a symbol quoted in USDT. Raises ValueError for another quote currency."""
    base = symbol.removesuffix("USDT")
    if base == symbol or not base:
        raise ValueError(f"the simulated exchange trades symbols quoted in USDT, such as BTCUSDT, not {symbol}")
    return SymbolRules(symbol=symbol, base=base)


def _announcement(settings: ExchangeSettings, listening: Listening, keys: list[Key], pid: int) -> dict[str, object]:
    first, *others = keys
    address = f"{settings.host}:{listening.port}"
    return {
        "rest": f"http://{address}",
        "ws": f"ws://{address}",
        "api_key": first.api_key,
        "api_secret": first.secret,
        "keys": [{"api_key": key.api_key, "api_secret": key.secret} for key in others],
        "pid": pid,
        "tape": None if settings.tape is None else str(settings.tape.resolve()),
        "speed": settings.speed,
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


async def _serve_while_used(
    settings: ExchangeSettings, world: World, floor: Floor, listening: Listening, keeper: Keeper | None
) -> None:
    failure: DiskFailure | None = None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(keep_open, floor, listening, settings.pump_period_s)
        if settings.state is not None and keeper is not None:
            try:
                await _until_unused(settings, settings.state / LOCK_FILE, world.files, keeper)
            except DiskFailure as error:
                # Raised again below, without the nursery's wrapping.
                failure = error
            nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure


async def _until_unused(settings: ExchangeSettings, path: Path, files: Files, keeper: Keeper) -> None:
    """Keep the accounts at every look; return when the bot's lock was free at all of them for the grace time."""
    free_since_s = trio.current_time()
    while trio.current_time() - free_since_s < settings.lock_grace_s:
        await trio.sleep(settings.lock_period_s)
        keeper.keep()
        if files.is_locked(path):
            free_since_s = trio.current_time()


def _letters(random: Random) -> str:
    return "".join(random.choices(_LETTERS, k=_KEY_LENGTH))


def _stderr_log(settings: ExchangeSettings) -> Any:
    """The first line of stdout is for whoever started the exchange, so its log never goes there."""
    level, line = structlog.processors.add_log_level, structlog.processors.KeyValueRenderer(key_order=["event"])
    log = structlog.wrap_logger(structlog.WriteLogger(sys.stderr), processors=[level, line])
    return log.bind(actor="exchange", symbol=settings.symbol, tape=str(settings.tape or ""))
