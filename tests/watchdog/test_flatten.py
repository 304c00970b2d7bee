"""The flatten plan under attack: whatever is held and around it, the order is one that may be sent."""

from __future__ import annotations

from decimal import Decimal

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from tbot_actors.domain.instruments import Side, filter_violation
from tbot_actors.watchdog.flatten import Close, Holding, Rest, collar_of, plan_close
from tbot_actors.watchdog.settings import WatchdogSettings
from tests.watchdog.venue import BTCUSDT

SETTINGS = WatchdogSettings()
PERP = evolve(BTCUSDT, spot=False)


def holding(held: str, **more: object) -> Holding:
    usual = Holding("momentum", BTCUSDT, Decimal(held), Decimal(0), None, Decimal(100), Decimal(100), 0)
    return evolve(usual, **more)  # type: ignore[arg-type]


grid = st.integers(1, 10**9).map(lambda ticks: ticks * Decimal("0.01"))
amounts = st.decimals(Decimal("0.00000001"), Decimal(20_000), places=8)
instruments = st.builds(
    lambda spot, step, least, most, notional: evolve(
        BTCUSDT, spot=spot, step=step, quantity_min=least * step, quantity_max=most * step, notional_min=notional
    ),
    st.booleans(),
    st.sampled_from([Decimal("0.00001"), Decimal("0.001"), Decimal(1)]),
    st.integers(1, 10),
    st.integers(10, 10**7),
    st.sampled_from([Decimal(0), Decimal(5), Decimal(100)]),
)
holdings = st.builds(
    Holding,
    strategy=st.just("momentum"),
    instrument=instruments,
    held=st.one_of(amounts, amounts.map(lambda amount: -amount)),
    committed=st.one_of(st.just(Decimal(0)), amounts),
    free=st.one_of(st.none(), amounts, st.just(Decimal(0))),
    best=st.one_of(st.none(), grid),
    reference=st.one_of(st.none(), grid),
    attempt=st.integers(0, 100),
)


@given(holdings)
def test_an_order_never_closes_more_than_is_held_and_not_yet_committed(held: Holding) -> None:
    plan = plan_close(held, SETTINGS)
    if isinstance(plan, Close):
        assert Decimal(0) < plan.quantity <= abs(held.held) - held.committed
        if held.free is not None and plan.side is Side.SELL:
            assert plan.quantity <= held.free


@given(holdings)
def test_an_order_reduces_and_passes_the_venues_filters(held: Holding) -> None:
    plan = plan_close(held, SETTINGS)
    if isinstance(plan, Close):
        assert plan.side.sign * held.held < 0
        assert filter_violation(held.instrument, plan.quantity, plan.price, plan.price) is None


@given(holdings)
def test_an_order_meets_the_best_price_and_goes_no_further_than_the_collar(held: Holding) -> None:
    plan = plan_close(held, SETTINGS)
    if isinstance(plan, Close):
        assert held.best is not None
        assert held.reference is not None
        collar = collar_of(held.attempt, SETTINGS)
        assert collar <= SETTINGS.collar_max
        if plan.side is Side.SELL:
            assert held.best * (1 - collar) <= plan.price <= held.best
            assert plan.price >= held.reference * (1 - SETTINGS.collar_max)
        else:
            assert held.best <= plan.price <= held.best * (1 + collar)
            assert plan.price <= held.reference * (1 + SETTINGS.collar_max)


@given(st.decimals(Decimal("0.00000001"), Decimal(100), places=8), grid, st.integers(0, 100))
def test_what_the_venue_would_take_is_closed_and_what_it_would_not_is_dust(
    held: Decimal, best: Decimal, attempt: int
) -> None:
    plan = plan_close(holding(str(held), best=best, reference=best, attempt=attempt), SETTINGS)
    if BTCUSDT.tradable(held, best):
        assert isinstance(plan, Close)
        assert plan.quantity == BTCUSDT.round_quantity(held)
    else:
        assert plan is Rest.DUST


@pytest.mark.parametrize(
    ("case", "plan"),
    [
        (holding("0.00000999"), Rest.DUST),
        (holding("0.04999"), Rest.DUST),
        (holding("1", committed=Decimal(1)), Rest.COMMITTED),
        (holding("1", committed=Decimal(2)), Rest.COMMITTED),
        (holding("1", free=Decimal("0.01")), Rest.SHORT),
        (holding("1", free=Decimal(-1)), Rest.SHORT),
        (holding("1", best=None), Rest.NO_PRICE),
        (holding("1", best=Decimal(94)), Rest.TOO_DEAR),
        (holding("-1"), Rest.OVERSOLD),
        (holding("-1", instrument=PERP, best=Decimal(106)), Rest.TOO_DEAR),
    ],
)
def test_why_nothing_is_sent_is_said(case: Holding, plan: Rest) -> None:
    assert plan_close(case, SETTINGS) is plan


def test_the_first_order_goes_half_a_percent_through_the_best_price() -> None:
    assert plan_close(holding("1.234567"), SETTINGS) == Close(
        "momentum", BTCUSDT, Side.SELL, Decimal("1.23456"), Decimal("99.5")
    )


def test_a_short_is_bought_back() -> None:
    assert plan_close(holding("-1", instrument=PERP), SETTINGS) == Close(
        "momentum", PERP, Side.BUY, Decimal(1), Decimal("100.5")
    )


def test_the_collar_doubles_up_to_its_widest() -> None:
    collars = [collar_of(attempt, SETTINGS) for attempt in range(6)]
    assert collars == [Decimal(text) for text in ("0.005", "0.010", "0.020", "0.040", "0.05", "0.05")]


def test_a_wide_collar_does_not_make_a_small_order_too_small_for_the_venue() -> None:
    # 0.052 at 100 is worth 5.2, at the widest collar's 95 only 4.94: below the venue's 5.
    plan = plan_close(holding("0.052", attempt=9), SETTINGS)
    assert isinstance(plan, Close)
    assert plan.price == Decimal("96.16")


def test_a_large_position_goes_in_orders_that_the_venue_takes() -> None:
    plan = plan_close(holding("10000", instrument=evolve(BTCUSDT, quantity_max=Decimal("9000.000005"))), SETTINGS)
    assert isinstance(plan, Close)
    assert plan.quantity == Decimal(9000)
