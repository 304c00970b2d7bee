"""The world handed to every room, and how the real one is put together."""

from collections.abc import Collection

from attrs import frozen

from tbot_actors.world.clock import Clock, SystemClock
from tbot_actors.world.disk import Disk
from tbot_actors.world.entropy import Entropy, SeededEntropy, system_entropy
from tbot_actors.world.files import Files, SystemFiles
from tbot_actors.world.net import Net, SystemNet
from tbot_actors.world.processes import Processes, SystemProcesses
from tbot_actors.world.sqlite import SystemDisk

__all__ = ["World", "real_world"]


@frozen
class World:
    """Everything outside the bot, as objects handed in; a rehearsal hands in simulated ones, and no room can tell."""

    clock: Clock
    """Ages and stamps."""
    net: Net
    """Connections, to named hosts only."""
    disk: Disk
    """Databases."""
    files: Files
    """The few plain files: state, locks, slots, captured data."""
    processes: Processes
    """Other processes, and this one's own surroundings."""
    entropy: Entropy
    """Named streams of random numbers."""


def real_world(*, hosts: Collection[str], seed: int | None = None) -> World:
    """The world as it is. Connections go to `hosts` (names or addresses) only; the system draws a missing `seed`."""
    return World(
        clock=SystemClock(),
        net=SystemNet(hosts),
        disk=SystemDisk(),
        files=SystemFiles(),
        processes=SystemProcesses(),
        entropy=system_entropy() if seed is None else SeededEntropy(seed),
    )
