"""Strategies by name, and from a file of the user's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tbot_actors.strategies import Strategy, load_strategy
from tbot_actors.strategies.library.momentum import Momentum
from tbot_actors.strategies.library.quoter import Quoter
from tbot_actors.strategies.load import StrategyNotFound
from tests.domain.samples import BTC

MINE = """
from __future__ import annotations

from decimal import Decimal

from attrs import frozen

from tbot_actors.strategies import Strategy


@frozen
class MineParams:
    size: Decimal = Decimal(1)


class Mine(Strategy):
    Params = MineParams

    def candles_s(self) -> tuple[int, ...]:
        return ({seconds},)


class Other:
    pass
"""


def write(folder: Path, name: str, text: str) -> str:
    path = folder / name
    path.write_text(text)
    return str(path)


def test_the_library_is_known_by_name() -> None:
    assert load_strategy("momentum") is Momentum
    assert load_strategy("quoter") is Quoter


def test_a_file_of_the_users_own_is_loaded_and_two_do_not_meet(tmp_path: Path) -> None:
    found = []
    for seconds in (60, 300):
        path = write(tmp_path, f"mine{seconds}.py", MINE.replace("{seconds}", str(seconds)))
        mine = load_strategy(f"{path}:Mine")
        assert issubclass(mine, Strategy)
        found.append(mine(mine.Params(), (BTC,)).candles_s())
    assert found == [(60,), (300,)]


@pytest.mark.parametrize(
    ("text", "kind", "why"),
    [
        (None, "oracle", "oracle"),
        (None, "no/such/file.py:Mine", "does not exist"),
        (None, "no/python/file.txt:Mine", "no Python file"),
        (MINE, "FILE:Missing", "Missing"),
        (MINE, "FILE:Other", "Other"),
        ("def broken(:", "FILE:Mine", "SyntaxError"),
        ("import no_such_module_anywhere", "FILE:Mine", "no_such_module_anywhere"),
    ],
)
def test_what_leads_to_no_strategy_says_why(tmp_path: Path, text: str | None, kind: str, why: str) -> None:
    if text is not None:
        path = write(tmp_path, "mine.py", text.replace("{seconds}", "1"))
        kind = kind.replace("FILE", path)
    with pytest.raises(StrategyNotFound, match=why):
        load_strategy(kind)


def test_hooks_that_are_not_overridden_want_nothing() -> None:
    from tests.domain import samples
    from tests.strategies.views import candle, quote, view, with_order

    idle = Strategy(None, (BTC,))
    known = with_order(view(), "entry", "1", "100")
    order = known.orders["entry"]
    answers = [
        idle.on_quote(known, quote("100")),
        idle.on_candle(known, candle(1, "100")),
        idle.on_order(known, order),
        idle.on_fill(known, samples.fill("1")),
        idle.on_timer(known),
        idle.on_disconnect(known),
        idle.on_trading_disabled(known),
    ]
    assert answers == [()] * len(answers)
    assert idle.candles_s() == ()
    assert idle.snapshot() == {}
