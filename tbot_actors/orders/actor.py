"""The actor of the order path. One order's way through it:

    Approved ──▶ OrderCommitted appended ──▶ read back from the journal ──▶ SubmitOrder to the gateway
    SubmitOutcome, OrderReport, QueryOutcome, VenueFacts ──▶ facts appended ──▶ read back ──▶ what follows (cancel, replace, look again)

The desk decides (desk.py); this shell carries messages to it and does what it says.
"""

from collections.abc import Mapping

from tbot_actors.domain.events import Evidence
from tbot_actors.domain.instruments import InstrumentId
from tbot_actors.domain.messages import (
    Alarm,
    AppendFailed,
    Appended,
    Approved,
    CancelOrder,
    CancelOutcome,
    CancelWanted,
    Cause,
    ConfirmReservations,
    EventsRead,
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
from tbot_actors.journal import JournalReader, JournalWriter
from tbot_actors.kernel import BLOCK, REJECT, Actor, Address, Down, conflate, handles
from tbot_actors.orders.desk import Deeds, Desk, Look, Overdue, Refuse, Send, SendCancel, Write
from tbot_actors.orders.settings import OrdersSettings

_NS = 1_000_000_000


class AppendRefused(Exception):
    """The journal refused rows of the order path: its state and the journal's differ, so start again from the journal."""


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
        self._journal = journal
        self._risk = risk
        self._gateways = gateways
        self._watchdog = watchdog
        self._settings = settings
        self._desk = Desk(account=account, bot=bot, settings=settings)
        self._recovered = False
        self._confirming: ConfirmReservations | None = None

    async def started(self) -> None:
        """Read the journal, and tell risk that approvals in the hands of an earlier incarnation are gone."""
        self._clock = self.context.world.clock
        self._reader = JournalReader(self._journal, self.context.address)
        self._writer = JournalWriter(self._journal, self.context.address, self._clock)
        self.context.watch(self._journal)
        for gateway in self._gateways.values():
            self.context.watch(gateway)
        self._reader.start()
        self.context.every(self._settings.look_every_s / 2, _Tick())

    # The journal

    @handles(JournalAdvanced, conflate(lambda _: None))
    async def on_journal_advanced(self, message: JournalAdvanced) -> None:
        self._reader.advanced(message)

    @handles(EventsRead, BLOCK)
    async def on_events_read(self, message: EventsRead) -> None:
        for _, event in self._reader.take(message):
            await self._do(self._desk.read(event, self._clock.monotonic_ns()))
        if self._reader.caught_up and not self._recovered:
            self._recovered = True
            await self._do(self._desk.recovered(self._clock.wall_ns()))
            self._risk.tell(OrdersStarted(self.context.incarnation))
            self.context.ready()
        self._confirm()

    @handles(Appended, REJECT)
    async def on_appended(self, message: Appended) -> None:
        self._writer.appended(message)

    @handles(AppendFailed, REJECT)
    async def on_append_failed(self, message: AppendFailed) -> None:
        raise AppendRefused(message.why)

    @handles(Down, BLOCK)
    async def on_down(self, message: Down) -> None:
        if message.path == self._journal.path:
            self._reader.journal_down()
            self._writer.journal_down()
            return
        for venue, gateway in self._gateways.items():
            if message.path == gateway.path:
                await self._do(self._desk.gateway_gone(venue, self._clock.wall_ns()))

    # Risk

    @handles(Approved, BLOCK)
    async def on_approved(self, message: Approved) -> None:
        await self._do(self._desk.approve(message, self._clock.wall_ns()))

    @handles(CancelWanted, BLOCK)
    async def on_cancel_wanted(self, message: CancelWanted) -> None:
        await self._do(self._desk.cancel_wanted(message.strategy, message.key, message.why, self._clock.wall_ns()))

    @handles(ConfirmReservations, BLOCK)
    async def on_confirm_reservations(self, message: ConfirmReservations) -> None:
        self._confirming = message
        await self._do(self._desk.risk_restarted(message.risk_incarnation))
        self._confirm()

    def _confirm(self) -> None:
        """Answer risk once nothing is in hand that the journal does not show."""
        if self._confirming is None or self._desk.hands or not self._recovered:
            return
        asked = frozenset(self._confirming.intents)
        known = frozenset(intent for intent in asked if self._desk.knows(intent))
        self._risk.tell(ReservationsKnown(asked, known, self._confirming.risk_incarnation, self._reader.sequence))
        self._confirming = None

    # The venue

    @handles(SubmitOutcome, BLOCK)
    async def on_submit_outcome(self, message: SubmitOutcome) -> None:
        await self._do(self._desk.submitted(message.client_id, message.result, self._clock.wall_ns()))

    @handles(CancelOutcome, BLOCK)
    async def on_cancel_outcome(self, message: CancelOutcome) -> None:
        await self._do(self._desk.cancelled(message.client_id, message.result, self._clock.wall_ns()))

    @handles(QueryOutcome, BLOCK)
    async def on_query_outcome(self, message: QueryOutcome) -> None:
        await self._do(self._desk.queried(message.client_id, message.result, message.asked_ns, self._clock.wall_ns()))

    @handles(OrderReport, REJECT)
    async def on_order_report(self, message: OrderReport) -> None:
        await self._do(self._desk.reported(message, self._clock.wall_ns()))

    @handles(VenueFacts, BLOCK)
    async def on_venue_facts(self, message: VenueFacts) -> None:
        wall_ns = self._clock.wall_ns()
        for report in message.reports:
            await self._do(self._desk.reported(report, wall_ns))
        for trade in message.trades:
            await self._do(self._desk.traded(trade, Evidence.RECONCILE))
        for client_id in message.absent:
            order = self._desk.blotter.get(client_id)
            if order is not None:
                await self._do(iter((Look(order),)))
        for orphan in message.orphans:
            self._gateway(orphan.instrument).tell(CancelOrder(orphan.client_id, orphan.instrument, self.context.address))

    @handles(_Tick, conflate(lambda _: None))
    async def on_tick(self, message: _Tick) -> None:
        await self._do(self._desk.tick(self._clock.monotonic_ns(), self._clock.wall_ns()))

    # Deeds

    async def _do(self, deeds: Deeds) -> None:
        me = self.context.address
        for deed in deeds:
            match deed:
                case Write(events):
                    self._writer.append(*events)
                case Send(order):
                    not_after_ns = self._clock.monotonic_ns() + int(self._settings.send_within_s * _NS)
                    await self._gateway(order.instrument).send(
                        SubmitOrder(
                            order.client_id,
                            order.instrument,
                            order.side,
                            order.type,
                            order.time_in_force,
                            order.quantity,
                            order.price,
                            order.reduces,
                            not_after_ns,
                            me,
                        )
                    )
                case SendCancel(order):
                    await self._gateway(order.instrument).send(CancelOrder(order.client_id, order.instrument, me))
                case Look(order):
                    await self._gateway(order.instrument).send(QueryOrder(order.client_id, order.instrument, me))
                case Refuse(refusal):
                    self._risk.tell(refusal)
                case Overdue(client_ids):
                    detail = ", ".join(client_ids)
                    alarm = Alarm(self.context.path, Cause.UNKNOWN_OVERDUE, "account", bool(client_ids), detail)
                    self._watchdog.tell(alarm)

    def _gateway(self, instrument: InstrumentId) -> Address:
        return self._gateways[instrument.partition(":")[0]]
