"""A pause is heard of twice, in either order, and the newer word counts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tbot_actors.domain.events import GenerationStarted, PauseChanged
from tbot_actors.risk.pauses import Pauses

START = GenerationStarted(1, "TB0T", "paper", "main", 1)


def change(stamp_ns: int, *causes: str, scope: str = "account") -> PauseChanged:
    return PauseChanged(scope, causes, stamp_ns)


def test_a_fresh_process_is_barred_until_it_has_reconciled() -> None:
    pauses = Pauses()
    assert pauses.bars("binance", "momentum") == ("account: NOT_RECONCILED",)
    pauses.read(START)
    pauses.read(change(2))
    assert pauses.bars("binance", "momentum") == ()
    pauses.read(GenerationStarted(2, "TB0T", "paper", "main", 3))
    assert pauses.causes("account") == ("NOT_RECONCILED",)


@pytest.mark.parametrize("journal_first", [True, False])
def test_the_word_and_its_copy_come_in_either_order(journal_first: bool) -> None:
    pauses = Pauses()
    pauses.read(START)
    set_, lift = change(5, "STALE_FEED"), change(6)
    for event in (set_, lift):
        for step in (pauses.read, pauses.told) if journal_first else (pauses.told, pauses.read):
            step(event)
        assert pauses.causes("account") == event.causes


def test_an_old_copy_does_not_undo_what_was_told_since() -> None:
    pauses = Pauses()
    pauses.read(START)
    for event in (change(5), change(6, "MISMATCH")):
        pauses.told(event)
    pauses.read(change(5))
    assert pauses.causes("account") == ("MISMATCH",)
    pauses.read(change(6, "MISMATCH"))
    pauses.read(change(7))
    assert pauses.causes("account") == ()


def test_an_old_word_does_not_undo_what_the_journal_says_since() -> None:
    pauses = Pauses()
    pauses.read(START)
    pauses.read(change(5))
    pauses.read(change(6, "MISMATCH"))
    pauses.told(change(5))
    assert pauses.causes("account") == ("MISMATCH",)


def test_what_was_told_survives_the_reading_of_history() -> None:
    """A restart of risk: the pause is told while the journal, which does not have it yet, is still being read."""
    pauses = Pauses()
    pauses.told(change(100, "PERSON"))
    for event in (START, change(2), GenerationStarted(2, "TB0T", "paper", "main", 50), change(60)):
        pauses.read(event)
    assert pauses.causes("account") == ("PERSON",)


def test_a_clock_that_steps_back_does_not_hide_a_pause() -> None:
    pauses = Pauses()
    pauses.read(START)
    pauses.read(change(1_000))
    pauses.told(change(10, "STREAM_DOWN"))
    pauses.read(change(10, "STREAM_DOWN"))
    assert pauses.causes("account") == ("STREAM_DOWN",)


def test_a_clock_that_stepped_back_between_two_processes_does_not_either() -> None:
    pauses = Pauses()
    for event in (START, change(1_000), GenerationStarted(2, "TB0T", "paper", "main", 500), change(501)):
        pauses.read(event)
    pauses.read(GenerationStarted(3, "TB0T", "paper", "main", 100))
    pauses.told(change(110, "PERSON"))
    assert pauses.causes("account") == ("PERSON",)


def test_scopes_are_apart() -> None:
    pauses = Pauses()
    pauses.read(START)
    pauses.read(change(2))
    pauses.told(change(3, "STALE_FEED", scope="venue:binance"))
    pauses.read(change(4, "PERSON", "DAILY_LOSS", scope="strategy:momentum"))
    assert pauses.bars("binance", "quoter") == ("venue:binance: STALE_FEED",)
    assert pauses.bars("okx", "momentum") == ("strategy:momentum: PERSON", "strategy:momentum: DAILY_LOSS")


@given(st.lists(st.booleans(), min_size=1, max_size=8), st.lists(st.booleans(), max_size=20))
def test_in_whatever_way_words_and_copies_mix_the_last_one_stands(barred: list[bool], turns: list[bool]) -> None:
    changes = [change(10 + index, *(("MISMATCH",) if bar else ())) for index, bar in enumerate(barred)]
    pauses = Pauses()
    pauses.read(START)
    words, copies = list(changes), list(changes)
    for told in [*turns, *[True] * len(changes), *[False] * len(changes)]:
        queue = words if told else copies
        if queue:
            event = queue.pop(0)
            (pauses.told if told else pauses.read)(event)
            newest = changes[max(len(changes) - len(words), len(changes) - len(copies)) - 1]
            assert pauses.causes("account") == newest.causes
