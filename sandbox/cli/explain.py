"""`sandbox explain`: the kept story of one request."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from providers.clock import iso, utc
from providers.types import AttemptRecord
from sandbox.cli import story
from sandbox.cli.exits import CommandFailed
from sandbox.cli.output import Output, decimal
from sandbox.cli.session import Session
from sandbox.core.figures import dollars, duration_ms

if TYPE_CHECKING:
    from sandbox.usage.base import UsageRecord


async def explain(
    request_id: str, /, *, json: bool = False, session: Annotated[Session, Parameter(parse=False)]
) -> None:
    """Why a request went where it went, what it cost, what was wasted.

    Parameters
    ----------
    request_id
        Its id, or the beginning of it, as `sandbox ask` prints it.
    json
        Print one JSON object.
    """
    async with session.usage() as usage:
        record = await usage.get(request_id)
    if record is None:
        raise CommandFailed("RequestNotFound", f"there is no record of one request {request_id!r}; give more of its id")
    if json:
        session.output.json(as_json(record))
    else:
        _tell(session.output, record)


def as_json(record: UsageRecord) -> dict[str, Any]:
    """A usage record as `explain --json` prints it."""
    story_ = record.story
    return {
        "request_id": record.request_id,
        "log_id": record.log_id,
        "tenant_id": record.tenant_id,
        "agent_id": record.agent_id,
        "timestamp": iso(record.timestamp_us),
        "mode": record.mode,
        "model": record.model,
        "requested_model": record.requested_model,
        "provider": record.provider or None,
        "success": record.success,
        "error_type": record.error_type,
        "tokens_used": record.tokens_used,
        "prompt_tokens": record.prompt_tokens,
        "completion_tokens": record.completion_tokens,
        "cached_tokens": record.cached_tokens,
        "estimated_tokens": record.estimated_tokens,
        "cost_usd": decimal(record.estimated_cost),
        "waste_usd": decimal(record.waste_cost),
        "saved_usd": decimal(record.saved_cost),
        "premium_usd": story_.get("premium_usd"),
        "catalogue_version": record.catalogue_version,
        "latency_ms": round(record.latency_ms, 3),
        "ttft_ms": None if record.ttft_ms is None else round(record.ttft_ms, 3),
        "cached": record.cached,
        "similarity": story_.get("similarity"),
        "failovers": record.failovers,
        "strategy": story_.get("strategy"),
        "plan": [dict(zip(("provider", "model", "why"), row, strict=False)) for row in story_.get("plan", ())],
        "attempts": story_.get("attempts", []),
    }


def _tell(output: Output, record: UsageRecord) -> None:
    simulated = record.mode != "live"
    out = output.out
    local = utc(record.timestamp_us).astimezone()
    asked = record.requested_model or "no model in particular"
    out.line(f"request {record.request_id}", "bold")
    out.line(f"{local:%Y-%m-%d %H:%M:%S %Z} · {record.mode} mode · tenant {record.tenant_id}, agent {record.agent_id}")
    plan = record.story.get("plan") or []
    if plan:
        out.line(f"\nAsked for {asked}; planned by {record.story.get('strategy')}:")
        for number, (provider, model, why, *_) in enumerate(plan, 1):
            out.line(f"  {number} {provider} {model}: {why}")
    elif record.cached:
        alike = record.story.get("similarity")
        whose = "" if alike is None else f", for a question that is nearly the same ({alike:.2f})"
        out.line(f"\nAsked for {asked}; the answer was in the cache{whose}.")
    attempts = record.story.get("attempts") or []
    if attempts:
        out.line("\nWhat happened:")
        for row in attempts:
            out.line(f"  {row['provider']} {row['model']}: {_happened(row, simulated)}")
    out.line()
    if record.success:
        out.line(f"{record.provider} answered with {record.model} in {duration_ms(record.latency_ms)}.", "green")
    else:
        out.line(f"Nobody answered: {record.error_type} after {duration_ms(record.latency_ms)}.", "red")
    counted = ", counted here" if record.estimated_tokens else ""
    out.line(f"{record.prompt_tokens} tokens in, {record.completion_tokens} out{counted}.")
    out.line(_money(record, simulated))


def _happened(row: dict[str, Any], simulated: bool) -> str:
    shown = ("provider", "model", "outcome", "error_type", "status", "latency_ms", "retry")
    record = AttemptRecord(**{name: row[name] for name in shown})
    record.cost_usd = None if row["cost_usd"] is None else Decimal(row["cost_usd"])
    told = f"{duration_ms(row['started_ms'])} in, {story.attempt_outcome(record, simulated=simulated)}"
    breaker = row.get("breaker")
    told += f", breaker {breaker}" if breaker and breaker != "closed" else ""
    message = row.get("error_message")
    return f"{told} ({message.rstrip('.')})" if message else told


def _money(record: UsageRecord, simulated: bool) -> str:
    if record.cached:
        paid = "It cost nothing"
        if record.waste_cost:
            paid = f"Comparing it with other questions cost {dollars(record.waste_cost, simulated=simulated)}"
        return f"{paid}; the cache saved {dollars(record.saved_cost, simulated=simulated)}."
    parts = [f"It cost {dollars(record.estimated_cost, simulated=simulated)}"]
    premium = record.story.get("premium_usd")
    if record.failovers and premium is not None:
        parts.append(f"{dollars(Decimal(premium), simulated=simulated, signed=True)} against the first candidate")
    if record.waste_cost:
        parts.append(f"{dollars(record.waste_cost, simulated=simulated)} wasted on answers that were not used")
    return f"{', '.join(parts)} (prices {record.catalogue_version})."
