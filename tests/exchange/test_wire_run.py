"""The whole exchange as a program: what it announces, how its market moves, and when it ends."""

import json
from decimal import Decimal
from itertools import islice, pairwise
from pathlib import Path

import pytest
import structlog
import trio
from attrs import define, evolve

from tbot_actors.exchange.outlets import Outlet
from tbot_actors.exchange.run import build_floor, make_keys, run_exchange
from tbot_actors.exchange.settings import ExchangeSettings
from tbot_actors.exchange.streams import Listener
from tbot_actors.exchange.tape import TapeError, TapeTrade, read_tape
from tbot_actors.world import SeededEntropy, TrioClock, World, real_world
from tests.data import data_file

START_NS = 1_800_000_000_000_000_000
SECOND_NS = 1_000_000_000
STREAMS = ["btcusdt@trade", "btcusdt@bookTicker", "btcusdt@depth@100ms", "btcusdt@depth", "btcusdt@kline_1s"]


@define
class HandClock:
    """A clock that a test moves."""

    now_ns: int = START_NS

    def monotonic_ns(self) -> int:
        return self.now_ns

    def wall_ns(self) -> int:
        return self.now_ns


def virtual_world() -> World:
    return evolve(real_world(hosts={"127.0.0.1"}, seed=1), clock=TrioClock(START_NS))


async def transcript(settings: ExchangeSettings, seconds: float, period_s: float = 0.05) -> list[str]:
    """Everything the market streams say in that time."""
    clock = HandClock()
    world = evolve(real_world(hosts=[], seed=settings.seed), clock=clock)
    floor = build_floor(settings, world, world.entropy, make_keys(world.entropy("keys")), structlog.get_logger())
    outlet = Outlet(queue_max=1_000_000)
    floor.streams.add(Listener(outlet, combined=True), STREAMS)
    while clock.now_ns < START_NS + seconds * SECOND_NS:
        clock.now_ns += int(period_s * SECOND_NS)
        floor.advance()
        floor.publish()
    outlet.offer("the end")
    texts = []
    while (text := await outlet.take()) != "the end":
        texts.append(text)
    return texts


async def test_the_announcement_names_addresses_and_keys_and_is_kept_in_the_state_folder(tmp_path: Path) -> None:
    world = real_world(hosts={"127.0.0.1"}, seed=3)
    announced: list[str] = []
    settings = ExchangeSettings(state=tmp_path / "state", balances={"BTC": Decimal(1), "USDT": Decimal(50_000)})
    async with trio.open_nursery() as nursery:
        line = await nursery.start(lambda task_status: run_exchange(
            settings, world, announce=announced.append, task_status=task_status))  # fmt: skip
        assert announced == [line] and "\n" not in line
        assert world.files.read_bytes(tmp_path / "state" / "exchange.json").decode().strip() == line
        told = json.loads(line)
        port = int(told["rest"].rpartition(":")[2])
        assert told["rest"] == f"http://127.0.0.1:{port}" and told["ws"] == f"ws://127.0.0.1:{port}"
        keys = [told["api_key"], *(key["api_key"] for key in told["keys"])]
        assert len(set(keys)) == 3 and told["pid"] == world.processes.own_pid
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            await stream.send_all(b"GET /api/v3/depth?symbol=BTCUSDT HTTP/1.1\r\nHost: x\r\n\r\n")
            answer = await stream.receive_some()
        book = json.loads(answer.partition(b"\r\n\r\n")[2])
        assert Decimal(book["bids"][0][0]) < Decimal(book["asks"][0][0])
        nursery.cancel_scope.cancel()


async def test_it_ends_a_minute_after_the_bots_lock_is_free(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    world = virtual_world()
    lock = world.files.lock(tmp_path / "bot.lock")
    assert lock is not None
    ended: list[float] = []

    async def run() -> None:
        settings = ExchangeSettings(state=tmp_path, pump_period_s=1.0)
        await run_exchange(settings, world, announce=lambda line: None)
        ended.append(trio.current_time())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        await trio.sleep(300)
        assert not ended
        lock.release()
        released_s = trio.current_time()
        await trio.sleep(30)
        again = world.files.lock(tmp_path / "bot.lock")
        assert again is not None, "a bot that was started again within the minute"
        await trio.sleep(100)
        again.release()
        released_s = trio.current_time()
    assert 59 <= ended[0] - released_s <= 62


async def test_without_a_bot_it_ends_after_a_minute_and_without_a_folder_never(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    world = virtual_world()
    with trio.move_on_after(1000) as limit:
        await run_exchange(ExchangeSettings(state=tmp_path, pump_period_s=1.0), world, announce=lambda line: None)
    assert not limit.cancelled_caught and trio.current_time() < 70
    with trio.move_on_after(1000) as limit:
        await run_exchange(ExchangeSettings(pump_period_s=1.0), world, announce=lambda line: None)
    assert limit.cancelled_caught


async def test_the_same_seed_tells_the_same_story() -> None:
    settings = ExchangeSettings(seed=11)
    first = await transcript(settings, 20)
    assert first == await transcript(settings, 20)
    assert first != await transcript(ExchangeSettings(seed=12), 20)


async def test_a_market_with_flow_is_told_on_every_stream() -> None:
    events = [json.loads(text) for text in await transcript(ExchangeSettings(seed=11), 20)]
    heard = {stream: [event["data"] for event in events if event["stream"] == stream] for stream in STREAMS}
    assert len(heard["btcusdt@trade"]) > 30
    assert len(heard["btcusdt@kline_1s"]) in (18, 19, 20)
    for tickers in heard["btcusdt@bookTicker"]:
        assert Decimal(tickers["b"]) < Decimal(tickers["a"])
    for name in ("btcusdt@depth@100ms", "btcusdt@depth"):
        diffs = heard[name]
        assert all(later["U"] == diff["u"] + 1 for diff, later in pairwise(diffs))
    assert sum(Decimal(row["k"]["v"]) for row in heard["btcusdt@kline_1s"]) <= sum(
        Decimal(trade["q"]) for trade in heard["btcusdt@trade"]
    )


def short_tape(world: World, folder: Path, lines: int) -> Path:
    source = data_file("ticks/binance_spot_btcusdt_20240808.gz")
    path = folder / "tape.txt"
    world.files.write_atomic(path, b"\n".join(islice(world.files.open_lines(source), lines)) + b"\n")
    return path


async def test_a_tape_is_played_once_and_its_trades_are_the_streams_trades(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world = real_world(hosts=[], seed=1)
    path = short_tape(world, tmp_path, 3000)
    records = list(read_tape(world.files.open_lines(path)))
    length_s = (records[-1].local_ns - records[0].local_ns) / SECOND_NS
    events = [json.loads(text) for text in await transcript(ExchangeSettings(seed=1, tape=path, speed=4), length_s)]
    told = [event["data"] for event in events if event["stream"] == "btcusdt@trade"]
    wanted = [
        (f"{Decimal(record.price) / 100:.8f}", f"{Decimal(record.quantity) / 100_000:.8f}", record.buyer_is_maker)
        for record in records
        if isinstance(record, TapeTrade)
    ]
    spoken = [(trade["p"], trade["q"], trade["m"]) for trade in told]
    # those before the tape's book was whole were not played
    assert len(spoken) > 100 and spoken == wanted[-len(spoken) :] and len(wanted) - len(spoken) < 50
    last_s = (told[-1]["T"] * 1_000_000 - START_NS) / SECOND_NS
    assert last_s < length_s / 4 + 0.1, "four times as fast"
    diffs = [event["data"] for event in events if event["stream"] == "btcusdt@depth@100ms"]
    assert all(later["U"] == diff["u"] + 1 for diff, later in pairwise(diffs))
    assert "the tape is at its end" in capsys.readouterr().out


async def test_after_the_tape_the_exchange_keeps_a_still_market(
    tmp_path: Path, autojump_clock: trio.testing.MockClock, capsys: pytest.CaptureFixture[str]
) -> None:
    world = virtual_world()
    settings = ExchangeSettings(tape=short_tape(world, tmp_path, 200), speed=100, pump_period_s=0.1)
    with trio.move_on_after(60) as limit:
        await run_exchange(settings, world, announce=lambda line: None)
    assert limit.cancelled_caught
    written = capsys.readouterr()
    assert written.out == "" and written.err.count("the tape is at its end") == 1


async def test_a_tape_that_is_none_says_which_line(tmp_path: Path) -> None:
    world = real_world(hosts=[], seed=1)
    world.files.write_atomic(tmp_path / "tape.txt", b"not a tape\n")
    with pytest.raises(TapeError, match="line 1"):
        await run_exchange(ExchangeSettings(tape=tmp_path / "tape.txt"), world, announce=lambda line: None)


def test_keys_depend_on_the_seed_only_and_do_not_show_in_representations() -> None:
    first, second = (make_keys(SeededEntropy(seed)("exchange/keys")) for seed in (1, 2))
    assert first == make_keys(SeededEntropy(1)("exchange/keys")) and first != second
    assert first[0].secret not in repr(first)


@pytest.mark.parametrize("speed", [0.0, -1.0, float("nan"), float("inf")])
def test_an_impossible_speed_is_refused(speed: float) -> None:
    with pytest.raises(ValueError, match="multiple of the tape's pace"):
        ExchangeSettings(speed=speed)
