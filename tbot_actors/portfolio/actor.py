"""The portfolio actor: folds the journal, marks at the quotes, publishes the books."""

from collections.abc import Sequence
from decimal import Decimal

from attrs import frozen

from tbot_actors.domain.market import Quote
from tbot_actors.domain.messages import EventsRead, JournalAdvanced, PortfolioState
from tbot_actors.journal import JournalReader
from tbot_actors.kernel import BLOCK, Actor, Address, Down, conflate, handles
from tbot_actors.portfolio.accounts import Accounts
from tbot_actors.portfolio.settings import PortfolioSettings


@frozen
class BooksWanted:
    """Asked by whoever wants the books now; the reply is a PortfolioState."""


class _Publish:
    """Time to tell the listeners."""


class Portfolio(Actor):
    """Single source of positions, profit and equity."""

    def __init__(
        self, *, journal: Address, listeners: Sequence[Address], capital: Decimal, settings: PortfolioSettings
    ) -> None:
        self._journal = journal
        self._listeners = listeners
        self._accounts = Accounts(capital)
        self._settings = settings
        self._changed = True

    async def started(self) -> None:
        """Read the journal; ready when it is read to its head."""
        self._clock = self.context.world.clock
        self._reader = JournalReader(self._journal, self.context.address)
        self.context.watch(self._journal)
        self._reader.start()
        self.context.every(self._settings.publish_every_s, _Publish())

    @handles(JournalAdvanced, conflate(lambda _: None))
    async def on_journal_advanced(self, message: JournalAdvanced) -> None:
        self._reader.advanced(message)

    @handles(EventsRead, BLOCK)
    async def on_events_read(self, message: EventsRead) -> None:
        moved = False
        for _, event in self._reader.take(message):
            moved = self._accounts.apply(event) or moved
        if self._reader.caught_up:
            self.context.ready()
            if moved:
                self._publish()

    @handles(Down, BLOCK)
    async def on_down(self, message: Down) -> None:
        self._reader.journal_down()

    @handles(Quote, conflate(lambda quote: quote.instrument))
    async def on_quote(self, message: Quote) -> None:
        self._accounts.mark(message)
        self._changed = True

    @handles(_Publish, conflate(lambda _: None))
    async def on_publish(self, message: _Publish) -> None:
        if self._changed and self._reader.caught_up:
            self._publish()

    @handles(BooksWanted, BLOCK)
    async def on_books_wanted(self, message: BooksWanted) -> PortfolioState:
        return self._state()

    def _publish(self) -> None:
        self._changed = False
        state = self._state()
        for listener in self._listeners:
            listener.tell(state)

    def _state(self) -> PortfolioState:
        return self._accounts.state(self._clock.wall_ns(), self._reader.sequence)
