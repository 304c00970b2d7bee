"""`tbot resume`: a person lifts the latch while no bot runs."""

from tbot_actors.app import LATCH_BYTES
from tbot_actors.cli.exits import Exit, Failure
from tbot_actors.domain.events import LatchChanged
from tbot_actors.domain.latch import UNREADABLE, Latch, LatchUnreadable, decode_latch, encode_latch
from tbot_actors.journal import Owner, record
from tbot_actors.settings import Settings
from tbot_actors.world import SlotFile, SlotsUnreadable, World


async def resume_latch(settings: Settings, world: World, *, scope: str, by: str, reason: str) -> str:
    """Lift every cause of one scope. Raises Failure.

    Journaled first, so that the file never says less than the journal.
    """
    bot = settings.bot
    if not by.strip() or not reason.strip():
        raise Failure(Exit.USAGE, "name yourself with --by and say why with --reason: both go into the journal")
    world.files.make_folder(bot.state)
    lock = world.files.lock(bot.state / "bot.lock")
    if lock is None:
        raise Failure(Exit.BUSY, f"a bot runs in {bot.state}: stop it first")
    slots = world.files.open_slots(bot.state / "latch", LATCH_BYTES)
    try:
        latch = _read(slots)
        causes = latch.causes.get(scope, ())
        if not causes:
            others = f"; latched are {', '.join(sorted(latch.causes))}" if latch.causes else ""
            return f"{scope} is not latched{others}"
        event = LatchChanged(scope, (), by, reason, world.clock.wall_ns())
        owner = Owner(bot.tag, bot.mode.value, bot.account)
        token = f"resume/{world.processes.own_pid}/{world.clock.wall_ns()}"
        await record(world, bot.state / "journal", owner, token, event, settings.journal)
        slots.write(encode_latch(latch.cleared(scope, causes)))
        return f"{scope} may trade again; lifted: {', '.join(causes)}"
    finally:
        slots.close()
        lock.release()


def _read(slots: SlotFile) -> Latch:
    try:
        return decode_latch(slots.read())
    except (SlotsUnreadable, LatchUnreadable):
        return UNREADABLE
