"""From where trades are read again at the venue."""

from __future__ import annotations

from attrs import evolve

from tbot_actors.domain.events import InstrumentDefined
from tbot_actors.watchdog.books import Books
from tests.watchdog.house import START_NS, committed, fill_of, order_id
from tests.watchdog.venue import BTC, BTCUSDT

MINUTE = 60 * 1_000_000_000


def books_with(*fills: tuple[str, int]) -> Books:
    """Trade ids and the minutes of their stamps, in journal order."""
    books = Books()
    books.apply(InstrumentDefined(BTCUSDT, START_NS))
    books.apply(committed(order_id(1), "100"))
    for trade_id, minute in fills:
        books.apply(evolve(fill_of(order_id(1), trade_id, "1"), stamp_ns=minute * MINUTE))
    return books


def test_trades_are_read_from_the_newest_that_is_old_enough() -> None:
    books = books_with(("1", 1), ("5", 5), ("3", 3), ("20", 20))
    assert books.trades_after(BTC, 10 * MINUTE) == "5"
    assert books.trades_after(BTC, 5 * MINUTE) == "5"
    assert books.trades_after(BTC, 4 * MINUTE) == "3"


def test_where_none_is_old_enough_they_are_read_from_the_oldest_known() -> None:
    assert books_with(("5", 5), ("3", 3)).trades_after(BTC, MINUTE) == "3"
    assert books_with().trades_after(BTC, MINUTE) is None
