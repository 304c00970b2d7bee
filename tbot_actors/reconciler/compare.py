"""One look at a venue against the journal, as a pure function.

    venue                         journal                       said
    order of ours, open           ended, or not there           orphan: cancelled, once two looks agree
    order of ours, open           Unknown, or executed less     report: orders books it
    not listed                    live since before the read    absent: orders asks for it; a ghost if it stays so
    trade of an order of ours     no such fill                  missed fill: orders books it
    order or trade, not ours      -                             foreign: counted, never touched
    holds less of a base asset    owns more (spot)              mismatch

Nothing here decides anything about an order: orders does, on the facts it is handed, through its one door. So a fact
handed over twice, or one that a live report tells as well, changes nothing (nautilus #3046, PR #4991).
"""

from collections.abc import Iterator, Mapping

from attrs import field, frozen

from tbot_actors.domain.ids import parse_client_id
from tbot_actors.domain.instruments import Side
from tbot_actors.domain.messages import OrderReport, VenueFacts, VenueState, VenueTrade
from tbot_actors.domain.money import ZERO, plain
from tbot_actors.domain.orders import Order, OrderState
from tbot_actors.reconciler.books import IN_FLIGHT, LIVE, Books


@frozen
class Seen:
    """What earlier looks of the same run found, for what only a second look can prove."""

    absent: Mapping[str, int] = field(factory=dict)
    """When the read began that first missed an order, monotonic ns, by client id."""
    orphans: frozenset[str] = frozenset()


@frozen
class Comparison:
    """What one look found."""

    facts: VenueFacts
    """What orders is to be told."""
    mismatches: tuple[str, ...]
    """What contradicts, in words. It is a mismatch only when the last look of a run still finds it."""
    waiting: bool
    """Something is missing that may be on its way, and nothing more can be said of it yet."""
    foreign_orders: int
    foreign_trades: int
    seen: Seen
    """For the next look of the run."""

    @property
    def equal(self) -> bool:
        """The venue and the journal say the same."""
        return not (self.mismatches or self.waiting)


def compare(state: VenueState, books: Books, before: Seen, settle_ns: int) -> Comparison:
    """Compare `state`, as read from `state.read_ns` on, with the journal as it is now."""
    ours = {
        report.client_id: report
        for report in state.open_orders
        if parse_client_id(report.client_id, books.bot) is not None
    }
    orphans = [report for report in ours.values() if _orphaned(report, books, state.read_ns)]
    proven = tuple(report for report in orphans if report.client_id in before.orphans)
    reports = tuple(report for report in ours.values() if _tells_more(report, books, state.read_ns - settle_ns))
    absent = _absent(state, books, ours, before)
    ghosts = [client_id for client_id, since_ns in absent.items() if state.read_ns - since_ns >= settle_ns]
    missed = tuple(trade for trade in state.trades if _missed(trade, books))
    mismatches = (
        *(f"{client_id} is working here and not open at the venue" for client_id in ghosts),
        *(f"{report.client_id} is open at the venue and not working here" for report in proven),
        *(f"{report.client_id} is {report.state.value} at the venue, executed {report.executed}" for report in reports),
        *(f"trade {trade.trade_id} of {trade.instrument} is not booked" for trade in missed),
        *_too_little(state, books, missed),
    )
    return Comparison(
        facts=VenueFacts(reports, missed, tuple(absent), proven),
        mismatches=mismatches,
        waiting=len(absent) > len(ghosts) or len(orphans) > len(proven),
        foreign_orders=len(state.open_orders) - len(ours),
        foreign_trades=sum(1 for trade in state.trades if books.owner(trade) is None),
        seen=Seen(absent, frozenset(report.client_id for report in orphans)),
    )


def _orphaned(report: OrderReport, books: Books, read_ns: int) -> bool:
    """Open there, and here ended before the read began or never committed."""
    order = books.blotter.get(report.client_id)
    return order is None or (order.state.terminal and books.changed_ns(order.client_id) < read_ns)


def _tells_more(report: OrderReport, books: Books, settled_ns: int) -> bool:
    """The report resolves what the journal does not know: an order whose answer is lost, or fills that did not come."""
    order = books.blotter.get(report.client_id)
    if order is None or order.state.terminal:
        return False
    if order.state is OrderState.SUBMITTING and books.changed_ns(order.client_id) > settled_ns:
        return False
    return order.state in IN_FLIGHT or report.executed > order.executed


def _absent(state: VenueState, books: Books, ours: Mapping[str, OrderReport], before: Seen) -> dict[str, int]:
    """The orders that the venue should have listed, and since when it does not."""
    return {
        order.client_id: before.absent.get(order.client_id, state.read_ns)
        for order in books.blotter.working.values()
        if order.instrument.startswith(f"{state.venue}:")
        and order.client_id not in ours
        and _listed(order, books, state.read_ns)
    }


def _listed(order: Order, books: Books, read_ns: int) -> bool:
    return order.state in LIVE and books.changed_ns(order.client_id) < read_ns


def _missed(trade: VenueTrade, books: Books) -> bool:
    return not books.booked(trade.instrument, trade.trade_id) and books.owner(trade) is not None


def _too_little(state: VenueState, books: Books, missed: tuple[VenueTrade, ...]) -> Iterator[str]:
    """Spot assets of which the venue holds less than the bot owns, with or without the trades around the read."""
    owned = books.owned(state.venue)
    base_of = {instrument.id: instrument.base for instrument in books.instruments(state.venue) if instrument.spot}
    doubtful = [(fill.instrument, fill.quantity * fill.side.sign) for fill in books.fills_since(state.read_ns)]
    for instrument, bought in doubtful:
        if instrument in base_of and bought > ZERO:
            owned[base_of[instrument]] -= bought
    for trade in missed:
        if trade.instrument in base_of and trade.side is Side.SELL:
            owned[base_of[trade.instrument]] -= trade.quantity
    for asset, quantity in sorted(owned.items()):
        held = state.balances[asset].total if asset in state.balances else ZERO
        if not (quantity <= held):
            yield f"the bot owns {plain(quantity)} {asset}, the venue holds {plain(held)}"
