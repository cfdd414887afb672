"""`sandbox config`: the settings and where they come from."""

from __future__ import annotations

from decimal import Decimal
from functools import reduce
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from providers.redaction import redact
from sandbox.cli.output import decimal
from sandbox.cli.session import Session

if TYPE_CHECKING:
    from sandbox.settings import Loaded


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
        return ", ".join(value) or "none"
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
