"""The composition root: the tree that ready settings make, and the pages that describe it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from attrs import evolve, frozen

from tbot_actors.app import LATCH_BYTES, House, actor_paths, build_tree
from tbot_actors.domain.latch import UNREADABLE, Latch, encode_latch
from tbot_actors.kernel import ESCALATE, GONE, Actor, Address, Branch, Child, System, TreeSnapshot, again
from tbot_actors.operator.picture import Picture
from tbot_actors.settings import Settings, read_settings
from tbot_actors.venues import Keys, Offset
from tbot_actors.world import SlotFile, real_world
from tests.test_messages import ACTORS, NO_MAILBOX, rows

REPOSITORY = Path(__file__).resolve().parents[1]
PAPER = read_settings((REPOSITORY / "config" / "paper.toml").read_text())

ANSWERS = {
    *("Appended", "AppendFailed", "EventsRead", "JournalAdvanced"),
    *("SubmitOutcome", "CancelOutcome", "QueryOutcome", "VenueState", "StopReport", "SafetyAnswer"),
}
"""Told to whoever asked: the address came with the question."""


class NoScreen:
    """Shows nothing."""

    period_s = 60.0

    def show(self, picture: Picture, tree: TreeSnapshot) -> None:
        pass

    def close(self) -> None:
        pass


@frozen
class Built:
    """A tree that was built and not started, with its actors made once by path."""

    house: House
    system: System
    tree: Branch
    actors: Mapping[str, Actor]


def two_venues() -> Settings:
    """Two of everything that there can be two of."""
    first = PAPER.venues["binance"]
    second = evolve(first, binance=evolve(first.binance, venue="second"))
    return evolve(PAPER, venues={"binance": first, "second": second})


def make_house(settings: Settings, folder: Path) -> House:
    world = real_world(hosts=())
    latch = world.files.open_slots(folder / "latch", LATCH_BYTES)
    keys, offsets = {name: Keys("k", "s") for name in settings.venues}, {name: Offset() for name in settings.venues}
    return House(settings, world, keys, offsets, latch, "token", lambda: pytest.fail("not running"), NoScreen())


@pytest.fixture
async def built(tmp_path: Path) -> AsyncIterator[Built]:
    house = make_house(two_venues(), tmp_path)
    async with trio.open_nursery() as nursery:
        system = System(partial(build_tree, house), house.world, ("safety/watchdog",), nursery)
        tree = build_tree(house, system.directory)
        yield Built(house, system, tree, {path: child.start() for path, child in children(tree)})
        house.latch.close()


def children(branch: Branch, place: str = "") -> Iterator[tuple[str, Child]]:
    """Every actor's spec by its path."""
    for spec in branch.children:
        path = f"{place}/{spec.name}" if place else spec.name
        if isinstance(spec, Child):
            yield path, spec
        else:
            yield from children(spec, place if spec.inline else path)


def known(thing: Any, depth: int = 5) -> set[str]:
    """The paths of all addresses that an actor holds, in whatever of ours they are kept."""
    if isinstance(thing, Address):
        return {thing.path}
    if depth == 0 or isinstance(thing, (str, bytes, int, type, SlotFile)):
        return set()
    if isinstance(thing, Mapping):
        inside = list(thing.values())
    elif isinstance(thing, (list, tuple, set, frozenset)):
        inside = list(thing)
    elif type(thing).__module__.startswith("tbot_actors."):
        slots = (name for kind in type(thing).__mro__ for name in getattr(kind, "__slots__", ()))
        inside = [*getattr(thing, "__dict__", {}).values(), *(getattr(thing, name, None) for name in slots)]
    else:
        return set()
    return {path for each in inside for path in known(each, depth - 1)}


def of_kind(built: Built, name: str) -> dict[str, Actor]:
    return {path: actor for path, actor in built.actors.items() if type(actor).__name__ == ACTORS[name]}


def near(sender: str, receiver: str) -> bool:
    """Whether the two are not of two different venues."""
    at, to = sender.split("/"), receiver.split("/")
    return at[0] != "venues" or to[0] != "venues" or at[1] == to[1]


async def test_the_paths_that_can_be_named_are_those_of_the_tree(built: Built) -> None:
    assert set(actor_paths(built.house.settings)) == set(built.system.directory)


async def test_every_child_makes_the_actor_that_its_spec_says(built: Built) -> None:
    for path, child in children(built.tree):
        assert type(built.actors[path]) is child.actor, path


async def test_the_top_of_the_tree_starts_journal_and_safety_first(built: Built) -> None:
    assert [spec.name for spec in built.tree.children] == [
        *("journal", "safety", "core", "venues", "strategies", "operator")
    ]


async def test_what_a_spent_limit_means_is_what_the_page_says(built: Built) -> None:
    branches = {spec.name: spec for spec in built.tree.children}
    assert built.tree.limit.restarts == 0, "whatever reaches the root ends the process"
    assert branches["journal"].exhausted == again(10.0, 360, 3600.0)
    assert branches["safety"].exhausted == ESCALATE
    assert branches["core"].exhausted == again(60.0, 3, 3600.0)
    assert branches["operator"].exhausted == GONE
    venues, strategies = branches["venues"], branches["strategies"]
    assert isinstance(venues, Branch) and isinstance(strategies, Branch)
    assert {venue.exhausted for venue in venues.children} == {again(30.0, 120, 3600.0)}
    assert {strategy.exhausted for strategy in strategies.children} == {GONE}


SENT = sorted(
    (name, sender, receiver)
    for name, row in rows().items()
    for sender in row.senders & ACTORS.keys()
    for receiver in row.receivers - NO_MAILBOX
    if name not in ANSWERS
)


@pytest.mark.parametrize(("name", "sender", "receiver"), SENT)
async def test_who_sends_a_message_knows_its_receivers(built: Built, name: str, sender: str, receiver: str) -> None:
    for path, actor in of_kind(built, sender).items():
        wanted = {to for to in of_kind(built, receiver) if near(path, to) and to != path}
        assert wanted <= known(actor), f"{path} sends {name} to {receiver}"


async def test_all_sessions_of_a_venue_share_its_clock_offset_and_no_other(built: Built) -> None:
    makers = built.house.session_makers()
    assert set(makers) == {"binance", "second"}
    assert built.house.offsets["binance"] is not built.house.offsets["second"]


def test_a_latch_that_was_never_set_bars_nothing(tmp_path: Path) -> None:
    assert make_house(PAPER, tmp_path).read_latch() == Latch()


def test_the_latch_is_read_from_the_disk_each_time(tmp_path: Path) -> None:
    house = make_house(PAPER, tmp_path)
    assert house.read_latch() == Latch()
    latch = Latch().set("account", "PERSON_HALT")
    house.latch.write(encode_latch(latch))
    assert house.read_latch() == latch


def test_a_latch_that_cannot_be_read_counts_as_set(tmp_path: Path) -> None:
    house = make_house(PAPER, tmp_path)
    house.latch.write(b"\xff no latch")
    assert house.read_latch() == UNREADABLE
    damaged = tmp_path / "latch"
    damaged.write_bytes(b"x" * damaged.stat().st_size)
    assert make_house(PAPER, tmp_path).read_latch() == UNREADABLE


def test_the_paths_in_the_readme_are_those_of_the_tree() -> None:
    text = (REPOSITORY / "README.md").read_text()
    sentence = re.search(r"Any path of the tree works:(.*?)\.\n", text, re.DOTALL)
    assert sentence is not None
    told: set[str] = set()
    for path in re.findall(r"`([^`]+)`", sentence[1]):
        match = re.fullmatch(r"(.*)\{(.*)\}", path)
        told |= {path} if match is None else {match[1] + name.strip() for name in match[2].split(",")}
    there = {re.sub("^strategies/.*", "strategies/NAME", path) for path in actor_paths(PAPER)}
    assert told == there


async def test_the_tree_in_the_architecture_page_is_the_one_that_is_built(tmp_path: Path) -> None:
    page = (REPOSITORY / "docs" / "architecture.md").read_text()
    chart = re.search(r"flowchart TD\n(.*?)```", page, re.DOTALL)
    assert chart is not None
    drawn = set()
    for line in chart[1].splitlines():
        for each in re.split(r"-->|&", re.sub(r'\["[^"]*"\]', "", line)):
            drawn |= {each.strip()} - {""}
    house = make_house(PAPER, tmp_path)
    async with trio.open_nursery() as nursery:
        system = System(partial(build_tree, house), house.world, (), nursery)
        assert drawn == set(names(build_tree(house, system.directory)))


def names(branch: Branch) -> Iterator[str]:
    yield branch.name
    for child in branch.children:
        if isinstance(child, Branch):
            yield from names(child)
        else:
            yield child.name
