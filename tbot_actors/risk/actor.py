"""The risk actor: checks and reserves in one step, one intent at a time.

    Intents ──▶ judge ──▶ DecisionDenied appended        (the strategy reads it in the journal)
                     └──▶ reserved, Approved ──▶ orders  (reserved until the journal shows the order, or its refusal)

After its own restart it knows nothing that the journal does not: it approves again only when orders has confirmed its
list and risk has read as far, and every intent that then has no outcome is denied as RESTARTED. After a restart of
orders it asks which approvals survived.
"""

from collections.abc import Mapping
from decimal import Decimal

from tbot_actors.domain.events import DecisionDenied, DenyReason, PauseChanged, Verdict
from tbot_actors.domain.intents import Cancel, IntentKey, Place, Replace
from tbot_actors.domain.market import Quote
from tbot_actors.domain.messages import (
    Alarm,
    Appended,
    AppendFailed,
    ApprovalRefused,
    Approved,
    CancelWanted,
    Cause,
    ConfirmReservations,
    EventsRead,
    Intents,
    JournalAdvanced,
    OrdersStarted,
    PendingIntents,
    PortfolioState,
    ReservationsKnown,
    RiskStarted,
)
from tbot_actors.domain.money import ZERO
from tbot_actors.domain.orders import Order
from tbot_actors.journal import JournalReader, JournalWriter
from tbot_actors.kernel import BLOCK, Actor, Address, Down, conflate, handles
from tbot_actors.risk.books import Books, Reservation
from tbot_actors.risk.gate import Case, Denial, judge
from tbot_actors.risk.settings import RiskSettings


class AppendRefused(Exception):
    """The journal refused rows of risk: start again from the journal."""


class Risk(Actor):
    """The gate between what strategies want and what orders sends."""

    def __init__(
        self,
        *,
        journal: Address,
        orders: Address,
        strategies: Mapping[str, Address],
        watchdog: Address,
        capital: Mapping[str, Decimal],
        settings: RiskSettings,
    ) -> None:
        self._journal = journal
        self._orders = orders
        self._strategies = strategies
        self._watchdog = watchdog
        self._capital = capital
        self._capital_all = sum(capital.values(), ZERO)
        self._settings = settings
        self._books = Books()
        self._asked = False
        self._open_at: int | None = None
        self._waiting: dict[str, PendingIntents] = {}
        self._day_lost: bool | None = None

    async def started(self) -> None:
        """Read the journal; what follows from having read it is in `on_events_read`."""
        self._clock = self.context.world.clock
        self._reader = JournalReader(self._journal, self.context.address)
        self._writer = JournalWriter(self._journal, self.context.address, self._clock)
        self.context.watch(self._journal)
        self._reader.start()

    @property
    def _open(self) -> bool:
        """Whether everything that orders took from earlier incarnations is in the books."""
        return self._open_at is not None and self._reader.sequence >= self._open_at

    # The journal

    @handles(JournalAdvanced, conflate(lambda _: None))
    async def on_journal_advanced(self, message: JournalAdvanced) -> None:
        self._reader.advanced(message)

    @handles(EventsRead, BLOCK)
    async def on_events_read(self, message: EventsRead) -> None:
        for _, event in self._reader.take(message):
            self._books.apply(event)
        if self._reader.caught_up and not self._asked:
            self._asked = True
            await self._orders.send(ConfirmReservations((), self.context.incarnation))
            for strategy in self._strategies.values():
                strategy.tell(RiskStarted(self.context.incarnation))
        self._settle_waiting()

    @handles(Appended, BLOCK)
    async def on_appended(self, message: Appended) -> None:
        self._writer.appended(message)

    @handles(AppendFailed, BLOCK)
    async def on_append_failed(self, message: AppendFailed) -> None:
        if self._writer.failed(message) is not None:
            raise AppendRefused(message.why)

    @handles(Down, BLOCK)
    async def on_down(self, message: Down) -> None:
        self._reader.journal_down()
        self._writer.journal_down()

    # Strategies

    @handles(Intents, BLOCK)
    async def on_intents(self, message: Intents) -> None:
        for intent in message.intents:
            key = IntentKey(message.strategy, message.event, intent.key)
            match intent:
                case Cancel():
                    await self._orders.send(CancelWanted(message.strategy, intent.key, "the strategy cancelled"))
                case Place():
                    await self._decide(key, intent, replaced=None)
                case Replace():
                    await self._decide_replacement(key, intent)

    @handles(PendingIntents, BLOCK)
    async def on_pending_intents(self, message: PendingIntents) -> None:
        self._waiting[message.strategy] = message
        self._settle_waiting()

    def _settle_waiting(self) -> None:
        """Whatever a strategy sent before and nobody knows now got lost with an earlier incarnation of risk."""
        if not self._open:
            return
        for message in self._waiting.values():
            for intent in message.intents:
                if not self._books.seen(intent):
                    text = "risk restarted before it decided; nothing was sent"
                    self._deny(intent, Denial(DenyReason.RESTARTED, text), {})
        self._waiting.clear()
        self.context.ready()

    async def _decide(self, key: IntentKey, place: Place, *, replaced: Order | None) -> None:
        case = Case(
            intent=key,
            place=place,
            books=self._books,
            limits=self._settings,
            capital=self._capital.get(key.strategy, ZERO),
            capital_all=self._capital_all,
            now_ns=self._clock.monotonic_ns(),
            replaced=replaced,
        )
        denial = judge(case) if self._open else Denial(DenyReason.NOT_READY, "risk has not heard from orders yet")
        if denial is None:
            self._books.reserved[key] = Reservation(place, case.quantity, case.replaced_id)
            verdict = Verdict(case.inputs, self.context.incarnation)
            await self._orders.send(Approved(key, place, verdict, replaces=replaced is not None))
        elif key in self._books.reserved:
            # The same decision once more, while its approval is on its way: the outcome of that is the outcome of both.
            self.context.log.warning("decided twice", strategy=key.strategy, key=key.key, event_id=key.event)
        else:
            self._deny(key, denial, case.inputs)

    async def _decide_replacement(self, key: IntentKey, replace: Replace) -> None:
        old = self._books.blotter.by_key(key.strategy, replace.key)
        if old is None:
            text = f"no order of key {replace.key!r} is working"
            self._deny(key, Denial(DenyReason.NOTHING_TO_REPLACE, text), {})
            return
        place = Place(
            replace.key,
            old.instrument,
            old.side,
            replace.quantity,
            replace.price,
            old.type,
            old.time_in_force,
            old.reduces,
        )
        await self._decide(key, place, replaced=old)

    def _deny(self, key: IntentKey, denial: Denial, inputs: dict[str, str]) -> None:
        self._books.remember(key)
        self._writer.append(DecisionDenied(key, denial.reason, denial.text, inputs, self._clock.wall_ns()))

    def _release(self, key: IntentKey, denial: Denial) -> None:
        """Nothing will come of an approval: its reservation ends, and the strategy is told."""
        self._books.reserved.pop(key, None)
        self._deny(key, denial, {})

    # Orders

    @handles(ApprovalRefused, BLOCK)
    async def on_approval_refused(self, message: ApprovalRefused) -> None:
        intent = message.intent
        if intent in self._books.reserved or not self._books.seen(intent):
            self._release(intent, Denial(message.reason, message.text))

    @handles(OrdersStarted, BLOCK)
    async def on_orders_started(self, message: OrdersStarted) -> None:
        if self._asked:
            await self._orders.send(ConfirmReservations(tuple(self._books.reserved), self.context.incarnation))

    @handles(ReservationsKnown, BLOCK)
    async def on_reservations_known(self, message: ReservationsKnown) -> None:
        if message.risk_incarnation != self.context.incarnation:
            return
        for intent in message.asked - message.known:
            if intent in self._books.reserved:
                text = "orders restarted before it journaled this; nothing was sent"
                self._release(intent, Denial(DenyReason.RESTARTED, text))
        if self._open_at is None:
            self._open_at = message.sequence
        self._settle_waiting()

    # Prices, books, pauses

    @handles(Quote, conflate(lambda quote: quote.instrument))
    async def on_quote(self, message: Quote) -> None:
        self._books.quotes[message.instrument] = message

    @handles(PortfolioState, conflate(lambda _: None))
    async def on_portfolio(self, message: PortfolioState) -> None:
        self._books.portfolio = message
        loss = self._books.day_loss()
        if loss is None:
            return
        limit = self._capital_all * self._settings.daily_loss_percent / 100
        lost = not (loss <= limit)
        if lost != self._day_lost:
            self._day_lost = lost
            detail = f"{loss} lost since midnight, at most {limit}"
            self._watchdog.tell(Alarm(self.context.path, Cause.DAILY_LOSS, "account", lost, detail))

    @handles(PauseChanged, BLOCK)
    async def on_pause_changed(self, message: PauseChanged) -> None:
        self._books.pauses.told(message)

