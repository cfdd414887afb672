"""Where commands find scenarios by name: the built-in ones, and one's own as the Lab keeps them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from providers.errors import ConfigError
from sandbox.cli.session import Session

if TYPE_CHECKING:
    from sandbox.scenarios.shelf import Shelf


def shelf_of(session: Session) -> Shelf:
    """Those of the user's data folder. Raises ConfigError."""
    from sandbox.scenarios.shelf import Shelf
    from sandbox.settings.loading import load

    # Not the session's: a command may have several --preset, and names of presets that are only for scenarios.
    return Shelf(load(session.options.config).settings.data_dir)


def place_of(name: str, session: Session) -> Path:
    """The file of a name or a path; says so where one of the user's own has a built-in one's name.

    Raises ScenarioError naming the nearest, ConfigError for one's own.
    """
    from sandbox.scenarios import builtin

    if builtin.is_path(name) and Path(name).is_file():
        return Path(name)
    try:
        shelf = shelf_of(session)
    except ConfigError:
        if name not in builtin.names():
            raise
        # Settings have no part in what comes with the program.
        return builtin.find(name)
    place = shelf.place(name)
    if place.parent == builtin.FOLDER and (own := shelf.shadowed(name)) is not None:
        session.output.note(f"{name} is the built-in one; your own is {own}")
    return place
