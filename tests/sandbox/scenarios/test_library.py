"""The outages that come with the program do what they say."""

from __future__ import annotations

import pytest

from sandbox.scenarios.builtin import FOLDER, names, scenario
from sandbox.scenarios.runner import run


def test_there_are_enough() -> None:
    assert len(names()) >= 20


@pytest.mark.parametrize("name", names())
def test_every_expectation_of_a_built_in_scenario_holds(name: str) -> None:
    loaded = scenario(name)
    assert loaded.name == name
    assert loaded.document.description
    assert loaded.document.expect
    result = run(loaded)
    assert [one for one in result.expectations if not one["ok"]] == []
    assert result.cut == 0


@pytest.mark.parametrize("name", names())
def test_its_text_is_for_people(name: str) -> None:
    text = (FOLDER / f"{name}.yaml").read_text()
    assert text.startswith(f"version: 1\nname: {name}\ndescription: ")
    assert max(map(len, text.splitlines())) <= 160
