"""What a running bot says, and that no reader of it can hold the bot up."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from tbot_actors.cli.exits import Exit, Failure
from tbot_actors.cli.say import say
from tbot_actors.cli.streams import LOG_NAME, log_beside_view, patient_streams
from tbot_actors.world import real_world


@pytest.fixture(autouse=True)
def log_as_before() -> Iterator[None]:
    """The configuration of structlog is global."""
    yield
    structlog.reset_defaults()


def test_log_lines_go_to_stderr_and_prints_where_they_always_go(capfd: pytest.CaptureFixture[str]) -> None:
    with patient_streams():
        structlog.get_logger("tbot").warning("odd", path="core/risk")
        structlog.get_logger("tbot").debug("too much")
        print("a strategy prints")
    out, err = capfd.readouterr()
    assert out == "a strategy prints\n"
    (line,) = err.splitlines()
    assert "level='warning' event='odd' path='core/risk'" in line


def test_what_was_said_before_stays_before(capfd: pytest.CaptureFixture[str]) -> None:
    print("before")
    with patient_streams():
        print("meanwhile")
    print("after")
    assert capfd.readouterr().out == "before\nmeanwhile\nafter\n"


def test_beside_a_view_nothing_but_the_view_reaches_the_terminal(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    state = tmp_path / "new" / "state"
    log = structlog.get_logger("tbot")
    with patient_streams() as (out, _):
        with log_beside_view(real_world(hosts=()), state):
            log.info("restarting", path="core/risk")
            print("a strategy prints")
            print("and complains", file=sys.stderr)
            print("the view", file=out)
        bound = log.bind(late=True)
    bound.info("nobody is hurt by a log line after the end")
    assert capfd.readouterr() == ("the view\n", "")
    written = (state / LOG_NAME).read_text()
    assert "event='restarting' path='core/risk'" in written
    assert "a strategy prints\nand complains\n" in written


def test_a_state_folder_that_cannot_be_made_is_told_before_anything_starts(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Failure) as caught, log_beside_view(real_world(hosts=()), tmp_path / "file" / "state"):
        pass
    assert caught.value.code is Exit.CANNOT_WRITE


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
