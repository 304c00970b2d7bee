"""Two ways to show the picture: a live view for a terminal, plain lines for everything else."""

from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Protocol

from rich.console import Console as Terminal
from rich.console import Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from tbot_actors.domain.messages import PortfolioState
from tbot_actors.domain.money import plain
from tbot_actors.kernel import NodeSnapshot, State, TreeSnapshot
from tbot_actors.operator.picture import Line, Picture

LINES_SHOWN = 8
STATUS_EVERY_S = 5.0
_STATE_STYLE = {State.READY: "green", State.RUNNING: "green", State.OUTAGE: "yellow", State.GONE: "red"}


class Screen(Protocol):
    """Where the picture goes."""

    period_s: float
    """How often it wants one."""

    def show(self, picture: Picture, tree: TreeSnapshot) -> None:
        """Show this now."""

    def close(self) -> None:
        """Give the terminal back. Idempotent."""


class LiveScreen:
    """A view that redraws itself in place: tree with states and restarts, positions, open orders, last events."""

    period_s = 0.25

    def __init__(self, terminal: Terminal) -> None:
        self._live = Live(console=terminal, auto_refresh=False, transient=False)

    def show(self, picture: Picture, tree: TreeSnapshot) -> None:
        """Redraw."""
        if not self._live.is_started:
            self._live.start()
        self._live.update(draw(picture, tree), refresh=True)

    def close(self) -> None:
        """Leave the last picture standing."""
        self._live.stop()


class LineScreen:
    """One line per event, and a status line every few seconds."""

    period_s = 0.5

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._told = 0
        self._status_ns = 0

    def show(self, picture: Picture, tree: TreeSnapshot) -> None:
        """Print what is new."""
        new = min(picture.told - self._told, len(picture.lines))
        for line in list(picture.lines)[len(picture.lines) - new :] if new > 0 else ():
            self._print(f"{clock_text(line.stamp_ns)} {line.text}")
        self._told = picture.told
        if tree.at_ns - self._status_ns >= STATUS_EVERY_S * 1_000_000_000:
            self._status_ns = tree.at_ns
            self._print(status_line(picture, tree))

    def close(self) -> None:
        """Nothing to give back."""

    def _print(self, text: str) -> None:
        self._terminal.print(text, highlight=False, markup=False, soft_wrap=True)


def status_line(picture: Picture, tree: TreeSnapshot) -> str:
    """Everything in one line."""
    equity = "-" if picture.books is None else f"{picture.books.equity:.2f}"
    bars = "; ".join(f"{scope}: {', '.join(causes)}" for scope, causes in picture.barred.items()) or "trading"
    counts = f"orders {picture.orders}, fills {picture.fills}, denied {picture.denied}, open {len(picture.blotter.working)}"
    return f"-- {bars} | equity {equity} | {counts} | restarts {restarts(tree)}"


def restarts(tree: TreeSnapshot) -> int:
    """Starts of actors beyond the first."""
    return sum(max(0, node.incarnation - 1) for node in tree if not node.children)


def clock_text(stamp_ns: int) -> str:
    """UTC time of day."""
    return datetime.fromtimestamp(stamp_ns / 1_000_000_000, UTC).strftime("%H:%M:%S")


def draw(picture: Picture, tree: TreeSnapshot) -> RenderableType:
    """The whole view."""
    left = Group(_positions(picture), _balances(picture), _orders(picture))
    both = Table.grid(expand=True, padding=(0, 1))
    both.add_column(ratio=2)
    both.add_column(ratio=3)
    both.add_row(_tree(tree), left)
    return Panel(Group(both, _lines(picture.lines)), title=_title(picture), border_style=_colour(picture))


def _title(picture: Picture) -> str:
    return f"tbot {picture.mode}, start {picture.generation}"


def _colour(picture: Picture) -> str:
    return "yellow" if picture.barred else "green"


def _tree(tree: TreeSnapshot) -> Table:
    table = Table(box=None, expand=True, padding=(0, 1, 0, 0))
    for name, side in (("actor", "left"), ("state", "left"), ("starts", "right"), ("handled", "right"), ("waits", "right")):
        table.add_column(name, justify=side, no_wrap=True, header_style="dim")  # type: ignore[arg-type]
    for node in tree:
        if node.path:
            table.add_row(*_node(node))
    return table


def _node(node: NodeSnapshot) -> tuple[RenderableType, ...]:
    depth = node.path.count("/")
    name = Text("  " * depth + node.path.rpartition("/")[2], style="bold" if node.children else "")
    if node.children:
        return (name, "", "", "", "")
    state = Text(node.state.value, style=_STATE_STYLE.get(node.state, "yellow"))
    starts = Text(str(node.incarnation), style="red" if node.incarnation > 1 else "dim")
    return (name, state, starts, str(node.handled), str(node.depth))


def _positions(picture: Picture) -> Table:
    table = Table(title="positions and profit", title_justify="left", box=None, expand=True)
    for name in ("strategy", "instrument", "quantity", "average", "mark", "unrealised", "realised"):
        table.add_column(name, justify="left" if name in ("strategy", "instrument") else "right", header_style="dim")
    if picture.books is not None:
        for row in _position_rows(picture.books):
            table.add_row(*row)
        table.caption = _equity_text(picture.books)
    return table


def _position_rows(books: PortfolioState) -> Iterable[tuple[RenderableType, ...]]:
    for (strategy, instrument), held in sorted(books.positions.items()):
        mark = books.marks[instrument]
        average = held.average_price
        yield (
            strategy,
            instrument,
            plain(held.quantity),
            "-" if average is None else f"{average:.2f}",
            f"{mark:.2f}",
            _money(held.unrealized(mark)),
            _money(held.realized),
        )


def _equity_text(books: PortfolioState) -> Text:
    return Text.assemble("equity ", (f"{books.equity:.2f}", "bold"), "  today ", _money(books.day_profit))


def _balances(picture: Picture) -> Text:
    held = [
        f"{venue} {asset} {plain(balance.free)} free, {plain(balance.locked)} locked"
        for venue, assets in sorted(picture.balances.items())
        for asset, balance in sorted(assets.items())
    ]
    return Text("\n".join(held), style="dim")


def _money(value: Decimal) -> Text:
    return Text(f"{value:+.2f}", style="green" if value > 0 else "red" if value < 0 else "dim")


def _orders(picture: Picture) -> Table:
    table = Table(title="open orders", title_justify="left", box=None, expand=True)
    for name in ("strategy", "key", "side", "left", "price", "state"):
        table.add_column(name, justify="right" if name in ("left", "price") else "left", header_style="dim")
    for order in picture.blotter.working.values():
        price = "market" if order.price is None else plain(order.price)
        row = (order.strategy, order.intent.key, order.side.value.lower(), plain(order.remaining), price, order.state.value.lower())
        table.add_row(*row)
    return table


def _lines(lines: Iterable[Line]) -> Text:
    shown = list(lines)[-LINES_SHOWN:]
    return Text("\n".join(f"{clock_text(line.stamp_ns)}  {line.text}" for line in shown), overflow="ellipsis", no_wrap=True)
