"""The fence, tried by a thief: each theft fails where the machine can bar it, and is reported where it cannot."""

from __future__ import annotations

import ctypes
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tbot_actors.kernel import Address
from tbot_actors.kernel.host import probe_fence
from tbot_actors.world import Fence, FenceReport, real_world
from tests.kernel.host.rig import HERE, FenceWanted, ThiefHost, a_bot, alive, host, hosting, until
from tests.kernel.host.thief import Loot, Steal

pytestmark = pytest.mark.processes

SECRET = ctypes.create_string_buffer(b"the key of the account")


@asynccontextmanager
async def thief(*, fenced: bool = True) -> AsyncIterator[tuple[Address, FenceReport]]:
    async with hosting(host("thief", ThiefHost, fenced=fenced)) as system:
        address = system.directory["thief"]
        yield address, await address.ask(FenceWanted(), timeout_s=10)


async def steal(address: Address, what: str, where: object = "") -> str:
    loot = await address.ask(Steal(what, str(where)), timeout_s=10)
    assert isinstance(loot, Loot)
    return loot.got


async def fails(what: str, where: object, *barred_by: Fence) -> None:
    """The theft fails, or the report says that none of what bars it is in force here."""
    async with thief() as (address, report):
        got = await steal(address, what, where)
        if got.startswith("refused"):
            return
        assert not any(report[fence].holds for fence in barred_by), f"{what} got {got}, though\n{report}"
        pytest.skip("; ".join(f"{fence.value}: {report[fence].detail}" for fence in barred_by))


async def test_the_report_names_every_part_of_the_fence_and_what_is_missing() -> None:
    async with thief() as (_, report):
        pass
    assert [measure.fence for measure in report.measures] == list(Fence)
    assert report.missing == tuple(measure for measure in report.measures if not measure.holds)
    assert all(measure.detail for measure in report.measures)
    assert report[Fence.ENVIRONMENT].holds
    assert report[Fence.DESCRIPTORS].holds


async def test_the_same_report_can_be_had_without_an_actor_of_ones_own() -> None:
    async with thief() as (_, report):
        pass
    probed = await probe_fence(real_world(hosts=()))
    assert [(each.fence, each.holds) for each in probed.measures] == [
        (each.fence, each.holds) for each in report.measures
    ]


# 1. The environment of the bot


async def test_it_cannot_read_the_environment_of_the_bot() -> None:
    await fails("environment_of_parent", "", Fence.PARENT_MEMORY, Fence.USER, Fence.FILES)


# 2. The memory of the bot


@pytest.mark.parametrize("way", ["memory_of_parent", "memory_by_call", "trace_parent"])
async def test_it_cannot_read_the_memory_of_the_bot(way: str) -> None:
    await fails(way, ctypes.addressof(SECRET), Fence.PARENT_MEMORY, Fence.USER, Fence.FILES, Fence.CALLS)


# 3. Files


async def test_it_cannot_read_the_files_of_the_bot(tmp_path: Path) -> None:
    keys = tmp_path / "keys.toml"
    keys.write_text("secret")
    keys.chmod(0o644)
    await fails("file", keys, Fence.FILES)
    await fails("folder", tmp_path, Fence.FILES)
    await fails("file", HERE / "test_fence.py", Fence.FILES)
    await fails("file", "/etc/passwd", Fence.FILES)


async def test_it_cannot_reach_a_file_by_a_link_and_writes_nowhere(tmp_path: Path) -> None:
    await fails("file", "/proc/self/root/etc/passwd", Fence.FILES)
    await fails("written_file", tmp_path / "made", Fence.FILES)
    await fails("written_file", "/tmp/tbot-thief", Fence.FILES)
    assert not (tmp_path / "made").exists()


# 4. The control socket


async def test_it_cannot_reach_the_control_socket(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "control"))
        server.listen()
        os.chmod(tmp_path / "control", 0o777)
        os.chmod(tmp_path, 0o755)
        await fails("control_socket", tmp_path / "control", Fence.CALLS)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"\0tbot-{os.getpid()}")
        server.listen()
        await fails("abstract_socket", f"tbot-{os.getpid()}", Fence.CALLS, Fence.NETWORK)


# 5. The network


async def test_it_cannot_connect_out() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        await fails("loopback", server.getsockname()[1], Fence.NETWORK, Fence.CALLS)
    await fails("datagram", "", Fence.NETWORK, Fence.CALLS)


# 6. Forging another strategy's identity: tests/strategies/test_hosts.py


# 7. Outliving the bot


@pytest.mark.parametrize("what", ["process", "program", "signal_parent", "slow_parent", "become_root"])
async def test_it_cannot_start_or_touch_other_processes(what: str) -> None:
    await fails(what, "", Fence.CALLS, Fence.USER)


async def test_it_cannot_take_off_what_ties_it_to_the_bot() -> None:
    await fails("outlive", "", Fence.CALLS)


BOT = """
import sys, trio
sys.path.insert(0, {root!r})
import logging, structlog
structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
from tests.kernel.host.rig import *
from tests.kernel.host.thief import Steal

async def main():
    async with hosting(host("thief", ThiefHost, limits=shorter(request_s=60.0))) as system:
        print(await system.directory["thief"].ask(PidWanted(), timeout_s=10), flush=True)
        system.directory["thief"].tell(Steal("outlive_and_spin"))
        await trio.sleep_forever()

trio.run(main)
"""


async def test_a_thief_that_tries_to_outlive_the_bot_dies_with_it() -> None:
    async with thief() as (_, report):
        if not (report[Fence.DEATH].holds and report[Fence.CALLS].holds):
            pytest.skip(f"{report[Fence.DEATH].detail}; {report[Fence.CALLS].detail}")
    with a_bot(BOT.format(root=str(HERE.parents[2]))) as bot:
        worker = int(await anext(bot.lines))
        await until(lambda: _processor_ticks(worker) > 20)
        bot.kill()
        await until(lambda: not alive(worker), within_s=5)


# The control: without the fence a thief gets all of it, so the tests above do not pass by being clumsy.


@pytest.mark.skipif(os.geteuid() != 0, reason="as another user the system's own rights bar some of it")
async def test_without_the_fence_every_theft_succeeds(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("secret")
    with socket.socket(socket.AF_UNIX) as control, socket.create_server(("127.0.0.1", 0)) as server:
        control.bind(str(tmp_path / "control"))
        control.listen()
        async with thief(fenced=False) as (address, report):
            assert len(report.missing) == len(report.measures)
            for what, where in (
                ("environment_of_parent", ""),
                ("memory_of_parent", ctypes.addressof(SECRET)),
                ("memory_by_call", ctypes.addressof(SECRET)),
                ("file", tmp_path / "keys"),
                ("folder", tmp_path),
                ("written_file", tmp_path / "made"),
                ("control_socket", tmp_path / "control"),
                ("loopback", server.getsockname()[1]),
                ("process", ""),
                ("program", ""),
                ("signal_parent", ""),
            ):
                got = await steal(address, what, where)
                assert not got.startswith("refused"), f"{what}: {got}"


def _processor_ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])
