"""docs/messages.md against the code: every message, who makes it, who handles it, and with which policy."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from types import ModuleType

import attrs
import pytest

import tbot_actors
from tbot_actors.domain import events, market, messages
from tbot_actors.domain.events import KINDS
from tbot_actors.kernel import Actor
from tbot_actors.kernel.policy import PolicyKind

REPOSITORY = Path(__file__).resolve().parents[1]
PAGE = (REPOSITORY / "docs" / "messages.md").read_text()

ACTORS = {
    "clock": "VenueClock",
    "console": "Console",
    "feed": "Feed",
    "gateway": "Gateway",
    "journal": "Journal",
    "orders": "Orders",
    "portfolio": "Portfolio",
    "reconciler": "Reconciler",
    "risk": "Risk",
    "strategy": "StrategyActor",
    "user stream": "UserStream",
    "watchdog": "Watchdog",
}
ROOMS = {
    "clock": "venues",
    "console": "operator",
    "feed": "feeds",
    "gateway": "venues",
    "process": "cli",
    "strategy": "strategies",
    "user stream": "venues",
}
"""Where the name of an actor is not the name of its folder."""

POLICIES = {kind.value.upper().replace(" ", "_"): kind for kind in PolicyKind}
PARTS = {"Absent", "Balance", "Lost", "NotSent", "Refused", "VenueTrade", "DepthDiff", "DepthSnapshot", "TopOfBook"}
NO_MAILBOX = {"process"}
MADE_BY = {"MarketTrade": {"venues"}, "SubmitOrder": {"orders", "watchdog"}}
"""Where that is not the sender: the feed passes on what its session read, the watchdog submits through a session."""


@attrs.frozen
class Row:
    """One message as the page has it."""

    senders: frozenset[str]
    receivers: frozenset[str]
    policy: str


@cache
def rows() -> Mapping[str, Row]:
    found = {}
    for line in PAGE.splitlines():
        match = re.match(r"\| `(\w+)` \| ([^|]+) → ([^|]+) \| ([^|]+) \|", line)
        if match:
            name, senders, receivers, policy = match.groups()
            assert name not in found, f"{name} is there twice"
            found[name] = Row(_names(senders), _names(receivers), policy.strip())
    return found


@cache
def appenders() -> Mapping[str, str]:
    found = re.findall(r"^\| `(\w+)` \| ([^|→]+) \|$", PAGE, re.MULTILINE)
    assert len(found) == len(dict(found))
    return dict(found)


def _names(cell: str) -> frozenset[str]:
    return frozenset(name.strip() for name in cell.split(","))


def policy_for(row: Row, receiver: str) -> PolicyKind:
    """`BLOCK`, `CONFLATE(venue)`, `BLOCK, ask`, `BLOCK (reconciler: REJECT)`."""
    own = dict(re.findall(r"(\w[\w ]*): (\w+)", row.policy))
    word = own.get(receiver) or re.split(r"\W", row.policy)[0]
    return POLICIES[word]


def classes(module: ModuleType) -> Iterator[type]:
    for _, member in inspect.getmembers(module, inspect.isclass):
        if member.__module__ == module.__name__ and attrs.has(member):
            yield member


@cache
def handled() -> Mapping[str, Mapping[str, PolicyKind]]:
    """By message, the actors that handle it with their policies. Kernel notices and an actor's own timers apart."""
    for module in pkgutil.walk_packages(tbot_actors.__path__, "tbot_actors."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    found: dict[str, dict[str, PolicyKind]] = {}
    for actor in set(_below(Actor)):
        if not actor.__module__.startswith("tbot_actors."):
            continue
        for kind, handling in actor.handlers.items():
            if kind.__name__.startswith("_") or kind.__module__.startswith("tbot_actors.kernel"):
                continue
            found.setdefault(kind.__name__, {})[actor.__name__] = handling.policy.kind
    return found


def _below(actor: type[Actor]) -> Iterator[type[Actor]]:
    for below in actor.__subclasses__():
        yield below
        yield from _below(below)


@cache
def makers() -> Mapping[str, frozenset[str]]:
    """By class of domain/, the folders below tbot_actors/ in which one is made. The simulated exchange apart."""
    found: dict[str, set[str]] = {}
    for path in (REPOSITORY / "tbot_actors").rglob("*.py"):
        room = path.relative_to(REPOSITORY / "tbot_actors").parts[0].removesuffix(".py")
        if room in ("domain", "exchange"):
            continue
        tree = ast.parse(path.read_bytes())
        imported = {
            alias.asname or alias.name: alias.name
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tbot_actors.domain")
            for alias in node.names
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in imported:
                found.setdefault(imported[node.func.id], set()).add(room)
    return {name: frozenset(rooms) for name, rooms in found.items()}


def test_every_message_class_is_on_the_page() -> None:
    listed = rows().keys() | PARTS
    sent = {kind.__name__ for module in (messages, market) for kind in classes(module)}
    assert sent - listed == set()
    assert all(f"`{part}`" in PAGE for part in PARTS)


def test_every_row_is_a_message_that_exists() -> None:
    in_domain = {kind.__name__ for module in (messages, market, events) for kind in classes(module)}
    assert rows().keys() - in_domain - handled().keys() == set()


def test_no_message_class_is_dead() -> None:
    for module in (messages, market):
        for kind in classes(module):
            name = kind.__name__
            assert name in handled() or name in makers(), f"{name} is neither made nor handled: remove it"


@pytest.mark.parametrize("name", sorted(rows()))
def test_the_receivers_and_their_policies_are_those_of_the_actors(name: str) -> None:
    row = rows()[name]
    receivers = row.receivers - NO_MAILBOX
    assert {ACTORS[receiver] for receiver in receivers} == set(handled().get(name, {}))
    for receiver in receivers:
        assert policy_for(row, receiver) is handled()[name][ACTORS[receiver]], receiver


def test_every_message_that_an_actor_handles_is_on_the_page() -> None:
    assert handled().keys() - rows().keys() == set()


@pytest.mark.parametrize("name", sorted(kind.__name__ for module in (messages, market) for kind in classes(module)))
def test_the_senders_are_the_rooms_that_make_it(name: str) -> None:
    if name in PARTS:
        assert makers()[name]
        return
    senders = rows()[name].senders
    if senders == {"any room"}:
        return
    rooms = MADE_BY.get(name, {ROOMS.get(sender, sender) for sender in senders - {"nobody yet"}})
    assert rooms == makers().get(name, frozenset())


@pytest.mark.parametrize("name", sorted(KINDS))
def test_the_page_tells_who_appends_each_event(name: str) -> None:
    told = appenders()[name]
    rooms = {room for room in (*ACTORS, "tbot resume") if room in told.replace("`", "")}
    if told.startswith("nobody yet"):
        rooms = set()
    folders = {"cli" if room == "tbot resume" else ROOMS.get(room, room) for room in rooms}
    assert folders == makers().get(name, frozenset())


def test_no_event_is_listed_that_does_not_exist() -> None:
    assert appenders().keys() == KINDS.keys()
