"""Pictures and trees to show, and a terminal to show them on."""

from __future__ import annotations

import io
from collections.abc import Sequence
from decimal import Decimal

from attrs import evolve
from rich.console import RenderableType

from tbot_actors.domain.events import (
    Event,
    Fill,
    GenerationStarted,
    InstrumentDefined,
    OrderCommitted,
    PauseChanged,
)
from tbot_actors.domain.instruments import InstrumentId
from tbot_actors.domain.inventory import Position
from tbot_actors.domain.market import Quote
from tbot_actors.domain.messages import Balance, PortfolioState
from tbot_actors.kernel import NodeSnapshot, State, TreeSnapshot
from tbot_actors.kernel.snapshot import branch_snapshot
from tbot_actors.operator import QuietTerminal
from tbot_actors.operator.picture import Picture
from tests.domain.samples import BTC, BTCUSDT, accepted, committed, fill

SECOND = 1_000_000_000
START_NS = 1_700_000_000 * SECOND
"""22:13:20 UTC."""


def start(generation: int = 1) -> GenerationStarted:
    return GenerationStarted(generation, "TB0T", "paper", "main", START_NS)


def freed() -> PauseChanged:
    """New risk is allowed."""
    return PauseChanged("account", (), START_NS)


def order(number: int = 1, **changes: object) -> OrderCommitted:
    return evolve(committed(f"A{number}", f"key{number}"), stamp_ns=START_NS + SECOND, **changes)  # type: ignore[arg-type]


def filled(number: int = 1, **changes: object) -> Fill:
    return evolve(fill(f"t{number}", f"A{number}"), stamp_ns=START_NS + 2 * SECOND, **changes)  # type: ignore[arg-type]


def picture(*events: Event, whole: bool = True) -> Picture:
    """Folded of a process start and these events, shown ten seconds later."""
    made = Picture()
    for sequence, event in enumerate((start(), InstrumentDefined(BTCUSDT, START_NS), *events), 1):
        made.apply(sequence, event)
    made.whole = whole
    made.now_ns = START_NS + 10 * SECOND
    return made


def trading(orders: int = 1) -> Picture:
    """A bot in the middle of its work: open orders, a position with a profit, prices, balances."""
    working = [event for n in range(1, orders + 1) for event in (order(n), accepted(f"A{n}", f"7{n}"))]
    made = picture(freed(), *working, *([filled(1)] if orders else []))
    made.quotes[BTC] = quote("61764.47", "61764.48", age_s=0.3)
    made.hear_books(books("10012.34", "61764.47"))
    made.hear_balances("binance", {"BTC": balance("0.1", "0"), "USDT": balance("99640.55283141", "59.91")})
    return made


def quote(bid: str, ask: str, age_s: float = 0.0, instrument: InstrumentId = BTC) -> Quote:
    stamp_ns = START_NS + int((10 - age_s) * SECOND)
    return Quote(instrument, Decimal(bid), Decimal(1), Decimal(ask), Decimal(1), 1, stamp_ns, 0)


def balance(free: str, locked: str) -> Balance:
    return Balance(Decimal(free), Decimal(locked))


def books(equity: str, mark: str, quantity: str = "0.1", cost: str = "6170.00") -> PortfolioState:
    held = Position(Decimal(quantity), Decimal(cost), realized=Decimal("5.89"))
    unrealized = held.unrealized(Decimal(mark))
    return PortfolioState(
        positions={("momentum", BTC): held},
        marks={BTC: Decimal(mark)},
        capital=Decimal(equity) - held.realized - unrealized,
        realized=held.realized,
        unrealized=unrealized,
        day_start_equity=Decimal(10_000),
        stamp_ns=START_NS,
        sequence=9,
    )


def actor(path: str, state: State = State.READY, starts: int = 1, error: str | None = None) -> NodeSnapshot:
    return NodeSnapshot(path, state, starts, 3, 9, 12_345, 0, 0, 0, 0, error)


def branch(path: str, *children: NodeSnapshot, state: State = State.RUNNING) -> NodeSnapshot:
    return branch_snapshot(path, state, 1, None, children)


def tree(*changed: NodeSnapshot, more: Sequence[NodeSnapshot] = (), dead_letters: int = 0) -> TreeSnapshot:
    """The tree of a paper bot, with some of its actors as given."""
    other = {node.path: node for node in changed}

    def leaf(path: str) -> NodeSnapshot:
        return other.get(path, actor(path))

    venue = branch(
        "venues/binance",
        # An inline branch: its name is no part of its children's paths.
        branch("venues/binance/session", *(leaf(f"venues/binance/{name}") for name in ("clock", "gateway"))),
        leaf("venues/binance/feed"),
    )
    root = branch(
        "",
        leaf("journal"),
        branch("safety", leaf("safety/watchdog")),
        branch("core", *(leaf(f"core/{name}") for name in ("portfolio", "risk", "orders", "reconciler"))),
        branch("venues", venue),
        branch("strategies", leaf("strategies/momentum"), *more),
        branch("operator", leaf("operator/console")),
    )
    return TreeSnapshot(root, 5 * SECOND, dead_letters)


def text_of(view: RenderableType, width: int, height: int) -> list[str]:
    """The lines as they stand on a terminal of this size."""
    terminal = QuietTerminal(file=io.StringIO(), width=width, height=height, force_terminal=True, color_system=None)
    with terminal.capture() as capture:
        terminal.print(view)
    return capture.get().splitlines()
