"""A real bot on a pseudo-terminal: the live view, the end, and what is left on the screen."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest
import trio

from tests.spine.bot import REPOSITORY, Ground
from tests.spine.conftest import ground

__all__ = ["ground"]

pytestmark = pytest.mark.processes

ENTER, LEAVE = "\x1b[?1049h", "\x1b[?1049l"
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
END_S = 60.0


async def on_terminal(columns: int, rows: int, *arguments: str | Path) -> tuple[int, str]:
    """Run `tbot` with all three streams on a terminal of this size; its exit code, and all that was sent there."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": str(columns), "LINES": str(rows)}
    process = await trio.lowlevel.open_process(
        [sys.executable, "-m", "tbot_actors", *map(str, arguments)],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        cwd=REPOSITORY,
        env=environment,
        start_new_session=True,
    )
    os.close(theirs)
    sent = bytearray()
    stream = trio.lowlevel.FdStream(ours)
    with trio.move_on_after(END_S) as patience:
        try:
            while data := await stream.receive_some():
                sent += data
        except trio.BrokenResourceError:
            pass  # the last holder of the other end has closed it
        await process.wait()
    if patience.cancelled_caught:
        process.kill()
        await process.wait()
    await stream.aclose()
    assert process.returncode is not None
    return process.returncode, sent.decode()


async def test_the_view_stays_whole_and_leaves_the_terminal_as_it_was(ground: Ground) -> None:
    code, sent = await on_terminal(
        80, 24, "run", ground.config(), "--for", "2s", "--crash", "core/risk@1s", "--crash", "strategies/momentum@1s"
    )
    assert code == 0, sent[-2000:]
    assert sent.count(ENTER) == sent.count(LEAVE) == 1
    before, _, rest = sent.partition(ENTER)
    view, _, after = rest.partition(LEAVE)
    assert before.strip() == ""
    assert "core/risk started again, start 2" in ESCAPES.sub("", view)
    for stray in ("event=", "Traceback", "level="):
        assert stray not in sent
    frames = ESCAPES.sub("", view).split("╭")[1:]
    assert len(frames) > 5
    assert all(len(line) <= 80 for frame in frames for line in frame.splitlines())
    left = ESCAPES.sub("", after).splitlines()
    assert any("STOPPING" in line for line in left)
    assert left[-1].strip().startswith("journal"), "the summary is the last thing that is said"
    log = (ground.state / "bot.log").read_text()
    assert log.count("InjectedCrash") >= 2


@pytest.mark.slow
async def test_with_json_even_a_terminal_gets_plain_lines_and_the_object_last(ground: Ground) -> None:
    code, sent = await on_terminal(80, 24, "run", ground.config(), "--for", "1s", "--json")
    assert code == 0, sent[-2000:]
    assert ENTER not in sent
    *lines, last = sent.splitlines()
    assert json.loads(last)["flat"] is True
    assert any("process start 1, paper account main" in line for line in lines)


@pytest.mark.slow
async def test_a_reader_that_goes_away_ends_neither_the_bot_nor_its_protocol(ground: Ground) -> None:
    command = [sys.executable, "-m", "tbot_actors", "run", str(ground.config()), "--for", "3s"]
    err = ground.folder / "err"
    with err.open("wb") as stderr:
        process = await trio.lowlevel.open_process(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr, cwd=REPOSITORY
        )
    assert process.stdout is not None
    assert await process.stdout.receive_some()
    await process.stdout.aclose()
    with trio.fail_after(END_S):
        code = await process.wait()
    assert code == 0, err.read_text()[-2000:]
    assert "Traceback" not in err.read_text()
    assert "Stopped" in {type(event).__name__ for event in await ground.journal()}
