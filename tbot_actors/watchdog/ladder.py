"""The ladder: from what is known to be wrong to what each scope may still do. Pure.

cause                                    rung       lifted by
NOT_RECONCILED, STALE_FEED, STREAM_DOWN, PAUSE      the cause being gone
VENUE_OUTAGE, MISMATCH, UNKNOWN_OVERDUE,
JOURNAL_LAG, CORE_DOWN, NO_PROGRESS,
PERSON, STOPPING, kill file `pause`
kill file `halt`, tbot halt              HALTED     a person, while the cause is gone
DAILY_LOSS, kill file `flatten`,         FLATTEN    a person, while the cause is gone
tbot flatten
"""

from collections.abc import Iterable, Mapping
from enum import Enum

from attrs import evolve, field, frozen

from tbot_actors.domain.latch import ACCOUNT, Latch
from tbot_actors.domain.messages import Alarm, Cause

JOURNAL = "journal"
"""Source of the causes that an earlier incarnation of the watchdog left: whoever speaks of one next owns it."""

_OWN = frozenset({Cause.KILL_FILE, Cause.JOURNAL_LAG, Cause.CORE_DOWN, Cause.NO_PROGRESS})
"""Found anew by each incarnation of the watchdog itself."""

LATCHED = "LATCHED: "
"""Before a latch's cause where it stands among the causes of a pause."""


class Rung(Enum):
    """What a cause leads to."""

    PAUSE = "PAUSE"
    """No new risk for as long as the cause stands."""
    HALTED = "HALTED"
    """No new risk until a person resumes; entries are cancelled."""
    FLATTEN = "FLATTEN"
    """As HALTED, and everything of the scope is closed."""


RUNGS: Mapping[Cause, Rung] = {
    **dict.fromkeys(Cause, Rung.PAUSE),
    Cause.DAILY_LOSS: Rung.FLATTEN,
}
"""Where each cause leads, the kill file apart: that is told by what is written in it."""


class KillOrder(Enum):
    """What the kill file says."""

    PAUSE = "pause"
    HALT = "halt"
    FLATTEN = "flatten"


class LatchCause(Enum):
    """The causes that safety itself latches; other writers of the latch file may use words of their own."""

    DAILY_LOSS = "DAILY_LOSS"
    PERSON_HALT = "PERSON_HALT"
    PERSON_FLATTEN = "PERSON_FLATTEN"
    KILL_FILE_HALT = "KILL_FILE_HALT"
    KILL_FILE_FLATTEN = "KILL_FILE_FLATTEN"

    @property
    def rung(self) -> Rung:
        """How far it goes."""
        return Rung.HALTED if self in (LatchCause.PERSON_HALT, LatchCause.KILL_FILE_HALT) else Rung.FLATTEN


_BY_CAUSE = {Cause.DAILY_LOSS: LatchCause.DAILY_LOSS}
_BY_KILL_ORDER = {KillOrder.HALT: LatchCause.KILL_FILE_HALT, KillOrder.FLATTEN: LatchCause.KILL_FILE_FLATTEN}


@frozen
class Standing:
    """Everything that bars risk at one moment."""

    unreconciled: frozenset[str] = frozenset()
    """Venues that this incarnation has not seen reconciled yet: the account takes no new risk before all are."""
    active: Mapping[tuple[str, Cause, str], str] = field(factory=dict)
    """Detail by source, cause and scope."""
    kill: KillOrder | None = None
    latch: Latch = field(factory=Latch)


def with_alarm(standing: Standing, alarm: Alarm) -> Standing:
    """After a room found or lost a cause."""
    unreconciled = standing.unreconciled
    if alarm.cause is Cause.NOT_RECONCILED and not alarm.active:
        unreconciled = unreconciled - {alarm.scope.removeprefix("venue:")}
    gone = {(alarm.source, alarm.cause, alarm.scope), (JOURNAL, alarm.cause, alarm.scope)}
    active = {name: detail for name, detail in standing.active.items() if name not in gone}
    if alarm.active:
        active[alarm.source, alarm.cause, alarm.scope] = alarm.detail
    return evolve(standing, unreconciled=unreconciled, active=active)


def with_found(standing: Standing, source: str, found: Mapping[tuple[Cause, str], str]) -> Standing:
    """After the watchdog looked around itself: `found` (details by cause, scope) replaces all causes of this source."""
    others = {name: detail for name, detail in standing.active.items() if name[0] != source}
    own = {(source, cause, scope): detail for (cause, scope), detail in found.items()}
    return evolve(standing, active={**others, **own})


def with_inherited(standing: Standing, pauses: Mapping[str, Iterable[str]]) -> Standing:
    """After reading the pauses that an earlier incarnation left: they stand until someone lifts them."""
    known = {cause.value: cause for cause in Cause if cause not in _OWN}
    spoken = {(cause, scope) for _, cause, scope in standing.active}
    inherited = {
        (JOURNAL, known[text], scope): "it stood when the watchdog restarted"
        for scope, causes in pauses.items()
        for text in causes
        if text in known
        and (known[text], scope) not in spoken
        and (text, scope) != (Cause.NOT_RECONCILED.value, ACCOUNT)
    }
    return evolve(standing, active={**standing.active, **inherited})


def pauses(standing: Standing) -> dict[str, tuple[str, ...]]:
    """The causes that bar new risk, by scope; a scope that is free is missing."""
    causes: dict[str, set[Cause]] = {}
    if standing.unreconciled:
        causes.setdefault(ACCOUNT, set()).add(Cause.NOT_RECONCILED)
    if standing.kill is not None:
        causes.setdefault(ACCOUNT, set()).add(Cause.KILL_FILE)
    for _, cause, scope in standing.active:
        causes.setdefault(scope, set()).add(cause)
    latched = standing.latch.causes
    return {
        scope: (
            *(cause.value for cause in Cause if cause in causes.get(scope, ())),
            *(LATCHED + cause for cause in latched.get(scope, ())),
        )
        for scope in sorted({*causes, *latched})
    }


def to_latch(standing: Standing) -> tuple[tuple[str, LatchCause, str], ...]:
    """What must be latched and is not: scope, cause, detail."""
    wanted = [
        (scope, _BY_CAUSE[cause], detail)
        for (_, cause, scope), detail in standing.active.items()
        if RUNGS[cause] is not Rung.PAUSE
    ]
    if standing.kill in _BY_KILL_ORDER:
        wanted.append((ACCOUNT, _BY_KILL_ORDER[standing.kill], "the kill file says so"))
    return tuple(
        (scope, cause, detail)
        for scope, cause, detail in wanted
        if cause.value not in standing.latch.causes.get(scope, ())
    )


def still_holds(standing: Standing, scope: str, text: str) -> str | None:
    """Why this cause of a latch must not be lifted yet, or None."""
    for (_, cause, where), detail in standing.active.items():
        if cause in _BY_CAUSE and _BY_CAUSE[cause].value == text and where == scope:
            return f"{text} still holds: {detail}"
    for order, latched in _BY_KILL_ORDER.items():
        if standing.kill is order and (scope, text) == (ACCOUNT, latched.value):
            return f"{text} still holds: the kill file says {order.value!r}, remove it first"
    return None


def latched_rung(text: str) -> Rung:
    """How far a cause found in the latch file goes; a word that is not ours halts, it does not close."""
    try:
        return LatchCause(text).rung
    except ValueError:
        return Rung.HALTED
