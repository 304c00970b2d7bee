"""The checks see what they are there for: each planted fault, in a scratch copy of the project, fails `make check`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
NEEDED = ["Makefile", "pyproject.toml", ".flake8", "checks", "tbot_actors"]

pytestmark = pytest.mark.processes


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    for name in NEEDED:
        source, copy = REPOSITORY / name, tmp_path / name
        if source.is_dir():
            shutil.copytree(source, copy, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, copy)
    return tmp_path


def make(folder: Path, *targets: str) -> subprocess.CompletedProcess[str]:
    """Runs the project's own recipes with the interpreter of this test: nothing is installed."""
    command = ["make", "--keep-going", "--old-file=ready-test", f"PY={sys.executable}", *targets]
    # Not a child of the make that may be running this test: its flags and variables stay out.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False
    )


def doors(folder: Path, *folders: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(REPOSITORY / "checks" / "doors.py"), *folders]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=20, check=False)


def plant(folder: Path, name: str, source: str) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(source)


def test_the_tree_as_it_is_passes(scratch: Path) -> None:
    result = make(scratch, "check-lint", "check-doors", "check-imports")
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.splitlines()[0] == "lint ok"
    assert "doors ok" in result.stdout
    assert "imports ok" in result.stdout


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import time\n\nNOW_S = time.time()\n", "`time` is banned"),
        ("import random\n\nCHANCE = random.random()\n", "`random` is banned"),
        ("import os\n\nKEY = os.urandom(8)\n", "`os` is banned"),
        ("import subprocess\n\nsubprocess.run(['true'], check=True)\n", "`subprocess` is banned"),
        ("from datetime import UTC, datetime\n\nNOW = datetime.now(UTC)\n", "`datetime.datetime.now` is banned"),
        ("import sqlite3\n\nDATABASE = sqlite3.connect('x')\n", "`sqlite3.connect` is banned"),
        ("from trio.to_thread import run_sync\n\nprint(run_sync)\n", "`trio.to_thread` is banned"),
        ("import trio\n\nOPEN = trio.open_tcp_stream\n", "`trio.open_tcp_stream` is banned"),
        ("FILE = open('x')\n", "open(): use world.files"),
    ],
)
def test_a_way_around_the_doors_is_a_finding(scratch: Path, source: str, expected: str) -> None:
    plant(scratch, "tbot_actors/domain/trespass.py", source)
    result = make(scratch, "check-lint", "check-doors")
    assert result.returncode != 0
    assert expected in result.stdout
    assert "tbot_actors/domain/trespass.py:" in result.stdout


@pytest.mark.parametrize(
    "call",
    [
        "path.read_text(encoding='utf-8')",
        "path.read_bytes()",
        "path.write_text('x')",
        "path.open()",
        "path.open('rb')",
        "path.open(encoding='utf-8')",
        "path.exists()",
        "path.mkdir(parents=True)",
        "Path.home()",
    ],
)
def test_a_path_that_touches_the_disk_is_a_finding(tmp_path: Path, call: str) -> None:
    source = f"from pathlib import Path\npath = Path('x')\n{call}\n"
    plant(tmp_path, "tbot_actors/domain/trespass.py", source)
    result = doors(tmp_path, "tbot_actors")
    assert result.returncode == 1
    assert result.stdout.startswith("tbot_actors/domain/trespass.py:3: ")


@pytest.mark.parametrize(
    "call",
    [
        "files.read_bytes(path)",
        "files.exists(path)",
        "files.open_lines(path)",
        "journal.open(path)",
        "text.replace('a', 'b')",
    ],
)
def test_the_doors_themselves_are_not_a_finding(tmp_path: Path, call: str) -> None:
    plant(tmp_path, "tbot_actors/domain/visitor.py", f"{call}\n")
    assert doors(tmp_path, "tbot_actors").returncode == 0


def test_a_real_sleep_in_a_test_is_a_finding(tmp_path: Path) -> None:
    plant(tmp_path, "tests/domain/test_slow.py", "import time\n\ntime.sleep(1)\n")
    result = doors(tmp_path, "tests")
    assert result.returncode == 1
    assert result.stdout.startswith("tests/domain/test_slow.py:3: time.sleep(): use the autojump_clock")


def test_a_check_of_nothing_fails(tmp_path: Path) -> None:
    result = doors(tmp_path, "tbot_actors")
    assert result.returncode == 1
    assert "no Python file" in result.stderr


@pytest.mark.parametrize(
    ("importer", "imported"),
    [
        ("kernel", "orders"),
        ("kernel", "domain"),
        ("domain", "kernel"),
        ("feeds", "risk"),
        ("venues", "journal"),
        ("exchange", "venues"),
        ("operator", "exchange"),
    ],
)
def test_an_import_that_runs_upward_or_sideways_is_a_finding(scratch: Path, importer: str, imported: str) -> None:
    plant(scratch, f"tbot_actors/{importer}/trespass.py", f"import tbot_actors.{imported}\n\nprint(tbot_actors)\n")
    result = make(scratch, "check-imports")
    assert result.returncode != 0
    assert "BROKEN" in result.stdout
    assert f"tbot_actors.{importer}.trespass -> tbot_actors.{imported}" in result.stdout


def test_an_import_of_chaos_is_a_finding(scratch: Path) -> None:
    plant(scratch, "chaos/__init__.py", '"""Our own suite."""\n')
    plant(scratch, "tbot_actors/cli/trespass.py", "import chaos\n\nprint(chaos)\n")
    result = make(scratch, "check-imports")
    assert result.returncode != 0
    assert "tbot_actors.cli.trespass -> chaos" in result.stdout


def test_a_room_that_no_contract_names_is_a_finding(scratch: Path) -> None:
    plant(scratch, "tbot_actors/attic/__init__.py", '"""A room nobody has placed."""\n')
    result = make(scratch, "check-imports")
    assert result.returncode != 0
    assert "attic" in result.stdout
