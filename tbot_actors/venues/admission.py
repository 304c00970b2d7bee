"""Whether an order may leave now: the gateway's last look, pure."""

from tbot_actors.domain.latch import Latch
from tbot_actors.domain.messages import ClockOffset, SubmitOrder
from tbot_actors.venues.settings import GatewaySettings

_NS = 1_000_000_000


def submit_barred(
    order: SubmitOrder,
    *,
    now_ns: int,
    latch: Latch,
    clock: ClockOffset | None,
    wait_s: float,
    settings: GatewaySettings,
) -> str | None:
    """Why the order must not be sent, or None. `now_ns` is monotonic, `wait_s` what the rate limit asks for.

    An order too late is barred always: it may have been proven absent. The latch and an uncertain clock bar new risk
    only, because what reduces must get through.
    """
    if now_ns > order.not_after_ns:
        return f"too late by {(now_ns - order.not_after_ns) / _NS:.3f} s"
    if wait_s > 0:
        return f"the venue's rate limit asks for {wait_s:.1f} s"
    if order.reduces:
        return None
    # SubmitOrder names no strategy: a latch of one strategy is kept by risk and orders.
    causes = latch.bars(order.instrument.partition(":")[0], strategy="")
    if causes:
        return f"latched: {', '.join(causes)}"
    if clock is not None and not (clock.error_ns <= settings.clock_error_max_s * _NS):
        return f"the venue's clock is known to {clock.error_ns / _NS:.3f} s only"
    return None
