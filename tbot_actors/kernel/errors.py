"""What can go wrong when actors talk, one class per reaction of the caller."""

from __future__ import annotations

from collections.abc import Iterable
from traceback import format_exception
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tbot_actors.kernel.budget import Crash
    from tbot_actors.kernel.notices import ExitReason


class KernelError(Exception):
    """Root of everything the kernel raises to its callers."""


class MailboxFull(KernelError):
    """No room for this class of message. The message was not taken; try later, or give up."""

    def __init__(self, path: str, message_type: type, room: int) -> None:
        super().__init__(f"{path}: no room for {message_type.__name__} (at most {room} waiting)")
        self.path = path
        self.message_type = message_type
        self.room = room


class Stopped(KernelError):
    """The target was stopped while a `send` waited for room, or before. The message was not taken."""

    def __init__(self, path: str) -> None:
        super().__init__(f"{path} is stopped")
        self.path = path


class NotHandled(KernelError):
    """An `ask` for a type of message that the target has no handler for."""

    def __init__(self, path: str, message_type: type) -> None:
        super().__init__(f"{path} has no handler for {message_type.__name__}")
        self.path = path
        self.message_type = message_type


class AskTimeout(KernelError):
    """No reply in time. A question still queued was withdrawn first; one in hand may still take effect."""

    def __init__(self, path: str, message_type: type, timeout_s: float, *, in_hand: bool) -> None:
        where = "in hand" if in_hand else "still queued, withdrawn"
        super().__init__(f"{path} did not answer {message_type.__name__} within {timeout_s} s ({where})")
        self.path = path
        self.timeout_s = timeout_s
        self.in_hand = in_hand


class ActorDown(KernelError):
    """The callee died with the question in hand, or is gone for good: there will be no reply."""

    def __init__(self, path: str, reason: ExitReason, error: BaseException | None = None) -> None:
        tail = f": {error!r}" if error is not None else ""
        super().__init__(f"{path} is down ({reason.value}){tail}")
        self.path = path
        self.reason = reason
        self.error = error


class AskCycle(KernelError):
    """Asking would wait for an actor that, directly or not, waits for the asker."""

    def __init__(self, paths: Iterable[str]) -> None:
        self.paths = tuple(paths)
        super().__init__("ask cycle: " + " -> ".join(self.paths))


class UnknownPath(KernelError):
    """No actor or branch has this path; the message lists what exists."""

    def __init__(self, path: str, known: Iterable[str]) -> None:
        self.path = path
        self.known = tuple(sorted(known))
        super().__init__(f"no {path!r} here; there are: {', '.join(self.known) or 'none'}")


class PathTaken(KernelError):
    """A child of that name exists already in the branch."""

    def __init__(self, path: str) -> None:
        super().__init__(f"{path} exists already; stop it first, or choose another name")
        self.path = path


class NotReady(KernelError):
    """`wait_ready` ran out of time, or waits for an actor that is gone; says what each one is doing."""

    def __init__(self, waiting: dict[str, str]) -> None:
        self.waiting = waiting
        super().__init__("not ready: " + "; ".join(f"{path} ({state})" for path, state in waiting.items()))


class StartTimeout(KernelError):
    """`started()` did not return within `Child.start_s`; counts as a failed start."""

    def __init__(self, path: str, start_s: float) -> None:
        super().__init__(f"{path}: started() did not return within {start_s} s")
        self.path = path
        self.start_s = start_s


class Unavailable(Exception):
    """Raised by an actor while something outside is down.

    An outage is a state, not a crash: the actor is started again with the backoff of its branch and the restart budget
    is not spent. `Child.outage_max_s` bounds the whole outage.
    """


class RestartLimitExceeded(KernelError):
    """A restart budget, or the bound of an outage, is spent. One leaf exception with the crashes that spent it."""

    def __init__(self, path: str, history: Iterable[Crash], why: str = "restart limit reached") -> None:
        self.path = path
        self.history = tuple(history)
        self.why = why
        lines = [f"{path or 'root'}: {why}"]
        lines += [f"  {crash.path}#{crash.incarnation}: {crash.error!r}" for crash in self.history]
        super().__init__("\n".join(lines))


class Trace:
    """A traceback for the log: rendered only if the entry is, and without the values of variables: maybe secrets."""

    def __init__(self, error: BaseException) -> None:
        self._error = error

    def __repr__(self) -> str:
        return "".join(format_exception(self._error))
