"""`sandbox schema`: JSON Schemas of what commands print."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from providers.errors import InputError
from providers.hints import did_you_mean
from sandbox.cli.session import Session


def schema(
    name: str | None = None, /, *, json: bool = False, session: Annotated[Session, Parameter(parse=False)]
) -> None:
    """The JSON Schema of what a command prints with --json; without a name, the names.

    Parameters
    ----------
    name
        One of the names that `sandbox schema` lists.
    json
        Print the names as {"items": […]}.
    """
    from sandbox.cli import schemas

    output = session.output
    if name is not None:
        if name not in schemas.NAMES:
            hint = did_you_mean(name, schemas.NAMES)
            raise InputError(f"unknown schema {name!r}: {hint}there are {', '.join(schemas.NAMES)}")
        output.json(schemas.schema(name))
    elif json:
        output.json({"items": [{"name": known, "description": schemas.describe(known)} for known in schemas.NAMES]})
    else:
        output.table([(known, schemas.describe(known)) for known in schemas.NAMES])
