"""The mailbox: two lanes, one policy per class of message, and counters that add up.

It belongs to the address and survives incarnations. Always:
told = handled + in hand at a crash + dropped + dead-lettered + withdrawn + waiting.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Mapping
from itertools import count
from typing import TYPE_CHECKING, Any

import trio
from attrs import frozen

from tbot_actors.kernel.actor import Handler, Handling
from tbot_actors.kernel.current import SENDER
from tbot_actors.kernel.dead_letters import DeadLetter, DeadLetterReason, DeadLetters
from tbot_actors.kernel.errors import ActorDown, AskTimeout, MailboxFull, NotHandled, Stopped
from tbot_actors.kernel.notices import Exit, ExitReason

if TYPE_CHECKING:
    from tbot_actors.kernel.cell import Cell

NOTICES_MAX = 4096
"""Notices waiting in one control lane; one more is a dead letter."""
_TOMBSTONES_MIN = 64

Envelope = tuple[Any, "Cell | None", int]
"""Message or Slot, sender, monotonic nanoseconds when it was told. A tuple: an object would double a tell's cost."""


class WaitingSend:
    """A producer that waits for a place."""

    __slots__ = ("ended", "message", "sender", "taken")

    def __init__(self, message: Any, sender: Cell | None) -> None:
        self.message = message
        self.sender = sender
        self.taken = False
        self.ended = trio.Event()


class Lane:
    """A bound shared by one or more BLOCK and REJECT classes, and the producers who wait for a place in it."""

    __slots__ = ("count", "room", "waiting")

    def __init__(self, room: int) -> None:
        self.room = room
        self.count = 0
        self.waiting: deque[WaitingSend] | None = None
        """None until somebody has to wait."""


class Rule:
    """How one mailbox takes in and hands out one class of message."""

    __slots__ = ("handler", "key", "kind", "lane", "message_type", "places")

    def __init__(self, handling: Handling, lane: Lane) -> None:
        self.message_type = handling.message_type
        self.handler: Handler = handling.handler
        self.kind = handling.policy.kind
        self.lane = lane
        self.key: Callable[[Any], Hashable] | None = handling.policy.key
        self.places: dict[Hashable, Droppable] | None = {} if handling.policy.droppable else None


class Slot:
    """A place in the user lane whose content can change, or vanish, while it waits."""

    __slots__ = ("live", "message", "rule")

    def __init__(self, message: Any, rule: Rule) -> None:
        self.message = message
        self.rule = rule
        self.live = True

    def leave(self, box: Mailbox) -> None:
        """Give up whatever bound the place counted against."""


class Droppable(Slot):
    """The place of a DROP_OLDEST or CONFLATE message."""

    __slots__ = ("key",)

    def __init__(self, message: Any, rule: Rule, key: Hashable) -> None:
        super().__init__(message, rule)
        self.key = key

    def leave(self, box: Mailbox) -> None:
        assert self.rule.places is not None
        del self.rule.places[self.key]


class Ask(Slot):
    """A question, and where its answer goes."""

    __slots__ = ("_box", "done", "error", "queued", "settled", "timeout_s", "value")

    def __init__(self, message: Any, rule: Rule, box: Mailbox, timeout_s: float) -> None:
        super().__init__(message, rule)
        self.timeout_s = timeout_s
        self.queued = True
        self.settled = False
        self.done = trio.Event()
        self.value: Any = None
        self.error: BaseException | None = None
        self._box = box

    def leave(self, box: Mailbox) -> None:
        self.queued = False
        box.release(self.rule.lane)

    def answer(self, value: Any) -> None:
        """Give the reply to the asker, if it still waits."""
        if not self.settled:
            self.settled = True
            self.value = value
            self.done.set()

    def fail(self, error: BaseException) -> None:
        """Tell the asker, if it still waits, that there will be no reply."""
        if not self.settled:
            self.settled = True
            self.error = error
            self.done.set()

    def expire(self) -> None:
        """The time is up: withdraw it if it is still queued, then tell the asker."""
        in_hand = not self.queued
        if self.queued:
            self._box.withdraw(self)
        self.fail(AskTimeout(self._box.path, type(self.message), self.timeout_s, in_hand=in_hand))

    def abandon(self) -> None:
        """Nobody waits any more."""
        self.settled = True
        if self.queued:
            self._box.withdraw(self)


@frozen
class MailboxStatistics:
    """A mailbox in numbers, since the address exists."""

    depth: int
    """Messages waiting, both lanes."""
    high_water: int
    """Most messages that ever waited in the user lane."""
    told: int
    """Messages taken in, by tell, send, ask, timers and notices."""
    handled: int
    in_hand_at_crash: int
    """Lost with their incarnation; each is a dead letter too."""
    dropped: int
    """Replaced by policy."""
    dead_lettered: int
    """Not handled for another reason than a crash."""
    withdrawn: int
    """Asks given up, and timers cancelled, while still queued."""
    refused: int
    """Never taken in: the sender got MailboxFull."""
    senders_waiting: int
    oldest_waiting_ns: int
    """Age of the oldest waiting message of the user lane; 0 when empty."""


class Mailbox:
    """See the module. All methods are synchronous but `wait` and `wait_for_room`."""

    __slots__ = (
        "_barred",
        "_bars_all",
        "_dead_letters",
        "_keys",
        "_lanes",
        "all_rules",
        "closed",
        "control",
        "dead_lettered",
        "dropped",
        "handled",
        "high_water",
        "in_hand_at_crash",
        "now_ns",
        "path",
        "refused",
        "rules",
        "told",
        "tombstones",
        "user",
        "wake_event",
        "withdrawn",
    )

    def __init__(
        self,
        path: str,
        handlers: Mapping[type, Handling],
        capacity: int,
        now_ns: Callable[[], int],
        dead_letters: DeadLetters,
    ) -> None:
        self.path = path
        self.now_ns = now_ns
        self.user: deque[Envelope] = deque()
        self.control: deque[Any] = deque()
        self.closed = False
        self.told = 0
        self.handled = 0
        self.in_hand_at_crash = 0
        self.dropped = 0
        self.dead_lettered = 0
        self.withdrawn = 0
        self.refused = 0
        self.high_water = 0
        self.tombstones = 0
        shared = Lane(capacity)
        self._lanes = [shared]
        self.all_rules: dict[type, Rule] = {}
        for message_type, handling in handlers.items():
            lane = shared
            if handling.policy.droppable or handling.room is not None:
                lane = Lane(handling.room or capacity)
                self._lanes.append(lane)
            self.all_rules[message_type] = Rule(handling, lane)
        self.rules = self.all_rules
        """Empty while closed, so that the fast path of `tell` needs no check of its own."""
        self._barred: frozenset[Cell] = frozenset()
        self._bars_all = False
        self.wake_event: trio.Event | None = None
        """Exists only while the actor waits on empty lanes."""
        self._keys = count()
        self._dead_letters = dead_letters

    def append(self, envelope: Envelope) -> None:
        """Put into the user lane what has a place there, and wake the actor."""
        user = self.user
        user.append(envelope)
        self.told += 1
        depth = len(user) - self.tombstones
        if depth > self.high_water:
            self.high_water = depth
        self.wake()

    def put_droppable(self, rule: Rule, message: Any) -> None:
        """Take in a DROP_OLDEST or CONFLATE message; there is always room, at the expense of its own class."""
        places = rule.places
        assert places is not None
        key = next(self._keys) if rule.key is None else rule.key(message)
        place = places.get(key)
        if place is not None:
            place.message = message
            self.told += 1
            self.dropped += 1
            return
        if len(places) >= rule.lane.room:
            self.dropped += 1
            self._bury(places[next(iter(places))])
        place = places[key] = Droppable(message, rule, key)
        self.append((place, SENDER.get(), self.now_ns()))

    def put_ask(self, message: Any, timeout_s: float) -> Ask:
        """Take in a question. Raises MailboxFull, NotHandled, ActorDown, or TypeError for a droppable class."""
        rule = self.rules.get(type(message))
        if rule is None:
            self.refuse(message)
            if self.closed:
                raise ActorDown(self.path, ExitReason.STOPPED)
            raise NotHandled(self.path, type(message))
        if rule.places is not None:
            raise TypeError(f"{type(message).__name__} may be dropped by {self.path}, so it cannot be asked")
        lane = rule.lane
        if lane.count >= lane.room:
            raise self.full(rule)
        lane.count += 1
        ask = Ask(message, rule, self, timeout_s)
        self.append((ask, SENDER.get(), self.now_ns()))
        return ask

    def put_control(self, message: Any, *, after: Cell | None = None) -> None:
        """Put a notice where it is served next, or behind the last waiting message from `after`."""
        rule = self.rules.get(type(message))
        if rule is None:
            return
        self.told += 1
        if len(self.control) >= NOTICES_MAX:
            self._dead(message, DeadLetterReason.FULL)
            return
        behind = self._last_place_of(after) if after is not None else None
        if behind is None:
            self.control.append(message)
        else:
            self.user.insert(behind + 1, (Slot(message, rule), None, self.now_ns()))
        self.wake()

    def put_order(self, order: Any, *, first: bool = False) -> None:
        """Put an order of the supervisor into the control lane; not a message, so not counted."""
        if first:
            self.control.appendleft(order)
        else:
            self.control.append(order)
        self.wake()

    def forget_orders(self, orders: tuple[Any, ...]) -> None:
        """Orders that were meant for an incarnation which has ended."""
        kept = [item for item in self.control if not any(item is order for order in orders)]
        self.control.clear()
        self.control.extend(kept)

    def refuse(self, message: Any) -> None:
        """A message that nobody here will ever handle."""
        self.told += 1
        self._dead(message, DeadLetterReason.GONE if self.closed else DeadLetterReason.UNHANDLED)

    def full(self, rule: Rule) -> MailboxFull:
        """Count a refusal and return its exception."""
        self.refused += 1
        return MailboxFull(self.path, rule.message_type, rule.lane.room)

    def wake(self) -> None:
        """Let the actor look at its lanes."""
        if self.wake_event is not None:
            self.wake_event.set()
            self.wake_event = None

    async def wait(self) -> None:
        """Wait until there may be something in one of the lanes; only when both are empty."""
        self.wake_event = trio.Event()
        await self.wake_event.wait()

    async def wait_for_room(self, rule: Rule, message: Any) -> None:
        """Wait until the message has been taken in. Raises Stopped when the actor is stopped first."""
        sender = SENDER.get()
        if self._bars_all or (sender is not None and sender in self._barred):
            raise Stopped(self.path)
        waiting = WaitingSend(message, sender)
        queue = rule.lane.waiting
        if queue is None:
            queue = rule.lane.waiting = deque()
        queue.append(waiting)
        try:
            await waiting.ended.wait()
        except trio.Cancelled:
            queue.remove(waiting)
            raise
        if not waiting.taken:
            raise Stopped(self.path)

    def release(self, lane: Lane) -> None:
        """A place of this lane is free: the producer who waits longest gets it, with its message."""
        if not lane.waiting:
            lane.count -= 1
            return
        waiting = lane.waiting.popleft()
        waiting.taken = True
        waiting.ended.set()
        self.append((waiting.message, waiting.sender, self.now_ns()))

    def withdraw(self, slot: Slot) -> None:
        """Take a waiting slot back."""
        self.withdrawn += 1
        self._bury(slot)

    def bar(self, senders: frozenset[Cell] | None) -> None:
        """The actor is being stopped: `send`s of these actors (None: anybody) that wait for room end with Stopped."""
        if senders is None:
            self._bars_all = True
        else:
            self._barred = senders
        for lane in self._lanes:
            for waiting in list(lane.waiting or ()):
                if lane.waiting is not None and (self._bars_all or waiting.sender in self._barred):
                    lane.waiting.remove(waiting)
                    waiting.ended.set()

    def reopen(self) -> None:
        """A new incarnation will serve it."""
        self.rules = self.all_rules
        self.closed = False
        self._bars_all = False
        self._barred = frozenset()

    def close(self) -> None:
        """Nobody will serve it any more: what waits becomes dead letters, what comes too."""
        self.rules = {}
        self.closed = True
        self.bar(None)
        waiting, self.tombstones = list(self.user), 0
        self.user.clear()
        orders, notices = [], list(self.control)
        self.control.clear()
        for item, _, _ in waiting:
            self._discard(item, DeadLetterReason.GONE)
        for notice in notices:
            if type(notice) in self.all_rules:
                self._dead(notice, DeadLetterReason.GONE)
            else:
                orders.append(notice)
        self.control.extend(orders)

    def purge(self, senders: frozenset[Cell]) -> None:
        """Dead-letter what these actors sent: their group is restarted, and their mail belongs to its former life."""
        doomed = [envelope[0] for envelope in self.user if envelope[1] in senders]
        if not doomed:
            return
        kept = [envelope for envelope in self.user if envelope[1] not in senders]
        self.tombstones -= sum(1 for item in doomed if isinstance(item, Slot) and not item.live)
        self.user.clear()
        self.user.extend(kept)
        for item in doomed:
            self._discard(item, DeadLetterReason.GROUP_RESTART)

    def lose_in_hand(self, item: Any, reason: DeadLetterReason, exit: Exit) -> None:
        """The incarnation died with this message in hand: it is not redelivered."""
        self.in_hand_at_crash += 1
        message = item
        if isinstance(item, Slot):
            message = item.message
            if isinstance(item, Ask):
                item.fail(ActorDown(self.path, exit.reason, exit.error))
        self._dead_letters.add(DeadLetter(message, self.path, reason, exit.error))

    def statistics(self) -> MailboxStatistics:
        """The counters now."""
        oldest_ns = next((stamp for item, _, stamp in self.user if not isinstance(item, Slot) or item.live), None)
        return MailboxStatistics(
            depth=self.depth,
            high_water=self.high_water,
            told=self.told,
            handled=self.handled,
            in_hand_at_crash=self.in_hand_at_crash,
            dropped=self.dropped,
            dead_lettered=self.dead_lettered,
            withdrawn=self.withdrawn,
            refused=self.refused,
            senders_waiting=sum(len(lane.waiting or ()) for lane in self._lanes),
            oldest_waiting_ns=0 if oldest_ns is None else max(0, self.now_ns() - oldest_ns),
        )

    @property
    def depth(self) -> int:
        """Messages waiting, both lanes."""
        notices = sum(1 for item in self.control if type(item) in self.all_rules)
        return len(self.user) - self.tombstones + notices

    def _last_place_of(self, sender: Cell) -> int | None:
        for index in range(len(self.user) - 1, -1, -1):
            if self.user[index][1] is sender:
                return index
        return None

    def _bury(self, slot: Slot) -> None:
        slot.live = False
        self.tombstones += 1
        slot.leave(self)
        if self.tombstones > _TOMBSTONES_MIN and self.tombstones > len(self.user) // 2:
            kept = [entry for entry in self.user if not isinstance(entry[0], Slot) or entry[0].live]
            self.user.clear()
            self.user.extend(kept)
            self.tombstones = 0

    def _discard(self, item: Any, reason: DeadLetterReason) -> None:
        if not isinstance(item, Slot):
            self.release(self.all_rules[type(item)].lane)
            self._dead(item, reason)
        elif item.live:
            item.live = False
            item.leave(self)
            if isinstance(item, Ask):
                item.fail(ActorDown(self.path, ExitReason.STOPPED))
            self._dead(item.message, reason)

    def _dead(self, message: Any, reason: DeadLetterReason) -> None:
        self.dead_lettered += 1
        self._dead_letters.add(DeadLetter(message, self.path, reason, None))


