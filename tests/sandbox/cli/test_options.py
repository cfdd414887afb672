from __future__ import annotations

from pathlib import Path

import pytest

from providers.errors import InputError
from sandbox.cli.options import GlobalOptions, split


@pytest.mark.parametrize(
    "line",
    [
        ["--mode", "live", "ask", "hi", "--json"],
        ["ask", "--mode=live", "hi", "--json"],
        ["ask", "hi", "--json", "--mode", "live"],
    ],
)
def test_global_options_stand_anywhere(line: list[str]) -> None:
    assert split(line) == (GlobalOptions(mode="live"), ["ask", "hi", "--json"])


def test_all_of_them() -> None:
    options, rest = split(["--preset", "happyos", "--config=my file.toml", "--debug", "doctor"])
    assert options == GlobalOptions(presets=("happyos",), config=Path("my file.toml"), debug=True)
    assert rest == ["doctor"]


def test_what_stands_behind_two_dashes_is_left_alone() -> None:
    assert split(["--ascii"]) == (GlobalOptions(ascii=True), [])
    assert split(["ask", "--", "--mode", "--debug"]) == (GlobalOptions(), ["ask", "--", "--mode", "--debug"])


def test_a_lone_dash_is_an_argument() -> None:
    assert split(["ask", "-", "--json"]) == (GlobalOptions(), ["ask", "--json", "--", "-"])


@pytest.mark.parametrize("line", [["--mode"], ["--mode", "--json"], ["--mode="], ["ask", "--config"]])
def test_a_missing_value_is_named(line: list[str]) -> None:
    with pytest.raises(InputError, match=r"--(mode|config) needs a value"):
        split(line)


def test_a_repeated_option_is_named() -> None:
    with pytest.raises(InputError, match="--mode is given twice"):
        split(["--mode", "mock", "--mode=live"])


def test_several_presets_are_for_the_one_command_that_compares_them() -> None:
    options, _ = split(["replay", "--preset", "happyos", "x", "--preset=sandbox"])
    assert options.presets == ("happyos", "sandbox")
    with pytest.raises(InputError, match="--preset is given twice"):
        _ = options.preset
