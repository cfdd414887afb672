from __future__ import annotations

import importlib
import inspect
import io
from functools import reduce
from pathlib import Path

import pytest

from sandbox import __version__
from sandbox.cli import app
from sandbox.cli.commands import COMMANDS, GROUPS, help_text
from sandbox.cli.output import Output

from .conftest import Cli


def test_help_lists_every_registered_command_and_no_other() -> None:
    parser = app.build()
    registered = {name for name in parser if not name.startswith("-")}
    for group in GROUPS:
        registered.remove(group)
        inner = reduce(lambda outer, name: outer[name], group.split(), parser)
        registered |= {f"{group} {name}" for name in inner if not name.startswith("-")}
    assert registered == {name for name, *_ in COMMANDS}
    text = help_text()
    for name, _, arguments, sentence in COMMANDS:
        assert f"  {name} {arguments}".rstrip() in text
        assert sentence in text
    assert max(map(len, text.splitlines())) <= 100


@pytest.mark.parametrize(("name", "place"), [(name, place) for name, place, *_ in COMMANDS])
def test_help_says_the_arguments_that_a_command_takes(name: str, place: str) -> None:
    module, _, function = place.partition(":")
    command = getattr(importlib.import_module(module), function)
    arguments = next(a for n, _, a, _ in COMMANDS if n == name)
    positional = [p for p in inspect.signature(command).parameters.values() if p.kind is not p.KEYWORD_ONLY]
    assert len(positional) == len([word for word in arguments.split() if word != "--"])
    if positional and positional[0].kind is not inspect.Parameter.VAR_POSITIONAL:
        assert (positional[0].default is not inspect.Parameter.empty) is arguments.startswith("[")
    described = inspect.getdoc(command) or ""
    for parameter in inspect.signature(command).parameters.values():
        if parameter.name != "session":
            assert f"\n{parameter.name}\n    " in described, f"{name} does not describe {parameter.name}"


@pytest.mark.parametrize("name", [name for name, *_ in COMMANDS])
def test_every_command_has_its_own_help(cli: Cli, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli(*name.split(), "--help").code == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"Usage: sandbox {name}")
    assert "--mode MODE" in shown


def test_the_version_is_the_packages(cli: Cli) -> None:
    pyproject = Path(app.__file__).parents[2] / "pyproject.toml"
    assert f'version = "{__version__}"' in pyproject.read_text()


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (["frobnicate"], "there is no command 'frobnicate'"),
        (["modles"], "there is no command 'modles': did you mean 'models'?"),
        (["config", "shwo"], "there is no command 'config shwo': did you mean 'show'?"),
        (["--frobnicate", "ask"], "there is no option '--frobnicate'"),
        (["ask"], "PROMPT requires an argument"),
        (["ask", "two", "words"], "unexpected argument 'words'"),
        (["ask", "hi", "--jsn"], "unknown option: --jsn. Did you mean --json?"),
        (["ask", "hi", "--max-tokens", "many"], 'unable to convert "many" into int'),
        (["ask", "hi", "--max-tokens", "0"], "max_tokens is 0; it must be at least 1"),
        (["ask", "hi", "--temperature", "nan"], "temperature is nan"),
        (["ask", " "], "the prompt is empty"),
        (["ask", "\udcff"], "argument 2 is not valid UTF-8 text"),
        (["costs", "--by", "prvider"], "provider"),
        (["costs", "--since", "yesterday"], "--since is 'yesterday': a duration is"),
        (["models", "--as-of", "2024-13-01"], "--as-of is '2024-13-01'; write a day as YYYY-MM-DD"),
        (["models", "--provider", "opnai"], "unknown provider 'opnai': did you mean 'openai'?"),
        (["schema", "aks"], "unknown schema 'aks': did you mean 'ask'?"),
        (["data", "prune"], "say what to delete"),
        (["data", "prune", "--older-than", "0d", "--yes"], "--older-than is '0d'"),
        (["--mode", "lvie", "ask", "hi"], "did you mean 'live'?"),
        (["--config", "gone.toml", "ask", "hi"], "cannot read gone.toml: no such file"),
        (["completion", "tcsh"], "tcsh"),
    ],
)
def test_wrong_use_is_one_sentence_and_exit_code_2(cli: Cli, line: list[str], says: str) -> None:
    ran = cli(*line)
    assert ran.code == 2
    assert says in ran.err
    assert ran.err.count("\n") == 1
    assert ran.out == ""


@pytest.mark.parametrize(
    "line",
    [
        ["ask", "hi", "--tenant", ""],
        ["ask", "hi", "--agent", " "],
        ["ask", "hi", "--stream", "--model="],
        ["ask", "hi", "--trace", ""],
        ["compare", "hi", "--tenant", ""],
        ["compare", "hi", "--models", ""],
        ["costs", "--tenant", "\t"],
        ["budget", "set", "5", "--tenant="],
        ["fixtures", "record", "hi", "--as", ""],
        ["fixtures", "import", "x.json", "--into", ""],
        ["scenarios", "schema", "--output", ""],
        ["replay", "one-500", "--report="],
    ],
)
def test_an_option_that_is_given_nothing_is_wrong_use(cli: Cli, line: list[str]) -> None:
    ran = cli(*line)
    option = next(word for word in reversed(line) if word.startswith("--")).removesuffix("=")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == f"sandbox: {option} is empty; give it a value, or leave it out\n"


@pytest.mark.parametrize(
    "line", [["fixtures", "verify", ""], ["fixtures", "replay", "x", ""], ["scenarios", "from-log", ""]]
)
def test_a_file_that_is_given_nothing_is_not_the_folder_one_is_in(cli: Cli, line: list[str]) -> None:
    ran = cli(*line)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == "sandbox: an argument is empty where a file is to be named\n"
    assert "an argument is empty" not in cli("scenarios", "from-log", ".").err


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (["ask", "--stream", ""], "the prompt is empty"),
        (["ask", "--system", "", "hi", "--max-tokens", "0"], "max_tokens is 0"),
        (["ask", "--max-tokens", "0", "--", "--tenant", ""], "unexpected argument ''"),
    ],
)
def test_what_may_be_empty_is_no_option_s_value(cli: Cli, line: list[str], says: str) -> None:
    assert says in cli(*line).err


def test_the_terminal_ui_needs_a_terminal(cli: Cli) -> None:
    ran = cli()
    assert (ran.code, ran.out) == (2, "")
    assert "needs a terminal" in ran.err


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_no_command_opens_the_terminal_ui_with_the_options(home: Path) -> None:
    opened: list[str | None] = []

    def open_ui(session: app.Session) -> int:
        opened.append(session.options.mode)
        return 7

    assert app.run(["--mode", "live"], open_ui=open_ui, output=Output(Terminal(), Terminal())) == 7
    assert opened == ["live"]


def test_a_defect_is_one_sentence_unless_asked_for_more(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise ZeroDivisionError("sk-abcdefghijklmnop")

    monkeypatch.setattr("sandbox.cli.app.build", broken)
    ran = cli("doctor")
    assert ran.code == 1
    assert ran.err == "sandbox: internal error, ZeroDivisionError: [redacted]; --debug shows where\n"
    ran = cli("doctor", "--debug")
    assert "Traceback" in ran.err
    assert "abcdefgh" not in ran.err


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_knows_commands_and_options(cli: Cli, shell: str) -> None:
    ran = cli("completion", shell)
    assert ran.code == 0
    for word in ("explain", "prune", "max-tokens", "preset"):
        assert word in ran.out
