"""Changes one value in the settings file and leaves every other line, comments too, as it is.

The edit is made by the look of the lines and then proved by reading the result: what does not say exactly what it said
before, but for the one value, is not written.
"""

from __future__ import annotations

import copy
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from providers.errors import ConfigError
from sandbox.settings.sources import lines_of, parse_toml, read_text

_HEADER = re.compile(r"\s*\[")
_BARE = re.compile(r"[A-Za-z0-9_-]+")


def put(path: Path, key: tuple[str, ...], value: str | None) -> bool:
    """Write `value`, a TOML literal, under the key; None takes the key out. Returns whether that changed anything.

    A file that is not there is made. Raises ConfigError for one that cannot be read, changed or written.
    """
    text = read_text(path) if path.exists() else ""
    before = parse_toml(path, text)
    after = _changed(path, before, key, None if value is None else parse_toml(path, f"x = {value}")["x"])
    if after == before:
        return False
    for edited in _edits(text, key, value):
        try:
            proved = parse_toml(path, edited) == after
        except ConfigError:
            continue
        if proved:
            write_text(path, edited)
            return True
    table = ".".join(map(quoted, key[:-1]))
    place = f" under [{table}]" if table else ""
    by_hand = f"write {quoted(key[-1])} = {value}" if value is not None else f"take {quoted(key[-1])} out"
    raise ConfigError(f"{path} is not laid out so that it can be changed from here: {by_hand}{place} by hand")


def _changed(path: Path, data: dict[str, Any], key: tuple[str, ...], value: Any) -> dict[str, Any]:
    """What the file is to say."""
    changed = copy.deepcopy(data)
    *tables, last = key
    table = changed
    for name in tables:
        table = table.setdefault(name, {}) if value is not None else table.get(name, {})
        if not isinstance(table, dict):
            raise ConfigError(f"{path}: {name} is a table: write [{name}] and its keys below it")
    if value is None:
        table.pop(last, None)
    else:
        table[last] = value
    return changed


def _edits(text: str, key: tuple[str, ...], value: str | None) -> Iterator[str]:
    """Texts that may say it, the least surprising first."""
    lines = [line for line in re.split(r"(?<=\n)", text) if line]
    newline = "\r\n" if lines and lines[0].endswith("\r\n") else "\n"
    spellings = "|".join(re.escape(one) for one in (key[-1], quoted(key[-1]), f"'{key[-1]}'", f'"{key[-1]}"'))
    there = re.compile(rf"(\s*(?:[^=#]*\.\s*)?(?:{spellings})\s*=\s*)[^#\s][^#]*?(\s*(?:#.*)?)", re.DOTALL)
    for number, line in enumerate(lines):
        if match := there.fullmatch(line):
            new = "" if value is None else f"{match[1]}{value}{match[2]}"
            yield "".join([*lines[:number], new, *lines[number + 1 :]])
    if value is None:
        return
    if lines and not lines[-1].endswith("\n"):
        lines[-1] += newline
    entry = f"{quoted(key[-1])} = {value}{newline}"
    table = lines_of(text).get(".".join(key[:-1]))
    if len(key) == 1:
        at = next((n for n, line in enumerate(lines) if _HEADER.match(line)), len(lines))
        while at and at < len(lines) and lines[at - 1].lstrip()[:1] in ("", "#"):
            at -= 1  # what stands right above a table belongs to it
        yield "".join([*lines[:at], entry, *lines[at:]])
    elif table is not None:
        yield "".join([*lines[:table], entry, *lines[table:]])
    else:
        header = f"[{'.'.join(map(quoted, key[:-1]))}]{newline}"
        yield "".join([*lines, *([newline] if lines else []), header, entry])


def quoted(name: str) -> str:
    """A key as TOML spells it."""
    if _BARE.fullmatch(name):
        return name
    import json

    # The escapes of JSON are among those of TOML.
    return json.dumps(name, ensure_ascii=False).replace("\x7f", "\\u007f")


def write_text(path: Path, text: str) -> None:
    """All or nothing, with the file's own mode; where the path is a link, the file behind it."""
    target = path.resolve()
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        mode = target.stat().st_mode & 0o777 if target.exists() else 0o600
        with open(
            part, "w", encoding="utf-8", newline="", opener=lambda name, flags: os.open(name, flags, mode)
        ) as file:
            file.write(text)
        part.replace(target)
    except OSError as error:
        with suppress(OSError):
            part.unlink()
        raise ConfigError(f"cannot write {path}: {(error.strerror or str(error)).lower()}") from None
