"""Background tasks, and what else an incarnation must not leave behind."""

from __future__ import annotations

from contextvars import ContextVar

import pytest
import trio

from tbot_actors.kernel import Actor, Child, Context, KernelError, State, Unavailable, open_system
from tests.kernel.rig import Boom, Diary, Note, Puppet, Run, branch, crash, puppet, state_of, virtual_world


async def test_a_crash_in_the_background_ends_the_handler_and_the_other_tasks(
    autojump_clock: trio.testing.MockClock,
) -> None:
    diary = Diary()

    async def last_words() -> None:
        try:
            await trio.sleep_forever()
        finally:
            diary.add("a", "cancelled")

    async def spawn(actor: Actor) -> None:
        actor.context.spawn(last_words)
        actor.context.spawn(crash, actor)
        await last_words()

    async with open_system(branch(puppet("a", diary)), virtual_world()) as system:
        system.directory["a"].tell(Run(spawn))
        await trio.sleep(1)
        assert diary.of("a") == ["started", "cancelled", "cancelled", "started"]
        assert system.snapshot()["a"].last_error == repr(Boom("a"))


async def test_the_next_incarnation_waits_for_the_background_tasks_of_the_last(
    autojump_clock: trio.testing.MockClock,
) -> None:
    diary = Diary()

    async def slow_to_end() -> None:
        with trio.CancelScope(shield=True):
            await trio.sleep(5)
        diary.add("a", "over")

    async def spawn(actor: Actor) -> None:
        actor.context.spawn(slow_to_end)
        raise Boom

    async with open_system(branch(puppet("a", diary)), virtual_world()) as system:
        system.directory["a"].tell(Run(spawn))
        await trio.sleep(4)
        assert diary.of("a") == ["started"]
        await trio.sleep(2)
        assert diary.of("a") == ["started", "over", "started"]


async def test_what_a_background_task_spawns_while_it_is_cancelled_ends_too(
    autojump_clock: trio.testing.MockClock,
) -> None:
    diary = Diary()

    async def late() -> None:
        await trio.sleep(3)
        diary.add("a", "too late")

    async def spawns_at_the_end(actor: Actor) -> None:
        try:
            await trio.sleep_forever()
        finally:
            actor.context.spawn(late)

    async def spawn(actor: Actor) -> None:
        actor.context.spawn(spawns_at_the_end, actor)

    async with open_system(branch(puppet("a", diary)), virtual_world()) as system:
        await system.directory["a"].ask(Run(spawn), timeout_s=1)
        system.crash("a", Boom())
        await trio.sleep(10)
        assert diary.of("a") == ["started", "started"]


async def test_an_incarnation_that_has_ended_can_begin_nothing(autojump_clock: trio.testing.MockClock) -> None:
    kept: list[Context] = []

    async def keep(actor: Actor) -> None:
        kept.append(actor.context)

    async with open_system(branch(puppet("a", Diary(), on_start=keep)), virtual_world()) as system:
        system.directory["a"].tell(Run(crash))
        await trio.sleep(1)
        assert len(kept) == 2
        with pytest.raises(KernelError, match="has ended"):
            kept[0].spawn(trio.sleep_forever)
        with pytest.raises(KernelError, match="has ended"):
            kept[0].after(1, Note(1))
        kept[0].ready()
        assert state_of(system, "a") is State.RUNNING


async def test_an_outage_in_the_background_is_no_crash_unless_something_else_fails_too(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async def outage() -> None:
        raise Unavailable

    async def spawn(actor: Actor) -> None:
        actor.context.spawn(outage)

    async def spawn_and_fail(actor: Actor) -> None:
        actor.context.spawn(outage)
        try:
            await trio.sleep_forever()
        finally:
            raise Boom

    tree = branch(puppet("a", Diary()), puppet("b", Diary()))
    async with open_system(tree, virtual_world()) as system:
        system.directory["a"].tell(Run(spawn))
        system.directory["b"].tell(Run(spawn_and_fail))
        await trio.sleep(1)
        assert "Unavailable" in str(system.snapshot()["a"].last_error)
        assert "Boom" in str(system.snapshot()["b"].last_error)


async def test_cancelling_the_system_waits_for_background_tasks_too(autojump_clock: trio.testing.MockClock) -> None:
    diary = Diary()

    async def slow_to_end() -> None:
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(2)
            diary.add("a", "over")

    async def spawn(actor: Actor) -> None:
        actor.context.spawn(slow_to_end)

    with trio.move_on_after(1) as scope:
        async with open_system(branch(puppet("a", diary, on_start=spawn)), virtual_world()) as system:
            await trio.sleep_forever()
    assert scope.cancelled_caught
    assert trio.current_time() == 3
    assert diary.of("a") == ["started", "over"]
    assert state_of(system, "a") is State.GONE


async def test_context_variables_do_not_outlive_an_incarnation(autojump_clock: trio.testing.MockClock) -> None:
    order: ContextVar[str] = ContextVar("order", default="none")
    seen: list[str] = []

    async def look_and_set(actor: Actor) -> None:
        seen.append(order.get())
        order.set("left behind")

    async with open_system(branch(puppet("a", Diary(), on_start=look_and_set)), virtual_world()) as system:
        system.directory["a"].tell(Run(crash))
        await trio.sleep(1)
        assert seen == ["none", "none"]


async def test_a_flooded_actor_takes_small_batches_while_its_neighbours_talk(
    autojump_clock: trio.testing.MockClock,
) -> None:
    class Flooded(Puppet):
        capacity = 1000

    diary = Diary()
    tree = branch(Child("flooded", Flooded, lambda: Flooded(diary)), puppet("b", Diary()))
    async with open_system(tree, virtual_world()) as system:
        flooded, b = system.directory["flooded"], system.directory["b"]
        await trio.testing.wait_all_tasks_blocked()
        for n in range(1000):
            flooded.tell(Note(n))
        passed: list[int] = []
        while flooded.statistics().depth:
            before = len(diary.entries)
            await b.ask(Note(0), timeout_s=1)
            passed.append(len(diary.entries) - before)
    # A question takes two turns of the loop, at most three batches; the first ones may meet a large batch.
    assert max(passed[3:]) <= 3 * 4
