"""Down, and messages to one's later self."""

from __future__ import annotations

import pytest
import trio
from attrs import frozen

from tbot_actors.kernel import Actor, Child, Down, ExitReason, NotHandled, Restart, Timer, handles, open_system
from tests.kernel.rig import Boom, Diary, Note, Run, branch, crash, puppet, virtual_world


def watch(path: str) -> Run:
    async def act(actor: Actor) -> None:
        actor.context.watch(actor.context.directory[path])

    return Run(act)


async def test_down_comes_after_all_messages_of_the_dead_one_and_before_later_mail(
    autojump_clock: trio.testing.MockClock,
) -> None:
    diary = Diary()

    async def write_and_die(actor: Actor) -> None:
        for n in range(3):
            actor.context.directory["watcher"].tell(Note(n))
        raise Boom

    async def busy(actor: Actor) -> None:
        await trio.sleep(1)

    async with open_system(branch(puppet("watcher", diary), puppet("a", diary)), virtual_world()) as system:
        watcher = system.directory["watcher"]
        await watcher.ask(watch("a"), timeout_s=1)
        await watcher.ask(watch("a"), timeout_s=1)  # watching twice is watching once
        watcher.tell(Run(busy))
        await trio.testing.wait_all_tasks_blocked()
        system.directory["a"].tell(Run(write_and_die))
        await trio.testing.wait_all_tasks_blocked()
        watcher.tell(Note("later"))
        await trio.sleep(2)
        assert diary.of("watcher") == ["started", 0, 1, 2, Down("a", 1, ExitReason.CRASHED, gone=False), "later"]
        system.directory["a"].tell(Run(crash))
        await trio.testing.wait_all_tasks_blocked()
        assert diary.of("watcher")[-1] == Down("a", 2, ExitReason.CRASHED, gone=False)


async def test_down_overtakes_the_mail_of_others(autojump_clock: trio.testing.MockClock) -> None:
    diary = Diary()

    async def busy(actor: Actor) -> None:
        await trio.sleep(1)

    async with open_system(branch(puppet("watcher", diary), puppet("a", diary)), virtual_world()) as system:
        watcher = system.directory["watcher"]
        await watcher.ask(watch("a"), timeout_s=1)
        watcher.tell(Run(busy))
        await trio.testing.wait_all_tasks_blocked()
        for n in range(8):
            watcher.tell(Note(n))
        system.crash("a", Boom())
        await trio.sleep(2)
    assert diary.of("watcher")[1] == Down("a", 1, ExitReason.CRASHED, gone=False)


async def test_down_says_when_the_actor_is_gone(autojump_clock: trio.testing.MockClock) -> None:
    diary = Diary()
    root = branch(puppet("watcher", diary), puppet("a", diary, restart=Restart.TEMPORARY))
    async with open_system(root, virtual_world()) as system:
        watcher = system.directory["watcher"]
        await watcher.ask(watch("a"), timeout_s=1)
        system.crash("a", Boom())
        await trio.testing.wait_all_tasks_blocked()
        assert diary.of("watcher")[1:] == [Down("a", 1, ExitReason.CRASHED, gone=True)]
        await watcher.ask(watch("a"), timeout_s=1)
        await trio.testing.wait_all_tasks_blocked()
        assert diary.of("watcher")[2:] == [Down("a", 1, ExitReason.CRASHED, gone=True)]


async def test_a_new_incarnation_of_the_watcher_watches_nobody(autojump_clock: trio.testing.MockClock) -> None:
    diary = Diary()
    async with open_system(branch(puppet("watcher", diary), puppet("a", diary)), virtual_world()) as system:
        await system.directory["watcher"].ask(watch("a"), timeout_s=1)
        system.crash("watcher", Boom())
        await trio.testing.wait_all_tasks_blocked()
        system.crash("a", Boom())
        await trio.testing.wait_all_tasks_blocked()
    assert diary.of("watcher") == ["started", "started", "stopping"]


@frozen
class Beat:
    pass


class Deaf(Actor):
    @handles(Run)
    async def on_run(self, message: Run) -> object:
        return await message.what(self)


async def test_watching_or_waiting_for_what_one_cannot_handle_is_an_error(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async def act(actor: Actor) -> None:
        with pytest.raises(NotHandled):
            actor.context.watch(actor.context.address)
        with pytest.raises(NotHandled):
            actor.context.after(1, Beat())
        with pytest.raises(ValueError, match="positive"):
            actor.context.every(0, Run(crash))

    async with open_system(branch(Child("a", Deaf, Deaf)), virtual_world()) as system:
        await system.directory["a"].ask(Run(act), timeout_s=1)


async def test_timers_fire_on_their_grid_until_cancelled(autojump_clock: trio.testing.MockClock) -> None:
    times: list[tuple[object, float]] = []
    timers: list[Timer] = []

    class Clockwork(Actor):
        async def started(self) -> None:
            timers.append(self.context.every(1, Note("every")))
            self.context.after(2.5, Note("after"))

        @handles(Note)
        async def on_note(self, message: Note) -> None:
            times.append((message.text, trio.current_time()))
            if len(times) == 2:
                await trio.sleep(2.7)  # late: two ticks fall into this time, one of them waits, the grid stays

    async with open_system(branch(Child("a", Clockwork, Clockwork)), virtual_world()):
        await trio.sleep(6.5)
        timers[0].cancel()
        await trio.sleep(10)
    assert times == [
        ("every", 1), ("every", 2), ("after", 4.7), ("every", 4.7), ("every", 5), ("every", 6),
    ]  # fmt: skip


async def test_a_blocked_event_loop_does_not_shift_the_grid(autojump_clock: trio.testing.MockClock) -> None:
    times: list[float] = []

    class Clockwork(Actor):
        async def started(self) -> None:
            self.context.every(1, Note("tick"))

        @handles(Note)
        async def on_note(self, message: Note) -> None:
            times.append(trio.current_time())
            if len(times) == 1:
                autojump_clock.jump(2.5)

    async with open_system(branch(Child("a", Clockwork, Clockwork)), virtual_world()):
        await trio.sleep(6.5)
    assert times == [1, 3.5, 4, 5, 6]


async def test_timers_need_no_room_in_the_mailbox(autojump_clock: trio.testing.MockClock) -> None:
    diary = Diary()

    async def busy(actor: Actor) -> None:
        actor.context.after(1, Note("timer"))
        await trio.sleep(2)

    async with open_system(branch(puppet("a", diary)), virtual_world()) as system:
        system.directory["a"].tell(Run(busy))
        await trio.testing.wait_all_tasks_blocked()
        for n in range(8):
            system.directory["a"].tell(Note(n))
        await trio.sleep(3)
    assert diary.of("a") == ["started", *range(8), "timer", "stopping"]


async def test_timers_end_with_their_incarnation_even_those_whose_message_waits(
    autojump_clock: trio.testing.MockClock,
) -> None:
    diary = Diary()

    async def busy_then_crash(actor: Actor) -> None:
        if actor.context.incarnation == 1:
            actor.context.after(1, Note("waits"))
            actor.context.after(5, Note("to come"))
            actor.context.every(1, Note("tick"))
            await trio.sleep(2)
            raise Boom

    async with open_system(branch(puppet("a", diary)), virtual_world()) as system:
        system.directory["a"].tell(Run(busy_then_crash))
        await trio.sleep(10)
        assert system.directory["a"].statistics().withdrawn == 2
    assert diary.of("a") == ["started", "started", "stopping"]
