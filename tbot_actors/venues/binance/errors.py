"""What an error answer proves about a write: the code table first, then the HTTP class, and without proof it is lost.

Source: `errors.md`; `rest-api.md`, HTTP Return Codes ("5XX … the execution status is UNKNOWN"), LIMITS. A code that the
table does not know proves nothing, whatever its HTTP status.
"""

from enum import Enum

from tbot_actors.domain.messages import Lost, NotSent, Refused
from tbot_actors.venues.binance.wire import Fault, decode
from tbot_actors.venues.dialect import UnreadableAnswer

NO_SUCH_ORDER = frozenset({-2013, -2026})
"""-2026: ended without a fill more than 90 days ago and archived, so nothing of it is left to know."""
TOO_MANY_REQUESTS = -1003
TOO_MANY_ORDERS = -1015
RATE_LIMIT_STATUSES = frozenset({418, 429})
_DUPLICATE = "Duplicate order sent."
_UNAUTHORIZED_STATUS = 401

_TURNED_AWAY = frozenset({TOO_MANY_REQUESTS, TOO_MANY_ORDERS, -1008, -1021})
"""Rate limit, order count, overload, clock: before anybody looked at the order; the same request may succeed later."""
_MATCHING_ENGINE = frozenset({-1010, -2010, -2011})
"""The matching engine's own refusals; the text tells which."""
_REFUSED = frozenset(
    {-1002, -1013, -1014, -1020, -1022, -2013, -2014, -2015, -2016, -2026, -2039} | _MATCHING_ENGINE
)
_REQUEST_FAULTS = range(-1199, -1099)
"""11xx, "Request issues": parameters that were never acted on."""
_UNKNOWN_TO_ALL = "the venue's answer proves nothing"


class Proof(Enum):
    """What an error answer proves about the write it answers."""

    REFUSED = "REFUSED"
    ALREADY_THERE = "ALREADY_THERE"
    TURNED_AWAY = "TURNED_AWAY"
    NONE = "NONE"


def proof(status: int, fault: Fault | None) -> Proof:
    """What HTTP status and error payload (None: there was no readable one) prove."""
    if fault is not None:
        if fault.code in _MATCHING_ENGINE and fault.msg == _DUPLICATE:
            return Proof.ALREADY_THERE
        if fault.code in _TURNED_AWAY:
            return Proof.TURNED_AWAY
        if fault.code in _REFUSED or fault.code in _REQUEST_FAULTS:
            return Proof.REFUSED
        # -1000, -1001, -1006, -1007, -1016 and whatever is new.
        return Proof.TURNED_AWAY if status in RATE_LIMIT_STATUSES else Proof.NONE
    return Proof.TURNED_AWAY if status in RATE_LIMIT_STATUSES else Proof.NONE


def write_result(status: int, body: bytes) -> Refused | Lost | NotSent:
    """The result of a write that was answered with an error."""
    fault = fault_in(body)
    said = f"HTTP {status}" if fault is None else f"{fault.code} {fault.msg}"
    match proof(status, fault):
        case Proof.REFUSED:
            return Refused(_code(fault), said)
        case Proof.ALREADY_THERE:
            return Refused(_code(fault), said, already_there=True)
        case Proof.TURNED_AWAY:
            return NotSent(f"turned away by the venue: {said}")
        case Proof.NONE:
            return Lost(f"{_UNKNOWN_TO_ALL}: {said}")


def fault_in(body: bytes) -> Fault | None:
    """The error payload, None where the body is none."""
    try:
        return decode(body, Fault)
    except UnreadableAnswer:
        return None


def heals(status: int, fault: Fault | None) -> bool:
    """Whether a failed read may succeed later without anybody's doing: the venue is away or busy, the clock is off."""
    if fault is None:
        return status != _UNAUTHORIZED_STATUS
    return proof(status, fault) is not Proof.REFUSED


def _code(fault: Fault | None) -> int:
    assert fault is not None
    return fault.code
