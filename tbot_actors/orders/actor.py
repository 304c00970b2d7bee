"""The actor of the order path. One order's way through it:

    Approved ──▶ OrderCommitted appended ──▶ read back from the journal ──▶ SubmitOrder to the gateway
    SubmitOutcome, OrderReport, QueryOutcome, VenueFacts ──▶ facts appended ──▶ read back ──▶ cancel, replace, look

The desk decides (desk.py); this shell carries messages to it and does what it says. What comes before the journal is
read to its head waits here, in order; only an approval is refused at once, because its price would not wait.
"""

from collections.abc import Mapping
from typing import Any

from attrs import frozen

from tbot_actors.domain.events import Evidence
from tbot_actors.domain.instruments import InstrumentId
from tbot_actors.domain.messages import (
    Alarm,
    Appended,
    AppendFailed,
    Approved,
    CancelOrder,
    CancelOutcome,
    CancelWanted,
    Cause,
    ConfirmReservations,
    EventsRead,
    GatewayReady,
    JournalAdvanced,
    OrderReport,
    OrdersStarted,
    QueryOrder,
    QueryOutcome,
    ReservationsKnown,
    SubmitOrder,
    SubmitOutcome,
    VenueFacts,
)
from tbot_actors.domain.orders import Order
from tbot_actors.journal import JournalReader, JournalWriter
from tbot_actors.journal.store import EVENTS_PER_APPEND_MAX
from tbot_actors.kernel import BLOCK, REJECT, Actor, Address, Down, conflate, handles
from tbot_actors.orders.deeds import Deeds, Look, Now, Overdue, Refuse, Send, SendCancel, Tell, Write
from tbot_actors.orders.desk import Desk
from tbot_actors.orders.settings import OrdersSettings

_NS = 1_000_000_000
EARLY_MAX = 4096
"""Messages that may wait for the journal to be read; as many as the mailbox has places."""


class AppendRefused(Exception):
    """The journal refused rows of the order path: its state and the journal's differ, so start again from the
    journal.
    """


class TooEarly(Exception):
    """More messages wait for the journal than may: start again, and find in the journal and at the venue what they
    said.
    """


@frozen
class _Tick:
    """Time to look after unknown orders and cancels."""


class Orders(Actor):
    """Owns every order of the bot. Writes before it sends, believes only evidence, books each fill once."""

    capacity = 4096

    def __init__(
        self,
        *,
        bot: str,
        account: str,
        journal: Address,
        risk: Address,
        gateways: Mapping[str, Address],
        watchdog: Address,
        settings: OrdersSettings,
    ) -> None:
        self._bot = bot
        self._account = account
        self._journal = journal
        self._risk = risk
        self._gateways = gateways
        self._watchdog = watchdog
        self._settings = settings
        self._early: list[Any] = []
        self._confirming: ConfirmReservations | None = None

    async def started(self) -> None:
        """Read the journal; what follows from having read it is in `on_events_read`."""
        self._clock = self.context.world.clock
        self._desk = Desk(self._account, self._bot, self._settings, self.context.incarnation)
        self._reader = JournalReader(self._journal, self.context.address)
        self._writer = JournalWriter(self._journal, self.context.address, self._clock)
        self.context.watch(self._journal)
        for venue, gateway in self._gateways.items():
            self.context.watch(gateway)
            if gateway.ready:
                await self._do(self._desk.gateway_ready(venue, self._now()))
        self._reader.start()
        self.context.every(self._settings.look_every_s / 2, _Tick())

    # The journal

    @handles(JournalAdvanced, conflate(lambda _: None))
    async def on_journal_advanced(self, message: JournalAdvanced) -> None:
        self._reader.advanced(message)

    @handles(EventsRead, BLOCK)
    async def on_events_read(self, message: EventsRead) -> None:
        for _, event in self._reader.take(message):
            await self._do(self._desk.read(event, self._now()))
        if self._reader.caught_up and not self._desk.live:
            await self._recover()
        self._confirm()

    async def _recover(self) -> None:
        """Tell risk that approvals in the hands of an earlier incarnation are gone, and turn to what came meanwhile."""
        await self._do(self._desk.recovered(self._now()))
        self._risk.tell(OrdersStarted(self.context.incarnation))
        self.context.ready()
        early, self._early = self._early, []
        for message in early:
            await self.handlers[type(message)].handler(self, message)

    def _waits(self, message: Any) -> bool:
        """Whether the message waits for the journal to be read."""
        if self._desk.live:
            return False
        if len(self._early) >= EARLY_MAX:
            raise TooEarly(f"{EARLY_MAX} messages wait for the journal")
        self._early.append(message)
        return True

    @handles(Appended, BLOCK)
    async def on_appended(self, message: Appended) -> None:
        self._writer.appended(message)

    @handles(AppendFailed, BLOCK)
    async def on_append_failed(self, message: AppendFailed) -> None:
        if self._writer.failed(message) is not None:
            raise AppendRefused(message.why)

    @handles(Down, BLOCK)
    async def on_down(self, message: Down) -> None:
        if message.path == self._journal.path:
            self._reader.journal_down()
            self._writer.journal_down()
        for venue, gateway in self._gateways.items():
            if message.path == gateway.path:
                await self._do(self._desk.gateway_gone(venue, self._now()))

    # Risk

    @handles(Approved, BLOCK)
    async def on_approved(self, message: Approved) -> None:
        await self._do(self._desk.approve(message, self._now()))

    @handles(CancelWanted, BLOCK)
    async def on_cancel_wanted(self, message: CancelWanted) -> None:
        if not self._waits(message):
            await self._do(self._desk.cancel_wanted(message.strategy, message.key, message.why, self._now()))

    @handles(ConfirmReservations, BLOCK)
    async def on_confirm_reservations(self, message: ConfirmReservations) -> None:
        if not self._waits(message):
            self._confirming = message
            await self._do(self._desk.risk_restarted(message.risk_incarnation))
            self._confirm()

    def _confirm(self) -> None:
        """Answer risk once nothing is in hand that the journal does not show."""
        if self._confirming is None or self._desk.hands:
            return
        asked = frozenset(self._confirming.intents)
        known, incarnation = self._desk.known(asked), self._confirming.risk_incarnation
        self._risk.tell(ReservationsKnown(asked, known, incarnation, self._reader.sequence))
        self._confirming = None

    # The venue

    @handles(GatewayReady, BLOCK)
    async def on_gateway_ready(self, message: GatewayReady) -> None:
        # The news may be older than the gateway's death.
        if self._gateways[message.venue].ready:
            await self._do(self._desk.gateway_ready(message.venue, self._now()))

    @handles(SubmitOutcome, BLOCK)
    async def on_submit_outcome(self, message: SubmitOutcome) -> None:
        if not self._waits(message):
            await self._do(self._desk.submitted(message.client_id, message.result, self._now()))

    @handles(CancelOutcome, BLOCK)
    async def on_cancel_outcome(self, message: CancelOutcome) -> None:
        if not self._waits(message):
            await self._do(self._desk.cancelled(message.client_id, message.result, self._now()))

    @handles(QueryOutcome, BLOCK)
    async def on_query_outcome(self, message: QueryOutcome) -> None:
        if not self._waits(message):
            await self._do(self._desk.queried(message.client_id, message.result, message.asked_ns, self._now()))

    @handles(OrderReport, REJECT)
    async def on_order_report(self, message: OrderReport) -> None:
        if not self._waits(message):
            await self._do(self._desk.reported(message, self._now()))

    @handles(VenueFacts, BLOCK)
    async def on_venue_facts(self, message: VenueFacts) -> None:
        if self._waits(message):
            return
        for report in message.reports:
            await self._do(self._desk.reported(report, self._now()))
        for trade in message.trades:
            await self._do(self._desk.traded(trade, Evidence.RECONCILE, self._now()))
        for client_id in message.absent:
            order = self._desk.blotter.get(client_id)
            if order is not None:
                await self._look(order)
        for orphan in message.orphans:
            await self._cancel(orphan.client_id, orphan.instrument)

    @handles(_Tick, conflate(lambda _: None))
    async def on_tick(self, message: _Tick) -> None:
        if self._desk.live:
            await self._do(self._desk.tick(self._now()))

    # Deeds

    async def _do(self, deeds: Deeds) -> None:
        for deed in deeds:
            match deed:
                case Write(events):
                    # A report of an order in many small pieces has more trades than one append may have events.
                    for start in range(0, len(events), EVENTS_PER_APPEND_MAX):
                        self._writer.append(*events[start : start + EVENTS_PER_APPEND_MAX])
                case Send(order):
                    await self._submit(order)
                case SendCancel(order):
                    await self._cancel(order.client_id, order.instrument)
                case Look(order):
                    await self._look(order)
                case Refuse(refusal):
                    self._risk.tell(refusal)
                case Overdue(client_ids):
                    detail = ", ".join(client_ids)
                    alarm = Alarm(self.context.path, Cause.UNKNOWN_OVERDUE, "account", bool(client_ids), detail)
                    self._watchdog.tell(alarm)
                case Tell(text, client_id):
                    self.context.log.warning(text, client_id=client_id)

    async def _submit(self, order: Order) -> None:
        not_after_ns = self._clock.monotonic_ns() + int(self._settings.send_within_s * _NS)
        submit = SubmitOrder(
            client_id=order.client_id,
            instrument=order.instrument,
            side=order.side,
            type=order.type,
            time_in_force=order.time_in_force,
            quantity=order.quantity,
            price=order.price,
            reduces=order.reduces,
            not_after_ns=not_after_ns,
            reply_to=self.context.address,
        )
        await self._gateway(order.instrument).send(submit)

    async def _cancel(self, client_id: str, instrument: InstrumentId) -> None:
        """Both this and a look come again by themselves, so they do not pile up before a gateway that is away."""
        gateway = self._gateway(instrument)
        if gateway.ready:
            await gateway.send(CancelOrder(client_id, instrument, self.context.address))

    async def _look(self, order: Order) -> None:
        gateway = self._gateway(order.instrument)
        if gateway.ready:
            await gateway.send(QueryOrder(order.client_id, order.instrument, self.context.address))

    def _gateway(self, instrument: InstrumentId) -> Address:
        return self._gateways[instrument.partition(":")[0]]

    def _now(self) -> Now:
        return Now(self._clock.monotonic_ns(), self._clock.wall_ns())
