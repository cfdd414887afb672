"""`sandbox fixtures`: recorded exchanges with providers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from providers.errors import FixtureError, InputError
from sandbox.cli.exits import Exit
from sandbox.cli.session import Session


async def replay(*files: Path, json: bool = False, session: Annotated[Session, Parameter(parse=False)]) -> Exit:
    """Send recorded exchanges through the real provider adapters, with the recorded bytes as the answer.

    Exits with 1 when a file cannot be replayed; a recorded error is no failure. Nothing is sent anywhere.

    Parameters
    ----------
    files
        Exchange files, or folders of them.
    json
        Print one JSON object a line, one for each file.
    """
    if not files:
        raise InputError("name at least one exchange file, or a folder of them")
    output = session.output
    unusable = 0
    for path in _expanded(files):
        try:
            row = await _row(path)
        except FixtureError as error:
            unusable += 1
            row = _unusable(path, error)
        if json:
            output.json_line(row)
        else:
            mark = output.out.paint("✓", "green") if row["ok"] else output.out.paint("✗", "red")
            output.out.line(f"{mark} {path}  {_told(row)}")
    return Exit.FAILED if unusable else Exit.DONE


def _expanded(files: tuple[Path, ...]) -> list[Path]:
    """The files named, folders replaced by the JSON files in them."""
    found: list[Path] = []
    for path in files:
        found += sorted(path.rglob("*.json")) if path.is_dir() else [path]
    return found


async def _row(path: Path) -> dict[str, Any]:
    from providers.exchange import load
    from providers.vendors import conformance

    return await conformance.replay(load(path), file=str(path))


def _unusable(path: Path, error: FixtureError) -> dict[str, Any]:
    """The row of a file that is no exchange, or one that this version cannot read."""
    empty = dict.fromkeys(
        ("text", "reasoning_text", "finish_reason", "stop", "input_tokens", "output_tokens", "cached_input_tokens",
         "cache_write_tokens", "reasoning_tokens", "usage", "model", "error_type", "error_code", "retry_after")
    )  # fmt: skip
    failure = {"error_class": "FixtureError", "error_message": str(error), "retryable": False}
    return {"file": str(path), "ok": False, **empty, "tool_calls": [], **failure, "deltas": 0}


def _told(row: dict[str, Any]) -> str:
    """What a row says, in a line."""
    if row["error_class"]:
        return f"{row['error_class']}: {row['error_message']}"
    facts = [row["model"] or "no model named", row["finish_reason"] or "no finish reason"]
    usage = row["usage"]
    facts.append(f"{usage['input_tokens']} in, {usage['output_tokens']} out" if usage else "no token numbers")
    if row["tool_calls"]:
        facts.append(f"{len(row['tool_calls'])} tool calls")
    if text := " ".join((row["text"] or "").split()):
        facts.append(f"“{text[:57]}…”" if len(text) > 58 else f"“{text}”")
    return " · ".join(facts)
