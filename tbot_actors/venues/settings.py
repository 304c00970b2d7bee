"""What the actors of a venue are told."""

from attrs import field, frozen
from attrs.validators import ge, gt


@frozen(kw_only=True)
class GatewaySettings:
    """Slots are requests under way at once, waiting places are behind them; beyond, the answer is NotSent.

    Their sum must not be above the session's connections, or cancels wait behind reads after all.
    """

    submit_slots: int = field(default=6, validator=gt(0))
    """Orders under way to the venue at once."""
    submits_waiting_max: int = field(default=64, validator=ge(0))
    """Orders behind them."""
    cancel_slots: int = field(default=4, validator=gt(0))
    """Reserved: nothing but cancels runs in them."""
    cancels_waiting_max: int = field(default=512, validator=ge(0))
    """Cancels behind them."""
    query_slots: int = field(default=3, validator=gt(0))
    """Questions for one order under way at once."""
    queries_waiting_max: int = field(default=512, validator=ge(0))
    """Questions behind them."""
    state_slots: int = field(default=1, validator=gt(0))
    """Reads of a venue's whole state under way at once."""
    states_waiting_max: int = field(default=8, validator=ge(0))
    """Reads behind them."""
    cancel_wait_max_s: float = field(default=120.0, validator=ge(0))
    """A cancel waits for the venue's rate limit so long in all; a longer ban is an answer (NotSent), not a wait."""
    cancel_sends_max: int = field(default=3, validator=gt(0))
    """A cancel that the rate limit turned away is sent again after the wait, so often in all."""
    clock_error_max_s: float = field(default=1.0, validator=gt(0))
    """No new risk while the venue's clock is known no better than this."""


@frozen(kw_only=True)
class ClockSettings:
    """How the venue's clock is measured."""

    samples: int = field(default=5, validator=gt(0))
    """The median of them counts."""
    period_s: float = field(default=60.0, validator=gt(0))
    """Between two measurements."""
    retry_s: float = field(default=5.0, validator=gt(0))
    """Until the next try where a measurement failed."""
    stale_max_s: float = field(default=300.0, validator=gt(0))
    """A last good measurement is relied on so long; after that a venue that does not tell the time is an outage."""
    step_look_s: float = field(default=1.0, validator=gt(0))
    """How often our own wall clock is looked at for steps."""
    step_max_s: float = field(default=0.25, validator=gt(0))
    """A larger step of our wall clock makes the offset wrong: measured anew at once."""
