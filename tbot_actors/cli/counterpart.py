"""The simulated exchange as the counterpart of a paper bot: a process of its own, which outlives the bot.

A bot finds it by its address file, and knows by its lock that the one who wrote that file still lives.
"""

import json
from collections.abc import Callable
from pathlib import Path

import trio
from attrs import evolve, frozen

from tbot_actors.cli.exits import Exit, Failure
from tbot_actors.exchange.keeper import StateRefused
from tbot_actors.exchange.run import run_until_told
from tbot_actors.exchange.settings import ExchangeSettings
from tbot_actors.exchange.tape import TapeError
from tbot_actors.settings import MarketSettings
from tbot_actors.venues.keys import Keys
from tbot_actors.world import HttpClient, NetFailure, Process, World

ADDRESS_FILE = "exchange.json"
LOCK_FILE = "exchange.lock"
"""Held by the exchange of a state folder for its life: without it, what the address file names is gone."""
LOG_FILE = "exchange.log"
START_S = 30.0
LOOK_EVERY_S = 0.05
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
    tape: str | None
    """The capture that it replays, by its whole path; None when it makes its own flow."""
    speed: float


@frozen
class Market:
    """What the exchange is to trade on."""

    settings: MarketSettings
    tape: Path | None = None
    speed: float = 1.0


async def serve(settings: ExchangeSettings, world: World, *, announce: Callable[[str], None]) -> None:
    """Run an exchange, the only one of its state folder, until it ends or is told to by SIGTERM or Ctrl-C.

    Raises Failure for another one there, a bad tape, or accounts that cannot be restored; PortInUse; DiskFailure.
    """
    if settings.state is None:
        await _open(settings, world, announce)
        return
    world.files.make_folder(settings.state)
    lock = world.files.lock(settings.state / LOCK_FILE)
    if lock is None:
        raise Failure(Exit.BUSY, f"an exchange serves {settings.state} ({LOCK_FILE} is held): use that one, or end it")
    try:
        world.files.remove(settings.state / ADDRESS_FILE)
        await _open(settings, world, announce)
    finally:
        lock.release()


async def _open(settings: ExchangeSettings, world: World, announce: Callable[[str], None]) -> None:
    try:
        await run_until_told(settings, world, announce=announce)
    except TapeError as error:
        raise Failure(Exit.NO_INPUT, f"{settings.tape} cannot be replayed: {error}") from None
    except StateRefused as error:
        raise Failure(Exit.CANNOT_WRITE, str(error)) from None


async def find_or_start(world: World, state: Path, market: Market) -> Counterpart:
    """The exchange of this state folder: the one that runs, or a new one. Raises Failure with the exchange's reason.

    One that runs on another market than asked is refused: a bot cannot tell by itself that it trades elsewhere.
    One that an earlier bot started and did not live to see, because it was killed, is used too, not joined by another.
    """
    started: Process | None = None
    with trio.move_on_after(START_S):
        while started is None or started.poll() is None or world.files.is_locked(state / LOCK_FILE):
            found = await _running(world, state)
            if found is not None:
                attached = started is None or found.pid != started.pid
                if attached:
                    _refuse_other_market(found, state, market)
                return evolve(found, attached=attached)
            if started is None and not world.files.is_locked(state / LOCK_FILE):
                started = _start(world, state, market)
            await trio.sleep(LOOK_EVERY_S)
    if started is None or started.poll() is None:
        if started is not None:
            started.kill()
        text = f"the exchange of {state} did not answer within {START_S:.0f} s: see {state / LOG_FILE}"
        raise Failure(Exit.UNAVAILABLE, text)
    raise _reason(world, state, started.poll())


def _start(world: World, state: Path, market: Market) -> Process:
    log = state / LOG_FILE
    world.files.remove(log)
    return world.processes.spawn(_command(world, state, market), stdout=log, stderr=log, detached=True)


def _reason(world: World, state: Path, code: int | None) -> Failure:
    """Why the exchange ended, in its own words and with its own code."""
    lines = world.files.read_bytes(state / LOG_FILE).decode(errors="replace").strip().splitlines()
    if code in (Exit.NO_INPUT, Exit.CANNOT_WRITE, Exit.BUSY) and lines:
        return Failure(Exit(code), lines[-1].removeprefix("tbot: "))
    return Failure(Exit.UNAVAILABLE, f"the exchange ended with {code}: see {state / LOG_FILE}")


async def _running(world: World, state: Path) -> Counterpart | None:
    if not world.files.is_locked(state / LOCK_FILE):
        return None
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
    return Counterpart(
        address["rest"],
        address["ws"],
        keys,
        address["pid"],
        attached=True,
        tape=address["tape"],
        speed=address["speed"],
    )


def _refuse_other_market(found: Counterpart, state: Path, market: Market) -> None:
    asked = None if market.tape is None else str(market.tape.resolve())
    # Flow has one speed, whatever is asked.
    if found.tape == asked and (asked is None or found.speed == market.speed):
        return
    runs, wanted = _described(found.tape, found.speed), _described(asked, market.speed)
    advice = "wait until it ends, 60 s after its last bot, or name another bot.state"
    raise Failure(Exit.BUSY, f"the exchange of {state} (pid {found.pid}) runs {runs}, asked was {wanted}: {advice}")


def _described(tape: str | None, speed: float) -> str:
    return "generated flow" if tape is None else f"the tape {tape} at speed {speed:g}"


def _command(world: World, state: Path, market: Market) -> list[str]:
    settings = market.settings
    command = [world.processes.python(), "-m", "tbot_actors", "exchange", "--state", str(state)]
    command += ["--port", str(settings.port)]
    if settings.seed is not None:
        command += ["--seed", str(settings.seed)]
    if market.tape is not None:
        command += ["--tape", str(market.tape), "--speed", str(market.speed)]
    for asset, amount in settings.balances.items():
        command += ["--balance", f"{asset}={amount}"]
    return command
