"""The two screens, on terminals in memory and on one whose reader has gone."""

from __future__ import annotations

import io
import os

import pytest

from tbot_actors.domain.events import PauseChanged
from tbot_actors.operator import LineScreen, LiveScreen, QuietTerminal
from tbot_actors.operator.picture import Picture
from tests.operator.samples import SECOND, START_NS, actor, filled, freed, order, picture, start, trading, tree

ENTER_SECOND_SCREEN, LEAVE_SECOND_SCREEN = "\x1b[?1049h", "\x1b[?1049l"
HIDE_CURSOR, SHOW_CURSOR = "\x1b[?25l", "\x1b[?25h"


def lines_of(*pictures: Picture) -> list[str]:
    out = io.StringIO()
    screen = LineScreen(QuietTerminal(file=out, width=20))
    for made in pictures:
        screen.show(made, tree())
    screen.close()
    return out.getvalue().splitlines()


def test_each_event_is_one_line_however_narrow_the_terminal() -> None:
    assert lines_of(picture(freed(), order(1)))[:3] == [
        "22:13:20 process start 1, paper account main",
        "22:13:20 account: new risk allowed",
        "22:13:21 momentum: buy 1 binance:BTCUSDT at 100 (A1)",
    ]


def test_an_event_is_printed_once() -> None:
    made = picture(freed(), order(1))
    lines = lines_of(made, made, picture(freed(), order(1), order(2)))
    assert len([line for line in lines if "(A1)" in line]) == 1
    assert len([line for line in lines if "(A2)" in line]) == 1


def test_a_console_that_restarts_repeats_nothing_and_leaves_nothing_out() -> None:
    before, after = picture(freed(), order(1)), picture(freed(), order(1), order(2))
    after.see(tree(), after.now_ns)
    after.see(tree(actor("core/risk", starts=2)), after.now_ns)
    lines = [line for line in lines_of(before, picture(whole=False), after) if " -- " not in line]
    assert [line.split(" ", 1)[1] for line in lines] == [
        "process start 1, paper account main",
        "account: new risk allowed",
        "momentum: buy 1 binance:BTCUSDT at 100 (A1)",
        "momentum: buy 1 binance:BTCUSDT at 100 (A2)",
        "core/risk started again, start 2",
    ]


def test_what_an_earlier_process_did_is_not_printed_as_if_it_happened_now() -> None:
    made = picture(freed(), order(1), start(2), PauseChanged("account", (), START_NS))
    assert not any("(A1)" in line for line in lines_of(made))
    assert lines_of(picture(order(1), whole=False))[0].endswith("restarts 0")


def test_text_is_not_read_as_markup() -> None:
    made = picture(freed())
    made.see(tree(), START_NS)
    made.see(tree(actor("core/risk", starts=2, error="KeyError('[red]x[/red]')")), START_NS)
    assert any("KeyError('[red]x[/red]')" in line for line in lines_of(made))


def test_a_status_line_comes_at_once_and_then_every_five_seconds() -> None:
    out = io.StringIO()
    screen = LineScreen(QuietTerminal(file=out))
    made, seen = trading(), tree()
    for second in range(11):
        screen.show(made, type(seen)(seen.root, second * SECOND, 0))
    statuses = [line for line in out.getvalue().splitlines() if " -- " in line]
    assert len(statuses) == 3
    assert statuses[0] == (
        "22:13:30 -- TRADING | equity 10,012.34 (today +12.34) | orders 1, fills 1, denied 0, open 1 "
        "| restarts 0 | binance:BTCUSDT 61764.47"
    )


def live(out: io.StringIO) -> LiveScreen:
    return LiveScreen(QuietTerminal(file=out, force_terminal=True, width=120, height=40))


def test_the_live_view_uses_the_second_screen_and_gives_the_terminal_back_as_it_was() -> None:
    out = io.StringIO()
    screen = live(out)
    screen.show(trading(), tree())
    assert ENTER_SECOND_SCREEN in out.getvalue()
    assert HIDE_CURSOR in out.getvalue()
    screen.close()
    screen.close()
    shown, _, after = out.getvalue().rpartition(LEAVE_SECOND_SCREEN)
    assert "61764.47" in shown
    assert SHOW_CURSOR in shown or SHOW_CURSOR in after
    assert out.getvalue().count(LEAVE_SECOND_SCREEN) == 1


def test_the_last_events_are_left_standing_below_the_command() -> None:
    out = io.StringIO()
    screen = live(out)
    made = picture(freed(), *(order(n) for n in range(20)), filled(1))
    screen.show(made, tree())
    screen.close()
    left = out.getvalue().rpartition(LEAVE_SECOND_SCREEN)[2]
    assert "filled at 100 (A1)" in left
    assert "(A19)" in left
    assert "(A2)" not in left


def test_closing_a_view_that_was_never_shown_says_nothing() -> None:
    out = io.StringIO()
    live(out).close()
    assert out.getvalue() == ""


def test_a_reader_that_has_gone_ends_neither_the_screen_nor_the_process() -> None:
    read, write = os.pipe()
    os.close(read)
    nobody = os.fdopen(write, "w", buffering=1)
    screen = LineScreen(QuietTerminal(file=nobody))
    for number in range(3):
        screen.show(picture(freed(), *(order(n) for n in range(number * 100))), tree())
    screen.close()
    # What is still buffered cannot be written.
    with pytest.raises(BrokenPipeError):
        nobody.close()


class Gone(io.StringIO):
    """A terminal that is closed under the view."""

    gone = False

    def write(self, text: str) -> int:
        if self.gone:
            raise OSError(5, "Input/output error")
        return super().write(text)


def test_a_terminal_that_is_gone_does_not_keep_the_bot_from_its_summary() -> None:
    out = Gone()
    screen = live(out)
    screen.show(trading(), tree())
    out.gone = True
    screen.close()
