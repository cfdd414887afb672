"""What the README promises is run as it is written."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import tomllib
from decimal import Decimal
from pathlib import Path

import pytest

from providers.pricing import catalogue
from sandbox.settings import keys, load

from .cli.conftest import Cli, cli, home

__all__ = ["cli", "home"]

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


COMMANDS = [line[2:] for block in blocks("console") for line in block.splitlines() if line.startswith("$ ")]


def test_the_test_line_is_the_one_that_ci_runs() -> None:
    start, tests = (block.strip() for block in blocks("sh"))
    assert start.endswith("&& .venv/bin/sandbox")
    assert f"\n  {tests}\n" in (ROOT / ".ci" / "run").read_text()


def test_constraints_are_exact_and_name_no_index() -> None:
    lines = (ROOT / ".ci" / "constraints.txt").read_text().splitlines()
    assert all(re.fullmatch(r"#[^:]*|[A-Za-z0-9._-]+==[0-9][A-Za-z0-9.!+]*", line) for line in lines)


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_works(cli: Cli, line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SANDBOX_MOCK__PACE", "instant")
    if "|" in line:
        given, _, line = line.partition(" | ")
        monkeypatch.setattr("sandbox.cli.ask.read_stdin", lambda: shlex.split(given)[1])
    program, *arguments = shlex.split(line)
    assert program == "sandbox"
    ran = cli(*arguments)
    assert ran.code == 0, ran.err


@pytest.mark.parametrize("code", blocks("python"), ids=range(len(blocks("python"))))
def test_an_example_works(home: Path, code: str) -> None:
    example = home / "example.py"
    example.write_text(code, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-W", "error", str(example)],
        env={
            "PYTHONPATH": str(ROOT),
            "HOME": str(home),
            "SANDBOX_CONFIG_DIR": str(home / "config"),
            "SANDBOX_DATA_DIR": str(home / "data"),
        },
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout
    assert done.stderr == b""


FILES = blocks("toml")


@pytest.mark.parametrize("toml", [file for file in FILES if "[[price]]" not in file])
def test_a_settings_file_is_valid(home: Path, toml: str) -> None:
    file = home / "example.toml"
    file.write_text(toml, encoding="utf-8")
    settings = load(file, environ={}, folder=home).settings
    told = tomllib.loads(toml)
    assert settings.providers.keys() >= told["providers"].keys()
    assert settings.deadline == (45 if "deadline" in told else None)


def test_a_file_of_own_prices_is_valid(home: Path) -> None:
    (toml,) = (file for file in FILES if "[[price]]" in file)
    file = home / "prices.toml"
    file.write_text(toml, encoding="utf-8")
    prices = catalogue("current", overrides=file)
    row = prices.find("openai", "gpt-4.1")
    assert row is not None
    assert row.input == Decimal("1.8")


def test_every_shared_variable_is_listed() -> None:
    assert [name for name in keys.FOREIGN_VARIABLES if f"`{name}`" not in TEXT] == []
