"""Ids of ours are unlike any other, fit every venue, and are told from foreign ones."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tbot_actors.domain.ids import ClientId, ClientIds, Sender, check_bot_tag, parse_client_id

senders = st.sampled_from(Sender)
generations = st.integers(0, 32**5 - 1)
sequences = st.integers(0, 32**7 - 1)


@given(senders, generations, sequences)
def test_an_id_is_at_most_18_letters_and_digits_and_tells_its_parts(
    sender: Sender, generation: int, count: int
) -> None:
    parts = ClientId("MMMM", sender, generation, count)
    assert re.fullmatch(r"[0-9A-Z]{1,18}", str(parts))
    assert parse_client_id(str(parts), "MMMM") == parts


@given(senders, generations, sequences)
def test_an_id_of_another_bot_is_foreign(sender: Sender, generation: int, sequence: int) -> None:
    assert parse_client_id(str(ClientId("MMMM", sender, generation, sequence)), "NNNN") is None


@given(st.text(max_size=20))
def test_any_other_text_is_foreign_or_reads_back_as_itself(text: str) -> None:
    for candidate in (text, f"MMMM{text}", f"MMMMA{text}"):
        parts = parse_client_id(candidate, "MMMM")
        assert parts is None or str(parts) == candidate


def test_ids_are_given_once_and_in_order() -> None:
    ids = ClientIds("MMMM", Sender.ORDERS, 3)
    assert [ids.next() for _ in range(3)] == ["MMMMA000030000001", "MMMMA000030000002", "MMMMA000030000003"]


def test_a_restarted_sender_goes_on_behind_what_it_gave() -> None:
    ids = ClientIds("MMMM", Sender.ORDERS, 3)
    for known in ("MMMMA000030000007", "MMMMA000030000002"):
        ids.resume_after(known)
    assert ids.next() == "MMMMA000030000008"


@pytest.mark.parametrize("other", ["MMMMS000030000007", "MMMMA000020000007", "NNNNA000030000007", "web_1234", ""])
def test_ids_of_others_and_of_earlier_generations_do_not_move_the_count(other: str) -> None:
    ids = ClientIds("MMMM", Sender.ORDERS, 3)
    ids.resume_after(other)
    assert ids.next() == "MMMMA000030000001"


def test_numbers_that_do_not_fit_are_refused_rather_than_cut() -> None:
    for parts in (ClientId("MMMM", Sender.CLI, 32**5, 1), ClientId("MMMM", Sender.CLI, 1, 32**7)):
        with pytest.raises(ValueError, match="does not fit"):
            str(parts)


@pytest.mark.parametrize("tag", ["", "MMM", "MMMMM", "mmmm", "MM-M", "MMIM", "MMM "])
def test_a_bot_tag_is_four_of_the_letters_that_cannot_be_mistaken(tag: str) -> None:
    assert check_bot_tag("M1ZQ") == "M1ZQ"
    with pytest.raises(ValueError, match="a bot tag is 4 characters"):
        check_bot_tag(tag)
