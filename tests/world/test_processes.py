"""Real child processes."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest
import trio

from tbot_actors.world import Output, SystemProcesses, signals

PROCESSES = SystemProcesses()
pytestmark = pytest.mark.processes


def python(code: str) -> list[str]:
    return [PROCESSES.python(), "-c", code]


async def test_a_process_runs_and_its_status_is_waited_for() -> None:
    process = PROCESSES.spawn(python("raise SystemExit(7)"))
    with trio.fail_after(20):
        assert await process.wait() == 7
    assert process.poll() == 7
    process.kill()


async def test_piped_output_comes_line_by_line() -> None:
    process = PROCESSES.spawn(
        python("import sys; print('one\\n'); print('z' * (1 << 20) + 'zz', end=''); print('e', file=sys.stderr)"),
        stdout=Output.PIPE,
        stderr=Output.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    with trio.fail_after(20):
        assert [line async for line in process.stdout] == [b"one", b"", b"z" * (1 << 20), b"zz"]
        assert [line async for line in process.stderr] == [b"e"]
        assert await process.wait() == 0
    await process.stdout.aclose()
    await process.stderr.aclose()


async def test_output_to_a_file_is_appended(tmp_path: Path) -> None:
    for word in ("one", "two"):
        process = PROCESSES.spawn(python(f"print('{word}')"), stdout=tmp_path / "out.log", stderr=Output.DISCARD)
        await process.wait()
    assert (tmp_path / "out.log").read_text() == "one\ntwo\n"


async def test_a_cancelled_wait_leaves_the_process_and_signals_end_it() -> None:
    process = PROCESSES.spawn(python("import time; print('up', flush=True); time.sleep(60)"), stdout=Output.PIPE)
    assert process.stdout is not None
    assert await anext(process.stdout) == b"up"
    with trio.move_on_after(0.02) as scope:
        await process.wait()
    assert scope.cancelled_caught
    assert process.poll() is None
    assert PROCESSES.send_signal(process.pid, 0)
    process.terminate()
    with trio.fail_after(20):
        assert await process.wait() == -signal.SIGTERM
    assert not PROCESSES.send_signal(process.pid, 0)
    await process.stdout.aclose()


async def test_a_detached_process_has_a_session_of_its_own() -> None:
    sessions = []
    for detached in (False, True):
        process = PROCESSES.spawn(python("import os; print(os.getsid(0))"), stdout=Output.PIPE, detached=detached)
        assert process.stdout is not None
        sessions.append(int(await anext(process.stdout)))
        await process.wait()
        await process.stdout.aclose()
    assert sessions[0] == os.getsid(0)
    assert sessions[1] != os.getsid(0)


async def test_spawning_from_another_thread_is_refused() -> None:
    with pytest.raises(AssertionError, match="main thread"):
        await trio.to_thread.run_sync(PROCESSES.spawn, [sys.executable, "-c", ""])


async def test_a_program_that_does_not_exist_is_said_so() -> None:
    with pytest.raises(FileNotFoundError):
        PROCESSES.spawn(["/no/such/program"])


async def test_the_environment_can_be_replaced() -> None:
    code = "import os; print(os.environ.get('A'), 'HOME' in os.environ)"
    process = PROCESSES.spawn(python(code), stdout=Output.PIPE, environment={"A": "b"})
    assert process.stdout is not None
    assert await anext(process.stdout) == b"b False"
    await process.wait()
    await process.stdout.aclose()


async def test_signals_are_received_one_by_one() -> None:
    with signals(signal.SIGHUP, signal.SIGUSR1) as received, trio.fail_after(5):
        PROCESSES.send_signal(PROCESSES.own_pid, signal.SIGUSR1)
        assert await anext(received) == signal.SIGUSR1
        PROCESSES.send_signal(PROCESSES.own_pid, signal.SIGHUP)
        assert await anext(received) == signal.SIGHUP
