"""The verbs as a shell calls them, in this process: arguments in; text, JSON and exit codes out."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from attrs import frozen

from tbot_actors.cli.commands import main
from tbot_actors.cli.exits import Exit

CONFIG = Path(__file__).resolve().parents[2] / "config"
PAPER = (CONFIG / "paper.toml").read_text()


@frozen
class Answer:
    """How a command ended and what it said."""

    code: int
    out: str
    err: str


Tbot = Callable[..., Answer]


@pytest.fixture
def tbot(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Tbot:
    def call(*arguments: str | Path) -> Answer:
        monkeypatch.setattr(sys, "argv", ["tbot", *map(str, arguments)])
        code = 0
        try:
            main()
        except SystemExit as end:
            assert end.code is None or isinstance(end.code, int)
            code = end.code or 0
        return Answer(code, *capsys.readouterr())

    return call


@pytest.fixture
def config(tmp_path: Path) -> Callable[..., Path]:
    """A copy of config/paper.toml on a state folder of its own, with pieces of its text changed."""

    def write(*changes: tuple[str, str]) -> Path:
        text = PAPER
        for before, after in (("var/paper", str(tmp_path / "state")), *changes):
            assert before in text, before
            text = text.replace(before, after)
        path = tmp_path / "paper.toml"
        path.write_text(text)
        return path

    return write


class TestCheck:
    @pytest.mark.parametrize("name", ["paper.toml", "replay.toml"])
    def test_a_good_configuration_is_told_in_a_persons_words(self, tbot: Tbot, name: str) -> None:
        answer = tbot("check", CONFIG / name)
        assert (answer.code, answer.err) == (0, "")
        first, *rows = answer.out.splitlines()
        assert first.endswith(f"{name} is good")
        told = dict(row.strip().split("  ", 1) for row in rows)
        assert told["bot"].startswith("TB0T, account main, state in var/")
        assert told["mode"] == "paper, against a simulated exchange on this machine"
        assert told["on stop"] == "cancels its orders and closes its positions"
        assert told["venue"] == "binance: BTCUSDT"
        assert told["strategy"] == "quoter: quoter on binance:BTCUSDT, capital 10,000"
        assert told["position"] == "at most 10 % of 20,000 per instrument"

    def test_a_broken_one_names_every_key_on_stderr_and_ends_with_78(self, tbot: Tbot) -> None:
        answer = tbot("check", CONFIG / "broken.toml")
        assert (answer.code, answer.out) == (Exit.BAD_CONFIG, "")
        first, *lines = answer.err.splitlines()
        assert first.endswith(f"broken.toml has {len(lines)} wrong settings:")
        assert all(line.startswith("  ") for line in lines)

    def test_json_is_one_object_on_stdout_either_way(self, tbot: Tbot) -> None:
        good = tbot("check", CONFIG / "paper.toml", "--json")
        assert (good.code, json.loads(good.out)) == (0, {"ok": True, "problems": []})
        bad = tbot("check", CONFIG / "broken.toml", "--json")
        assert (bad.code, bad.err) == (Exit.BAD_CONFIG, "")
        (line,) = bad.out.splitlines()
        told = json.loads(line)
        assert told["ok"] is False
        assert {"key": "strategies.momentum.params", "text": "fast must be below slow"} in told["problems"]

    def test_a_file_that_is_not_there_or_not_readable_ends_with_66(self, tbot: Tbot, tmp_path: Path) -> None:
        missing = tbot("check", tmp_path / "none.toml")
        assert missing.code == Exit.NO_INPUT
        assert "name a configuration, for example config/paper.toml" in missing.err
        assert tbot("check", tmp_path).code == Exit.NO_INPUT
        (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
        assert tbot("check", tmp_path / "binary.toml").code == Exit.NO_INPUT

    def test_a_file_that_is_no_toml_is_one_line_with_the_place(self, tbot: Tbot, tmp_path: Path) -> None:
        (tmp_path / "x.toml").write_text("[bot\n")
        answer = tbot("check", tmp_path / "x.toml")
        assert answer.code == Exit.BAD_CONFIG
        assert "line 1" in answer.err


class TestRunRefuses:
    """What ends before anything is started: no state folder is made."""

    @pytest.fixture(autouse=True)
    def leaves_nothing(self, tmp_path: Path) -> object:
        yield
        assert not (tmp_path / "state").exists()

    def live(self, config: Callable[..., Path]) -> Path:
        text = ("[strategies.momentum.params]", "trusted = true\n[strategies.momentum.params]")
        other = ("[strategies.quoter.params]", "trusted = true\n[strategies.quoter.params]")
        return config(("[bot]", '[bot]\nmode = "live"'), text, other)

    @pytest.mark.parametrize("more", [(), ("--live",)])
    def test_live_trading_is_refused_in_this_version(
        self, tbot: Tbot, config: Callable[..., Path], more: tuple[str, ...]
    ) -> None:
        answer = tbot("run", self.live(config), *more)
        assert (answer.code, answer.out) == (Exit.USAGE, "")
        assert "live trading is refused in this version" in answer.err
        assert len(answer.err.splitlines()) == 1

    def test_live_on_the_command_line_alone_is_wrong_usage(self, tbot: Tbot, config: Callable[..., Path]) -> None:
        answer = tbot("run", config(), "--live")
        assert answer.code == Exit.USAGE
        assert 'mode = "live" in the configuration too' in answer.err

    def test_an_actor_to_crash_that_is_not_there_is_told_with_those_that_are(
        self, tbot: Tbot, config: Callable[..., Path]
    ) -> None:
        answer = tbot("run", config(), "--crash", "core/oders@5s")
        assert answer.code == Exit.USAGE
        assert "core/orders" in answer.err and "strategies/quoter" in answer.err

    @pytest.mark.parametrize(
        "arguments",
        [("--for", "soon"), ("--crash", "core/orders"), ("--fro", "3s"), ("--speed", "x"), ("--for",)],
    )
    def test_wrong_usage_ends_with_64(
        self, tbot: Tbot, config: Callable[..., Path], arguments: tuple[str, ...]
    ) -> None:
        answer = tbot("run", config(), *arguments)
        assert (answer.code, answer.out) == (Exit.USAGE, "")
        assert answer.err

    def test_a_tape_that_is_not_there_ends_with_66(self, tbot: Tbot, config: Callable[..., Path]) -> None:
        assert tbot("run", config(), "--tape", "none.gz").code == Exit.NO_INPUT

    def test_a_broken_configuration_ends_with_78(self, tbot: Tbot) -> None:
        assert tbot("run", CONFIG / "broken.toml").code == Exit.BAD_CONFIG

    def test_an_unknown_verb_ends_with_64_and_names_the_near_one(self, tbot: Tbot) -> None:
        answer = tbot("runn")
        assert answer.code == Exit.USAGE
        assert '"run"' in answer.err


class TestJournalVerify:
    def test_a_folder_without_a_journal_is_told(self, tbot: Tbot, tmp_path: Path) -> None:
        answer = tbot("journal", "verify", tmp_path / "journal")
        assert (answer.code, answer.out) == (Exit.CANNOT_WRITE, "")
        assert "there is no journal in" in answer.err


def test_help_names_every_verb_of_the_readme_and_no_other(tbot: Tbot) -> None:
    readme = (CONFIG.parent / "README.md").read_text()
    rows = [line for line in readme.splitlines() if line.startswith("| `tbot ")]
    told = {row.split("`")[1].split()[1] for row in rows}
    text = tbot("--help").out
    verbs = {line.split()[1] for line in text.splitlines() if line.startswith("│ ") and line[2].isalpha()}
    assert verbs == told


def test_the_options_of_run_in_the_readme_are_those_it_has(tbot: Tbot) -> None:
    readme = (CONFIG.parent / "README.md").read_text()
    (row,) = [line for line in readme.splitlines() if line.startswith("| `tbot run ")]
    text = tbot("run", "--help").out
    for option in ("--for", "--tape", "--speed", "--crash", "--json"):
        assert option in row and option in text
