"""What a death means: restart types, strategies, budgets, outages."""

from __future__ import annotations

import pytest
import trio
from attrs import evolve, frozen

from tbot_actors.kernel import (
    ESCALATE,
    GONE,
    Actor,
    Backoff,
    BranchLimitReached,
    Child,
    ChildExited,
    ChildRestarted,
    DeadLetterReason,
    Down,
    Exhausted,
    ExitReason,
    Outcome,
    Restart,
    RestartLimit,
    RestartLimitExceeded,
    StartTimeout,
    State,
    Strategy,
    Unavailable,
    again,
    handles,
    open_system,
)
from tests.kernel.rig import Boom, Diary, Note, Run, branch, crash, puppet, state_of, virtual_world


async def finish(actor: Actor) -> None:
    await actor.context.stop_self()


async def outage(actor: Actor) -> None:
    raise Unavailable("the venue is down")


async def spawned_crash(actor: Actor) -> None:
    actor.context.spawn(crash, actor)
    await trio.sleep(1)


async def spawned_outage(actor: Actor) -> None:
    actor.context.spawn(outage, actor)
    await trio.sleep(1)


ENDS = {
    "stop_self": finish,
    "a crash in a handler": crash,
    "a crash in a background task": spawned_crash,
    "an outage in a handler": outage,
    "an outage in a background task": spawned_outage,
}
RESTARTED = {
    Restart.PERMANENT: set(ENDS),
    Restart.TRANSIENT: set(ENDS) - {"stop_self"},
    Restart.TEMPORARY: set(),
}
AFFECTED = {Strategy.ONE_FOR_ONE: "b", Strategy.ONE_FOR_ALL: "abc", Strategy.REST_FOR_ONE: "bc"}


@pytest.mark.parametrize("strategy", Strategy)
@pytest.mark.parametrize("restart", Restart)
@pytest.mark.parametrize("end", ENDS)
async def test_restart_type_and_strategy_decide_who_is_started_again(
    strategy: Strategy, restart: Restart, end: str, autojump_clock: trio.testing.MockClock
) -> None:
    diary = Diary()
    root = branch(puppet("a", diary), puppet("b", diary, restart=restart), puppet("c", diary), strategy=strategy)
    async with open_system(root, virtual_world()) as system:
        await trio.testing.wait_all_tasks_blocked()
        assert diary.entries == [("a", "started"), ("b", "started"), ("c", "started")]
        diary.entries.clear()
        system.directory["b"].tell(Run(ENDS[end]))
        await trio.sleep(2)
        affected = AFFECTED[strategy] if end in RESTARTED[restart] else ""
        stopped = [(name, "stopping") for name in reversed(affected) if name != "b"]
        own = [("b", "stopping")] if end == "stop_self" else []
        assert diary.entries == own + stopped + [(name, "started") for name in affected]
        assert state_of(system, "b") is (State.RUNNING if affected else State.GONE)


@pytest.mark.parametrize("strategy", [Strategy.ONE_FOR_ALL, Strategy.REST_FOR_ONE])
async def test_a_temporary_child_is_not_started_again_with_its_group(
    strategy: Strategy, autojump_clock: trio.testing.MockClock
) -> None:
    diary = Diary()
    root = branch(puppet("a", diary), puppet("b", diary, restart=Restart.TEMPORARY), strategy=strategy)
    async with open_system(root, virtual_world()) as system:
        await trio.testing.wait_all_tasks_blocked()
        system.directory["a"].tell(Run(crash))
        await trio.testing.wait_all_tasks_blocked()
        assert diary.of("a") == ["started", "started"]
        assert diary.of("b") == ["started", "stopping"]
        assert state_of(system, "b") is State.GONE


async def test_a_group_restart_dead_letters_what_its_members_sent_each_other_and_keeps_the_rest(
    autojump_clock: trio.testing.MockClock,
) -> None:
    diary = Diary()

    async def write_then_crash(actor: Actor) -> None:
        actor.context.directory["g/b"].tell(Note("from a"))
        actor.context.address.tell(Note("from a to itself"))
        await trio.sleep(1)
        raise Boom

    async def busy(actor: Actor) -> None:
        await trio.sleep(2)

    async def write(actor: Actor) -> None:
        actor.context.directory["g/b"].tell(Note("from outside"))

    group = branch(puppet("a", diary), puppet("b", diary), name="g", strategy=Strategy.ONE_FOR_ALL)
    async with open_system(branch(group, puppet("outside", diary)), virtual_world()) as system:
        await trio.testing.wait_all_tasks_blocked()
        system.directory["g/b"].tell(Run(busy))
        await trio.testing.wait_all_tasks_blocked()
        system.directory["g/a"].tell(Run(write_then_crash))
        system.directory["outside"].tell(Run(write))
        system.directory["g/b"].tell(Note("from a person"))
        await trio.sleep(3)
        letters = [(letter.to, letter.message) for letter in system.dead_letters.recent()
                   if letter.reason is DeadLetterReason.GROUP_RESTART]  # fmt: skip
        assert letters == [("g/a", Note("from a to itself")), ("g/b", Note("from a"))] or letters == [
            ("g/b", Note("from a")),
            ("g/a", Note("from a to itself")),
        ]
    kept = [entry for entry in diary.of("g/b") if "from" in str(entry)]
    assert sorted(kept) == ["from a person", "from outside"]


async def test_a_member_that_waits_to_send_to_a_stopped_member_does_not_hold_the_restart_up(
    autojump_clock: trio.testing.MockClock,
) -> None:
    diary = Diary()

    async def hang(actor: Actor) -> None:
        await trio.sleep_forever()

    async def flood(actor: Actor) -> None:
        for n in range(20):
            await actor.context.directory["b"].send(Note(n))

    root = branch(
        puppet("a", diary), puppet("b", diary, shutdown_s=1), puppet("c", diary), strategy=Strategy.ONE_FOR_ALL
    )
    async with open_system(root, virtual_world()) as system:
        await trio.testing.wait_all_tasks_blocked()
        system.directory["b"].tell(Run(hang))
        await trio.testing.wait_all_tasks_blocked()
        system.directory["a"].tell(Run(flood))
        await trio.testing.wait_all_tasks_blocked()
        assert system.directory["b"].statistics().senders_waiting == 1
        system.directory["c"].tell(Run(crash))
        await trio.sleep(1.01)
        assert [state_of(system, path) for path in "abc"] == [State.RUNNING] * 3
        assert [diary.of(path).count("started") for path in "abc"] == [2, 2, 2]


async def test_a_member_that_waits_to_send_to_the_dead_one_does_not_hold_the_restart_up(
    autojump_clock: trio.testing.MockClock,
) -> None:
    diary = Diary()

    async def hang_then_crash(actor: Actor) -> None:
        await trio.sleep(1)
        raise Boom

    async def flood(actor: Actor) -> None:
        for n in range(20):
            await actor.context.directory["b"].send(Note(n))

    root = branch(puppet("a", diary), puppet("b", diary), strategy=Strategy.ONE_FOR_ALL)
    async with open_system(root, virtual_world()) as system:
        await trio.testing.wait_all_tasks_blocked()
        system.directory["b"].tell(Run(hang_then_crash))
        await trio.testing.wait_all_tasks_blocked()
        system.directory["a"].tell(Run(flood))
        await trio.sleep(1.01)
        assert [diary.of(path).count("started") for path in "ab"] == [2, 2]


async def test_a_second_crash_merges_into_the_delayed_restart_of_a_group(
    autojump_clock: trio.testing.MockClock,
) -> None:
    diary = Diary()
    root = branch(
        *(puppet(name, diary) for name in "abc"),
        strategy=Strategy.REST_FOR_ONE,
        backoff=Backoff(first_s=1, jitter=0, cap_s=60),
        limit=RestartLimit(2, 60),
    )
    async with open_system(root, virtual_world()) as system:
        await trio.testing.wait_all_tasks_blocked()
        system.directory["c"].tell(Run(crash))
        await trio.sleep(0.5)
        system.directory["b"].tell(Run(crash))
        await trio.sleep(0.9)
        assert diary.of("c") == ["started"]  # 1 s after the first crash it waits for b, 1 s after the second
        await trio.sleep(0.2)
        assert [diary.of(name).count("started") for name in "abc"] == [1, 2, 2]


async def test_a_merged_restart_waits_for_the_longer_of_the_two_delays(autojump_clock: trio.testing.MockClock) -> None:
    diary = Diary()
    root = branch(
        *(puppet(name, diary) for name in "ab"),
        strategy=Strategy.REST_FOR_ONE,
        backoff=Backoff(first_s=1, jitter=0, cap_s=60),
    )
    async with open_system(root, virtual_world()) as system:
        await trio.testing.wait_all_tasks_blocked()
        for pause_s in (1.1, 2.1, 0.5):
            system.directory["b"].tell(Run(crash))
            await trio.sleep(pause_s)
        system.directory["a"].tell(Run(crash))  # b waits for 4 s, a would wait for 1 s only
        await trio.sleep(3.4)
        assert [diary.of(name).count("started") for name in "ab"] == [1, 3]
        await trio.sleep(0.2)
        assert [diary.of(name).count("started") for name in "ab"] == [2, 4]


async def test_backoff_doubles_until_its_cap_and_starts_afresh_after_a_long_life(
    autojump_clock: trio.testing.MockClock,
) -> None:
    starts: list[float] = []

    async def crash_soon(actor: Actor) -> None:
        starts.append(trio.current_time())
        if len(starts) != 5:
            raise Boom
        actor.context.after(20, Run(crash))

    root = branch(
        puppet("a", Diary(), on_start=crash_soon),
        backoff=Backoff(first_s=1, cap_s=4, jitter=0, reset_after_s=10),
        limit=RestartLimit(20, 1000),
    )
    async with open_system(root, virtual_world()):
        await trio.sleep(35)
    assert starts[:7] == [0, 1, 3, 7, 11, 32, 34]


async def test_failed_starts_spend_the_budget(autojump_clock: trio.testing.MockClock) -> None:
    root = branch(puppet("a", Diary(), on_start=crash), limit=RestartLimit(3, 60))
    with pytest.raises(RestartLimitExceeded) as caught:
        async with open_system(root, virtual_world()):
            await trio.sleep_forever()
    assert [(crash.path, crash.incarnation, type(crash.error)) for crash in caught.value.history] == [
        ("a", number, Boom) for number in (1, 2, 3, 4)
    ]
    assert caught.value.path == ""


async def test_started_that_hangs_is_a_failed_start(autojump_clock: trio.testing.MockClock) -> None:
    async def hang(actor: Actor) -> None:
        await trio.sleep_forever()

    root = branch(puppet("a", Diary(), on_start=hang, start_s=3), limit=RestartLimit(1, 60))
    with pytest.raises(RestartLimitExceeded) as caught:
        async with open_system(root, virtual_world()):
            await trio.sleep_forever()
    assert trio.current_time() == 6
    assert all(isinstance(crash.error, StartTimeout) for crash in caught.value.history)


async def test_a_factory_that_raises_or_returns_something_else_is_a_failed_start(
    autojump_clock: trio.testing.MockClock,
) -> None:
    class Other(Actor):
        pass

    def fail() -> Actor:
        raise Boom

    for factory, error in ((fail, Boom), (Actor, TypeError)):
        root = branch(Child("a", Other, factory), limit=RestartLimit(0, 60))
        with pytest.raises(RestartLimitExceeded) as caught:
            async with open_system(root, virtual_world()):
                await trio.sleep_forever()
        assert isinstance(caught.value.history[0].error, error)


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, BaseException, MemoryError, ExceptionGroup])
async def test_any_exception_in_an_actor_crashes_only_that_actor(
    error: type[BaseException], autojump_clock: trio.testing.MockClock
) -> None:
    async def fail(actor: Actor) -> None:
        raise ExceptionGroup("several", [Boom(), Boom()]) if error is ExceptionGroup else error()

    diary = Diary()
    async with open_system(branch(puppet("a", diary), puppet("b", diary)), virtual_world()) as system:
        system.directory["a"].tell(Run(fail))
        await trio.testing.wait_all_tasks_blocked()
        assert diary.of("a") == ["started", "started"]
        assert diary.of("b") == ["started"]


async def test_unavailable_waits_with_the_backoff_and_does_not_spend_the_budget(
    autojump_clock: trio.testing.MockClock,
) -> None:
    starts: list[float] = []

    async def connect(actor: Actor) -> None:
        starts.append(trio.current_time())
        if len(starts) < 8:
            raise Unavailable

    root = branch(
        puppet("a", Diary(), on_start=connect),
        puppet("b", Diary()),
        backoff=Backoff(first_s=1, cap_s=4, jitter=0),
        limit=RestartLimit(0, 1),
    )
    async with open_system(root, virtual_world()) as system:
        await trio.sleep(2)
        assert state_of(system, "a") is State.OUTAGE
        assert state_of(system, "b") is State.RUNNING  # an outage holds nobody else up
        await trio.sleep(60)
        assert state_of(system, "a") is State.RUNNING
    assert starts == [0, 1, 3, 7, 11, 15, 19, 23]


async def test_an_outage_of_a_group_does_not_hold_up_the_branches_beside_it(
    autojump_clock: trio.testing.MockClock,
) -> None:
    diary = Diary()
    venue = branch(
        puppet("gateway", diary, on_start=outage),
        puppet("stream", diary),
        name="venue",
        strategy=Strategy.REST_FOR_ONE,
        backoff=Backoff(first_s=1),
    )
    async with open_system(branch(venue, puppet("b", diary)), virtual_world()) as system:
        await trio.sleep(20)
        assert diary.of("b") == ["started"]
        assert diary.of("venue/stream") == []
        assert system.snapshot()["venue/gateway"].state is State.OUTAGE


async def test_an_outage_has_a_bound_of_its_own(autojump_clock: trio.testing.MockClock) -> None:
    root = branch(puppet("a", Diary(), on_start=outage, outage_max_s=30, exhausted=GONE), backoff=Backoff(jitter=0))
    async with open_system(root, virtual_world()) as system:
        await trio.sleep(29.9)
        assert state_of(system, "a") is State.OUTAGE
        await trio.sleep(0.2)
        assert state_of(system, "a") is State.GONE


async def test_ready_ends_an_outage_and_a_short_start_does_not(autojump_clock: trio.testing.MockClock) -> None:
    ready = False

    async def flap(actor: Actor) -> None:
        if ready:
            actor.context.ready()
        actor.context.after(1, Run(outage))

    child = puppet("a", Diary(), on_start=flap, outage_max_s=10, exhausted=GONE)
    async with open_system(branch(child), virtual_world()) as system:
        ready = True
        await trio.sleep(100)
        assert state_of(system, "a") is State.READY
        ready = False
        await trio.sleep(14)
        assert state_of(system, "a") is State.GONE


async def test_gone_leaves_the_child_off_and_the_tree_on(autojump_clock: trio.testing.MockClock) -> None:
    diary = Diary()
    root = branch(puppet("a", diary, limit=RestartLimit(1, 60), exhausted=GONE), puppet("b", diary))
    async with open_system(root, virtual_world()) as system:
        address = system.directory["a"]
        await trio.testing.wait_all_tasks_blocked()
        for message in (Run(crash), Run(crash), Note("never"), Note("handled")):
            address.tell(message)
        await trio.testing.wait_all_tasks_blocked()
        assert address.state is State.GONE
        assert address.statistics().dead_lettered == 2
        assert [letter.reason for letter in system.dead_letters.recent()[-2:]] == [DeadLetterReason.GONE] * 2
        assert state_of(system, "b") is State.RUNNING
    assert diary.of("a") == ["started", "started"]


async def test_again_rests_and_starts_afresh_until_its_times_are_spent(autojump_clock: trio.testing.MockClock) -> None:
    starts: list[float] = []

    async def fail(actor: Actor) -> None:
        starts.append(trio.current_time())
        raise Boom

    core = branch(
        puppet("a", Diary(), on_start=fail), name="core", limit=RestartLimit(1, 60), exhausted=again(60, 3, 3600)
    )
    with pytest.raises(RestartLimitExceeded) as caught:
        async with open_system(branch(core, limit=RestartLimit(0, 60)), virtual_world()):
            await trio.sleep_forever()
    assert starts == [0, 0, 60, 60, 120, 120, 180, 180]
    assert caught.value.path == "core"


async def test_escalation_is_one_crash_for_the_branch_above(autojump_clock: trio.testing.MockClock) -> None:
    diary = Diary()
    inner = branch(puppet("a", diary, on_start=crash), puppet("b", diary), name="inner", limit=RestartLimit(2, 60))
    with pytest.raises(RestartLimitExceeded) as caught:
        async with open_system(branch(inner, limit=RestartLimit(1, 60)), virtual_world()):
            await trio.sleep_forever()
    assert diary.of("inner/a") == ["started"] * 6
    history = caught.value.history
    assert [(crash.path, type(crash.error)) for crash in history] == [("inner", RestartLimitExceeded)] * 2
    assert isinstance(history[0].error, RestartLimitExceeded)
    assert [crash.path for crash in history[0].error.history] == ["inner/a"] * 3


async def test_a_childs_own_limit_escalates_as_one_crash_of_its_branch(autojump_clock: trio.testing.MockClock) -> None:
    diary = Diary()
    root = branch(puppet("a", diary, on_start=crash, limit=RestartLimit(2, 60)), limit=RestartLimit(1, 60))
    with pytest.raises(RestartLimitExceeded):
        async with open_system(root, virtual_world()):
            await trio.sleep_forever()
    assert diary.of("a") == ["started"] * 6


async def test_mail_survives_the_restart_of_a_branch(autojump_clock: trio.testing.MockClock) -> None:
    diary = Diary()
    inner = branch(puppet("a", diary), name="inner", limit=RestartLimit(0, 60))
    async with open_system(branch(inner), virtual_world()) as system:
        system.directory["inner/a"].tell(Run(crash))
        system.directory["inner/a"].tell(Note("kept"))
        await trio.testing.wait_all_tasks_blocked()
        assert system.snapshot()["inner"].incarnation == 2
    assert diary.of("inner/a") == ["started", "started", "kept", "stopping"]


async def test_the_restart_of_a_branch_dead_letters_what_its_actors_sent_each_other(
    autojump_clock: trio.testing.MockClock,
) -> None:
    diary = Diary()

    async def write_then_crash(actor: Actor) -> None:
        actor.context.directory["inner/b"].tell(Run(crash))
        actor.context.directory["inner/b"].tell(Note("from a"))
        raise Boom

    inner = branch(puppet("a", diary), puppet("b", diary), name="inner", limit=RestartLimit(0, 60))
    async with open_system(branch(inner), virtual_world()) as system:
        await trio.testing.wait_all_tasks_blocked()
        system.directory["inner/a"].tell(Run(write_then_crash))
        await trio.testing.wait_all_tasks_blocked()
        assert "from a" not in diary.of("inner/b")
        assert system.directory["inner/b"].statistics().dead_lettered >= 1


async def test_watchers_hear_again_when_the_branch_of_a_dead_actor_is_given_up(
    autojump_clock: trio.testing.MockClock,
) -> None:
    diary = Diary()

    async def watch(actor: Actor) -> None:
        actor.context.watch(actor.context.directory["inner/a"])

    children = (puppet(name, diary) for name in "ab")
    inner = branch(*children, name="inner", limit=RestartLimit(0, 60), exhausted=GONE)
    async with open_system(branch(puppet("watcher", diary, on_start=watch), inner), virtual_world()) as system:
        await trio.testing.wait_all_tasks_blocked()
        system.directory["inner/a"].tell(Run(crash))
        await trio.testing.wait_all_tasks_blocked()
        assert system.snapshot()["inner"].state is State.GONE
        down = Down("inner/a", 1, ExitReason.CRASHED, gone=False)
        assert diary.of("watcher")[1:] == [down, evolve(down, gone=True)]


@pytest.mark.parametrize(
    ("exhausted", "outcome"),
    [(GONE, Outcome.GONE), (again(1, 1, 60), Outcome.AGAIN), (ESCALATE, Outcome.ESCALATED)],
)
async def test_observers_hear_of_ends_restarts_and_limits(
    exhausted: Exhausted, outcome: Outcome, autojump_clock: trio.testing.MockClock
) -> None:
    heard: list[object] = []

    class Observer(Actor):
        @handles(ChildExited)
        @handles(ChildRestarted)
        @handles(BranchLimitReached)
        async def on_notice(self, notice: object) -> None:
            heard.append(notice)

    child = puppet("a", Diary(), limit=RestartLimit(1, 60), exhausted=exhausted)
    root = branch(Child("observer", Observer, Observer), child)
    async with open_system(root, virtual_world(), observers=["observer"]) as system:
        await trio.testing.wait_all_tasks_blocked()
        system.directory["a"].tell(Run(crash))
        system.directory["a"].tell(Run(crash))
        await trio.testing.wait_all_tasks_blocked()
        exits = [notice for notice in heard if isinstance(notice, ChildExited)]
        assert [(e.path, e.incarnation, e.reason) for e in exits] == [("a", n, ExitReason.CRASHED) for n in (1, 2)]
        assert ChildRestarted("a", 2) in heard
        (limit,) = [notice for notice in heard if isinstance(notice, BranchLimitReached)]
        assert (limit.path, limit.outcome, len(limit.history)) == ("a", outcome, 2)


@frozen
class Silent:
    pass


async def test_an_observer_gets_only_the_notices_it_handles(autojump_clock: trio.testing.MockClock) -> None:
    diary = Diary()
    async with open_system(branch(puppet("a", diary), puppet("b", diary)), virtual_world(), observers=["a"]) as system:
        system.directory["b"].tell(Run(crash))
        await trio.testing.wait_all_tasks_blocked()
        assert system.directory["a"].statistics().told == 0
        assert system.dead_letters.count == 1
