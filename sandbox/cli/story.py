"""Tells a request's story to a person: the plan, the attempts, what came of them and what that cost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from providers.errors import ProviderError, StreamInterruptedError
from providers.types import (
    AttemptRecord,
    GenerationRequest,
    LLMResponse,
    ReasoningDelta,
    StreamEvent,
    StreamFinished,
    StreamInterrupted,
    StreamRestarted,
    StreamStarted,
    TextDelta,
    ToolCallDelta,
    UsageReported,
)
from sandbox.cli.output import Colour, Output, decimal
from sandbox.core.events import Event, ExchangeRecorded
from sandbox.core.figures import dollars, duration_ms

if TYPE_CHECKING:
    from sandbox.gateway.call import CallOptions
    from sandbox.gateway.gateway import Gateway
    from sandbox.runtime import Runtime

_PASSED_OVER = {"budget": "over budget"}
_MARKS: dict[str, tuple[str, Colour]] = {"ok": ("✓", "green"), "failed": ("✗", "red"), "skipped": ("-", "yellow")}


# --- the plan ------------------------------------------------------------------------------------------------------


def show_plan(
    output: Output, gateway: Gateway, request: GenerationRequest, options: CallOptions, *, json: bool
) -> None:
    """What would be asked, in order, and what it would cost at most."""
    plan = gateway.plan(request, options)
    rows = [(c.deployment.id, c.model, c.why, gateway.router.estimate(request, c)) for c in plan.candidates]
    if json:
        output.json(
            {
                "mode": gateway.mode,
                "strategy": str(plan.strategy),
                "requested_model": plan.requested_model,
                "candidates": [
                    {"provider": p, "model": m, "why": why, "estimate_usd": decimal(cost)} for p, m, why, cost in rows
                ],
            }
        )
        return
    simulated = gateway.mode != "live"
    output.table(
        [(str(i), p, m, dollars(cost, simulated=simulated), why) for i, (p, m, why, cost) in enumerate(rows, 1)],
        ("", "provider", "model", "up to", "why"),
        right=(0, 3),
    )
    output.note(f"strategy {plan.strategy}; nobody was asked", "dim")


# --- the answer ----------------------------------------------------------------------------------------------------


def show_answer(output: Output, response: LLMResponse) -> None:
    """The attempts and the sums, on stderr."""
    simulated = response.mode != "live"
    show_attempts(output, response.attempts, simulated=simulated)
    usage = response.usage
    counted = " (counted here)" if usage.estimated else ""
    facts = [
        f"{usage.input_tokens} in, {usage.output_tokens} out{counted}",
        response.finish_reason or "no finish reason",
    ]
    if response.cached:
        alike = response.metadata.get("similarity")
        what = "cached" if alike is None else f"cached for a similar question ({alike:.2f})"
        facts.append(f"{what}, saved {dollars(response.saved_usd, simulated=simulated)}")
    else:
        facts.append(_cost(response, simulated))
    if response.ttft_ms is not None:
        facts.append(f"first text {duration_ms(response.ttft_ms)}")
    facts.append(duration_ms(response.latency_ms))
    output.note(f"{response.provider} {response.model}: {' · '.join(facts)}", "bold")
    _hint(output, response.mode, response.request_id)


def _cost(response: LLMResponse, simulated: bool) -> str:
    text = dollars(response.cost_usd, simulated=simulated)
    premium = response.metadata.get("premium_usd")
    if response.failovers and isinstance(premium, Decimal):
        text += f" ({dollars(premium, simulated=simulated, signed=True)} for failing over)"
    if response.waste_usd:
        text += f", wasted {dollars(response.waste_usd, simulated=simulated)}"
    return text


def show_failure(output: Output, error: ProviderError, request_id: str, mode: str) -> None:
    """The attempts of a request that failed, on stderr; the error itself is said by whoever ends the process."""
    if isinstance(error, StreamInterruptedError) and error.partial_text:
        output.out.line()
        output.out.flush()
    show_attempts(output, error.attempts, simulated=mode != "live")
    if error.retry_after is not None:
        output.note(f"worth another try in {duration_ms(error.retry_after * 1000)}", "dim")
    _hint(output, mode, request_id)


def show_attempts(output: Output, attempts: Sequence[AttemptRecord], *, simulated: bool) -> None:
    if not attempts:
        return
    provider_width = max(len(a.provider) for a in attempts)
    model_width = max(len(a.model) for a in attempts)
    for record in attempts:
        mark, colour = _MARKS[record.outcome]
        label = f"{record.provider:<{provider_width}}  {record.model:<{model_width}}"
        told = attempt_outcome(record, simulated=simulated)
        output.note(f"{output.err.paint(mark, colour)} {label}  {told}")


def attempt_outcome(record: AttemptRecord, *, simulated: bool) -> str:
    """What came of an attempt, in a few words; money only where a failure was billed."""
    retry = f", retry {record.retry}" if record.retry else ""
    if record.outcome == "ok":
        return f"answered in {duration_ms(record.latency_ms)}{retry}"
    if record.outcome == "skipped":
        why = record.error_message if record.error_type == "tools" else None
        return f"passed over: {why or _PASSED_OVER.get(record.error_type or '', record.error_type)}"
    status = f"{record.status} " if record.status else ""
    billed = f", wasted {dollars(record.cost_usd, simulated=simulated)}" if record.cost_usd else ""
    return f"{status}{record.error_type} after {duration_ms(record.latency_ms)}{retry}{billed}"


def _hint(output: Output, mode: str, request_id: str) -> None:
    simulated = "~ simulated; " if mode != "live" else ""
    output.note(f"{simulated}request {request_id[:12]}: sandbox explain {request_id[:12]}", "dim")


# --- recordings ---------------------------------------------------------------------------------------------------


def recordings(runtime: Runtime) -> list[ExchangeRecorded]:
    """What is going to be kept of the exchanges from now on: filled while it happens. The log says what is not."""
    kept: list[ExchangeRecorded] = []

    def take(event: Event) -> None:
        if isinstance(event, ExchangeRecorded):
            kept.append(event)

    recorder = runtime.recorder
    if recorder.always or recorder.armed:
        runtime.bus.subscribe(take)
    return kept


def show_recorded(output: Output, kept: Sequence[ExchangeRecorded]) -> None:
    """Which exchanges were kept, and where."""
    for event in kept:
        output.note(f"recorded {event.provider} {event.api}: {event.file}", "dim")


# --- a stream ------------------------------------------------------------------------------------------------------


def live_text(output: Output) -> Callable[[StreamEvent], None]:
    """Shows the text of a stream on stdout as it comes."""
    shown = False

    def show(event: StreamEvent) -> None:
        nonlocal shown
        if isinstance(event, TextDelta):
            output.out.write(event.text)
            output.out.flush()
            shown = True
        elif isinstance(event, StreamRestarted):
            if shown:
                output.out.line()
                output.out.flush()
            output.note(f"discard the above ({event.reason}); {event.provider} {event.model} starts anew", "yellow")
        elif isinstance(event, StreamFinished):
            output.out.line()
            output.out.flush()

    return show


def event_lines(output: Output) -> Callable[[StreamEvent], None]:
    """Shows each event of a stream as one JSON object a line."""

    def show(event: StreamEvent) -> None:
        output.json_line(event_json(event))

    return show


def event_json(event: StreamEvent) -> dict[str, Any]:
    """One event of a stream as `ask --stream --json` prints it."""
    match event:
        case StreamStarted():
            return {"event": "started", "provider": event.provider, "model": event.model}
        case TextDelta():
            return {"event": "text", "text": event.text}
        case ReasoningDelta():
            return {"event": "reasoning", "text": event.text}
        case ToolCallDelta():
            pieces = {"index": event.index, "id": event.id, "name": event.name, "arguments": event.arguments}
            return {"event": "tool_call", **pieces}
        case UsageReported():
            counts = {"input_tokens": event.usage.input_tokens, "output_tokens": event.usage.output_tokens}
            return {"event": "usage", **counts}
        case StreamRestarted():
            return {"event": "restarted", "provider": event.provider, "model": event.model, "reason": event.reason}
        case StreamInterrupted():
            problem = {"error_type": type(event.error).__name__, "message": str(event.error)}
            return {"event": "interrupted", **problem, "partial_text": event.partial_text}
        case StreamFinished():
            return {"event": "finished", "finish_reason": event.completion.finish_reason}
