"""The life of an order: its states, every allowed transition in one table, and the order itself.

Denied is ours (risk said no, nothing was sent), Rejected is the venue's. Terminal states absorb: what arrives later
about a terminal order is a new fact for the reconciler, never a reopened state.
"""

from decimal import Decimal
from enum import Enum

from attrs import evolve, frozen

from tbot_actors.domain.instruments import InstrumentId, Side
from tbot_actors.domain.intents import IntentKey, OrderType, TimeInForce
from tbot_actors.domain.money import ZERO


class OrderState(Enum):
    """Where an order is. `UNKNOWN` ends only on evidence from the venue or a person."""

    QUEUED = "QUEUED"
    """Decided and journaled, waiting for the venue to be reachable; nothing was sent."""
    SUBMITTING = "SUBMITTING"
    """Journaled and about to be sent, or sent without an answer yet."""
    UNKNOWN = "UNKNOWN"
    """Sent, and the answer was lost: it may or may not be at the venue."""
    OPEN = "OPEN"
    PARTIAL = "PARTIAL"
    PENDING_CANCEL = "PENDING_CANCEL"
    FILLED = "FILLED"
    CANCELED = "CANCELED"
    EXPIRED = "EXPIRED"
    """Ended by the venue's rules, or proven never to have arrived."""
    REJECTED = "REJECTED"

    @property
    def terminal(self) -> bool:
        """Whether nothing can happen to the order any more."""
        return self in _TERMINAL


class Step(Enum):
    """What can happen to an order."""

    SENT = "SENT"
    """Taken out of the offline queue."""
    ACCEPTED = "ACCEPTED"
    PART_FILLED = "PART_FILLED"
    FILLED = "FILLED"
    CANCEL_ASKED = "CANCEL_ASKED"
    CANCEL_REFUSED = "CANCEL_REFUSED"
    CANCELED = "CANCELED"
    EXPIRED = "EXPIRED"
    REJECTED = "REJECTED"
    LOST = "LOST"
    """The answer to the submit was lost."""


class ImpossibleStep(Exception):
    """A step that the table does not know: our own bookkeeping is wrong. Crash."""


_TERMINAL = frozenset({OrderState.FILLED, OrderState.CANCELED, OrderState.EXPIRED, OrderState.REJECTED})
_ENDINGS = {
    Step.FILLED: OrderState.FILLED,
    Step.CANCELED: OrderState.CANCELED,
    Step.EXPIRED: OrderState.EXPIRED,
    Step.REJECTED: OrderState.REJECTED,
}

TRANSITIONS: dict[OrderState, dict[Step, OrderState]] = {
    OrderState.QUEUED: {
        Step.SENT: OrderState.SUBMITTING,
        Step.CANCELED: OrderState.CANCELED,
        Step.EXPIRED: OrderState.EXPIRED,
    },
    OrderState.SUBMITTING: {
        Step.ACCEPTED: OrderState.OPEN,
        Step.PART_FILLED: OrderState.PARTIAL,
        Step.LOST: OrderState.UNKNOWN,
        Step.CANCEL_ASKED: OrderState.SUBMITTING,
        # A cancel can overtake its submit: the venue does not know the order yet.
        Step.CANCEL_REFUSED: OrderState.SUBMITTING,
        **_ENDINGS,
    },
    OrderState.UNKNOWN: {
        Step.ACCEPTED: OrderState.OPEN,
        Step.PART_FILLED: OrderState.PARTIAL,
        Step.LOST: OrderState.UNKNOWN,
        Step.CANCEL_ASKED: OrderState.UNKNOWN,
        Step.CANCEL_REFUSED: OrderState.UNKNOWN,
        **_ENDINGS,
    },
    OrderState.OPEN: {
        Step.ACCEPTED: OrderState.OPEN,
        Step.PART_FILLED: OrderState.PARTIAL,
        Step.LOST: OrderState.OPEN,
        Step.CANCEL_ASKED: OrderState.PENDING_CANCEL,
        Step.CANCEL_REFUSED: OrderState.OPEN,
        **_ENDINGS,
    },
    OrderState.PARTIAL: {
        Step.ACCEPTED: OrderState.PARTIAL,
        Step.PART_FILLED: OrderState.PARTIAL,
        Step.LOST: OrderState.PARTIAL,
        Step.CANCEL_ASKED: OrderState.PENDING_CANCEL,
        Step.CANCEL_REFUSED: OrderState.PARTIAL,
        **_ENDINGS,
    },
    OrderState.PENDING_CANCEL: {
        Step.ACCEPTED: OrderState.PENDING_CANCEL,
        Step.PART_FILLED: OrderState.PENDING_CANCEL,
        Step.LOST: OrderState.PENDING_CANCEL,
        Step.CANCEL_ASKED: OrderState.PENDING_CANCEL,
        Step.CANCEL_REFUSED: OrderState.OPEN,
        **_ENDINGS,
    },
}
"""Every transition.

A state that is not a key is terminal and absorbs every step; a missing step of a listed state is impossible.
"""


def next_state(state: OrderState, step: Step) -> OrderState:
    """The state after `step`. Raises ImpossibleStep where the table has none."""
    if state.terminal:
        return state
    try:
        return TRANSITIONS[state][step]
    except KeyError:
        raise ImpossibleStep(f"an order that is {state.value} cannot see {step.value}") from None


@frozen
class Order:
    """One order of ours, from its decision to its end."""

    client_id: str
    strategy: str
    """The strategy whose virtual position the fills belong to, also where safety sent the order."""
    intent: IntentKey
    instrument: InstrumentId
    side: Side
    type: OrderType
    time_in_force: TimeInForce
    quantity: Decimal
    price: Decimal | None
    reduces: bool
    state: OrderState
    created_ns: int
    updated_ns: int
    executed: Decimal = ZERO
    """Sum of the journaled fills, base currency. Cumulative quantities of reports never enter here."""
    executed_quote: Decimal = ZERO
    venue_order_id: str | None = None
    cancel_asked: bool = False
    """Somebody wants it gone; stays set over a lost cancel until the venue refuses or the order ends."""
    why: str = ""
    """The venue's or our reason for the present state."""

    @property
    def remaining(self) -> Decimal:
        """What could still be filled, base currency."""
        return self.quantity - self.executed

    @property
    def average_price(self) -> Decimal | None:
        """Mean price of the fills so far."""
        return self.executed_quote / self.executed if self.executed else None

    def stepped(self, step: Step, stamp_ns: int, why: str = "") -> "Order":
        """The order after `step`; terminal orders come back unchanged."""
        if self.state.terminal:
            return self
        state = next_state(self.state, step)
        if state is OrderState.OPEN and self.executed:
            state = OrderState.PARTIAL
        asked = (self.cancel_asked or step is Step.CANCEL_ASKED) and step is not Step.CANCEL_REFUSED
        return evolve(self, state=state, updated_ns=stamp_ns, cancel_asked=asked, why=why or self.why)

    def filled(self, quantity: Decimal, price: Decimal, stamp_ns: int) -> "Order":
        """The order after one more fill. A late fill of a terminal order counts, and does not reopen it."""
        executed = self.executed + quantity
        step = Step.FILLED if executed >= self.quantity else Step.PART_FILLED
        state = next_state(self.state, step)
        quote = self.executed_quote + quantity * price
        return evolve(self, state=state, executed=executed, executed_quote=quote, updated_ns=stamp_ns)
