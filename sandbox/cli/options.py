"""The options that every command takes, wherever they stand on the line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from providers.errors import InputError


@dataclass(frozen=True, slots=True)
class GlobalOptions:
    mode: str | None = None
    presets: tuple[str, ...] = ()
    """As often as it was given: most commands take one, `replay` compares several."""
    config: Path | None = None
    debug: bool = False
    ascii: bool = False
    """The terminal UI draws with plain characters only."""

    @property
    def preset(self) -> str | None:
        """The one preset. Raises InputError where there are several."""
        if len(self.presets) > 1:
            raise InputError("--preset is given twice")
        return self.presets[0] if self.presets else None


_TAKES_VALUE = frozenset({"--mode", "--preset", "--config"})


def split(arguments: Sequence[str]) -> tuple[GlobalOptions, list[str]]:
    """The global options and what is left for the command. Everything after `--` is left alone.

    A lone `-` is moved behind `--`, because the parser would take it for an option. Raises InputError.
    """
    found: dict[str, str] = {}
    presets: list[str] = []
    debug = ascii = False
    rest: list[str] = []
    behind: list[str] = []
    dashes: list[str] = []
    source = iter(arguments)
    for word in source:
        name, assigned, value = word.partition("=")
        if word == "--":
            behind = list(source)
        elif name in _TAKES_VALUE:
            if not assigned:
                value = next(source, "")
            if not value or (value.startswith("-") and not assigned):
                raise InputError(f"{name} needs a value")
            if name == "--preset":
                presets.append(value)
                continue
            if name in found:
                raise InputError(f"{name} is given twice")
            found[name] = value
        elif word == "--debug":
            debug = True
        elif word == "--ascii":
            ascii = True
        elif word == "-":
            dashes.append(word)
        else:
            rest.append(word)
    if dashes or behind:
        rest += ["--", *dashes, *behind]
    config = found.get("--config")
    options = GlobalOptions(found.get("--mode"), tuple(presets), Path(config) if config else None, debug, ascii)
    return options, rest
