"""A local book is the venue's book, or says that it is not."""

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tbot_actors.domain.instruments import Side
from tbot_actors.domain.market import DepthDiff
from tbot_actors.feeds.book import OLD_IN_A_ROW_MAX, LocalBook, Step
from tests.feeds.market import Venue, best, diff, levels, snapshot


def in_sync(update: int = 10) -> LocalBook:
    """Bids at 100 and 99, asks at 101 and 102."""
    book = LocalBook()
    assert book.load(snapshot(update, {100: 1, 99: 2}, {101: 1, 102: 2}))
    return book


def test_a_book_without_a_snapshot_shows_nothing() -> None:
    book = LocalBook()
    assert book.apply(diff(1, 2, {100: 1}, {101: 1})) is Step.KEPT
    assert (book.synced, book.wants_snapshot, book.top(), book.bids(5), book.asks(5)) == (False, True, None, (), ())


def test_diffs_that_waited_are_applied_on_the_snapshot_but_for_those_it_contains() -> None:
    book = LocalBook()
    for waiting in (diff(1, 3, {90: 9}), diff(4, 6, {100: 5}), diff(7, 8, {99: 0})):
        book.apply(waiting)
    assert book.load(snapshot(5, {100: 1, 99: 2}, {101: 1}))
    assert book.last_update == 8
    assert book.bids(9) == levels({100: 5})
    assert book.top() == best(100, 5, 101, 1)


def test_quantities_are_totals_and_zero_removes_a_level_whether_it_is_there_or_not() -> None:
    book = in_sync()
    assert book.apply(diff(11, 12, {100: 7, 98: 3, 50: 0}, {101: 0, "101.5": 4})) is Step.APPLIED
    assert book.bids(9) == levels({100: 7, 99: 2, 98: 3})
    assert book.asks(9) == levels({"101.5": 4, 102: 2})
    assert book.asks(1) == levels({"101.5": 4})


@pytest.mark.parametrize(
    ("snapshot_update", "first", "serves"),
    [
        (9, diff(11, 12), False),
        (10, diff(11, 12), True),
        (11, diff(11, 12), True),
        (12, diff(11, 12), True),
        (13, diff(11, 12), True),
        (9, diff(15, 20, previous=10), False),
        (10, diff(15, 20, previous=10), True),
        (12, diff(15, 20, previous=10), True),
        (20, diff(15, 20, previous=10), True),
    ],
)
def test_a_snapshot_serves_if_nothing_lies_between_it_and_the_first_diff(
    snapshot_update: int, first: DepthDiff, serves: bool
) -> None:
    early, late = LocalBook(), LocalBook()
    early.apply(first)
    assert early.load(snapshot(snapshot_update)) is serves
    assert early.wants_snapshot is not serves
    late.load(snapshot(snapshot_update))
    late.apply(first)
    assert late.synced is serves


@pytest.mark.parametrize(
    ("following", "step"),
    [
        (diff(21, 25), Step.APPLIED),
        (diff(22, 25), Step.LOST),
        (diff(20, 25), Step.LOST),
        (diff(11, 20), Step.DROPPED),
        (diff(3, 4), Step.DROPPED),
        (diff(99, 120, previous=20), Step.APPLIED),
        (diff(21, 25, previous=21), Step.LOST),
        (diff(21, 25, previous=19), Step.LOST),
        (diff(11, 20, previous=8), Step.DROPPED),
    ],
)
def test_each_diff_after_the_first_continues_the_one_before_it(following: DepthDiff, step: Step) -> None:
    book = in_sync()
    book.apply(diff(11, 20))
    assert book.apply(following) is step
    assert book.synced is (step is not Step.LOST)
    assert book.gaps == (step is Step.LOST)


def test_the_diff_behind_a_gap_waits_for_the_new_snapshot() -> None:
    book = in_sync()
    assert book.apply(diff(15, 16, {100: 6})) is Step.LOST
    assert book.apply(diff(17, 17, {99: 7})) is Step.KEPT
    assert not book.load(snapshot(12))
    assert book.why_not == "a snapshot of update 12 is too old for diffs from 15 on"
    assert book.load(snapshot(14, {100: 1, 99: 1}))
    assert (book.last_update, book.bids(2), book.losses) == (17, levels({100: 6, 99: 7}), 1)


def test_a_snapshot_older_than_the_book_changes_nothing() -> None:
    book = in_sync()
    book.apply(diff(11, 12, {100: 9}))
    assert not book.load(snapshot(11))
    assert (book.synced, book.last_update, book.top()) == (True, 12, best(100, 9, 101, 1))


def test_of_diffs_that_wait_with_a_gap_between_them_those_behind_it_serve() -> None:
    book = LocalBook()
    for waiting in (diff(1, 3), diff(5, 6, {100: 6})):
        book.apply(waiting)
    assert not book.load(snapshot(2))
    assert book.load(snapshot(4))
    assert book.bids(1) == levels({100: 6})


@pytest.mark.parametrize("ask", [99, 100])
def test_a_crossed_book_is_not_believed(ask: int) -> None:
    book = in_sync()
    assert book.apply(diff(11, 12, {}, {ask: 1})) is Step.LOST
    assert (book.top(), book.crossings, book.wants_snapshot) == (None, 1, True)
    assert not book.load(snapshot(12, {100: 1}, {ask: 1}))
    assert book.load(snapshot(12, {98: 1}, {ask: 1}))


def test_an_empty_side_has_no_top_but_is_a_book() -> None:
    book = in_sync()
    assert book.apply(diff(11, 12, {100: 0, 99: 0})) is Step.APPLIED
    assert (book.synced, book.top(), book.bids(5), len(book.asks(5))) == (True, None, (), 2)


def test_a_book_keeps_to_its_bound_and_never_shows_levels_with_a_gap_before_them() -> None:
    book = LocalBook(levels_max=4, whole_below=4)
    book.load(snapshot(1, {100: 1, 99: 1, 98: 1}, {101: 1}))
    book.apply(diff(2, 2, {97: 1, 96: 1, 95: 1}))
    assert book.bids(9) == levels({100: 1, 99: 1, 98: 1, 97: 1})
    book.apply(diff(3, 3, {99: 0, 98: 0, 94: 1}))
    assert book.bids(9) == levels({100: 1, 97: 1}), "96 and 95 are forgotten, so 94 is not the next one"
    assert book.apply(diff(4, 4, {100: 0, 97: 0})) is Step.LOST


def test_a_new_snapshot_is_due_when_half_of_the_last_one_is_used_up_and_the_book_goes_on_meanwhile() -> None:
    book = LocalBook(whole_below=4)
    book.load(snapshot(1, {100: 1, 99: 1, 98: 1, 97: 1}, {101: 1}))
    book.apply(diff(2, 2, {100: 0, 99: 0}))
    assert not book.wants_snapshot
    book.apply(diff(3, 3, {98: 0}))
    assert (book.wants_snapshot, book.synced, book.top()) == (True, True, best(97, 1, 101, 1))
    book.apply(diff(4, 4, {"97.5": 2}))
    book.apply(diff(5, 5, {95: 5}))
    assert not book.load(snapshot(2, {97: 1, 96: 1, 95: 1, 94: 1})), "older than the diffs that were kept"
    assert book.synced
    assert book.load(snapshot(4, {"97.5": 2, 97: 1, 96: 1, 95: 1}))
    assert (book.wants_snapshot, book.last_update, book.losses) == (False, 5, 0)
    assert book.bids(9) == levels({"97.5": 2, 97: 1, 96: 1, 95: 5})


def test_beyond_what_the_snapshot_covered_nothing_is_believed() -> None:
    book = LocalBook(whole_below=2)
    book.load(snapshot(1, {100: 1, 99: 1}, {101: 1}))
    assert book.apply(diff(2, 2, {100: 0, 99: 0, 98: 1})) is Step.LOST
    assert book.why_not == "the top is beyond what the snapshot covered"


def test_a_venue_that_counts_anew_is_noticed() -> None:
    book = in_sync(5_000)
    steps = [book.apply(diff(number, number)) for number in range(1, OLD_IN_A_ROW_MAX + 2)]
    assert steps == [Step.DROPPED] * OLD_IN_A_ROW_MAX + [Step.LOST]
    assert book.load(snapshot(OLD_IN_A_ROW_MAX))
    assert book.last_update == OLD_IN_A_ROW_MAX + 1


def test_a_venue_that_counts_anew_while_a_snapshot_is_awaited_is_noticed() -> None:
    book = LocalBook()
    book.apply(diff(5_000, 5_001))
    for number in range(1, OLD_IN_A_ROW_MAX + 3):
        book.apply(diff(number, number))
    assert book.load(snapshot(OLD_IN_A_ROW_MAX + 1))
    assert book.last_update == OLD_IN_A_ROW_MAX + 2


def test_what_waits_is_bounded() -> None:
    book = LocalBook(diffs_waiting_max=3)
    for number in range(1, 6):
        book.apply(diff(number, number))
    assert not book.load(snapshot(1))
    assert book.load(snapshot(2))


changes = st.tuples(st.sampled_from(Side), st.integers(90, 111), st.integers(0, 3))
deliveries = st.sampled_from(["deliver"] * 3 + ["lose", "repeat", "swap", "old snapshot", "snapshot"])


@settings(max_examples=300)
@given(st.data(), st.booleans(), st.sampled_from([3, 8, 1_000]), st.sampled_from([5, 1_000]))
def test_whatever_happens_on_the_way_a_synced_book_is_the_venues(
    data: st.DataObject, futures: bool, depth: int, levels_max: int
) -> None:
    """Diffs are lost, repeated and swapped, snapshots of any age come at any time: right, or out of sync."""
    venue = Venue(futures=futures)
    book = LocalBook(levels_max=levels_max, whole_below=min(depth, levels_max), diffs_waiting_max=4)
    way: list[DepthDiff] = []
    for _ in range(data.draw(st.integers(1, 40), label="rounds")):
        for side, price, quantity in data.draw(st.lists(changes, max_size=3)):
            venue.change(side, price, quantity)
        made = venue.flush()
        what = data.draw(deliveries)
        if made is not None:
            way.append(made)
        if what == "lose" and way:
            way.pop(0)
        elif what == "swap":
            way.reverse()
        elif what == "snapshot":
            book.load(venue.snapshot(venue.update, depth))
        elif what == "old snapshot":
            book.load(venue.snapshot(data.draw(st.sampled_from(sorted(venue.history))), depth))
        while way and what not in ("lose", "swap"):
            book.apply(way[0])
            if what == "repeat":
                book.apply(way[0])
            way.pop(0)
        is_the_venues(book, venue)
    # However it got here: diffs without a fault and one new snapshot bring it back.
    for unseen in way:
        book.apply(unseen)
    venue.change(Side.BUY, 80, 1)
    made = venue.flush()
    assert made is not None
    book.apply(made)
    if book.wants_snapshot:
        assert book.load(venue.snapshot(venue.update, depth))
    assert book.synced
    assert book.last_update == venue.update
    is_the_venues(book, venue)


def is_the_venues(book: LocalBook, venue: Venue) -> None:
    """What it shows is what the venue had at the book's update, from the top on without a gap."""
    if not book.synced:
        assert book.top() is None
        return
    bids, asks = (dict(side) for side in venue.history[book.last_update])
    shown_bids, shown_asks = book.bids(1_000), book.asks(1_000)
    assert shown_bids == levels({price: bids[price] for price in sorted(bids, reverse=True)})[: len(shown_bids)]
    assert shown_asks == levels({price: asks[price] for price in sorted(asks)})[: len(shown_asks)]
    if bids and asks:
        assert book.top() == (
            (Decimal(max(bids)), Decimal(bids[max(bids)])),
            (Decimal(min(asks)), Decimal(asks[min(asks)])),
        )
    else:
        assert book.top() is None
