"""Scenarios and their results in words and figures, the same in every face."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from providers.faults import Fault
from sandbox.core.figures import dollars, duration_ms
from sandbox.scenarios.faults import TimedFault
from sandbox.scenarios.fleet import Fleet
from sandbox.scenarios.loader import Scenario
from sandbox.scenarios.results import Result

_FAULTS: Final = {
    "auth": "key refused",
    "content_filter": "content filter",
    "malformed_body": "malformed answer",
    "empty_body": "empty answer",
    "connection_reset": "connection reset",
    "timeout": "no answer",
    "hang": "silence after the headers",
    "malformed_event": "malformed event",
    "error_event": "error in the stream",
    "no_end_marker": "no end marker",
    "truncated_body": "answer cut short",
    "wrong_content_type": "a web page for an answer",
}
_LIMITS: Final = {"min": "≥", "max": "≤", "equals": "="}


def clock_time(at_us: int) -> str:
    """`01:32.050`: minutes, seconds and milliseconds since the start."""
    minutes, rest = divmod(at_us, 60_000_000)
    return f"{minutes:02d}:{rest / 1e6:06.3f}"


def short_time(at_us: int) -> str:
    """`1:32`: minutes and whole seconds; of hours too, `70:00`."""
    minutes, seconds = divmod(at_us // 1_000_000, 60)
    return f"{minutes}:{seconds:02d}"


def fault_text(timed: TimedFault) -> str:
    """What fails, without provider and window: `503`, `429, wait 20 s`, `503 in 50 %`."""
    fault = timed.fault
    text = "latency" if fault.kind == "latency" and timed.ramps else _what(fault)
    ramps = {name: (first, last) for name, first, last in timed.ramps}
    if "probability" in ramps:
        first, last = ramps.pop("probability")
        text += f" in {first * 100:g} → {last * 100:g} %"
    elif fault.probability < 1:
        text += f" in {fault.probability * 100:g} %"
    return ", ".join([text, *(f"{name} {first:g} → {last:g}" for name, (first, last) in ramps.items())])


def _what(fault: Fault) -> str:
    match fault.kind:
        case "http_error":
            return str(fault.status)
        case "rate_limit":
            return "429" if fault.retry_after is None else f"429, wait {fault.retry_after:g} s"
        case "quota":
            return f"429 beyond {fault.requests} requests per {fault.per:g} s"
        case "stream_cut":
            return f"cut after {fault.after_tokens} tokens"
        case "stream_stall":
            return f"stall after {fault.after_tokens} tokens"
        case "slow_stream":
            return f"{fault.tokens_per_second:g} tokens/s"
        case "trickle":
            return f"{fault.bytes_per_second:g} bytes/s"
        case "latency":
            parts = [f"×{fault.times:g}"] * (fault.times != 1) + [f"+{fault.add:g} s"] * bool(fault.add)
            return " ".join(["latency", *parts])
    return _FAULTS.get(fault.kind, fault.kind.replace("_", " "))


def window_text(timed: TimedFault) -> str:
    """`from 01:00.000 to 03:00.000`."""
    begin = f"from {clock_time(timed.begin_us)}"
    return f"{begin} on" if timed.end_us is None else f"{begin} to {clock_time(timed.end_us)}"


# --- results --------------------------------------------------------------------------------------------------------


def expected_text(one: dict[str, Any]) -> str:
    """An expectation as a person would say it."""
    about = next(name for name in ("metric", "breaker", "provider") if name in one)
    rest = {k: v for k, v in one.items() if k not in (about, "ok", "actual")}
    told = [
        f"{_LIMITS.get(k, k.replace('_', ' '))} {v:g}" if not isinstance(v, str) else f"{k} {v}"
        for k, v in rest.items()
    ]
    return f"{one[about]} {', '.join(told)}" if about == "metric" else f"{about} {one[about]} {', '.join(told)}"


def actual_text(value: Any) -> str:
    """What came of an expectation."""
    return "never" if value is None else f"{value:g}"


def fleet_text(fleet: Fleet) -> str:
    """`9 replicas, shared breakers: openai turned away in 2 s, 3 attempts wasted, …` on one line."""
    text = f"{fleet.replicas} replica{'s' * (fleet.replicas != 1)}, {fleet.breakers} breakers"
    if fleet.provider is None:
        return f"{text}: no fault"
    away = "never all turned away" if fleet.turned_away_s is None else f"turned away in {fleet.turned_away_s:g} s"
    herd = "never asked again" if fleet.herd is None else f"{fleet.herd:,} in the first second of recovery"
    return f"{text}: {fleet.provider} {away}, {fleet.wasted_attempts:,} attempts wasted, {herd}"


def percent(share: Any) -> str:
    return f"{float(share or 0) * 100:.2f} %"


def milliseconds(value: Any) -> str:
    return "–" if value is None else duration_ms(float(value))


def usd(value: Any, *, simulated: bool = True) -> str:
    """Money of a run, where everything is simulated; that of a running gateway may be real."""
    return dollars(value, simulated=simulated)


def sick(scenario: Scenario) -> list[str]:
    """The providers that something is the matter with, in the order of their faults."""
    return list(dict.fromkeys(fault.provider for fault in scenario.faults))


def recovery_us(scenario: Scenario, result: Result) -> int | None:
    """From the end of the last fault to the closing of the last breaker; None where either does not come."""
    ends = [fault.end_us for fault in scenario.faults if fault.end_us is not None]
    closed = [one.at_us for one in result.transitions if one.to_state == "closed"]
    if not ends or not closed or max(closed) < max(ends):
        return None
    return max(closed) - max(ends)


COMPARED: Final = (
    "policy", "availability", "p99", "attempts on the sick", "recovery", "cost", "failing over", "wasted", "expected",
)  # fmt: skip


def compared(scenario: Scenario, result: Result) -> tuple[str, ...]:
    """One run in the columns of COMPARED."""
    numbers = result.metrics
    recovery = recovery_us(scenario, result)
    return (
        result.preset,
        percent(numbers["availability"]),
        milliseconds(numbers["p99_latency_ms"]),
        _attempts(scenario, result),
        milliseconds(None if recovery is None else recovery / 1000),
        usd(numbers["cost_usd"]),
        usd(numbers["failover_cost_usd"]),
        usd(numbers["waste_usd"]),
        fulfilled(result.expectations),
    )


def _attempts(scenario: Scenario, result: Result) -> str:
    ids = sick(scenario)
    asked = sum(result.attempts_by_provider.get(id, 0) for id in ids)
    failed = sum(result.failed_attempts_by_provider.get(id, 0) for id in ids)
    return f"{asked:,}, {failed:,} failed" if ids else "–"


def fulfilled(expectations: Sequence[dict[str, Any]]) -> str:
    """`4 of 5`."""
    return f"{sum(one['ok'] for one in expectations)} of {len(expectations)}"
