"""The seeded market looks like the real one where it matters, and is the same again for the same seed."""

from collections.abc import Iterator
from decimal import Decimal
from gzip import decompress
from itertools import pairwise
from random import Random
from statistics import fmean, median, pstdev

import msgspec
import pytest
from attrs import define, field

from tbot_actors.exchange.filters import SymbolRules
from tbot_actors.exchange.flow import Flow, FlowSettings
from tbot_actors.exchange.market import Match, Order, Side
from tbot_actors.exchange.matching import OrderBookMarket
from tbot_actors.exchange.records import NewOrder, OrderStatus, OrderType
from tbot_actors.exchange.venue import Venue
from tests.data import data_file

SECOND_NS = 1_000_000_000
TAPE = "ticks/binance_spot_btcusdt_20240808.gz"


@define
class Facts:
    """What a market did: spread in ticks and middle at regular times, every trade, sizes at the touch."""

    spreads: list[int] = field(factory=list)
    middles: list[float] = field(factory=list)
    prices: list[int] = field(factory=list)
    sizes: list[int] = field(factory=list)
    touches: list[int] = field(factory=list)
    buys: list[bool] = field(factory=list)
    lasting_s: float = 0

    def summary(self) -> dict[str, float]:
        per_s = self.middles[:: max(1, round(len(self.middles) / self.lasting_s))]
        moves = [(after / before - 1) * 10_000 for before, after in pairwise(per_s)]
        same = [one == other for one, other in pairwise(self.buys)]
        return {
            "trades/s": len(self.prices) / self.lasting_s,
            "mean trade BTC": fmean(self.sizes) * 1e-5,
            "median trade BTC": median(self.sizes) * 1e-5,
            "mean touch BTC": fmean(self.touches) * 1e-5,
            "one-tick spread": self.spreads.count(1) / len(self.spreads),
            "same direction": fmean(same),
            "1 s move bp": pstdev(moves),
            "range bp": (max(self.prices) / min(self.prices) - 1) * 10_000,
        }


def simulate(seed: int, seconds: int) -> Facts:
    market = OrderBookMarket()
    flow = Flow(Random(f"{seed}/flow"), market, start_ns=0)
    facts = Facts(lasting_s=seconds)
    for tenth in range(seconds * 10):
        for match in flow.advance(tenth * SECOND_NS // 10):
            facts.prices.append(match.price)
            facts.sizes.append(match.quantity)
            facts.buys.append(match.taker_side is Side.BUY)
        bid, ask = market.best(Side.BUY), market.best(Side.SELL)
        assert bid is not None
        assert ask is not None
        facts.spreads.append(ask[0] - bid[0])
        facts.middles.append((ask[0] + bid[0]) / 2)
        facts.touches += [bid[1], ask[1]]
    return facts


def tape_lines() -> Iterator[tuple[int, dict[str, object]]]:
    for line in decompress(data_file(TAPE).read_bytes()).splitlines():
        stamp, _, message = line.partition(b" ")
        if b"@bookTicker" in message or b"@trade" in message:
            yield int(stamp), msgspec.json.decode(message)["data"]


def measure_tape() -> Facts:
    """The same facts of the real capture, sampled every tenth of a second."""
    rules, facts = SymbolRules(), Facts()
    first = last = sample = 0
    touch: tuple[int, int, int, int] | None = None
    for stamp, data in tape_lines():
        first, last = first or stamp, stamp
        sample = sample or stamp
        while touch is not None and sample < stamp:
            sample += SECOND_NS // 10
            facts.spreads.append(touch[2] - touch[0])
            facts.middles.append((touch[2] + touch[0]) / 2)
            facts.touches += [touch[1], touch[3]]
        if data.get("e") == "trade":
            facts.prices.append(rules.price_to_ticks(Decimal(str(data["p"]))))
            facts.sizes.append(rules.quantity_to_steps(Decimal(str(data["q"]))))
            facts.buys.append(not data["m"])
        else:
            parts = [Decimal(str(data[key])) for key in "bBaA"]
            bid, ask = rules.price_to_ticks(parts[0]), rules.price_to_ticks(parts[2])
            touch = (bid, rules.quantity_to_steps(parts[1]), ask, rules.quantity_to_steps(parts[3]))
    facts.lasting_s = (last - first) / SECOND_NS
    return facts


BOUNDS = {
    "trades/s": (5, 15),
    "mean trade BTC": (0.008, 0.06),
    "median trade BTC": (0.0003, 0.003),
    "mean touch BTC": (0.8, 3.5),
    "one-tick spread": (0.95, 1),
    "same direction": (0.7, 0.95),
    "1 s move bp": (0.8, 3),
    "range bp": (20, 250),
}
"""Where six minutes of the flow must lie. Trades are fewer than on the tape on purpose; the rest surrounds it."""


@pytest.mark.parametrize("seed", [1, 2, 3, 4, 5])
def test_six_minutes_of_flow_resemble_the_real_market(seed: int) -> None:
    summary = simulate(seed, 346).summary()
    outside = {name: value for name, value in summary.items() if not BOUNDS[name][0] <= value <= BOUNDS[name][1]}
    assert not outside


def test_the_bounds_surround_the_real_tape() -> None:
    real, ours = measure_tape().summary(), simulate(1, 346).summary()
    for name, value in real.items():
        print(f"{name:18} tape {value:10.4f}   flow {ours[name]:10.4f}")
    real.pop("trades/s")
    outside = {name: value for name, value in real.items() if not BOUNDS[name][0] <= value <= BOUNDS[name][1]}
    assert not outside


def test_within_half_a_minute_the_price_moves_enough_to_trade_on() -> None:
    middles = simulate(6, 300).middles
    moves = [abs(middles[i + 300] / middles[i] - 1) * 10_000 for i in range(0, len(middles) - 300, 300)]
    assert 5 < fmean(moves) < 60


def test_an_hour_does_not_carry_the_price_away() -> None:
    middles = simulate(7, 3600).middles
    assert 6_170_000 * 0.97 < min(middles) < 6_170_000 < max(middles) < 6_170_000 * 1.03


def run(step_ns: int, seconds: int = 20) -> tuple[list[Match], list[tuple[int, int]]]:
    market = OrderBookMarket()
    flow = Flow(Random("9/flow"), market, start_ns=0)
    matches = [match for now in range(0, seconds * SECOND_NS + 1, step_ns) for match in flow.advance(now)]
    return matches, market.levels(Side.BUY, 100)


def test_the_same_seed_gives_the_same_market_however_often_it_is_advanced() -> None:
    assert run(SECOND_NS // 100) == run(SECOND_NS // 2) == run(SECOND_NS * 20)
    assert run(SECOND_NS)[0]


def test_a_long_pause_is_caught_up_in_bounded_portions_without_losing_anything() -> None:
    market, twin = OrderBookMarket(), OrderBookMarket()
    flow, other = (Flow(Random("9/flow"), each, start_ns=0) for each in (market, twin))
    portions = []
    while flow.next_ns <= 60 * SECOND_NS:
        portions.append(flow.advance(60 * SECOND_NS, events_max=100))
    assert len(portions) > 10
    assert [match for portion in portions for match in portion] == other.advance(60 * SECOND_NS, events_max=100_000)
    assert flow.advance(60 * SECOND_NS) == []


def test_both_sides_are_quoted_from_the_start_and_stay_quoted() -> None:
    market = OrderBookMarket()
    flow = Flow(Random("3/flow"), market, start_ns=0, settings=FlowSettings(levels=20))
    for second in range(60):
        flow.advance(second * SECOND_NS)
        for side in Side:
            assert 15 <= len(market.levels(side, 100)) <= 20


def test_a_customer_who_takes_the_whole_book_finds_it_filled_again() -> None:
    market = OrderBookMarket()
    flow = Flow(Random("3/flow"), market, start_ns=0)
    market.submit(Order(1, "ann", Side.BUY, None, 10**12, "IOC"))
    assert market.best(Side.SELL) is None
    flow.advance(SECOND_NS)
    assert len(market.levels(Side.SELL, 100)) >= 15


def test_orders_of_customers_near_the_touch_are_filled_by_the_flow_and_money_holds() -> None:
    market = OrderBookMarket()
    purse = {"USDT": Decimal(100_000), "BTC": Decimal(1)}
    venue = Venue({"BTCUSDT": (SymbolRules(), market)}, {"ann": purse})
    flow = Flow(Random("4/flow"), market, start_ns=0)
    for second in range(120):
        venue.market_matched("BTCUSDT", flow.advance(second * SECOND_NS), second * SECOND_NS)
        for side in Side:
            best = market.best(side)
            assert best is not None
            price = venue.rules("BTCUSDT").ticks_to_price(best[0])
            new = NewOrder(
                symbol="BTCUSDT", side=side, type=OrderType.LIMIT_MAKER, quantity=Decimal("0.001"), price=price
            )
            venue.place("ann", new, second * SECOND_NS)
        venue.check_conservation()
        if len(venue.open_orders("ann")) > 100:
            venue.cancel_all("ann", "BTCUSDT", second * SECOND_NS)
        venue.drain()
    filled = sum(record.status is OrderStatus.FILLED for record in venue.all_orders("ann", "BTCUSDT"))
    assert filled > 60


def test_a_customers_wall_holds_the_price_until_the_flow_has_eaten_it() -> None:
    market = OrderBookMarket()
    flow = Flow(Random("5/flow"), market, start_ns=0)
    best = market.best(Side.SELL)
    assert best is not None
    wall = Order(1, "ann", Side.SELL, best[0] + 10, 3_000_000)
    market.submit(wall)
    for tenth in range(6000):
        flow.advance(tenth * SECOND_NS // 10)
        bid, ask = market.best(Side.BUY), market.best(Side.SELL)
        assert bid is not None
        assert ask is not None
        assert bid[0] < ask[0]
        if not wall.remaining:
            break
    assert wall.remaining == 0
