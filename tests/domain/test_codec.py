"""Every kind of event comes back from the journal as it was, or not at all."""

from __future__ import annotations

import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tbot_actors.domain.codec import UnreadableEvent, decode_event, encode_event
from tbot_actors.domain.events import KINDS, Event
from tbot_actors.domain.latch import UNREADABLE, Latch, LatchUnreadable, decode_latch, encode_latch
from tests.domain.samples import any_event, committed, fill, texts, values


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_every_kind_of_event_comes_back_as_it_was(kind: str, data: st.DataObject) -> None:
    event = data.draw(values(KINDS[kind]))
    name, payload = encode_event(event)
    assert name == kind
    assert decode_event(name, payload) == event
    assert encode_event(decode_event(name, payload)) == (name, payload)


def test_every_event_has_a_kind() -> None:
    assert set(KINDS.values()) == set(get_args(Event))


def test_money_is_written_as_text_with_every_digit() -> None:
    _, payload = encode_event(fill("t1", price=Decimal("64000.10")))
    assert b'"price":"64000.10"' in payload


def test_the_same_event_gives_the_same_bytes_in_every_process() -> None:
    program = (
        "from tests.domain.samples import *; from tbot_actors.domain.codec import *; print(encode_event(committed()))"
    )
    for seed in ("1", "2"):
        command = [sys.executable, "-c", program]
        environment = {"PYTHONHASHSEED": seed, "PYTHONPATH": "."}
        done = subprocess.run(
            command, cwd=Path(__file__).parents[2], env=environment, capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == str(encode_event(committed()))


@given(any_event, st.data())
def test_damaged_bytes_are_another_event_or_unreadable_and_nothing_else(event: Event, data: st.DataObject) -> None:
    kind, payload = encode_event(event)
    at = data.draw(st.integers(0, len(payload) - 1))
    damaged = payload[:at] + bytes([data.draw(st.integers(0, 255))]) + payload[at + 1 :]
    try:
        decode_event(kind, damaged)
    except UnreadableEvent as error:
        assert kind in str(error)


@pytest.mark.parametrize(
    ("kind", "payload", "why"),
    [
        ("Unheard", b"{}", "another version"),
        ("Fill", b"{}", "missing"),
        ("Fill", b"", "does not decode"),
        ("OrderLost", b'{"client_id":"A1","why":1,"stamp_ns":2}', "str"),
        ("OrderLost", b'{"client_id":"\xff","why":"","stamp_ns":2}', "does not decode"),
    ],
)
def test_a_row_of_another_shape_is_unreadable(kind: str, payload: bytes, why: str) -> None:
    with pytest.raises(UnreadableEvent, match=why):
        decode_event(kind, payload)


# The latch is kept by the same means.

latches = st.builds(Latch, st.dictionaries(texts, st.lists(texts, min_size=1, max_size=3).map(tuple), max_size=3))


@given(latches)
def test_a_latch_comes_back_as_it_was(latch: Latch) -> None:
    assert decode_latch(encode_latch(latch)) == latch


def test_a_latch_never_written_is_open_and_an_unreadable_one_bars_all() -> None:
    assert decode_latch(None).bars("binance", "momentum") == ()
    assert UNREADABLE.bars("binance", "momentum") != ()
    for data in (b"", b"{", b"[]", b'{"causes":{"account":["\xff"]}}'):
        with pytest.raises(LatchUnreadable):
            decode_latch(data)


def test_a_latch_bars_its_scope_until_each_cause_is_cleared() -> None:
    latch = Latch().set("venue:binance", "MISMATCH").set("account", "DAILY_LOSS").set("account", "PERSON")
    assert latch.set("account", "PERSON") is latch
    assert latch.bars("binance", "m") == ("account: DAILY_LOSS", "account: PERSON", "venue:binance: MISMATCH")
    assert latch.bars("okx", "m") == ("account: DAILY_LOSS", "account: PERSON")
    left = latch.cleared("account", ("DAILY_LOSS",))
    assert left.bars("okx", "m") == ("account: PERSON",)
    assert left.cleared("account", ("PERSON",)).cleared("venue:binance", ("MISMATCH",)) == Latch()
    assert Latch().set("strategy:m", "PERSON").bars("binance", "other") == ()
