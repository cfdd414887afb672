"""The scenarios that come with the program, by name."""

from __future__ import annotations

from pathlib import Path

from providers.errors import ScenarioError
from providers.hints import did_you_mean
from sandbox.scenarios.loader import SUFFIXES, Scenario, load

FOLDER = Path(__file__).parent / "library"


def names() -> list[str]:
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def find(name: str) -> Path:
    """The file of a built-in scenario's name, or of a path. Raises ScenarioError naming the nearest."""
    path = Path(name)
    if path.suffix in SUFFIXES or "/" in name or "\\" in name:
        return path
    if name not in names():
        hint = did_you_mean(name, names())
        raise ScenarioError(
            f"there is no scenario {name[:80]!r}: {hint}`sandbox scenarios list` names them; a file ends in .yaml"
        )
    return FOLDER / f"{name}.yaml"


def scenario(name: str) -> Scenario:
    """The scenario of that name or file. Raises ScenarioError."""
    return load(find(name))
