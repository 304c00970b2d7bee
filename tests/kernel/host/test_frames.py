"""Frames and vocabularies: whatever is cut anywhere comes out whole, and what is no frame is refused."""

from __future__ import annotations

from decimal import Decimal

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tbot_actors.kernel.host import FRAME_MAX_BYTES, BadFrame, Vocabulary
from tbot_actors.kernel.host.frames import FrameCutter, FrameKind, frame

frames = st.tuples(st.sampled_from(FrameKind), st.integers(0, 2**32 - 1), st.binary(max_size=64))


@given(st.lists(frames, max_size=8), st.lists(st.integers(1, 20), max_size=100))
def test_frames_come_out_as_they_went_in_wherever_the_stream_is_cut(
    sent: list[tuple[FrameKind, int, bytes]], cuts: list[int]
) -> None:
    stream = b"".join(frame(*each) for each in sent)
    cutter, received = FrameCutter(), []
    for size in [*cuts, len(stream)]:
        received += cutter.feed(stream[:size])
        stream = stream[size:]
    assert received == sent
    assert cutter.pending == 0


@given(st.binary(max_size=200))
def test_any_bytes_are_frames_or_refused(data: bytes) -> None:
    cutter = FrameCutter(max_bytes=50)
    try:
        found = cutter.feed(data)
    except BadFrame:
        return
    assert b"".join(frame(*each) for each in found) + data[len(data) - cutter.pending :] == data
    assert cutter.pending <= 50 + 9


def test_a_frame_too_long_is_refused_before_it_has_come() -> None:
    with pytest.raises(BadFrame, match="at most"):
        FrameCutter().feed((FRAME_MAX_BYTES + 1).to_bytes(4, "big") + b"\x09\x00\x00\x00\x01")
    with pytest.raises(BadFrame, match="at most"):
        frame(FrameKind.DATA, 1, bytes(FRAME_MAX_BYTES + 1))


def test_control_is_what_is_not_data() -> None:
    assert {kind for kind in FrameKind if not kind.control} == {FrameKind.DATA, FrameKind.ANSWER}


@attrs.frozen
class Sum:
    amount: Decimal
    note: str | None = None


VOCABULARY = Vocabulary(Sum, Vocabulary)


def test_values_come_back_equal_and_none_needs_no_bytes() -> None:
    assert VOCABULARY.decode(VOCABULARY.encode(Sum(Decimal("1.10"), "x"))) == Sum(Decimal("1.10"), "x")
    assert VOCABULARY.encode(None) == b""
    assert VOCABULARY.decode(b"") is None


@given(st.binary(min_size=1, max_size=40))
def test_any_bytes_are_a_message_or_refused(data: bytes) -> None:
    vocabulary = Vocabulary(Sum)
    try:
        found = vocabulary.decode(data)
    except BadFrame:
        return
    assert isinstance(found, Sum)


def test_what_is_not_in_the_vocabulary_is_not_sent() -> None:
    with pytest.raises(TypeError, match="not in the vocabulary"):
        VOCABULARY.encode("text")
