"""Plain files, locks and slots, on the real disk."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tbot_actors.world import DiskFailure, DiskFull, SlotsUnreadable, SystemFiles

FILES = SystemFiles()
# A folder in which nobody, not even root, can make a file.
UNWRITABLE = Path("/proc/self/fdinfo")


def test_an_atomic_write_replaces_the_whole_file_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    FILES.write_atomic(path, b"old" * 1000)
    FILES.write_atomic(path, b"new")
    assert FILES.read_bytes(path) == b"new"
    assert os.listdir(tmp_path) == ["state.json"]
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_failed_atomic_write_leaves_the_old_content(tmp_path: Path) -> None:
    path = tmp_path / "folder"
    (path / "inside").mkdir(parents=True)
    with pytest.raises(DiskFailure):
        FILES.write_atomic(path, b"new")
    assert os.listdir(tmp_path) == ["folder"]


@pytest.mark.skipif(not UNWRITABLE.is_dir(), reason="no /proc here")
def test_a_folder_that_cannot_be_written_is_said_with_what_to_do() -> None:
    with pytest.raises((DiskFailure, FileNotFoundError)):
        FILES.write_atomic(UNWRITABLE / "x", b"data")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_is_its_own_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The new file is a link to a device that is always full.
    (tmp_path / f".state.{os.getpid()}.new").symlink_to("/dev/full")
    with pytest.raises(DiskFull, match="no space"):
        FILES.write_atomic(tmp_path / "state", b"data")
    assert os.listdir(tmp_path) == []


def test_a_missing_file_is_a_file_not_found(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        FILES.read_bytes(tmp_path / "none")
    FILES.remove(tmp_path / "none")
    assert not FILES.exists(tmp_path / "none")


def test_folders_are_made_with_those_above_them(tmp_path: Path) -> None:
    FILES.make_folder(tmp_path / "a" / "b")
    FILES.make_folder(tmp_path / "a" / "b")
    assert FILES.exists(tmp_path / "a" / "b")


@pytest.mark.parametrize("name", ["ticks.csv", "ticks.csv.gz"])
def test_lines_come_one_by_one_also_out_of_a_compressed_file(tmp_path: Path, name: str) -> None:
    content = b"one\r\ntwo\n\nlast"
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    assert list(FILES.open_lines(tmp_path / name)) == [b"one", b"two", b"", b"last"]


def test_a_damaged_compressed_file_is_a_disk_failure(tmp_path: Path) -> None:
    path = tmp_path / "ticks.gz"
    path.write_bytes(gzip.compress(os.urandom(10_000))[:-100])
    with pytest.raises(DiskFailure, match="damaged"):
        list(FILES.open_lines(path))


def test_a_lock_excludes_other_holders_until_released(tmp_path: Path) -> None:
    path = tmp_path / "bot.lock"
    assert not FILES.is_locked(path)
    held = FILES.lock(path)
    assert held is not None
    assert FILES.lock(path) is None
    assert FILES.is_locked(path)
    held.release()
    held.release()
    again = FILES.lock(path)
    assert again is not None
    again.release()
    assert not FILES.is_locked(path)


@pytest.mark.processes
def test_a_lock_of_another_process_is_freed_by_its_death(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from tbot_actors.world import SystemFiles\n"
        "lock = SystemFiles().lock(Path(sys.argv[1])); print(lock is not None, flush=True); sys.stdin.read()"
    )
    path = tmp_path / "bot.lock"
    with subprocess.Popen([sys.executable, "-c", code, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"True\n"
        assert FILES.lock(path) is None
        holder.kill()
        holder.wait()
        lock = FILES.lock(path)
        assert lock is not None
        lock.release()


def test_a_fresh_slot_file_holds_nothing_and_then_the_last_value(tmp_path: Path) -> None:
    slots = FILES.open_slots(tmp_path / "latch", 100)
    assert slots.read() is None
    for value in (b"one", b"", b"three" * 20):
        slots.write(value)
        assert slots.read() == value
    slots.close()
    again = FILES.open_slots(tmp_path / "latch", 100)
    assert again.read() == b"three" * 20
    with pytest.raises(ValueError, match="101 bytes"):
        again.write(bytes(101))
    again.close()


def test_writers_with_the_file_open_see_each_others_values(tmp_path: Path) -> None:
    bot, guardian = (FILES.open_slots(tmp_path / "latch", 100) for _ in range(2))
    bot.write(b"bot")
    guardian.write(b"guardian")
    bot.write(b"bot again")
    assert guardian.read() == b"bot again"
    bot.close()
    guardian.close()


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    values=st.lists(st.binary(max_size=5000), min_size=1, max_size=4),
    torn_at=st.integers(min_value=0, max_value=5100),
    junk=st.binary(min_size=1, max_size=600),
)
def test_a_torn_write_leaves_the_value_before_it(
    tmp_path: Path, values: list[bytes], torn_at: int, junk: bytes
) -> None:
    path = tmp_path / "latch"
    path.unlink(missing_ok=True)
    slots = FILES.open_slots(path, 5000)
    for value in values:
        slots.write(value)
    slot_bytes = path.stat().st_size // 2
    newest = len(values) % 2
    with open(path, "r+b") as file:
        file.seek(newest * slot_bytes + torn_at)
        file.write(junk)
    try:
        read = slots.read()
    except SlotsUnreadable:
        # There was no value before the first one.
        assert len(values) == 1
    else:
        assert read in values[-2:]
    slots.write(b"mended")
    assert slots.read() == b"mended"
    slots.close()


@pytest.mark.parametrize("damage", ["both slots", "cut short", "emptied", "zeroed"])
def test_slots_that_are_both_damaged_are_unreadable_until_written_again(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "latch"
    slots = FILES.open_slots(path, 100)
    slots.write(b"one")
    slots.write(b"two")
    content = bytearray(path.read_bytes())
    if damage == "both slots":
        content[10] ^= 1
        content[len(content) // 2 + 10] ^= 1
    left: dict[str, bytes | bytearray] = {"both slots": content, "cut short": content[:50], "emptied": b""}
    left["zeroed"] = bytes(len(content))
    path.write_bytes(left[damage])
    slots.close()
    slots = FILES.open_slots(path, 100)
    with pytest.raises(SlotsUnreadable, match="damaged"):
        slots.read()
    slots.write(b"three")
    assert slots.read() == b"three"
    slots.close()
