"""What is told, in which order it is handled, and what happens when there is no room."""

from __future__ import annotations

from itertools import pairwise

import pytest
import trio
from attrs import frozen

from tbot_actors.kernel import (
    DROP_OLDEST,
    REJECT,
    Actor,
    Child,
    DeadLetterReason,
    Down,
    ExitReason,
    MailboxFull,
    Stopped,
    conflate,
    handles,
    open_system,
)
from tbot_actors.kernel.mailbox import NOTICES_MAX
from tests.kernel.rig import Boom, Diary, Note, Puppet, Run, branch, crash, puppet, virtual_world


@frozen
class Tick:
    symbol: str
    price: int


@frozen
class Log:
    line: int


@frozen
class Order:
    number: int


@frozen
class Cancel:
    number: int


@frozen
class Unheard:
    pass


@frozen
class Hold:
    until: trio.Event


class Trader(Actor):
    """One class of message per policy."""

    capacity = 4

    def __init__(self, seen: list[object]) -> None:
        self.seen = seen

    @handles(Tick, conflate(lambda tick: tick.symbol), room=2)
    @handles(Log, DROP_OLDEST, room=3)
    @handles(Order)
    @handles(Note, REJECT)
    @handles(Cancel, room=2)
    async def on_any(self, message: object) -> None:
        self.seen.append(message)

    @handles(Hold, room=1)
    async def on_hold(self, message: Hold) -> None:
        await message.until.wait()


async def test_messages_of_all_policies_keep_their_order_and_bounds(autojump_clock: trio.testing.MockClock) -> None:
    seen: list[object] = []
    async with open_system(branch(Child("t", Trader, lambda: Trader(seen))), virtual_world()) as system:
        address = system.directory["t"]
        release = trio.Event()
        address.tell(Hold(release))
        await trio.testing.wait_all_tasks_blocked()

        address.tell(Tick("A", 1))
        address.tell(Order(1))
        for line in range(5):
            address.tell(Log(line))
        address.tell(Tick("B", 2))
        address.tell(Tick("A", 3))
        for number in range(2, 5):
            address.tell(Order(number))
        with pytest.raises(MailboxFull, match="t: no room for Order"):
            address.tell(Order(5))
        with pytest.raises(MailboxFull):
            address.tell(Note("shares the room of orders"))
        with pytest.raises(MailboxFull):
            await address.send(Note("and REJECT does not wait"))
        address.tell(Cancel(1))
        address.tell(Cancel(2))
        with pytest.raises(MailboxFull, match="at most 2"):
            address.tell(Cancel(3))

        before = address.statistics()
        assert (before.told, before.handled, before.dropped, before.refused) == (15, 0, 3, 4)
        assert before.depth == before.high_water == 11
        release.set()
        await trio.testing.wait_all_tasks_blocked()
        after = address.statistics()
        assert (after.depth, after.handled, after.oldest_waiting_ns) == (0, 12, 0)
    assert seen == [
        *(Tick("A", 3), Order(1), Log(2), Log(3), Log(4), Tick("B", 2)),
        *(Order(2), Order(3), Order(4), Cancel(1), Cancel(2)),
    ]


async def test_a_new_key_beyond_the_room_drops_the_oldest_of_its_class(autojump_clock: trio.testing.MockClock) -> None:
    seen: list[object] = []
    async with open_system(branch(Child("t", Trader, lambda: Trader(seen))), virtual_world()) as system:
        for symbol in "ABC":
            system.directory["t"].tell(Tick(symbol, 1))
        assert system.directory["t"].statistics().dropped == 1
        await trio.testing.wait_all_tasks_blocked()
    assert seen == [Tick("B", 1), Tick("C", 1)]


async def test_a_flood_of_dropped_messages_takes_no_memory(autojump_clock: trio.testing.MockClock) -> None:
    seen: list[object] = []
    async with open_system(branch(Child("t", Trader, lambda: Trader(seen))), virtual_world()) as system:
        address = system.directory["t"]
        address.tell(Order(0))
        for line in range(10_000):
            address.tell(Log(line))
        assert len(address._box.user) < 200
        assert address.statistics().depth == 4
        await trio.testing.wait_all_tasks_blocked()
    assert seen == [Order(0), Log(9997), Log(9998), Log(9999)]


async def test_send_waits_for_room_in_the_order_of_asking(autojump_clock: trio.testing.MockClock) -> None:
    seen: list[object] = []
    async with open_system(branch(Child("t", Trader, lambda: Trader(seen))), virtual_world()) as system:
        address = system.directory["t"]
        release = trio.Event()
        address.tell(Hold(release))
        await trio.testing.wait_all_tasks_blocked()
        for number in range(4):
            await address.send(Order(number))
        async with trio.open_nursery() as nursery:
            for number in range(4, 20):
                nursery.start_soon(address.send, Order(number))
                await trio.testing.wait_all_tasks_blocked()
            assert address.statistics().senders_waiting == 16
            with pytest.raises(MailboxFull):
                address.tell(Order(99))
            release.set()
        await trio.testing.wait_all_tasks_blocked()
        assert address.statistics().told == 21
    assert seen == [Order(number) for number in range(20)]


async def test_a_cancelled_send_leaves_nothing_behind(autojump_clock: trio.testing.MockClock) -> None:
    seen: list[object] = []
    async with open_system(branch(Child("t", Trader, lambda: Trader(seen))), virtual_world()) as system:
        address = system.directory["t"]
        release = trio.Event()
        address.tell(Hold(release))
        await trio.testing.wait_all_tasks_blocked()
        for number in range(4):
            address.tell(Order(number))
        with trio.move_on_after(1) as scope:
            await address.send(Order(4))
        assert scope.cancelled_caught
        assert address.statistics().senders_waiting == 0
        release.set()
        await trio.testing.wait_all_tasks_blocked()
        for number in range(4, 8):
            address.tell(Order(number))
        await trio.testing.wait_all_tasks_blocked()
    assert seen == [Order(number) for number in range(8)]


async def test_an_unknown_type_is_a_dead_letter(autojump_clock: trio.testing.MockClock) -> None:
    diary = Diary()
    async with open_system(branch(puppet("a", diary)), virtual_world()) as system:
        system.directory["a"].tell(Unheard())
        (letter,) = system.dead_letters.recent()
        assert (letter.message, letter.to, letter.reason) == (Unheard(), "a", DeadLetterReason.UNHANDLED)
        assert system.directory["a"].statistics().dead_lettered == 1


async def test_queued_mail_survives_a_crash_and_the_message_in_hand_is_not_redelivered(
    autojump_clock: trio.testing.MockClock,
) -> None:
    diary = Diary()
    attempts = []

    async def crash_once(actor: Actor) -> None:
        attempts.append(actor)
        raise Boom

    async with open_system(branch(puppet("a", diary)), virtual_world()) as system:
        address = system.directory["a"]
        await trio.testing.wait_all_tasks_blocked()
        message = Run(crash_once)
        address.tell(Note(1))
        address.tell(message)
        address.tell(Note(2))
        address.tell(Note(3))
        await trio.testing.wait_all_tasks_blocked()
        assert len(attempts) == 1
        (letter,) = system.dead_letters.recent()
        assert letter.message is message
        assert letter.reason is DeadLetterReason.CRASHED
        assert isinstance(letter.error, Boom)
        assert letter.error.__traceback__ is not None
        assert address.statistics().in_hand_at_crash == 1
    assert diary.of("a") == ["started", 1, "started", 2, 3, "stopping"]


async def test_control_is_served_before_a_flood(autojump_clock: trio.testing.MockClock) -> None:
    diary = Diary()

    class Flooded(Puppet):
        capacity = 1000

    async with open_system(branch(Child("a", Flooded, lambda: Flooded(diary))), virtual_world()) as system:
        address = system.directory["a"]
        await trio.testing.wait_all_tasks_blocked()
        for n in range(1000):
            address.tell(Note(n))
        system.crash("a", Boom("now"))
        await trio.testing.wait_all_tasks_blocked()
        assert diary.of("a") == ["started", "started", *range(1000)]


async def test_notices_that_nobody_reads_end_as_dead_letters(autojump_clock: trio.testing.MockClock) -> None:
    async def hang(actor: Actor) -> None:
        await trio.sleep_forever()

    async with open_system(branch(puppet("a", Diary(), shutdown_s=0)), virtual_world()) as system:
        system.directory["a"].tell(Run(hang))
        await trio.testing.wait_all_tasks_blocked()
        notice = Down("b", 1, ExitReason.CRASHED, gone=False)
        for _ in range(NOTICES_MAX + 3):
            system.directory["a"]._box.put_control(notice)
        assert [letter.reason for letter in system.dead_letters.recent()] == [DeadLetterReason.FULL] * 3
        assert system.directory["a"].statistics().depth == NOTICES_MAX


async def test_a_busy_actor_lets_others_run_every_64_messages(autojump_clock: trio.testing.MockClock) -> None:
    diary = Diary()

    class Flooded(Puppet):
        capacity = 1000

    async with open_system(branch(Child("a", Flooded, lambda: Flooded(diary))), virtual_world()) as system:
        await trio.testing.wait_all_tasks_blocked()
        for n in range(1000):
            system.directory["a"].tell(Note(n))
        looks = []
        while system.directory["a"].statistics().depth:
            await trio.lowlevel.checkpoint()
            looks.append(len(diary.of("a")))
    # Trio runs the two tasks of one round in any order, so two batches may fall between two looks.
    assert max(late - early for early, late in pairwise([0, *looks])) <= 128


async def test_mail_for_an_actor_that_is_gone_is_a_dead_letter_and_send_ends(
    autojump_clock: trio.testing.MockClock,
) -> None:
    diary = Diary()
    async with open_system(branch(puppet("a", diary)), virtual_world()) as system:
        address = system.directory["a"]
        await system.stop_child("a")
        address.tell(Note(1))
        assert system.dead_letters.recent()[-1].reason is DeadLetterReason.GONE
        with pytest.raises(Stopped):
            await address.send(Note(2))


async def test_a_waiting_send_outlives_a_crash_of_the_target_but_not_its_stop(
    autojump_clock: trio.testing.MockClock,
) -> None:
    diary = Diary()
    release = trio.Event()

    async def hold_then_crash(actor: Actor) -> None:
        await release.wait()
        raise Boom

    async def hold(actor: Actor) -> None:
        await trio.sleep_forever()

    async with open_system(branch(puppet("a", diary)), virtual_world()) as system:
        address = system.directory["a"]
        address.tell(Run(hold_then_crash))
        await trio.testing.wait_all_tasks_blocked()
        for n in range(8):
            address.tell(Note(n))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(address.send, Note("waited"))
            await trio.testing.wait_all_tasks_blocked()
            release.set()
        await trio.testing.wait_all_tasks_blocked()
        assert diary.of("a")[-1] == "waited"

        address.tell(Run(hold))
        await trio.testing.wait_all_tasks_blocked()
        for n in range(8):
            address.tell(Note(n))
        ended = []

        async def send() -> None:
            with pytest.raises(Stopped):
                await address.send(Note("never"))
            ended.append(trio.current_time())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            await trio.testing.wait_all_tasks_blocked()
            began = trio.current_time()
            nursery.start_soon(system.stop_child, "a")
        assert ended == [began]


async def test_one_senders_mail_stays_in_order_over_restarts(autojump_clock: trio.testing.MockClock) -> None:
    diary = Diary()
    async with open_system(branch(puppet("a", diary)), virtual_world()) as system:
        address = system.directory["a"]
        for n in range(40):
            await address.send(Note(n))
            if n % 7 == 3:
                await address.send(Run(crash))
        await trio.testing.wait_all_tasks_blocked()
        assert [entry for entry in diary.of("a") if entry != "started"] == list(range(40))
