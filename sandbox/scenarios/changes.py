"""What two runs of a scenario differ in: before and after somebody changed its file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sandbox.scenarios.results import METRICS, Result
from sandbox.scenarios.telling import actual_text, expected_text, milliseconds, percent, usd


def changes(before: Result, after: Result) -> list[str]:
    """One line for each metric that moved and each expectation that flipped, came or went; empty: nothing changed."""
    return [*_moved(before, after), *_flipped(before, after)]


def _moved(before: Result, after: Result) -> Iterator[str]:
    for name in METRICS:
        was, now = before.metrics[name], after.metrics[name]
        if was != now:
            told = name.removesuffix("_ms").removesuffix("_usd").replace("_", " ")
            yield f"{told} {_shown(name, was)} → {_shown(name, now)}"
    for id in dict.fromkeys([*before.attempts_by_provider, *after.attempts_by_provider]):
        was, now = before.attempts_by_provider.get(id), after.attempts_by_provider.get(id)
        if was != now:
            yield f"attempts at {id} {_count(was)} → {_count(now)}"
    if len(before.transitions) != len(after.transitions):
        yield f"breaker transitions {len(before.transitions):,} → {len(after.transitions):,}"


def _shown(name: str, value: Any) -> str:
    if name.endswith("_usd"):
        return usd(value)
    if name.endswith("_ms"):
        return milliseconds(value)
    return percent(value) if name == "availability" else _count(value)


def _count(value: Any) -> str:
    return "none" if value is None else f"{value:,}"


def _flipped(before: Result, after: Result) -> Iterator[str]:
    old = {expected_text(one): one for one in before.expectations}
    new = {expected_text(one): one for one in after.expectations}
    for text, one in new.items():
        was = old.get(text)
        if was is None:
            yield f"{_mark(one)} {text}: {actual_text(one['actual'])} (new)"
        elif was["ok"] != one["ok"]:
            yield f"{_mark(was)} → {_mark(one)} {text}: {actual_text(was['actual'])} → {actual_text(one['actual'])}"
    for text in old:
        if text not in new:
            yield f"{text} (gone)"


def _mark(one: dict[str, Any]) -> str:
    return "✓" if one["ok"] else "✗"
