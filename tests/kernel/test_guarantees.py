"""docs/kernel.md promises nothing that no test holds."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "kernel.md"
LINK = re.compile(r"\[`(?P<path>[^`]+?)::(?P<test>\w+)`\]\((?P<target>[^)]+)\)")


def lines(heading: str) -> list[str]:
    """The bullets below a heading of the second level."""
    _, _, below = PAGE.read_text().partition(f"\n## {heading}\n")
    return [line for line in below.partition("\n## ")[0].splitlines() if line.startswith("- ")]


@cache
def names_in(path: Path) -> frozenset[str]:
    tree = ast.parse(path.read_text())
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


PROMISES = [*lines("Guarantees"), *lines("Not guaranteed")]


@pytest.mark.parametrize("line", PROMISES, ids=lambda line: line[2:50])
def test_every_line_has_a_test_that_exists(line: str) -> None:
    links = list(LINK.finditer(line))
    assert links, "no test holds this"
    for link in links:
        assert link["test"] in names_in(ROOT / link["path"])
        assert link["test"].startswith("test_")


def test_there_are_promises_and_every_link_of_the_page_resolves() -> None:
    assert len(lines("Guarantees")) > 40
    assert len(lines("Not guaranteed")) > 10
    targets = re.findall(r"\]\(([^)#]+)", PAGE.read_text())
    assert [target for target in targets if not (PAGE.parent / target).is_file()] == []
