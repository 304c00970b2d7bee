"""A process that is killed takes nothing with it that it had answered."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tbot_actors.domain.events import Fill, GenerationStarted, PauseChanged
from tbot_actors.journal import open_record, read_all
from tbot_actors.world import real_world

REPOSITORY = Path(__file__).resolve().parents[2]
# Different amounts of work, so that the kills come at different moments of a commit, an anchor and a start.
ANSWERS_BEFORE_THE_KILL = (1, 37, 400, 2000)


def answered_before_the_kill(folder: Path, round_: int, answers: int) -> list[str]:
    """Run the producers, kill them after so many answers, and return all that were given."""
    command = [sys.executable, "-m", "tests.journal.producers", str(folder), str(round_)]
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(answers)]
        process.kill()
        lines += process.stdout.readlines()
    assert all(lines), "the producers ended by themselves"
    return [line.strip() for line in lines if line.endswith("\n")]


@pytest.mark.processes
async def test_every_answered_append_survives_kill_9_once_and_the_journal_is_sound(tmp_path: Path) -> None:
    world, folder = real_world(hosts=()), tmp_path / "journal"
    answered: list[str] = []
    for round_, answers in enumerate(ANSWERS_BEFORE_THE_KILL):
        answered += answered_before_the_kill(folder, round_, answers)
    events = [event for _, event in await read_all(world, folder)]
    names = Counter(event.scope for event in events if isinstance(event, PauseChanged))
    fills = Counter(event.trade_id for event in events if isinstance(event, Fill))
    assert set(answered) <= names.keys()
    assert set(names.values()) == {1}
    assert fills == names, "an append is there wholly or not at all"
    starts = [event.generation for event in events if isinstance(event, GenerationStarted)]
    assert starts == list(range(1, len(ANSWERS_BEFORE_THE_KILL) + 1))
    by_room = Counter(name.rpartition("/")[0] for name in names)
    for room, count in by_room.items():
        assert all(f"{room}/{n}" in names for n in range(1, count + 1)), f"a gap in what {room} appended"
    async with open_record(world, folder) as record:
        report = await record.verify()
    assert report.ok and report.rows == len(events)
    assert report.anchored is not None and 0 < report.anchored.sequence <= report.head.sequence
