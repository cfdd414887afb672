"""`sandbox scenarios`: the outages that come with the program, and what a file of one's own must look like."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from providers.errors import InputError, ScenarioError
from sandbox.cli.exits import Exit
from sandbox.cli.session import Session
from sandbox.core.figures import duration_ms


def list_(*, json: bool = False, session: Annotated[Session, Parameter(parse=False)]) -> None:
    """The built-in scenarios.

    Parameters
    ----------
    json
        Print {"items": […]}.
    """
    from sandbox.scenarios.builtin import names, scenario

    items: list[dict[str, Any]] = []
    for name in names():
        one = scenario(name)
        items.append(
            {
                "name": name,
                "description": one.document.description,
                "duration_s": one.document.duration,
                "preset": one.document.preset,
                "faults": len(one.faults),
                "expectations": len(one.document.expect),
            }
        )
    if json:
        session.output.json({"items": items})
        return
    session.output.table(
        [(one["name"], duration_ms(one["duration_s"] * 1000), one["preset"], one["description"]) for one in items],
        ("name", "lasts", "preset", "what happens"),
        right=(1,),
    )


def show(name: str, *, session: Annotated[Session, Parameter(parse=False)]) -> None:
    """The text of a scenario, to copy and to change.

    Parameters
    ----------
    name
        A built-in scenario, or a file.
    """
    from sandbox.scenarios.builtin import find
    from sandbox.scenarios.source import read_text

    session.output.out.write(read_text(find(name)))


def validate(*files: str, json: bool = False, session: Annotated[Session, Parameter(parse=False)]) -> Exit:
    """Check scenario files; exits with 3 when one is wrong.

    Parameters
    ----------
    files
        Files, or names of built-in scenarios; all of these when none is named.
    json
        Print {"items": […]}, one for each file.
    """
    from sandbox.scenarios.builtin import names, scenario

    items: list[dict[str, Any]] = []
    for name in files or names():
        try:
            scenario(name)
        except ScenarioError as error:
            items.append({"file": name, "ok": False, "problem": str(error)})
        else:
            items.append({"file": name, "ok": True, "problem": None})
    output = session.output
    if json:
        output.json({"items": items})
    else:
        for one in items:
            mark = output.out.paint("✓", "green") if one["ok"] else output.out.paint("✗", "red")
            output.out.line(f"{mark} {one['problem'] or one['file']}")
    return Exit.DONE if all(one["ok"] for one in items) else Exit.CHECK_FAILED


def schema(*, output: Path | None = None, session: Annotated[Session, Parameter(parse=False)]) -> None:
    """The JSON Schema of scenario files, for editors that check and complete.

    Parameters
    ----------
    output
        Write it to this file.
    """
    import orjson

    from sandbox.scenarios.json_schema import json_schema

    body = json_schema()
    if output is None:
        session.output.json(body)
        return
    try:
        output.write_bytes(orjson.dumps(body, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    except OSError as error:
        raise InputError(f"--output {output}: {(error.strerror or str(error)).lower()}") from None
    session.output.note(f"written to {output}")
