"""`sandbox config`: the settings and where they come from."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from providers.redaction import redact
from sandbox.cli.output import Colour, decimal
from sandbox.cli.session import Session

if TYPE_CHECKING:
    from sandbox.settings import Loaded

LONGEST = 60
"""Characters of a list that the table shows; --json has the whole of it."""


def show(*, json: bool = False, session: Annotated[Session, Parameter(parse=False)]) -> None:
    """Every setting, its value and where it came from. Credentials are never shown.

    Parameters
    ----------
    json
        Print {"items": […]}, with every key of every provider.
    """
    loaded = session.loaded
    items = list(rows(loaded))
    output = session.output
    if json:
        output.json({"config_file": str(loaded.config_file), "exists": loaded.config_file.is_file(), "items": items})
        return
    shown = [item for item in items if item["source"] != "default" or not item["key"].startswith("providers.")]
    output.table([(item["key"], _shown(item["value"]), item["where"] or "default") for item in shown])
    state = "" if loaded.config_file.is_file() else " (does not exist)"
    output.note(f"settings file: {loaded.config_file}{state}; --json lists all keys of the providers too", "dim")
    for name in loaded.ignored:
        output.note(f"{name} is no setting of this program and was passed over", "yellow")


def rows(loaded: Loaded) -> list[dict[str, Any]]:
    """Every key with its value as plain data: a credential is `set` or null."""
    from sandbox.settings import keys

    settings = loaded.settings
    names = [key for key in keys.all_keys() if not key.startswith("providers.") and key != "equivalents"]
    names += [f"equivalents.{tier}" for tier in settings.equivalents]
    names += [f"providers.{p}.{f}" for p, provider in settings.providers.items() for f in type(provider).model_fields]
    found = []
    for key in names:
        origin = loaded.origin(key)
        field = keys.field_of(key)
        found.append(
            {
                "key": key,
                "value": _plain(_value(settings, key), secret=keys.is_secret(key)),
                "source": origin.source,
                "where": origin.where or None,
                "variable": keys.variable(key),
                "description": field.description if field is not None else None,
            }
        )
    return found


def _value(settings: Any, key: str) -> Any:
    def step(value: Any, part: str) -> Any:
        return value[part] if isinstance(value, dict) else getattr(value, part)

    return reduce(step, key.split("."), settings)


def _plain(value: Any, *, secret: bool) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    if secret:
        return "set"
    if isinstance(value, Decimal):
        return decimal(value)
    if isinstance(value, dict):
        return [f"{name} = {_plain(item, secret=False)}" for name, item in value.items()]
    if isinstance(value, list):
        return [redact(str(item)) for item in value]
    return redact(str(value))


def _shown(value: Any) -> str:
    if value is None:
        return "unset"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        text = ", ".join(value) or "none"
        return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
    return f"{value:g}" if isinstance(value, float) else str(value)


def path(*, json: bool = False, session: Annotated[Session, Parameter(parse=False)]) -> None:
    """Where the settings file is; it need not exist.

    Parameters
    ----------
    json
        Print one JSON object.
    """
    from sandbox.settings.folders import default_config_file

    file = session.options.config or default_config_file()
    if json:
        session.output.json({"path": str(file), "exists": file.is_file()})
    else:
        session.output.out.line(str(file))


def import_(
    program: Literal["litellm"],
    file: Path,
    /,
    *,
    write: bool = False,
    json: bool = False,
    session: Annotated[Session, Parameter(parse=False)],
) -> None:
    """Settings from another program's configuration, and what of it has no equivalent here, line by line.

    Credentials are never taken over, only where they are to be set. To try the result on an outage:
    sandbox replay total-outage --config NEW.toml

    Parameters
    ----------
    program
        litellm: the config.yaml of LiteLLM's proxy.
    file
        Its configuration.
    write
        Put them into the settings file (of --config FILE, which need not exist) instead of printing them.
    json
        Print {"items": […], "toml": …}.
    """
    from sandbox.settings.folders import default_config_file
    from sandbox.settings.importing import litellm, toml

    found = litellm.read(file)
    found.checked()
    target = (session.options.config or default_config_file()) if write else None
    if target is not None:
        toml.merge(found.settings, target)
    notes, output, text = found.in_order(), session.output, toml.dumps(found.settings)
    if json:
        items = [note._asdict() for note in notes]
        written = None if target is None else str(target)
        output.json({"program": program, "file": str(file), "written": written, "toml": text, "items": items})
        return
    if target is None:
        output.out.write(text)
    else:
        output.out.line(f"{len(found.places)} settings of {file} are in {target}")
    for note in notes:
        if note.outcome == "taken":
            continue
        at = f"{file}:{note.line}: {note.key}" if note.line else "not in the file"
        said = {"near": "nearly the same", "by_hand": "to be set by hand", "none": "not taken over"}[note.outcome]
        output.note(f"{at}: {said}{': ' if note.text else ''}{note.text}", _COLOURS[note.outcome])


_COLOURS: Mapping[str, Colour] = {"near": "dim", "by_hand": "yellow", "none": "plain"}
