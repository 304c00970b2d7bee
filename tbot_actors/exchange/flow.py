"""Seeded life for a market: makers quoting a ladder around a fair price, and takers trading against it.

The fair price is base × (1 + x), where x, in basis points, is pulled back to 0 (Ornstein-Uhlenbeck: dx =
(drift − x / reversion) dt + volatility dW) and drifts in trends that change sign and strength at random times.
Makers follow it one touch at a time; most of their touch is one tick wide, as on BTCUSDT. Events come at
exponential intervals from one stream of entropy, so what happens depends on the seed, the market and the
orders in it, never on how often `advance` is called.
"""

from math import sqrt

from attrs import field, frozen, validators

from tbot_actors.exchange.market import Market, Match, Order, Side, TimeInForce
from tbot_actors.world import Random

_SECOND_NS = 1_000_000_000
_BP = 10_000

_positive = validators.gt(0)
_positive_float = validators.gt(0.0)


@frozen(kw_only=True)
class FlowSettings:
    """How lively the market is. Sizes in steps, prices in ticks; defaults resemble BTCUSDT (tick 0.01, step 1e-5)."""

    base: int = field(default=6_170_000, validator=_positive)
    """Fair price at x = 0, in ticks."""
    trades_per_s: float = field(default=8.0, validator=_positive_float)
    """Noise trades, besides those that come with a move of the price."""
    quotes_per_s: float = field(default=25.0, validator=_positive_float)
    """Times a second the makers look at their quotes."""
    levels: int = field(default=20, validator=_positive)
    """Levels quoted on each side."""
    trade_mean: int = field(default=2_200, validator=_positive)
    trade_spread: float = field(default=2.5, validator=validators.ge(0.0))
    """Sigma of the logarithm of a trade's size: the median is far below the mean."""
    touch_mean: int = field(default=170_000, validator=_positive)
    depth_mean: int = field(default=15_000, validator=_positive)
    gap_mean: int = field(default=60, validator=_positive)
    """Mean distance between levels behind the touch, in ticks."""
    move: int = field(default=300, validator=_positive)
    """The touch follows once the fair price is this far away, in ticks."""
    volatility_bp: float = field(default=1.0, validator=validators.ge(0.0))
    """Basis points per square root of a second."""
    reversion_s: float = field(default=90.0, validator=_positive_float)
    trend_bp: tuple[float, float] = (10.0, 30.0)
    """A trend moves the fair price by an amount drawn from this range …"""
    trend_s: tuple[float, float] = (10.0, 20.0)
    """… over a time drawn from this one."""
    persistence: float = field(default=0.7, validator=[validators.ge(0.0), validators.le(1.0)])
    """Chance that a taker trades the same way as the one before."""
    slippage_bp: float = field(default=20.0, validator=_positive_float)
    """How far through the book a taker goes at most."""


class Flow:
    """Drives one market with orders of owner "" and negative ids; quotes both sides from the start."""

    def __init__(self, random: Random, market: Market, *, start_ns: int, settings: FlowSettings | None = None) -> None:
        self._random = random
        self._market = market
        self._settings = settings or FlowSettings()
        self._order_id = 0
        self._quotes: dict[Side, dict[int, Order]] = {Side.BUY: {}, Side.SELL: {}}
        self._bp = 0.0
        self._drift_bp_s = 0.0
        self._trend_end_ns = start_ns
        self._taker = Side.BUY
        self._now_ns = start_ns
        self._next_ns = start_ns
        self._bid = self._settings.base
        self._quote(self._bid)
        self._market.take_changes()
        self._schedule()

    @property
    def fair(self) -> float:
        """The fair price the makers follow, in ticks."""
        return self._settings.base * (1 + self._bp / _BP)

    @property
    def next_ns(self) -> int:
        """When the next event is due."""
        return self._next_ns

    def advance(self, now_ns: int, *, events_max: int = 2_000) -> list[Match]:
        """Let everything due by `now_ns` happen, at most `events_max` events; the rest waits for the next call.

        Returns the matches in order, those against customers' orders among them.
        """
        matches: list[Match] = []
        for _ in range(events_max):
            if self._next_ns > now_ns:
                break
            elapsed_s = (self._next_ns - self._now_ns) / _SECOND_NS
            self._now_ns = self._next_ns
            self._wander(elapsed_s)
            settings = self._settings
            if self._random.random() * (settings.trades_per_s + settings.quotes_per_s) < settings.trades_per_s:
                matches += self._trade(self._side())
            else:
                matches += self._requote()
            self._schedule()
        return matches

    def _schedule(self) -> None:
        rate = self._settings.trades_per_s + self._settings.quotes_per_s
        # at least one nanosecond, so that time moves on
        self._next_ns += 1 + int(self._random.expovariate(rate) * _SECOND_NS)

    def _wander(self, elapsed_s: float) -> None:
        settings = self._settings
        if self._now_ns >= self._trend_end_ns:
            lasting_s = self._random.uniform(*settings.trend_s)
            sign = -1 if self._random.random() < (0.75 if self._bp > 0 else 0.25) else 1
            self._drift_bp_s = sign * self._random.uniform(*settings.trend_bp) / lasting_s
            self._trend_end_ns = self._now_ns + int(lasting_s * _SECOND_NS)
        pull = self._bp / settings.reversion_s
        noise = settings.volatility_bp * sqrt(elapsed_s) * self._random.gauss(0.0, 1.0)
        self._bp += (self._drift_bp_s - pull) * elapsed_s + noise

    def _side(self) -> Side:
        if self._random.random() >= self._settings.persistence:
            self._taker = Side.BUY if self._random.random() < 0.5 else Side.SELL
        return self._taker

    def _trade(self, side: Side) -> list[Match]:
        """A taker's order: immediate or cancel, at most half of what is shown, `slippage_bp` through the book."""
        settings = self._settings
        levels = self._market.levels(side.opposite, settings.levels)
        shown = sum(steps for _, steps in levels)
        if shown < 2:
            return []
        touch = levels[0][0]
        reach = int(touch * settings.slippage_bp / _BP)
        price = touch + reach if side is Side.BUY else touch - reach
        # the largest sizes of a log-normal would empty the book, which no real taker finds that thin
        steps = min(self._size(settings.trade_mean, settings.trade_spread), shown // 2)
        return self._market.submit(self._order(side, price, steps, "IOC"))

    def _requote(self) -> list[Match]:
        """Follow the fair price when it is far from the touch; otherwise repair or refresh one level."""
        fair = int(self.fair)
        if abs(fair - self._bid) <= self._settings.move:
            return self._quote(self._bid) or self._refresh()
        side = Side.BUY if fair > self._bid else Side.SELL
        # somebody who knows takes what is left at the old touch before the makers are gone
        matches = self._trade(side) if self._random.random() < 0.6 else []
        self._bid = fair
        return matches + self._quote(fair)

    def _quote(self, bid: int) -> list[Match]:
        """Bring the ladder to its shape around `bid`: stale quotes off first, so makers never meet each other."""
        for side, touch in ((Side.BUY, bid), (Side.SELL, bid + 1)):
            quotes = self._quotes[side]
            for price in [price for price, order in quotes.items() if not order.remaining]:
                del quotes[price]
            for price in [price for price in quotes if _better(side, price, touch)]:
                self._withdraw(side, price)
        matches: list[Match] = []
        for side, touch in ((Side.BUY, bid), (Side.SELL, bid + 1)):
            matches += self._fill_side(side, touch)
        return matches

    def _fill_side(self, side: Side, touch: int) -> list[Match]:
        quotes = self._quotes[side]
        settings = self._settings
        matches: list[Match] = []
        if touch not in quotes:
            matches += self._place(side, touch, self._size(settings.touch_mean, 0.8))
        prices = sorted(quotes, reverse=side is Side.BUY)
        for price in prices[settings.levels :]:
            self._withdraw(side, price)
        price = prices[-1] if prices else touch
        for _ in range(settings.levels - len(prices)):
            gap = 1 + int(self._random.expovariate(1 / settings.gap_mean))
            price = price - gap if side is Side.BUY else price + gap
            if price <= 0:
                break
            matches += self._place(side, price, self._size(settings.depth_mean, 1.0))
        return matches

    def _refresh(self) -> list[Match]:
        """One maker behind the touch changes the size it quotes."""
        side = Side.BUY if self._random.random() < 0.5 else Side.SELL
        behind = sorted(self._quotes[side], reverse=side is Side.BUY)[1:]
        if not behind:
            return []
        price = behind[int(self._random.random() * len(behind))]
        self._withdraw(side, price)
        return self._place(side, price, self._size(self._settings.depth_mean, 1.0))

    def _place(self, side: Side, price: int, steps: int) -> list[Match]:
        order = self._order(side, price, steps, "GTC")
        matches = self._market.submit(order)
        if order.remaining:
            self._quotes[side][price] = order
        return matches

    def _withdraw(self, side: Side, price: int) -> None:
        self._market.cancel(self._quotes[side].pop(price).order_id)

    def _order(self, side: Side, price: int, steps: int, force: TimeInForce) -> Order:
        self._order_id -= 1
        return Order(self._order_id, "", side, max(1, price), steps, force)

    def _size(self, mean: int, spread: float) -> int:
        """Log-normal with this mean: most sizes small, a few large."""
        return max(1, int(mean * self._random.lognormvariate(-spread * spread / 2, spread)))


def _better(side: Side, price: int, touch: int) -> bool:
    """Whether a quote would stand in front of the touch."""
    return price > touch if side is Side.BUY else price < touch
