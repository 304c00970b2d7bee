"""What prevents a start is told in one line with its exit code, and nothing half-started is left behind."""

from __future__ import annotations

import signal
import socket

import pytest

from tbot_actors.cli.exits import Exit
from tbot_actors.journal import JournalSettings, Owner, open_record, prove
from tbot_actors.world import real_world
from tests.spine.bot import REPOSITORY, Ended, Ground

pytestmark = pytest.mark.processes
PAPER = "config/paper.toml"


def left_nothing(ground: Ground) -> None:
    """No process, and no state folder at all."""
    assert ground.exchanges() == []
    assert not ground.state.exists()


def refused(ended: Ended, code: int, *words: str) -> None:
    """One line that says this, and the code."""
    assert ended.code == code
    assert ended.out == ""
    assert ended.line.startswith("tbot: ") and ended.line.count("tbot:") == 1
    for word in words:
        assert word in ended.line


async def test_a_missing_tape(ground: Ground) -> None:
    refused(await ground.run("--tape", ground.folder / "none.gz"), 66, "no tape", "none.gz", "--tape")
    left_nothing(ground)


async def test_a_tape_that_is_none(ground: Ground) -> None:
    tape = ground.folder / "tape.txt"
    tape.write_text("not a tape\n")
    refused(await ground.run("--tape", tape, "--for", "3s"), 66, "tape.txt", "line 1")
    await cleared_up(ground)


async def test_a_port_in_use_and_the_next_start_once_it_is_free(ground: Ground) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        config = ground.config(changes={r"\[exchange\.balances\]": f"[exchange]\nport = {port}\n\n[exchange.balances]"})
        refused(await ground.run("--for", "3s", config=config), 75, str(port), "in use", "another port")
        await cleared_up(ground)
    ended = await ground.run("--for", "1s", config=config)
    assert ended.code == 0 and ended.summary["reconciled"] is True


async def cleared_up(ground: Ground) -> None:
    """No process, no address of an exchange, no lock; a journal is a whole one, which the next start goes on with."""
    assert ground.exchanges() == []
    assert not (ground.state / "exchange.json").exists()
    world = real_world(hosts=())
    assert not world.files.is_locked(ground.state / "bot.lock")
    async with open_record(world, ground.state / "journal") as record:
        assert (await record.verify()).ok


async def test_a_state_folder_that_cannot_be_made(ground: Ground) -> None:
    (ground.folder / "file").touch()
    config = ground.config(state=ground.folder / "file" / "state")
    refused(await ground.run("--for", "3s", config=config), 73, "file/state")
    left_nothing(ground)


async def test_a_journal_that_cannot_be_written(ground: Ground) -> None:
    ground.state.mkdir()
    (ground.state / "journal").touch()
    refused(await ground.run("--for", "3s"), 73, "journal")
    assert ground.exchanges() == []
    assert sorted(path.name for path in ground.state.iterdir()) == ["bot.lock", "journal"]


async def test_a_journal_of_another_bot(ground: Ground) -> None:
    another = Owner("TB1T", "paper", "main")
    await prove(real_world(hosts=()), ground.state / "journal", another, "its start", JournalSettings())
    before = await ground.journal()
    refused(await ground.run("--for", "3s"), 73, "journal", "TB1T")
    assert ground.exchanges() == []
    assert await ground.journal() == before


async def test_a_second_bot_on_the_same_state_leaves_the_first_alone(ground: Ground) -> None:
    first = await ground.start()
    await ground.until(lambda: (ground.state / "exchange.json").exists(), first)
    refused(await ground.run("--for", "3s"), 75, "bot.lock", str(ground.state))
    assert len(ground.exchanges()) == 1
    assert first.process.poll() is None
    first.signal(signal.SIGTERM)
    ended = await first.end()
    assert ended.code == 0 and ended.summary["journal_verified"] is True


async def test_a_missing_configuration(ground: Ground) -> None:
    refused(await ground.run(config=ground.folder / "none.toml"), 66, "none.toml", "config/paper.toml")
    left_nothing(ground)


async def test_a_broken_configuration_names_every_wrong_key_at_once(ground: Ground) -> None:
    for verb in ("check", "run"):
        bot = await ground.tbot(verb, REPOSITORY / "config" / "broken.toml")
        ended = await bot.end()
        assert ended.code == 78 and ended.out == ""
        first, *problems = ended.err.splitlines()
        assert first.startswith("tbot: ") and f"{len(problems)} wrong settings" in first
        named = [problem.split(":")[0].strip() for problem in problems]
        wrong = ("bot.mode", "bot.tag", "bot.on_stop", "bot.colour", "risk.order_max", "strategies.oracle.type")
        assert set(wrong) <= set(named)
    left_nothing(ground)
    assert not (REPOSITORY / "var" / "broken").exists()


@pytest.mark.parametrize(
    "arguments",
    [(), (PAPER, "--for", "soon"), (PAPER, "--fro", "3s"), (PAPER, "--speed", "x"), (PAPER, "--live")],
    ids=["no config", "no duration", "no option", "no number", "live with a paper config"],
)
async def test_wrong_usage(ground: Ground, arguments: tuple[str, ...]) -> None:
    bot = await ground.tbot("run", *arguments)
    ended = await bot.end()
    assert ended.code == 64 and ended.out == "" and "Traceback" not in ended.err
    left_nothing(ground)


def test_the_readme_tells_every_exit_code() -> None:
    readme = (REPOSITORY / "README.md").read_text()
    codes = readme.split("Exit codes: ")[1].splitlines()
    told = " ".join(codes[:2])
    assert all(f"{int(code)} " in told for code in Exit)
