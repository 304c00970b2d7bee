"""The live view, as it stands on terminals of several sizes."""

from __future__ import annotations

import re
from decimal import Decimal

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from tbot_actors.domain.events import OrderLost, PauseChanged
from tbot_actors.domain.instruments import InstrumentId
from tbot_actors.kernel import State, TreeSnapshot
from tbot_actors.operator.drawing import draw, restarts, status, status_style
from tbot_actors.operator.picture import Picture
from tests.domain.samples import BTC
from tests.operator.samples import (
    START_NS,
    actor,
    balance,
    freed,
    order,
    picture,
    quote,
    text_of,
    trading,
    tree,
)

SIZES = [(120, 40), (80, 24), (119, 30), (160, 24), (80, 60), (240, 70)]
WIDE = (120, 40)
NARROW = (80, 24)


def drawn(made: Picture, seen: TreeSnapshot | None = None, size: tuple[int, int] = WIDE) -> list[str]:
    return text_of(draw(made, seen or tree(), *size), *size)


def found(lines: list[str], *words: str) -> str:
    """The line in which all of these stand."""
    (line,) = [line for line in lines if all(word in line for word in words)]
    return line


@pytest.mark.parametrize("size", SIZES)
def test_it_fills_the_terminal_exactly(size: tuple[int, int]) -> None:
    lines = drawn(trading(), size=size)
    assert len(lines) == size[1]
    assert {len(line) for line in lines} == {size[0]}


@given(st.integers(1, 200), st.integers(1, 80), st.integers(0, 30))
def test_no_size_and_no_number_of_orders_makes_it_fail_or_overflow(width: int, height: int, orders: int) -> None:
    lines = drawn(trading(orders), size=(width, height))
    assert len(lines) <= max(height, 8)
    assert all(len(line) <= max(width, 1) for line in lines)


@pytest.mark.parametrize("size", SIZES)
def test_nothing_moves_when_orders_come_and_go(size: tuple[int, int]) -> None:
    def places(made: Picture) -> list[tuple[int, int]]:
        lines = drawn(made, size=size)
        words = ("market ", "positions ", "orders  ", "equity")
        return [(n, line.index(word)) for word in words for n, line in enumerate(lines) if word in line]

    assert places(trading(1)) == places(trading(2)) == places(trading(3)) == places(trading(9))


@pytest.mark.parametrize("size", SIZES)
def test_a_person_sees_money_prices_position_and_orders_at_any_size(size: tuple[int, int]) -> None:
    lines = drawn(trading(), size=size)
    assert "22:13:30 UTC, up 0:10" in found(lines, "TRADING")
    assert "equity 10,012.34  today +12.34 (+0.12 %)" in found(lines, "equity")
    assert "orders 1  fills 1  denied 0  open 1  restarts 0  dead letters 0" in found(lines, "denied")
    price = found(lines, "61764.48")
    assert re.search(r"binance:BTCUSDT +61764.47 +61764.48 +0.00 bp +0.3s", price)
    assert re.search(r"momentum +binance:BTCUSDT +0.1 +61700.00 +\+6.45 +\+5.89", found(lines, "61700.00"))
    assert re.search(r"momentum +key1 +buy +0.9 +100.00 partial +9.0s", found(lines, "partial"))
    assert "binance holds 0.1 BTC  99,640.55 USDT + 59.91 locked" in found(lines, "holds")
    assert "tbot paper main, start 1" in lines[0]


def test_a_wide_view_shows_every_actor_beside_the_books() -> None:
    lines = drawn(trading(), tree(actor("venues/binance/gateway", State.OUTAGE, 4)))
    assert re.search(r"journal +ready +1 +12.3k +3 │ binance:BTCUSDT", found(lines, "journal"))
    assert re.search(r"  gateway +outage +4 +12.3k", found(lines, "gateway"))
    assert not any("session" in line for line in lines), "a branch that only groups is no place of its own"


def test_a_small_view_names_only_the_actors_worth_a_look() -> None:
    lines = drawn(trading(), tree(actor("core/orders", State.BACKING_OFF, 2)), NARROW)
    assert "actors 10 of 11 ready  core/orders backing off" in found(lines, "actors ")
    assert "starts core/orders 2" in found(lines, "│ starts ")
    calm = drawn(trading(), size=NARROW)
    assert "actors 11 of 11 ready" in found(calm, "actors ")
    assert "starts all once" in found(calm, "│ starts ")


def test_a_high_narrow_view_has_room_for_every_actor() -> None:
    lines = drawn(trading(), size=(80, 60))
    assert re.search(r"  gateway +ready +1 +12.3k", found(lines, "gateway"))


def test_a_branch_that_gave_up_says_so() -> None:
    seen = tree()
    (strategies,) = [node for node in seen.root.children if node.path == "strategies"]
    gone = evolve(strategies, state=State.GONE)
    children = tuple(gone if node is strategies else node for node in seen.root.children)
    lines = drawn(trading(), TreeSnapshot(evolve(seen.root, children=children), 0, 0))
    assert "gone" in found(lines, "strategies ")


def test_before_anything_is_known_it_says_what_is_missing() -> None:
    lines = drawn(picture())
    assert found(lines, "equity -")
    assert found(lines, "no price yet")
    assert found(lines, "none yet")
    assert found(lines, "no balance told yet")
    assert found(lines, "NO NEW RISK  account: NOT_RECONCILED")


def test_while_the_journal_is_read_no_earlier_run_is_shown_as_this_one() -> None:
    lines = drawn(picture(freed(), order(1), whole=False))
    assert found(lines, "STARTING  the journal is being read")
    assert not any("momentum: buy" in line for line in lines)


@pytest.mark.parametrize(
    ("causes", "said", "style"),
    [
        ((), "TRADING", "green"),
        (("STALE_FEED", "MISMATCH"), "NO NEW RISK  account: STALE_FEED, MISMATCH", "yellow"),
        (("STOPPING",), "STOPPING  account: STOPPING", "yellow"),
        (("STOPPING", "LATCHED: PERSON_HALT"), "LATCHED  account: STOPPING, LATCHED: PERSON_HALT", "red"),
    ],
)
def test_the_header_says_why_no_new_risk_is_taken(causes: tuple[str, ...], said: str, style: str) -> None:
    made = picture(PauseChanged("account", causes, START_NS))
    assert status(made) == said
    assert status_style(made) == style
    assert said in found(drawn(made), "UTC, up")


def test_a_long_reason_is_cut_and_leaves_the_clock_alone() -> None:
    made = picture(*(PauseChanged(f"venue:number{n}", ("STALE_FEED",), START_NS) for n in range(9)))
    line = found(drawn(made, size=NARROW), "UTC, up 0:10")
    assert "…" in line


def test_more_orders_than_there_is_room_for_are_counted() -> None:
    lines = drawn(trading(9), size=NARROW)
    assert found(lines, "key9")
    assert found(lines, "… 7 more")


def test_more_of_everything_than_fits_is_counted() -> None:
    made = trading()
    for n in range(30):
        name = InstrumentId(f"binance:C{n}")
        made.quotes[name] = quote("1", "2", instrument=name)
    assert found(drawn(made, size=NARROW), "more")
    assert found(drawn(made, size=(120, 30)), "more")


def test_an_old_price_shows_its_age() -> None:
    made = trading()
    made.quotes[BTC] = quote("1.00", "1.01", age_s=400)
    assert "7m" in found(drawn(made), "1.01")


def test_a_long_event_is_cut_at_the_edge() -> None:
    lines = drawn(picture(freed(), order(0), OrderLost("A0", "x" * 400, START_NS)), size=NARROW)
    assert found(lines, "answer lost").endswith("… │")


def test_the_newest_events_stand_last_and_the_noise_does_not_hide_a_restart() -> None:
    made = trading()
    made.see(tree(), made.now_ns)
    made.see(tree(actor("core/risk", starts=2, error="Boom()")), made.now_ns)
    for number in range(100, 160):
        made.apply(number, order(number))
    for size in SIZES:
        lines = drawn(made, size=size)
        restart, newest = found(lines, "core/risk started again"), found(lines, "(A159)")
        assert lines.index(restart) < lines.index(newest) == len(lines) - 2


def test_dust_and_tiny_balances_are_shown_whole() -> None:
    made = trading()
    made.hear_balances("binance", {"BTC": balance("0.00000824", "0"), "OLD": balance("0", "0")})
    line = found(drawn(made), "holds")
    assert "0.00000824 BTC" in line
    assert "OLD" not in line


def test_restarts_are_the_starts_of_actors_beyond_the_first() -> None:
    assert restarts(tree()) == 0
    assert restarts(tree(actor("core/risk", starts=3), actor("journal", starts=2), actor("core/orders", starts=0))) == 3


def test_equity_has_a_course() -> None:
    made = trading()
    for n in range(5):
        made.equity.add(START_NS + n * 1_000_000_000, Decimal(n))
    assert "▁▂▄▆█" in found(drawn(made), "equity") or "▁▃▅▆█" in found(drawn(made), "equity")
