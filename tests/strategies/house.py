"""A strategy's actor in a tree with a scripted journal and a risk that writes down what it is told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

from attrs import field, frozen

from tbot_actors.domain.events import Event, PauseChanged, StrategyLearned
from tbot_actors.domain.instruments import InstrumentId
from tbot_actors.domain.messages import (
    Append,
    Appended,
    EventsRead,
    Intents,
    JournalAdvanced,
    PendingIntents,
    ReadEvents,
)
from tbot_actors.kernel import (
    Actor,
    Address,
    Backoff,
    Branch,
    Child,
    Directory,
    RestartLimit,
    System,
    handles,
    open_system,
)
from tbot_actors.kernel import Strategy as Restarts
from tbot_actors.kernel.host import HostLimits
from tbot_actors.strategies.actor import StrategyActor
from tbot_actors.strategies.hosts import StrategyProgram, in_process, in_task
from tbot_actors.strategies.load import load_strategy
from tbot_actors.world import real_world

HERE = Path(__file__).parent
BTC = InstrumentId("binance:BTCUSDT")


@frozen
class Script:
    """What the journal holds, and what came out of the strategy, in order."""

    events: list[Event] = field(factory=list)
    heard: list[Any] = field(factory=list)

    def learned(self) -> list[dict[str, str]]:
        return [what.snapshot for what in self.heard if isinstance(what, StrategyLearned)]

    def intents(self) -> list[Intents]:
        return [what for what in self.heard if isinstance(what, Intents)]


class Record(Actor):
    """The journal: pages of the script; appends are written down and answered, not added."""

    def __init__(self, script: Script) -> None:
        self.script = script

    @handles(ReadEvents)
    async def on_read(self, message: ReadEvents) -> None:
        events = tuple(self.script.events[message.after :])
        head = len(self.script.events)
        message.reply_to.tell(EventsRead(message.after, events, head, message.token))

    @handles(Append)
    async def on_append(self, message: Append) -> None:
        self.script.heard.extend(message.events)
        message.reply_to.tell(Appended(message.append_id, 1, 1))


class Risk(Actor):
    def __init__(self, script: Script) -> None:
        self.script = script

    @handles(Intents)
    async def on_intents(self, message: Intents) -> None:
        self.script.heard.append(message)

    @handles(PendingIntents)
    async def on_pending(self, message: PendingIntents) -> None:
        self.script.heard.append(message)


def program(file: str = "mine.py:Mine", **params: Any) -> StrategyProgram:
    return StrategyProgram(
        "momentum",
        f"{HERE / file}",
        params,
        Decimal(1000),
        (BTC,),
        converter="tbot_actors.settings_reader:make_converter",
        limits=HostLimits(request_s=5.0),
    )


def strategy(at: Directory, host: str, params: dict[str, Any]) -> Child:
    made = program(**params)
    if host == "process":
        open_host = in_process(made)
    else:
        kind = load_strategy(made.kind)
        open_host = in_task(made, lambda: kind(kind.Params(**params), made.instruments))
    return Child(
        "strategy", StrategyActor, lambda: StrategyActor(made, open_host, journal=at["journal"], risk=at["risk"])
    )


@asynccontextmanager
async def living(host: str, script: Script, **params: Any) -> AsyncIterator[System]:
    """The strategy is live; risk is not barred."""
    script.events.append(PauseChanged("account", (), 1))

    def tree(at: Directory) -> Branch:
        return Branch(
            "root",
            Restarts.ONE_FOR_ONE,
            (
                Child("journal", Record, lambda: Record(script)),
                Child("risk", Risk, lambda: Risk(script)),
                strategy(at, host, params),
            ),
            limit=RestartLimit(100, 60),
            backoff=Backoff(first_s=0.01, cap_s=0.01),
        )

    async with open_system(tree, real_world(hosts=(), seed=1)) as system:
        await system.wait_ready("strategy", timeout_s=30)
        yield system


def journal(system: System, script: Script, *events: Event) -> None:
    """More is in the journal."""
    script.events.extend(events)
    system.directory["strategy"].tell(JournalAdvanced(len(script.events)))


def address(system: System) -> Address:
    return system.directory["strategy"]
