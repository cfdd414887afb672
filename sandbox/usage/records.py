"""The usage record in its other shapes: its id, its JSON, its row in a table, and money as whole picodollars."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from datetime import datetime, timedelta
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Any

import orjson

from providers.clock import iso, utc
from providers.types import money
from sandbox.usage.base import UsageRecord

logger = logging.getLogger(__name__)

PICO = 10**12
"""Picodollars in a dollar."""
MAX_PICO = 2**63 - 1
"""About 9.2 million dollars: what a 64-bit integer of picodollars holds."""
LARGEST_COUNT = 10**15
"""More tokens, attempts or milliseconds than a record can have; thousands of such records still sum within 64 bits."""

_FIELDS = frozenset(field.name for field in fields(UsageRecord))
_MONEY = ("estimated_cost", "waste_cost", "saved_cost", "premium_cost")

# Its own context, so that money is exact whatever precision the program around this has set.
_EXACT = Context(prec=60, rounding=ROUND_HALF_EVEN)
_PICO = Decimal(PICO)
_NO_MONEY = Decimal(0)


def log_id(tenant: str, agent: str, timestamp_us: int, suffix: str) -> str:
    """`{tenant}#{agent}#{timestamp}-{suffix}`; unique when the suffix is, for records of one microsecond."""
    return f"{tenant}#{agent}#{iso(timestamp_us)}-{suffix}"


# --- money ---------------------------------------------------------------------------------------------------------


def to_pico(usd: Decimal) -> int:
    """Whole picodollars, rounded half to even. Raises ValueError for what 64 bits cannot hold."""
    # The size first: turning a number such as 1E+999999 into an integer would take its length in memory.
    if not usd.is_finite() or usd.adjusted() > 7:
        raise ValueError(f"{usd} is no amount of dollars between -9.2 and 9.2 million")
    pico = int(_EXACT.to_integral_value(_EXACT.scaleb(usd, 12)))
    if abs(pico) > MAX_PICO:
        raise ValueError(f"{usd} is no amount of dollars between -9.2 and 9.2 million")
    return pico


def to_usd(pico: int) -> Decimal:
    """Dollars without trailing zeros, exactly."""
    return _EXACT.divide(Decimal(pico), _PICO) if pico else _NO_MONEY


# --- JSON ----------------------------------------------------------------------------------------------------------


def as_json(record: UsageRecord) -> dict[str, Any]:
    """The record for exports, without its story: timestamp as ISO 8601 UTC, money as decimal strings or null."""
    return {
        "log_id": record.log_id,
        "request_id": record.request_id,
        "tenant_id": record.tenant_id,
        "agent_id": record.agent_id,
        "timestamp": iso(record.timestamp_us),
        "mode": record.mode,
        "model": record.model,
        "requested_model": record.requested_model,
        "provider": record.provider,
        "tokens_used": record.tokens_used,
        "prompt_tokens": record.prompt_tokens,
        "completion_tokens": record.completion_tokens,
        "cached_tokens": record.cached_tokens,
        "cache_write_tokens": record.cache_write_tokens,
        "reasoning_tokens": record.reasoning_tokens,
        "estimated_cost": _money_text(record.estimated_cost),
        "waste_cost": _money_text(record.waste_cost),
        "saved_cost": _money_text(record.saved_cost),
        "premium_cost": _money_text(record.premium_cost),
        "catalogue_version": record.catalogue_version,
        "latency_ms": record.latency_ms,
        "ttft_ms": record.ttft_ms,
        "cached": record.cached,
        "success": record.success,
        "error_type": record.error_type,
        "attempts": record.attempts,
        "failovers": record.failovers,
        "trace_id": record.trace_id,
        "estimated_tokens": record.estimated_tokens,
        "prompt_hash": record.prompt_hash,
        "cache_write_1h_tokens": record.cache_write_1h_tokens,
        "service_tier": record.service_tier,
        "region": record.region,
        "priced_as": record.priced_as,
    }


def from_json(body: Mapping[str, Any]) -> UsageRecord:
    """The record of `as_json`, with its story where `body` has one.

    What an older version did not write is its default, what only a newer one knows is left out. Raises ValueError,
    KeyError, TypeError or ArithmeticError for anything else.
    """
    values = {name: value for name, value in body.items() if name in _FIELDS}
    values["timestamp_us"] = parse_time(body["timestamp"])
    for field in _MONEY:
        text = values.get(field)
        if text is not None:
            values[field] = Decimal(text)
    return UsageRecord(**values)


def _money_text(usd: Decimal | None) -> str | None:
    return None if usd is None else format(usd, "f")


_EPOCH = utc(0)


def parse_time(text: str) -> int:
    """UTC microseconds of an ISO 8601 text with a time zone. Raises ValueError for anything else."""
    return (datetime.fromisoformat(text) - _EPOCH) // timedelta(microseconds=1)


# --- rows ----------------------------------------------------------------------------------------------------------

COLUMNS = (
    "id", "log_id", "request_id", "tenant_id", "agent_id", "timestamp_us",
    "mode", "model", "requested_model", "provider",
    "tokens_used", "prompt_tokens", "completion_tokens", "cached_tokens",
    "estimated_cost_pico", "waste_cost_pico", "saved_cost_pico", "catalogue_version",
    "latency_ms", "ttft_ms", "cached", "success", "error_type", "attempts", "failovers", "trace_id",
    "estimated_tokens", "story",
    "cache_write_tokens", "reasoning_tokens", "premium_cost_pico", "prompt_hash",
    "cache_write_1h_tokens", "service_tier", "region", "priced_as",
)  # fmt: skip
"""The columns of table `usage`, in the order of `to_row` and `from_row`."""


def to_row(number: int, r: UsageRecord) -> tuple[Any, ...]:
    """The row numbered `number`. Money that 64 bits cannot hold becomes unpriced, with a warning: never a float."""
    try:
        cost = None if r.estimated_cost is None else to_pico(r.estimated_cost)
        waste = to_pico(r.waste_cost)
        saved = None if r.saved_cost is None else to_pico(r.saved_cost)
        premium = None if r.premium_cost is None else to_pico(r.premium_cost)
    except ValueError as error:
        logger.warning("usage record %s is kept as unpriced: %s", r.log_id, error)
        cost, waste, saved, premium = None, 0, None, None
    return (
        number, r.log_id, r.request_id, r.tenant_id, r.agent_id, r.timestamp_us,
        r.mode, r.model, r.requested_model, r.provider,
        r.tokens_used, r.prompt_tokens, r.completion_tokens, r.cached_tokens,
        cost, waste, saved, r.catalogue_version,
        r.latency_ms, r.ttft_ms, 1 if r.cached else 0, 1 if r.success else 0,
        r.error_type, r.attempts, r.failovers, r.trace_id,
        1 if r.estimated_tokens else 0, story_text(r.story) if r.story else None,
        r.cache_write_tokens, r.reasoning_tokens, premium, r.prompt_hash,
        r.cache_write_1h_tokens, r.service_tier, r.region, r.priced_as,
    )  # fmt: skip


def from_row(row: Sequence[Any]) -> UsageRecord:
    """The record of a row selected as COLUMNS."""
    (
        _, log, request, tenant, agent, time_us, mode, model, requested, provider,
        tokens, prompt, completion, cached_tokens, cost, waste, saved, catalogue,
        latency, ttft, cached, success, error, attempts, failovers, trace, estimated, story,
        cache_writes, reasoning, premium, prompt_hash, hour_writes, service, region, priced_as,
    ) = row  # fmt: skip
    return UsageRecord(
        log_id=log,
        request_id=request,
        tenant_id=tenant,
        agent_id=agent,
        timestamp_us=time_us,
        mode=mode,
        model=model,
        requested_model=requested,
        provider=provider,
        tokens_used=tokens,
        prompt_tokens=prompt,
        completion_tokens=completion,
        cached_tokens=cached_tokens,
        cache_write_tokens=cache_writes,
        reasoning_tokens=reasoning,
        estimated_cost=None if cost is None else to_usd(cost),
        waste_cost=to_usd(waste),
        saved_cost=None if saved is None else to_usd(saved),
        premium_cost=None if premium is None else to_usd(premium),
        catalogue_version=catalogue,
        latency_ms=latency,
        ttft_ms=ttft,
        cached=bool(cached),
        success=bool(success),
        error_type=error,
        attempts=attempts,
        failovers=failovers,
        trace_id=trace,
        estimated_tokens=bool(estimated),
        prompt_hash=prompt_hash,
        cache_write_1h_tokens=hour_writes,
        service_tier=service,
        region=region,
        priced_as=priced_as,
        story=read_story(story) if story else {},
    )


def mended(record: UsageRecord) -> UsageRecord:
    """The record in a form that a table can hold.

    Lone surrogates (an HTTP header in another encoding) are spelled out, counts and durations are held between 0 and
    LARGEST_COUNT, durations that are no numbers become 0, and a float of money is taken by its shortest text.
    """
    changes: dict[str, Any] = {}
    for field in fields(record):
        value = getattr(record, field.name)
        if field.name in _MONEY:
            changes[field.name] = money(value)
        elif isinstance(value, str):
            changes[field.name] = value.encode("utf-8", "backslashreplace").decode()
        elif isinstance(value, int) and not isinstance(value, bool) and field.name != "timestamp_us":
            changes[field.name] = min(max(value, 0), LARGEST_COUNT)
        elif isinstance(value, float):
            changes[field.name] = min(max(value, 0.0), float(LARGEST_COUNT)) if value == value else 0.0
    return replace(record, **changes)


def story_text(story: Mapping[str, Any]) -> str:
    """The story as JSON, money in it as decimal strings."""
    try:
        return orjson.dumps(story, default=_plain).decode()
    except TypeError:
        # Lone surrogates and integers beyond 64 bits: orjson refuses them, the standard library writes them.
        return json.dumps(story, default=_plain, skipkeys=True)


def read_story(text: str) -> dict[str, Any]:
    """The story of `story_text`, money still as text. Raises ValueError for anything else."""
    try:
        story: dict[str, Any] = orjson.loads(text)
    except orjson.JSONDecodeError:
        story = json.loads(text)
    return story


def _plain(value: object) -> object:
    if isinstance(value, Decimal):
        return format(value, "f")
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    return str(value)
