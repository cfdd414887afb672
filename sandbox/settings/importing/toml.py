"""Settings as the text of a settings file, and into one that is there already."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from providers.errors import ConfigError
from sandbox.settings.editing import put, quoted, write_text
from sandbox.settings.loading import load
from sandbox.settings.sources import read_text


def dumps(settings: Mapping[str, Any]) -> str:
    """A settings file's text: single values first, then the tables."""
    return "\n".join(_lines(settings, ())) + "\n"


def merge(settings: Mapping[str, Any], path: Path) -> None:
    """Write the settings into a settings file, all or nothing; what else it says stays as it is.

    Raises ConfigError for a file that cannot be changed, or that would be none any more.
    """
    with TemporaryDirectory(prefix="sandbox-import-") as folder:
        draft = Path(folder) / path.name
        try:
            if path.exists() and (text := read_text(path)).strip():
                draft.write_text(text, encoding="utf-8", newline="")
                for key, value in _leaves(settings, ()):
                    put(draft, key, literal(value))
            else:
                draft.write_text(dumps(settings), encoding="utf-8", newline="")
            load(draft, environ={}, folder=Path(folder))
        except ConfigError as error:
            raise ConfigError(str(error).replace(str(draft), str(path))) from None
        write_text(path, draft.read_text(encoding="utf-8"))


def literal(value: Any) -> str:
    """A single value, or a list of such, as TOML spells it."""
    if isinstance(value, list):
        return f"[{', '.join(map(literal, value))}]"
    if isinstance(value, str):
        # The escapes of JSON are among those of TOML.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return str(value).lower() if isinstance(value, bool) else repr(value)


def _leaves(table: Mapping[str, Any], way: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, value in table.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, (*way, name))
        else:
            yield (*way, name), value


def _lines(table: Mapping[str, Any], way: tuple[str, ...]) -> Iterator[str]:
    single = {name: value for name, value in table.items() if not isinstance(value, Mapping)}
    tables = {name: value for name, value in table.items() if isinstance(value, Mapping)}
    if way and (single or not tables):
        yield ""
        yield f"[{'.'.join(map(quoted, way))}]"
    for name, value in single.items():
        yield f"{quoted(name)} = {literal(value)}"
    for name, value in tables.items():
        yield from _lines(value, (*way, name))
