"""A log that is bounded and never in the way."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tbot_actors.world import DiskFailure, SystemFiles

FILES = SystemFiles()


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())


def test_text_is_appended_and_kept_over_runs(tmp_path: Path) -> None:
    for text in ("one\n", "two\n"):
        with FILES.open_log(tmp_path / "bot.log", 1000) as log:
            assert log.write(text) == len(text)
    assert (tmp_path / "bot.log").read_text() == "one\ntwo\n"
    assert (tmp_path / "bot.log").stat().st_mode & 0o777 == 0o600


def test_it_never_takes_more_than_twice_its_room_and_keeps_the_newest(tmp_path: Path) -> None:
    with FILES.open_log(tmp_path / "bot.log", 100) as log:
        for number in range(500):
            log.write(f"line {number}\n")
            assert size_of(tmp_path) <= 200
    assert sorted(os.listdir(tmp_path)) == ["bot.log", "bot.log.1"]
    kept = (tmp_path / "bot.log.1").read_text() + (tmp_path / "bot.log").read_text()
    assert kept.endswith("line 499\n")
    assert "line 490\n" in kept


def test_a_log_that_an_earlier_run_filled_is_turned_at_the_next_line(tmp_path: Path) -> None:
    (tmp_path / "bot.log").write_text("x" * 100)
    with FILES.open_log(tmp_path / "bot.log", 100) as log:
        log.write("new\n")
    assert (tmp_path / "bot.log").read_text() == "new\n"
    assert (tmp_path / "bot.log.1").read_text() == "x" * 100


def test_a_line_longer_than_the_log_is_cut(tmp_path: Path) -> None:
    with FILES.open_log(tmp_path / "bot.log", 100) as log:
        log.write("x" * 1000)
        log.write("y\n")
    assert size_of(tmp_path) == 102


def test_a_log_that_somebody_took_away_is_made_anew_when_it_is_full(tmp_path: Path) -> None:
    with FILES.open_log(tmp_path / "bot.log", 10) as log:
        log.write("123456789\n")
        (tmp_path / "bot.log").unlink()
        log.write("new\n")
    assert (tmp_path / "bot.log").read_text() == "new\n"


def test_what_no_encoding_can_hold_is_still_written(tmp_path: Path) -> None:
    with FILES.open_log(tmp_path / "bot.log", 100) as log:
        log.write("\ud800\n")
    assert (tmp_path / "bot.log").read_text() == "\\ud800\n"


def test_a_full_disk_fails_nobody_and_is_told_with_the_next_line(tmp_path: Path) -> None:
    path = tmp_path / "bot.log"
    with FILES.open_log(path, 1 << 20) as log:
        log.write("before\n")
        with no_room():
            log.write("lost 1\n")
            log.write("lost 2\n")
        assert log.lost == 2
        log.write("after\n")
        log.write("and on\n")
    assert path.read_text() == "before\n2 writes to this log failed before this one\nafter\nand on\n"


@contextmanager
def no_room() -> Iterator[None]:
    """No file of this process may grow while the block runs."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_what_is_written_after_the_end_is_lost_and_fails_nobody(tmp_path: Path) -> None:
    log = FILES.open_log(tmp_path / "bot.log", 100)
    log.close()
    log.close()
    log.write("late\n")
    log.flush()
    assert log.lost == 1


def test_a_log_that_cannot_be_opened_says_so(tmp_path: Path) -> None:
    with pytest.raises(DiskFailure, match="cannot open"):
        FILES.open_log(tmp_path, 100)
