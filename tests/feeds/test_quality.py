"""What is wrong is set aside, what is odd is flagged, and silence is judged by the instrument's own habits."""

import math
from decimal import Decimal

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from tbot_actors.domain.market import DepthDiff, MarketTrade, TopOfBook
from tbot_actors.feeds.quality import (
    Fault,
    Jumps,
    Silence,
    diff_fault,
    snapshot_fault,
    top_fault,
    trade_fault,
)
from tests.feeds.market import NS, START_NS, diff, snapshot, top, trade

Case = tuple[str | int, Fault]
BAD: list[Case] = [
    ("NaN", Fault.NOT_FINITE),
    ("sNaN", Fault.NOT_FINITE),
    ("Infinity", Fault.NOT_FINITE),
    (-1, Fault.NOT_POSITIVE),
]
ZERO: list[Case] = [(0, Fault.NOT_POSITIVE)]


@pytest.mark.parametrize(("number", "fault"), BAD + ZERO)
def test_a_trade_needs_a_price_and_a_quantity(number: str | int, fault: Fault) -> None:
    for bad in (trade(1, number), trade(1, 100, number)):
        assert trade_fault(bad, START_NS, NS, NS) is fault


@pytest.mark.parametrize(
    ("ahead_s", "fault"), [(-61, Fault.OLD), (-60, None), (0, None), (5, None), (5.1, Fault.FUTURE)]
)
def test_a_trade_is_stamped_about_now(ahead_s: float, fault: Fault | None) -> None:
    found = trade(1, stamp_ns=START_NS + int(ahead_s * NS))
    assert trade_fault(found, START_NS, 5 * NS, 60 * NS) is fault


@pytest.mark.parametrize(("number", "fault"), BAD + ZERO)
def test_best_prices_need_prices_and_quantities(number: str | int, fault: Fault) -> None:
    good, wrong = top(1), Decimal(str(number))
    one = Decimal(1)
    assert top_fault(good) is None
    for bad in (
        evolve(good, bid=(wrong, one)),
        evolve(good, bid=(Decimal(100), wrong)),
        evolve(good, ask=(Decimal(101), wrong)),
    ):
        assert top_fault(bad) is fault
    assert top_fault(evolve(good, ask=(wrong, one))) is fault


@pytest.mark.parametrize("ask", [100, 99])
def test_best_prices_that_cross_are_wrong(ask: int) -> None:
    assert top_fault(top(1, 100, ask)) is Fault.CROSSED


@pytest.mark.parametrize(("number", "fault"), BAD)
def test_a_diff_needs_finite_prices_and_quantities(number: str | int, fault: Fault) -> None:
    assert diff_fault(diff(1, 2, {100: 0}, {101: 5})) is None
    for bad in (diff(1, 2, {number: 1}), diff(1, 2, {100: number}), diff(1, 2, {}, {101: 1, number: 1})):
        assert diff_fault(bad) is fault


def test_a_diff_at_price_zero_or_that_ends_before_it_begins_is_wrong() -> None:
    assert diff_fault(diff(1, 2, {0: 1})) is Fault.NOT_POSITIVE
    assert diff_fault(diff(3, 2)) is Fault.DISORDERED


def test_a_snapshot_goes_from_the_best_level_to_the_worst() -> None:
    assert snapshot_fault(snapshot(1, {100: 1, 99: 1}, {101: 1, 102: 1})) is None
    assert snapshot_fault(snapshot(1, {99: 1, 100: 1})) is Fault.DISORDERED
    assert snapshot_fault(snapshot(1, {100: 1}, {102: 1, 101: 1})) is Fault.DISORDERED
    assert snapshot_fault(snapshot(1, {100: 1, "100.0": 2})) is Fault.DISORDERED
    assert snapshot_fault(snapshot(1, {101: 1}, {101: 1})) is Fault.CROSSED
    assert snapshot_fault(snapshot(1, {100: 0})) is Fault.NOT_POSITIVE
    assert snapshot_fault(snapshot(1, {"NaN": 1})) is Fault.NOT_FINITE


numbers = st.one_of(st.decimals(places=2), st.sampled_from([Decimal("sNaN"), Decimal("-0"), Decimal("Infinity")]))


@given(st.lists(numbers, min_size=4, max_size=4))
def test_no_number_whatever_gets_past_or_breaks_the_checks(found: list[Decimal]) -> None:
    bid, bid_quantity, ask, ask_quantity = found
    good = all(map(sound, found))
    said = TopOfBook(top(1).instrument, 1, (bid, bid_quantity), (ask, ask_quantity), 0)
    assert (top_fault(said) is None) is (good and bid < ask)
    changed = DepthDiff(said.instrument, 1, 1, None, ((bid, bid_quantity),), ((ask, ask_quantity),), 0)
    totals = all(number.is_finite() and number >= 0 for number in (bid_quantity, ask_quantity))
    assert (diff_fault(changed) is None) is (sound(bid) and sound(ask) and totals)
    traded: MarketTrade = evolve(trade(1), price=bid, quantity=bid_quantity)
    assert (trade_fault(traded, START_NS, NS, NS) is None) is (sound(bid) and sound(bid_quantity))


def sound(number: Decimal) -> bool:
    return number.is_finite() and number > 0 and math.isfinite(number)


def test_a_jump_is_flagged_once_and_then_it_is_the_price() -> None:
    jumps = Jumps(Decimal("0.1"))
    assert [jumps.odd(Decimal(price)) for price in (100, 109, 111, 130, 131, 100)] == [
        False, False, False, True, False, True,
    ]  # fmt: skip


def silence(window_s: int = 100) -> Silence:
    return Silence(0, min_ns=5 * NS, max_ns=60 * NS, factor=3.0, window_ns=window_s * NS)


def test_a_busy_instrument_is_stale_after_the_least_time() -> None:
    quiet = silence()
    for tenth in range(1, 50):
        quiet.heard(tenth * NS // 10)
    assert not quiet.stale(49 * NS // 10 + 5 * NS)
    assert quiet.stale(49 * NS // 10 + 5 * NS + 1)


def test_a_quiet_instrument_is_stale_after_three_times_its_own_quiet_interval() -> None:
    quiet = silence()
    for second in (4, 8, 12):
        quiet.heard(second * NS)
    assert quiet.threshold_ns == 12 * NS
    assert not quiet.stale(24 * NS)
    assert quiet.stale(24 * NS + 1)


def test_a_quiet_interval_is_forgotten_after_two_windows() -> None:
    quiet = silence(window_s=10)
    quiet.heard(4 * NS)
    for second in range(5, 20):
        quiet.heard(second * NS)
    assert quiet.threshold_ns == 12 * NS
    for second in range(20, 32):
        quiet.heard(second * NS)
    assert quiet.threshold_ns == 5 * NS


def test_an_outage_widens_the_threshold_only_step_by_step_and_never_beyond_its_bound() -> None:
    quiet, now_s = silence(window_s=10_000), 0
    thresholds = []
    for _ in range(4):
        now_s += 300
        quiet.heard(now_s * NS)
        thresholds.append(quiet.threshold_ns // NS)
    assert thresholds == [15, 45, 60, 60]
