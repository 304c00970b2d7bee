"""The verbs of `tbot`. Each is short: read the settings, do one thing, say how it went."""

import json
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any, NoReturn, TextIO, cast

import trio
from attrs import evolve
from cyclopts import App, CycloptsError, Parameter
from rich.console import Console as Terminal

from tbot_actors.app import actor_paths, describe_strategies
from tbot_actors.cli.counterpart import Market, serve
from tbot_actors.cli.durations import CrashOrder, crash_order, seconds
from tbot_actors.cli.exits import Exit, Failure
from tbot_actors.cli.outline import outline
from tbot_actors.cli.resume import resume_latch
from tbot_actors.cli.run import RunOptions, run_bot
from tbot_actors.cli.say import say
from tbot_actors.cli.streams import log_beside_view, log_to_stderr, patient_streams
from tbot_actors.domain.money import to_decimal
from tbot_actors.exchange.settings import ExchangeSettings
from tbot_actors.journal import JournalCorrupt, JournalRefused, open_record
from tbot_actors.operator import LineScreen, LiveScreen
from tbot_actors.settings import Mode, Settings, read_settings
from tbot_actors.settings_reader import Problems
from tbot_actors.world import DiskFailure, PortInUse, World, real_world

LOOPBACK = ("127.0.0.1", "localhost", "::1")

app = App(
    name="tbot",
    help="A trading bot under supervision that can be left alone.",
    version_flags=["--version"],
    default_parameter=Parameter(show_default=False),
)
journal_app = App(name="journal", help="The durable record, while the bot is not running.")
app.command(journal_app)

Json = Annotated[
    bool, Parameter(name="--json", negative="", help="Print one JSON object last; everything else goes to stderr.")
]
Config = Annotated[Path, Parameter(help="A TOML file, for example config/paper.toml.")]


def main() -> None:
    """Entry point of the `tbot` command."""
    try:
        app(sys.argv[1:], exit_on_error=False)
    except Failure as failure:
        print(f"tbot: {failure}", file=sys.stderr)
        sys.exit(int(failure.code))
    except CycloptsError:
        # It has been printed, with the option that is wrong.
        sys.exit(int(Exit.USAGE))
    except KeyboardInterrupt:
        sys.exit(128 + 2)


@app.command
def run(
    config: Config,
    /,
    *,
    for_: Annotated[str | None, Parameter(name="--for", help="Stop by itself after this long: 30s, 5m, 2h.")] = None,
    tape: Annotated[Path | None, Parameter(help="Paper: trade against this capture instead of generated flow.")] = None,
    speed: Annotated[float, Parameter(help="Pace of the tape, 1 is its own.")] = 1.0,
    crash: Annotated[
        tuple[str, ...], Parameter(negative="", help="Paper: crash an actor, ACTOR@WHEN, repeatable.")
    ] = (),
    live: Annotated[bool, Parameter(negative="", help="Needed, besides mode = \"live\", to trade real money.")] = False,
    json_: Json = False,
) -> None:
    """Run the bot until it is told to stop: Ctrl-C, SIGTERM or --for."""
    settings = load(config)
    _refuse_live(settings, live=live)
    crashes = tuple(crash_order(text) for text in crash)
    _refuse_strangers(crashes, settings)
    world = _world(settings)
    if tape is not None and not world.files.exists(tape):
        advice = "name a capture with --tape, or leave it out for generated flow"
        raise Failure(Exit.NO_INPUT, f"there is no tape {tape}: {advice}")
    log_to_stderr()
    options = RunOptions(
        for_s=None if for_ is None else seconds(for_),
        crashes=crashes,
        market=Market(settings.exchange, tape, speed),
        candles_s=_described(config, settings, world),
    )
    with patient_streams() as (out, err):
        terminal = Terminal(file=cast(TextIO, err if json_ else out))
        if _shows_live_view(terminal) and not json_:
            with log_beside_view(world, settings.bot.state):
                summary = _finish(lambda: run_bot(settings, options, world, LiveScreen(terminal)))
        else:
            summary = _finish(lambda: run_bot(settings, options, world, LineScreen(terminal)))
    faults = summary.faults(settings.bot.on_stop)
    say(json.dumps(summary.as_json()) if json_ else summary.as_text(faults))
    if faults:
        sys.exit(int(Exit.FAILED))


@app.command
def check(config: Config, /, *, json_: Json = False) -> None:
    """Check a configuration: every wrong key at once, with what is allowed there. Exit 78 when there is any."""
    settings = load(config, as_json=json_)
    log_to_stderr()
    _described(config, settings, _world(settings), as_json=json_)
    say(json.dumps({"ok": True, "problems": []}) if json_ else f"{config} is good\n{outline(settings)}")


@app.command
def exchange(
    *,
    port: Annotated[int, Parameter(help="0 takes a free one.")] = 0,
    seed: Annotated[int | None, Parameter(help="The same seed gives the same keys and the same order flow.")] = None,
    tape: Annotated[Path | None, Parameter(help="Replay this capture instead of generating flow.")] = None,
    speed: Annotated[float, Parameter(help="Pace of the tape, 1 is its own.")] = 1.0,
    state: Annotated[
        Path | None, Parameter(help="Folder for exchange.json; ends 60 s after bot.lock in it is free.")
    ] = None,
    balance: Annotated[tuple[str, ...], Parameter(negative="", help="ASSET=AMOUNT of each account, repeatable.")] = (),
) -> None:
    """Run the simulated exchange alone; its first line on stdout is one JSON object with addresses and keys."""
    settings = ExchangeSettings(port=port, seed=seed, tape=tape, speed=speed, state=state)
    if balance:
        given = (text.partition("=") for text in balance)
        settings = evolve(settings, balances={asset: to_decimal(amount) for asset, _, amount in given})
    world = real_world(hosts=LOOPBACK, seed=seed)
    _finish(lambda: serve(settings, world, announce=say))


@app.command
def resume(
    config: Config,
    /,
    *,
    by: Annotated[str, Parameter(help="Your name; it goes into the journal.")],
    reason: Annotated[str, Parameter(help="Why it may trade again; it goes into the journal.")],
    scope: Annotated[str, Parameter(help="account, venue:NAME or strategy:NAME.")] = "account",
) -> None:
    """Lift the latch of one scope, by name and with a reason. The bot must be stopped."""
    settings = load(config)
    say(_finish(lambda: resume_latch(settings, _world(settings), scope=scope, by=by, reason=reason)))


@journal_app.command
def verify(
    folder: Annotated[Path, Parameter(help="The journal folder, for example var/paper/journal.")],
    /,
    *,
    json_: Json = False,
) -> None:
    """Look at every row: order, hashes, keys, and the anchor outside the file."""

    async def look() -> Any:
        async with open_record(real_world(hosts=()), folder) as record:
            return await record.verify()

    report = _finish(look)
    faults = [str(fault) for fault in report.faults]
    if json_:
        say(json.dumps({"ok": report.ok, "rows": report.head.sequence, "faults": faults}))
    else:
        found = f"{folder}: {report.head.sequence} rows, {'all as written' if report.ok else 'FAULTY'}"
        say("\n  ".join((found, *faults)))
    if not report.ok:
        sys.exit(int(Exit.FAILED))


def load(config: Path, *, as_json: bool = False) -> Settings:
    """The settings of a file. Ends the process with 78 and every problem, or 66 where there is no such file."""
    try:
        text = real_world(hosts=()).files.read_bytes(config).decode()
    except FileNotFoundError:
        advice = "name a configuration, for example config/paper.toml"
        raise Failure(Exit.NO_INPUT, f"there is no {config}: {advice}") from None
    except (DiskFailure, UnicodeDecodeError) as error:
        raise Failure(Exit.NO_INPUT, f"{config} cannot be read: {error}") from None
    try:
        return read_settings(text)
    except Problems as found:
        _refuse(config, found, as_json=as_json)


def _described(
    config: Path, settings: Settings, world: World, *, as_json: bool = False
) -> dict[str, tuple[int, ...]]:
    """Ask the strategies that are files of somebody's own, in processes of their own, what they want to see."""
    try:
        return trio.run(describe_strategies, settings, world)
    except Problems as found:
        _refuse(config, found, as_json=as_json)


def _refuse(config: Path, found: Problems, *, as_json: bool) -> NoReturn:
    if as_json:
        problems = [{"key": each.path, "text": each.text} for each in found.problems]
        say(json.dumps({"ok": False, "problems": problems}))
        sys.exit(int(Exit.BAD_CONFIG))
    count = len(found.problems)
    lines = "\n".join(f"  {problem}" for problem in found.problems)
    raise Failure(Exit.BAD_CONFIG, f"{config} has {count} wrong setting{'s' if count > 1 else ''}:\n{lines}") from None


def _shows_live_view(terminal: Terminal) -> bool:
    """A terminal that can move its cursor and draw lines."""
    return terminal.is_terminal and not terminal.is_dumb_terminal and terminal.encoding.startswith("utf")


def _refuse_live(settings: Settings, *, live: bool) -> None:
    if settings.bot.mode is Mode.LIVE:
        text = "live trading is refused in this version: nothing closes positions yet when the whole process dies"
        raise Failure(Exit.USAGE, f'{text}; use mode = "paper"')
    if live:
        raise Failure(Exit.USAGE, '--live needs mode = "live" in the configuration too: real money takes both')


def _refuse_strangers(crashes: tuple[CrashOrder, ...], settings: Settings) -> None:
    known = actor_paths(settings)
    for order in crashes:
        if order.path not in known:
            raise Failure(Exit.USAGE, f"there is no actor {order.path} to crash: there are {', '.join(known)}")


def _world(settings: Settings) -> World:
    return real_world(hosts=LOOPBACK)


def _finish(job: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    """Run to the end and turn what can go wrong outside into one clear line and a code."""
    try:
        return trio.run(job)
    except Failure:
        raise
    except PortInUse as error:
        raise Failure(Exit.BUSY, str(error)) from None
    except (DiskFailure, JournalRefused, JournalCorrupt) as error:
        raise Failure(Exit.CANNOT_WRITE, str(error)) from None
