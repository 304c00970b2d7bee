"""The watchdog as its neighbours see it: pauses, the latch, the kill file, progress."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio

from tbot_actors.domain.events import LatchChanged, PauseChanged
from tbot_actors.domain.instruments import Side
from tbot_actors.domain.latch import Latch, encode_latch
from tbot_actors.domain.messages import Cause, FlattenWanted, HaltWanted, ResumeWanted, SafetyAnswer
from tbot_actors.watchdog.kill_file import parse_kill_order
from tbot_actors.watchdog.ladder import KillOrder
from tbot_actors.world import DiskFull
from tests.watchdog.house import (
    ORDERS,
    RISK,
    START_NS,
    WATCHDOG,
    Hold,
    House,
    alarm,
    house,
)

Clock = trio.testing.MockClock


async def resume(bot: House, *causes: str, scope: str = "account", by: str = "eva", reason: str = "looked at") -> Any:
    return await bot.ask(ResumeWanted(scope, causes, by, reason))


async def test_a_fresh_process_takes_no_new_risk_until_every_venue_is_reconciled(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    async with house(tmp_path) as bot:
        await trio.sleep(1)
        assert bot.pauses() == bot.pauses_at_risk() == {"account": ("NOT_RECONCILED",)}
        bot.reconciled()
        await trio.sleep(1)
        assert bot.pauses() == bot.pauses_at_risk() == {}


async def test_a_pause_is_told_and_journaled_and_lifted_with_its_cause(tmp_path: Path, autojump_clock: Clock) -> None:
    async with house(tmp_path) as bot:
        bot.reconciled()
        bot.tell(WATCHDOG, alarm(Cause.STALE_FEED, "venue:binance"))
        await trio.sleep(0.1)
        assert bot.pauses() == bot.pauses_at_risk() == {"venue:binance": ("STALE_FEED",)}
        bot.tell(WATCHDOG, alarm(Cause.STALE_FEED, "venue:binance", active=False))
        await trio.sleep(0.1)
        assert bot.pauses() == bot.pauses_at_risk() == {}


async def test_an_alarm_told_again_and_again_is_one_row(tmp_path: Path, autojump_clock: Clock) -> None:
    async with house(tmp_path) as bot:
        for _ in range(20):
            bot.tell(WATCHDOG, alarm(Cause.STALE_FEED, "venue:binance"))
            await trio.sleep(0.5)
        assert [event.scope for event in bot.events(PauseChanged)].count("venue:binance") == 1


async def test_the_latch_is_in_the_file_before_the_journal_has_it(tmp_path: Path, autojump_clock: Clock) -> None:
    async with house(tmp_path) as bot:
        bot.disk.stuck = trio.Event()
        bot.tell(WATCHDOG, alarm(Cause.DAILY_LOSS))
        await trio.sleep(0.1)
        assert bot.latch() == Latch({"account": ("DAILY_LOSS",)})
        assert bot.events(LatchChanged) == []
        bot.disk.stuck.set()
        bot.disk.stuck = None
        await trio.sleep(0.1)
        assert [(event.scope, event.causes, event.by) for event in bot.events(LatchChanged)] == [
            ("account", ("DAILY_LOSS",), "watchdog")
        ]
        assert bot.pauses()["account"][-1] == "LATCHED: DAILY_LOSS"


async def test_a_latch_survives_the_process(tmp_path: Path, autojump_clock: Clock) -> None:
    async with house(tmp_path) as bot:
        await bot.ask(HaltWanted("strategy:momentum", "eva", "odd fills"))
    async with house(tmp_path, token="q") as bot:
        bot.reconciled()
        await trio.sleep(1)
        assert bot.pauses() == bot.pauses_at_risk() == {"strategy:momentum": ("LATCHED: PERSON_HALT",)}


async def test_a_latch_that_the_journal_never_heard_of_is_journaled_by_the_next_process(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    async with house(tmp_path) as bot:
        bot.latch_file.write(encode_latch(Latch({"account": ("set by the guardian",)})))
    async with house(tmp_path, token="q") as bot:
        await trio.sleep(1)
        assert [(event.causes, event.reason) for event in bot.events(LatchChanged)] == [
            (("set by the guardian",), "as found in the latch file")
        ]


async def test_an_unreadable_latch_is_a_latch(tmp_path: Path, autojump_clock: Clock) -> None:
    async with house(tmp_path) as bot:
        bot.latch_file.write(b"torn")
    async with house(tmp_path, token="q") as bot:
        bot.reconciled()
        await trio.sleep(1)
        assert bot.pauses()["account"] == ("LATCHED: the latch file is unreadable",)
        bot.tell(WATCHDOG, alarm(Cause.DAILY_LOSS))
        await trio.sleep(0.1)
        assert bot.latch() == Latch({"account": ("the latch file is unreadable", "DAILY_LOSS")})


async def test_a_resume_is_refused_while_the_cause_holds(tmp_path: Path, autojump_clock: Clock) -> None:
    async with house(tmp_path) as bot:
        bot.tell(WATCHDOG, alarm(Cause.DAILY_LOSS))
        await trio.sleep(20)
        refused = await resume(bot, "DAILY_LOSS")
        assert not refused.done
        assert "still holds" in refused.text
        bot.tell(WATCHDOG, alarm(Cause.DAILY_LOSS, active=False))
        await trio.sleep(1)
        assert bot.pauses()["account"][-1] == "LATCHED: DAILY_LOSS"
        assert (await resume(bot, "DAILY_LOSS")).done
        assert bot.latch() == Latch()
        await trio.sleep(1)
        assert bot.pauses() == {"account": ("NOT_RECONCILED",)}
        assert (bot.events(LatchChanged)[-1].causes, bot.events(LatchChanged)[-1].by) == ((), "eva")


@pytest.mark.parametrize(
    ("wanted", "why"),
    [
        (ResumeWanted("account", ("PERSON_HALT",), "", "fine"), "a name and a reason"),
        (ResumeWanted("account", ("PERSON_HALT",), "eva", " "), "a name and a reason"),
        (ResumeWanted("account", (), "eva", "fine"), "name the causes"),
        (ResumeWanted("account", ("PERSON_HALT", "DAILY_LOSS"), "eva", "fine"), "name the causes"),
        (ResumeWanted("venue:okx", ("PERSON_HALT",), "eva", "fine"), "latched for nothing"),
    ],
)
async def test_a_resume_names_who_and_why_and_exactly_what(
    tmp_path: Path, autojump_clock: Clock, wanted: ResumeWanted, why: str
) -> None:
    async with house(tmp_path) as bot:
        assert (await bot.ask(HaltWanted("account", "eva", "odd"))).done
        await trio.sleep(5)
        answer = await bot.ask(wanted)
        assert not answer.done
        assert why in answer.text
        assert bot.latch() == Latch({"account": ("PERSON_HALT",)})


async def test_of_two_latched_causes_one_is_lifted_at_a_time(tmp_path: Path, autojump_clock: Clock) -> None:
    async with house(tmp_path) as bot:
        bot.reconciled()
        await bot.ask(HaltWanted("account", "eva", "odd"))
        await bot.ask(FlattenWanted("account", "max", "enough"))
        await trio.sleep(20)
        answer = await resume(bot, "PERSON_FLATTEN")
        assert answer == SafetyAnswer(True, "account resumed from PERSON_FLATTEN; still latched: PERSON_HALT")
        await trio.sleep(1)
        assert bot.pauses() == {"account": ("LATCHED: PERSON_HALT",)}


async def test_a_scope_that_is_none_is_refused_not_latched(tmp_path: Path, autojump_clock: Clock) -> None:
    async with house(tmp_path) as bot:
        assert not (await bot.ask(HaltWanted("everything", "eva", "odd"))).done
        assert not (await bot.ask(FlattenWanted("venue:", "eva", "odd"))).done
        assert bot.latch() == Latch()


async def test_the_kill_file_pauses_for_as_long_as_it_is_there(tmp_path: Path, autojump_clock: Clock) -> None:
    async with house(tmp_path) as bot:
        bot.reconciled()
        bot.kill_file.write_text("pause\n")
        await trio.sleep(1.1)
        assert bot.pauses() == bot.pauses_at_risk() == {"account": ("KILL_FILE",)}
        bot.kill_file.unlink()
        await trio.sleep(1.1)
        assert bot.pauses() == {}
        assert bot.latch() == Latch()


async def test_a_kill_file_that_halts_latches_and_must_be_removed_before_a_resume(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    async with house(tmp_path) as bot:
        bot.reconciled()
        bot.kill_file.write_text(" HALT ")
        await trio.sleep(5)
        assert bot.latch() == Latch({"account": ("KILL_FILE_HALT",)})
        assert "remove it first" in (await resume(bot, "KILL_FILE_HALT")).text
        bot.kill_file.unlink()
        await trio.sleep(1.1)
        assert bot.pauses() == {"account": ("LATCHED: KILL_FILE_HALT",)}
        assert (await resume(bot, "KILL_FILE_HALT")).done


@pytest.mark.parametrize(
    ("data", "order"),
    [
        (b"flatten", KillOrder.FLATTEN),
        (b"  Halt\r\n", KillOrder.HALT),
        (b"pause", KillOrder.PAUSE),
        (b"", KillOrder.PAUSE),
        (b"stop it!", KillOrder.PAUSE),
        (b"\xff\xfe" * 1000, KillOrder.PAUSE),
    ],
)
def test_whatever_is_in_the_kill_file_it_pauses_at_least(data: bytes, order: KillOrder) -> None:
    assert parse_kill_order(data) is order


async def test_an_actor_that_does_not_get_on_pauses_until_it_does(tmp_path: Path, autojump_clock: Clock) -> None:
    async with house(tmp_path) as bot:
        bot.reconciled()
        release = trio.Event()
        bot.tell(RISK, Hold(release))
        await trio.sleep(4.5)
        assert bot.pauses() == {}
        await trio.sleep(2)
        assert bot.pauses() == {"account": ("NO_PROGRESS",)}
        release.set()
        await trio.sleep(1.1)
        assert bot.pauses() == bot.pauses_at_risk() == {}


async def test_a_journal_that_does_not_answer_pauses_until_it_does(tmp_path: Path, autojump_clock: Clock) -> None:
    async with house(tmp_path) as bot:
        bot.reconciled()
        await trio.sleep(0.1)
        bot.disk.stuck = trio.Event()
        bot.tell(WATCHDOG, alarm(Cause.STALE_FEED, "venue:binance"))
        await trio.sleep(2.1)
        assert bot.pauses_at_risk() == {"account": ("JOURNAL_LAG",), "venue:binance": ("STALE_FEED",)}
        assert bot.pauses() == {}
        bot.disk.stuck.set()
        bot.disk.stuck = None
        await trio.sleep(1.1)
        assert bot.pauses() == bot.pauses_at_risk() == {"venue:binance": ("STALE_FEED",)}


async def test_rows_outlive_a_crash_of_the_journal(tmp_path: Path, autojump_clock: Clock) -> None:
    async with house(tmp_path) as bot:
        bot.reconciled()
        await trio.sleep(0.1)
        bot.disk.stuck = trio.Event()
        bot.tell(WATCHDOG, alarm(Cause.STALE_FEED, "venue:binance"))
        await trio.sleep(0.1)
        bot.disk.stuck = None
        bot.system.crash("journal", RuntimeError("broken"))
        await trio.sleep(2)
        assert bot.pauses() == bot.pauses_at_risk() == {"venue:binance": ("STALE_FEED",)}
        assert [event.scope for event in bot.events(PauseChanged)].count("venue:binance") == 1


async def test_a_wall_clock_that_is_set_back_takes_no_pause_with_it(tmp_path: Path, autojump_clock: Clock) -> None:
    async with house(tmp_path) as bot:
        bot.reconciled()
        bot.tell(WATCHDOG, alarm(Cause.STALE_FEED, "venue:binance"))
        await trio.sleep(1)
        bot.clock.step_ns = -3600 * 1_000_000_000
        bot.tell(WATCHDOG, alarm(Cause.STALE_FEED, "venue:binance", active=False))
        await trio.sleep(1)
        assert bot.pauses() == bot.pauses_at_risk() == {}
        bot.tell(WATCHDOG, alarm(Cause.STALE_FEED, "venue:binance"))
        bot.system.crash(WATCHDOG, RuntimeError("broken"))
        await trio.sleep(1)
        bot.reconciled()
        await trio.sleep(1)
        assert bot.pauses() == bot.pauses_at_risk() == {"venue:binance": ("STALE_FEED",)}


async def test_a_latch_that_cannot_be_written_is_in_force_and_written_as_soon_as_it_can(
    tmp_path: Path, autojump_clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(data: bytes) -> None:
        raise DiskFull("no space is left")

    async with house(tmp_path) as bot:
        with monkeypatch.context() as patch:
            patch.setattr(bot.latch_file, "write", refuse)
            assert (await bot.ask(HaltWanted("account", "eva", "odd"))).done
            await trio.sleep(3)
            assert bot.pauses_at_risk()["account"][-1] == "LATCHED: PERSON_HALT"
            assert bot.latch() == Latch()
        await trio.sleep(1)
        assert bot.latch() == Latch({"account": ("PERSON_HALT",)})


async def test_a_latch_is_not_lifted_where_that_cannot_be_written(
    tmp_path: Path, autojump_clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(data: bytes) -> None:
        raise DiskFull("no space is left")

    async with house(tmp_path) as bot:
        assert (await bot.ask(HaltWanted("account", "eva", "odd"))).done
        await trio.sleep(5)
        with monkeypatch.context() as patch:
            patch.setattr(bot.latch_file, "write", refuse)
            answer = await resume(bot, "PERSON_HALT")
        assert not answer.done
        assert "no space is left" in answer.text
        assert (await bot.ask(HaltWanted("venue:okx", "eva", "odd"))).done
        await trio.sleep(1)
        assert bot.pauses()["account"][-1] == "LATCHED: PERSON_HALT"
        assert bot.latch() == Latch({"account": ("PERSON_HALT",), "venue:okx": ("PERSON_HALT",)})


async def test_a_kill_file_that_cannot_be_read_pauses(tmp_path: Path, autojump_clock: Clock) -> None:
    async with house(tmp_path) as bot:
        bot.reconciled()
        bot.kill_file.mkdir()
        await trio.sleep(1.1)
        assert bot.pauses() == {"account": ("KILL_FILE",)}


async def test_a_spent_core_pauses_until_it_is_up_again(tmp_path: Path, autojump_clock: Clock) -> None:
    async with house(tmp_path, core_crashes_max=0) as bot:
        bot.reconciled()
        bot.system.crash(ORDERS, RuntimeError("broken"))
        await trio.sleep(1)
        assert bot.pauses() == {"account": ("CORE_DOWN",)}
        await trio.sleep(9)
        assert bot.pauses() == bot.pauses_at_risk() == {}


async def test_what_was_barred_stays_barred_over_a_restart_of_the_watchdog(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    async with house(tmp_path) as bot:
        bot.reconciled()
        bot.tell(WATCHDOG, alarm(Cause.UNKNOWN_OVERDUE, source="core/orders"))
        bot.kill_file.write_text("pause")
        await trio.sleep(1.1)
        bot.system.crash(WATCHDOG, RuntimeError("broken"))
        bot.kill_file.unlink()
        await trio.sleep(2.1)
        assert bot.pauses() == bot.pauses_at_risk() == {"account": ("NOT_RECONCILED", "UNKNOWN_OVERDUE")}
        bot.reconciled()
        bot.tell(WATCHDOG, alarm(Cause.UNKNOWN_OVERDUE, active=False, source="core/orders"))
        await trio.sleep(0.1)
        assert bot.pauses() == bot.pauses_at_risk() == {}


async def test_a_scope_that_only_the_dead_incarnation_barred_is_set_free(tmp_path: Path, autojump_clock: Clock) -> None:
    async with house(tmp_path) as bot:
        bot.reconciled()
        await bot.journal(PauseChanged("strategy:momentum", ("NO_PROGRESS",), START_NS))
        bot.system.crash(WATCHDOG, RuntimeError("broken"))
        await trio.sleep(1)
        bot.reconciled()
        await trio.sleep(1)
        assert bot.pauses() == {}


async def test_a_pause_of_an_earlier_process_does_not_outlive_it(tmp_path: Path, autojump_clock: Clock) -> None:
    async with house(tmp_path) as bot:
        bot.tell(WATCHDOG, alarm(Cause.STALE_FEED, "venue:binance"))
        await trio.sleep(1)
    async with house(tmp_path, token="q") as bot:
        bot.reconciled()
        await trio.sleep(1)
        assert bot.pauses_at_risk() == {}


async def test_a_halt_cancels_entries_and_leaves_what_reduces(tmp_path: Path, autojump_clock: Clock) -> None:
    async with house(tmp_path) as bot:
        await bot.holds("1")
        entry = await bot.rests(2)
        exit_ = await bot.rests(3, Side.SELL, "0.5", "120", reduces=True)
        foreign = bot.venue.open_order("somebodys", Side.SELL, "0.1", "130").client_id
        await bot.ask(HaltWanted("account", "eva", "odd"))
        await trio.sleep(10)
        assert sorted(order.client_id for order in bot.venue.open()) == sorted([exit_, foreign])
        assert bot.venue.cancelled == [entry]
        assert bot.venue.sent == []
