"""What a strategy's actor and its process say to each other.

Nothing in here names the strategy on the way back: whose intents they are, and which event they are because of, is for
the actor to say. What comes back is checked for its shape and for numbers that are none.
"""

from decimal import Decimal
from typing import Annotated, Any

import msgspec

from tbot_actors.domain.codec import decode_event, encode_event
from tbot_actors.domain.instruments import InstrumentId, Side
from tbot_actors.domain.intents import Cancel, Intent, OrderType, Place, Replace, TimeInForce
from tbot_actors.domain.market import Candle, MarketTrade, Quote
from tbot_actors.kernel.host.vocabulary import Vocabulary
from tbot_actors.strategies.session import INTENTS_MAX, Delta, GoLive, Happening, Hook, Past, Second, Want

Key = Annotated[str, msgspec.Meta(max_length=128)]

PAST_BYTES = 256 * 1024
"""Of events in one frame."""


class StrategyOrder(msgspec.Struct, frozen=True):
    """Which strategy the process is to run; the argument of its worker."""

    name: str
    kind: str
    """A name of the library, or `/path/to/file.py:ClassName`."""
    params: dict[str, Any]
    """As configured: the strategy's own class is known in its process only."""
    converter: str
    """`module:function` that makes what structures them."""
    capital: Decimal
    instruments: tuple[str, ...]


class Event(msgspec.Struct, frozen=True, array_like=True):
    """A Delta."""

    sequence: int
    kind: str
    payload: bytes


class Events(msgspec.Struct, frozen=True, array_like=True):
    """A Past."""

    events: tuple[Event, ...]


class Live(msgspec.Struct, frozen=True, array_like=True):
    """A GoLive."""


class Tick(msgspec.Struct, frozen=True, array_like=True):
    """A Second."""

    now_ns: int


class Describe(msgspec.Struct, frozen=True, array_like=True):
    """What does the strategy want to see?"""


class Described(msgspec.Struct, frozen=True, array_like=True):
    """The answer to Describe."""

    candles_s: Annotated[tuple[Annotated[int, msgspec.Meta(ge=1, le=86_400)], ...], msgspec.Meta(max_length=64)]


class PlaceWanted(msgspec.Struct, frozen=True, array_like=True, tag="place"):
    """A Place."""

    key: Key
    instrument: Key
    side: Side
    quantity: Decimal
    price: Decimal | None
    order_type: OrderType
    time_in_force: TimeInForce
    reduces: bool


class CancelWanted(msgspec.Struct, frozen=True, array_like=True, tag="cancel"):
    """A Cancel."""

    key: Key


class ReplaceWanted(msgspec.Struct, frozen=True, array_like=True, tag="replace"):
    """A Replace."""

    key: Key
    quantity: Decimal
    price: Decimal


IntentWanted = PlaceWanted | CancelWanted | ReplaceWanted


class HookResult(msgspec.Struct, frozen=True, array_like=True):
    """A Want."""

    hook: Hook
    intents: Annotated[tuple[IntentWanted, ...], msgspec.Meta(max_length=INTENTS_MAX)]
    snapshot: dict[str, str] | None


class HookResults(msgspec.Struct, frozen=True, array_like=True):
    """What all hooks want that one happening concerned; nothing at all is sent as None."""

    results: Annotated[tuple[HookResult, ...], msgspec.Meta(max_length=len(Hook))]


VOCABULARY = Vocabulary(
    Event, Events, Live, Tick, Quote, MarketTrade, Candle, Describe, Described, HookResults
)  # fmt: skip


class NoNumber(ValueError):
    """A quantity or a price that is not finite."""


def requests_of(happening: Happening) -> list[Any]:
    """What to send for it, in order; a long past takes several frames."""
    match happening:
        case Delta():
            return [_event(happening)]
        case Past():
            return _pages([_event(delta) for delta in happening.deltas])
        case GoLive():
            return [Live()]
        case Second():
            return [Tick(happening.now_ns)]
        case _:
            return [happening]


def happening_of(request: Any) -> Happening:
    """What happened. Raises UnreadableEvent, TypeError."""
    match request:
        case Quote() | MarketTrade() | Candle():
            return request
        case Event():
            return _delta(request)
        case Tick():
            return Second(request.now_ns)
        case Events():
            return Past(tuple(_delta(event) for event in request.events))
        case Live():
            return GoLive()
        case _:
            raise TypeError(f"{type(request).__name__} is no happening")


def answer_of(wants: tuple[Want, ...]) -> HookResults | None:
    """What goes back."""
    if not wants:
        return None
    results = (HookResult(want.hook, tuple(map(_wanted, want.intents)), _snapshot(want)) for want in wants)
    return HookResults(tuple(results))


def wants_of(answer: HookResults | None) -> tuple[Want, ...]:
    """What came back. Raises NoNumber."""
    if answer is None:
        return ()
    return tuple(
        Want(result.hook, tuple(map(_intent, result.intents)), result.snapshot) for result in answer.results
    )


def _snapshot(want: Want) -> dict[str, str] | None:
    return None if want.snapshot is None else dict(want.snapshot)


def _event(delta: Delta) -> Event:
    kind, payload = encode_event(delta.event)
    return Event(delta.sequence, kind, payload)


def _delta(event: Event) -> Delta:
    return Delta(event.sequence, decode_event(event.kind, event.payload))


def _pages(events: list[Event]) -> list[Any]:
    pages: list[Any] = []
    page: list[Event] = []
    size = 0
    for event in events:
        if page and size + len(event.payload) > PAST_BYTES:
            pages.append(Events(tuple(page)))
            page, size = [], 0
        page.append(event)
        size += len(event.payload)
    return [*pages, Events(tuple(page))] if page else pages


def _wanted(intent: Intent) -> IntentWanted:
    match intent:
        case Place():
            return PlaceWanted(
                intent.key,
                intent.instrument,
                intent.side,
                intent.quantity,
                intent.price,
                intent.type,
                intent.time_in_force,
                intent.reduces,
            )
        case Cancel():
            return CancelWanted(intent.key)
        case Replace():
            return ReplaceWanted(intent.key, intent.quantity, intent.price)


def _intent(wanted: IntentWanted) -> Intent:
    match wanted:
        case PlaceWanted():
            return Place(
                wanted.key,
                InstrumentId(wanted.instrument),
                wanted.side,
                _finite(wanted.quantity),
                None if wanted.price is None else _finite(wanted.price),
                wanted.order_type,
                wanted.time_in_force,
                wanted.reduces,
            )
        case CancelWanted():
            return Cancel(wanted.key)
        case ReplaceWanted():
            return Replace(wanted.key, _finite(wanted.quantity), _finite(wanted.price))


def _finite(number: Decimal) -> Decimal:
    if not number.is_finite():
        raise NoNumber(f"{number} is no quantity and no price")
    return number
