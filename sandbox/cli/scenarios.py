"""`sandbox scenarios`: the outages that come with the program and one's own, and what a file must look like."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from providers.errors import InputError, ScenarioError
from sandbox.cli.exits import Exit
from sandbox.cli.session import Session
from sandbox.core.figures import duration_ms


def list_(*, json: bool = False, session: Annotated[Session, Parameter(parse=False)]) -> None:
    """The built-in scenarios, and your own: those that the Lab kept in the data folder.

    Parameters
    ----------
    json
        Print {"items": […]}.
    """
    from sandbox.cli.shelf import shelf_of

    shelf = shelf_of(session)
    items: list[dict[str, Any]] = []
    for shelved in shelf.all():
        one = shelved.scenario
        if one is None:
            session.output.note(f"left out: {shelved.problem}")
            continue
        items.append(
            {
                "name": shelved.key,
                "own": shelved.own,
                "file": str(shelved.path),
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
    session.output.note(
        f"your own begin with own/ and are in {shelf.folder}"
        if any(one["own"] for one in items)
        else f"scenarios of your own, kept by the Lab or by hand, go into {shelf.folder}"
    )


def show(name: str, *, session: Annotated[Session, Parameter(parse=False)]) -> None:
    """The text of a scenario, to copy and to change.

    Parameters
    ----------
    name
        A scenario's name, built-in or your own, or a file.
    """
    from sandbox.cli.shelf import place_of
    from sandbox.scenarios.source import read_text

    session.output.out.write(read_text(place_of(name, session)))


def validate(*files: str, json: bool = False, session: Annotated[Session, Parameter(parse=False)]) -> Exit:
    """Check scenario files; exits with 3 when one is wrong.

    Parameters
    ----------
    files
        Files, or names of scenarios; all built-in and own ones when none is named.
    json
        Print {"items": […]}, one for each file.
    """
    from sandbox.cli.shelf import place_of, shelf_of
    from sandbox.scenarios.loader import load

    items: list[dict[str, Any]] = []
    known = {} if files else {one.key: one.path for one in shelf_of(session).all()}
    for name in files or known:
        try:
            found = load(known.get(name) or place_of(name, session))
        except ScenarioError as error:
            items.append({"file": name, "ok": False, "problem": str(error), "notes": []})
        else:
            items.append({"file": name, "ok": True, "problem": None, "notes": found.notes})
    output = session.output
    if json:
        output.json({"items": items})
    else:
        for one in items:
            mark = output.out.paint("✓", "green") if one["ok"] else output.out.paint("✗", "red")
            output.out.line(f"{mark} {one['problem'] or one['file']}")
            for sentence in one["notes"]:
                output.out.line(f"  {sentence}")
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
