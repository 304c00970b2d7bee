"""One strategy's session: the books it is judged by, and the hooks it runs. Pure; every host runs this very code.

    happening ──> Books (the actor's) ─────────────────────────┐
        │                                                      ├──> admitted: stamped, pending, sent to risk
        └──> Hooks (beside the strategy, with books of their own) ──> wants

The actor's books are the ones that count. Those beside the hooks are kept by the same functions from the same deltas,
so that a later hook sees what an earlier one wanted; a strategy that tampers with them deceives only itself.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from enum import Enum

from attrs import evolve, frozen

from tbot_actors.domain.blotter import Blotter
from tbot_actors.domain.events import (
    DecisionDenied,
    Event,
    Fill,
    GenerationStarted,
    InstrumentDefined,
    PauseChanged,
    StrategyLearned,
)
from tbot_actors.domain.instruments import InstrumentId
from tbot_actors.domain.intents import Cancel, Intent, Place
from tbot_actors.domain.market import Candle, EventId, MarketTrade, Quote
from tbot_actors.domain.messages import Cause
from tbot_actors.domain.orders import Order
from tbot_actors.domain.view import View, with_event, with_intent, with_quote
from tbot_actors.strategies.api import Strategy, Wanted

INTENTS_MAX = 64
"""More from one hook is a bug of the strategy: it crashes."""

SNAPSHOT_CHARACTERS_MAX = 64 * 1024
"""Names and values together; it is journaled each time it changes."""

_DISCONNECTS = frozenset({Cause.STALE_FEED.value, Cause.STREAM_DOWN.value, Cause.VENUE_OUTAGE.value})


class TooManyIntents(Exception):
    """One hook returned more intents than a strategy may want at once."""


class SnapshotTooLarge(Exception):
    """A strategy wants more kept than it may."""


class Hook(Enum):
    """Which hook wanted something: with what happened, it names the decision."""

    QUOTE = "quote"
    TRADE = "trade"
    CANDLE = "candle"
    TIMER = "timer"
    FILL = "fill"
    ORDER = "order"
    DISCONNECT = "disconnect"
    DISABLED = "disabled"


@frozen
class Delta:
    """One journaled event that concerns the strategy. Numbered, in order, never conflated."""

    sequence: int
    event: Event


@frozen
class Past:
    """Deltas from before the session goes live: folded, no hook is called."""

    deltas: tuple[Delta, ...]


@frozen
class GoLive:
    """The journal is read to its head: take the last snapshot back; from now on hooks are called."""


@frozen
class Second:
    """A second has passed."""

    now_ns: int


Happening = Past | GoLive | Delta | Quote | MarketTrade | Candle | Second


@frozen
class Want:
    """What one hook returned."""

    hook: Hook
    intents: tuple[Intent, ...]
    snapshot: Mapping[str, str] | None = None
    """What the strategy has learned, where that has changed."""


def cause_of(strategy: str, happening: Happening, hook: Hook) -> EventId:
    """The name of what triggered a hook, for ever: with the intent's key it is the identity of one decision."""
    match happening:
        case Delta():
            place = f"j/{happening.sequence}"
            return EventId(place if hook is Hook.FILL else f"{place}/{hook.value}")
        case Quote() | MarketTrade() | Candle():
            return happening.event
        case Second():
            return EventId(f"s/{strategy}/{happening.now_ns}")
        case _:
            raise ValueError(f"{type(happening).__name__} triggers nothing")


def hooks_of(happening: Happening) -> frozenset[Hook]:
    """Which hooks can want something because of it."""
    match happening:
        case Delta():
            return frozenset({Hook.FILL, Hook.ORDER, Hook.DISCONNECT, Hook.DISABLED})
        case Quote():
            return frozenset({Hook.QUOTE})
        case MarketTrade():
            return frozenset({Hook.TRADE})
        case Candle():
            return frozenset({Hook.CANDLE})
        case Second():
            return frozenset({Hook.TIMER})
        case _:
            return frozenset()


class Books:
    """What the strategy may see and has wanted: a fold of the journal, the prices and its own intents."""

    def __init__(self, name: str, capital: Decimal, instruments: Sequence[InstrumentId]) -> None:
        venues = frozenset(instrument.partition(":")[0] for instrument in instruments)
        self.name = name
        self.view = View(strategy=name, capital=capital, venues=venues)
        self.learned: dict[str, str] = {}
        """The last snapshot."""
        self.live = False
        """The journal is read to its head."""
        self.withheld = 0
        """Intents for new risk that was barred anyway."""
        self._blotter = Blotter()

    def fold(self, event: Event) -> Order | None:
        """Take one event in, and return the order it concerns, as it is now."""
        order = self._blotter.apply(event)
        view = with_event(self.view, event, order)
        self.view = evolve(view, now_ns=max(view.now_ns, event.stamp_ns))
        # Live, the newest is what the hooks last said, whatever of it is journaled by now.
        if not self.live and isinstance(event, StrategyLearned) and event.strategy == self.name:
            self.learned = event.snapshot
        return order

    def concerns(self, event: Event, order: Order | None) -> bool:
        """Whether it is any of the strategy's business: what others do is not told to it."""
        if order is not None:
            return order.strategy == self.name
        match event:
            case InstrumentDefined() | GenerationStarted():
                return True
            case PauseChanged():
                kind, _, name = event.scope.partition(":")
                return kind != "strategy" or name == self.name
            case DecisionDenied():
                return event.intent.strategy == self.name
            case StrategyLearned():
                return event.strategy == self.name
            case _:
                return False

    def look(self, happening: Quote | MarketTrade | Candle | Second) -> None:
        """Take the market, or the time, in."""
        if isinstance(happening, Quote):
            self.view = with_quote(self.view, happening)
        elif isinstance(happening, Second):
            self.view = evolve(self.view, now_ns=happening.now_ns)

    def admit(self, cause: EventId, want: Want) -> tuple[Intent, ...]:
        """The intents that go out, pending from now on. Raises TooManyIntents, SnapshotTooLarge.

        New risk that is barred anyway is withheld here and counted: a denial of each, journaled, would say nothing new.
        """
        if len(want.intents) > INTENTS_MAX:
            raise TooManyIntents(f"{self.name} returned {len(want.intents)} intents at once, at most {INTENTS_MAX}")
        if want.snapshot is not None:
            size = sum(len(name) + len(value) for name, value in want.snapshot.items())
            if size > SNAPSHOT_CHARACTERS_MAX:
                text = f"{self.name} wants {size} characters kept, at most {SNAPSHOT_CHARACTERS_MAX}"
                raise SnapshotTooLarge(text)
            self.learned = dict(want.snapshot)
        allowed = tuple(intent for intent in want.intents if self.view.enabled or _lowers_risk(intent))
        self.withheld += len(want.intents) - len(allowed)
        for intent in allowed:
            self.view = with_intent(self.view, cause, intent)
        return allowed


@frozen
class _Call:
    hook: Hook
    call: Callable[[Strategy, View], Wanted]


class Hooks:
    """A strategy at work: calls the hooks that a happening concerns, and says what they want."""

    def __init__(self, strategy: Strategy, books: Books) -> None:
        self._strategy = strategy
        self._books = books

    def take(self, happening: Happening) -> tuple[Want, ...]:
        """What the hooks want because of it. Raises whatever a hook raises."""
        books = self._books
        before = books.view
        match happening:
            case Past():
                for delta in happening.deltas:
                    books.fold(delta.event)
                return ()
            case GoLive():
                self._strategy.restore(books.learned)
                books.live = True
                return ()
            case Delta():
                order = books.fold(happening.event)
                calls = _calls(happening.event, order, books, before)
            case _:
                books.look(happening)
                calls = iter((_market_call(happening),))
        if not books.live:
            return ()
        return tuple(want for each in calls if (want := self._called(each, happening)) is not None)

    def _called(self, each: _Call, happening: Happening) -> Want | None:
        books = self._books
        intents = tuple(each.call(self._strategy, books.view))
        snapshot = dict(self._strategy.snapshot())
        want = Want(each.hook, intents, snapshot if snapshot != books.learned else None)
        if not intents and want.snapshot is None:
            return None
        books.admit(cause_of(books.name, happening, each.hook), want)
        return want


def _calls(event: Event, order: Order | None, books: Books, before: View) -> Iterator[_Call]:
    """One after the other: each finds the view as the one before it has left it."""
    if order is not None and order.strategy == books.name:
        if isinstance(event, Fill):
            yield _Call(Hook.FILL, lambda strategy, view: strategy.on_fill(view, event))
        yield _Call(Hook.ORDER, lambda strategy, view: strategy.on_order(view, order))
    barred = books.view.barred
    if barred == before.barred:
        return
    standing = {name for causes in barred.values() for name in causes}
    stood = {name for causes in before.barred.values() for name in causes}
    if (standing - stood) & _DISCONNECTS:
        yield _Call(Hook.DISCONNECT, lambda strategy, view: strategy.on_disconnect(view))
    if before.enabled and barred:
        yield _Call(Hook.DISABLED, lambda strategy, view: strategy.on_trading_disabled(view))


def _market_call(happening: Quote | MarketTrade | Candle | Second) -> _Call:
    match happening:
        case Quote():
            return _Call(Hook.QUOTE, lambda strategy, view: strategy.on_quote(view, happening))
        case MarketTrade():
            return _Call(Hook.TRADE, lambda strategy, view: strategy.on_trade(view, happening))
        case Candle():
            return _Call(Hook.CANDLE, lambda strategy, view: strategy.on_candle(view, happening))
        case Second():
            return _Call(Hook.TIMER, lambda strategy, view: strategy.on_timer(view))


def _lowers_risk(intent: Intent) -> bool:
    return isinstance(intent, Cancel) or (isinstance(intent, Place) and intent.reduces)
