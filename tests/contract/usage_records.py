"""Usage records for tests, and a plain reckoning of what a store must say about them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal
from typing import Any

from sandbox.usage import periods
from sandbox.usage.base import Dimension, UsageFilter, UsageRecord, UsageTotals
from sandbox.usage.records import log_id

START_US = 1_735_689_600_000_000
"""2025-01-01T00:00:00Z."""
HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US


def a_record(number: int = 0, **changes: Any) -> UsageRecord:
    """A successful, priced record; `number` makes its ids and moves it by a microsecond."""
    values: dict[str, Any] = {
        "request_id": f"req-{number:06d}",
        "tenant_id": "acme",
        "agent_id": "writer",
        "timestamp_us": START_US + number,
        "mode": "mock",
        "model": "gpt-4",
        "requested_model": "gpt-4",
        "provider": "openai",
        "tokens_used": 150,
        "prompt_tokens": 100,
        "completion_tokens": 50,
        "cached_tokens": 10,
        "estimated_cost": Decimal("0.006"),
        "catalogue_version": "seeds-2024",
        "latency_ms": 812.25,
        "ttft_ms": 93.5,
        "attempts": 1,
        "trace_id": "trace",
        **changes,
    }
    name = log_id(values["tenant_id"], values["agent_id"], values["timestamp_us"], f"{number:06d}")
    return UsageRecord(**{"log_id": name, **values})


def matches(record: UsageRecord, where: UsageFilter) -> bool:
    return (
        record.mode == where.mode
        and (where.since_us is None or record.timestamp_us >= where.since_us)
        and (where.until_us is None or record.timestamp_us < where.until_us)
        and where.tenant_id in (None, record.tenant_id)
        and where.agent_id in (None, record.agent_id)
        and where.provider in (None, record.provider)
        and where.model in (None, record.model)
    )


def expected_totals(records: Iterable[UsageRecord], where: UsageFilter) -> UsageTotals:
    totals = UsageTotals()
    latency_us = 0
    for r in records:
        if not matches(r, where):
            continue
        totals.requests += 1
        totals.succeeded += r.success
        totals.failed += not r.success
        totals.cached += r.cached
        totals.prompt_tokens += r.prompt_tokens
        totals.completion_tokens += r.completion_tokens
        totals.tokens += r.tokens_used
        totals.cost_usd += r.estimated_cost or 0
        totals.waste_usd += r.waste_cost
        totals.saved_usd += r.saved_cost or 0
        totals.unpriced += r.success and r.estimated_cost is None
        totals.failovers += r.failovers
        totals.premium_usd += r.premium_cost or 0
        totals.attempts += r.attempts
        totals.estimated += r.estimated_tokens
        if r.success and not r.cached:
            totals.answered_prompt_tokens += r.prompt_tokens
            totals.answered_completion_tokens += r.completion_tokens
            read = min(r.cached_tokens, r.prompt_tokens)
            totals.answered_cached_tokens += read
            totals.answered_write_tokens += min(r.cache_write_tokens, r.prompt_tokens - read)
            totals.answered_reasoning_tokens += min(r.reasoning_tokens, r.completion_tokens)
            totals.answered_write_1h_tokens += min(
                r.cache_write_1h_tokens, r.cache_write_tokens, r.prompt_tokens - read
            )
            totals.answered_special += r.service_tier is not None or r.region is not None
            totals.answered_renamed += bool(r.priced_as)
        latency_us += round(r.latency_ms * 1000)
    return replace(totals, latency_ms_sum=latency_us / 1000)


def expected_breakdown(
    records: Iterable[UsageRecord], where: UsageFilter, by: Dimension
) -> list[tuple[str, UsageTotals]]:
    groups: dict[str, list[UsageRecord]] = {}
    for r in records:
        if matches(r, where):
            groups.setdefault(_value(r, by), []).append(r)
    named = [(name, expected_totals(group, where)) for name, group in groups.items()]
    if by in ("hour", "day", "month"):
        return sorted(named, key=lambda pair: pair[0])
    return sorted(named, key=lambda pair: (-pair[1].cost_usd, -pair[1].requests, pair[0]))


def _value(record: UsageRecord, by: Dimension) -> str:
    if by in ("hour", "day", "month"):
        return periods.name(record.timestamp_us, by)
    return {
        "tenant": record.tenant_id,
        "agent": record.agent_id,
        "provider": record.provider,
        "model": record.model,
    }[by]
