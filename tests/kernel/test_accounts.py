"""No message is ever lost unseen: for any mail, policies, crash schedule, strategy and budget, the books balance."""

from __future__ import annotations

from collections import Counter
from typing import Any

import trio
from attrs import frozen
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from tbot_actors.kernel import (
    BLOCK,
    DROP_OLDEST,
    ESCALATE,
    GONE,
    REJECT,
    Actor,
    ActorDown,
    Address,
    AskTimeout,
    Backoff,
    Branch,
    Child,
    DeadLetterReason,
    Exhausted,
    MailboxFull,
    Restart,
    RestartLimit,
    RestartLimitExceeded,
    Stopped,
    Strategy,
    System,
    Unavailable,
    again,
    conflate,
    handles,
    open_system,
)
from tests.kernel.rig import Boom, virtual_world


@frozen
class Letter:
    sender: int
    number: int
    crashes: bool
    lasts_s: float
    stashes: bool


class Blocked(Letter):
    pass


class Rejected(Letter):
    pass


class Dropped(Letter):
    pass


class Conflated(Letter):
    pass


class Unknown(Letter):
    pass


KINDS: list[type[Letter]] = [Blocked, Rejected, Dropped, Conflated, Unknown]


class Books:
    """What the letters' receiver did with them."""

    def __init__(self) -> None:
        self.begun: list[Letter] = []
        self.finished = 0
        self.stashed: set[tuple[int, int]] = set()
        self.starts = 0


class Receiver(Actor):
    capacity = 3
    stash_room = 2

    def __init__(self, books: Books, bad_starts: frozenset[int], outages: frozenset[int]) -> None:
        self.books = books
        self.bad_starts = bad_starts
        self.outages = outages

    async def started(self) -> None:
        self.books.starts += 1
        if self.books.starts in self.bad_starts:
            raise Boom
        if self.books.starts in self.outages:
            raise Unavailable

    @handles(Blocked, BLOCK)
    @handles(Rejected, REJECT, room=2)
    @handles(Dropped, DROP_OLDEST, room=2)
    @handles(Conflated, conflate(lambda letter: letter.number % 2))
    async def on_letter(self, letter: Letter) -> int:
        self.books.begun.append(letter)
        if letter.lasts_s:
            await trio.sleep(letter.lasts_s)
        stashes = letter.stashes and (letter.sender, letter.number) not in self.books.stashed
        if stashes:
            self.books.stashed.add((letter.sender, letter.number))
            self.context.stash()
        if letter.crashes:
            raise Boom
        if stashes:
            self.books.begun.pop()
            return -1
        self.context.unstash()
        self.books.finished += 1
        return letter.number


@frozen
class Step:
    kind: type[Letter]
    way: str
    crashes: bool
    lasts_s: float
    pause_s: float
    stashes: bool
    order: str


steps = st.builds(
    Step,
    kind=st.sampled_from(KINDS),
    way=st.sampled_from(["tell", "tell", "send", "ask", "cancelled send"]),
    crashes=st.sampled_from([False, False, False, True]),
    lasts_s=st.sampled_from([0, 0, 0.05, 1]),
    pause_s=st.sampled_from([0, 0, 0, 0.05, 0.3]),
    stashes=st.sampled_from([False] * 4 + [True]),
    order=st.sampled_from([""] * 12 + ["crash", "suspend", "trace", "show"]),
)


@frozen
class Plan:
    senders: list[list[Step]]
    strategy: Strategy
    restart: Restart
    limit: RestartLimit
    exhausted: Exhausted
    bad_starts: frozenset[int]
    outages: frozenset[int]
    shutdown_s: float
    cancelled_after_s: float | None


plans = st.builds(
    Plan,
    senders=st.lists(st.lists(steps, max_size=12), min_size=1, max_size=3),
    strategy=st.sampled_from(Strategy),
    restart=st.sampled_from(Restart),
    limit=st.builds(RestartLimit, st.integers(0, 4), st.just(100.0)),
    exhausted=st.sampled_from([ESCALATE, GONE, again(0.2, 1, 100)]),
    bad_starts=st.frozensets(st.integers(1, 4), max_size=2),
    outages=st.frozensets(st.integers(1, 4), max_size=2),
    shutdown_s=st.sampled_from([0.0, 0.5, 5.0]),
    cancelled_after_s=st.sampled_from([None, None, 0.0, 0.3, 1.5]),
)


async def deliver(address: Address, letter: Letter, way: str, books: Books) -> None:
    try:
        if way == "tell":
            address.tell(letter)
        elif way == "send":
            await address.send(letter)
        elif way == "cancelled send":
            before = address.statistics().told
            with trio.move_on_after(0.1) as scope:
                await address.send(letter)
            if scope.cancelled_caught:
                assert before <= address.statistics().told
                return
        elif letter.__class__ in (Blocked, Rejected):
            try:
                assert await address.ask(letter, timeout_s=0.5) == letter.number
            except AskTimeout:
                pass
            except ActorDown:
                await trio.sleep(0.01)
    except (MailboxFull, Stopped):
        return


async def give(order: str, system: System) -> None:
    try:
        if order == "crash":
            system.crash("g/r", Boom())
        elif order == "suspend":
            system.suspend("g/r")
        elif order == "trace":
            system.trace("g/r", last=2)
        elif order == "show":
            await system.show("g/r", timeout_s=0.1)
    except (AskTimeout, ActorDown):
        return


async def resume_again_and_again(system: System) -> None:
    while True:
        await trio.sleep(0.7)
        system.resume("g/r")


async def carry_out(plan: Plan) -> None:
    books = Books()

    async def write(sender: int, address: Address, script: list[Step], system: System) -> None:
        for number, step in enumerate(script):
            await give(step.order, system)
            letter = step.kind(sender, number, step.crashes, step.lasts_s, step.stashes)
            await deliver(address, letter, step.way, books)
            await trio.sleep(step.pause_s)

    receiver = Child(
        "r",
        Receiver,
        lambda: Receiver(books, plan.bad_starts, plan.outages),
        restart=plan.restart,
        limit=plan.limit,
        exhausted=plan.exhausted,
        shutdown_s=plan.shutdown_s,
    )
    neighbour = Child("n", Receiver, lambda: Receiver(Books(), frozenset(), frozenset()))
    group = Branch(
        "g", plan.strategy, (neighbour, receiver), RestartLimit(1, 100), Backoff(first_s=0.02), exhausted=plan.exhausted
    )
    address: Address | None = None
    system = None
    try:
        with trio.CancelScope(deadline=trio.current_time() + plan.cancelled_after_s if plan.cancelled_after_s else 1e9):
            async with open_system(
                Branch("root", Strategy.ONE_FOR_ONE, (group,), RestartLimit(1, 100)), virtual_world()
            ) as system:
                address = system.directory["g/r"]
                async with trio.open_nursery() as helpers:
                    helpers.start_soon(resume_again_and_again, system)
                    async with trio.open_nursery() as nursery:
                        for sender, script in enumerate(plan.senders):
                            nursery.start_soon(write, sender, address, script, system)
                    await trio.sleep(3)
                    helpers.cancel_scope.cancel()
    except RestartLimitExceeded:
        pass
    assert address is not None
    assert system is not None
    check(address, books, system.dead_letters.recent())


def check(address: Address, books: Books, letters: tuple[Any, ...]) -> None:
    numbers = address.statistics()
    assert numbers.depth == numbers.senders_waiting == numbers.stashed == 0
    assert numbers.told == (
        numbers.handled + numbers.in_hand_at_crash + numbers.dropped + numbers.dead_lettered + numbers.withdrawn
    )
    assert numbers.handled == books.finished
    assert numbers.handled + numbers.in_hand_at_crash == len(books.begun)
    reasons = Counter(letter.reason for letter in letters if letter.to == "g/r")
    in_hand = reasons.pop(DeadLetterReason.CRASHED, 0) + reasons.pop(DeadLetterReason.KILLED, 0)
    assert in_hand == numbers.in_hand_at_crash
    assert sum(reasons.values()) == numbers.dead_lettered
    seen = Counter((letter.sender, letter.number) for letter in books.begun)
    assert max(seen.values(), default=1) == 1, "a message was delivered twice"
    by_sender: dict[tuple[int, bool], list[int]] = {}
    for letter in books.begun:
        if (letter.sender, letter.number) in books.stashed:
            continue
        # A conflated message moves up to the place of the one it replaces, so it has an order of its own.
        by_sender.setdefault((letter.sender, isinstance(letter, Conflated)), []).append(letter.number)
    for (_, conflated), order in by_sender.items():
        assert conflated or order == sorted(order)
    assert address._box.tombstones == 0
    assert all(lane.count == 0 for lane in address._box.lanes)


@given(plans)
@settings(max_examples=300)
def test_every_message_is_accounted_for_and_in_order(plan: Plan) -> None:
    trio.run(carry_out, plan, clock=MockClock(autojump_threshold=0))
