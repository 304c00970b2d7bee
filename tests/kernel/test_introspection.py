"""Looking at, and holding, one actor of a running tree."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio
from attrs import frozen

from tbot_actors.kernel import (
    Actor,
    ActorDown,
    AskTimeout,
    Child,
    DeadLetterReason,
    DepthAlarm,
    Down,
    MailboxFull,
    NotReady,
    Ready,
    Restart,
    State,
    TraceOutcome,
    UnknownPath,
    handles,
    open_system,
)
from tests.kernel.rig import Boom, Diary, Note, Puppet, Run, branch, crash, puppet, state_of, virtual_world


class Shown(Puppet):
    """Shows how much it has written, or what a test wants."""

    what: Any = None

    def show(self) -> Any:
        if isinstance(self.what, BaseException):
            raise self.what
        return {"entries": len(self.diary.entries)}


def shown(name: str, diary: Diary) -> Child:
    return Child(name, Shown, lambda: Shown(diary))


def asleep(for_s: float) -> Callable[[Actor], Awaitable[None]]:
    async def sleep(actor: Actor) -> None:
        await trio.sleep(for_s)

    return sleep


async def hang(actor: Actor) -> None:
    await trio.sleep_forever()


async def test_a_suspended_actor_handles_nothing_until_it_is_resumed(autojump_clock: trio.testing.MockClock) -> None:
    diary = Diary()
    async with open_system(branch(shown("a", diary)), virtual_world()) as system:
        a = system.directory["a"]
        await a.ask(Run(lambda actor: _do(actor.context.ready)), timeout_s=1)
        system.suspend("a")
        system.suspend("a")
        a.tell(Note(1))
        await trio.sleep(1)
        assert state_of(system, "a") is State.SUSPENDED
        assert not a.ready
        assert diary.of("a") == ["started"]
        with pytest.raises(AskTimeout):
            await a.ask(Note("too late"), timeout_s=1)
        assert await system.show("a", timeout_s=1) == {"entries": 1}
        system.resume("a")
        await trio.sleep(1)
        assert diary.of("a") == ["started", 1]
        assert state_of(system, "a") is State.READY


async def test_a_suspended_actor_keeps_its_notices_for_later(autojump_clock: trio.testing.MockClock) -> None:
    diary = Diary()
    async with open_system(branch(puppet("a", diary), puppet("b", diary)), virtual_world()) as system:
        b = system.directory["b"]
        await system.directory["a"].ask(Run(lambda actor: _do(actor.context.watch, b)), timeout_s=1)
        system.suspend("a")
        b.tell(Run(crash))
        await trio.sleep(1)
        assert not any(isinstance(entry, Down) for entry in diary.of("a"))
        system.resume("a")
        await trio.sleep(1)
        assert isinstance(diary.of("a")[-1], Down)


async def test_a_suspended_actor_still_stops_and_crashes(autojump_clock: trio.testing.MockClock) -> None:
    diary = Diary()
    async with open_system(branch(puppet("a", diary), puppet("b", diary)), virtual_world()) as system:
        system.suspend("a")
        system.suspend("b")
        await trio.sleep(1)
        system.crash("a", Boom())
        await trio.sleep(1)
        assert state_of(system, "a") is State.RUNNING, "suspension ends with the incarnation"
        await system.stop_child("b")
        assert diary.of("b") == ["started", "stopping"]


async def test_show_reaches_an_actor_that_is_behind_with_its_mail(autojump_clock: trio.testing.MockClock) -> None:
    diary = Diary()
    async with open_system(branch(shown("a", diary)), virtual_world()) as system:
        a = system.directory["a"]
        a.tell(Run(asleep(1)))
        for n in range(7):
            a.tell(Note(n))
        await trio.sleep(0.5)
        assert await system.show("a", timeout_s=1) == {"entries": 1}


async def test_an_exception_in_show_goes_to_the_caller_alone(
    autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Shown, "what", ValueError("unfit"))
    async with open_system(branch(shown("a", Diary())), virtual_world()) as system:
        with pytest.raises(ValueError, match="unfit"):
            await system.show("a", timeout_s=1)
        assert system.snapshot()["a"].incarnation == 1


async def test_show_says_why_there_is_no_answer(autojump_clock: trio.testing.MockClock) -> None:
    async with open_system(branch(puppet("a", Diary(), restart=Restart.TEMPORARY)), virtual_world()) as system:
        a = system.directory["a"]
        a.tell(Run(hang))
        await trio.sleep(1)
        with pytest.raises(AskTimeout):
            await system.show("a", timeout_s=1)
        assert not a._box.control, "the order was taken back"
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_expect_down, system)
            await trio.sleep(0.5)
            nursery.start_soon(system.stop_child, "a")
        with pytest.raises(UnknownPath):
            await system.show("a", timeout_s=1)


async def _expect_down(system: Any) -> None:
    with pytest.raises(ActorDown):
        await system.show("a", timeout_s=60)


async def test_a_trace_keeps_the_last_messages_and_what_came_of_them(autojump_clock: trio.testing.MockClock) -> None:
    diary = Diary()
    async with open_system(branch(puppet("a", diary), puppet("b", diary)), virtual_world()) as system:
        a = system.directory["a"]
        a.tell(Note("before"))
        await trio.sleep(1)
        tracing = system.trace("a", last=3)
        assert await a.ask(Note("asked"), timeout_s=1) == "asked"
        await system.directory["b"].ask(Run(lambda actor: _do(a.tell, Note("told"))), timeout_s=1)
        a.tell(Run(asleep(2)))
        await trio.sleep(3)
        a.tell(Run(crash))
        await trio.sleep(1)
        entries = tracing.entries()
        assert tracing.count == 4
        assert [entry.outcome for entry in entries] == [TraceOutcome.HANDLED] * 2 + [TraceOutcome.UNFINISHED]
        assert (entries[0].message, entries[0].sender, entries[0].reply) == (Note("told"), "b", "told")
        assert entries[1].took_ns == 2_000_000_000
        a.tell(Note("in the second life"))
        await trio.sleep(1)
        assert tracing.entries()[-1].incarnation == 2
        tracing.stop()
        a.tell(Note("after"))
        await trio.sleep(1)
        assert tracing.count == 5
        assert a.statistics().handled == 6


async def test_a_new_trace_takes_the_place_of_the_one_before(autojump_clock: trio.testing.MockClock) -> None:
    async with open_system(branch(puppet("a", Diary())), virtual_world()) as system:
        first, second = system.trace("a"), system.trace("a")
        first.stop()
        await system.directory["a"].ask(Note(1), timeout_s=1)
        assert (first.count, second.count) == (0, 1)


async def test_one_actor_waits_for_others_to_be_ready(autojump_clock: trio.testing.MockClock) -> None:
    diary = Diary()

    async def wait_for_b(actor: Actor) -> None:
        await actor.context.wait_ready(actor.context.directory["b"], timeout_s=10)
        diary.add("a", f"b is ready at {trio.current_time():g}")

    async def get_ready(actor: Actor) -> None:
        actor.context.spawn(_ready_after, actor, 3)

    tree = branch(puppet("a", diary), puppet("b", diary, on_start=get_ready))
    async with open_system(tree, virtual_world()) as system:
        system.directory["a"].tell(Run(lambda actor: _do(actor.context.spawn, wait_for_b, actor)))
        await trio.sleep(4)
        assert diary.of("a") == ["started", "b is ready at 3"]
        with pytest.raises(NotReady):
            await system.wait_ready("a", timeout_s=1)


async def _ready_after(actor: Actor, delay_s: float) -> None:
    await trio.sleep(delay_s)
    actor.context.ready()


async def _do(call: Any, *arguments: Any) -> None:
    call(*arguments)


@frozen
class Look:
    """Watch this address."""

    path: str


class Watcher(Puppet):
    capacity = 100

    @handles(Ready)
    async def on_ready(self, message: Ready) -> None:
        self.diary.add(self.context.path, message)

    @handles(Look)
    async def on_look(self, message: Look) -> None:
        self.context.watch(self.context.directory[message.path])


async def test_watchers_hear_that_an_actor_is_ready_after_the_end_of_its_former_life(
    autojump_clock: trio.testing.MockClock,
) -> None:
    diary = Diary()

    async def greet(actor: Actor) -> None:
        actor.context.directory["w"].tell(Note(f"hello from {actor.context.incarnation}"))
        actor.context.ready()

    watcher = Child("w", Watcher, lambda: Watcher(diary))
    async with open_system(branch(watcher, puppet("b", diary, on_start=greet)), virtual_world()) as system:
        w = system.directory["w"]
        await trio.sleep(1)
        await w.ask(Look("b"), timeout_s=1)
        await trio.sleep(1)
        assert diary.of("w") == ["started", "hello from 1", Ready("b", 1)]
        w.tell(Run(asleep(5)))
        await trio.sleep(1)
        system.directory["b"].tell(Run(crash))
        await trio.sleep(10)
        heard = diary.of("w")[3:]
        assert [type(entry) for entry in heard] in ([Down, str, Ready], [str, Down, Ready])
        assert heard[-1] == Ready("b", 2)


async def test_dead_letters_are_a_stream_for_each_reader(autojump_clock: trio.testing.MockClock) -> None:
    read: list[Any] = []

    async def reader(letters: Any) -> None:
        async for letter in letters:
            read.append((letter.message, letter.reason))

    async with trio.open_nursery() as nursery, open_system(branch(puppet("a", Diary())), virtual_world()) as system:
        a = system.directory["a"]
        a.tell("early")
        letters = system.dead_letters.follow()
        nursery.start_soon(reader, letters)
        await trio.sleep(1)
        a.tell("unknown")
        await trio.sleep(1)
        assert read == [("unknown", DeadLetterReason.UNHANDLED)]
        late = system.dead_letters.follow()
        for n in range(1001):
            a.tell(n)
        assert (await anext(late)).message == 1
        assert late.missed == 1
    assert len(read) == 1001, "the reader was too slow for one of them, and its stream has ended with the system"


class Observer(Actor):
    alarms: list[DepthAlarm]

    @handles(DepthAlarm)
    async def on_alarm(self, message: DepthAlarm) -> None:
        self.alarms.append(message)


async def test_a_depth_that_trembles_is_one_alarm(autojump_clock: trio.testing.MockClock) -> None:
    observer, diary = Observer(), Diary()
    observer.alarms = []
    tree = branch(Child("o", Observer, lambda: observer), puppet("a", diary))
    async with open_system(tree, virtual_world(), observers=("o",)) as system:
        a = system.directory["a"]
        # Capacity 8: raised at 6, over at 3.
        for _ in range(2):
            a.tell(Run(asleep(1)))
            await trio.sleep(0.1)
            for n in range(6):
                a.tell(Note(n))
            assert system.snapshot()["a"].alarmed
            await trio.sleep(2)
        assert [(alarm.depth >= 6, alarm.raised) for alarm in observer.alarms] == [(True, True), (False, False)] * 2
        assert not system.snapshot()["a"].alarmed
        for _ in range(20):
            a.tell(Run(asleep(1)))
            a.tell(Note(1))
            await trio.sleep(1)
        observed = len(observer.alarms)
        with pytest.raises(MailboxFull):
            for _ in range(20):
                a.tell(Run(asleep(1)))
        for _ in range(4):
            await trio.sleep(1)
            a.tell(Run(asleep(1)))
        assert len(observer.alarms) == observed + 1
