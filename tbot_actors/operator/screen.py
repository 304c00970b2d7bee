"""Two ways to show the picture: a live view for a terminal, plain lines for everything else."""

from itertools import islice
from typing import Protocol

from rich.console import Console as Terminal
from rich.live import Live

from tbot_actors.domain.money import plain
from tbot_actors.kernel import TreeSnapshot
from tbot_actors.operator.drawing import draw, restarts, status
from tbot_actors.operator.figures import clock, money
from tbot_actors.operator.picture import Line, Picture

STATUS_EVERY_S = 5.0
EVENTS_LEFT = 10
QUOTES_MAX = 3
_NS = 1_000_000_000


class Screen(Protocol):
    """Where the picture goes."""

    period_s: float
    """How often it wants one."""

    def show(self, picture: Picture, tree: TreeSnapshot) -> None:
        """Show this now."""

    def close(self) -> None:
        """Give the terminal back. Idempotent; raises nothing, also where there is no terminal any more."""


class LiveScreen:
    """A full-screen view that redraws itself in place, on the terminal's second screen: the first comes back unharmed.

    Whatever else is written to the terminal meanwhile would tear it: logs and prints belong elsewhere.
    """

    period_s = 0.25

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._live = Live(
            console=terminal, screen=True, auto_refresh=False, redirect_stdout=False, redirect_stderr=False
        )
        self._last: list[Line] = []

    def show(self, picture: Picture, tree: TreeSnapshot) -> None:
        """Redraw."""
        if not self._live.is_started:
            self._live.start()
        width, height = self._terminal.size
        self._live.update(draw(picture, tree, width, height), refresh=True)
        self._last = list(picture.lines)[-EVENTS_LEFT:]

    def close(self) -> None:
        """Leave the last events standing."""
        try:
            if self._live.is_started:
                # Where the terminal was resized meanwhile, some leave parts of the second screen on the first.
                self._terminal.clear()
                self._live.stop()
                for line in self._last:
                    _print(self._terminal, line_text(line))
        except OSError:
            pass  # the terminal is gone; there is nobody to tell
        self._last = []


class LineScreen:
    """One line per event, and a status line every few seconds."""

    period_s = 0.5

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._place = (0, 0)
        self._status_ns: int | None = None

    def show(self, picture: Picture, tree: TreeSnapshot) -> None:
        """Print what is new."""
        for line in picture.lines if picture.whole else ():
            if line.place > self._place:
                self._place = line.place
                _print(self._terminal, line_text(line))
        if self._status_ns is None or tree.at_ns - self._status_ns >= STATUS_EVERY_S * _NS:
            self._status_ns = tree.at_ns
            _print(self._terminal, f"{clock(picture.now_ns)} -- {status_line(picture, tree)}")

    def close(self) -> None:
        """Nothing to give back."""


def line_text(line: Line) -> str:
    """An event with its time, UTC."""
    return f"{clock(line.stamp_ns)} {line.text}"


def status_line(picture: Picture, tree: TreeSnapshot) -> str:
    """Everything in one line."""
    books = picture.books
    equity = "equity -" if books is None else f"equity {money(books.equity)} (today {books.day_profit:+,.2f})"
    working = len(picture.blotter.working)
    counts = f"orders {picture.orders}, fills {picture.fills}, denied {picture.denied}, open {working}"
    quotes = [f"{name} {plain(quote.bid)}" for name, quote in islice(sorted(picture.quotes.items()), QUOTES_MAX)]
    return " | ".join((status(picture).replace("  ", ": "), equity, counts, f"restarts {restarts(tree)}", *quotes))


def _print(terminal: Terminal, text: str) -> None:
    terminal.print(text, highlight=False, markup=False, soft_wrap=True)
