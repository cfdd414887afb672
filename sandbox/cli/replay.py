"""`sandbox replay`: an outage from a file, in virtual time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from providers.errors import InputError
from sandbox.cli.exits import Exit
from sandbox.cli.output import Output
from sandbox.cli.session import Session
from sandbox.core.figures import duration_ms

if TYPE_CHECKING:
    from sandbox.core.bus import Observer
    from sandbox.scenarios.loader import Scenario
    from sandbox.scenarios.results import Result

Speed = Literal["virtual", "1", "10"]
Fidelity = Literal["provider", "wire"]
Breakers = Literal["local", "shared"]


def replay(
    scenario: str,
    *,
    seed: int | None = None,
    speed: Speed = "virtual",
    fidelity: Fidelity = "provider",
    replicas: int | None = None,
    breakers: Breakers = "local",
    trace: Path | None = None,
    report: Path | None = None,
    check: bool = False,
    json: bool = False,
    session: Annotated[Session, Parameter(parse=False)],
) -> Exit:
    """Run a scenario through the gateway in virtual time: the same file and seed give the same bytes every time.

    --preset puts a failover policy in place of the scenario's; given several times, they are compared on one outage.

    Parameters
    ----------
    scenario
        A built-in scenario's name (`sandbox scenarios list`), or a YAML or JSON file.
    seed
        Draw with this seed in place of the scenario's own.
    speed
        virtual: as fast as it goes; 1 or 10: that many times real time, telling what happens. The result is the same.
    fidelity
        provider: fast; wire: the vendors' own classes read and write their real formats, faults are made of bytes.
    replicas
        So many gateways, 1 to 100, take turns at the requests; adds how the fleet turns away and comes back.
    breakers
        local: each replica has its own; shared: they all have the same.
    trace
        Write every event to this file, one JSON object a line.
    report
        Write what came of it to this file: Markdown for FILE.md, JSON for FILE.json.
    check
        Exit with 3 when an expectation does not hold.
    json
        Print the result as JSON; for several presets {"scenario", "runs": […]}.
    """
    from sandbox.scenarios.builtin import scenario as named
    from sandbox.scenarios.report import FORMS, as_json, write
    from sandbox.scenarios.runner import run

    presets = session.options.presets
    if report is not None and report.suffix not in FORMS:
        raise InputError(f"--report {report}: a report ends in {' or '.join(FORMS)}")
    if trace is not None and len(presets) > 1:
        raise InputError(f"--trace {trace} takes the events of one run; name one --preset")
    loaded = named(scenario)
    output = session.output
    results = [
        run(
            loaded,
            preset=name,
            seed=seed,
            trace=trace,
            pace=_pace(speed),
            fidelity=fidelity,
            replicas=replicas,
            breakers=breakers,
            observers=[] if speed == "virtual" else [_teller(output)],
        )
        for name in (presets or (None,))
    ]
    if report is not None:
        write(report, loaded, results)
    if json:
        output.json(as_json(loaded, results))
    elif len(results) == 1:
        _tell(output, loaded, results[0])
    else:
        _compare(output, loaded, results)
    return Exit.CHECK_FAILED if check and not all(result.ok for result in results) else Exit.DONE


def _pace(speed: Speed) -> Any:
    if speed == "virtual":
        return None
    from sandbox.core.pacing import Paced

    return Paced(float(speed))


def _teller(output: Output) -> Observer:
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


def _tell(output: Output, scenario: Scenario, result: Result) -> None:
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
    for id, count in result.attempts_by_provider.items():
        failed, answers = result.failed_attempts_by_provider[id], result.answers_by_provider[id]
        out.line(f"  {id:<12}{count:,} attempts, {failed:,} failed, {answers:,} answers")
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


def _compare(output: Output, scenario: Scenario, results: Sequence[Result]) -> None:
    """One line for each policy."""
    from sandbox.scenarios import telling

    output.out.line(f"{scenario.name} · seed {results[0].seed}", "bold")
    rows = [telling.compared(scenario, result) for result in results]
    output.table(rows, telling.COMPARED, right=range(1, len(telling.COMPARED)))
    for result in results:
        if result.fleet is not None:
            output.out.line(f"{result.preset}: {telling.fleet_text(result.fleet)}")
