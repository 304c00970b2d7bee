"""A market replayed from a capture, with our own orders standing in its queues."""

from collections.abc import Iterator
from heapq import merge

from tbot_actors.exchange.market import Market, Match, Order, Side, WouldCross
from tbot_actors.exchange.tape import TapeRecord, TapeTrade
from tbot_actors.exchange.tape_book import LevelChange, TapeBook, TapeSide, rank
from tbot_actors.exchange.tape_queue import Drops, OwnSide, Resting, shares_of_trade

_LEVELS_WITH_DROPS_MAX = 2048


class TapeMarket(Market):
    """The tape's book with our orders overlaid by price-time priority; the tape does not react to us.

    **Our resting orders.** An order joins its price behind everything displayed there (`queue_ahead`). It moves up by

    - *trades of the tape at its price*: they consume the quantity ahead first, then our orders, first come first;
    - *trades at a worse price*: their taker would have met our better price first, so we fill, at our price, up to
      their quantity; what we leave goes on to the trade's own price;
    - *a level that falls below what is ahead of us*: queue_ahead = min(queue_ahead, level total). All else that leaves
      the level counts as cancelled *behind* us. An anonymous book does not tell which orders were cancelled, and this
      assumption errs to one side only: we fill later than at the venue, never sooner, so a strategy that lives off
      its place in the queue does not look better here than there;
    - *the tape's opposite quote at or through our price*: it would have met us, so we fill at our price up to its
      quantity, which is then taken.

    A trade arrives after the book ticker that shows its effect (the two streams are not ordered against each other).
    It is therefore first set against what left its level within the last LATE_TRADE_NS: an order that came after that
    drop does not count it, and an order whose queue the drop has already shortened does not count it again.

    **Our takers** match what is displayed, best first, at the maker's price, the tape's and our own orders by priority.
    What we took from a level stays taken for as long as the tape displays it: additions to the level are new, removals
    are first of what we took. So nothing displayed is filled twice, however often the tape states the level again.
    An order of the taker's own account expires instead of trading (EXPIRE_MAKER, Binance's default for BTCUSDT).

    `best()` and `levels()` show what is left of the tape plus our orders. Trades do not change the tape's totals: the
    book tickers and diffs that show them do.
    """

    def __init__(self) -> None:
        self.book = TapeBook()
        """The tape alone, without us; to read."""
        self._own = {side: OwnSide(side) for side in Side}
        self._resting: dict[int, Resting] = {}
        self._taken: dict[Side, dict[int, int]] = {side: {} for side in Side}
        self._drops: dict[tuple[Side, int], Drops] = {}
        self._drop_number = 0
        self._reported: dict[tuple[Side, int], int] = {}
        self._now_ns = 0

    def advance(self, record: TapeRecord) -> list[Match]:
        """Apply one record of the tape; the matches it causes, all with makers of ours and the anonymous taker (id 0).

        Raises TapeError when the book cannot be rebuilt from the tape.
        """
        self._now_ns = record.local_ns
        if isinstance(record, TapeTrade):
            return self._trade(record)
        changes = self.book.apply(record)
        for change in changes:
            self._level_changed(change)
        return self._meet_quotes() if changes and self._resting else []

    def submit(self, order: Order) -> list[Match]:
        """Match, then rest what is left of a GTC limit order.

        Raises WouldCross for a post-only order that would trade, and ValueError for an order no market may see:
        nothing left, no positive price, or an id that already rests.
        """
        if order.remaining <= 0 or (order.price is not None and order.price <= 0):
            raise ValueError(f"order {order.order_id} has {order.remaining} steps to trade at {order.price} ticks")
        if order.order_id in self._resting:
            raise ValueError(f"order {order.order_id} is already resting")
        against = order.side.opposite
        if order.post_only and self._reaches(order, self.best(against)):
            raise WouldCross(f"order {order.order_id} would match at once")
        matches: list[Match] = []
        if order.time_in_force != "FOK" or self._fillable(order):
            while order.remaining and (best := self.best(against)) is not None and self._reaches(order, best):
                matches += self._take_level(order, against, best[0])
        if order.remaining and order.time_in_force == "GTC" and order.price is not None:
            self._rest(order, order.price)
        return matches

    def cancel(self, order_id: int) -> Order | None:
        """Take a resting order out of the book; None when it is not resting."""
        resting = self._resting.get(order_id)
        if resting is None:
            return None
        self._remove(resting)
        return resting.order

    def levels(self, side: Side, limit: int) -> list[tuple[int, int]]:
        """At most `limit` levels as (price in ticks, total steps), best first."""
        found: list[tuple[int, int]] = []
        for price in self._prices(side):
            if len(found) >= limit:
                break
            found.append((price, self._total(side, price)))
        return found

    def best(self, side: Side) -> tuple[int, int] | None:
        """The best level of a side as (price in ticks, total steps), None when the side is empty."""
        price = next(self._prices(side), None)
        return None if price is None else (price, self._total(side, price))

    def take_changes(self) -> list[tuple[Side, int, int]]:
        """Levels whose total differs from that at the last call, with the total (0 = gone)."""
        changed = [
            (side, price, total)
            for (side, price), before in self._reported.items()
            if (total := self._total(side, price)) != before
        ]
        self._reported.clear()
        return changed

    def queue_ahead(self, order_id: int) -> int | None:
        """Steps of the tape that must trade before this resting order does; None when it is not resting."""
        resting = self._resting.get(order_id)
        return None if resting is None else resting.ahead

    # The tape moves.

    def _level_changed(self, change: LevelChange) -> None:
        side, price, before, after = change
        taken = self._taken[side].get(price, 0)
        self._note((side, price), before - taken)
        if after > before:
            return
        dropped = before - after
        if taken:
            self._set_taken(side, price, max(0, taken - dropped))
        self._drop_number += 1
        if (drops := self._drops.get((side, price))) is None:
            drops = self._new_drops(side, price)
        drops.add(self._now_ns, self._drop_number, dropped)
        displayed = self._displayed(side, price)
        for resting in self._own[side].queues.get(price, ()):
            if resting.ahead > displayed:
                resting.clamped.add(self._now_ns, self._drop_number, resting.ahead - displayed)
                resting.ahead = displayed

    def _new_drops(self, side: Side, price: int) -> Drops:
        if len(self._drops) >= _LEVELS_WITH_DROPS_MAX:
            for drops in self._drops.values():
                drops.forget(self._now_ns)
            self._drops = {level: drops for level, drops in self._drops.items() if drops}
            if len(self._drops) >= _LEVELS_WITH_DROPS_MAX:
                del self._drops[next(iter(self._drops))]
        drops = self._drops[side, price] = Drops()
        return drops

    def _trade(self, trade: TapeTrade) -> list[Match]:
        side = Side.BUY if trade.buyer_is_maker else Side.SELL
        drops = self._drops.get((side, trade.price))
        if drops is not None:
            drops.forget(self._now_ns)
        matches: list[Match] = []
        own = self._own[side]
        if own.ranks and own.ranks[-1] >= rank(side, trade.price):
            filled = 0
            for price in own.prices():
                if rank(side, price) <= rank(side, trade.price):
                    break
                filled += self._fill_through(side, price, trade, filled, matches)
            self._fill_in_queue(side, trade, filled, matches)
        if drops is not None:
            drops.account(trade.quantity)
        return matches

    def _fill_through(self, side: Side, price: int, trade: TapeTrade, given: int, matches: list[Match]) -> int:
        filled = 0
        drops = self._drops.get((side, trade.price))
        for resting in list(self._own[side].queues[price]):
            before_us = drops.sum(resting.since) if drops else 0
            share = min(resting.order.remaining, max(0, trade.quantity - before_us - given - filled))
            if share:
                matches.append(self._fill(resting, share))
                filled += share
        return filled

    def _fill_in_queue(self, side: Side, trade: TapeTrade, given: int, matches: list[Match]) -> None:
        queue = list(self._own[side].queues.get(trade.price, ()))
        drops = self._drops.get((side, trade.price))
        late: list[int] = []
        for resting in queue:
            before_us = min(trade.quantity, drops.sum(resting.since)) if drops else 0
            resting.clamped.forget(self._now_ns)
            late.append(before_us + resting.clamped.account(trade.quantity - before_us))
        for resting, share in zip(queue, shares_of_trade(queue, late, trade.quantity, given), strict=True):
            if share:
                matches.append(self._fill(resting, share))

    def _meet_quotes(self) -> list[Match]:
        matches: list[Match] = []
        for side, own in self._own.items():
            while (price := own.best()) is not None:
                quote = next(self._tape_prices(side.opposite), None)
                if quote is None or rank(side, quote) > rank(side, price):
                    break
                resting = own.queues[price][0]
                share = min(resting.order.remaining, self._displayed(side.opposite, quote))
                self._take(side.opposite, quote, share)
                matches.append(self._fill(resting, share))
        return matches

    def _fill(self, resting: Resting, steps: int) -> Match:
        order = resting.order
        self._reduce(resting, steps)
        return Match(order.order_id, 0, order.owner, "", resting.price, steps, order.side.opposite)

    def _reduce(self, resting: Resting, steps: int) -> None:
        self._note((resting.order.side, resting.price))
        resting.order.remaining -= steps
        if resting.order.remaining == 0:
            self._remove(resting)

    # We move.

    def _reaches(self, order: Order, level: tuple[int, int] | None) -> bool:
        if level is None:
            return False
        return order.price is None or rank(order.side, level[0]) <= rank(order.side, order.price)

    def _fillable(self, order: Order) -> bool:
        against = order.side.opposite
        needed = order.remaining
        for price in self._prices(against):
            if not self._reaches(order, (price, 0)):
                return False
            needed -= self._total(against, price)
            if order.owner:
                queue = self._own[against].queues.get(price, ())
                needed += sum(each.order.remaining for each in queue if each.order.owner == order.owner)
            if needed <= 0:
                return True
        return False

    def _take_level(self, order: Order, side: Side, price: int) -> list[Match]:
        matches: list[Match] = []
        taken = 0

        def take_tape(steps: int) -> None:
            nonlocal taken
            share = min(order.remaining, steps)
            if share <= 0:
                return
            taken += share
            order.remaining -= share
            self._take(side, price, share)
            matches.append(Match(0, order.order_id, "", order.owner, price, share, order.side))

        for resting in list(self._own[side].queues.get(price, ())):
            take_tape(resting.ahead - taken)
            resting.ahead = max(0, resting.ahead - taken)
            maker = resting.order
            if not order.remaining:
                continue
            if maker.owner and maker.owner == order.owner:
                maker.expired = True
                self._remove(resting)
                continue
            share = min(order.remaining, maker.remaining)
            order.remaining -= share
            self._reduce(resting, share)
            matches.append(Match(maker.order_id, order.order_id, maker.owner, order.owner, price, share, order.side))
        take_tape(self._displayed(side, price))
        return matches

    def _rest(self, order: Order, price: int) -> None:
        self._note((order.side, price))
        resting = Resting(order, price, ahead=self._displayed(order.side, price), since=self._drop_number + 1)
        self._own[order.side].add(resting)
        self._resting[order.order_id] = resting

    def _remove(self, resting: Resting) -> None:
        self._note((resting.order.side, resting.price))
        self._own[resting.order.side].remove(resting)
        del self._resting[resting.order.order_id]

    # What is displayed.

    def _take(self, side: Side, price: int, steps: int) -> None:
        self._note((side, price))
        self._set_taken(side, price, self._taken[side].get(price, 0) + steps)

    def _set_taken(self, side: Side, price: int, steps: int) -> None:
        if steps:
            self._taken[side][price] = steps
        else:
            self._taken[side].pop(price, None)

    def _displayed(self, side: Side, price: int) -> int:
        return self.book.side(side).totals.get(price, 0) - self._taken[side].get(price, 0)

    def _total(self, side: Side, price: int) -> int:
        return self._displayed(side, price) + self._own[side].total(price)

    def _note(self, level: tuple[Side, int], displayed: int | None = None) -> None:
        if level not in self._reported:
            side, price = level
            before = self._displayed(side, price) if displayed is None else displayed
            self._reported[level] = before + self._own[side].total(price)

    def _tape_prices(self, side: Side) -> Iterator[int]:
        tape: TapeSide = self.book.side(side)
        for at in reversed(tape.ranks):
            price = rank(side, at)
            if self._displayed(side, price) > 0:
                yield price

    def _prices(self, side: Side) -> Iterator[int]:
        own = self._own[side]
        if not own.ranks:
            yield from self._tape_prices(side)
            return
        last: int | None = None
        for price in merge(self._tape_prices(side), own.prices(), key=lambda price: -rank(side, price)):
            if price != last:
                yield price
            last = price
