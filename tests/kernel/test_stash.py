"""What an actor sets aside until it can deal with it."""

from __future__ import annotations

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
    KernelError,
    conflate,
    handles,
    open_system,
)
from tests.kernel.rig import Boom, branch, virtual_world


@frozen
class Work:
    number: int


@frozen
class Price:
    value: int


@frozen
class Open:
    """Now it can work."""


@frozen
class Crash:
    """Crash after stashing, or before."""

    stashes: bool


class Shop(Actor):
    """Closed, it stashes work."""

    stash_room = 3
    capacity = 4

    def __init__(self, done: list[int]) -> None:
        self.done = done
        self.open = False

    @handles(Work)
    async def on_work(self, message: Work) -> int | None:
        if not self.open:
            self.context.stash()
            return None
        self.done.append(message.number)
        return message.number

    @handles(Open)
    async def on_open(self, message: Open) -> None:
        self.open = True
        self.context.unstash()

    @handles(Crash)
    async def on_crash(self, message: Crash) -> None:
        if message.stashes:
            self.context.stash()
        raise Boom

    @handles(Price, conflate(lambda price: 0))
    async def on_price(self, message: Price) -> None:
        self.context.stash()


def shop(done: list[int], **spec: Any) -> Child:
    return Child("shop", Shop, lambda: Shop(done), **spec)


async def test_what_is_stashed_is_handled_first_and_in_its_order(autojump_clock: trio.testing.MockClock) -> None:
    done: list[int] = []
    async with open_system(branch(shop(done)), virtual_world()) as system:
        address = system.directory["shop"]
        for number in range(3):
            address.tell(Work(number))
        await trio.sleep(1)
        numbers = address.statistics()
        assert (numbers.depth, numbers.stashed, numbers.handled, done) == (3, 3, 0, [])
        assert system.snapshot()["shop"].stashed == 3
        assert numbers.oldest_waiting_ns == 1_000_000_000
        address.tell(Open())
        address.tell(Work(3))
        await trio.sleep(1)
        assert done == [0, 1, 2, 3]
        numbers = address.statistics()
        assert (numbers.depth, numbers.stashed, numbers.told, numbers.handled) == (0, 0, 5, 5)


async def test_a_stashed_question_is_answered_later(autojump_clock: trio.testing.MockClock) -> None:
    async with open_system(branch(shop([])), virtual_world()) as system, trio.open_nursery() as nursery:
        address = system.directory["shop"]

        async def ask() -> None:
            assert await address.ask(Work(7), timeout_s=5) == 7

        nursery.start_soon(ask)
        await trio.sleep(1)
        address.tell(Open())


async def test_a_stashed_question_is_withdrawn_at_its_timeout(autojump_clock: trio.testing.MockClock) -> None:
    done: list[int] = []
    async with open_system(branch(shop(done)), virtual_world()) as system:
        address = system.directory["shop"]
        address.tell(Work(1))
        with pytest.raises(AskTimeout, match="withdrawn"):
            await address.ask(Work(2), timeout_s=1)
        await address.ask(Open(), timeout_s=1)
        await trio.sleep(1)
        assert done == [1]
        assert address.statistics().withdrawn == 1
        assert address._box.lanes[0].count == 0


async def test_the_stash_survives_a_crash(autojump_clock: trio.testing.MockClock) -> None:
    done: list[int] = []
    async with open_system(branch(shop(done)), virtual_world()) as system:
        address = system.directory["shop"]
        for number in range(2):
            address.tell(Work(number))
        await trio.sleep(1)
        address.tell(Crash(stashes=False))
        await trio.sleep(1)
        assert address.statistics().stashed == 2, "the new incarnation was closed, too"
        address.tell(Open())
        await trio.sleep(1)
        assert done == [0, 1]


async def test_a_handler_that_stashes_and_then_crashes_had_the_message_in_hand(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with open_system(branch(shop([])), virtual_world()) as system:
        address = system.directory["shop"]
        address.tell(Crash(stashes=True))
        await trio.sleep(1)
        numbers = address.statistics()
        assert (numbers.in_hand_at_crash, numbers.stashed, numbers.depth) == (1, 0, 0)
        assert system.snapshot()["shop"].incarnation == 2


async def test_beyond_its_room_the_stash_is_full_and_that_is_a_crash(autojump_clock: trio.testing.MockClock) -> None:
    async with open_system(branch(shop([])), virtual_world()) as system:
        address = system.directory["shop"]
        for number in range(4):
            address.tell(Work(number))
        await trio.sleep(1)
        assert "MailboxFull" in str(system.snapshot()["shop"].last_error)
        assert address.statistics().in_hand_at_crash == 1
        assert address.statistics().stashed == 3


async def test_what_may_be_dropped_cannot_be_stashed(autojump_clock: trio.testing.MockClock) -> None:
    async with open_system(branch(shop([])), virtual_world()) as system:
        system.directory["shop"].tell(Price(1))
        await trio.sleep(1)
        assert "TypeError" in str(system.snapshot()["shop"].last_error)


async def test_only_a_handler_can_stash(autojump_clock: trio.testing.MockClock) -> None:
    class Early(Shop):
        async def started(self) -> None:
            with pytest.raises(KernelError, match="only a handler"):
                self.context.stash()

    async with open_system(branch(Child("e", Early, lambda: Early([]))), virtual_world()) as system:
        await trio.sleep(1)
        assert system.snapshot()["e"].last_error is None


async def test_the_stash_of_an_actor_that_is_gone_becomes_dead_letters(autojump_clock: trio.testing.MockClock) -> None:
    async with open_system(branch(shop([])), virtual_world()) as system, trio.open_nursery() as nursery:
        address = system.directory["shop"]
        address.tell(Work(1))

        async def ask() -> None:
            with pytest.raises(ActorDown):
                await address.ask(Work(2), timeout_s=5)

        nursery.start_soon(ask)
        await trio.sleep(1)
        await system.stop_child("shop")
        letters = [(letter.message, letter.reason) for letter in system.dead_letters.recent()]
        assert letters == [(Work(1), DeadLetterReason.GONE), (Work(2), DeadLetterReason.GONE)]
        assert address.statistics().depth == 0
