"""What the fence can hold on this machine, found out by raising one: for `tbot doctor`."""

from __future__ import annotations

from tbot_actors.kernel.actor import Actor, handles
from tbot_actors.kernel.host.link import WorkerLink
from tbot_actors.kernel.specs import Branch, Child, Restart, Strategy
from tbot_actors.kernel.system import open_system
from tbot_actors.world import FenceReport, World

__all__ = ["probe_fence"]

IDLE_WORKER = "tbot_actors.kernel.host.worker:Worker"
PROBE_S = 40.0


class _Probe:
    """Asked: what holds?"""


class _Prober(Actor):
    @handles(_Probe)
    async def on_probe(self, message: _Probe) -> FenceReport:
        return (await WorkerLink.open(self.context, IDLE_WORKER)).fence


async def probe_fence(world: World) -> FenceReport:
    """Start a worker that does nothing, and report what is in force around it.

    Raises ActorDown where no worker can be started at all; its `error` says why. This process's memory is closed to
    others of its user afterwards, as it is with every worker.
    """
    child = Child("probe", _Prober, _Prober, restart=Restart.TEMPORARY)
    async with open_system(Branch("probe", Strategy.ONE_FOR_ONE, (child,)), world) as system:
        report: FenceReport = await system.directory["probe"].ask(_Probe(), timeout_s=PROBE_S)
    return report
