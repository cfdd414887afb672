"""The shapes of everything that is printed as JSON, as types; `sandbox schema` turns them into JSON Schema.

Loaded only there: commands build plain dictionaries, and the tests hold what they print against these.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, TypeAdapter, with_config
from typing_extensions import TypedDict

from sandbox.core.events import EVENT_TYPES

_STRICT = ConfigDict(extra="forbid")

Dollars = Annotated[str, Field(pattern=r"^-?[0-9]+(\.[0-9]+)?$", description="USD as a decimal string.")]
Milliseconds = Annotated[float, Field(ge=0, description="Milliseconds.")]
Tokens = Annotated[int, Field(ge=0)]
Mode = Literal["mock", "replay", "record", "live"]
Timestamp = Annotated[str, Field(description="ISO 8601, UTC.")]


@with_config(_STRICT)
class Usage(TypedDict):
    """Tokens of one answer; input includes cached reads and writes, output includes reasoning."""

    input_tokens: Tokens
    output_tokens: Tokens
    total_tokens: Tokens
    cached_input_tokens: Tokens
    cache_write_tokens: Tokens
    reasoning_tokens: Tokens
    estimated: bool


@with_config(_STRICT)
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


@with_config(_STRICT)
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


@with_config(_STRICT)
class StartedEvent(TypedDict):
    event: Literal["started"]
    provider: str
    model: str | None


@with_config(_STRICT)
class TextEvent(TypedDict):
    event: Literal["text", "reasoning"]
    text: str


@with_config(_STRICT)
class ToolCallEvent(TypedDict):
    event: Literal["tool_call"]
    index: int
    id: str | None
    name: str | None
    arguments: str


@with_config(_STRICT)
class UsageEvent(TypedDict):
    event: Literal["usage"]
    input_tokens: Tokens
    output_tokens: Tokens


@with_config(_STRICT)
class RestartedEvent(TypedDict):
    event: Literal["restarted"]
    provider: str
    model: str
    reason: str


@with_config(_STRICT)
class InterruptedEvent(TypedDict):
    event: Literal["interrupted"]
    error_type: str
    message: str
    partial_text: str


@with_config(_STRICT)
class FinishedEvent(TypedDict):
    event: Literal["finished"]
    finish_reason: str | None


AskEvent = StartedEvent | TextEvent | ToolCallEvent | UsageEvent | RestartedEvent | InterruptedEvent | FinishedEvent


@with_config(_STRICT)
class PlannedCandidate(TypedDict):
    provider: str
    model: str
    why: str
    estimate_usd: Dollars | None


@with_config(_STRICT)
class Plan(TypedDict):
    """What `ask --dry-run --json` prints."""

    mode: Mode
    strategy: str
    requested_model: str | None
    candidates: list[PlannedCandidate]


@with_config(_STRICT)
class ErrorBody(TypedDict):
    type: str
    message: str
    retry_after: float | None


@with_config(_STRICT)
class Failure(TypedDict):
    """What any command prints with --json when its work failed (exit code 1)."""

    error: ErrorBody
    attempts: list[Attempt]


@with_config(_STRICT)
class ExplainedCandidate(TypedDict):
    provider: str
    model: str
    why: str


class ExplainedAttempt(Attempt):
    """An attempt with what the provider said and what it cost."""

    error_message: str | None
    ttft_ms: Milliseconds | None
    cost_usd: str | None


@with_config(_STRICT)
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
    failovers: Tokens
    strategy: str | None
    plan: list[ExplainedCandidate]
    attempts: list[ExplainedAttempt]


@with_config(_STRICT)
class Totals(TypedDict):
    requests: Tokens
    succeeded: Tokens
    failed: Tokens
    cached: Tokens
    prompt_tokens: Tokens
    completion_tokens: Tokens
    tokens: Tokens
    cost_usd: Dollars
    waste_usd: Dollars
    saved_usd: Dollars
    unpriced: Tokens
    failovers: Tokens
    average_latency_ms: Milliseconds


class CostsItem(Totals, total=False):
    """The sums of one value of the dimension, under the dimension's own name."""

    provider: str
    model: str
    tenant: str
    agent: str
    day: str
    hour: str
    month: str


@with_config(_STRICT)
class Costs(TypedDict):
    """What `costs --json` prints."""

    mode: Mode
    since: Timestamp
    until: Timestamp
    tenant: str | None
    by: Literal["provider", "model", "tenant", "agent", "day", "hour", "month"]
    items: list[CostsItem]
    total: Totals


@with_config(_STRICT)
class PriceTier(TypedDict):
    above_tokens: Tokens
    input_usd: Dollars | None
    output_usd: Dollars | None


@with_config(_STRICT)
class Model(TypedDict):
    """Prices are USD per million tokens; null where there is no such rate."""

    provider: str
    model: str
    input_usd: Dollars | None
    output_usd: Dollars | None
    cached_input_usd: Dollars | None
    cache_write_usd: Dollars | None
    hourly_usd: Dollars | None
    local: bool
    tiers: list[PriceTier]
    context_window: int | None
    since: str | None
    source: str


@with_config(_STRICT)
class Models(TypedDict):
    """What `models --json` prints."""

    catalogue: str
    items: list[Model]


@with_config(_STRICT)
class ProviderHealth(TypedDict):
    provider: str
    kind: str
    model: str
    is_healthy: bool
    latency_ms: Milliseconds | None
    last_error: str | None
    breaker: str
    disabled: str | None


@with_config(_STRICT)
class Health(TypedDict):
    """What `health --json` prints."""

    mode: Mode
    items: list[ProviderHealth]


@with_config(_STRICT)
class Setting(TypedDict):
    key: str
    value: str | int | float | bool | list[str] | None
    source: Literal["default", "file", ".env", "environment", "flag"]
    where: str | None
    variable: str
    description: str | None


@with_config(_STRICT)
class ConfigShow(TypedDict):
    """What `config show --json` prints; a credential's value is `set` or null."""

    config_file: str
    exists: bool
    items: list[Setting]


@with_config(_STRICT)
class Place(TypedDict):
    """What `config path --json` and `data path --json` print."""

    path: str
    exists: bool


@with_config(_STRICT)
class DataPart(TypedDict):
    name: str
    bytes: int


@with_config(_STRICT)
class DataSize(TypedDict):
    """What `data size --json` prints."""

    path: str
    items: list[DataPart]
    total_bytes: int


@with_config(_STRICT)
class DataPrune(TypedDict):
    """What `data prune --json` prints."""

    deleted_records: int
    deleted_cache_entries: int


@with_config(_STRICT)
class DoctorCheck(TypedDict):
    check: str
    status: Literal["ok", "warn", "fail"]
    detail: str


@with_config(_STRICT)
class Doctor(TypedDict):
    """What `doctor --json` prints."""

    items: list[DoctorCheck]


@with_config(_STRICT)
class SelftestCheck(TypedDict):
    ok: bool
    text: str


@with_config(_STRICT)
class Selftest(TypedDict):
    """What `selftest --json` prints."""

    ok: bool
    items: list[SelftestCheck]


@with_config(_STRICT)
class ToolCall(TypedDict):
    """`arguments` are parsed where they are JSON, else the text as sent."""

    name: str
    arguments: Any


@with_config(_STRICT)
class FixtureReplay(TypedDict):
    """One line of `fixtures replay --json`: token numbers are the vendor's own, `usage` is normalised."""

    file: str
    ok: bool
    text: str | None
    reasoning_text: str | None
    finish_reason: str | None
    stop: str | None
    input_tokens: int | None
    output_tokens: int | None
    cached_input_tokens: int | None
    cache_write_tokens: int | None
    reasoning_tokens: int | None
    usage: Usage | None
    tool_calls: list[ToolCall]
    model: str | None
    error_type: str | None
    error_code: str | None
    error_class: str | None
    error_message: str | None
    retryable: bool | None
    retry_after: float | None
    deltas: int


@with_config(_STRICT)
class SchemaName(TypedDict):
    name: str
    description: str


@with_config(_STRICT)
class Schemas(TypedDict):
    """What `schema --json` prints."""

    items: list[SchemaName]


_SHAPES: dict[str, Any] = {
    "ask": Ask,
    "ask-event": AskEvent,
    "plan": Plan,
    "failure": Failure,
    "explain": Explain,
    "costs": Costs,
    "models": Models,
    "health": Health,
    "config-show": ConfigShow,
    "path": Place,
    "data-size": DataSize,
    "data-prune": DataPrune,
    "doctor": Doctor,
    "fixtures-replay": FixtureReplay,
    "selftest": Selftest,
    "schemas": Schemas,
}

NAMES: tuple[str, ...] = (*_SHAPES, "settings", "trace")


_SENTENCES = {
    "ask-event": "One line of `ask --stream --json`; the last line is the whole result (`ask`).",
    "settings": "Everything that can be set, as the settings file nests it.",
    "trace": "One line of a trace after its header.",
}
"""What the shapes are that have no docstring of their own to say it."""


def schema(name: str) -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of one of `NAMES`."""
    if name == "settings":
        from sandbox.settings.model import Settings

        body = Settings.model_json_schema()
    elif name == "trace":
        body = _trace_line()
    else:
        body = TypeAdapter(_SHAPES[name]).json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **body, "description": describe(name)}


def _trace_line() -> dict[str, Any]:
    """Any event of a trace: its fields and, as traces have it, its name."""
    shapes: list[dict[str, Any]] = []
    parts: dict[str, Any] = {}
    for name, event in EVENT_TYPES.items():
        shape = TypeAdapter(event).json_schema(mode="serialization")
        parts |= shape.pop("$defs", {})
        shape["properties"]["event"] = {"const": name}
        shape["required"] = [*shape["required"], "event"]
        shape["additionalProperties"] = False
        shapes.append(shape)
    return {"oneOf": shapes, "$defs": parts}


def describe(name: str) -> str:
    """One sentence about a shape."""
    return _SENTENCES.get(name) or str(_SHAPES[name].__doc__).partition("\n")[0]
