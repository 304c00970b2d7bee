"""What a run ends with, for a script and for a person."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from pathlib import Path

import pytest
from attrs import evolve

from tbot_actors.cli.exits import Exit
from tbot_actors.cli.summary import Summary, take_books, take_stop, take_tree
from tbot_actors.domain.instruments import InstrumentId
from tbot_actors.domain.inventory import Position
from tbot_actors.domain.messages import OnStop, StopReport
from tests.domain.samples import BTC
from tests.operator.samples import actor, books, tree

README = (Path(__file__).resolve().parents[2] / "README.md").read_text()

GOOD = Summary(
    ticks=2039,
    orders=275,
    fills=116,
    denied=61,
    restarts=2,
    open_orders=0,
    positions={"binance:BTCUSDT": "0.00000331"},
    equity="19984.86102333",
    reconciled=True,
    flat=True,
    journal_events=1657,
    journal_verified=True,
)


def test_a_person_reads_what_was_done_and_what_is_left() -> None:
    assert GOOD.as_text([]).splitlines() == [
        "     trading  275 orders, 116 fills, 61 denied",
        "      market  2039 messages",
        "      equity  19,984.86",
        "at the venue  0 open orders, 0 stops",
        "   inventory  0.00000331 binance:BTCUSDT (flat)",
        "      actors  2 restarts, 0 dead letters",
        "     journal  1657 events, verified, reconciled",
    ]


def test_what_is_wrong_stands_last() -> None:
    bad = evolve(GOOD, open_orders=2, flat=False, journal_verified=False, notes=["the venue was slow"])
    *_, journal, note, orders, flat, verified = bad.as_text(bad.faults(OnStop.FLATTEN)).splitlines()
    assert "NOT VERIFIED" in journal
    assert note == "        note  the venue was slow"
    assert orders.startswith("       WRONG  2 orders of ours are still open")
    assert "not flat" in flat
    assert "`tbot journal verify`" in verified


def test_a_run_without_faults_is_all_well() -> None:
    assert GOOD.faults(OnStop.FLATTEN) == []
    assert evolve(GOOD, flat=False).faults(OnStop.KEEP) == [], "what is to be kept need not be flat"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"open_orders": None, "flat": False}, "nobody confirmed"),
        ({"open_orders": 1}, "still open"),
        ({"flat": False}, "not flat"),
        ({"reconciled": False}, "not found equal"),
        ({"equity": None}, "books did not answer"),
        ({"journal_verified": False}, "not as it was written"),
    ],
)
def test_each_fault_is_one_line_that_says_what_to_do_or_what_is_missing(changes: dict[str, object], words: str) -> None:
    (fault,) = evolve(GOOD, **changes).faults(OnStop.FLATTEN)  # type: ignore[arg-type]
    assert words in fault


def test_a_summary_of_nothing_reads_too() -> None:
    text = Summary().as_text(Summary().faults(OnStop.FLATTEN))
    assert "not known open orders" in text
    assert "inventory  none" in text


def test_the_json_in_the_readme_has_the_keys_of_the_summary() -> None:
    example = re.search(r"```json\n(.*?)```", README, re.DOTALL)
    assert example is not None
    assert list(json.loads(example[1])) == list(GOOD.as_json())
    assert json.loads(json.dumps(GOOD.as_json())) == GOOD.as_json()


def test_the_exit_codes_in_the_readme_are_those_of_the_command() -> None:
    told = re.search(r"Exit codes: (.*?)\n\n", README, re.DOTALL)
    assert told is not None
    codes = re.findall(r"(?:^|· )(\d+) ", told[1].replace("\n", " "))
    assert sorted(map(int, codes)) == sorted(Exit)


def test_restarts_and_dead_letters_are_those_of_the_tree() -> None:
    summary = Summary()
    take_tree(summary, tree(actor("core/risk", starts=3), dead_letters=4))
    assert (summary.restarts, summary.dead_letters) == (2, 4)


def test_what_the_stop_protocol_reports_is_taken_over() -> None:
    summary = Summary()
    take_stop(summary, StopReport(False, 2, {BTC: Decimal(1)}, "the venue did not answer"))
    assert (summary.flat, summary.open_orders, summary.notes) == (False, 2, ["the venue did not answer"])


def test_positions_are_summed_over_strategies() -> None:
    state = books("10000", "100", quantity="0.1")
    eth = InstrumentId("binance:ETHUSDT")
    positions = {**state.positions, ("quoter", BTC): Position(Decimal("-0.04")), ("quoter", eth): Position(Decimal(2))}
    summary = Summary()
    take_books(summary, evolve(state, positions=positions))
    assert summary.positions == {"binance:BTCUSDT": "0.06", "binance:ETHUSDT": "2"}
    assert summary.equity == "10000.00000000"
