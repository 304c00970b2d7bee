"""Numbers, ages and rows of fixed width, as they stand in a terminal: nothing jumps when a value changes. Pure."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal

from attrs import frozen
from rich.text import Text

from tbot_actors.domain.money import ZERO, plain

_BARS = "▁▂▃▄▅▆▇█"
_CENT = Decimal("0.01")
_NS = 1_000_000_000


@frozen
class Column:
    """One column of a table."""

    name: str
    width: int
    right: bool = False
    """Numbers stand on the right."""


def header(columns: Sequence[Column]) -> Text:
    """The names of the columns."""
    return row(columns, [Text(column.name, style="dim") for column in columns])


def row(columns: Sequence[Column], cells: Iterable[str | Text]) -> Text:
    """One line: each cell as wide as its column, cut with an ellipsis where it is longer, one space between."""
    line = Text()
    for number, (column, cell) in enumerate(zip(columns, cells, strict=True)):
        text = Text(cell) if isinstance(cell, str) else cell.copy()
        line.append(" " if number else "")
        line.append_text(fit(text, column.width, right=column.right))
    return line


def fit(text: Text, width: int, *, right: bool = False) -> Text:
    """Exactly this wide."""
    text.truncate(max(width, 0), overflow="ellipsis")
    gap = " " * (width - text.cell_len)
    return Text.assemble(gap, text) if right else Text.assemble(text, gap)


def money(value: Decimal) -> str:
    """Quote currency: `19,996.15`; what is below a cent but not nothing keeps four digits that count."""
    if value and abs(value) < _CENT:
        return plain(Decimal(f"{value:.3e}"))
    return f"{value:,.2f}"


def profit(value: Decimal) -> Text:
    """With its sign, green or red; what rounds to nothing is dim."""
    rounded = value.quantize(_CENT)
    if not rounded:
        return Text("0.00", style="dim")
    return Text(f"{rounded:+,.2f}", style="green" if rounded > ZERO else "red")


def price(value: Decimal | None, tick: Decimal | None) -> str:
    """On the instrument's grid; a dash for none. Without a known grid at most eight digits after the point."""
    if value is None:
        return "-"
    if tick is None:
        return plain(value.quantize(Decimal("1e-8")))
    exponent = min(int(tick.normalize().as_tuple().exponent), 0)
    return f"{value:.{-exponent}f}"


def quantity(value: Decimal, width: int) -> str:
    """All of it where it fits; otherwise cut behind the point, never before it."""
    text = plain(value)
    if len(text) <= width or "." not in text:
        return text
    whole = text.index(".")
    return text[: max(width, whole)].rstrip(".")


def amount(value: Decimal) -> str:
    """Of any asset: `99,640.55` from a hundred on, all of it below."""
    return f"{value:,.2f}" if abs(value) >= 100 else plain(value)


def count(value: int) -> str:
    """`950`, `12.4k`, `3.1M`: at most six characters."""
    for limit, unit in ((1_000_000_000, "G"), (1_000_000, "M"), (10_000, "k")):
        if value >= limit:
            scale = 1000 if unit == "k" else limit
            return f"{value / scale:.1f}{unit}"
    return str(value)


def age(age_ns: int) -> str:
    """`0.3s`, `12s`, `4m`, `3h`, `2d`: at most four characters."""
    seconds = max(age_ns, 0) / _NS
    if seconds < 9.95:
        return f"{seconds:.1f}s"
    for limit, scale, unit in ((100, 1, "s"), (6000, 60, "m"), (360_000, 3600, "h")):
        if seconds < limit:
            return f"{seconds / scale:.0f}{unit}"
    return f"{seconds / 86_400:.0f}d"


def duration(age_ns: int) -> str:
    """`0:12`, `14:03`, `3:14:03`, `2d 3:14:03`."""
    minutes, seconds = divmod(max(age_ns, 0) // _NS, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    clock = f"{hours}:{minutes:02}:{seconds:02}" if hours or days else f"{minutes}:{seconds:02}"
    return f"{days}d {clock}" if days else clock


def clock(stamp_ns: int) -> str:
    """UTC time of day."""
    return datetime.fromtimestamp(stamp_ns / _NS, UTC).strftime("%H:%M:%S")


def spark(values: Sequence[Decimal], width: int) -> str:
    """The course of a number as bars from its lowest to its highest; at most `width` of them, the newest last."""
    if width <= 0 or not values:
        return ""
    step = max(1, -(-len(values) // width))
    shown = values[::-1][::step][::-1]
    low, high = min(shown), max(shown)
    if low == high:
        return _BARS[0] * len(shown)
    return "".join(_BARS[int((value - low) * (len(_BARS) - 1) / (high - low))] for value in shown)
