"""What the tree shows: who is stalled, which venue is out, whether the core is up."""

from __future__ import annotations

import pytest
from attrs import evolve

from tbot_actors.domain.messages import Cause
from tbot_actors.kernel import NodeSnapshot, State, TreeSnapshot
from tbot_actors.watchdog.progress import core_is_up, found_in, is_core, scope_of

S = 1_000_000_000
NOW = 1000 * S
WELL = NodeSnapshot("core/risk", State.READY, 1, 0, 0, 0, 0, 0, 0, NOW - 100 * S, None)


def tree(*nodes: NodeSnapshot) -> TreeSnapshot:
    return TreeSnapshot(evolve(WELL, path="", children=nodes), NOW, 0)


def found(node: NodeSnapshot) -> list[tuple[Cause, str]]:
    return list(found_in(tree(node), 5 * S))


def test_an_idle_actor_is_well_however_long_it_idles() -> None:
    assert found(WELL) == []


@pytest.mark.parametrize(
    ("node", "stalled"),
    [
        (evolve(WELL, depth=3, oldest_waiting_ns=6 * S), True),
        (evolve(WELL, depth=3, oldest_waiting_ns=5 * S), False),
        (evolve(WELL, depth=3, oldest_waiting_ns=60 * S, last_progress_ns=NOW - 5 * S), False),
        (evolve(WELL, busy_for_ns=6 * S, last_progress_ns=NOW - 6 * S), True),
        (evolve(WELL, busy_for_ns=5 * S, last_progress_ns=NOW - 5 * S), False),
        (evolve(WELL, depth=3, oldest_waiting_ns=60 * S, state=State.BACKING_OFF), False),
        (evolve(WELL, depth=3, oldest_waiting_ns=60 * S, state=State.STARTING), False),
        (evolve(WELL, path="operator/api", depth=3, oldest_waiting_ns=60 * S), False),
    ],
)
def test_stalled_is_mail_or_work_without_progress(node: NodeSnapshot, stalled: bool) -> None:
    assert found(node) == ([(Cause.NO_PROGRESS, "account")] if stalled else [])


@pytest.mark.parametrize(
    ("path", "scope"),
    [
        ("core/orders", "account"),
        ("journal", "account"),
        ("strategies/momentum", "strategy:momentum"),
        ("venues/binance/gateway", "venue:binance"),
        ("safety/watchdog", "account"),
    ],
)
def test_a_stalled_actor_concerns_those_who_need_it(path: str, scope: str) -> None:
    assert scope_of(path) == scope


def test_a_gateway_in_an_outage_is_an_outage_of_its_venue_and_no_stall() -> None:
    gateway = evolve(WELL, path="venues/binance/gateway", state=State.OUTAGE, depth=9, oldest_waiting_ns=60 * S)
    assert found(gateway) == [(Cause.VENUE_OUTAGE, "venue:binance")]


def test_two_stalled_actors_of_a_scope_are_one_cause_with_both_names() -> None:
    stalled = evolve(WELL, depth=1, oldest_waiting_ns=60 * S)
    causes = found_in(tree(stalled, evolve(stalled, path="core/orders")), 5 * S)
    assert list(causes) == [(Cause.NO_PROGRESS, "account")]
    assert "core/risk" in causes[Cause.NO_PROGRESS, "account"]
    assert "core/orders" in causes[Cause.NO_PROGRESS, "account"]


@pytest.mark.parametrize(
    ("node", "up"),
    [
        (WELL, True),
        (evolve(WELL, state=State.RUNNING), True),
        (evolve(WELL, state=State.BACKING_OFF), False),
        (evolve(WELL, state=State.GONE), False),
        (evolve(WELL, path="journal", state=State.STARTING), False),
        (evolve(WELL, path="strategies/momentum", state=State.GONE), True),
    ],
)
def test_the_core_is_up_when_all_of_it_is_at_work(node: NodeSnapshot, up: bool) -> None:
    assert core_is_up(tree(node)) == up


def test_core_and_journal_are_what_trading_cannot_do_without() -> None:
    assert [is_core(path) for path in ("core", "core/risk", "journal", "strategies/x", "venues")] == [
        True,
        True,
        True,
        False,
        False,
    ]
