"""The gateway: what it sends, what it holds back, and how everything ends in an answer."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from attrs import define, field
from trio.testing import MockClock

from tbot_actors.domain.events import InstrumentDefined
from tbot_actors.domain.latch import Latch
from tbot_actors.domain.messages import (
    CancelOrder,
    CancelOutcome,
    ClockOffset,
    GatewayReady,
    Lost,
    NotSent,
    OrderReport,
    QueryOrder,
    QueryOutcome,
    Refused,
    ReportedState,
    SubmitOutcome,
    VenueState,
    VenueStateWanted,
)
from tbot_actors.kernel import Address, Branch, Child, Strategy, System, Unavailable, open_system
from tbot_actors.venues import Counted, Gateway, GatewaySettings, Session, Throttle
from tests.venues.scripts import (
    BTCUSDT,
    INSTRUMENT,
    LOST,
    NS,
    Inbox,
    ScriptedJournal,
    ScriptedSession,
    listener,
    report,
    submit,
    virtual_world,
)

SMALL = GatewaySettings(
    submit_slots=2,
    submits_waiting_max=3,
    cancel_slots=2,
    cancels_waiting_max=3,
    query_slots=1,
    queries_waiting_max=2,
    states_waiting_max=1,
)


@define(eq=False)
class House:
    """A gateway with a scripted venue, a journal and a listener."""

    system: System
    sessions: list[ScriptedSession]
    throttle: Throttle
    journal: Inbox
    heard: Inbox
    replies: Inbox = field(factory=Inbox)

    @property
    def gateway(self) -> Address:
        return self.system.directory["gateway"]

    @property
    def session(self) -> ScriptedSession:
        return self.sessions[-1]

    def cancel(self, client_id: str) -> None:
        self.gateway.tell(CancelOrder(client_id, BTCUSDT, self.replies))

    def results(self, kind: type) -> dict[str, Any]:
        return {outcome.client_id: outcome.result for outcome in self.replies.of(kind)}


@asynccontextmanager
async def house(
    *,
    settings: GatewaySettings = SMALL,
    latch: Callable[[], Latch] = Latch,
    logins: list[BaseException | None] | None = None,
    deaf: int = 0,
    ready: bool = True,
) -> AsyncIterator[House]:
    world = virtual_world()
    throttle = Throttle(world.clock)
    throttle.learn(Counted.WEIGHT, 60, 1000)
    sessions: list[ScriptedSession] = []
    troubles = list(logins or [])
    journal, heard, deafness = Inbox(), Inbox(), [deaf]

    def open_session() -> Session:
        sessions.append(ScriptedSession(throttle, logins=[troubles.pop(0)] if troubles else []))
        return sessions[-1]

    system: System

    def gateway() -> Gateway:
        directory = system.directory
        return Gateway(
            "binance",
            open_session,
            journal=directory["journal"],
            latch=latch,
            settings=settings,
            listeners=[directory["orders"]],
        )

    orders = listener([GatewayReady], heard)
    root = Branch(
        "root",
        Strategy.ONE_FOR_ONE,
        (
            Child("journal", ScriptedJournal, lambda: ScriptedJournal(journal, deafness)),
            Child("orders", orders, orders),
            Child("gateway", Gateway, gateway),
        ),
    )
    opening = open_system(root, world)
    async with opening as system:
        if ready:
            await system.wait_ready("gateway", timeout_s=600)
        yield House(system, sessions, throttle, journal, heard)
        await system.stop()


# Start


async def test_a_start_journals_the_instruments_and_then_tells_that_orders_can_be_sent(
    autojump_clock: MockClock,
) -> None:
    async with house() as at:
        (append,) = at.journal.told
        assert [event.instrument for event in append.events] == [INSTRUMENT]
        assert all(isinstance(event, InstrumentDefined) for event in append.events)
        assert at.heard.told == [GatewayReady("binance", 1)]


async def test_an_unreachable_venue_is_an_outage_that_ends_by_itself(autojump_clock: MockClock) -> None:
    async with house(logins=[Unavailable("refused")] * 20) as at:
        assert at.heard.told == [GatewayReady("binance", 21)]
        assert [session.closed for session in at.sessions] == [1] * 20 + [0]


async def test_instruments_that_a_dying_journal_swallowed_are_told_again_under_the_same_id(
    autojump_clock: MockClock,
) -> None:
    async with house(deaf=1, ready=False) as at:
        await at.journal.wait_for(1)
        assert at.heard.told == []
        at.system.crash("journal", RuntimeError("test"))
        await at.system.wait_ready("gateway", timeout_s=60)
        first, second = at.journal.told
        assert first.append_id == second.append_id and first.events == second.events


# Outcomes


@pytest.mark.parametrize("result", [report("A"), Refused(-2010, "no"), LOST, NotSent("refused")], ids=repr)
async def test_a_submit_is_sent_once_and_its_result_told(result: Any, autojump_clock: MockClock) -> None:
    async with house() as at:
        at.session.answers["submit"] = [result]
        at.gateway.tell(submit("A", at.replies))
        assert await at.replies.wait_for(1) == [SubmitOutcome("A", result)]
        await trio.sleep(60)
        assert [call[0] for call in at.session.calls] == ["submit"]


async def test_a_lost_cancel_is_not_repeated(autojump_clock: MockClock) -> None:
    async with house() as at:
        at.session.answers["cancel"] = [LOST]
        at.cancel("A")
        assert await at.replies.wait_for(1) == [CancelOutcome("A", LOST)]
        assert len(at.session.calls) == 1


async def test_a_query_tells_when_it_was_asked(autojump_clock: MockClock) -> None:
    async with house() as at:
        at.session.takes_s["query"] = 3
        await trio.sleep(5)
        at.gateway.tell(QueryOrder("A", BTCUSDT, at.replies))
        (outcome,) = await at.replies.wait_for(1)
        assert isinstance(outcome, QueryOutcome) and outcome.asked_ns == pytest.approx(5 * NS, abs=NS // 100)


async def test_the_venue_is_read_orders_first_then_trades_then_balances(autojump_clock: MockClock) -> None:
    async with house() as at:
        at.gateway.tell(VenueStateWanted(4, {BTCUSDT: "17"}, at.replies))
        (state,) = await at.replies.wait_for(1)
        assert isinstance(state, VenueState) and state.failed is None and state.token == 4
        assert [order.client_id for order in state.open_orders] == ["OPEN1"] and set(state.balances) == {"USDT"}
        assert at.session.state_calls == ["open_orders", "trades binance:BTCUSDT 17", "balances"]


async def test_a_venue_that_cannot_be_read_is_told_and_not_half_of_it(autojump_clock: MockClock) -> None:
    async with house() as at:
        at.session.answers["trades"] = [Unavailable("HTTP 502")]
        at.gateway.tell(VenueStateWanted(4, {BTCUSDT: None}, at.replies))
        (state,) = await at.replies.wait_for(1)
        assert state.failed == "HTTP 502" and state.open_orders == ()


# Slots


async def test_submits_beyond_slots_wait_and_beyond_the_waiting_places_are_not_sent(
    autojump_clock: MockClock,
) -> None:
    async with house() as at:
        at.session.takes_s["submit"] = 2
        for number in range(6):
            at.gateway.tell(submit(f"A{number}", at.replies))
        await trio.sleep(1)
        assert at.session.under_way == 2
        assert isinstance(at.results(SubmitOutcome)["A5"], NotSent)
        await at.replies.wait_for(6)
        # Of two slots that come free together, which one trio runs first is a coin's toss.
        sent = [call[1] for call in at.session.calls]
        assert [set(sent[:2]), set(sent[2:4]), set(sent[4:])] == [{"A0", "A1"}, {"A2", "A3"}, {"A4"}]
        assert [call[2] - at.session.calls[0][2] for call in at.session.calls] == [0, 0, 2, 2, 4]


async def test_cancels_do_not_wait_behind_submits(autojump_clock: MockClock) -> None:
    async with house() as at:
        at.session.takes_s["submit"] = 100
        for number in range(5):
            at.gateway.tell(submit(f"A{number}", at.replies))
        at.cancel("B")
        assert await at.replies.wait_for(1, timeout_s=1) == [CancelOutcome("B", report("B", ReportedState.CANCELED))]


async def test_every_lane_has_its_end(autojump_clock: MockClock) -> None:
    async with house() as at:
        at.session.takes_s = {"cancel": 1, "query": 1}
        for number in range(10):
            at.cancel(f"C{number}")
            at.gateway.tell(QueryOrder(f"Q{number}", BTCUSDT, at.replies))
            at.gateway.tell(VenueStateWanted(number, {}, at.replies))
        await at.replies.wait_for(30)
        held_back = [result for result in at.results(CancelOutcome).values() if isinstance(result, NotSent)]
        assert len(held_back) == 5
        assert sum(isinstance(result, NotSent) for result in at.results(QueryOutcome).values()) == 7
        assert any(state.failed for state in at.replies.of(VenueState))


# What is held back


async def test_the_latch_bars_new_risk_just_before_the_bytes(autojump_clock: MockClock) -> None:
    latch = [Latch()]
    async with house(latch=lambda: latch[0]) as at:
        at.session.takes_s["submit"] = 2
        for number in range(3):
            at.gateway.tell(submit(f"A{number}", at.replies))
        await trio.sleep(1)
        # A0 and A1 are on their way, A2 waits for a slot.
        latch[0] = Latch({"account": ("DAILY_LOSS",)})
        await at.replies.wait_for(3)
        results = at.results(SubmitOutcome)
        assert isinstance(results["A0"], OrderReport) and isinstance(results["A1"], OrderReport)
        assert results["A2"] == NotSent("latched: account: DAILY_LOSS")
        assert len(at.session.calls) == 2


@pytest.mark.parametrize("scope", ["account", "venue:binance"])
async def test_the_latch_lets_through_what_reduces_and_cancels(scope: str, autojump_clock: MockClock) -> None:
    async with house(latch=lambda: Latch({scope: ("PERSON",)})) as at:
        at.gateway.tell(submit("A", at.replies))
        at.gateway.tell(submit("R", at.replies, reduces=True))
        at.cancel("C")
        await at.replies.wait_for(3)
        assert isinstance(at.results(SubmitOutcome)["A"], NotSent)
        assert isinstance(at.results(SubmitOutcome)["R"], OrderReport)
        assert isinstance(at.results(CancelOutcome)["C"], OrderReport)


async def test_another_venues_latch_bars_nothing_here(autojump_clock: MockClock) -> None:
    async with house(latch=lambda: Latch({"venue:kraken": ("PERSON",)})) as at:
        at.gateway.tell(submit("A", at.replies))
        assert await at.replies.wait_for(1) == [SubmitOutcome("A", report("A"))]


async def test_an_order_too_late_is_never_sent_even_one_that_reduces(autojump_clock: MockClock) -> None:
    async with house() as at:
        at.session.takes_s["submit"] = 2
        start_s = trio.current_time()
        for number in range(3):
            order = submit(f"A{number}", at.replies, reduces=True, not_after_s=start_s + 1)
            at.gateway.tell(order)
        await at.replies.wait_for(3)
        assert at.results(SubmitOutcome)["A2"] == NotSent("too late by 1.000 s")
        assert len(at.session.calls) == 2


async def test_no_new_risk_while_the_venues_clock_is_uncertain(autojump_clock: MockClock) -> None:
    async with house() as at:
        at.gateway.tell(ClockOffset("binance", 0, 3 * NS))
        at.gateway.tell(submit("A", at.replies))
        at.gateway.tell(submit("R", at.replies, reduces=True))
        await at.replies.wait_for(2)
        at.gateway.tell(ClockOffset("binance", 0, NS // 1000))
        at.gateway.tell(submit("B", at.replies))
        await at.replies.wait_for(3)
        assert isinstance(at.results(SubmitOutcome)["A"], NotSent)
        assert isinstance(at.results(SubmitOutcome)["R"], OrderReport)
        assert isinstance(at.results(SubmitOutcome)["B"], OrderReport)


# Rate limits


async def test_in_a_pause_of_the_venue_submits_are_not_sent_and_cancels_wait_exactly(
    autojump_clock: MockClock,
) -> None:
    async with house() as at:
        start_s = trio.current_time()
        at.throttle.bar(Counted.WEIGHT, 30)
        at.gateway.tell(submit("A", at.replies))
        at.gateway.tell(QueryOrder("Q", BTCUSDT, at.replies))
        at.cancel("C")
        await at.replies.wait_for(3)
        assert isinstance(at.results(SubmitOutcome)["A"], NotSent)
        assert isinstance(at.results(QueryOutcome)["Q"], NotSent)
        ((verb, client_id, at_s),) = at.session.calls
        assert (verb, client_id) == ("cancel", "C") and at_s - start_s == pytest.approx(30)


async def test_a_cancel_that_the_rate_limit_turned_away_is_sent_again_after_the_wait(
    autojump_clock: MockClock,
) -> None:
    async with house() as at:

        def turned_away() -> NotSent:
            at.throttle.bar(Counted.WEIGHT, 10)
            return NotSent("turned away")

        at.session.answers["cancel"] = [turned_away, turned_away]
        at.cancel("C")
        assert await at.replies.wait_for(1) == [CancelOutcome("C", report("C", ReportedState.CANCELED))]
        assert [round(call[2] - at.session.calls[0][2], 6) for call in at.session.calls] == [0, 10, 20]


async def test_a_cancel_does_not_wait_out_a_long_ban(autojump_clock: MockClock) -> None:
    async with house() as at:
        at.throttle.bar(Counted.WEIGHT, 3 * 86400)
        at.cancel("C")
        (outcome,) = await at.replies.wait_for(1, timeout_s=1)
        assert isinstance(outcome.result, NotSent) and at.session.calls == []


async def test_orders_leave_room_in_the_limit_for_cancels(autojump_clock: MockClock) -> None:
    async with house() as at:
        at.throttle.seen(Counted.WEIGHT, 60, 800)
        at.gateway.tell(submit("A", at.replies))
        at.cancel("C")
        await at.replies.wait_for(2)
        assert isinstance(at.results(SubmitOutcome)["A"], NotSent)
        assert isinstance(at.results(CancelOutcome)["C"], OrderReport)


# Crash


async def test_a_crash_leaves_no_request_and_no_open_session_behind(autojump_clock: MockClock) -> None:
    async with house() as at:
        first = at.session
        first.takes_s = {"submit": 1000, "cancel": 1000, "query": 1000}
        for number in range(5):
            at.gateway.tell(submit(f"A{number}", at.replies))
        at.cancel("C")
        at.gateway.tell(QueryOrder("Q", BTCUSDT, at.replies))
        await trio.sleep(1)
        assert first.under_way == 4
        at.system.crash("gateway", RuntimeError("test"))
        await trio.sleep(5)
        assert first.under_way == 0 and first.closed == 1
        assert at.heard.told == [GatewayReady("binance", 1), GatewayReady("binance", 2)]
        assert at.replies.told == [], "whoever sent them learns it from Down"
        at.gateway.tell(submit("B", at.replies))
        assert await at.replies.wait_for(1) == [SubmitOutcome("B", report("B"))]


async def test_a_session_that_breaks_its_promise_crashes_the_gateway(autojump_clock: MockClock) -> None:
    async with house() as at:
        at.session.answers["submit"] = [ValueError("a bug of the dialect")]
        at.gateway.tell(submit("A", at.replies))
        await trio.sleep(5)
        assert len(at.sessions) == 2 and at.sessions[0].closed == 1


async def test_an_orderly_stop_closes_the_session(autojump_clock: MockClock) -> None:
    async with house() as at:
        pass
    assert [session.closed for session in at.sessions] == [1]


def test_lost_is_what_it_says() -> None:
    assert isinstance(LOST, Lost)
