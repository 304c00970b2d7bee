"""The mailbox: two lanes, one policy per class of message, and counters that add up.

It belongs to the address and survives incarnations. Always:
told = handled + in hand at a crash + dropped + dead-lettered + withdrawn + waiting (what is stashed waits, too).
"""

from __future__ import annotations

from collections import deque
from itertools import chain
from typing import TYPE_CHECKING, Any

import trio
from attrs import frozen

from tbot_actors.kernel.actor import Actor, Handling
from tbot_actors.kernel.control import ShowOrder
from tbot_actors.kernel.current import SENDER
from tbot_actors.kernel.dead_letters import DeadLetter, DeadLetterReason
from tbot_actors.kernel.errors import ActorDown, MailboxFull, NotHandled, Stopped
from tbot_actors.kernel.notices import DepthAlarm, Exit, ExitReason
from tbot_actors.kernel.places import Ask, Droppable, Lane, Notice, Slot, WaitingSend

if TYPE_CHECKING:
    from tbot_actors.kernel.cell import Cell
    from tbot_actors.kernel.node import House

NOTICES_MAX = 4096
"""Notices waiting in one control lane; one more is a dead letter."""
_TOMBSTONES_MIN = 64

Envelope = tuple[Any, "Cell | None", int]
"""Message or Slot, sender, monotonic nanoseconds when it was told. A tuple: an object would double a tell's cost."""


class Pulse:
    """Counts how often anybody in the system was woken: a busy actor sees by it that others want to run."""

    __slots__ = ("wakes",)

    def __init__(self) -> None:
        self.wakes = 0


@frozen
class MailboxStatistics:
    """A mailbox in numbers, since the address exists."""

    depth: int
    """Messages waiting: both lanes, and the stash."""
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
    stashed: int
    """Of those waiting: set aside by the actor itself."""
    senders_waiting: int
    oldest_waiting_ns: int
    """Age of the oldest waiting message of the user lane; 0 when empty."""


class Mailbox:
    """See the module. All methods are synchronous but `wait_for_room`."""

    __slots__ = (
        "_barred",
        "_bars_all",
        "_house",
        "_keys",
        "alarm_depth",
        "alarmed",
        "all_rules",
        "closed",
        "control",
        "dead_lettered",
        "dropped",
        "handled",
        "high_water",
        "in_hand_at_crash",
        "lanes",
        "noted_depth",
        "now_ns",
        "path",
        "pulse",
        "refused",
        "rules",
        "stash",
        "told",
        "tombstones",
        "user",
        "wake_event",
        "withdrawn",
    )

    def __init__(self, path: str, actor: type[Actor], house: House) -> None:
        self.path = path
        self.now_ns = house.world.clock.monotonic_ns
        self.user: deque[Envelope] = deque()
        self.control: deque[Any] = deque()
        self.stash: deque[Envelope] | None = None
        """What the actor has set aside, in order; None until it does."""
        self.closed = False
        self.told = 0
        self.handled = 0
        self.in_hand_at_crash = 0
        self.dropped = 0
        self.dead_lettered = 0
        self.withdrawn = 0
        self.refused = 0
        self.high_water = 0
        self.alarm_depth = actor.alarm_depth or max(1, actor.capacity * 3 // 4)
        self.alarmed = False
        self.noted_depth = 0
        """A greater depth is news: a new high-water mark, or an alarm. One comparison in `tell` serves both."""
        self.tombstones = 0
        self.lanes = [Lane(spec.room, droppable=spec.droppable) for spec in actor.lanes]
        self.all_rules = actor.handlers
        self.rules = actor.handlers
        """Empty while closed, so that the fast path of `tell` needs no check of its own."""
        self._barred: frozenset[Cell] = frozenset()
        self._bars_all = False
        self.wake_event: trio.Event | None = None
        """Exists only while the actor waits on empty lanes."""
        self._keys = 0
        self.pulse = house.pulse
        self._house = house

    def append(self, envelope: Envelope) -> None:
        """Put into the user lane what has a place there, and wake the actor."""
        user = self.user
        user.append(envelope)
        self.told += 1
        depth = len(user) - self.tombstones
        if depth > self.noted_depth:
            self.note(depth)
        self.wake()

    def note(self, depth: int) -> None:
        """The user lane is deeper than `noted_depth`."""
        self.high_water = max(self.high_water, depth)
        if not self.alarmed and depth >= self.alarm_depth:
            self.alarmed = True
            self._house.notify(DepthAlarm(self.path, depth, raised=True))
        self.noted_depth = self.high_water if self.alarmed else min(self.high_water, self.alarm_depth - 1)

    def calm(self) -> None:
        """End the alarm if the user lane has fallen to half of what raised it."""
        depth = len(self.user) - self.tombstones
        if self.alarmed and depth <= self.alarm_depth // 2:
            self.alarmed = False
            self.noted_depth = min(self.high_water, self.alarm_depth - 1)
            self._house.notify(DepthAlarm(self.path, depth, raised=False))

    def put_droppable(self, rule: Handling, lane: Lane, message: Any) -> None:
        """Take in a DROP_OLDEST or CONFLATE message; there is always room, at the expense of its own class."""
        places, of = lane.places, rule.policy.key
        assert places is not None
        if of is None:
            self._keys += 1
        key = self._keys if of is None else of(message)
        place = places.get(key)
        if place is not None:
            place.message = message
            self.told += 1
            self.dropped += 1
            return
        if len(places) >= lane.room:
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
        lane = self.lanes[rule.lane]
        if lane.places is not None:
            raise TypeError(f"{type(message).__name__} may be dropped by {self.path}, so it cannot be asked")
        if lane.count >= lane.room:
            raise self.full(message, lane)
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
        if after is None or behind is None:
            self.control.append(message)
        else:
            self.user.insert(behind + 1, (Notice(message, rule, after), None, self.now_ns()))
        self.wake()

    def put_order(self, order: Any, *, first: bool = False) -> None:
        """Put an order of the supervisor into the control lane; not a message, so not counted."""
        if first:
            self.control.appendleft(order)
        else:
            self.control.append(order)
        self.wake()

    def next_order(self) -> Any:
        """Take the next order out of the control lane, past the notices; None when there is none."""
        for index, item in enumerate(self.control):
            if type(item) not in self.all_rules:
                del self.control[index]
                return item
        return None

    def forget_orders(self, orders: tuple[Any, ...]) -> None:
        """Orders that were meant for an incarnation which has ended."""
        if not self.control:
            return
        kept = [item for item in self.control if not any(item is order for order in orders)]
        self.control.clear()
        self.control.extend(kept)

    def refuse(self, message: Any) -> None:
        """A message that nobody here will ever handle."""
        self.told += 1
        self._dead(message, DeadLetterReason.GONE if self.closed else DeadLetterReason.UNHANDLED)

    def full(self, message: Any, lane: Lane) -> MailboxFull:
        """Count a refusal and return its exception."""
        self.refused += 1
        return MailboxFull(self.path, type(message), lane.room)

    def wake(self) -> None:
        """Let the actor look at its lanes."""
        if self.wake_event is not None:
            self.pulse.wakes += 1
            self.wake_event.set()
            self.wake_event = None

    def waking(self) -> trio.Event:
        """Wait for it where both lanes are empty: it is set when there may be something in one of them."""
        self.wake_event = trio.Event()
        return self.wake_event

    async def wait_for_room(self, lane: Lane, message: Any) -> None:
        """Wait until the message has been taken in. Raises Stopped when the actor is stopped first."""
        sender = SENDER.get()
        if self._bars_all or (sender is not None and sender in self._barred):
            raise Stopped(self.path)
        waiting = WaitingSend(message, sender)
        queue = lane.waiting
        if queue is None:
            queue = lane.waiting = deque()
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
        for index, envelope in enumerate(self.stash or ()):
            if envelope[0] is slot and self.stash is not None:
                del self.stash[index]
                return
        self._bury(slot)

    def check_stash(self, envelope: Envelope, room: int) -> None:
        """Whether it can be stashed. Raises MailboxFull, or TypeError for a droppable class."""
        message = _message(envelope)
        if self.lanes[self.all_rules[type(message)].lane].places is not None:
            raise TypeError(f"{type(message).__name__} may be dropped by {self.path}, so it cannot be stashed")
        if len(self.stash or ()) >= room:
            raise MailboxFull(self.path, type(message), room)

    def set_aside(self, envelope: Envelope) -> None:
        """Stash what was in hand."""
        if self.stash is None:
            self.stash = deque()
        item = envelope[0]
        if isinstance(item, Ask):
            item.queued = True
        else:
            envelope = (_message(envelope), envelope[1], envelope[2])
        self.stash.append(envelope)

    def take_back(self) -> None:
        """Put the stash in front of the user lane: its messages came first. They may exceed its bound for a while."""
        while self.stash:
            envelope = self.stash.pop()
            item = envelope[0]
            rule = item.rule if isinstance(item, Slot) else self.all_rules[type(item)]
            self.lanes[rule.lane].count += 1
            self.user.appendleft(envelope)

    def bar(self, senders: frozenset[Cell] | None) -> None:
        """The actor is being stopped: `send`s of these actors (None: anybody) that wait for room end with Stopped."""
        if senders is None:
            self._bars_all = True
        else:
            self._barred = senders
        for lane in self.lanes:
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
        self._discard_stash(None, DeadLetterReason.GONE)
        for notice in notices:
            if type(notice) in self.all_rules:
                self._dead(notice, DeadLetterReason.GONE)
            elif isinstance(notice, ShowOrder):
                notice.fail(ActorDown(self.path, ExitReason.STOPPED))
            else:
                orders.append(notice)
        self.control.extend(orders)
        self.calm()

    def purge(self, senders: frozenset[Cell]) -> None:
        """Dead-letter what these actors sent: their group is restarted, and their mail belongs to its former life."""
        self._discard_stash(senders, DeadLetterReason.GROUP_RESTART)
        doomed = [envelope[0] for envelope in self.user if envelope[1] in senders]
        if not doomed:
            return
        kept = [envelope for envelope in self.user if envelope[1] not in senders]
        self.tombstones -= sum(1 for item in doomed if isinstance(item, Slot) and not item.live)
        self.user.clear()
        self.user.extend(kept)
        for item in doomed:
            self._discard(item, DeadLetterReason.GROUP_RESTART)

    def lose_in_hand(self, envelope: Envelope, reason: DeadLetterReason, exit: Exit) -> None:
        """The incarnation died with this message in hand: it is not redelivered."""
        self.in_hand_at_crash += 1
        item = envelope[0]
        if isinstance(item, Ask):
            item.fail(ActorDown(self.path, exit.reason, exit.error))
        self._house.dead_letters.add(DeadLetter(_message(envelope), self.path, reason, exit.error))

    def statistics(self) -> MailboxStatistics:
        """The counters now."""
        waiting = chain(self.stash or (), self.user)
        oldest_ns = next((stamp for item, _, stamp in waiting if not isinstance(item, Slot) or item.live), None)
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
            stashed=len(self.stash or ()),
            senders_waiting=sum(len(lane.waiting or ()) for lane in self.lanes),
            oldest_waiting_ns=0 if oldest_ns is None else max(0, self.now_ns() - oldest_ns),
        )

    @property
    def depth(self) -> int:
        """Messages waiting: both lanes, and the stash."""
        notices = sum(1 for item in self.control if type(item) in self.all_rules)
        return len(self.user) - self.tombstones + notices + len(self.stash or ())

    def _last_place_of(self, sender: Cell) -> int | None:
        for index in range(len(self.user) - 1, -1, -1):
            item, of, _ = self.user[index]
            if of is sender or (isinstance(item, Notice) and item.about is sender):
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
            self.release(self.lanes[self.all_rules[type(item)].lane])
            self._dead(item, reason)
        elif item.live:
            item.live = False
            item.leave(self)
            if isinstance(item, Ask):
                item.fail(ActorDown(self.path, ExitReason.STOPPED))
            self._dead(item.message, reason)

    def _discard_stash(self, senders: frozenset[Cell] | None, reason: DeadLetterReason) -> None:
        """Dead-letter what these actors (None: all) sent of the stash; it counts against no lane."""
        kept: deque[Envelope] = deque()
        for envelope in self.stash or ():
            item = envelope[0]
            if senders is not None and envelope[1] not in senders:
                kept.append(envelope)
            elif isinstance(item, Ask):
                item.queued = False
                item.fail(ActorDown(self.path, ExitReason.STOPPED))
                self._dead(item.message, reason)
            else:
                self._dead(item, reason)
        self.stash = kept or None

    def _dead(self, message: Any, reason: DeadLetterReason) -> None:
        self.dead_lettered += 1
        self._house.dead_letters.add(DeadLetter(message, self.path, reason, None))


def _message(envelope: Envelope) -> Any:
    item = envelope[0]
    return item.message if isinstance(item, Slot) else item
