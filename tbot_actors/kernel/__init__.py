"""Actors, mailboxes and supervisors on trio. Knows nothing of trading.

class Greeter(Actor):
    @handles(Hello)
    async def on_hello(self, message: Hello) -> str:
        return f"hello {message.name}"

root = Branch("root", Strategy.ONE_FOR_ONE, (Child("greeter", Greeter, Greeter),))
async with open_system(root, world) as system:
    await system.directory["greeter"].ask(Hello("you"), timeout_s=1)
"""

from tbot_actors.kernel.actor import Actor, handles
from tbot_actors.kernel.address import Address, Directory
from tbot_actors.kernel.backoff import Backoff, delays
from tbot_actors.kernel.budget import Crash, RestartLimit
from tbot_actors.kernel.context import Context
from tbot_actors.kernel.dead_letters import DeadLetter, DeadLetterReason, DeadLetters, DeadLetterStream
from tbot_actors.kernel.errors import (
    ActorDown,
    AskCycle,
    AskTimeout,
    KernelError,
    MailboxFull,
    NotHandled,
    NotReady,
    PathTaken,
    RestartLimitExceeded,
    StartTimeout,
    Stopped,
    Unavailable,
    UnknownPath,
)
from tbot_actors.kernel.mailbox import MailboxStatistics
from tbot_actors.kernel.notices import (
    BranchLimitReached,
    ChildExited,
    ChildRestarted,
    DepthAlarm,
    Down,
    ExitReason,
    Outcome,
    Ready,
)
from tbot_actors.kernel.policy import BLOCK, DROP_OLDEST, REJECT, Policy, conflate
from tbot_actors.kernel.snapshot import NodeSnapshot, State, TreeSnapshot
from tbot_actors.kernel.specs import ESCALATE, GONE, Branch, Child, Exhausted, Restart, Strategy, again
from tbot_actors.kernel.system import System, Tree, open_system
from tbot_actors.kernel.timers import Timer
from tbot_actors.kernel.tracing import Traced, TraceOutcome, Tracing

__all__ = [
    "BLOCK",
    "DROP_OLDEST",
    "ESCALATE",
    "GONE",
    "REJECT",
    "Actor",
    "ActorDown",
    "Address",
    "AskCycle",
    "AskTimeout",
    "Backoff",
    "Branch",
    "BranchLimitReached",
    "Child",
    "ChildExited",
    "ChildRestarted",
    "Context",
    "Crash",
    "DeadLetter",
    "DeadLetterReason",
    "DeadLetterStream",
    "DeadLetters",
    "DepthAlarm",
    "Directory",
    "Down",
    "Exhausted",
    "ExitReason",
    "KernelError",
    "MailboxFull",
    "MailboxStatistics",
    "NodeSnapshot",
    "NotHandled",
    "NotReady",
    "Outcome",
    "PathTaken",
    "Policy",
    "Ready",
    "Restart",
    "RestartLimit",
    "RestartLimitExceeded",
    "StartTimeout",
    "State",
    "Stopped",
    "Strategy",
    "System",
    "Timer",
    "TraceOutcome",
    "Traced",
    "Tracing",
    "Tree",
    "TreeSnapshot",
    "Unavailable",
    "UnknownPath",
    "again",
    "conflate",
    "delays",
    "handles",
    "open_system",
]
