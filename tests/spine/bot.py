"""Real `tbot run` processes on a state folder of their own, and the exchange processes they leave behind."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import trio
from attrs import define, field, frozen

from tbot_actors.domain.events import Event
from tbot_actors.journal import read_all
from tbot_actors.world import real_world
from tests.spine.ledger import Customer, Ledger, open_customer

REPOSITORY = Path(__file__).resolve().parents[2]
END_S = 75.0
"""A bot that has not ended by then hangs."""
POLL_S = 0.2
"""Slow enough that asking the exchange leaves most of the rate limit, which is one for all, to the bot."""
WAIT_S = 30.0
TAIL_LINES = 40
T = TypeVar("T")


@frozen
class Ended:
    """What a bot process left on its two streams."""

    code: int
    out: str
    err: str

    @property
    def summary(self) -> dict[str, Any]:
        """The last line of stdout. Raises AssertionError where that is no JSON object."""
        lines = self.out.splitlines()
        assert lines, f"nothing on stdout\n{self.err[-4000:]}"
        found = json.loads(lines[-1])
        assert isinstance(found, dict), lines[-1]
        return found

    @property
    def line(self) -> str:
        """The one line on stderr. Raises AssertionError where there are none or more."""
        lines = self.err.splitlines()
        assert len(lines) == 1, f"{len(lines)} lines on stderr:\n{self.err[-4000:]}"
        return lines[0]


@frozen
class Bot:
    """A running bot."""

    process: trio.Process
    out: Path
    err: Path

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    async def end(self) -> Ended:
        """Wait for its end. What it said is printed, for pytest to show when the test fails."""
        with trio.fail_after(END_S):
            code = await self.process.wait()
        ended = Ended(code, self.out.read_text(), self.err.read_text())
        print(f"{self.err.name}: exit {code}\n" + "\n".join(ended.err.splitlines()[-TAIL_LINES:]) + f"\n{ended.out}")
        return ended


@define
class Ground:
    """One state folder, the bots started on it, and their exchange."""

    folder: Path
    bots: list[Bot] = field(factory=list)

    @property
    def state(self) -> Path:
        """The bot's state folder; nothing makes it but the bot."""
        return self.folder / "state"

    def config(
        self, name: str = "paper.toml", changes: Mapping[str, str] | None = None, state: Path | None = None
    ) -> Path:
        """A copy of a ready configuration on our state folder, with pieces of its text changed."""
        text = (REPOSITORY / "config" / name).read_text()
        wanted = {r'state = "[^"]*"': f'state = "{state or self.state}"', **(changes or {})}
        for pattern, replacement in wanted.items():
            text, found = re.subn(pattern, lambda _, new=replacement: new, text)  # type: ignore[misc]
            assert found == 1, f"{pattern} is {found} times in config/{name}"
        path = self.folder / name
        path.write_text(text)
        return path

    async def tbot(self, *arguments: str | Path) -> Bot:
        """Start a `tbot` process."""
        count = len(self.bots) + 1
        out, err = self.folder / f"bot-{count}.out", self.folder / f"bot-{count}.err"
        command = [sys.executable, "-m", "tbot_actors", *map(str, arguments)]
        with out.open("wb") as stdout, err.open("wb") as stderr:
            process = await trio.lowlevel.open_process(
                command, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, cwd=REPOSITORY
            )
        self.bots.append(Bot(process, out, err))
        return self.bots[-1]

    async def start(self, *arguments: str | Path, config: Path | None = None) -> Bot:
        """Start a bot with a summary."""
        return await self.tbot("run", config or self.config(), "--json", *arguments)

    async def run(self, *arguments: str | Path, config: Path | None = None) -> Ended:
        """Start a bot and wait for its end."""
        bot = await self.start(*arguments, config=config)
        return await bot.end()

    async def ledger(self) -> Ledger:
        """What the exchange has on record."""
        async with open_customer(self.state) as customer:
            return await customer.ledger()

    async def journal(self) -> list[Event]:
        """Every event in the bot's journal. The bot must have ended."""
        return [event for _, event in await read_all(real_world(hosts=()), self.state / "journal")]

    async def until_exchange_shows(self, what: Callable[[Customer], Awaitable[T]], bot: Bot) -> T:
        """The first answer that is not empty, asked again and again while the bot runs."""
        with trio.fail_after(WAIT_S):
            await self.until(lambda: (self.state / "exchange.json").exists(), bot)
            async with open_customer(self.state) as customer:
                while not (found := await what(customer)):
                    assert bot.process.returncode is None, bot.err.read_text()[-4000:]
                    await trio.sleep(POLL_S)
                return found

    async def until(self, condition: Callable[[], bool], bot: Bot) -> None:
        """Wait until something outside this process has happened, while the bot runs."""
        with trio.fail_after(WAIT_S):
            while not condition():  # noqa: ASYNC110 (another process does it)
                assert bot.process.returncode is None, bot.err.read_text()[-4000:]
                await trio.sleep(POLL_S)

    def exchange_pid(self) -> int:
        """The process that the exchange of this state names as its own."""
        return int(json.loads((self.state / "exchange.json").read_bytes())["pid"])

    def exchanges(self) -> list[int]:
        """Every living exchange process that was started for this state, named in its file or not."""
        return [pid for pid in _pids() if _serves(pid, self.state)]

    async def clear(self) -> None:
        """End what the test started: bots by their handles, exchanges by the state folder on their command line."""
        for bot in self.bots:
            if bot.process.poll() is None:
                bot.process.kill()
                await bot.process.wait()
        for pid in self.exchanges():
            await kill_and_wait(pid)


def _pids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _serves(pid: int, state: Path) -> bool:
    """Whether this is an exchange of that state. One that has ended, reaped or not, has no command line."""
    try:
        arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return b"exchange" in arguments and os.fsencode(state) in arguments


async def kill_and_wait(pid: int, within_s: float = 10.0) -> None:
    """SIGKILL a process that is no child of ours, and wait until it has ended."""
    try:
        watched = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        signal.pidfd_send_signal(watched, signal.SIGKILL)
        with trio.fail_after(within_s):
            await trio.lowlevel.wait_readable(watched)
    except ProcessLookupError:
        return
    finally:
        os.close(watched)


async def ended_within(pid: int, within_s: float) -> bool:
    """Whether a process, no child of ours, ends by itself in time."""
    try:
        watched = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        with trio.move_on_after(within_s):
            await trio.lowlevel.wait_readable(watched)
            return True
        return False
    finally:
        os.close(watched)
