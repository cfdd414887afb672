"""Reads the places a setting can come from: the TOML file, `.env`, the environment. Each yields keys with their origin.

Names are checked here, where their place is known; values are checked once, after merging.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from providers.errors import ConfigError
from sandbox.settings import keys, units
from sandbox.settings.folders import CONFIG_DIR_VARIABLE
from sandbox.settings.model import ProviderSettings, Settings
from sandbox.settings.serving import HashedKey, hashed_key

MAX_FILE_BYTES = 4 * 2**20
"""A larger settings file is refused: it is some other file."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value came from. `where` is a place in a file, a variable's name or an option's."""

    source: Literal["default", "file", ".env", "environment", "flag"]
    where: str = ""

    def __str__(self) -> str:
        return self.where or self.source


DEFAULT = Origin("default")


@dataclass(frozen=True, slots=True)
class Entry:
    """One value as a source gives it, not yet checked."""

    value: Any
    origin: Origin


Entries = dict[str, Entry]


# --- TOML ----------------------------------------------------------------------------------------------------------

_TABLE = r"\s*\[\s*([^\[\]]+?)\s*\]\s*(?:#.*)?"
_KEY = r"""\s*((?:"[^"]*"|'[^']*'|[A-Za-z0-9_-]+)(?:\s*\.\s*(?:"[^"]*"|'[^']*'|[A-Za-z0-9_-]+))*)\s*="""


def _dotted(text: str) -> str:
    return ".".join(part.strip().strip("\"'") for part in text.split("."))


def lines_of(text: str) -> dict[str, int]:
    """The line of each key and table, found by their look; enough to point a reader at a mistake."""
    found: dict[str, int] = {}
    table = ""
    for number, line in enumerate(text.splitlines(), 1):
        if match := re.fullmatch(_TABLE, line):
            table = _dotted(match[1]) + "."
            found.setdefault(table[:-1], number)
        elif match := re.match(_KEY, line):
            found.setdefault(table + _dotted(match[1]), number)
    return found


class _TomlFile:
    """One file's text, to name the place of a key."""

    def __init__(self, path: Path, text: str) -> None:
        self.path = path
        self._lines = lines_of(text)

    def place(self, key: str) -> str:
        while key:
            if key in self._lines:
                return f"{self.path}, line {self._lines[key]}"
            key = key.rpartition(".")[0]
        return str(self.path)

    def origin(self, key: str) -> Origin:
        return Origin("file", self.place(key))


def read_text(path: Path) -> str:
    """A settings file's text. Raises ConfigError for what is none."""
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise ConfigError(f"{path} is larger than {MAX_FILE_BYTES // 2**20} MiB, so it is no settings file")
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not UTF-8 text") from None
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {(error.strerror or str(error)).lower()}") from None


def parse_toml(path: Path, text: str) -> dict[str, Any]:
    """What a TOML text holds. Raises ConfigError naming the line."""
    import tomllib

    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        message, _, place = str(error).rstrip(")").partition(" (at ")
        found = re.match(r"line (\d+)", place)
        line = found[1] if found else max(1, len(text.splitlines()))  # without a line it is the end that is wrong
        raise ConfigError(f"{path}, line {line}: not valid TOML: {message[:1].lower()}{message[1:]}") from None
    except RecursionError:
        raise ConfigError(f"{path} is nested too deeply to be a settings file") from None


def read_toml(path: Path) -> Entries:
    """The settings of a TOML file. Raises ConfigError naming the file, the line if found, and the nearest valid key."""
    text = read_text(path)
    data, file = parse_toml(path, text), _TomlFile(path, text)
    return {key: Entry(_located(key, value, path.parent), file.origin(key)) for key, value in _leaves(data, file)}


def keys_in(path: Path) -> list[HashedKey]:
    """The API keys that stand in a settings file, which may not be there. Raises ConfigError for one that is wrong."""
    entry = read_toml(path).get("server.keys") if path.is_file() else None
    try:
        return [hashed_key(line) for line in units.names(entry.value if entry else [])]
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{path}: server.keys has a wrong value: {error}") from None


def _located(key: str, value: Any, folder: Path) -> Any:
    """A relative path in a file is relative to that file."""
    if isinstance(value, str) and value and keys.is_path(key):
        return folder / Path(value).expanduser()
    return value


def _leaves(data: dict[str, Any], file: _TomlFile) -> Iterator[tuple[str, Any]]:
    for name, value in data.items():
        field = Settings.model_fields.get(name)
        if field is None:
            raise _unknown(name, file.place(name))
        section = keys.section_of(field)
        if name in keys.SHORTHAND and isinstance(value, str):
            yield keys.SHORTHAND[name], value
        elif name == "providers":
            for provider, table in _table(name, value, file).items():
                _check_provider_id(provider, file.place(f"providers.{provider}"))
                key = f"providers.{provider}"
                yield from _members(key, _table(key, table, file), ProviderSettings.model_fields, file)
                if not table:
                    yield key, {}
        elif name == "equivalents":
            for tier, models in _table(name, value, file).items():
                yield f"equivalents.{tier}", models
        elif section is not None:
            yield from _members(name, _table(name, value, file), section.model_fields, file)
        else:
            yield name, value


def _table(key: str, value: Any, file: _TomlFile) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ConfigError(f"{file.place(key)}: {key} is a table: write [{key}] and its keys below it")
    return value


def _members(
    prefix: str, table: dict[str, Any], fields: Mapping[str, Any], file: _TomlFile
) -> Iterator[tuple[str, Any]]:
    for name, value in table.items():
        key = f"{prefix}.{name}"
        if name not in fields:
            raise _unknown(key, file.place(key))
        yield key, value


def _unknown(key: str, place: str) -> ConfigError:
    near = keys.nearest_key(key)
    hint = f"; did you mean {near!r}?" if near else "; `sandbox config show` lists the keys"
    return ConfigError(f"{place}: there is no setting {key!r}{hint}")


_PROVIDER_ID = r"[a-z0-9][a-z0-9_-]{0,63}"


def _check_provider_id(name: str, place: str) -> None:
    if not re.fullmatch(_PROVIDER_ID, name):
        raise ConfigError(f"{place}: {name!r} cannot be a provider's id: use lower-case letters, digits, '-' and '_'")


# --- the environment and .env --------------------------------------------------------------------------------------

ADMIN_TOKEN_VARIABLE = "SANDBOX_ADMIN_TOKEN"  # noqa: S105 - its name
"""By which a screen is let in at a gateway elsewhere; no setting, so that no file keeps it."""
# No settings of these names: what lets a screen in, what `folders` reads, and where the tests find their material.
_RESERVED = frozenset({ADMIN_TOKEN_VARIABLE, CONFIG_DIR_VARIABLE, "SANDBOX_TEST_MATERIAL"})


def _variable_key(name: str, place: str) -> str:
    """The key of a SANDBOX_ variable. Raises ConfigError when there is none such."""
    key = keys.key_of_variable(name)
    if key in keys.SHORTHAND:
        return keys.SHORTHAND[key]
    if key.startswith("providers."):
        _check_provider_id(key.split(".")[1], place)
    if keys.field_of(key) is not None and key not in ("providers", "equivalents"):
        return key
    near = keys.nearest_key(key)
    hint = f"did you mean {keys.variable(near)}?" if near else "`sandbox config show` lists the settings"
    raise ConfigError(f"{place}: {name} is no setting; {hint}")


def read_environment(environ: Mapping[str, str]) -> tuple[Entries, list[str]]:
    """The settings in the environment, and the SANDBOX_ variables that are none and look like none.

    A name close to a setting's is taken for a slip and raises ConfigError; a far one belongs to another program.
    """
    entries: Entries = {}
    ignored: list[str] = []
    for name, key in keys.FOREIGN_VARIABLES.items():
        if value := environ.get(name):
            entries[key] = Entry(value, Origin("environment", name))
    for name in sorted(n for n in environ if n.startswith(keys.PREFIX) and n not in _RESERVED and environ[n]):
        key = keys.key_of_variable(name)
        if keys.NESTING not in name and key not in keys.SHORTHAND and keys.field_of(key) is None and not _slip(key):
            ignored.append(name)
            continue
        entries[_variable_key(name, "the environment")] = Entry(environ[name], Origin("environment", name))
    return entries, ignored


def _slip(key: str) -> bool:
    from difflib import get_close_matches

    return bool(get_close_matches(key, list(Settings.model_fields), 1, 0.75))


def read_dotenv(path: Path) -> Entries:
    """The settings of a `.env` file, without other programs' names. Raises ConfigError naming a mistake's line."""
    from io import StringIO

    from dotenv import dotenv_values
    from dotenv.parser import parse_stream

    text = read_text(path)
    bindings = list(parse_stream(StringIO(text)))
    for binding in bindings:
        if binding.error:
            # A binding's text begins with the blank lines and comments before it.
            line = binding.original.line + _blank_lines(binding.original.string)
            raise ConfigError(f"{path}, line {line}: not of the form NAME=value")
    lines = {b.key: b.original.line + _blank_lines(b.original.string) for b in bindings if b.key}
    values = dotenv_values(stream=StringIO(text))
    entries: Entries = {}
    for name in sorted(lines, key=lambda n: n.startswith(keys.PREFIX)):
        if name in _RESERVED or not (name.startswith(keys.PREFIX) or name in keys.FOREIGN_VARIABLES):
            continue
        place = f"{path}, line {lines[name]}"
        value = values.get(name)
        if value is None:
            raise ConfigError(f"{place}: {name} has no value; write {name}=value")
        key = _variable_key(name, place) if name.startswith(keys.PREFIX) else keys.FOREIGN_VARIABLES[name]
        if value:
            entries[key] = Entry(value, Origin(".env", place))
    return entries


def _blank_lines(text: str) -> int:
    return text[: len(text) - len(text.lstrip())].count("\n")
