"""How a worker can fail. Each is a crash of its host's actor, and its restart a fresh process."""

from __future__ import annotations

from tbot_actors.kernel.errors import KernelError
from tbot_actors.kernel.host.worker import Failure

__all__ = ["WorkerDied", "WorkerFailed", "WorkerGarbage", "WorkerHung", "WorkerRaised", "WorkerTooBig"]


class WorkerFailed(KernelError):
    """Root of them."""


class WorkerDied(WorkerFailed):
    """Its process ended."""

    def __init__(self, path: str, status: int | None) -> None:
        self.path = path
        self.status = status
        super().__init__(f"{path}: the worker's process ended ({_in_words(status)})")


class WorkerHung(WorkerFailed):
    """No answer within the time a request may take: it waits, or computes, without end. It was killed."""

    def __init__(self, path: str, what: str, timeout_s: float) -> None:
        self.path = path
        self.timeout_s = timeout_s
        super().__init__(f"{path}: the worker did not answer {what} within {timeout_s} s and was killed")


class WorkerTooBig(WorkerFailed):
    """It held more memory than it may. It was killed."""

    def __init__(self, path: str, held_bytes: int, max_bytes: int) -> None:
        self.path = path
        self.held_bytes = held_bytes
        super().__init__(f"{path}: the worker held {held_bytes >> 20} MiB, at most {max_bytes >> 20} MiB are allowed")


class WorkerGarbage(WorkerFailed):
    """It sent what is no answer. It was killed."""

    def __init__(self, path: str, why: str) -> None:
        self.path = path
        super().__init__(f"{path}: the worker sent garbage: {why}")


class WorkerRaised(WorkerFailed):
    """An exception in the worker's own code; the text has the traceback of its process."""

    def __init__(self, path: str, failure: Failure) -> None:
        self.path = path
        self.failure = failure
        super().__init__(f"{path}: the worker raised {failure.kind}: {failure.text}\n{failure.trace}")


def _in_words(status: int | None) -> str:
    if status is None:
        return "no status"
    if status < 0:
        return f"signal {-status}"
    return f"status {status}"
