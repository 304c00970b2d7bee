"""The end: in order, in time, or cancelled; and what comes out at the top."""

from __future__ import annotations

import pytest
import trio

from tbot_actors.kernel import (
    Actor,
    ActorDown,
    Backoff,
    Child,
    DeadLetterReason,
    NotReady,
    RestartLimit,
    RestartLimitExceeded,
    State,
    Stopped,
    open_system,
)
from tests.kernel.rig import Boom, Diary, Note, Puppet, Run, branch, crash, puppet, virtual_world


async def hang(actor: Actor) -> None:
    await trio.sleep_forever()


async def test_children_stop_in_reverse_start_order_through_all_branches(
    autojump_clock: trio.testing.MockClock,
) -> None:
    diary = Diary()
    root = branch(puppet("a", diary), branch(puppet("b", diary), puppet("c", diary), name="g"), puppet("d", diary))
    async with open_system(root, virtual_world()):
        await trio.testing.wait_all_tasks_blocked()
        assert [path for path, _ in diary.entries] == ["a", "g/b", "g/c", "d"]
        diary.entries.clear()
    assert diary.entries == [(path, "stopping") for path in ("d", "g/c", "g/b", "a")]


async def test_each_child_has_ended_before_the_next_is_stopped(autojump_clock: trio.testing.MockClock) -> None:
    times: dict[str, float] = {}

    class Slow(Puppet):
        async def stopping(self) -> None:
            await trio.sleep(1)
            times[self.context.path] = trio.current_time()

    root = branch(*(Child(name, Slow, lambda: Slow(Diary())) for name in "abc"))
    async with open_system(root, virtual_world()):
        await trio.testing.wait_all_tasks_blocked()
    assert times == {"c": 1, "b": 2, "a": 3}


async def test_an_actor_that_hangs_in_a_handler_is_killed_after_its_time(
    autojump_clock: trio.testing.MockClock,
) -> None:
    diary = Diary()
    async with open_system(branch(puppet("a", diary, shutdown_s=3)), virtual_world()) as system:
        system.directory["a"].tell(Run(hang))
        await trio.testing.wait_all_tasks_blocked()
    assert trio.current_time() == 3
    assert diary.of("a") == ["started"]
    (letter,) = system.dead_letters.recent()
    assert letter.reason is DeadLetterReason.KILLED


async def test_an_actor_that_hangs_in_stopping_or_started_is_killed_after_its_time(
    autojump_clock: trio.testing.MockClock,
) -> None:
    class Stubborn(Puppet):
        async def stopping(self) -> None:
            await trio.sleep_forever()

    root = branch(
        Child("a", Stubborn, lambda: Stubborn(Diary()), shutdown_s=2), puppet("b", Diary(), on_start=hang, shutdown_s=1)
    )
    async with open_system(root, virtual_world()):
        await trio.testing.wait_all_tasks_blocked()
    assert trio.current_time() == 3


async def test_a_branch_has_a_time_for_all_of_it(autojump_clock: trio.testing.MockClock) -> None:
    diary = Diary()
    children = (puppet(name, diary, shutdown_s=5, on_start=None) for name in "abc")
    async with open_system(branch(branch(*children, name="g", shutdown_s=7)), virtual_world()) as system:
        for name in "abc":
            system.directory[f"g/{name}"].tell(Run(hang))
        await trio.testing.wait_all_tasks_blocked()
    assert trio.current_time() == 7


async def test_the_message_in_hand_is_finished_and_the_rest_becomes_dead_letters(
    autojump_clock: trio.testing.MockClock,
) -> None:
    diary = Diary()

    async def slow(actor: Actor) -> None:
        await trio.sleep(1)
        diary.add("a", "finished")

    async with open_system(branch(puppet("a", diary)), virtual_world()) as system:
        system.directory["a"].tell(Run(slow))
        system.directory["a"].tell(Note("too late"))
        await trio.testing.wait_all_tasks_blocked()
    assert diary.of("a") == ["started", "finished", "stopping"]
    assert [letter.message for letter in system.dead_letters.recent()] == [Note("too late")]


async def test_background_tasks_live_until_stopping_is_done(autojump_clock: trio.testing.MockClock) -> None:
    diary = Diary()

    async def background() -> None:
        try:
            await trio.sleep_forever()
        finally:
            diary.add("a", "background ended")

    async def spawn(actor: Actor) -> None:
        actor.context.spawn(background)

    async with open_system(branch(puppet("a", diary, on_start=spawn)), virtual_world()):
        await trio.testing.wait_all_tasks_blocked()
    assert diary.of("a") == ["started", "stopping", "background ended"]


async def test_stop_while_an_actor_backs_off_does_not_wait_for_it(autojump_clock: trio.testing.MockClock) -> None:
    root = branch(puppet("a", Diary(), on_start=crash), backoff=Backoff(first_s=100, cap_s=100))
    async with open_system(root, virtual_world()) as system:
        await trio.sleep(1)
        assert system.directory["a"].state is State.BACKING_OFF
    assert trio.current_time() == 1


async def test_cancelling_from_outside_ends_everything_at_once_and_leaves_nobody_waiting(
    autojump_clock: trio.testing.MockClock,
) -> None:
    diary = Diary()
    seen: list[str] = []

    async def spawn(actor: Actor) -> None:
        actor.context.spawn(trio.sleep_forever)
        actor.context.every(1, Note("tick"))

    async def ask(address: object, message: object) -> None:
        with pytest.raises(ActorDown):
            await address.ask(message, timeout_s=1000)  # type: ignore[attr-defined]
        seen.append("ask ended")

    async def send(address: object) -> None:
        with pytest.raises(Stopped):
            await address.send(Note("x"))  # type: ignore[attr-defined]
        seen.append("send ended")

    async with trio.open_nursery() as outside:
        with trio.CancelScope() as scope:
            root = branch(branch(puppet("a", diary, on_start=spawn), name="g"), puppet("b", diary, shutdown_s=100))
            async with open_system(root, virtual_world()) as system:
                await trio.testing.wait_all_tasks_blocked()
                b = system.directory["b"]
                outside.start_soon(ask, b, Run(hang))
                await trio.testing.wait_all_tasks_blocked()
                outside.start_soon(ask, b, Note("queued"))
                await trio.testing.wait_all_tasks_blocked()
                for n in range(7):
                    b.tell(Note(n))
                outside.start_soon(send, b)
                await trio.testing.wait_all_tasks_blocked()
                scope.cancel()
                await trio.sleep_forever()
        assert scope.cancelled_caught
        assert trio.current_time() == 0
    assert sorted(seen) == ["ask ended", "ask ended", "send ended"]
    assert "stopping" not in [what for _, what in diary.entries]
    numbers = b.statistics()
    assert numbers.told == numbers.in_hand_at_crash + numbers.dead_lettered == 9
    b.tell(Note("after the end"))
    assert system.dead_letters.recent()[-1].message == Note("after the end")


async def test_an_actor_that_fails_while_it_is_cancelled_from_outside_does_not_swallow_the_cancellation(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async def fail_in_cleanup(actor: Actor) -> None:
        async def fail() -> None:
            try:
                await trio.sleep_forever()
            finally:
                raise Boom

        actor.context.spawn(fail)

    with trio.CancelScope() as scope:
        async with open_system(branch(puppet("a", Diary(), on_start=fail_in_cleanup)), virtual_world()) as system:
            await trio.testing.wait_all_tasks_blocked()
            scope.cancel()
            await trio.sleep_forever()
    assert scope.cancelled_caught
    assert system.snapshot()["a"].last_error == "Boom()"


async def test_an_exception_in_the_block_stops_the_tree_in_order_and_comes_out_as_itself(
    autojump_clock: trio.testing.MockClock,
) -> None:
    diary = Diary()
    with pytest.raises(Boom) as caught:
        async with open_system(branch(puppet("a", diary)), virtual_world()):
            await trio.testing.wait_all_tasks_blocked()
            raise Boom("in the block")
    assert str(caught.value) == "in the block"
    assert diary.of("a") == ["started", "stopping"]


async def test_ctrl_c_in_the_block_comes_out_as_itself(autojump_clock: trio.testing.MockClock) -> None:
    with pytest.raises(KeyboardInterrupt):
        async with open_system(branch(puppet("a", Diary())), virtual_world()):
            await trio.testing.wait_all_tasks_blocked()
            raise KeyboardInterrupt


async def test_giving_up_stops_the_others_in_order_and_raises_a_leaf_from_the_block(
    autojump_clock: trio.testing.MockClock,
) -> None:
    diary = Diary()
    root = branch(puppet("a", diary), puppet("b", diary), limit=RestartLimit(0, 60))
    with pytest.raises(RestartLimitExceeded) as caught:
        async with open_system(root, virtual_world()) as system:
            await trio.testing.wait_all_tasks_blocked()
            system.directory["b"].tell(Run(crash))
            await trio.sleep_forever()
    assert diary.of("a") == ["started", "stopping"]
    assert [crash.path for crash in caught.value.history] == ["b"]
    assert "b#1: Boom('b')" in str(caught.value)


async def test_wait_stopped_raises_the_leaf_and_then_the_block_does_not_raise_it_again(
    autojump_clock: trio.testing.MockClock,
) -> None:
    root = branch(puppet("a", Diary(), on_start=crash), limit=RestartLimit(0, 60))
    async with open_system(root, virtual_world()) as system:
        with pytest.raises(RestartLimitExceeded):
            await system.wait_stopped()


async def test_wait_stopped_returns_after_stop(autojump_clock: trio.testing.MockClock) -> None:
    async with open_system(branch(puppet("a", Diary())), virtual_world()) as system:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(system.wait_stopped)
            await trio.testing.wait_all_tasks_blocked()
            await system.stop()
        assert system.directory["a"].state is State.GONE
        with pytest.raises(NotReady):
            await system.wait_ready("a", timeout_s=1)
        await system.stop()


async def test_branches_whose_turn_to_stop_has_not_come_still_heal(
    autojump_clock: trio.testing.MockClock,
) -> None:
    diary = Diary()

    class Farewell(Puppet):
        async def stopping(self) -> None:
            self.context.directory["store/journal"].tell(Run(crash))
            await self.context.directory["store/journal"].ask(Note("last words"), timeout_s=5)

    root = branch(branch(puppet("journal", diary), name="store"), Child("b", Farewell, lambda: Farewell(diary)))
    async with open_system(root, virtual_world()):
        await trio.testing.wait_all_tasks_blocked()
    assert diary.of("store/journal") == ["started", "started", "last words", "stopping"]
