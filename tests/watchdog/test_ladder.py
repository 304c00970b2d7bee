"""The ladder as a table: what stands, what it bars, what it latches, what may be lifted."""

from __future__ import annotations

import pytest
from attrs import evolve

from tbot_actors.domain.latch import UNREADABLE, Latch
from tbot_actors.domain.messages import Alarm, Cause, OnStop
from tbot_actors.watchdog.ladder import (
    RUNGS,
    KillOrder,
    LatchCause,
    Rung,
    Standing,
    latched_rung,
    pauses,
    still_holds,
    to_latch,
    with_alarm,
    with_found,
    with_inherited,
)
from tbot_actors.watchdog.wants import Extent, extent_for, wants_of, widest_at

FREE = Standing()


def alarm(cause: Cause, scope: str = "account", *, active: bool = True, source: str = "a/room") -> Alarm:
    return Alarm(source, cause, scope, active, f"{cause.value} in {scope}")


@pytest.mark.parametrize("cause", list(Cause))
def test_every_cause_bars_new_risk_in_its_scope_until_it_is_gone(cause: Cause) -> None:
    standing = with_alarm(FREE, alarm(cause, "venue:binance"))
    assert pauses(standing) == {"venue:binance": (cause.value,)}
    assert pauses(with_alarm(standing, alarm(cause, "venue:binance", active=False))) == {}


@pytest.mark.parametrize("cause", list(Cause))
def test_only_a_lost_day_latches_by_itself(cause: Cause) -> None:
    expected = [("account", LatchCause.DAILY_LOSS)] if cause is Cause.DAILY_LOSS else []
    found = to_latch(with_alarm(FREE, alarm(cause)))
    assert [(scope, latched) for scope, latched, _ in found] == expected
    assert (RUNGS[cause] is Rung.FLATTEN) == (cause is Cause.DAILY_LOSS)


def test_a_cause_of_two_sources_stands_until_both_have_lost_it() -> None:
    standing = with_alarm(FREE, alarm(Cause.STALE_FEED, source="feeds/a"))
    standing = with_alarm(standing, alarm(Cause.STALE_FEED, source="feeds/b"))
    standing = with_alarm(standing, alarm(Cause.STALE_FEED, source="feeds/a", active=False))
    assert pauses(standing) == {"account": ("STALE_FEED",)}
    assert pauses(with_alarm(standing, alarm(Cause.STALE_FEED, source="feeds/b", active=False))) == {}


def test_the_account_waits_for_every_venue_and_then_each_venue_for_itself() -> None:
    standing = Standing(unreconciled=frozenset({"binance", "okx"}))
    assert pauses(standing) == {"account": ("NOT_RECONCILED",)}
    standing = with_alarm(standing, alarm(Cause.NOT_RECONCILED, "venue:okx", active=False))
    assert pauses(standing) == {"account": ("NOT_RECONCILED",)}
    standing = with_alarm(standing, alarm(Cause.NOT_RECONCILED, "venue:binance", active=False))
    assert pauses(standing) == {}
    standing = with_alarm(standing, alarm(Cause.NOT_RECONCILED, "venue:okx"))
    assert pauses(standing) == {"venue:okx": ("NOT_RECONCILED",)}


def test_latched_causes_stand_beside_the_passing_ones() -> None:
    standing = with_alarm(Standing(latch=Latch({"account": ("DAILY_LOSS",)})), alarm(Cause.STREAM_DOWN))
    assert pauses(standing) == {"account": ("STREAM_DOWN", "LATCHED: DAILY_LOSS")}


def test_what_the_watchdog_found_is_replaced_by_what_it_finds_next() -> None:
    standing = with_found(
        FREE, "me", {(Cause.NO_PROGRESS, "account"): "core/risk", (Cause.JOURNAL_LAG, "account"): "2 s"}
    )
    assert pauses(standing) == {"account": ("JOURNAL_LAG", "NO_PROGRESS")}
    assert pauses(with_found(standing, "me", {})) == {}


@pytest.mark.parametrize(
    ("kill", "barred", "latched"),
    [
        (KillOrder.PAUSE, ("KILL_FILE",), None),
        (KillOrder.HALT, ("KILL_FILE",), LatchCause.KILL_FILE_HALT),
        (KillOrder.FLATTEN, ("KILL_FILE",), LatchCause.KILL_FILE_FLATTEN),
    ],
)
def test_the_kill_file_does_what_its_word_says(
    kill: KillOrder, barred: tuple[str, ...], latched: LatchCause | None
) -> None:
    standing = evolve(FREE, kill=kill)
    assert pauses(standing) == {"account": barred}
    assert [cause for _, cause, _ in to_latch(standing)] == ([latched] if latched else [])


def test_what_is_latched_is_not_latched_again() -> None:
    standing = with_alarm(evolve(FREE, kill=KillOrder.HALT), alarm(Cause.DAILY_LOSS))
    latch = Latch({"account": ("DAILY_LOSS", "KILL_FILE_HALT")})
    assert to_latch(evolve(standing, latch=latch)) == ()


@pytest.mark.parametrize(
    ("standing", "scope", "cause", "holds"),
    [
        (with_alarm(FREE, alarm(Cause.DAILY_LOSS)), "account", "DAILY_LOSS", True),
        (FREE, "account", "DAILY_LOSS", False),
        (with_alarm(FREE, alarm(Cause.DAILY_LOSS)), "venue:okx", "DAILY_LOSS", False),
        (evolve(FREE, kill=KillOrder.HALT), "account", "KILL_FILE_HALT", True),
        (evolve(FREE, kill=KillOrder.PAUSE), "account", "KILL_FILE_HALT", False),
        (evolve(FREE, kill=KillOrder.HALT), "account", "KILL_FILE_FLATTEN", False),
        (evolve(FREE, kill=KillOrder.FLATTEN), "account", "PERSON_FLATTEN", False),
        (with_alarm(FREE, alarm(Cause.STREAM_DOWN)), "account", "PERSON_HALT", False),
    ],
)
def test_a_latch_cannot_be_lifted_while_its_cause_holds(
    standing: Standing, scope: str, cause: str, holds: bool
) -> None:
    assert (still_holds(standing, scope, cause) is not None) == holds


def test_a_restarted_watchdog_takes_over_what_others_found_and_nothing_it_finds_itself() -> None:
    left = {
        "account": ("NOT_RECONCILED", "UNKNOWN_OVERDUE", "NO_PROGRESS", "KILL_FILE", "LATCHED: DAILY_LOSS"),
        "venue:binance": ("NOT_RECONCILED", "STREAM_DOWN"),
    }
    standing = with_inherited(FREE, left)
    assert pauses(standing) == {
        "account": ("UNKNOWN_OVERDUE",),
        "venue:binance": ("NOT_RECONCILED", "STREAM_DOWN"),
    }
    standing = with_alarm(standing, alarm(Cause.STREAM_DOWN, "venue:binance", active=False, source="venues/binance/s"))
    assert pauses(standing)["venue:binance"] == ("NOT_RECONCILED",)


def test_an_inherited_cause_that_its_source_has_spoken_of_since_is_not_taken_over() -> None:
    standing = with_alarm(FREE, alarm(Cause.STREAM_DOWN, "venue:okx", source="s"))
    standing = with_inherited(standing, {"venue:okx": ("STREAM_DOWN",)})
    assert pauses(with_alarm(standing, alarm(Cause.STREAM_DOWN, "venue:okx", active=False, source="s"))) == {}


@pytest.mark.parametrize(
    ("cause", "rung"),
    [
        ("DAILY_LOSS", Rung.FLATTEN),
        ("PERSON_FLATTEN", Rung.FLATTEN),
        ("KILL_FILE_FLATTEN", Rung.FLATTEN),
        ("PERSON_HALT", Rung.HALTED),
        ("KILL_FILE_HALT", Rung.HALTED),
        (UNREADABLE.causes["account"][0], Rung.HALTED),
        ("set by the guardian", Rung.HALTED),
    ],
)
def test_only_the_causes_that_say_so_close_positions(cause: str, rung: Rung) -> None:
    assert latched_rung(cause) is rung


def test_what_is_wanted_closed_is_the_most_that_latch_or_stop_ask_for() -> None:
    latch = Latch({"strategy:momentum": ("PERSON_HALT", "DAILY_LOSS"), "venue:okx": ("PERSON_HALT",)})
    wants = wants_of(latch, OnStop.KEEP)
    assert wants == {
        "strategy:momentum": Extent.POSITIONS,
        "venue:okx": Extent.ENTRIES,
        "account": Extent.ORDERS,
    }
    assert extent_for(wants, "binance", "momentum") is Extent.POSITIONS
    assert extent_for(wants, "binance", "quoter") is Extent.ORDERS
    assert extent_for(wants, "binance", None) is Extent.ORDERS
    assert widest_at(wants, "binance") is Extent.POSITIONS
    assert widest_at(wants_of(Latch({"venue:okx": ("PERSON_HALT",)}), None), "binance") is Extent.NOTHING
    assert wants_of(Latch(), None) == {}
