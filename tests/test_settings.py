"""A configuration file in, settings or every wrong key at once out."""

from __future__ import annotations

import ast
import re
import tomllib
from decimal import Decimal
from pathlib import Path
from typing import ClassVar

import attrs
import pytest
from attrs import field, frozen, validators
from hypothesis import given
from hypothesis import strategies as st

from tbot_actors.domain.intents import Place
from tbot_actors.domain.market import Quote
from tbot_actors.domain.messages import OnStop
from tbot_actors.domain.view import View, with_intent
from tbot_actors.exchange.settings import ExchangeSettings
from tbot_actors.settings import PAPER_SYMBOL, Mode, Settings, read_settings, strategy_params
from tbot_actors.settings_reader import Problems, make_converter
from tbot_actors.strategies import Strategy
from tests.domain.samples import BTC, BTCUSDT

REPOSITORY = Path(__file__).resolve().parents[1]
ROOM = REPOSITORY / "tbot_actors"

PAPER = """
[bot]
state = "var/x"

[venues.binance.binance]
symbols = ["BTCUSDT"]

[strategies.quoter]
type = "quoter"
capital = 1_000
instruments = ["binance:BTCUSDT"]
"""


def wrong(text: str) -> dict[str, str]:
    """The problems of a document, by key; several of one key are joined."""
    with pytest.raises(Problems) as caught:
        read_settings(text)
    found: dict[str, str] = {}
    for problem in caught.value.problems:
        found[problem.path] = "; ".join(filter(None, (found.get(problem.path), problem.text)))
    return found


def changed(*changes: tuple[str, str], more: str = "") -> str:
    """The smallest good file with pieces of its text replaced, and more behind it."""
    text = PAPER
    for before, after in changes:
        assert before in text
        text = text.replace(before, after)
    return text + more


def test_the_ready_configurations_are_good() -> None:
    paper = read_settings((REPOSITORY / "config" / "paper.toml").read_text())
    replay = read_settings((REPOSITORY / "config" / "replay.toml").read_text())
    assert paper.bot.mode is replay.bot.mode is Mode.PAPER
    assert paper.bot.on_stop is OnStop.FLATTEN
    assert paper.bot.state != replay.bot.state, "a tape and generated flow have no history in common"
    assert set(paper.strategies) == {"momentum", "quoter"}
    assert paper.capital == 20_000


def test_the_smallest_file_takes_every_default_and_pauses_nothing_of_safety() -> None:
    settings = read_settings(PAPER)
    assert settings.bot.mode is Mode.PAPER
    assert settings.bot.on_stop is OnStop.KEEP
    assert settings.risk.daily_loss_percent == 3
    assert settings.strategies["quoter"].capital == Decimal(1000)


def test_money_is_exact_whether_it_is_written_as_a_number_or_as_a_text() -> None:
    text = changed(("1_000", "0.1"))
    assert read_settings(text).strategies["quoter"].capital == Decimal("0.1")
    assert read_settings(changed(("1_000", '"0.1"'))).strategies["quoter"].capital == Decimal("0.1")


def test_the_broken_configuration_names_every_wrong_key_at_once() -> None:
    found = wrong((REPOSITORY / "config" / "broken.toml").read_text())
    assert found.keys() == {
        "bot.mode",
        "bot.tag",
        "bot.on_stop",
        "bot.colour",
        "venues.binance.binance.symbols",
        "venues.binance.binance.request_total_s",
        "risk.daily_loss_percent",
        "risk.order_max",
        "risk.max_position",
        "strategies.momentum.capital",
        "strategies.momentum.instruments",
        "strategies.momentum.params",
        "strategies.momentum.params.treshold_percent",
        "strategies.oracle.type",
        "strategies.oracle.instruments",
    }


def test_every_wrong_key_in_the_broken_configuration_is_told_what_is_allowed() -> None:
    found = wrong((REPOSITORY / "config" / "broken.toml").read_text())
    assert found["bot.mode"] == "must be one of 'paper', 'live', got 'demo'"
    assert "account, mode, on_stop, state, tag" in found["bot.colour"]
    assert "did you mean 'threshold_percent'?" in found["strategies.momentum.params.treshold_percent"]
    assert found["strategies.momentum.params"] == "fast must be below slow"
    assert "a venue of binance" in found["strategies.momentum.instruments"]
    assert "momentum, quoter or path/to/file.py:ClassName" in found["strategies.oracle.type"]
    assert "at most 5" in found["risk.daily_loss_percent"]


def test_what_is_said_of_one_table_stands_together() -> None:
    with pytest.raises(Problems) as caught:
        read_settings((REPOSITORY / "config" / "broken.toml").read_text())
    tables = [".".join(problem.path.split(".")[:2]) for problem in caught.value.problems]
    strategies = [table for table in tables if table.startswith("strategies.")]
    assert strategies == sorted(strategies)
    assert [table.split(".")[0] for table in tables] == sorted(
        (table.split(".")[0] for table in tables), key=["bot", "venues", "strategies", "risk"].index
    )


def test_a_file_that_is_no_toml_is_one_problem() -> None:
    assert list(wrong("[bot")) == [""]


def test_an_empty_file_is_told_what_is_missing() -> None:
    assert wrong("") == dict.fromkeys(("bot", "venues", "strategies"), "is missing and has no default")


@pytest.mark.parametrize("kind", ["venues", "strategies"])
def test_at_least_one_venue_and_strategy(kind: str) -> None:
    tables = re.split(r"\n(?=\[)", PAPER)
    assert wrong("\n".join(f"[{kind}]" if f"[{kind}." in table else table for table in tables))[kind]


@pytest.mark.parametrize("name", ["a b", "a/b", "a:b", "a.b", "é", "", "x" * 33])
def test_a_name_that_would_not_fit_into_paths_and_scopes_is_refused(name: str) -> None:
    assert f"strategies.{name}" in wrong(changed(("[strategies.quoter]", f'[strategies."{name}"]')))


class TestCombinations:
    """What is wrong only together with something else, whatever else is wrong."""

    def test_an_instrument_of_a_venue_that_is_not_there(self) -> None:
        text = changed(('"binance:BTCUSDT"', '"kraken:BTCUSD", "BTCUSDT"'))
        assert "'kraken:BTCUSD' names no venue" in wrong(text)["strategies.quoter.instruments"]
        assert "'BTCUSDT' names no venue" in wrong(text)["strategies.quoter.instruments"]

    def test_an_instrument_that_its_venue_does_not_list(self) -> None:
        text = changed(('"binance:BTCUSDT"', '"binance:ETHUSDT"'))
        assert "not among venues.binance.binance.symbols: BTCUSDT" in wrong(text)["strategies.quoter.instruments"]

    def test_a_venue_that_lists_no_symbols_has_the_default_ones(self) -> None:
        assert read_settings(changed(('symbols = ["BTCUSDT"]', ""))).venues

    def test_symbols_that_cannot_be_read_blame_no_instrument(self) -> None:
        assert wrong(changed(('["BTCUSDT"]', '"BTCUSDT"'))).keys() == {"venues.binance.binance.symbols"}

    def test_it_is_said_also_where_the_strategy_itself_is_wrong(self) -> None:
        found = wrong(changed(("1_000", "-1"), ("binance:BTCUSDT", "nowhere:X"), ('"var/x"', "7")))
        assert found.keys() == {"bot.state", "strategies.quoter.capital", "strategies.quoter.instruments"}

    def test_paper_trades_what_the_simulated_exchange_has(self) -> None:
        assert ExchangeSettings().symbol == PAPER_SYMBOL
        found = wrong(changed(('["BTCUSDT"]', '["BTCUSDT", "ETHUSDT"]')))
        assert found.keys() == {"venues.binance.binance.symbols"}
        assert "'ETHUSDT' is not traded on paper" in found["venues.binance.binance.symbols"]

    def test_a_live_account_wants_a_word_for_strategies_inside_the_process(self) -> None:
        live = changed(("[bot]", '[bot]\nmode = "live"'), ('"quoter"', '"quoter"\nhost = "task"'))
        assert read_settings(live.replace('host = "task"', 'host = "process"')).bot.mode is Mode.LIVE
        assert wrong(live).keys() == {"strategies.quoter.trusted"}
        assert read_settings(live + "trusted = true\n").bot.mode is Mode.LIVE

    def test_more_slots_than_connections(self) -> None:
        found = wrong(changed(more="\n[venues.binance.gateway]\nsubmit_slots = 12\n"))
        assert "20 together, above binance.connections_max = 16" in found["venues.binance"]

    def test_a_venue_is_called_as_its_table(self) -> None:
        text = changed(('symbols =', 'venue = "other"\nsymbols ='))
        assert wrong(text).keys() == {"venues.binance.binance.venue"}
        second = changed(("venues.binance.", "venues.second."), ("binance:", "second:"))
        assert read_settings(second).venues["second"].binance.venue == "second"

    def test_the_fields_of_one_table_among_themselves(self) -> None:
        text = changed(more="\n[orders]\nsend_within_s = 9\n")
        assert "must be below settle_s" in wrong(text)["orders"]

    def test_two_fields_are_compared_also_where_a_third_is_wrong(self) -> None:
        params = '\n[strategies.quoter.params]\nnotional = "x"'
        text = changed(more=f"{params}\n[orders]\nsend_within_s = 9\nslots = 0\nx = 1\n")
        assert wrong(text).keys() == {"strategies.quoter.params.notional", "orders", "orders.slots", "orders.x"}

    def test_a_wrong_field_is_not_compared_with_anything(self) -> None:
        text = changed(more='\n[orders]\nsend_within_s = 9\nsettle_s = "long"\n')
        assert wrong(text).keys() == {"orders.settle_s"}


class TestReader:
    """Types, exactly."""

    @frozen
    class Sample:
        flag: bool = False
        whole: int = field(default=1, validator=validators.gt(0))
        part: float = 1.0
        exact: Decimal = Decimal(1)
        text: str = ""
        mode: Mode = Mode.PAPER
        place: Path = Path()
        listed: tuple[int, ...] = ()
        maybe: int | None = None
        table: dict[str, Decimal] = field(factory=dict)

    WRONG: ClassVar[dict[str, tuple[object, ...]]] = {
        "flag": (1, 0, "true", None),
        "whole": (1.0, True, "1", 0, None),
        "part": (True, "1", float("nan"), float("inf"), None),
        "exact": (True, "x", float("nan"), "Infinity", None, []),
        "text": (1, None, []),
        "mode": ("PAPER", 1, None, []),
        "place": (1, None),
        "listed": ("1", [1, "2"], {"1": 1}),
        "maybe": ("1", 1.0, True),
        "table": ([], {"a": "x"}, ""),
    }

    @pytest.mark.parametrize("key", WRONG)
    def test_no_type_is_guessed(self, key: str) -> None:
        for value in self.WRONG[key]:
            with pytest.raises(Problems) as caught:
                make_converter().structure({key: value}, self.Sample)
            assert [problem.path.split(".")[0] for problem in caught.value.problems] == [key], value

    def test_what_is_right_is_taken(self) -> None:
        document = tomllib.loads("""
            flag = true
            whole = 2
            part = 3
            exact = "0.10"
            text = "t"
            mode = "live"
            place = "a/b"
            listed = [1, 2]
            maybe = 3
            table = { a = 1 }
        """)
        taken = make_converter().structure(document, self.Sample)
        assert taken == self.Sample(
            True, 2, 3.0, Decimal("0.1"), "t", Mode.LIVE, Path("a/b"), (1, 2), 3, {"a": Decimal(1)}
        )

    def test_every_item_of_a_list_that_is_wrong_is_named(self) -> None:
        with pytest.raises(Problems) as caught:
            make_converter().structure({"listed": ["a", 1, "b"]}, self.Sample)
        assert [problem.path for problem in caught.value.problems] == ["listed.0", "listed.2"]

    @given(st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.dates(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=20,
    ))
    def test_any_document_is_settings_or_problems(self, value: object) -> None:
        document = {"bot": value, "venues": {"v": {"binance": value}}, "strategies": {"s": value}, "risk": value}
        with pytest.raises(Problems):
            make_converter().structure(document, Settings)


class TestUserStrategy:
    """One file outside the package."""

    SOURCE = """
from __future__ import annotations
from decimal import Decimal
from attrs import frozen
from tbot_actors.strategies import Strategy
from tests.domain.samples import BTC, BTCUSDT

@frozen
class Params:
    size: Decimal = Decimal(1)
    fast: int = 1

    def __attrs_post_init__(self) -> None:
        if self.fast > 5:
            raise ValueError("fast must be at most 5")

class Mine(Strategy):
    Params = Params

class Bare(Strategy):
    pass

class Other:
    pass
"""

    def file(self, folder: Path, source: str = SOURCE) -> Path:
        path = folder / "mine.py"
        path.write_text(source)
        return path

    def problems(self, kind: str, params: str = "") -> dict[str, str]:
        return wrong(changed(('"quoter"', f'"{kind}"\nhost = "task"'), more=f"\n[strategies.quoter.params]\n{params}"))

    def test_it_is_loaded_once_and_its_parameters_are_checked(self, tmp_path: Path) -> None:
        kind = f"{self.file(tmp_path)}:Mine"
        text = changed(('"quoter"', f'"{kind}"\nhost = "task"'), more='\n[strategies.quoter.params]\nsize = "0.5"\n')
        settings = read_settings(text).strategies["quoter"]
        strategy, params = strategy_params(settings)
        assert issubclass(strategy, Strategy)
        assert (params.size, params.fast) == (Decimal("0.5"), 1)
        assert strategy_params(settings)[0] is strategy

    def test_the_one_in_the_readme_buys_once(self, tmp_path: Path) -> None:
        readme = (REPOSITORY / "README.md").read_text()
        source = re.search(r"```python\n(.*?)```", readme, re.DOTALL)
        table = re.search(r"```toml\n(.*?)```", readme, re.DOTALL)
        assert source is not None and table is not None
        text = f"{PAPER}\n{table[1].replace('path/to/mine.py', str(self.file(tmp_path, source[1])))}"
        settings = read_settings(text).strategies["mine"]
        kind, params = strategy_params(settings)
        strategy = kind(params, (BTC,))
        view = View("mine", settings.capital, barred={}, instruments={BTC: BTCUSDT})
        quote = Quote(BTC, Decimal("61000"), Decimal(1), Decimal("61000.01"), Decimal(1), 1, 0, 0)
        (intent,) = strategy.on_quote(view, quote)
        assert isinstance(intent, Place)
        assert (intent.key, intent.quantity, intent.price) == ("entry", Decimal("0.00163"), Decimal("61000.01"))
        assert not list(strategy.on_quote(with_intent(view, quote.event, intent), quote))

    def test_its_wrong_parameters_are_named_with_the_rest(self, tmp_path: Path) -> None:
        found = self.problems(f"{self.file(tmp_path)}:Mine", "sise = 1\nfast = 9\nsize = true\n")
        assert found.keys() == {
            *("strategies.quoter.params", "strategies.quoter.params.sise", "strategies.quoter.params.size")
        }
        assert "did you mean 'size'?" in found["strategies.quoter.params.sise"]

    @pytest.mark.parametrize("name", ["Missing", "Other", "Decimal"])
    def test_a_class_that_is_no_strategy(self, tmp_path: Path, name: str) -> None:
        found = self.problems(f"{self.file(tmp_path)}:{name}")["strategies.quoter.type"]
        assert f"has no class {name!r} that is a Strategy" in found

    def test_a_strategy_without_parameters_of_its_own(self, tmp_path: Path) -> None:
        assert "has no Params" in self.problems(f"{self.file(tmp_path)}:Bare")["strategies.quoter.type"]

    def test_a_file_that_is_not_there(self, tmp_path: Path) -> None:
        assert self.problems(f"{tmp_path}/none.py:Mine")["strategies.quoter.type"].endswith("none.py does not exist")

    @pytest.mark.parametrize(
        ("source", "why"),
        [("def", "SyntaxError"), ("import no_such_module", "ModuleNotFoundError"), ("1 / 0", "ZeroDivisionError")],
    )
    def test_a_file_that_cannot_be_loaded_says_why(self, tmp_path: Path, source: str, why: str) -> None:
        found = self.problems(f"{self.file(tmp_path, source)}:Mine")["strategies.quoter.type"]
        assert f"cannot be loaded: {why}" in found

    @pytest.mark.parametrize(
        "kind", ["", ":", "oracle", "os:path", "Quoter", "x.py:", "tbot_actors.strategies.api:Strategy"]
    )
    def test_what_leads_to_no_strategy_is_told(self, kind: str) -> None:
        assert "strategies.quoter.type" in self.problems(kind)


SETTINGS_FILES = sorted(
    [ROOM / "settings.py", *ROOM.glob("**/*/settings.py"), *(ROOM / "strategies" / "library").glob("*.py")]
)


def settings_classes(path: Path) -> list[ast.ClassDef]:
    """The attrs classes of a module."""
    return [
        node
        for node in ast.parse(path.read_bytes()).body
        if isinstance(node, ast.ClassDef)
        and any(ast.unparse(decorator).startswith(("frozen", "define")) for decorator in node.decorator_list)
    ]


def test_every_room_with_settings_is_looked_at() -> None:
    looked_at = {f"{ROOM.name}.{'.'.join(path.relative_to(ROOM).with_suffix('').parts)}" for path in SETTINGS_FILES}
    composed = {kind.__module__ for kind in classes_of(Settings)} - {"tbot_actors.settings"}
    assert composed <= looked_at


def classes_of(kind: type) -> set[type]:
    """The settings classes that one is composed of, itself included."""
    found = {kind}
    for each in attrs.fields(attrs.resolve_types(kind)):
        inner = [each.type, *getattr(each.type, "__args__", ())]
        for part in inner:
            if isinstance(part, type) and attrs.has(part):
                found |= classes_of(part)
    return found


@pytest.mark.parametrize("path", SETTINGS_FILES, ids=lambda path: str(path.relative_to(ROOM)))
def test_every_setting_says_what_it_is(path: Path) -> None:
    silent = []
    for kind in settings_classes(path):
        for before, after in zip(kind.body, [*kind.body[1:], None], strict=True):
            told = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
            if isinstance(before, ast.AnnAssign) and not told:
                silent.append(f"{kind.name}.{ast.unparse(before.target)}")
    assert silent == []
