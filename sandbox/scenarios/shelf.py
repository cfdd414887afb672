"""The scenarios that one can choose from: those that came with the program, and one's own in a folder of the data."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from providers.errors import ScenarioError
from sandbox.scenarios import builtin
from sandbox.scenarios.loader import SUFFIXES, Scenario, check, load
from sandbox.scenarios.source import parse

FOLDER: Final = "scenarios"
"""Of the data folder."""
OWN: Final = "own/"
"""Stands before the names of one's own, so that one may be called as a built-in one is."""


@dataclass(frozen=True, slots=True)
class Shelved:
    """One file."""

    key: str
    """Its name, with `own/` before it for one's own."""
    path: Path
    scenario: Scenario | None
    problem: str | None
    """Why it cannot be used, in one sentence."""

    @property
    def own(self) -> bool:
        return self.key.startswith(OWN)

    @property
    def name(self) -> str:
        return self.key.removeprefix(OWN)

    def holds(self, words: str) -> bool:
        """Whether every word is in what is said of it, in any case."""
        document = self.scenario.document if self.scenario is not None else None
        parts = [self.name, "own" if self.own else "built-in", self.problem or ""]
        if document is not None:
            parts += [document.description, document.preset, *(f.provider for f in self.scenario.faults)]  # type: ignore[union-attr]
        text = " ".join(parts).lower()
        return all(word in text for word in words.lower().split())


class Shelf:
    """The files of one data folder and the built-in ones. Every method may take its time: it reads or writes files."""

    def __init__(self, data_dir: Path) -> None:
        self.folder = data_dir / FOLDER
        self._known: dict[str, tuple[tuple[int, int], Shelved]] = {}

    def all(self) -> list[Shelved]:
        """Every file, the built-in ones first; one that was not written since is not read again."""
        return [self._shelved(key, path) for key, path in self._files()]

    def find(self, key: str) -> Shelved | None:
        """The file of a key, read anew if it was written."""
        return next((self._shelved(known, path) for known, path in self._files() if known == key), None)

    def place(self, name: str) -> Path:
        """The file of a name as people type it, or of a path. Raises ScenarioError naming the nearest.

        A built-in name always stands for the built-in scenario, so that it means the same on every machine; one's own
        of that name is `own/NAME`. Elsewhere `own/` may be left out.
        """
        own = dict(self._own())
        if name in own and not Path(name).exists():
            return own[name]
        if builtin.is_path(name) and not (name.startswith(OWN) and Path(name).suffix not in SUFFIXES):
            return Path(name)
        known = [*builtin.names(), *own]
        if name in known:
            return builtin.FOLDER / f"{name}.yaml"
        if (found := self.shadowed(name)) is not None:
            return own[found]
        raise builtin.unknown(name, [*known, *(key.removeprefix(OWN) for key in own)])

    def shadowed(self, name: str) -> str | None:
        """The key of one's own scenario of this name, whether or not a built-in one takes the name."""
        keys = dict(self._own())
        return next((key for suffix in ("", *SUFFIXES) if (key := f"{OWN}{name}{suffix}") in keys), None)

    def _files(self) -> Iterator[tuple[str, Path]]:
        for name in builtin.names():
            yield name, builtin.FOLDER / f"{name}.yaml"
        yield from self._own()

    def _own(self) -> Iterator[tuple[str, Path]]:
        try:
            own = sorted(path for path in self.folder.iterdir() if path.suffix in SUFFIXES)
        except OSError:
            return
        for path in own:
            yield f"{OWN}{path.name if path.suffix != '.yaml' else path.stem}", path

    def _shelved(self, key: str, path: Path) -> Shelved:
        stamp = _stamp(path)
        known = self._known.get(key)
        if known is not None and known[0] == stamp:
            return known[1]
        try:
            found = Shelved(key, path, load(path), None)
        except ScenarioError as error:
            found = Shelved(key, path, None, str(error))
        self._known[key] = stamp, found
        return found

    def path_of(self, name: str) -> Path:
        """Where a scenario of one's own is kept."""
        return self.folder / f"{name}.yaml"

    def save(self, text: str) -> Shelved:
        """Keep a scenario under its own name, whole or not at all. Raises ScenarioError, for a wrong text too."""
        scenario = check(parse(text, self.folder / "scenario.yaml"))
        path = self.path_of(scenario.name)
        temporary = path.with_suffix(".tmp")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            temporary.write_text(text, encoding="utf-8")
            os.replace(temporary, path)
        except OSError as error:
            raise ScenarioError(f"cannot write {path}: {error.strerror}") from None
        return self._shelved(f"{OWN}{scenario.name}", path)

    def free_name(self, name: str) -> str:
        """A name like this one that no file has yet: `outage-2`."""
        taken = {one.removeprefix(OWN) for one, _ in self._files()}
        stem, _, number = name.rpartition("-")
        if not number.isdecimal() or not stem:
            stem, number = name, "1"
        count = int(number)
        while name in taken:
            count += 1
            name = f"{stem[:60]}-{count}"
        return name


def _stamp(path: Path) -> tuple[int, int]:
    try:
        stat = path.stat()
    except OSError:
        return 0, 0
    return stat.st_mtime_ns, stat.st_size
