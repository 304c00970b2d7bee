"""Finds ways around tbot_actors/world/ that ruff's banned-api table cannot name (DESIGN §2).

Ruff resolves names, not the types of values, so it does not see `path.read_text()`. Here a call of a method that only a
path has, written the way a path takes it, is a finding in the bot; a real sleep is one in the tests.

Usage: doors.py FOLDER...    Run in the project's root, with folders as named there.
Prints `file:line: what: use instead`, and exits 1 where there is a finding.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

FILES = "use world.files"

# Of a path, whatever the arguments: no other thing in the project has a method of this name.
PATH_METHODS = frozenset(
    {"chmod", "expanduser", "hardlink_to", "iterdir", "lstat", "mkdir", "read_text", "readlink", "rglob", "rmdir"}
    | {"symlink_to", "touch", "unlink", "write_bytes", "write_text"}
)

# Of a path only when called without arguments: world.files has some of these names, and takes the path as an argument.
BARE_PATH_METHODS = frozenset({"exists", "is_dir", "is_file", "is_symlink", "read_bytes", "stat"})

PATH_CONSTRUCTORS = frozenset({"cwd", "home"})

OUTSIDE_THE_BOT = frozenset({"benchmarks", "checks"})

OPEN_MODES = frozenset("rwaxbt+")


def around_the_doors(call: ast.Call) -> str | None:
    """What to use instead of this call in the bot, or None where the call is fine."""
    function = call.func
    if isinstance(function, ast.Name):
        return FILES if function.id == "open" else None
    if not isinstance(function, ast.Attribute):
        return None
    name, owner = function.attr, function.value
    bare = not call.args and not call.keywords
    found = (
        name in PATH_METHODS
        or (name in BARE_PATH_METHODS and bare)
        or (name in PATH_CONSTRUCTORS and isinstance(owner, ast.Name) and owner.id.endswith("Path"))
        or (name == "open" and (bare or _is_mode(call)))
    )
    return FILES if found else None


def _is_mode(call: ast.Call) -> bool:
    """Whether the call is written as Path.open is: a mode first, or the options of a text file."""
    if any(keyword.arg in {"mode", "encoding", "newline", "buffering"} for keyword in call.keywords):
        return True
    first = call.args[0] if call.args else None
    return (
        isinstance(first, ast.Constant)
        and isinstance(first.value, str)
        and first.value != ""
        and OPEN_MODES.issuperset(first.value)
    )


def real_sleep(call: ast.Call) -> str | None:
    """What to use instead of this call in a test, or None where the call is fine."""
    function = call.func
    is_time_sleep = (
        isinstance(function, ast.Attribute)
        and function.attr == "sleep"
        and isinstance(function.value, ast.Name)
        and function.value.id == "time"
    )
    return "use the autojump_clock fixture and trio.sleep, or wait for the thing itself" if is_time_sleep else None


def findings(path: Path) -> Iterator[str]:
    """One line for each finding in a file. Raises SyntaxError where the file is not Python."""
    in_tests = path.parts[0] == "tests"
    if path.parts[0] in OUTSIDE_THE_BOT or path.parts[:2] == ("tbot_actors", "world"):
        return
    judge = real_sleep if in_tests else around_the_doors
    for node in ast.walk(ast.parse(path.read_bytes(), str(path))):
        if in_tests and isinstance(node, ast.ImportFrom) and node.module == "time":
            if any(alias.name == "sleep" for alias in node.names):
                yield f"{path}:{node.lineno}: from time import sleep: use the autojump_clock fixture and trio.sleep"
        elif isinstance(node, ast.Call) and (instead := judge(node)):
            yield f"{path}:{node.lineno}: {ast.unparse(node.func)}(): {instead}"


def main(folders: list[str]) -> int:
    files = sorted(file for folder in folders for file in Path(folder).rglob("*.py"))
    if not files:
        print(f"doors: no Python file in {folders}", file=sys.stderr)
        return 1
    found = [line for file in files for line in findings(file)]
    print("\n".join(found), end="\n" if found else "")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
