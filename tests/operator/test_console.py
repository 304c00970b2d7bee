"""The console beside a real journal: it reads, it shows, and what becomes of it touches nobody."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import trio
from attrs import define, field

from tbot_actors.domain.events import Event
from tbot_actors.domain.messages import Appended, AppendFailed, BalancesChanged
from tbot_actors.journal import Journal, JournalWriter
from tbot_actors.journal.settings import JournalSettings
from tbot_actors.kernel import (
    GONE,
    Actor,
    Backoff,
    Branch,
    Child,
    Directory,
    State,
    Strategy,
    System,
    TreeSnapshot,
    handles,
    open_system,
)
from tbot_actors.operator import Console
from tbot_actors.operator.picture import Picture
from tbot_actors.world import real_world
from tests.domain.samples import BTC, accepted, committed
from tests.operator.samples import balance, books, freed, quote

PATIENCE_S = 10.0


@define
class Watching:
    """A screen that a test looks at."""

    period_s: float = 0.005
    picture: Picture | None = None
    tree: TreeSnapshot | None = None
    broken: bool = False
    shown: int = 0
    _change: trio.Event = field(factory=trio.Event)

    def show(self, picture: Picture, tree: TreeSnapshot) -> None:
        if self.broken:
            raise OSError("no terminal")
        self.picture, self.tree = picture, tree
        self.shown += 1
        self._change.set()
        self._change = trio.Event()

    def close(self) -> None:
        pass

    async def until(self, condition: Callable[[Picture], bool]) -> Picture:
        """The first picture for which this holds."""
        with trio.fail_after(PATIENCE_S):
            while self.picture is None or not condition(self.picture):
                await self._change.wait()
        return self.picture


class Author(Actor):
    """Appends events that a test hands it."""

    def __init__(self, events: tuple[Event, ...]) -> None:
        self._events = events

    async def started(self) -> None:
        writer = JournalWriter(self.context.directory["journal"], self.context.address, self.context.world.clock)
        for event in self._events:
            writer.append(event)

    @handles(Appended)
    async def on_appended(self, message: Appended) -> None:
        pass

    @handles(AppendFailed)
    async def on_append_failed(self, message: AppendFailed) -> None:
        raise AssertionError(message.why)


class Bot:
    """A tree of journal, author and console, and its screen."""

    def __init__(self, folder: Path, *events: Event) -> None:
        self.screen = Watching()
        self.system: System
        self._folder = folder
        self._events = events

    def tree(self, at: Directory) -> Branch:
        settings = JournalSettings()
        journal = partial(
            Journal, self._folder, bot="TB0T", mode="paper", account="main", process_token="1", settings=settings
        )
        author = Child("author", Author, lambda: Author(self._events))
        console = Child(
            "console",
            Console,
            lambda: Console(journal=at["journal"], snapshot=lambda: self.system.snapshot(), screen=self.screen),
        )
        at_once = Backoff(first_s=0, cap_s=0)
        operator = Branch("operator", Strategy.ONE_FOR_ONE, (console,), backoff=at_once, exhausted=GONE)
        children = (Child("journal", Journal, journal), author, operator)
        return Branch("root", Strategy.ONE_FOR_ONE, children, backoff=at_once)


async def test_it_shows_what_the_journal_says(tmp_path: Path) -> None:
    bot = Bot(tmp_path, freed(), committed(), accepted())
    async with open_system(bot.tree, real_world(hosts=())) as bot.system:
        made = await bot.screen.until(lambda picture: picture.sequence == 4)
        assert made.whole
        assert (made.mode, made.account, made.generation, made.orders) == ("paper", "main", 1, 1)
        assert [line.place[0] for line in made.lines] == [1, 2, 3]
        assert bot.screen.tree is not None and bot.screen.tree["operator/console"].incarnation == 1


async def test_it_shows_prices_books_and_balances_as_they_are_heard(tmp_path: Path) -> None:
    bot = Bot(tmp_path)
    async with open_system(bot.tree, real_world(hosts=())) as bot.system:
        console = bot.system.directory["operator/console"]
        console.tell(quote("1", "2"))
        console.tell(books("10000", "100"))
        console.tell(BalancesChanged("binance", {"BTC": balance("1", "0")}, 1))
        made = await bot.screen.until(lambda picture: bool(picture.balances))
        assert set(made.quotes) == {BTC}
        assert made.books is not None


async def test_after_a_crash_it_reads_anew_and_shows_the_same(tmp_path: Path) -> None:
    bot = Bot(tmp_path, freed(), committed())
    async with open_system(bot.tree, real_world(hosts=())) as bot.system:
        before = await bot.screen.until(lambda picture: picture.sequence == 3)
        bot.system.crash("operator/console", RuntimeError("told to"))
        after = await bot.screen.until(lambda picture: picture is not before and picture.sequence == 3)
        assert list(after.lines) == list(before.lines)
        assert (after.orders, after.barred) == (before.orders, before.barred)


async def test_after_a_crash_of_the_journal_it_goes_on(tmp_path: Path) -> None:
    bot = Bot(tmp_path, freed())
    async with open_system(bot.tree, real_world(hosts=())) as bot.system:
        await bot.screen.until(lambda picture: picture.sequence == 2)
        bot.system.crash("journal", RuntimeError("told to"))
        bot.system.crash("author", RuntimeError("told to"))
        made = await bot.screen.until(lambda picture: picture.sequence == 3 and len(picture.notable) == 3)
        restarted = {line.text.split(" ")[0] for line in made.lines if line.kind == "Restart"}
        assert restarted == {"journal", "author"}


async def test_a_screen_that_fails_takes_the_console_away_and_nothing_else(tmp_path: Path) -> None:
    bot = Bot(tmp_path, freed())
    async with open_system(bot.tree, real_world(hosts=())) as bot.system:
        await bot.screen.until(lambda picture: picture.sequence == 2)
        bot.screen.broken = True
        with trio.fail_after(PATIENCE_S):
            while bot.system.snapshot()["operator/console"].state is not State.GONE:  # noqa: ASYNC110
                await trio.sleep(0.005)
        assert bot.system.snapshot()["journal"].state is State.READY


async def test_the_end_is_shown(tmp_path: Path) -> None:
    bot = Bot(tmp_path, freed())
    bot.screen.period_s = 3600.0
    async with open_system(bot.tree, real_world(hosts=())) as bot.system:
        await bot.system.wait_ready("operator", timeout_s=PATIENCE_S)
        assert bot.screen.shown == 0
    assert bot.screen.shown == 1
