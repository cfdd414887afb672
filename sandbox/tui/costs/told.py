"""A request's story from its usage record, for who was not there when it happened."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sandbox.core.events import PlannedCandidate
from sandbox.tui.state import Entry
from sandbox.tui.story import Attempt, RequestStory, Skip

if TYPE_CHECKING:
    from sandbox.usage.base import UsageRecord

UNKEPT = "not kept (usage.store_prompts)"


def entry_of(record: UsageRecord) -> Entry:
    """What was asked; the prompt only where its user wanted prompts to be kept."""
    messages = record.story.get("messages") or []
    asked = [str(one.get("content") or "") for one in messages if one.get("role") == "user"]
    return Entry(record.request_id, record.timestamp_us, asked[-1] if asked else UNKEPT, record.requested_model,
                 mode=record.mode, status="done" if record.success else "failed")  # fmt: skip


def story_of(record: UsageRecord) -> RequestStory:
    """Plan, attempts, times and money as they were recorded."""
    kept = record.story
    began = record.timestamp_us
    rows: list[dict[str, Any]] = kept.get("attempts") or []
    story = RequestStory(
        request_id=record.request_id,
        status="done" if record.success else "cancelled" if record.error_type == "Cancelled" else "failed",
        asked_model=record.requested_model,
        tenant=record.tenant_id,
        agent=record.agent_id,
        mode=record.mode,
        stream=bool(kept.get("stream")),
        started_us=began,
        ended_us=began + round(record.latency_ms * 1000),
        strategy=kept.get("strategy"),
        plan=tuple(PlannedCandidate(*map(str, row[:3])) for row in kept.get("plan") or ()),
        failovers=record.failovers,
        cached=record.cached,
        coalesced=bool(kept.get("coalesced")),
        saved_usd=record.saved_cost,
        provider=record.provider or None,
        model=record.model or None,
        finish_reason=kept.get("finish_reason"),
        input_tokens=record.prompt_tokens,
        output_tokens=record.completion_tokens,
        estimated=record.estimated_tokens,
        cost_usd=record.estimated_cost,
        priced=record.success,
        waste_usd=record.waste_cost,
        premium_usd=record.premium_cost,
        catalogue=record.catalogue_version or None,
        latency_ms=record.latency_ms,
        ttft_ms=record.ttft_ms,
        error_type=record.error_type,
    )
    for row in rows:
        story.steps.append(_step(row, began, len(story.attempts) + 1))
    if not record.success:
        story.error_message = next((one.message for one in reversed(story.attempts) if one.message), None)
    return story


def _step(row: dict[str, Any], began_us: int, number: int) -> Attempt | Skip:
    at_us = began_us + round(row["started_ms"] * 1000)
    if row["outcome"] == "skipped":
        return Skip(row["provider"], row["model"], row["error_type"] or "", None, at_us)
    latency_ms, first = row["latency_ms"], row.get("ttft_ms")
    return Attempt(
        number,
        row["provider"],
        row["model"],
        at_us,
        row.get("retry") or 0,
        row.get("breaker") or "closed",
        row["outcome"],
        at_us + round(latency_ms * 1000),
        None if first is None else at_us + round(first * 1000),
        latency_ms,
        row.get("error_type"),
        row.get("error_message"),
        row.get("status"),
    )
