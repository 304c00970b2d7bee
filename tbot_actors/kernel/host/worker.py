"""The worker's half of a process-hosted actor: a plain object with plain methods, in a process of its own.

    VOCABULARY = Vocabulary(Order, Receipt)

    class Clerk(Worker):
        vocabulary = VOCABULARY

        @answers(Order)
        def on_order(self, order: Order) -> Receipt: ...

No trio here, no mailbox and no clock: one request at a time, its return value is the answer, and what it raises ends
the process and crashes the host's actor, traceback and all. Imports nothing heavy, and neither should a worker.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections import deque
from collections.abc import Callable, Mapping
from traceback import format_exception
from types import ModuleType
from typing import Any, ClassVar, Protocol, TypeVar

import msgspec

from tbot_actors.kernel.host.frames import BadFrame, Frame, FrameCutter, FrameKind, frame
from tbot_actors.kernel.host.vocabulary import Vocabulary

__all__ = ["Failure", "Order", "Servant", "Worker", "answers", "load_worker", "serve"]

F = TypeVar("F", bound=Callable[..., Any])

TRACE_MAX_CHARACTERS = 16_000

_MARK = "_worker_answers"


class Order(msgspec.Struct, frozen=True):
    """Payload of START."""

    worker: str
    """`module:Class` or `path/to/file.py:Class`."""
    argument: bytes


class Failure(msgspec.Struct, frozen=True):
    """Payload of FAILED."""

    kind: str
    text: str
    trace: str


def answers(request: type) -> Callable[[F], F]:
    """Declare `def on_x(self, request)` as what answers exactly `request`."""

    def mark(function: F) -> F:
        setattr(function, _MARK, (*getattr(function, _MARK, ()), request))
        return function

    return mark


class Worker:
    """Subclass it. It is made afresh in a fresh process for every incarnation of its host."""

    vocabulary: ClassVar[Vocabulary] = Vocabulary()
    """The same object, or an equal one, that the host's class has."""

    table: ClassVar[Mapping[type, Callable[[Any, Any], Any]]] = {}
    """Built when the class is defined."""

    def started(self, argument: bytes) -> None:
        """The first call, with what the host hands over. Raising is a failed start."""

    def stopping(self) -> None:
        """The last call on an orderly stop; never after a crash."""

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        cls.table = {
            request: member
            for owner in reversed(cls.__mro__)
            for member in vars(owner).values()
            for request in getattr(member, _MARK, ())
        }


class BlockingWire(Protocol):
    """What the servant speaks through (world/child/wire.py)."""

    def receive(self) -> bytes:
        """The next bytes; none at the end."""
        ...

    def send(self, data: bytes) -> bool:
        """Send all; False at the end."""
        ...


class Servant:
    """The protocol of a worker without its input and output: bytes in, bytes out."""

    def __init__(self, report: Any, load: Callable[[str], type[Worker]]) -> None:
        self._report = report
        self._load = load
        self._cutter = FrameCutter()
        self._control: deque[Frame] = deque()
        self._data: deque[Frame] = deque()
        self._worker: Worker | None = None
        self.done = False
        """Nothing more will be answered."""

    def take(self, data: bytes) -> None:
        """Bytes have come. Raises BadFrame."""
        for each in self._cutter.feed(data):
            (self._control if each[0].control else self._data).append(each)

    def step(self) -> bytes | None:
        """Serve one frame, control first, and return what to send; None when there is none."""
        if self.done or not (self._control or self._data):
            return None
        kind, number, payload = (self._control or self._data).popleft()
        try:
            return self._answer(kind, number, payload)
        except BaseException as error:  # noqa: BLE001, ASYNC103 (even SystemExit is a crash, told to the host; no trio here)
            self.done = True
            trace = "".join(format_exception(error))[-TRACE_MAX_CHARACTERS:]
            text = str(error)[:TRACE_MAX_CHARACTERS]
            failure = Failure(type(error).__name__, text, trace)
            return frame(FrameKind.FAILED, number, msgspec.msgpack.encode(failure))  # noqa: ASYNC104 (as above)

    def _answer(self, kind: FrameKind, number: int, payload: bytes) -> bytes:
        worker = self._worker
        if kind is FrameKind.DATA and worker is not None:
            request = worker.vocabulary.decode(payload)
            answer = worker.table[type(request)](worker, request)
            return frame(FrameKind.ANSWER, number, worker.vocabulary.encode(answer))
        if kind is FrameKind.CHECK:
            return frame(FrameKind.CHECKED, number)
        if kind is FrameKind.START and worker is None:
            order = msgspec.msgpack.decode(payload, type=Order)
            worker = self._worker = self._load(order.worker)()
            worker.started(order.argument)
            return frame(FrameKind.STARTED, number, msgspec.msgpack.encode(self._report))
        if kind is FrameKind.STOP:
            self.done = True
            if worker is not None:
                worker.stopping()
            return frame(FrameKind.STOPPED, number)
        raise BadFrame(f"{kind.name} cannot come now")


def serve(wire: BlockingWire, report: Any) -> None:
    """The loop of a worker's process: until its host is gone or it is told to stop."""
    servant = Servant(report, load_worker)
    while not servant.done:
        data = wire.receive()
        if not data:
            return
        servant.take(data)
        while (answer := servant.step()) is not None:
            if not wire.send(answer):
                return


def load_worker(where: str) -> type[Worker]:
    """The class at `module:Class` or `path/to/file.py:Class`. Raises ImportError, AttributeError, TypeError."""
    module, _, name = where.rpartition(":")
    found = getattr(_load_file(module) if module.endswith(".py") else importlib.import_module(module), name)
    if not (isinstance(found, type) and issubclass(found, Worker)):
        raise TypeError(f"{where} is no Worker")
    return found


def _load_file(path: str) -> ModuleType:
    name = f"tbot_worker:{path}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    # Known by its name before it runs: annotations written as texts are looked up there.
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
