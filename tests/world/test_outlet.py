"""Text for readers that are slow, stopped or gone."""

from __future__ import annotations

import os
import pty
import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tbot_actors.world import Outlet

PIPE_BYTES = 1 << 16
PATIENCE_S = 10.0


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """A reading and a writing end."""
    read, write = os.pipe()
    yield read, write
    for end in (read, write):
        try:
            os.close(end)
        except OSError:
            pass  # the test has closed it


def read_to_end(read: int, write: int) -> bytes:
    os.close(write)
    with open(read, "rb", closefd=False) as file:
        return file.read()


def test_text_arrives_whole_and_in_order(pipe: tuple[int, int]) -> None:
    outlet = Outlet(pipe[1])
    for number in range(1000):
        assert outlet.write(f"{number}\n") == len(f"{number}\n")
    outlet.flush()
    assert outlet.drain(PATIENCE_S)
    assert read_to_end(*pipe) == b"".join(b"%d\n" % number for number in range(1000))
    assert outlet.lost == 0


def test_a_reader_that_does_not_read_holds_nobody_up_and_loses_the_oldest(pipe: tuple[int, int]) -> None:
    outlet = Outlet(pipe[1], waiting_max=1000)
    line = "x" * 99 + "\n"
    for _ in range(2 * PIPE_BYTES // len(line)):
        outlet.write(line)
    outlet.write("the last\n")
    assert not outlet.drain(0.0)
    assert outlet.lost > 0
    got = bytearray()
    while not got.endswith(b"the last\n"):
        got += os.read(pipe[0], PIPE_BYTES)
    whole = {line.strip().encode(), b"the last"}
    assert set(bytes(got).splitlines()) == whole, "a write is lost as a whole or not at all"
    assert len(got.splitlines()) + outlet.lost == 2 * PIPE_BYTES // len(line) + 1
    assert outlet.drain(PATIENCE_S)


def test_a_reader_that_reads_again_gets_what_is_said_from_then_on(pipe: tuple[int, int]) -> None:
    outlet = Outlet(pipe[1], waiting_max=1000)
    for _ in range(3):
        outlet.write("x" * PIPE_BYTES)
    drained = threading.Thread(target=outlet.drain, args=(PATIENCE_S,))
    drained.start()
    got = bytearray()
    while drained.is_alive() and len(got) < PIPE_BYTES:
        got += os.read(pipe[0], PIPE_BYTES)
    outlet.write("again")
    while not got.endswith(b"again"):
        got += os.read(pipe[0], PIPE_BYTES)
    drained.join()


def test_one_write_larger_than_all_room_is_still_handed_on(pipe: tuple[int, int]) -> None:
    outlet = Outlet(pipe[1], waiting_max=10)
    outlet.write("y" * 100)
    assert outlet.drain(PATIENCE_S)
    assert read_to_end(*pipe) == b"y" * 100


def test_a_reader_that_has_gone_fails_nobody(pipe: tuple[int, int]) -> None:
    os.close(pipe[0])
    outlet = Outlet(pipe[1])
    for number in range(10):
        outlet.write(f"{number}\n")
    assert outlet.drain(PATIENCE_S)
    outlet.write("more\n")
    assert outlet.drain(PATIENCE_S)
    assert outlet.lost == 11


def test_what_waits_at_the_end_is_still_handed_on_and_nothing_after_it(pipe: tuple[int, int]) -> None:
    outlet = Outlet(pipe[1])
    outlet.write("before")
    outlet.close()
    outlet.close()
    assert outlet.drain(PATIENCE_S)
    outlet.write("after")
    outlet.flush()
    assert outlet.drain(PATIENCE_S)
    assert read_to_end(*pipe) == b"before"
    assert outlet.lost == 1


def test_what_its_encoding_cannot_hold_is_still_written(pipe: tuple[int, int]) -> None:
    outlet = Outlet(pipe[1], "ascii")
    outlet.write("é\ud800▁")
    assert outlet.drain(PATIENCE_S)
    assert read_to_end(*pipe) == b"\\xe9\\ud800\\u2581"
    assert outlet.encoding == "ascii"


def test_it_is_a_terminal_where_its_reader_is_one(pipe: tuple[int, int]) -> None:
    assert not Outlet(pipe[1]).isatty()
    assert Outlet(pipe[1]).fileno() == pipe[1]
    ours, theirs = pty.openpty()
    assert Outlet(theirs).isatty()
    os.close(ours)
    os.close(theirs)


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=50), max_size=50))
def test_any_text_arrives(texts: list[str]) -> None:
    read, write = os.pipe()
    outlet = Outlet(write)
    for text in texts:
        outlet.write(text)
    outlet.close()
    assert outlet.drain(PATIENCE_S)
    assert read_to_end(read, write).decode() == "".join(texts)
    os.close(read)
