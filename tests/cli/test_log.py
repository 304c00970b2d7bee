"""Where log lines go, and that nobody fails because of one."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path

import pytest
import structlog

from tbot_actors.cli.exits import Exit, Failure
from tbot_actors.cli.log import LOG_NAME, Unfailing, log_beside_view, log_to_stderr
from tbot_actors.cli.say import say
from tbot_actors.world import real_world


@pytest.fixture(autouse=True)
def log_as_before() -> object:
    """The configuration of structlog is global."""
    yield
    structlog.reset_defaults()


def test_log_lines_go_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    log_to_stderr()
    structlog.get_logger("tbot").warning("odd", path="core/risk")
    structlog.get_logger("tbot").debug("too much")
    out, err = capsys.readouterr()
    assert out == ""
    (line,) = err.splitlines()
    assert "level='warning' event='odd' path='core/risk'" in line


def test_beside_a_view_nothing_but_the_view_reaches_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = tmp_path / "new" / "state"
    early = structlog.get_logger("tbot")
    with log_beside_view(real_world(hosts=()), state):
        early.info("restarting", path="core/risk")
        print("a strategy prints")
        print("and complains", file=sys.stderr)
    print("summary")
    early.info("after")
    out, err = capsys.readouterr()
    assert out == "summary\n"
    assert "event='after'" in err and len(err.splitlines()) == 1
    written = (state / LOG_NAME).read_text()
    assert "event='restarting' path='core/risk'" in written
    assert "a strategy prints\nand complains\n" in written


def test_a_state_folder_that_cannot_be_made_is_told_before_anything_starts(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Failure) as caught, log_beside_view(real_world(hosts=()), tmp_path / "file" / "state"):
        pass
    assert caught.value.code is Exit.CANNOT_WRITE


class Gone(io.StringIO):
    """A stream whose other end has gone."""

    def write(self, text: str) -> int:
        raise BrokenPipeError(32, "Broken pipe")

    def flush(self) -> None:
        raise BrokenPipeError(32, "Broken pipe")


@pytest.mark.parametrize("stream", [Gone(), io.StringIO()], ids=["gone", "closed"])
def test_a_stream_that_cannot_be_written_fails_nobody(stream: io.StringIO) -> None:
    if not isinstance(stream, Gone):
        stream.close()
    out = Unfailing(stream)
    assert out.write("text") == 4
    out.flush()


def test_who_logs_to_a_terminal_that_has_gone_does_not_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Gone())
    log_to_stderr()
    structlog.get_logger("tbot").error("nobody reads this")


def test_an_answer_that_nobody_reads_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    read, write = os.pipe()
    os.close(read)
    nobody = os.fdopen(write, "w")
    monkeypatch.setattr(sys, "stdout", nobody)
    say("summary")
    say("more")
    sys.stdout.flush()
    with pytest.raises(BrokenPipeError):
        nobody.close()
