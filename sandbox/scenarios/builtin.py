"""The scenarios that come with the program, by name."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from providers.errors import ScenarioError
from providers.hints import did_you_mean
from sandbox.scenarios.loader import SUFFIXES, Scenario, load

FOLDER = Path(__file__).parent / "library"


def names() -> list[str]:
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def find(name: str) -> Path:
    """The file of a built-in scenario's name, or of a path. Raises ScenarioError naming the nearest."""
    if is_path(name):
        return Path(name)
    if name not in names():
        raise unknown(name, names())
    return FOLDER / f"{name}.yaml"


def is_path(name: str) -> bool:
    """Whether a file is meant, and no scenario of that name."""
    return Path(name).suffix in SUFFIXES or "/" in name or "\\" in name


def unknown(name: str, known: Iterable[str]) -> ScenarioError:
    """The complaint about a name that no scenario has."""
    hint = did_you_mean(name, known)
    return ScenarioError(
        f"there is no scenario {name[:80]!r}: {hint}`sandbox scenarios list` names them; a file ends in .yaml"
    )


def scenario(name: str) -> Scenario:
    """The scenario of that name or file. Raises ScenarioError."""
    return load(find(name))
