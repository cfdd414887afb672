"""What an import took over, and what it says of each part of the file that it read.

No value of the file is repeated here that may be a secret.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

from sandbox.core.yaml_source import Place, Source, dotted

Outcome = Literal["taken", "near", "by_hand", "none"]
"""Taken as it is; taken by what is nearest; to be set by the user, a credential for one; without an equivalent."""


class Note(NamedTuple):
    """One line of the file."""

    line: int | None
    key: str
    """The way to it, such as `router_settings.num_retries`."""
    outcome: Outcome
    setting: str | None
    """The dotted key of the setting that it became."""
    text: str
    """Why, or what to do; empty where there is nothing to say."""


@dataclass(slots=True)
class Imported:
    """Settings as the settings file nests them, and the notes in the order of the file."""

    source: Source
    settings: dict[str, Any] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)
    places: dict[tuple[str, ...], Place] = field(default_factory=dict)
    """Where each setting comes from, by its way in the settings."""

    @property
    def file(self) -> Path:
        return self.source.path

    def note(self, outcome: Outcome, place: Place, text: str = "", setting: tuple[str, ...] = ()) -> None:
        """Say something about a part of the file; without a place, about what it leaves to LiteLLM's defaults."""
        line = self.source.nearest_line(*place) if place else None
        self.notes.append(Note(line, dotted(place), outcome, ".".join(setting) or None, text))

    def put(
        self, setting: tuple[str, ...], value: Any, place: Place, text: str = "", *, outcome: Outcome = "taken"
    ) -> None:
        """A setting, where it comes from, and what is to be said of that."""
        table = self.settings
        for name in setting[:-1]:
            table = table.setdefault(name, {})
        table[setting[-1]] = value
        self.places[setting] = place
        self.note(outcome, place, text, setting)

    def get(self, *setting: str) -> Any:
        """A setting that was put; None where it was not."""
        table: Any = self.settings
        for name in setting:
            if not isinstance(table, dict) or name not in table:
                return None
            table = table[name]
        return table

    def checked(self) -> None:
        """Raise ConfigError, naming file and line, for a value that is none of its setting's."""
        from pydantic import ValidationError

        from sandbox.settings.model import Settings

        try:
            Settings.model_validate(self.settings)
        except ValidationError as error:
            problem = error.errors(include_url=False)[0]
            way = tuple(str(step) for step in problem["loc"])
            while way and way not in self.places:
                way = way[:-1]
            cause = problem.get("ctx", {}).get("error")
            wrong = str(cause) if cause is not None else problem["msg"].replace("Input should", "it should", 1)
            raise self.source.error(f"cannot be taken over: {wrong}", *self.places.get(way, ())) from None

    def in_order(self) -> list[Note]:
        """The notes by line, what has none at the end."""
        return sorted(self.notes, key=lambda note: note.line or 2**31)
