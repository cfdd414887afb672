"""The shapes of one request: its answer, its stream, its plan, its failure, its story."""

from __future__ import annotations

from typing import Literal, NotRequired

from pydantic import with_config
from typing_extensions import TypedDict

from sandbox.cli.schemas.common import STRICT, Dollars, Milliseconds, Mode, Timestamp, Tokens


@with_config(STRICT)
class Usage(TypedDict):
    """Tokens of one answer; input includes cached reads and writes, output includes reasoning."""

    input_tokens: Tokens
    output_tokens: Tokens
    total_tokens: Tokens
    cached_input_tokens: Tokens
    cache_write_tokens: Tokens
    reasoning_tokens: Tokens
    estimated: bool
    cache_write_1h_tokens: NotRequired[Tokens]
    service_tier: NotRequired[str]
    region: NotRequired[str]


@with_config(STRICT)
class Attempt(TypedDict):
    """One attempt on a candidate, or a candidate that was passed over."""

    provider: str
    model: str
    outcome: Literal["ok", "failed", "skipped"]
    error_type: str | None
    status: int | None
    started_ms: Milliseconds
    latency_ms: Milliseconds
    retry: Tokens
    breaker: str | None


@with_config(STRICT)
class Ask(TypedDict):
    """What `ask --json` prints."""

    text: str
    provider: str
    model: str
    requested_model: str | None
    finish_reason: str | None
    usage: Usage
    cost_usd: Dollars | None
    waste_usd: Dollars
    latency_ms: Milliseconds
    ttft_ms: Milliseconds | None
    cached: bool
    mode: Mode
    request_id: str
    attempts: list[Attempt]
    failovers: Tokens


@with_config(STRICT)
class StartedEvent(TypedDict):
    event: Literal["started"]
    provider: str
    model: str | None


@with_config(STRICT)
class TextEvent(TypedDict):
    event: Literal["text", "reasoning"]
    text: str


@with_config(STRICT)
class ToolCallEvent(TypedDict):
    event: Literal["tool_call"]
    index: int
    id: str | None
    name: str | None
    arguments: str


@with_config(STRICT)
class UsageEvent(TypedDict):
    event: Literal["usage"]
    input_tokens: Tokens
    output_tokens: Tokens


@with_config(STRICT)
class RestartedEvent(TypedDict):
    event: Literal["restarted"]
    provider: str
    model: str
    reason: str


@with_config(STRICT)
class InterruptedEvent(TypedDict):
    event: Literal["interrupted"]
    error_type: str
    message: str
    partial_text: str


@with_config(STRICT)
class FinishedEvent(TypedDict):
    event: Literal["finished"]
    finish_reason: str | None


AskEvent = StartedEvent | TextEvent | ToolCallEvent | UsageEvent | RestartedEvent | InterruptedEvent | FinishedEvent


@with_config(STRICT)
class PlannedCandidate(TypedDict):
    provider: str
    model: str
    why: str
    estimate_usd: Dollars | None


@with_config(STRICT)
class Plan(TypedDict):
    """What `ask --dry-run --json` prints."""

    mode: Mode
    strategy: str
    requested_model: str | None
    candidates: list[PlannedCandidate]


@with_config(STRICT)
class ErrorBody(TypedDict):
    type: str
    message: str
    retry_after: float | None


@with_config(STRICT)
class Failure(TypedDict):
    """What any command prints with --json when its work failed (exit code 1)."""

    error: ErrorBody
    attempts: list[Attempt]


@with_config(STRICT)
class ExplainedCandidate(TypedDict):
    provider: str
    model: str
    why: str


class ExplainedAttempt(Attempt):
    """An attempt with what the provider said and what it cost."""

    error_message: str | None
    ttft_ms: Milliseconds | None
    cost_usd: str | None


@with_config(STRICT)
class Explain(TypedDict):
    """What `explain --json` prints: the usage record of one request with its story."""

    request_id: str
    log_id: str
    tenant_id: str
    agent_id: str
    timestamp: Timestamp
    mode: Mode
    model: str
    requested_model: str | None
    provider: str | None
    success: bool
    error_type: str | None
    tokens_used: Tokens
    prompt_tokens: Tokens
    completion_tokens: Tokens
    cached_tokens: Tokens
    estimated_tokens: bool
    cost_usd: Dollars | None
    waste_usd: Dollars
    saved_usd: Dollars | None
    premium_usd: str | None
    catalogue_version: str
    latency_ms: Milliseconds
    ttft_ms: Milliseconds | None
    cached: bool
    similarity: float | None
    """How alike the answered question is, where it was answered from the cache of another one."""
    failovers: Tokens
    strategy: str | None
    plan: list[ExplainedCandidate]
    attempts: list[ExplainedAttempt]
