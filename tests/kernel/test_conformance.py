"""Each row of the conformance table, played."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import pytest
import trio

from tbot_actors.kernel import (
    GONE,
    Actor,
    Branch,
    BranchLimitReached,
    Child,
    ExitReason,
    Restart,
    RestartLimit,
    Strategy,
    System,
    Unavailable,
    handles,
    open_system,
)
from tests.kernel.conformance import ROWS, Row, table
from tests.kernel.rig import MANY, NO_WAIT, Diary, Run, branch, crash, puppet, virtual_world

CHILDREN = ("a", "b", "c")


class Observer(Actor):
    def __init__(self, heard: list[str]) -> None:
        self.heard = heard

    @handles(BranchLimitReached)
    async def on_limit(self, message: BranchLimitReached) -> None:
        self.heard.append(message.path)


async def be_unavailable(actor: Actor) -> None:
    raise Unavailable


async def hang(actor: Actor) -> None:
    await trio.sleep_forever()


async def stop_self(actor: Actor) -> None:
    await actor.context.stop_self()


def child(name: str, row: Row, diary: Diary) -> Child | Branch:
    if name != "b":
        return puppet(name, diary)
    if row.reason is ExitReason.EXHAUSTED:
        inner = puppet("inner", diary)
        return branch(inner, name="b", limit=RestartLimit(0, 60), restart=row.restart)
    return puppet("b", diary, restart=row.restart, shutdown_s=1)


async def end(system: System, row: Row) -> None:
    b = system.directory["g/b/inner" if row.reason is ExitReason.EXHAUSTED else "g/b"]
    if row.reason is ExitReason.KILLED:
        b.tell(Run(hang))
        await trio.sleep(1)
    if row.reason in (ExitReason.STOPPED, ExitReason.KILLED):
        await system.stop_child("g/b")
    else:
        does = {ExitReason.FINISHED: stop_self, ExitReason.UNAVAILABLE: be_unavailable}
        b.tell(Run(does.get(row.reason, crash)))
    await trio.sleep(5)


async def play(row: Row, limit: RestartLimit) -> tuple[set[str], list[str]]:
    """Who was started again, and which limits were reached."""
    diary, heard = Diary(), list[str]()
    children = [child(name, row, diary) for name in CHILDREN]
    group = Branch("g", row.strategy, children, limit, NO_WAIT, exhausted=GONE)
    tree = branch(Child("o", Observer, lambda: Observer(heard)), group)
    async with open_system(tree, virtual_world(), observers=("o",)) as system:
        await trio.sleep(1)
        before = len(diary.entries)
        await end(system, row)
        started = {path.split("/")[1] for path, what in diary.entries[before:] if what == "started"}
        return started, heard


def name_of(value: Any) -> str:
    return f"{value.strategy.value}, {value.restart.value}, {value.reason.value}"


@pytest.mark.parametrize("row", ROWS, ids=name_of)
async def test_a_supervisor_does_what_the_table_says(row: Row, autojump_clock: trio.testing.MockClock) -> None:
    started, _ = await play(row, MANY)
    assert started == set(row.again.split())
    _, heard = await play(row, RestartLimit(0, 60))
    assert ("g" in heard) == row.charged


def test_the_table_has_every_case_once_and_is_in_the_documentation() -> None:
    cases = [(row.strategy, row.restart, row.reason) for row in ROWS]
    assert sorted(map(str, cases)) == sorted(map(str, product(Strategy, Restart, ExitReason)))
    text = (Path(__file__).parents[2] / "docs" / "kernel.md").read_text()
    assert table() in text, "python -m tests.kernel.conformance prints the table for docs/kernel.md"
