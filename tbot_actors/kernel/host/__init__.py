"""The process host: an actor whose work is done by a worker in a process of its own, behind a fence.

The supervisor, the mailbox and the accounting are those of any actor; a worker that is killed, hangs, grows too big or
sends garbage is a crash. Workers import from `tbot_actors.kernel.host.worker` and `.vocabulary`, which are light.
"""

from tbot_actors.kernel.host.actor import ProcessActor, forwards
from tbot_actors.kernel.host.errors import (
    WorkerDied,
    WorkerFailed,
    WorkerGarbage,
    WorkerHung,
    WorkerRaised,
    WorkerTooBig,
)
from tbot_actors.kernel.host.frames import FRAME_MAX_BYTES, BadFrame
from tbot_actors.kernel.host.link import HostLimits, WorkerLink
from tbot_actors.kernel.host.probe import probe_fence
from tbot_actors.kernel.host.vocabulary import Vocabulary
from tbot_actors.kernel.host.worker import Worker, answers

__all__ = [
    "FRAME_MAX_BYTES",
    "BadFrame",
    "HostLimits",
    "ProcessActor",
    "Vocabulary",
    "Worker",
    "WorkerDied",
    "WorkerFailed",
    "WorkerGarbage",
    "WorkerHung",
    "WorkerLink",
    "WorkerRaised",
    "WorkerTooBig",
    "answers",
    "forwards",
    "probe_fence",
]
