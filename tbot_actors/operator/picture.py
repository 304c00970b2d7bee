"""What is shown: a replica of the bot's state, folded from the journal and from what the console hears. No I/O."""

from collections import deque
from collections.abc import Mapping
from decimal import Decimal

from attrs import define, field, frozen

from tbot_actors.domain.blotter import Blotter
from tbot_actors.domain.events import (
    DecisionDenied,
    Event,
    Fill,
    GenerationStarted,
    InstrumentDefined,
    OrderCommitted,
    PauseChanged,
    Reconciled,
)
from tbot_actors.domain.instruments import Instrument, InstrumentId
from tbot_actors.domain.market import Quote
from tbot_actors.domain.messages import Balance, PortfolioState
from tbot_actors.domain.view import NOT_RECONCILED, with_pause
from tbot_actors.kernel import State, TreeSnapshot
from tbot_actors.operator.history import History
from tbot_actors.operator.sentences import sentence

LINES_KEPT = 200
NOTABLE_KEPT = 20
TEXT_MAX = 500
NOTABLE = frozenset({"LatchChanged", "OrderLost", "OrderRejected", "PauseChanged", "Restart", "Mismatch"})
"""Kinds of lines that a busy strategy's orders must not push out of sight."""


@frozen
class Line:
    """One event as a person reads it."""

    place: tuple[int, int]
    """Orders lines, also over restarts of the console: journal sequence, and the wall time of what is not journaled."""
    stamp_ns: int
    kind: str
    """Name of the event's class; `Mismatch` for a reconcile that found one, `Restart` for what the tree shows."""
    text: str


def one_line(text: str) -> str:
    """As a terminal can be given it: what a venue or an exception says may hold line ends and control characters."""
    cut = text if len(text) <= TEXT_MAX else f"{text[:TEXT_MAX]}…"
    return "".join(letter if letter.isprintable() else " " for letter in cut)


@define
class Picture:
    """Everything a screen shows; prices and books as they were last heard."""

    generation: int = 0
    mode: str = ""
    account: str = ""
    started_ns: int = 0
    """Wall time of this process start."""
    now_ns: int = 0
    """Wall time at which this is shown."""
    orders: int = 0
    """Committed since this process started; so are fills and denied."""
    fills: int = 0
    denied: int = 0
    whole: bool = False
    """The journal has been read; before that it shows some earlier moment."""
    sequence: int = 0
    """Of the last journal event in it."""
    blotter: Blotter = field(factory=Blotter)
    barred: Mapping[str, tuple[str, ...]] = field(factory=lambda: NOT_RECONCILED)
    """Why no new risk is taken, by scope; empty while trading."""
    instruments: dict[InstrumentId, Instrument] = field(factory=dict)
    quotes: dict[InstrumentId, Quote] = field(factory=dict)
    books: PortfolioState | None = None
    equity: History = field(factory=History)
    """Since this console started."""
    balances: dict[str, dict[str, Balance]] = field(factory=dict)
    """By venue and asset, as the venue last told."""
    lines: deque[Line] = field(factory=lambda: deque(maxlen=LINES_KEPT))
    """The newest events of this process start."""
    notable: deque[Line] = field(factory=lambda: deque(maxlen=NOTABLE_KEPT))
    """The newest of them that are worth keeping in sight."""
    _pauses: dict[str, tuple[str, ...]] = field(factory=lambda: dict(NOT_RECONCILED))
    """As told in `lines`."""
    _starts: dict[str, tuple[int, State]] = field(factory=dict)

    def apply(self, sequence: int, event: Event) -> None:
        """Take one journal event in."""
        self.sequence = sequence
        if isinstance(event, GenerationStarted):
            self._start(event)
        elif isinstance(event, OrderCommitted):
            self.orders += 1
        elif isinstance(event, Fill):
            self.fills += 1
        elif isinstance(event, DecisionDenied):
            self.denied += 1
        elif isinstance(event, PauseChanged):
            self.barred = with_pause(self.barred, event)
        elif isinstance(event, InstrumentDefined):
            self.instruments[event.instrument.id] = event.instrument
        client_id = getattr(event, "client_id", None)
        before = None if client_id is None else self.blotter.get(client_id)
        order = self.blotter.apply(event)
        # The same end told by the venue's answer and by its stream is one line; a late fill is a fact of its own.
        if before is not None and before.state.terminal and not isinstance(event, Fill):
            return
        text = sentence(event, order)
        if text and not self._said_before(event):
            kind = "Mismatch" if isinstance(event, Reconciled) and not event.clean else type(event).__name__
            self._keep((sequence, 0), event.stamp_ns, kind, text)

    def _said_before(self, event: Event) -> bool:
        """Whether a pause is told as it stands: each incarnation of the watchdog states its pauses anew."""
        if not isinstance(event, PauseChanged):
            return False
        said = self._pauses.get(event.scope, ())
        self._pauses[event.scope] = event.causes
        return said == event.causes

    def _keep(self, place: tuple[int, int], stamp_ns: int, kind: str, text: str) -> None:
        line = Line(place, stamp_ns, kind, one_line(text))
        self.lines.append(line)
        if line.kind in NOTABLE:
            self.notable.append(line)

    def _start(self, event: GenerationStarted) -> None:
        self.generation, self.mode, self.account = event.generation, event.mode, event.account
        self.started_ns = event.stamp_ns
        self.barred = NOT_RECONCILED
        self.orders = self.fills = self.denied = 0
        self.lines.clear()
        self.notable.clear()
        self._pauses = dict(NOT_RECONCILED)

    def hear_books(self, books: PortfolioState) -> None:
        """Take the newest books in."""
        self.books = books
        self.equity.add(books.stamp_ns, books.equity)

    def hear_balances(self, venue: str, balances: Mapping[str, Balance]) -> None:
        """Take the assets in of which the venue told."""
        self.balances.setdefault(venue, {}).update(balances)

    def see(self, tree: TreeSnapshot, now_ns: int) -> None:
        """Look at the tree: what has started anew or gone since the last look becomes a line."""
        self.now_ns = now_ns
        for node in tree:
            if node.children:
                continue
            known = self._starts.get(node.path)
            self._starts[node.path] = (node.incarnation, node.state)
            if known is None:
                continue
            incarnation, state = known
            why = "" if node.last_error is None else f": {node.last_error}"
            if node.state is State.GONE and state is not State.GONE:
                self._say(f"{node.path} is off and will not be started again{why}")
            elif node.incarnation > max(1, incarnation):
                self._say(f"{node.path} started again, start {node.incarnation}{why}")

    def _say(self, text: str) -> None:
        self._keep((self.sequence, self.now_ns), self.now_ns, "Restart", text)

    @property
    def tick(self) -> Mapping[InstrumentId, Decimal]:
        """Price grids of the instruments that are known."""
        return {name: instrument.tick for name, instrument in self.instruments.items()}
