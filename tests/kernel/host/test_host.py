"""Real worker processes: whatever ends one is a crash like any other, its mail is accounted for, and none is left."""

from __future__ import annotations

import os
import random
import signal
from pathlib import Path

import pytest
import structlog
import trio

from tbot_actors.kernel import ActorDown, Address, AskTimeout, Child, System
from tbot_actors.kernel.host import WorkerDied, WorkerFailed, WorkerGarbage, WorkerHung, WorkerRaised, WorkerTooBig
from tbot_actors.world import SystemProcesses
from tests.kernel.host.echo import Facts, Misbehave, Price, Said, Say
from tests.kernel.host.rig import (
    HERE,
    Host,
    PidWanted,
    a_bot,
    alive,
    children,
    host,
    hosting,
    restarted,
    shorter,
    until,
)

pytestmark = pytest.mark.processes


async def facts(system: System, path: str = "host") -> dict[str, object]:
    answer = await system.directory[path].ask(Misbehave("facts"), timeout_s=10)
    assert isinstance(answer, Facts)
    return answer.values


async def test_an_ask_is_answered_by_the_worker() -> None:
    async with hosting(host()) as system:
        assert await system.directory["host"].ask(Say("hello"), timeout_s=10) == Said("hello", 0)
        assert await system.directory["host"].ask(Say("again"), timeout_s=10) == Said("again", 1)


async def test_the_worker_is_light_and_knows_only_what_it_was_given() -> None:
    async with hosting(host(argument=b"a word")) as system:
        found = await facts(system)
        pid = found["pid"]
        assert isinstance(pid, int)
        resident = resident_bytes(pid)
    assert found["argument"] == "a word"
    assert found["parent"] == os.getpid()
    assert found["group"] == pid != os.getpgrp()
    assert {"trio", "httpx", "structlog", "sqlite3"}.isdisjoint(found["modules"])  # type: ignore[arg-type]
    assert set(found["environment"]) == {  # type: ignore[call-overload]
        "LANG", "MKL_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "PATH", "TZ",
    } | ({"LD_LIBRARY_PATH"} & set(os.environ))  # fmt: skip
    assert resident < 30 << 20


@pytest.mark.parametrize(
    ("how", "error"),
    [
        ("raise_it", WorkerRaised),
        ("leave", WorkerRaised),
        ("vanish", WorkerDied),
        ("spin", WorkerHung),
        ("hang", WorkerHung),
        ("garbage", WorkerGarbage),
        ("oversize", WorkerGarbage),
        ("other_number", WorkerGarbage),
        ("twice", WorkerGarbage),
        ("wrong_class", WorkerGarbage),
        ("too_long", WorkerRaised),
    ],
)
async def test_a_worker_that_fails_is_a_crash_and_its_mail_is_accounted_for(
    how: str, error: type[WorkerFailed]
) -> None:
    async with hosting(host()) as system:
        address = system.directory["host"]
        before = await address.ask(PidWanted(), timeout_s=10)
        address.tell(Misbehave(how))
        for number in range(5):
            address.tell(Say(str(number)))
        assert isinstance(await restarted(system), error)
        # Queued mail was kept; the message in hand is a dead letter, and is not handed to the next worker.
        assert await address.ask(Say("after"), timeout_s=10) == Said("after", 5)
        assert [letter.message for letter in system.dead_letters.recent()] == [Misbehave(how)]
        numbers = address.statistics()
        assert numbers.in_hand_at_crash == 1
        assert numbers.told == numbers.handled + numbers.in_hand_at_crash + numbers.depth
        assert not alive(before)


async def test_a_worker_killed_from_outside_is_a_crash_also_when_it_is_idle() -> None:
    async with hosting(host()) as system:
        pid = await system.directory["host"].ask(PidWanted(), timeout_s=10)
        os.kill(pid, signal.SIGKILL)
        error = await restarted(system)
        assert isinstance(error, WorkerDied)
        assert error.status == -signal.SIGKILL
        assert await system.directory["host"].ask(Say("x"), timeout_s=10) == Said("x", 0)


async def test_a_worker_that_grows_beyond_its_limit_is_killed() -> None:
    async with hosting(host(limits=shorter(memory_max_bytes=64 << 20, request_s=20.0))) as system:
        system.directory["host"].tell(Misbehave("grow", 1 << 20))
        error = await restarted(system)
        assert isinstance(error, WorkerTooBig)
        assert error.held_bytes > 64 << 20


async def test_a_worker_that_grows_at_once_meets_its_own_limit() -> None:
    async with hosting(host(limits=shorter(memory_max_bytes=64 << 20, request_s=20.0))) as system:
        system.directory["host"].tell(Misbehave("grow", 2 << 30))
        error = await restarted(system)
        assert isinstance(error, WorkerRaised)
        assert error.failure.kind == "MemoryError"


async def test_an_exception_comes_with_the_traceback_of_its_process() -> None:
    async with hosting(host()) as system:
        with pytest.raises(ActorDown) as down:
            await system.directory["host"].ask(Misbehave("raise_it"), timeout_s=10)
        assert isinstance(down.value.error, WorkerRaised)
        assert down.value.error.failure.kind == "ValueError"
        assert "in raise_it" in str(down.value.error)
        assert "a hook failed" in str(down.value.error)


async def test_an_answer_sent_before_the_end_is_delivered() -> None:
    async with hosting(host()) as system:
        said = await system.directory["host"].ask(Misbehave("answer_and_vanish", 5), timeout_s=10)
        assert said == Said("last words", 0)
        error = await restarted(system)
        assert isinstance(error, WorkerDied)
        assert error.status == 5


async def test_a_failing_start_is_told_with_its_traceback() -> None:
    starts = iter([b"raise", b""])
    async with hosting(Child("host", Host, lambda: Host(argument=next(starts)))) as system:
        error = system.directory["host"]._cell.last_error
        assert isinstance(error, WorkerRaised)
        assert error.failure.text == "no start today"
        assert system.snapshot()["host"].incarnation == 2


async def test_while_the_worker_is_busy_prices_conflate_here_one_per_product() -> None:
    async with hosting(host()) as system:
        address = system.directory["host"]
        # The first keeps the worker busy for 200 ms; of the others only the newest of each product is left then.
        address.tell(Price("a", 0))
        await until(lambda: address.statistics().depth == 0)
        for value in range(1, 500):
            address.tell(Price("a", value))
            address.tell(Price("b", value))
        found = await facts(system)
        assert found["prices"] == [["a", 0], ["a", 499], ["b", 499]]
        assert address.statistics().dropped == 2 * 498


async def test_a_hung_worker_is_noticed_when_nobody_asks_it_anything() -> None:
    async with hosting(host(limits=shorter(idle_check_s=0.1, request_s=0.3))) as system:
        pid = await system.directory["host"].ask(PidWanted(), timeout_s=10)
        os.kill(pid, signal.SIGSTOP)
        assert isinstance(await restarted(system), WorkerHung)
        await until(lambda: not alive(pid))


async def test_what_it_prints_comes_into_the_log_under_the_actors_name_and_is_bounded() -> None:
    with structlog.testing.capture_logs() as logs:
        async with hosting(host()) as system:
            await system.directory["host"].ask(Misbehave("print_lines", 1000), timeout_s=10)
            await system.directory["host"].ask(Say("x"), timeout_s=10)
            await until(lambda: any(entry.get("text") == "error" for entry in logs))
    said = [entry for entry in logs if entry["event"] == "worker printed"]
    lines = [entry for entry in said if entry["log_level"] == "info"]
    assert [entry["text"] for entry in lines] == [f"line {number}" for number in range(100)]
    assert (lines[0]["actor"], lines[0]["incarnation"]) == ("host", 1)
    assert [entry["text"] for entry in said if entry["log_level"] == "warning"] == ["error"]
    assert [entry["lines_dropped"] for entry in logs if entry["event"] == "worker printed more"] == [900]


async def test_an_orderly_stop_lets_the_worker_end_by_itself() -> None:
    with structlog.testing.capture_logs() as logs:
        async with hosting(host()) as system:
            pid = await system.directory["host"].ask(PidWanted(), timeout_s=10)
    assert not alive(pid)
    assert [entry for entry in logs if entry["log_level"] in {"warning", "error"}] == []


@pytest.mark.slow
async def test_fifty_random_kills_leave_no_orphan_and_nothing_unaccounted() -> None:
    dice = random.Random(3)
    pids: set[int] = set()
    names = [f"host{number}" for number in range(4)]
    async with hosting(*(host(name) for name in names)) as system:
        for kill in range(50):
            path = dice.choice(names)
            address = system.directory[path]
            for number in range(dice.randrange(4)):
                address.tell(Say(str(number)))
            match dice.randrange(3):
                case 0:
                    system.crash(path, RuntimeError(f"kill {kill}"))
                case 1:
                    address.tell(Misbehave("vanish"))
                case _:
                    # It may have ended since, by the crash ordered before.
                    SystemProcesses().send_signal(await pid_of(address), signal.SIGKILL)
            pids |= children()
            await trio.lowlevel.checkpoint()
        await until(lambda: len(children()) == len(names) and all(settled(system, path) for path in names))
        pids |= children()
        for path in names:
            numbers = system.directory[path].statistics()
            assert numbers.told == numbers.handled + numbers.in_hand_at_crash + numbers.dropped + numbers.withdrawn
    await until(lambda: not any(map(alive, pids)))
    assert len(pids) > 20
    assert children() == set()


async def test_an_ask_that_times_out_leaves_the_worker_at_work() -> None:
    async with hosting(host()) as system:
        address = system.directory["host"]
        address.tell(Price("a", 0))
        with pytest.raises(AskTimeout):
            await address.ask(Say("late"), timeout_s=0.05)
        assert await address.ask(Say("next"), timeout_s=10) == Said("next", 0)
        assert system.snapshot()["host"].incarnation == 1


BOT = """
import sys, trio
sys.path.insert(0, {root!r})
from tests.kernel.host.rig import *
from tests.kernel.host.echo import Misbehave

async def main():
    async with hosting(host(limits=shorter(request_s=60.0))) as system:
        print(await system.directory["host"].ask(PidWanted(), timeout_s=10), flush=True)
        system.directory["host"].tell(Misbehave("{doing}"))
        await trio.sleep_forever()

import logging, structlog
structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
trio.run(main)
"""


@pytest.mark.parametrize("doing", ["facts", "spin", "hang"])
async def test_a_worker_dies_with_its_bot(doing: str) -> None:
    code = BOT.format(root=str(HERE.parents[2]), doing=doing)
    with a_bot(code) as bot:
        worker = int(await anext(bot.lines))
        assert alive(worker)
        bot.kill()
        await until(lambda: not alive(worker), within_s=5)


@pytest.mark.slow
async def test_a_worker_outlives_the_idle_threads_of_trio() -> None:
    # A fork from one of trio's worker threads dies with that thread, ten idle seconds later (DESIGN §2).
    async with hosting(host(limits=shorter(idle_check_s=3.0))) as system:
        pid = await system.directory["host"].ask(PidWanted(), timeout_s=10)
        await trio.to_thread.run_sync(int)
        await trio.sleep(11.5)
        assert alive(pid)
        assert system.snapshot()["host"].incarnation == 1


@pytest.mark.soak
async def test_a_worker_is_alive_after_a_minute_without_work() -> None:
    async with hosting(host()) as system:
        pid = await system.directory["host"].ask(PidWanted(), timeout_s=10)
        await trio.sleep(60)
        assert await system.directory["host"].ask(PidWanted(), timeout_s=10) == pid
        assert system.snapshot()["host"].incarnation == 1


async def pid_of(address: Address) -> int:
    """Of its process; asked again when the one that was asked is killed over it."""
    while True:
        try:
            pid: int = await address.ask(PidWanted(), timeout_s=20)
        except ActorDown:
            continue
        return pid


def settled(system: System, path: str) -> bool:
    """It is ready, has no mail, and its supervisor has been told of every end of a process."""
    address = system.directory[path]
    return address.ready and address.statistics().depth == 0 and not system.snapshot()[path].busy_for_ns


def resident_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
