"""What came of an outage as a document: Markdown for people, JSON for programs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson

from providers.errors import InputError
from sandbox.core.figures import duration_ms
from sandbox.core.tables import markdown_table
from sandbox.scenarios.loader import Scenario
from sandbox.scenarios.results import Result
from sandbox.scenarios.telling import (
    COMPARED,
    actual_text,
    clock_time,
    compared,
    expected_text,
    fault_text,
    fleet_text,
    fulfilled,
    milliseconds,
    percent,
    usd,
    window_text,
)

FORMS = (".md", ".json")
MAX_TRANSITIONS = 200
"""Rows of one run's table; flapping breakers make thousands."""


def as_json(scenario: Scenario, results: Sequence[Result]) -> dict[str, Any]:
    """One run as `replay --json` prints it; several as `{scenario, runs}`."""
    runs = [result.as_dict() for result in results]
    return runs[0] if len(runs) == 1 else {"scenario": scenario.name, "runs": runs}


def write(path: Path, scenario: Scenario, results: Sequence[Result]) -> None:
    """The report into a file, in the form that its ending names. Raises InputError."""
    if path.suffix not in FORMS:
        raise InputError(f"{path}: a report ends in {' or '.join(FORMS)}")
    if path.suffix == ".md":
        data = markdown(scenario, results).encode()
    else:
        data = orjson.dumps(as_json(scenario, results), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    try:
        path.write_bytes(data)
    except OSError as error:
        raise InputError(f"cannot write the report to {path}: {error.strerror}") from None


def markdown(scenario: Scenario, results: Sequence[Result]) -> str:
    """The whole report; several runs of one scenario begin with their comparison."""
    return "\n".join(_lines(scenario, results)) + "\n"


def _lines(scenario: Scenario, results: Sequence[Result]) -> Iterator[str]:
    document = scenario.document
    yield f"# {scenario.name}"
    if document.description:
        yield from ("", document.description)
    seconds = duration_ms(document.duration * 1000)
    yield from ("", f"{seconds} of virtual time, seed {results[0].seed}, prices {document.prices}. Everything in this "
                "report was simulated, which `~` marks at money.")  # fmt: skip
    if scenario.faults:
        yield from ("", "## Faults", "", *markdown_table(("provider", "fault", "when"), [
            (timed.provider, fault_text(timed), window_text(timed)) for timed in scenario.faults
        ]))  # fmt: skip
    if len(results) > 1:
        rows = [compared(scenario, result) for result in results]
        yield from ("", "## Compared", "", *markdown_table(COMPARED, rows, right=range(1, len(COMPARED))))
    for result in results:
        yield from ("", f"## Preset {result.preset}", *_run(result))


def _run(result: Result) -> Iterator[str]:
    yield from ("", *markdown_table(("figure", "value"), list(_figures(result)), right=(1,)))
    ids = result.attempts_by_provider
    yield from ("", "### Providers", "", *markdown_table(("provider", "attempts", "failed", "answers"), [
        (id, f"{ids[id]:,}", f"{result.failed_attempts_by_provider[id]:,}", f"{result.answers_by_provider[id]:,}")
        for id in ids
    ], right=(1, 2, 3)))  # fmt: skip
    if result.expectations:
        yield from ("", f"### Expectations: {fulfilled(result.expectations)}", "")
        for one in result.expectations:
            yield f"- {'✓' if one['ok'] else '✗'} {expected_text(one)}: {actual_text(one['actual'])}"
    if result.transitions:
        shown = result.transitions[:MAX_TRANSITIONS]
        yield from ("", "### Breakers", "", *markdown_table(("at", "provider", "from", "to", "why"), [
            (clock_time(one.at_us), one.provider, one.from_state, one.to_state, one.reason) for one in shown
        ], right=(0,)))  # fmt: skip
        if len(shown) < len(result.transitions):
            yield from ("", f"And {len(result.transitions) - len(shown):,} more.")
    if result.errors_by_type:
        yield from ("", "### Errors that callers saw", "")
        yield from (f"- {count:,} × {name}" for name, count in result.errors_by_type.items())
    yield from ("", f"Trace sha256 `{result.trace_sha256}`")


def _figures(result: Result) -> Iterator[tuple[str, str]]:
    numbers = result.metrics
    yield "requests", f"{numbers['requests']:,}"
    yield "availability", percent(numbers["availability"])
    yield "failed over", f"{numbers['failovers']:,}"
    yield "retries", f"{numbers['retries']:,}"
    for name, key in (("median latency", "p50"), ("p95 latency", "p95"), ("p99 latency", "p99"), ("longest", "max")):
        yield name, milliseconds(numbers[f"{key}_latency_ms"])
    yield "cost", usd(numbers["cost_usd"])
    yield "cost without the outage", usd(numbers["baseline_cost_usd"])
    yield "for failing over", usd(numbers["failover_cost_usd"])
    yield "wasted", usd(numbers["waste_usd"])
    if result.fleet is not None:
        yield "fleet", fleet_text(result.fleet)
    if result.cut:
        yield "cut off long after the end", f"{result.cut:,}"
