"""A configuration in a few lines."""

from __future__ import annotations

from pathlib import Path

from attrs import evolve

from tbot_actors.cli.outline import outline
from tbot_actors.domain.messages import OnStop
from tbot_actors.settings import Mode, read_settings

PAPER = read_settings((Path(__file__).resolve().parents[2] / "config" / "paper.toml").read_text())


def test_it_says_who_trades_what_with_how_much_within_which_limits() -> None:
    assert outline(PAPER).splitlines() == [
        "         bot  TB0T, account main, state in var/paper",
        "        mode  paper, against a simulated exchange on this machine",
        "     on stop  cancels its orders and closes its positions",
        "       venue  binance: BTCUSDT",
        "    strategy  momentum: momentum on binance:BTCUSDT, capital 10,000",
        "    strategy  quoter: quoter on binance:BTCUSDT, capital 10,000",
        "       order  at most 5 % of its strategy's capital and 500",
        "    position  at most 10 % of 20,000 per instrument",
        "  daily loss  at 3 % everything is closed, and only a person resumes",
    ]


def test_a_limit_that_is_not_set_is_told_as_what_it_does() -> None:
    unlimited = evolve(PAPER, risk=evolve(PAPER.risk, order_max=None))
    assert "none that opens risk: risk.order_max is not set" in outline(unlimited)


def test_every_mode_and_every_stop_has_its_words() -> None:
    for mode in Mode:
        for on_stop in OnStop:
            assert outline(evolve(PAPER, bot=evolve(PAPER.bot, mode=mode, on_stop=on_stop)))
