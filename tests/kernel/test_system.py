"""The door to a running tree."""

from __future__ import annotations

import pytest
import trio

from tbot_actors.kernel import (
    Actor,
    Backoff,
    Branch,
    Child,
    Directory,
    NotReady,
    PathTaken,
    Restart,
    RestartLimit,
    RestartLimitExceeded,
    State,
    Strategy,
    UnknownPath,
    open_system,
)
from tests.kernel.rig import NO_WAIT, Boom, Diary, Note, Puppet, Run, branch, crash, puppet, state_of, virtual_world


async def test_addresses_of_all_children_exist_before_the_first_start(autojump_clock: trio.testing.MockClock) -> None:
    diary = Diary()

    async def greet(actor: Actor) -> None:
        actor.context.directory["g/z"].tell(Note("hello from a"))

    root = branch(puppet("a", diary, on_start=greet), branch(puppet("z", diary), name="g"))
    async with open_system(root, virtual_world()) as system:
        assert list(system.directory) == ["a", "g/z"]
        await trio.testing.wait_all_tasks_blocked()
    assert diary.of("g/z") == ["started", "hello from a", "stopping"]


async def test_an_unknown_path_lists_what_exists(autojump_clock: trio.testing.MockClock) -> None:
    async with open_system(branch(puppet("a", Diary())), virtual_world()) as system:
        with pytest.raises(UnknownPath, match="no 'b' here; there are: a"):
            system.directory["b"]
        with pytest.raises(UnknownPath):
            system.crash("b", Boom())
        with pytest.raises(UnknownPath):
            await system.stop_child("b")
        assert "b" not in system.directory
    with pytest.raises(UnknownPath):
        async with open_system(branch(puppet("a", Diary())), virtual_world(), observers=["nobody"]):
            raise AssertionError("not reached")


@pytest.mark.parametrize("name", ["", "a/b", " a"])
def test_a_name_is_one_path_segment(name: str) -> None:
    with pytest.raises(ValueError, match="one path segment"):
        Child(name, Actor, Actor)


def test_two_children_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="two children named a"):
        branch(puppet("a", Diary()), puppet("a", Diary()))


async def test_crash_reaches_an_actor_between_messages(autojump_clock: trio.testing.MockClock) -> None:
    diary = Diary()

    async def slow(actor: Actor) -> None:
        await trio.sleep(1)
        diary.add("a", "done")

    async with open_system(branch(puppet("a", diary)), virtual_world()) as system:
        system.directory["a"].tell(Run(slow))
        await trio.testing.wait_all_tasks_blocked()
        system.crash("a", Boom())
        await trio.sleep(2)
        assert system.directory["a"].statistics().in_hand_at_crash == 0
    assert diary.of("a") == ["started", "done", "started", "stopping"]


async def test_crash_of_a_branch_restarts_all_of_it(autojump_clock: trio.testing.MockClock) -> None:
    diary = Diary()
    root = branch(puppet("a", diary), branch(puppet("b", diary), puppet("c", diary), name="g"))
    async with open_system(root, virtual_world()) as system:
        await trio.testing.wait_all_tasks_blocked()
        system.crash("g", Boom())
        await trio.testing.wait_all_tasks_blocked()
        assert [diary.of(path).count("started") for path in ("a", "g/b", "g/c")] == [1, 2, 2]


async def test_crash_of_the_root_comes_out_at_the_top(autojump_clock: trio.testing.MockClock) -> None:
    with pytest.raises(RestartLimitExceeded) as caught:
        async with open_system(branch(puppet("a", Diary())), virtual_world()) as system:
            await trio.testing.wait_all_tasks_blocked()
            system.crash("", Boom())
            await trio.sleep_forever()
    assert isinstance(caught.value.history[0].error, Boom)


async def test_ready_is_not_the_same_as_started(autojump_clock: trio.testing.MockClock) -> None:
    async def later(actor: Actor) -> None:
        await trio.sleep(3)
        actor.context.ready()

    async def begin(actor: Actor) -> None:
        actor.context.spawn(later, actor)

    async def at_once(actor: Actor) -> None:
        actor.context.ready()

    root = branch(puppet("a", Diary(), on_start=begin), puppet("b", Diary(), on_start=at_once))
    async with open_system(root, virtual_world()) as system:
        await system.wait_ready("b", timeout_s=1)
        with pytest.raises(NotReady, match=r"not ready: a \(running\)"):
            await system.wait_ready("a", timeout_s=1)
        assert not system.directory["a"].ready
        await system.wait_ready(timeout_s=10)
        assert trio.current_time() == 3
        assert state_of(system, "a") is State.READY
        system.crash("a", Boom())
        await trio.testing.wait_all_tasks_blocked()
        assert state_of(system, "a") is State.RUNNING


async def test_the_snapshot_shows_every_node_and_its_numbers(autojump_clock: trio.testing.MockClock) -> None:
    async def slow(actor: Actor) -> None:
        await trio.sleep(100)

    root = branch(puppet("a", Diary(), shutdown_s=0), branch(puppet("b", Diary()), name="g"))
    async with open_system(root, virtual_world()) as system:
        await trio.sleep(1)
        a = system.directory["a"]
        a.tell(Run(crash))
        a.tell(Note(1))
        await trio.testing.wait_all_tasks_blocked()
        a.tell(Run(slow))
        await trio.testing.wait_all_tasks_blocked()
        await trio.sleep(2)
        a.tell(Note(2))
        a.tell(Note(3))
        await trio.sleep(5)
        tree = system.snapshot()
        node = tree["a"]
        assert [n.path for n in tree] == ["", "a", "g", "g/b"]
        assert (node.state, node.incarnation, node.depth, node.high_water) == (State.RUNNING, 2, 2, 2)
        assert (node.handled, node.dropped, node.last_error) == (1, 0, "Boom('a')")
        second = 1_000_000_000
        assert (node.busy_for_ns, node.oldest_waiting_ns, node.last_progress_ns) == (7 * second, 5 * second, second)
        assert (tree.at_ns, tree.dead_letters) == (8 * second, 1)
        assert tree["g/b"].busy_for_ns == 0
        assert (tree.root.depth, tree.root.handled, tree.root.busy_for_ns) == (2, 1, 7 * second)


async def test_children_come_and_go_while_the_tree_runs(autojump_clock: trio.testing.MockClock) -> None:
    diary = Diary()
    strategies = Branch("strategies", Strategy.ONE_FOR_ONE, ())
    async with open_system(branch(strategies, puppet("z", diary)), virtual_world()) as system:
        address = await system.start_child("strategies", puppet("m", diary))
        assert await address.ask(Note("hello"), timeout_s=1) == "hello"
        with pytest.raises(PathTaken):
            await system.start_child("strategies", puppet("m", diary))
        await system.stop_child("strategies/m")
        assert "strategies/m" not in system.directory
        assert address.state is State.GONE
        again = await system.start_child("strategies", puppet("m", diary))
        assert again is not address
        assert await again.ask(Note("again"), timeout_s=1) == "again"
    assert diary.of("strategies/m") == ["started", "hello", "stopping", "started", "again", "stopping"]


async def test_a_dynamic_child_that_ends_for_good_is_struck_off(autojump_clock: trio.testing.MockClock) -> None:
    async with open_system(branch(branch(name="d")), virtual_world()) as system:
        for n in range(50):
            await system.start_child("d", puppet(f"c{n}", Diary(), restart=Restart.TEMPORARY, on_start=crash))
        await trio.testing.wait_all_tasks_blocked()
        assert list(system.directory) == []
        assert system.snapshot()["d"].children == ()


async def test_stop_child_stops_a_branch_and_a_child_that_backs_off(autojump_clock: trio.testing.MockClock) -> None:
    diary = Diary()
    group = branch(puppet("a", diary), puppet("b", diary), name="g", strategy=Strategy.ONE_FOR_ALL)
    slow = Backoff(first_s=9, cap_s=9)
    lame = branch(puppet("x", diary, on_start=crash), name="lame", backoff=slow, limit=RestartLimit(9, 9))
    async with open_system(branch(group, lame), virtual_world()) as system:
        await trio.sleep(1)
        await system.stop_child("g")
        assert diary.of("g/a") == ["started", "stopping"]
        await system.stop_child("lame/x")
        assert [n.path for n in system.snapshot()] == ["", "lame"]
        await trio.sleep(20)
        assert diary.of("lame/x") == ["started"]
        assert trio.current_time() == 21


async def test_an_address_is_a_send_channel(autojump_clock: trio.testing.MockClock) -> None:
    diary = Diary()

    async def produce(channel: trio.abc.SendChannel[Note]) -> None:
        async with channel:
            for n in range(20):
                await channel.send(Note(n))

    async with open_system(branch(puppet("a", diary)), virtual_world()) as system:
        await produce(system.directory["a"])
        system.directory["a"].tell(Note("still open"))
        await trio.testing.wait_all_tasks_blocked()
        assert diary.of("a") == ["started", *range(20), "still open"]


async def test_each_incarnation_has_a_context_of_its_own(autojump_clock: trio.testing.MockClock) -> None:
    async def look(actor: Actor) -> tuple[object, ...]:
        context = actor.context
        return context.path, context.incarnation, context.address.path, context.world.clock.monotonic_ns()

    world = virtual_world()
    async with open_system(branch(branch(Child("a", Puppet, lambda: Puppet(Diary())), name="g")), world) as system:
        address = system.directory["g/a"]
        assert await address.ask(Run(look), timeout_s=1) == ("g/a", 1, "g/a", 0)
        address.tell(Run(crash))
        assert await address.ask(Run(look), timeout_s=1) == ("g/a", 2, "g/a", 0)


async def test_a_tree_can_be_made_from_its_own_directory(autojump_clock: trio.testing.MockClock) -> None:
    diary = Diary()

    def tree(at: Directory) -> Branch:
        async def greet(actor: Actor) -> None:
            at["b"].tell(Note("hello from a"))

        return branch(puppet("a", diary, on_start=greet), puppet("b", diary))

    async with open_system(tree, virtual_world()):
        await trio.testing.wait_all_tasks_blocked()
    assert diary.of("b") == ["started", "hello from a", "stopping"]


async def test_an_inline_branch_groups_restarts_and_leaves_paths_alone(autojump_clock: trio.testing.MockClock) -> None:
    diary = Diary()
    grouped = Branch(
        "group",
        Strategy.REST_FOR_ONE,
        (puppet("first", diary), puppet("second", diary)),
        backoff=NO_WAIT,
        inline=True,
    )
    root = branch(Branch("place", Strategy.ONE_FOR_ONE, (grouped, puppet("beside", diary))))
    async with open_system(root, virtual_world()) as system:
        assert list(system.directory) == ["place/first", "place/second", "place/beside"]
        await trio.testing.wait_all_tasks_blocked()
        system.crash("place/first", Boom())
        await trio.testing.wait_all_tasks_blocked()
        assert [node.incarnation for node in system.snapshot() if not node.children] == [2, 2, 1]
        await system.stop_child("place/second")
        assert list(system.directory) == ["place/first", "place/beside"]
