"""Both hosts do the same with the same events; what comes out of a process is stamped, checked, or a crash."""

from __future__ import annotations

import os
import signal
from decimal import Decimal
from typing import Any

import pytest
import trio

from tbot_actors.domain.events import (
    DecisionDenied,
    DenyReason,
    Event,
    InstrumentDefined,
    PauseChanged,
    StrategyLearned,
)
from tbot_actors.domain.instruments import Side
from tbot_actors.domain.intents import Cancel, IntentKey, Place
from tbot_actors.domain.market import Candle, EventId, MarketTrade, Quote
from tbot_actors.domain.messages import Intents, PendingIntents, RiskStarted
from tbot_actors.kernel import System
from tbot_actors.kernel.host import WorkerDied, WorkerFailed, WorkerGarbage, WorkerRaised
from tbot_actors.strategies.hosts import StrategyBroken, describe
from tbot_actors.strategies.session import SnapshotTooLarge
from tbot_actors.world import real_world
from tests.domain.samples import BTCUSDT, accepted, committed, fill
from tests.kernel.host.rig import children
from tests.strategies.house import BTC, Script, address, journal, living, program

pytestmark = pytest.mark.processes


def quote(update: int, bid: int = 100) -> Quote:
    return Quote(BTC, Decimal(bid), Decimal(1), Decimal(bid + 1), Decimal(1), update, 1_000 + update, 5)


def trade(number: int) -> MarketTrade:
    return MarketTrade(BTC, str(number), Decimal(100), Decimal(1), Side.BUY, 2_000 + number, 5)


def candle(open_ns: int) -> Candle:
    one = Decimal(1)
    return Candle(BTC, 60, open_ns, one, one, one, one, one, 1, 5)


async def settle(system: System) -> None:
    """Everything told so far has been handled; the strategy's timer does nothing."""
    with trio.fail_after(20):
        while any(  # noqa: ASYNC110
            system.directory[path].statistics().depth or system.snapshot()[path].busy_for_ns
            for path in ("strategy", "journal", "risk")
        ):
            await trio.sleep(0.005)


OTHERS = fill("9", "B1", strategy="quoter")


async def a_day(host: str) -> list[Any]:
    """What comes out of the same strategy on the same day."""
    script = Script([
        InstrumentDefined(BTCUSDT, 1),
        committed("A0", key="old"),
        committed("B1", strategy="quoter", intent=IntentKey("quoter", EventId("q/1"), "bid")),
        StrategyLearned("momentum", {"from": "yesterday"}, 1),
        OTHERS,
    ])
    async with living(host, script) as system:
        strategy = address(system)
        strategy.tell(quote(1))
        await settle(system)
        intent = script.intents()[-1]
        placed = committed("A1", intent=IntentKey("momentum", intent.event, "entry"))
        for step in (
            (placed,),
            (accepted("A1"),),
            (fill("1", "A1"), fill("2", "B1", strategy="quoter")),
            (PauseChanged("strategy:quoter", ("PERSON",), 7),),
            (DecisionDenied(IntentKey("momentum", EventId("j/9"), "after"), DenyReason.PAUSED, "", {}, 8),),
            (PauseChanged("venue:binance", ("STALE_FEED",), 9),),
        ):
            journal(system, script, *step)
            await settle(system)
            strategy.tell(RiskStarted(1))
            strategy.tell(trade(len(script.events)))
            strategy.tell(candle(len(script.events)))
            strategy.tell(quote(len(script.events)))
            await settle(system)
    return script.heard


def to_journal(heard: list[Any]) -> list[dict[str, str]]:
    """The snapshots in order; their stamps differ."""
    return [what.snapshot for what in heard if isinstance(what, StrategyLearned)]


def to_risk(heard: list[Any]) -> list[Any]:
    return [what for what in heard if not isinstance(what, StrategyLearned)]


async def test_a_process_and_a_task_account_for_the_same_intents() -> None:
    in_task, in_process = await a_day("task"), await a_day("process")
    assert to_risk(in_process) == to_risk(in_task)
    assert to_journal(in_process) == to_journal(in_task)
    intents = [what for what in in_task if isinstance(what, Intents)]
    assert {what.strategy for what in intents} == {"momentum"}
    causes = [str(what.event) for what in intents]
    assert any(cause.startswith("j/") and cause.endswith("/disconnect") for cause in causes)
    assert any(cause.startswith("c/") for cause in causes)
    assert sum(isinstance(what, PendingIntents) and bool(what.intents) for what in in_task) > 1
    # A hook sees what the one before it wanted because of the same fill.
    assert any(what.intents == (Cancel("entry"),) and what.event.endswith("/order") for what in intents)
    # While risk is barred only what lowers it goes out.
    assert not any(intent.key == "barred" for what in intents for intent in what.intents if isinstance(intent, Place))
    assert any(what.intents == (Cancel("all"),) for what in intents)
    assert any("fill" in what.snapshot for what in in_task if isinstance(what, StrategyLearned))


async def test_what_others_do_is_not_told_to_a_strategys_process() -> None:
    script = Script([InstrumentDefined(BTCUSDT, 1)])
    async with living("process", script, mood="peeks") as system:
        bought = committed("B1", strategy="quoter", intent=IntentKey("quoter", EventId("q/1"), "bid"))
        journal(system, script, bought, fill("2", "B1", strategy="quoter"), StrategyLearned("quoter", {"x": "y"}, 1))
        journal(system, script, committed("A1"))
        await settle(system)
    told = script.learned()[-1]["told"]
    assert told == "OrderCommitted of momentum; "


@pytest.mark.parametrize(
    ("mood", "error"),
    [
        ("raises", WorkerRaised),
        ("other hook", WorkerGarbage),
        ("no number", WorkerGarbage),
        ("too many", WorkerGarbage),
        ("twice", WorkerGarbage),
        ("long key", WorkerGarbage),
        ("large", SnapshotTooLarge),
    ],
)
async def test_a_strategy_that_forges_its_results_crashes_and_nothing_of_it_goes_out(
    mood: str, error: type[Exception]
) -> None:
    script = Script([InstrumentDefined(BTCUSDT, 1)])
    async with living("process", script, mood=mood) as system:
        address(system).tell(quote(1))
        await crashed(system)
        assert isinstance(address(system)._cell.last_error, error)
        await settle(system)
    assert script.heard == []


async def test_a_strategy_is_restored_from_its_last_snapshot_in_its_next_process() -> None:
    events: list[Event] = [InstrumentDefined(BTCUSDT, 1), StrategyLearned("momentum", {"mood": "kept"}, 1)]
    script = Script(events)
    async with living("process", script) as system:
        system.crash("strategy", RuntimeError("enough"))
        await crashed(system)
        address(system).tell(trade(1))
        await settle(system)
    assert script.learned() == [{"mood": "kept", "trade": "0 [] [] []"}]


async def test_a_strategys_process_that_is_killed_is_started_again() -> None:
    script = Script([InstrumentDefined(BTCUSDT, 1)])
    async with living("process", script) as system:
        (worker,) = children()
        os.kill(worker, signal.SIGKILL)
        await crashed(system)
        assert isinstance(address(system)._cell.last_error, WorkerDied)
        address(system).tell(quote(1))
        await settle(system)
    assert [what.intents[0].key for what in script.intents()] == ["entry"]


async def test_a_file_nobody_has_read_is_described_without_being_run_in_the_bot() -> None:
    assert (await describe(program("apart.py:Apart", length=3), real_world(hosts=()))).candles_s == (60, 180)


@pytest.mark.parametrize(
    ("file", "params", "why"),
    [
        ("apart.py:Apart", {"length": 0}, "length"),
        ("apart.py:Apart", {"lenght": 1}, "lenght"),
        ("apart.py:Other", {}, "has no class 'Other'"),
        ("absent.py:Apart", {}, "does not exist"),
        ("mine.py:Mine", {"periods": [-1]}, "candles_s|periods|>= 1"),
    ],
)
async def test_what_is_wrong_with_it_is_said(file: str, params: dict[str, Any], why: str) -> None:
    with pytest.raises(StrategyBroken, match=why):
        await describe(program(file, **params), real_world(hosts=()))


async def crashed(system: System) -> None:
    with trio.fail_after(20):
        while system.snapshot()["strategy"].incarnation < 2:  # noqa: ASYNC110
            await trio.sleep(0.01)
    await system.wait_ready("strategy", timeout_s=30)


def test_every_way_a_worker_can_fail_is_of_one_family() -> None:
    assert issubclass(WorkerGarbage, WorkerFailed)
    assert issubclass(WorkerRaised, WorkerFailed)
