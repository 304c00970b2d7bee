"""When the venue is looked at, when again, and what a finished run says."""

from __future__ import annotations

from decimal import Decimal

import pytest
from attrs import evolve

from tbot_actors.domain.events import Evidence, GenerationStarted, InstrumentDefined, OrderAccepted
from tbot_actors.domain.messages import Balance, VenueState
from tbot_actors.reconciler import ReconcilerSettings
from tbot_actors.reconciler.books import Books
from tbot_actors.reconciler.run import Finished, LookLater, LookNow, Run
from tests.watchdog.house import BOT, START_NS, committed, fill_of, order_id
from tests.watchdog.venue import BTCUSDT

S = 1_000_000_000
ONE = order_id(1)


def books_holding(quantity: str) -> Books:
    books = Books(overlap_ns=0)
    for event in (
        GenerationStarted(1, BOT, "paper", "main", START_NS),
        InstrumentDefined(BTCUSDT, START_NS),
        committed(ONE, quantity),
        OrderAccepted(ONE, "v1", Evidence.RESPONSE, START_NS),
        fill_of(ONE, "t1", quantity),
    ):
        books.apply(event, 0)
    return books


def state(btc: str, *, failed: str | None = None) -> VenueState:
    return VenueState("binance", 1, (), (), {"BTC": Balance(Decimal(btc), Decimal(0))}, failed, 10 * S)


def test_an_equal_first_look_ends_the_run_clean() -> None:
    run = Run(ReconcilerSettings())
    assert run.wanted() == LookNow(1)
    assert run.looked(state("1"), books_holding("1")) == Finished((), 0, 0, 0)
    assert not run.active


def test_a_difference_is_looked_at_again_and_again_and_only_the_last_look_makes_it_a_mismatch() -> None:
    run, books = Run(ReconcilerSettings()), books_holding("1")
    run.wanted()
    steps = [run.looked(state("0"), books) for _ in range(6)]
    assert [step.delay_s for step in steps if isinstance(step, LookLater)] == [0.5, 1, 2, 4, 8]
    assert steps[-1] == Finished(("the bot owns 1 BTC, the venue holds 0",), 0, 0, 0)


def test_a_difference_that_goes_away_leaves_a_clean_run() -> None:
    run, books = Run(ReconcilerSettings()), books_holding("1")
    run.wanted()
    run.looked(state("0"), books)
    assert run.looked(state("1"), books) == Finished((), 0, 0, 0)


def test_a_failed_look_is_repeated_with_growing_pauses_and_spends_no_looks() -> None:
    run, books = Run(ReconcilerSettings()), books_holding("1")
    run.wanted()
    steps = [run.looked(state("1", failed="timeout"), books) for _ in range(8)]
    assert [step.delay_s for step in steps if isinstance(step, LookLater)] == [1, 2, 4, 8, 16, 30, 30, 30]
    assert run.looks == 0
    assert isinstance(run.looked(state("1"), books), Finished)


def test_every_look_has_a_token_of_its_own() -> None:
    run, books = Run(ReconcilerSettings()), books_holding("1")
    tokens = [run.token]
    run.wanted()
    tokens.append(run.token)
    run.looked(state("0"), books)
    tokens.append(run.token)
    run.failed("timeout")
    tokens.append(run.token)
    run.broken_off()
    tokens.append(run.token)
    assert tokens == sorted(set(tokens))


def test_a_wish_during_a_run_makes_another_one() -> None:
    run = Run(ReconcilerSettings())
    assert run.wanted() is not None
    assert run.wanted() is None
    assert run.wanted_again
    run.looked(state("1"), books_holding("1"))
    assert run.wanted() is not None
    assert not run.wanted_again


def test_looks_that_could_not_prove_anything_are_refused() -> None:
    with pytest.raises(ValueError, match="settle_s"):
        evolve(ReconcilerSettings(), looks_max=3)
