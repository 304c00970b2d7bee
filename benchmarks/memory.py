"""What idle actors weigh, in a process of their own: `python -m benchmarks.memory COUNT` prints MiB."""

from __future__ import annotations

import gc
import sys
from pathlib import Path

import trio

from benchmarks.rounds import quiet_log
from tbot_actors.kernel import Actor, Branch, Child, Strategy, handles, open_system
from tbot_actors.world import real_world


class _Idle(Actor):
    @handles(int)
    async def on_number(self, message: int) -> int:
        return message


def _resident_mib() -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise OSError("no VmRSS in /proc/self/status")


async def _grown_mib(count: int) -> float:
    gc.collect()
    before_mib = _resident_mib()
    children = [Child(f"a{number}", _Idle, _Idle) for number in range(count)]
    async with open_system(Branch("idle", Strategy.ONE_FOR_ONE, children), real_world(hosts=(), seed=1)) as system:
        last = system.directory[f"a{count - 1}"]
        assert await last.ask(1, timeout_s=60) == 1
        return _resident_mib() - before_mib


if __name__ == "__main__":
    quiet_log()
    print(trio.run(_grown_mib, int(sys.argv[1])))
