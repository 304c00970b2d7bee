"""What the supervision tree shows: who does not get on, which venue is out of reach, whether the core is up. Pure.

Progress, not existence: an actor that lives and answers nothing is what nobody sees (Lean.Tastytrade #31: six days).
"""

from collections.abc import Iterator, Mapping

from tbot_actors.domain.latch import ACCOUNT
from tbot_actors.domain.messages import Cause
from tbot_actors.kernel import NodeSnapshot, State, TreeSnapshot

_AT_WORK = (State.RUNNING, State.READY)
_NOT_TRADING = ("operator",)
_CORE = ("core", "journal")


def found_in(tree: TreeSnapshot, stalled_ns: int) -> Mapping[tuple[Cause, str], str]:
    """The causes that the tree shows, details by cause and scope."""
    found: dict[tuple[Cause, str], str] = {}
    for node in _actors(tree):
        if _stalled(node, tree.at_ns, stalled_ns):
            key = (Cause.NO_PROGRESS, scope_of(node.path))
            detail = (
                f"{node.path}: {node.depth} waiting, no progress for {(tree.at_ns - node.last_progress_ns) // 10**9} s"
            )
            found[key] = f"{found[key]}; {detail}" if key in found else detail
        if node.state is State.OUTAGE and node.path.endswith("/gateway"):
            found[Cause.VENUE_OUTAGE, scope_of(node.path)] = node.last_error or "the venue is out of reach"
    return found


def core_is_up(tree: TreeSnapshot) -> bool:
    """Whether every actor of the core, and the journal, is at work."""
    return all(node.state in _AT_WORK for node in _actors(tree) if branch_of(node.path) in _CORE)


def is_core(path: str) -> bool:
    """Whether trading cannot go on without this part of the tree."""
    return branch_of(path) in _CORE


def branch_of(path: str) -> str:
    """The top branch of a path."""
    return path.partition("/")[0]


def scope_of(path: str) -> str:
    """Whom a stalled actor concerns: its venue, its strategy, or everybody."""
    branch, _, rest = path.partition("/")
    name = rest.partition("/")[0]
    if branch == "venues" and name:
        return f"venue:{name}"
    if branch == "strategies" and name:
        return f"strategy:{name}"
    return ACCOUNT


def _actors(tree: TreeSnapshot) -> Iterator[NodeSnapshot]:
    return (node for node in tree if not node.children and branch_of(node.path) not in _NOT_TRADING)


def _stalled(node: NodeSnapshot, now_ns: int, stalled_ns: int) -> bool:
    if node.state not in _AT_WORK or now_ns - node.last_progress_ns <= stalled_ns:
        return False
    return node.oldest_waiting_ns > stalled_ns or node.busy_for_ns > stalled_ns
