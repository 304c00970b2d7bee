"""The one object that a run ends with: what was done, what is left, and whether the books agree."""

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from attrs import asdict, define, field

from tbot_actors.domain.events import DecisionDenied, Fill, GenerationStarted, OrderCommitted, Reconciled
from tbot_actors.domain.inventory import Position
from tbot_actors.domain.messages import OnStop, PortfolioState, StopReport
from tbot_actors.domain.money import plain
from tbot_actors.journal import open_record, read_all
from tbot_actors.kernel import TreeSnapshot
from tbot_actors.operator.drawing import restarts
from tbot_actors.world import World


@define
class Summary:
    """Counts are of this run, what is left is as the venue and the books say at its end."""

    ticks: int = 0
    """Messages of the market streams."""
    orders: int = 0
    fills: int = 0
    denied: int = 0
    restarts: int = 0
    dead_letters: int = 0
    open_orders: int | None = None
    """Entries of ours still open at the venue; None where it could not be read."""
    stops: int = 0
    """Protective stops of ours still open at the venue."""
    positions: dict[str, str] = field(factory=dict)
    """The bot's inventory by instrument, dust included."""
    equity: str | None = None
    reconciled: bool = False
    flat: bool = False
    journal_events: int = 0
    journal_verified: bool = False
    notes: list[str] = field(factory=list)
    """What a person should know, empty when all is well."""

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    def as_text(self, faults: Sequence[str]) -> str:
        """For a person: what was done, what is left, and last what is not as it should be."""
        unknown = "not known"
        opened = unknown if self.open_orders is None else str(self.open_orders)
        verified = "verified" if self.journal_verified else "NOT VERIFIED"
        held = ", ".join(f"{quantity} {name}" for name, quantity in self.positions.items())
        rows = (
            ("trading", f"{self.orders} orders, {self.fills} fills, {self.denied} denied"),
            ("market", f"{self.ticks} messages"),
            ("equity", unknown if self.equity is None else f"{Decimal(self.equity):,.2f}"),
            ("at the venue", f"{opened} open orders, {self.stops} stops"),
            ("inventory", (held or "none") + (" (flat)" if self.flat else "")),
            ("actors", f"{self.restarts} restarts, {self.dead_letters} dead letters"),
            ("journal", f"{self.journal_events} events, {verified}, {'' if self.reconciled else 'NOT '}reconciled"),
            *(("note", note) for note in self.notes),
            *(("WRONG", fault) for fault in faults),
        )
        return "\n".join(f"{name:>12}  {text}" for name, text in rows)

    def faults(self, on_stop: OnStop) -> list[str]:
        """What is not as a run should leave it; empty when all is well."""
        found = []
        if self.open_orders is None:
            found.append("nobody confirmed what is open at the venue: look there for orders and positions")
        elif self.open_orders:
            found.append(f"{self.open_orders} orders of ours are still open at the venue: cancel them there")
        if self.open_orders is not None and on_stop is OnStop.FLATTEN and not self.flat:
            found.append("it is not flat: close what is left at the venue, or start the bot again")
        if not self.reconciled:
            found.append("venue and journal were not found equal: start the bot again, it reconciles first")
        if self.equity is None:
            found.append("the books did not answer: profit and positions are not told")
        if not self.journal_verified:
            found.append("the journal is not as it was written: `tbot journal verify` says where")
        return found


def take_tree(summary: Summary, tree: TreeSnapshot) -> None:
    """From the tree as it was when trading ended."""
    summary.restarts = restarts(tree)
    summary.dead_letters = tree.dead_letters


def take_stop(summary: Summary, report: StopReport) -> None:
    """From what the stop protocol found at the venue."""
    summary.open_orders = report.open_orders
    summary.flat = report.flat
    if report.detail:
        summary.notes.append(report.detail)


def take_books(summary: Summary, books: PortfolioState) -> None:
    """From the portfolio."""
    summary.equity = str(books.equity.quantize(Decimal("0.00000001")))
    nets: dict[str, Decimal] = {}
    for (_, instrument), held in books.positions.items():
        nets[instrument] = nets.get(instrument, Position().quantity) + held.quantity
    summary.positions = {name: plain(quantity) for name, quantity in sorted(nets.items())}


async def take_journal(summary: Summary, world: World, folder: Path) -> None:
    """From the journal as it lies on the disk after the bot has ended."""
    events = await read_all(world, folder)
    for _, event in events:
        if isinstance(event, GenerationStarted):
            summary.orders = summary.fills = summary.denied = 0
            summary.reconciled = False
        elif isinstance(event, OrderCommitted):
            summary.orders += 1
        elif isinstance(event, Fill):
            summary.fills += 1
        elif isinstance(event, DecisionDenied):
            summary.denied += 1
        elif isinstance(event, Reconciled):
            summary.reconciled = event.clean
            if not event.clean:
                summary.notes += event.mismatches
    summary.journal_events = len(events)
    async with open_record(world, folder) as record:
        report = await record.verify()
    summary.journal_verified = report.ok
    summary.notes += [str(fault) for fault in report.faults[:5]]
