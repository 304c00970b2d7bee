"""The simulated exchange as the counterpart of a paper bot: a process of its own that outlives the bot and is attached to again."""

import json
from pathlib import Path

import trio
from attrs import frozen

from tbot_actors.cli.exits import Exit, Failure
from tbot_actors.settings import MarketSettings
from tbot_actors.venues.keys import Keys
from tbot_actors.world import HttpClient, NetFailure, World

ADDRESS_FILE = "exchange.json"
START_S = 30.0
_OK = 200


@frozen
class Counterpart:
    """Where the exchange is and who we are there."""

    rest_url: str
    ws_url: str
    keys: Keys
    pid: int
    attached: bool
    """It ran already, with the orders and balances of an earlier run."""


@frozen
class Market:
    """What the exchange is to trade on."""

    settings: MarketSettings
    tape: Path | None = None
    speed: float = 1.0


async def find_or_start(world: World, state: Path, market: Market) -> Counterpart:
    """The exchange of this state folder: the one that runs, or a new one. Raises Failure with the exchange's own reason."""
    running = await _running(world, state, attached=True)
    if running is not None:
        return running
    if market.tape is not None and not world.files.exists(market.tape):
        raise Failure(Exit.NO_INPUT, f"there is no tape {market.tape}: name a capture with --tape, or leave it out for generated flow")
    world.files.remove(state / ADDRESS_FILE)
    log = state / "exchange.log"
    world.files.remove(log)
    process = world.processes.spawn(_command(world, state, market), stdout=log, stderr=log, detached=True)
    with trio.move_on_after(START_S):
        while process.poll() is None:
            await trio.sleep(0.05)
            found = await _running(world, state, attached=False)
            if found is not None:
                return found
    if process.poll() is None:
        process.kill()
        raise Failure(Exit.UNAVAILABLE, f"the exchange did not answer within {START_S:.0f} s: see {log}")
    lines = world.files.read_bytes(log).decode(errors="replace").strip().splitlines()
    raise Failure(Exit.UNAVAILABLE, lines[-1] if lines else f"the exchange ended with {process.poll()}: see {log}")


async def _running(world: World, state: Path, *, attached: bool) -> Counterpart | None:
    try:
        address = json.loads(world.files.read_bytes(state / ADDRESS_FILE))
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    client = HttpClient(world.net, address["rest"], total_timeout_s=2.0)
    try:
        response = await client.request("GET", "/api/v3/ping")
    except NetFailure:
        return None
    finally:
        with trio.CancelScope(shield=True):
            await client.aclose()
    if response.status != _OK:
        return None
    keys = Keys(address["api_key"], address["api_secret"])
    return Counterpart(address["rest"], address["ws"], keys, address["pid"], attached)


def _command(world: World, state: Path, market: Market) -> list[str]:
    settings = market.settings
    command = [world.processes.python(), "-m", "tbot_actors", "exchange", "--state", str(state), "--port", str(settings.port)]
    if settings.seed is not None:
        command += ["--seed", str(settings.seed)]
    if market.tape is not None:
        command += ["--tape", str(market.tape), "--speed", str(market.speed)]
    for asset, amount in settings.balances.items():
        command += ["--balance", f"{asset}={amount}"]
    return command
