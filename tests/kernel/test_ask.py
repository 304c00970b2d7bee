"""Questions: answered, late, dead with the callee, withdrawn, or going in circles."""

from __future__ import annotations

import pytest
import trio

from tbot_actors.kernel import (
    DROP_OLDEST,
    Actor,
    ActorDown,
    AskCycle,
    AskTimeout,
    Child,
    ExitReason,
    MailboxFull,
    NotHandled,
    handles,
    open_system,
)
from tests.kernel.rig import Boom, Diary, Note, Run, branch, crash, puppet, virtual_world


async def test_the_reply_is_what_the_handler_returns(autojump_clock: trio.testing.MockClock) -> None:
    async with open_system(branch(puppet("a", Diary())), virtual_world()) as system:
        assert await system.directory["a"].ask(Note("hello"), timeout_s=1) == "hello"


async def test_a_queued_question_is_withdrawn_before_the_asker_is_told_of_the_timeout(
    autojump_clock: trio.testing.MockClock,
) -> None:
    diary = Diary()

    async def slow(actor: Actor) -> None:
        await trio.sleep(10)

    async with open_system(branch(puppet("a", diary)), virtual_world()) as system:
        address = system.directory["a"]
        address.tell(Run(slow))
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(AskTimeout) as caught:
            await address.ask(Note("never handled"), timeout_s=2)
        assert trio.current_time() == 2
        assert not caught.value.in_hand
        numbers = address.statistics()
        assert (numbers.withdrawn, numbers.depth) == (1, 0)
        for n in range(8):
            address.tell(Note(n))  # its place is free again
        await trio.sleep(10)
    assert diary.of("a") == ["started", *range(8), "stopping"]


async def test_a_late_reply_is_dropped(autojump_clock: trio.testing.MockClock) -> None:
    async def slow(actor: Actor) -> str:
        await trio.sleep(5)
        return "late"

    async with open_system(branch(puppet("a", Diary())), virtual_world()) as system:
        address = system.directory["a"]
        with pytest.raises(AskTimeout) as caught:
            await address.ask(Run(slow), timeout_s=1)
        assert caught.value.in_hand
        assert await address.ask(Note("next"), timeout_s=10) == "next"
        assert address.statistics().handled == 2


async def test_the_asker_learns_at_once_that_the_callee_died_with_the_question_in_hand(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with open_system(branch(puppet("a", Diary())), virtual_world()) as system:
        with pytest.raises(ActorDown) as caught:
            await system.directory["a"].ask(Run(crash), timeout_s=60)
        assert caught.value.reason is ExitReason.CRASHED
        assert isinstance(caught.value.error, Boom)
        assert trio.current_time() == 0


async def test_a_queued_question_is_answered_by_the_next_incarnation(autojump_clock: trio.testing.MockClock) -> None:
    async def slow_crash(actor: Actor) -> None:
        await trio.sleep(1)
        raise Boom

    async with open_system(branch(puppet("a", Diary())), virtual_world()) as system:
        address = system.directory["a"]
        address.tell(Run(slow_crash))
        await trio.testing.wait_all_tasks_blocked()

        async def who(actor: Actor) -> int:
            return actor.context.incarnation

        assert await address.ask(Run(who), timeout_s=5) == 2


async def test_a_queued_question_to_an_actor_that_goes_for_good_is_answered_with_actor_down(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async def slow(actor: Actor) -> None:
        await trio.sleep(2)

    async with open_system(branch(puppet("a", Diary())), virtual_world()) as system:
        address = system.directory["a"]
        address.tell(Run(slow))
        await trio.testing.wait_all_tasks_blocked()

        async def ask() -> None:
            with pytest.raises(ActorDown):
                await address.ask(Note("too late"), timeout_s=60)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(system.stop_child, "a")
        assert trio.current_time() == 2
        with pytest.raises(ActorDown):
            await address.ask(Note("later still"), timeout_s=60)


async def test_a_cancelled_asker_withdraws_its_question(autojump_clock: trio.testing.MockClock) -> None:
    async def slow(actor: Actor) -> None:
        await trio.sleep(10)

    async with open_system(branch(puppet("a", Diary())), virtual_world()) as system:
        address = system.directory["a"]
        address.tell(Run(slow))
        await trio.testing.wait_all_tasks_blocked()
        with trio.move_on_after(1):
            await address.ask(Note("x"), timeout_s=60)
        assert address.statistics().withdrawn == 1


async def test_actors_that_wait_for_each_other_are_told_of_the_cycle(autojump_clock: trio.testing.MockClock) -> None:
    diary = Diary()

    def asks(path: str, inner: Run | Note) -> Run:
        async def ask(actor: Actor) -> object:
            return await actor.context.directory[path].ask(inner, timeout_s=60)

        return Run(ask)

    async def caught(actor: Actor) -> tuple[str, ...]:
        with pytest.raises(AskCycle) as cycle:
            await actor.context.directory["a"].ask(Note("back"), timeout_s=60)
        return cycle.value.paths

    root = branch(puppet("a", diary), puppet("b", diary), puppet("c", diary))
    async with open_system(root, virtual_world()) as system:
        question = asks("b", asks("c", Run(caught)))
        assert await system.directory["a"].ask(question, timeout_s=60) == ("c", "a", "b", "c")
        assert trio.current_time() == 0
        assert await system.directory["a"].ask(Run(caught), timeout_s=60) == ("a", "a")
        assert await system.directory["a"].ask(asks("b", Note("fine")), timeout_s=60) == "fine"


async def test_an_answered_question_leaves_no_cycle_behind(autojump_clock: trio.testing.MockClock) -> None:
    def asks(path: str) -> Run:
        async def ask(actor: Actor) -> object:
            return await actor.context.directory[path].ask(Note("hello"), timeout_s=60)

        return Run(ask)

    async with open_system(branch(puppet("a", Diary()), puppet("b", Diary())), virtual_world()) as system:
        assert await system.directory["a"].ask(asks("b"), timeout_s=1) == "hello"
        assert await system.directory["b"].ask(asks("a"), timeout_s=1) == "hello"


async def test_answered_questions_leave_nothing_behind_until_their_deadline(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with open_system(branch(puppet("a", Diary())), virtual_world()) as system:
        for n in range(1000):
            await system.directory["a"].ask(Note(n), timeout_s=3600)
        assert len(system.deadlines._heap) < 200


async def test_a_background_task_may_ask_its_own_actor(autojump_clock: trio.testing.MockClock) -> None:
    diary = Diary()

    async def background(actor: Actor) -> None:
        await actor.context.address.ask(Note("from the background"), timeout_s=1)

    async def spawn(actor: Actor) -> None:
        actor.context.spawn(background, actor)

    async with open_system(branch(puppet("a", diary)), virtual_world()) as system:
        await system.directory["a"].ask(Run(spawn), timeout_s=1)
        await trio.testing.wait_all_tasks_blocked()
        assert diary.of("a") == ["started", "from the background"]


async def test_what_cannot_be_asked_is_refused_at_once(autojump_clock: trio.testing.MockClock) -> None:
    class Droppy(Actor):
        @handles(Note, DROP_OLDEST)
        async def on_note(self, message: Note) -> None:
            pass

    async def block(actor: Actor) -> None:
        await trio.sleep_forever()

    root = branch(Child("d", Droppy, Droppy), puppet("a", Diary(), shutdown_s=0))
    async with open_system(root, virtual_world()) as system:
        with pytest.raises(TypeError, match="may be dropped"):
            await system.directory["d"].ask(Note(1), timeout_s=1)
        with pytest.raises(NotHandled):
            await system.directory["d"].ask(Run(crash), timeout_s=1)
        address = system.directory["a"]
        address.tell(Run(block))
        await trio.testing.wait_all_tasks_blocked()
        for n in range(8):
            address.tell(Note(n))
        with pytest.raises(MailboxFull):
            await address.ask(Note(9), timeout_s=1)


async def test_an_uncaught_ask_timeout_is_a_crash_of_the_asker_like_any_other(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async def slow(actor: Actor) -> None:
        await trio.sleep(10)

    async def ask(actor: Actor) -> None:
        await actor.context.directory["b"].ask(Run(slow), timeout_s=1)

    diary = Diary()
    async with open_system(branch(puppet("a", diary), puppet("b", diary)), virtual_world()) as system:
        with pytest.raises(ActorDown) as caught:
            await system.directory["a"].ask(Run(ask), timeout_s=60)
        assert isinstance(caught.value.error, AskTimeout)
