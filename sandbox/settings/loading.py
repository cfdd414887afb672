"""Merges the sources into one checked Settings and keeps where each value came from."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from providers.errors import ConfigError
from providers.redaction import redact
from sandbox.settings.folders import default_config_file

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

    from sandbox.settings.model import Settings
    from sandbox.settings.sources import Entries, Origin

SECTIONS = ("retry", "breaker", "streaming", "cache", "usage", "budgets", "aws", "shared", "mock", "ui")


@dataclass(frozen=True, slots=True)
class Loaded:
    """The settings of this run and where they came from."""

    settings: Settings
    origins: Mapping[str, Origin]
    """By dotted key (`cache.ttl`, `providers.openai.api_key`); keys that are not in it have their default."""
    config_file: Path
    """The file that was read, or would have been if it existed."""
    ignored: tuple[str, ...] = ()
    """SANDBOX_ variables that are no setting and were passed over."""
    secrets: tuple[str, ...] = field(default=(), repr=False)
    """The values of all credentials, for masking."""

    def origin(self, key: str) -> Origin:
        from sandbox.settings.sources import DEFAULT

        return self.origins.get(key, DEFAULT)

    def over_the_file(self, *keys: str) -> list[Origin]:
        """The variables that say one of these keys, and go on winning whatever is written into the file."""
        origins = map(self.origin, keys)
        # What a part is on because of `backend` is told with that.
        return [
            one for one in origins if one.source in (".env", "environment") and not one.where.startswith("backend = ")
        ]


@contextmanager
def _without_pydantic_plugins() -> Iterator[None]:
    """Looking for pydantic plugins reads the metadata of every installed package: 20 ms, of no use to settings."""
    name = "PYDANTIC_DISABLE_PLUGINS"
    before = os.environ.get(name)
    os.environ[name] = "__all__"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def load(
    config: Path | None = None,
    *,
    flags: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] = os.environ,
    folder: Path | None = None,
) -> Loaded:
    """Settings from defaults, the TOML file, `.env`, the environment and flags; the later wins.

    `config`: a file to read in place of the default one; it must exist. `flags`: values by dotted keys, None is unset.
    `folder`: where `.env` is looked for; unset: the current folder, and no other. Raises ConfigError in one sentence
    that names the place, the key, the value and the nearest valid one.
    """
    with _without_pydantic_plugins():
        return _load(config, flags or {}, environ, folder)


def _load(config: Path | None, flags: Mapping[str, Any], environ: Mapping[str, str], folder: Path | None) -> Loaded:
    from sandbox.settings import sources

    file = config if config is not None else default_config_file(environ)
    entries: Entries = {}
    if config is not None or file.is_file():
        entries |= sources.read_toml(file)
    dotenv = _dotenv_file(folder)
    if dotenv is not None:
        entries |= sources.read_dotenv(dotenv)
    from_environment, ignored = sources.read_environment(environ)
    entries |= from_environment
    for key, value in flags.items():
        if value is not None:
            option = "--" + key.replace(".", "-").replace("_", "-")
            entries[key] = sources.Entry(value, sources.Origin("flag", option))
    settings = _checked(entries)
    if "server.keys" not in entries or entries["server.keys"].origin.source == "file":
        settings.server._keys_file = file.absolute()
    return Loaded(
        settings=settings,
        origins={**_implied(settings, entries), **{key: entry.origin for key, entry in entries.items()}},
        config_file=file,
        ignored=tuple(ignored),
        secrets=tuple(secrets_of(settings)),
    )


def _implied(settings: Settings, entries: Entries) -> dict[str, Origin]:
    """The backends that came with `backend`, for `config show` to say so."""
    from sandbox.settings.backends import AWS_BACKENDS
    from sandbox.settings.sources import Origin

    given = entries.get("backend")
    if given is None:
        return {}
    origin = Origin(given.origin.source, f"backend = {settings.backend}, {given.origin}")
    return {f"{part}.backend": origin for part in AWS_BACKENDS}


def _dotenv_file(folder: Path | None) -> Path | None:
    try:
        path = (folder or Path.cwd()) / ".env"
        # A folder of that name is somebody's virtual environment.
        return path if path.is_file() else None
    except OSError:
        # The current folder is gone or may not be read.
        return None


def _checked(entries: Entries) -> Settings:
    from pydantic import ValidationError

    from sandbox.settings.model import Settings

    data: dict[str, Any] = {name: {} for name in SECTIONS}
    for key, entry in entries.items():
        *path, last = key.split(".")
        table = data
        for part in path:
            table = table.setdefault(part, {})
        if entry.value == {}:  # a provider declared without a key of its own
            table.setdefault(last, {})
        else:
            table[last] = entry.value
    try:
        return Settings.model_validate(data)
    except ValidationError as error:
        raise ConfigError(_explain(error.errors(include_url=False)[0], entries)) from None


def _explain(problem: ErrorDetails, entries: Entries) -> str:
    """One sentence: the place, the key, the value, what would be right, the nearest valid one."""
    from sandbox.settings import keys
    from sandbox.settings.fields import RuleBroken

    cause = problem.get("ctx", {}).get("error")
    if isinstance(cause, RuleBroken):
        key = cause.key
    else:
        key = _entry_key([str(part) for part in problem["loc"]], entries)
    entry = entries.get(key)
    if entry is None:
        below = [e for name, e in entries.items() if name.startswith(f"{key}.")]
        return f"{below[0].origin}: {cause}" if below else f"{key}: {cause or problem['msg']}"
    wrong = str(cause) if cause is not None else problem["msg"].replace("Input should", "it should", 1)
    options = keys.choices(key)
    if options and cause is None:
        near = keys.nearest(str(entry.value), options)
        wrong = f"use {', '.join(options[:-1])} or {options[-1]}" + (f"; did you mean {near!r}?" if near else "")
    elif problem["type"].startswith("bool"):
        wrong = "use true or false"
    if keys.is_secret(key):
        return f"{entry.origin}: {key} has a wrong value: {wrong}"
    name, given = _member(key, entry.value, [str(part) for part in problem["loc"]])
    return f"{entry.origin}: {name} is {_short(given)}: {wrong}"


def _member(key: str, value: Any, loc: list[str]) -> tuple[str, Any]:
    """The key and the value within a table that was given whole, where the location leads into it."""
    for part in loc[key.count(".") + 1 :]:
        if not isinstance(value, Mapping) or part not in value:
            break
        key, value = f"{key}.{part}", value[part]
    return key, value


def _entry_key(loc: list[str], entries: Entries) -> str:
    """The key of the longest beginning of an error's location that was given: a list's item belongs to the list."""
    for end in range(len(loc), 0, -1):
        if (key := ".".join(loc[:end])) in entries:
            return key
    return ".".join(loc)


def _short(value: Any) -> str:
    text = redact(repr(value) if isinstance(value, str) else str(value))
    return text if len(text) <= 60 else f"{text[:57]}…"


def secrets_of(settings: Settings) -> Iterable[str]:
    """The values of all credentials."""
    for provider in settings.providers.values():
        if provider.api_key is not None:
            yield provider.api_key.get_secret_value()
    aws = settings.aws
    server, cache = settings.server, settings.cache
    for secret in (aws.access_key_id, aws.secret_access_key, aws.session_token, cache.password, server.jwt_secret):
        if secret is not None:
            yield secret.get_secret_value()
