"""The canary, over real processes: what blocks there would block the tests here."""

from __future__ import annotations

import signal

import pytest
import trio

from tbot_actors.world import EXIT_BLOCKED, Output, SystemProcesses, canary
from tbot_actors.world.processes import Process

PROCESSES = SystemProcesses()
pytestmark = pytest.mark.processes

CAGE = """
import sys, time, trio
from tbot_actors.world import canary

def busy(for_s):
    until_s = time.monotonic() + for_s
    while time.monotonic() < until_s:
        pass

def tell(blocked):
    print("told", time.monotonic() - began_s, blocked.fatal, "in busy" in blocked.stack, flush=True)

async def main():
    global began_s
    with canary({options}):
        await trio.sleep(0.2)
        began_s = time.monotonic()
        {do}
    print("over", flush=True)

trio.run(main)
"""


def cage(do: str, options: str = "report=tell") -> Process:
    argv = [PROCESSES.python(), "-c", CAGE.format(do=do, options=options)]
    return PROCESSES.spawn(argv, stdout=Output.PIPE, stderr=Output.PIPE)


async def told(process: Process) -> tuple[int, list[list[str]], str]:
    assert process.stdout is not None
    assert process.stderr is not None
    with trio.fail_after(30):
        lines = [line.decode().split() async for line in process.stdout]
        errors = b"\n".join([line async for line in process.stderr]).decode()
        return await process.wait(), lines, errors


async def test_a_blocked_loop_is_noticed_within_250_ms_with_the_culprits_stack_and_once() -> None:
    # The least of three: this machine may be busy, and the canary does not count time in which it did not run.
    delays_s = []
    for _ in range(3):
        status, lines, _ = await told(cage("busy(0.6); await trio.sleep(0.2)"))
        assert status == 0
        assert [line[0] for line in lines] == ["told", "over"]
        assert lines[0][2:] == ["False", "True"]
        delays_s.append(float(lines[0][1]))
    assert min(delays_s) <= 0.25


async def test_a_second_blockage_is_told_again() -> None:
    _, lines, _ = await told(cage("busy(0.5); await trio.sleep(0.2); busy(0.5)"))
    assert [line[0] for line in lines] == ["told", "told", "over"]


async def test_a_loop_that_stays_blocked_ends_the_process_with_a_status_of_its_own() -> None:
    status, lines, errors = await told(cage("busy(30)", "report=tell, aborts_after_s=0.6"))
    assert status == EXIT_BLOCKED == 70
    assert [line[2:] for line in lines] == [["False", "True"], ["True", "True"]]
    assert "event loop blocked for" in errors
    assert "in busy" in errors


async def test_a_report_that_hangs_does_not_keep_the_process_alive() -> None:
    hangs = "report=lambda blocked: busy(30), aborts_after_s=0.5"
    status, _, errors = await told(cage("time.sleep(30)", hangs))
    assert status == EXIT_BLOCKED
    assert "time.sleep" in errors or "in main" in errors


async def test_by_default_it_is_logged() -> None:
    _, lines, _ = await told(cage("busy(0.5)", ""))
    text = " ".join(" ".join(line) for line in lines)
    assert "event loop blocked" in text
    assert "in busy" in text


async def test_a_process_that_was_stopped_as_a_whole_is_not_taken_for_blocked() -> None:
    process = cage("print('up', flush=True); await trio.sleep(0.6)", "report=tell, aborts_after_s=0.3")
    assert process.stdout is not None
    with trio.fail_after(30):
        assert await anext(process.stdout) == b"up"
    PROCESSES.send_signal(process.pid, signal.SIGSTOP)
    await trio.sleep(1.0)
    PROCESSES.send_signal(process.pid, signal.SIGCONT)
    status, lines, _ = await told(process)
    assert (status, lines) == (0, [["over"]])


async def test_it_needs_time_to_notice_anything() -> None:
    with pytest.raises(ValueError, match=r"at least 0\.2 s"), canary(notices_after_s=0.1):
        pass
