"""What was observed of each request, whether a trace or the usage log tells it. Times are microseconds."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from providers.errors import InputError
from providers.pricing import estimate_tokens
from sandbox.core.events import (
    AttemptFailed,
    AttemptStarted,
    AttemptSucceeded,
    CacheHit,
    ChunkReceived,
    Event,
    RequestCompleted,
    RequestReceived,
    RouteChosen,
    StreamRestartedElsewhere,
)
from sandbox.usage.base import UsageRecord

MAX_OBSERVED: Final = 500_000
"""Requests that are looked at: some 500 MB."""


class Try(NamedTuple):
    """One attempt that came to an end."""

    at_us: int
    provider: str
    model: str
    error: str | None
    """Class name; None: it answered."""
    message: str
    status: int | None
    latency_us: int
    first_us: int | None
    """Of streams: to the first text."""


@dataclass(slots=True)
class Asked:
    """One request."""

    at_us: int
    tenant: str
    agent: str
    model: str | None
    stream: bool
    deadline_s: float | None = None
    chain: tuple[tuple[str, str], ...] = ()
    """The ids that it would have asked, in order, with their models."""
    tries: list[Try] = field(default_factory=list)
    input_tokens: int = 0
    output_tokens: int = 0
    answered: bool = False
    cached: bool = False
    moved: str | None = None
    """How its stream went on elsewhere after text had been shown: restart or continue."""


def of_trace(events: Iterable[Event]) -> list[Asked]:
    """The requests of a trace, in order. Raises InputError for too many."""
    asked: dict[str, Asked] = {}
    begun: dict[tuple[str, int], AttemptStarted] = {}
    current: dict[str, Asked] = {}
    for event in events:
        if isinstance(event, RequestReceived):
            if len(asked) >= MAX_OBSERVED:
                raise InputError(f"the trace has more than {MAX_OBSERVED:,} requests; cut it shorter")
            asked[event.request_id] = current[event.request_id] = Asked(
                event.t_us, event.tenant, event.agent, event.model, event.stream, event.deadline_s
            )
            continue
        request = current.get(event.request_id)
        if request is None:
            continue
        if isinstance(event, RouteChosen):
            request.chain = tuple((one.provider, one.model) for one in event.candidates)
        elif isinstance(event, AttemptStarted):
            begun[event.request_id, event.attempt] = event
        elif isinstance(event, (AttemptFailed, AttemptSucceeded)):
            start = begun.pop((event.request_id, event.attempt), None)
            if start is not None:
                request.tries.append(_try(start, event))
        elif isinstance(event, ChunkReceived):
            # Replaced by the provider's own count, where the answer comes to an end.
            request.output_tokens += estimate_tokens(event.text)
        elif isinstance(event, CacheHit):
            request.cached = True
        elif isinstance(event, StreamRestartedElsewhere):
            request.moved = "continue" if event.kept_chars else "restart"
        elif isinstance(event, RequestCompleted):
            request.answered = True
            request.input_tokens, request.output_tokens = event.input_tokens, event.output_tokens
            del current[event.request_id]
    return list(asked.values())


def _try(start: AttemptStarted, end: AttemptFailed | AttemptSucceeded) -> Try:
    latency = round(end.latency_ms * 1000)
    if isinstance(end, AttemptSucceeded):
        first = None if end.ttft_ms is None else round(end.ttft_ms * 1000)
        return Try(start.t_us, start.provider, start.model, None, "", None, latency, first)
    return Try(start.t_us, start.provider, start.model, end.error_type, end.message, end.status, latency, None)


async def of_records(records: AsyncIterator[UsageRecord]) -> list[Asked]:
    """The requests of usage records, in order. Raises InputError for too many."""
    asked: list[Asked] = []
    async for record in records:
        if len(asked) >= MAX_OBSERVED:
            raise InputError(f"there are more than {MAX_OBSERVED:,} requests; choose a shorter --since")
        story = record.story
        asked.append(
            Asked(
                record.timestamp_us,
                record.tenant_id,
                record.agent_id,
                record.requested_model,
                bool(story.get("stream")),
                chain=tuple((str(row[0]), str(row[1])) for row in story.get("plan") or ()),
                tries=[_told(record.timestamp_us, row) for row in story.get("attempts") or () if _ended(row)],
                input_tokens=record.prompt_tokens,
                output_tokens=record.completion_tokens,
                answered=record.success,
                cached=record.cached,
            )
        )
    return asked


def _ended(row: dict[str, Any]) -> bool:
    """Whether a row of a story is an attempt whose end says something of the provider."""
    return row["outcome"] == "ok" or (row["outcome"] == "failed" and row.get("error_type") != "Cancelled")


def _told(at_us: int, row: dict[str, Any]) -> Try:
    first = row.get("ttft_ms")
    return Try(
        at_us + round(row["started_ms"] * 1000),
        row["provider"],
        row["model"],
        row.get("error_type") if row["outcome"] == "failed" else None,
        row.get("error_message") or "",
        row.get("status"),
        round(row["latency_ms"] * 1000),
        None if first is None else round(first * 1000),
    )
