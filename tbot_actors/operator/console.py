"""The console actor: keeps the picture and shows it. It only reads; if it is gone, trading goes on."""

from collections.abc import Callable

from tbot_actors.domain.market import Quote
from tbot_actors.domain.messages import BalancesChanged, EventsRead, JournalAdvanced, PortfolioState
from tbot_actors.journal import JournalReader
from tbot_actors.kernel import BLOCK, Actor, Address, Down, TreeSnapshot, conflate, handles
from tbot_actors.operator.picture import Picture
from tbot_actors.operator.screen import Screen


class _Refresh:
    """Time to show."""


class Console(Actor):
    """The live view of one terminal."""

    def __init__(self, *, journal: Address, snapshot: Callable[[], TreeSnapshot], screen: Screen) -> None:
        self._journal = journal
        self._snapshot = snapshot
        self._screen = screen
        self._picture = Picture()

    async def started(self) -> None:
        """Read the journal for the picture, and begin to show it."""
        self._reader = JournalReader(self._journal, self.context.address)
        self.context.watch(self._journal)
        self._reader.start()
        self.context.every(self._screen.period_s, _Refresh())
        self.context.ready()

    async def stopping(self) -> None:
        """Show the end."""
        self._show()

    @handles(JournalAdvanced, conflate(lambda _: None))
    async def on_journal_advanced(self, message: JournalAdvanced) -> None:
        self._reader.advanced(message)

    @handles(EventsRead, BLOCK)
    async def on_events_read(self, message: EventsRead) -> None:
        for sequence, event in self._reader.take(message):
            self._picture.apply(sequence, event)
        self._picture.whole = self._reader.caught_up

    @handles(Down, BLOCK)
    async def on_down(self, message: Down) -> None:
        self._reader.journal_down()

    @handles(Quote, conflate(lambda quote: quote.instrument))
    async def on_quote(self, message: Quote) -> None:
        self._picture.quotes[message.instrument] = message

    @handles(PortfolioState, conflate(lambda _: None))
    async def on_portfolio(self, message: PortfolioState) -> None:
        self._picture.hear_books(message)

    @handles(BalancesChanged, BLOCK)
    async def on_balances_changed(self, message: BalancesChanged) -> None:
        self._picture.hear_balances(message.venue, message.balances)

    @handles(_Refresh, conflate(lambda _: None))
    async def on_refresh(self, message: _Refresh) -> None:
        self._show()

    def _show(self) -> None:
        tree = self._snapshot()
        self._picture.see(tree, self.context.world.clock.wall_ns())
        self._screen.show(self._picture, tree)
