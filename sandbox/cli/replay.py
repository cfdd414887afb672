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
from sandbox.core.figures import dollars, duration_ms

if TYPE_CHECKING:
    from sandbox.core.bus import Observer
    from sandbox.scenarios.loader import Scenario
    from sandbox.scenarios.results import Result

Speed = Literal["virtual", "1", "10"]


def replay(
    scenario: str,
    *,
    seed: int | None = None,
    speed: Speed = "virtual",
    trace: Path | None = None,
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
    trace
        Write every event to this file, one JSON object a line.
    check
        Exit with 3 when an expectation does not hold.
    json
        Print the result as JSON; for several presets {"scenario", "runs": […]}.
    """
    from sandbox.scenarios.builtin import scenario as named
    from sandbox.scenarios.runner import run

    presets = session.options.presets
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
            observers=[] if speed == "virtual" else [_teller(output)],
        )
        for name in (presets or (None,))
    ]
    if json:
        runs = [result.as_dict() for result in results]
        output.json(runs[0] if len(runs) == 1 else {"scenario": loaded.name, "runs": runs})
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
    from sandbox.core.events import BreakerChanged, BreakerForced, Event, RequestFailed
    from sandbox.core.virtual import EPOCH_US
    from sandbox.scenarios.results import STATES

    def tell(event: Event) -> None:
        at = clock_time(event.t_us - EPOCH_US)
        if isinstance(event, BreakerChanged):
            state = event.state if isinstance(event, BreakerForced) else STATES[type(event)]
            output.note(f"{at}  {event.provider}  breaker {event.from_state} → {state}  {event.reason}")
        elif isinstance(event, RequestFailed):
            output.note(f"{at}  request {event.request_id} failed: {event.error_type}", "red")

    return tell


def clock_time(at_us: int) -> str:
    """`01:32.050`: minutes, seconds and milliseconds since the start."""
    minutes, rest = divmod(at_us, 60_000_000)
    return f"{minutes:02d}:{rest / 1e6:06.3f}"


def _tell(output: Output, scenario: Scenario, result: Result) -> None:
    m = result.metrics
    out = output.out
    out.line(f"{result.scenario} · seed {result.seed} · preset {result.preset}", "bold")
    if scenario.document.description:
        out.line(scenario.document.description, "dim")
    out.line()
    out.line(
        f"requests      {m['requests']:,} in {duration_ms(result.virtual_seconds * 1000)}: "
        f"{m['succeeded']:,} answered, {m['failed']:,} failed · availability {_percent(result)}"
    )
    for id, count in result.attempts_by_provider.items():
        failed, answers = result.failed_attempts_by_provider[id], result.answers_by_provider[id]
        out.line(f"  {id:<12}{count:,} attempts, {failed:,} failed, {answers:,} answers")
    out.line(f"failed over   {m['failovers']:,} · retries {m['retries']:,}")
    out.line("latency       " + " · ".join(f"{name} {_ms(m[f'{key}_latency_ms'])}" for name, key in _LATENCIES))
    out.line(
        f"cost          {_usd(m['cost_usd'])} = {_usd(m['baseline_cost_usd'])} without the outage "
        f"+ {_usd(m['failover_cost_usd'])} for failing over + {_usd(m['waste_usd'])} wasted"
    )
    for name, count in result.errors_by_type.items():
        out.line(f"errors        {count:,} × {name}")
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
    out = output.out
    out.line()
    for one in result.expectations:
        mark = out.paint("✓", "green") if one["ok"] else out.paint("✗", "red")
        out.line(f"{mark} {expected(one)}: {_actual(one['actual'])}")


def expected(one: dict[str, Any]) -> str:
    """An expectation as a person would say it."""
    about = next(name for name in ("metric", "breaker", "provider") if name in one)
    rest = {k: v for k, v in one.items() if k not in (about, "ok", "actual")}
    words = {"min": "≥", "max": "≤", "equals": "="}
    told = [
        f"{words.get(k, k.replace('_', ' '))} {v:g}" if not isinstance(v, str) else f"{k} {v}" for k, v in rest.items()
    ]
    return f"{one[about]} {', '.join(told)}" if about == "metric" else f"{about} {one[about]} {', '.join(told)}"


def _actual(value: Any) -> str:
    return "never" if value is None else f"{value:g}"


def _percent(result: Result) -> str:
    availability = result.metrics["availability"]
    return f"{float(availability or 0) * 100:.2f} %"


def _ms(value: Any) -> str:
    return "–" if value is None else duration_ms(float(value))


def _usd(value: Any) -> str:
    return dollars(value, simulated=True)


def _compare(output: Output, scenario: Scenario, results: Sequence[Result]) -> None:
    """One line for each policy."""
    sick = dict.fromkeys(fault.provider for fault in scenario.faults)
    rows = [
        (
            result.preset,
            _percent(result),
            _ms(result.metrics["p99_latency_ms"]),
            f"{sum(result.attempts_by_provider.get(id, 0) for id in sick):,}",
            _recovery(scenario, result),
            _usd(result.metrics["cost_usd"]),
            _usd(result.metrics["failover_cost_usd"]),
            _usd(result.metrics["waste_usd"]),
            f"{sum(one['ok'] for one in result.expectations)} of {len(result.expectations)}",
        )
        for result in results
    ]
    output.out.line(f"{scenario.name} · seed {results[0].seed}", "bold")
    output.table(
        rows,
        (
            "policy",
            "availability",
            "p99",
            "attempts on the sick",
            "recovery",
            "cost",
            "failing over",
            "wasted",
            "expected",
        ),
        right=range(1, 9),
    )


def _recovery(scenario: Scenario, result: Result) -> str:
    """Seconds from the end of the last fault to the last breaker's closing."""
    ends = [fault.end_us for fault in scenario.faults if fault.end_us is not None]
    closed = [one.at_us for one in result.transitions if one.to_state == "closed"]
    if not ends or not closed or max(closed) < max(ends):
        return "–"
    return duration_ms((max(closed) - max(ends)) / 1000)
