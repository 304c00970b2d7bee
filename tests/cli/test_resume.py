"""`tbot resume`: a person lifts the latch while no bot runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from attrs import evolve

from tbot_actors.app import LATCH_BYTES
from tbot_actors.cli.exits import Exit, Failure
from tbot_actors.cli.resume import resume_latch
from tbot_actors.domain.events import LatchChanged
from tbot_actors.domain.latch import Latch, decode_latch, encode_latch
from tbot_actors.journal import JournalCorrupt, JournalRefused, Owner, open_record, prove, read_all
from tbot_actors.settings import Settings, read_settings
from tbot_actors.world import DiskFailure, World, real_world

PAPER = read_settings((Path(__file__).resolve().parents[2] / "config" / "paper.toml").read_text())


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return evolve(PAPER, bot=evolve(PAPER.bot, state=tmp_path / "state"))


@pytest.fixture
def world() -> World:
    return real_world(hosts=())


async def stopped_bot(settings: Settings, world: World, latch: Latch) -> None:
    """What a bot that latched and ended has left."""
    bot = settings.bot
    world.files.make_folder(bot.state)
    owner = Owner(bot.tag, bot.mode.value, bot.account)
    await prove(world, bot.state / "journal", owner, process_token="earlier", settings=settings.journal)
    write_latch(settings, world, encode_latch(latch))


def write_latch(settings: Settings, world: World, data: bytes) -> None:
    slots = world.files.open_slots(settings.bot.state / "latch", LATCH_BYTES)
    slots.write(data)
    slots.close()


def latch_of(settings: Settings, world: World) -> Latch:
    slots = world.files.open_slots(settings.bot.state / "latch", LATCH_BYTES)
    try:
        return decode_latch(slots.read())
    finally:
        slots.close()


LATCHED = Latch().set("account", "DAILY_LOSS").set("account", "PERSON_HALT").set("strategy:quoter", "PERSON_HALT")


async def test_every_cause_of_one_scope_is_lifted_and_the_journal_says_who_and_why(
    settings: Settings, world: World
) -> None:
    await stopped_bot(settings, world, LATCHED)
    said = await resume_latch(settings, world, scope="account", by="ann", reason="limits looked at")
    assert said == "account may trade again; lifted: DAILY_LOSS, PERSON_HALT"
    assert latch_of(settings, world).causes == {"strategy:quoter": ("PERSON_HALT",)}
    *_, (_, event) = await read_all(world, settings.bot.state / "journal")
    assert isinstance(event, LatchChanged)
    assert (event.scope, event.causes, event.by, event.reason) == ("account", (), "ann", "limits looked at")
    async with open_record(world, settings.bot.state / "journal") as record:
        assert (await record.verify()).ok


async def test_a_scope_that_is_not_latched_is_told_with_those_that_are(settings: Settings, world: World) -> None:
    await stopped_bot(settings, world, LATCHED)
    said = await resume_latch(settings, world, scope="venue:binance", by="ann", reason="x")
    assert said == "venue:binance is not latched; latched are account, strategy:quoter"
    assert latch_of(settings, world) == LATCHED


async def test_a_latch_that_cannot_be_read_counts_as_set_and_a_person_lifts_it(
    settings: Settings, world: World
) -> None:
    await stopped_bot(settings, world, Latch())
    write_latch(settings, world, b"\xff no latch")
    said = await resume_latch(settings, world, scope="account", by="ann", reason="the disk was full")
    assert "lifted: the latch file is unreadable" in said
    assert latch_of(settings, world) == Latch()


@pytest.mark.parametrize(("by", "reason"), [("", "x"), ("ann", " ")])
async def test_a_resume_needs_a_name_and_a_reason(settings: Settings, world: World, by: str, reason: str) -> None:
    with pytest.raises(Failure) as caught:
        await resume_latch(settings, world, scope="account", by=by, reason=reason)
    assert caught.value.code is Exit.USAGE
    assert not settings.bot.state.exists()


async def test_a_bot_that_runs_is_left_alone(settings: Settings, world: World) -> None:
    await stopped_bot(settings, world, LATCHED)
    lock = world.files.lock(settings.bot.state / "bot.lock")
    assert lock is not None
    try:
        with pytest.raises(Failure, match="stop it first") as caught:
            await resume_latch(settings, world, scope="account", by="ann", reason="x")
        assert caught.value.code is Exit.BUSY
    finally:
        lock.release()
    assert latch_of(settings, world) == LATCHED


async def test_where_the_journal_cannot_be_written_the_latch_stands(settings: Settings, world: World) -> None:
    await stopped_bot(settings, world, LATCHED)
    database = settings.bot.state / "journal" / "journal.db"
    assert database.exists(), "the name is the journal's own"
    database.write_bytes(b"no database" * 100)
    with pytest.raises((DiskFailure, JournalCorrupt, JournalRefused)):
        await resume_latch(settings, world, scope="account", by="ann", reason="x")
    assert latch_of(settings, world) == LATCHED
