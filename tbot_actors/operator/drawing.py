"""The live view as a pure function of picture, tree and the terminal's size.

    wide (from 120 columns)                narrow
    ╭ status, equity, counts ──────────╮   ╭ status, equity, counts ╮
    │ actors        │ market           │   │ market, positions,     │
    │               │ positions        │   │ balances, open orders  │
    │               │ balances         │   │ actors (all, or only   │
    │               │ open orders      │   │ those worth a look)    │
    │ events                           │   │ events                 │
    ╰──────────────────────────────────╯   ╰────────────────────────╯

Every line has its place and every column its width: values change, nothing moves. What does not fit is cut and counted.
"""

from collections.abc import Sequence
from decimal import Decimal

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.text import Text

from tbot_actors.domain.money import ZERO
from tbot_actors.kernel import NodeSnapshot, State, TreeSnapshot
from tbot_actors.operator.figures import (
    Column,
    age,
    amount,
    clock,
    count,
    duration,
    fit,
    header,
    money,
    price,
    profit,
    quantity,
    row,
    spark,
)
from tbot_actors.operator.picture import Line, Picture

WIDE = 120
EVENTS_MIN = 4
ORDERS_MIN = 3
PINNED_MAX = 3
LATCHED = "LATCHED"
"""How the causes of a latch begin where they stand among the causes of a pause."""
STOPPING = "STOPPING"

_ACTORS = (
    Column("actors", 15),
    Column("state", 11),
    Column("starts", 6, right=True),
    Column("handled", 7, right=True),
    Column("waits", 5, right=True),
)
_MARKET = (
    Column("market", 15),
    Column("bid", 12, right=True),
    Column("ask", 12, right=True),
    Column("spread", 8, right=True),
    Column("age", 5, right=True),
)
_POSITIONS = (
    Column("positions", 9),
    Column("instrument", 15),
    Column("quantity", 11, right=True),
    Column("average", 9, right=True),
    Column("open p/l", 8, right=True),
    Column("realised", 8, right=True),
)
_ORDERS = (
    Column("orders", 9),
    Column("key", 8),
    Column("side", 4),
    Column("left", 11, right=True),
    Column("price", 9, right=True),
    Column("state", 14),
    Column("age", 4, right=True),
)
_ACTORS_WIDTH = sum(column.width for column in _ACTORS) + len(_ACTORS) - 1
_STATE_STYLE = {State.READY: "green", State.GONE: "red", State.STOPPED: "dim"}
_CALM = (State.READY, State.RUNNING, State.STARTING, State.STOPPING, State.STOPPED)
_EVENT_STYLE = {
    "Fill": "green",
    "DecisionDenied": "yellow",
    "OrderLost": "yellow",
    "OrderRejected": "red",
    "PauseChanged": "bold yellow",
    "LatchChanged": "bold red",
    "Mismatch": "bold red",
    "Restart": "bold red",
}


def draw(picture: Picture, tree: TreeSnapshot, width: int, height: int) -> RenderableType:
    """The whole view, exactly as large as the terminal."""
    inner, room = max(width - 4, 20), max(height - 2, 6)
    top = _header(picture, tree, inner)
    rest = room - len(top)
    beside = width >= WIDE and len(_actors(tree)) + 1 + EVENTS_MIN <= rest
    body = _wide(picture, tree, inner, rest) if beside else _narrow(picture, tree, rest)
    lines = [fit(line, inner) for line in _cut(top + body, min(len(top + body), room - EVENTS_MIN))]
    lines += _events(picture, inner, room - len(lines))
    style, title = status_style(picture), f"tbot {picture.mode} {picture.account}, start {picture.generation}"
    return Panel(Group(*lines[:room]), title=title, title_align="left", border_style=style, height=room + 2)


def status(picture: Picture) -> str:
    """What it is doing, and why it takes no new risk."""
    if not picture.whole:
        return "STARTING  the journal is being read"
    causes = [f"{scope}: {', '.join(why)}" for scope, why in sorted(picture.barred.items())]
    if not causes:
        return "TRADING"
    said = "; ".join(causes)
    word = "LATCHED" if LATCHED in said else "STOPPING" if STOPPING in said else "NO NEW RISK"
    return f"{word}  {said}"


def status_style(picture: Picture) -> str:
    """Green while trading, red when only a person can lift what bars it."""
    said = status(picture)
    return "green" if said == "TRADING" else "red" if said.startswith(LATCHED) else "yellow"


def restarts(tree: TreeSnapshot) -> int:
    """Starts of actors beyond the first."""
    return sum(max(0, node.incarnation - 1) for node in tree if not node.children)


def _header(picture: Picture, tree: TreeSnapshot, width: int) -> list[Text]:
    time = f"{clock(picture.now_ns)} UTC, up {duration(picture.now_ns - picture.started_ns)}"
    said = Text(status(picture), style=f"bold {status_style(picture)}")
    first = Text.assemble(fit(said, width - len(time) - 1), " ", (time, "dim"))
    restarted = restarts(tree)
    counts = Text.assemble(
        f"orders {picture.orders}  fills {picture.fills}  denied {picture.denied}  ",
        f"open {len(picture.blotter.working)}  ",
        (f"restarts {restarted}", "bold red" if restarted else ""),
        "  ",
        (f"dead letters {tree.dead_letters}", "bold red" if tree.dead_letters else ""),
    )
    return [first, _equity(picture, width), counts, Text()]


def _equity(picture: Picture, width: int) -> Text:
    books = picture.books
    if books is None:
        return Text("equity -", style="dim")
    percent = books.day_profit / books.capital * 100 if books.capital else ZERO
    line = Text.assemble(
        "equity ", (money(books.equity), "bold"), "  today ", profit(books.day_profit), f" ({percent:+.2f} %)  "
    )
    return line.append(spark(picture.equity.values, min(60, width - line.cell_len)), style="cyan")


def _wide(picture: Picture, tree: TreeSnapshot, width: int, room: int) -> list[Text]:
    """Actors beside the rest. The taller of the two columns says how much of the screen they take."""
    left = _actors(tree)
    books = [*_market(picture), *_positions(picture), *_balances(picture, width - _ACTORS_WIDTH - 3)]
    height = min(max(len(left), len(books) + 1 + ORDERS_MIN), room - EVENTS_MIN)
    right = [*books, *_orders(picture, height - len(books))]
    left, right = _cut(left, height), _cut(right, height)
    gap = Text(" │ ", style="dim")
    return [*(Text.assemble(fit(a, _ACTORS_WIDTH), gap, b) for a, b in zip(left, right, strict=True)), Text()]


def _narrow(picture: Picture, tree: TreeSnapshot, room: int) -> list[Text]:
    """One below the other; all actors where there is room for them and some events, else those worth a look."""
    books = [*_market(picture), *_positions(picture), *_balances(picture, WIDE)]
    whole = _actors(tree)
    fixed = len(books) + 1 + ORDERS_MIN
    actors = whole if fixed + len(whole) + EVENTS_MIN + 1 <= room else _worth_a_look(tree)
    return [*books, *_orders(picture, 1 + ORDERS_MIN), *actors, Text()]


def _cut(lines: list[Text], height: int) -> list[Text]:
    """Exactly this many; the last one says how many are missing."""
    if len(lines) > height:
        kept = max(height - 1, 0)
        return [*lines[:kept], Text(f"… {len(lines) - kept} more", style="dim")][:height]
    return lines + [Text()] * (height - len(lines))


def _actors(tree: TreeSnapshot) -> list[Text]:
    return [header(_ACTORS), *(_actor(node) for node in tree if node.path and not _only_groups(node))]


def _only_groups(node: NodeSnapshot) -> bool:
    """A branch whose name is no part of its children's paths."""
    return bool(node.children) and not any(child.path.startswith(f"{node.path}/") for child in node.children)


def _actor(node: NodeSnapshot) -> Text:
    depth = node.path.count("/")
    name = Text("  " * depth + node.path.rpartition("/")[2], style="bold" if node.children else "")
    state = Text(node.state.value, style=_STATE_STYLE.get(node.state, "yellow"))
    if node.children:
        return row(_ACTORS, (name, "" if node.state in _CALM else state, "", "", ""))
    starts = Text(str(node.incarnation), style="bold red" if node.incarnation > 1 else "dim")
    waits = Text(count(node.depth), style="yellow" if node.depth > 100 else "dim")
    return row(_ACTORS, (name, state, starts, Text(count(node.handled), style="dim"), waits))


def _worth_a_look(tree: TreeSnapshot) -> list[Text]:
    """Two lines for all actors."""
    actors = [node for node in tree if node.path and not node.children]
    ready = sum(node.state is State.READY for node in actors)
    others = [f"{node.path} {node.state.value}" for node in actors if node.state is not State.READY]
    again = [f"{node.path} {node.incarnation}" for node in actors if node.incarnation > 1]
    first = Text.assemble(
        ("actors ", "dim"),
        (f"{ready} of {len(actors)} ready", "green" if ready == len(actors) else "yellow"),
        ("  " + ", ".join(others), "yellow"),
    )
    return [first, Text.assemble(("starts ", "dim"), (", ".join(again) or "all once", "red" if again else "dim"))]


def _market(picture: Picture) -> list[Text]:
    lines = [header(_MARKET)]
    ticks = picture.tick
    # The quotes' monotonic stamps are not on the picture's wall clock; their wall stamps are.
    for name, quote in sorted(picture.quotes.items()):
        old_ns = picture.now_ns - quote.stamp_ns
        tick = ticks.get(name)
        spread_bp = (quote.ask - quote.bid) / quote.mid * 10_000 if quote.mid else ZERO
        aged = Text(age(old_ns), style="yellow" if old_ns > 5_000_000_000 else "dim")
        lines.append(
            row(_MARKET, (name, price(quote.bid, tick), price(quote.ask, tick), f"{spread_bp:.2f} bp", aged))
        )
    return lines if picture.quotes else [*lines, Text("no price yet", style="dim")]


def _positions(picture: Picture) -> list[Text]:
    lines = [header(_POSITIONS)]
    books, ticks = picture.books, picture.tick
    for (strategy, name), held in sorted(books.positions.items()) if books is not None else ():
        mark = books.marks.get(name) if books is not None else None
        lines.append(
            row(
                _POSITIONS,
                (
                    strategy,
                    name,
                    quantity(held.quantity, 11),
                    price(held.average_price, ticks.get(name)),
                    "-" if mark is None else profit(held.unrealized(mark)),
                    profit(held.realized),
                ),
            )
        )
    return lines if len(lines) > 1 else [*lines, Text("none yet", style="dim")]


def _balances(picture: Picture, width: int) -> list[Text]:
    """One line per venue."""
    lines = []
    for venue, assets in sorted(picture.balances.items()):
        held = [_balance(asset, each.free, each.locked) for asset, each in sorted(assets.items()) if each.total]
        line = Text.assemble((f"{venue} holds ", "dim"), "  ".join(held) or "nothing")
        line.truncate(width, overflow="ellipsis")
        lines.append(line)
    return lines or [Text("no balance told yet", style="dim")]


def _balance(asset: str, free: Decimal, locked: Decimal) -> str:
    return f"{amount(free)} {asset}" + (f" + {amount(locked)} locked" if locked else "")


def _orders(picture: Picture, height: int) -> list[Text]:
    """The newest open orders, in as many lines as are given."""
    working = list(picture.blotter.working.values())
    ticks = picture.tick
    lines = [header(_ORDERS)]
    for order in reversed(working):
        cells: Sequence[str | Text] = (
            order.strategy,
            order.intent.key,
            Text(order.side.value.lower(), style="green" if order.side.sign > 0 else "red"),
            quantity(order.remaining, 11),
            "market" if order.price is None else price(order.price, ticks.get(order.instrument)),
            order.state.value.lower().replace("_", " "),
            Text(age(picture.now_ns - order.created_ns), style="dim"),
        )
        lines.append(row(_ORDERS, cells))
    return _cut(lines, height)


def _events(picture: Picture, width: int, room: int) -> list[Text]:
    """The newest, and above them the last notable ones that they would have pushed out."""
    if not picture.whole or room <= 0:
        return []
    shown = list(picture.lines)[-room:]
    earlier = [line for line in picture.notable if shown and line.place < shown[0].place]
    pinned = earlier[-min(PINNED_MAX, room // 3) :] if room >= 3 else []
    return [_event(line, width) for line in [*pinned, *shown[-(room - len(pinned)) :]]]


def _event(line: Line, width: int) -> Text:
    return fit(Text.assemble((clock(line.stamp_ns), "dim"), "  ", (line.text, _EVENT_STYLE.get(line.kind, ""))), width)
