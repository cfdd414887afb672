"""How `replay` tells a person what came of an outage: while it happens, of one run, of several side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sandbox.cli.output import Output
from sandbox.core.figures import duration_ms

if TYPE_CHECKING:
    from sandbox.core.bus import Observer
    from sandbox.scenarios.loader import Scenario
    from sandbox.scenarios.results import Result


def teller(output: Output) -> Observer:
    """Says on stderr what a person would want to see while it happens."""
    from sandbox.core.events import BreakerChanged, BreakerForced, BudgetThresholdCrossed, Event, RequestFailed
    from sandbox.core.virtual import EPOCH_US
    from sandbox.scenarios.results import STATES
    from sandbox.scenarios.telling import clock_time

    def tell(event: Event) -> None:
        at = clock_time(event.t_us - EPOCH_US)
        if isinstance(event, BreakerChanged):
            state = event.state if isinstance(event, BreakerForced) else STATES[type(event)]
            output.note(f"{at}  {event.provider}  breaker {event.from_state} → {state}  {event.reason}")
        elif isinstance(event, BudgetThresholdCrossed):
            output.note(f"{at}  {event.scope}: {event.threshold * 100:g} % of the budget is spent", "yellow")
        elif isinstance(event, RequestFailed):
            output.note(f"{at}  request {event.request_id} failed: {event.error_type}", "red")

    return tell


def tell_one(output: Output, scenario: Scenario, result: Result) -> None:
    from sandbox.scenarios.telling import clock_time, fleet_text, milliseconds, percent, usd

    m = result.metrics
    out = output.out
    wire = " · on the wire" if result.fidelity == "wire" else ""
    out.line(f"{result.scenario} · seed {result.seed} · preset {result.preset}{wire}", "bold")
    if scenario.document.description:
        out.line(scenario.document.description, "dim")
    out.line()
    out.line(
        f"requests      {m['requests']:,} in {duration_ms(result.virtual_seconds * 1000)}: "
        f"{m['succeeded']:,} answered, {m['failed']:,} failed · availability {percent(m['availability'])}"
    )
    width = max(12, 2 + max(map(len, result.attempts_by_provider), default=0))
    for id, count in result.attempts_by_provider.items():
        failed, answers = result.failed_attempts_by_provider[id], result.answers_by_provider[id]
        out.line(f"  {id:<{width}}{count:,} attempts, {failed:,} failed, {answers:,} answers")
    out.line(f"failed over   {m['failovers']:,} · retries {m['retries']:,}")
    out.line(
        "latency       " + " · ".join(f"{name} {milliseconds(m[f'{key}_latency_ms'])}" for name, key in _LATENCIES)
    )
    out.line(
        f"cost          {usd(m['cost_usd'])} = {usd(m['baseline_cost_usd'])} without the outage "
        f"+ {usd(m['failover_cost_usd'])} for failing over + {usd(m['waste_usd'])} wasted"
    )
    for name, count in result.errors_by_type.items():
        out.line(f"errors        {count:,} × {name}")
    if result.fleet is not None:
        out.line(f"fleet         {fleet_text(result.fleet)}")
    if result.transitions:
        out.line()
        for one in result.transitions:
            out.line(f"  {clock_time(one.at_us)}  {one.provider}  {one.from_state} → {one.to_state}  {one.reason}")
    if result.cut:
        output.note(f"{result.cut} requests were still under way long after the end, and were cut off", "yellow")
    _tell_expectations(output, result)
    output.note(f"trace {result.trace_sha256[:16]}… · {result.wall_seconds:.2f} s", "dim")


_LATENCIES = (("median", "p50"), ("p95", "p95"), ("p99", "p99"), ("longest", "max"))


def _tell_expectations(output: Output, result: Result) -> None:
    if not result.expectations:
        return
    from sandbox.scenarios.telling import actual_text, expected_text

    out = output.out
    out.line()
    for one in result.expectations:
        mark = out.paint("✓", "green") if one["ok"] else out.paint("✗", "red")
        out.line(f"{mark} {expected_text(one)}: {actual_text(one['actual'])}")


def compare(output: Output, scenario: Scenario, results: Sequence[Result]) -> None:
    """One line for each policy."""
    from sandbox.scenarios import telling

    output.out.line(f"{scenario.name} · seed {results[0].seed}", "bold")
    rows = [telling.compared(scenario, result) for result in results]
    output.table(rows, telling.COMPARED, right=range(1, len(telling.COMPARED)))
    for result in results:
        if result.fleet is not None:
            output.out.line(f"{result.preset}: {telling.fleet_text(result.fleet)}")
