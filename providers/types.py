"""The vocabulary: request, response, usage, stream events."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Any, Literal

from providers.request import MAX_MODEL_CHARS, MAX_NESTING, MAX_PROMPT_CHARS, GenerationRequest, Message, content_text

__all__ = [
    "MAX_MODEL_CHARS", "MAX_NESTING", "MAX_PROMPT_CHARS", "AttemptRecord", "Completion", "GenerationRequest",
    "LLMResponse", "Message", "ProviderType", "RawUsage", "ReasoningDelta", "StopReason", "StreamEvent",
    "StreamFinished", "StreamInterrupted", "StreamRestarted", "StreamStarted", "TextDelta", "TokenUsage", "ToolCall",
    "ToolCallDelta", "UsageReported", "content_text", "money",
]  # fmt: skip

StopReason = Literal["stop", "length", "tool_calls", "content_filter", "other"]
"""Why an answer ended, the same word for every vendor."""


class ProviderType(StrEnum):
    AZURE_OPENAI = "azure_openai"
    OPENAI = "openai"
    ANTHROPIC = "anthropic"
    BEDROCK = "bedrock"
    DEEPSEEK = "deepseek"
    GEMINI = "gemini"
    VLLM = "vllm"
    OLLAMA = "ollama"
    MOCK = "mock"


def money(value: Decimal | float | int | str | None, name: str = "the amount") -> Decimal | None:
    """Money as Decimal; a float enters by its shortest text, so 0.1 is 0.1.

    Raises ValueError for what is no number. What amounts make sense is for those who book them to say.
    """
    if value is None or isinstance(value, Decimal):
        return value
    try:
        return Decimal(str(value))
    except ArithmeticError:
        raise ValueError(f"{name} is {str(value)[:60]!r}; it must be an amount of USD such as 0.25, or None") from None


@dataclass(slots=True)
class TokenUsage:
    """Tokens of one answer, the same meaning for every vendor.

    `input_tokens` includes cached reads and cache writes; `output_tokens` includes reasoning; `cache_write_tokens`
    includes those of the one-hour cache. Costs are USD; None is unpriced. `estimated`: counted here, because the vendor
    sent no numbers. Raises ValueError, naming the field and its value, for what is no number.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    total_tokens: int = 0
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    input_cost_usd: Decimal | None = None
    output_cost_usd: Decimal | None = None
    total_cost_usd: Decimal | None = None
    estimated: bool = False
    cache_write_1h_tokens: int = 0
    """Those of the cache writes that are kept for an hour, which some vendors charge more for."""
    service_tier: str | None = None
    """The vendor's class of service, where it is priced by itself: batch, flex, priority, fast; None: the standard."""
    region: str | None = None
    """Where the answer was made, where the vendor says that it was bound to a place; None: anywhere."""

    def __post_init__(self) -> None:
        try:
            if not self.total_tokens:
                self.total_tokens = self.input_tokens + self.output_tokens
        except TypeError:
            raise ValueError(
                f"input_tokens is {self.input_tokens!r} and output_tokens {self.output_tokens!r}; they must be whole "
                "numbers"
            ) from None
        if not (self.total_cost_usd is None and self.input_cost_usd is None and self.output_cost_usd is None):
            # Callers write costs as plain floats too.
            self.input_cost_usd = money(self.input_cost_usd, "input_cost_usd")
            self.output_cost_usd = money(self.output_cost_usd, "output_cost_usd")
            self.total_cost_usd = money(self.total_cost_usd, "total_cost_usd")


@dataclass(slots=True)
class RawUsage:
    """The vendor's own token numbers and words, not normalised; None where it sent nothing."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_input_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None
    cache_write_1h_tokens: int | None = None
    service_tier: str | None = None
    region: str | None = None


@dataclass(slots=True)
class ToolCall:
    """A call the model asks for; `arguments` is the JSON text as sent."""

    id: str
    name: str
    arguments: str


@dataclass(slots=True)
class Completion:
    """One whole answer as a dialect decoded it: what the wire said, normalised, before prices.

    `usage` is None where the vendor sent no token numbers at all. `text` is None where it sent no text part.
    """

    text: str | None = None
    reasoning_text: str | None = None
    finish_reason: str | None = None
    """The vendor's own word."""
    stop: StopReason = "stop"
    usage: TokenUsage | None = None
    raw_usage: RawUsage = field(default_factory=RawUsage)
    tool_calls: list[ToolCall] = field(default_factory=list)
    model: str | None = None
    response_id: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class AttemptRecord:
    """One row of a request's story: an attempt, or a candidate that was skipped."""

    provider: str
    model: str
    outcome: Literal["ok", "failed", "skipped"]
    error_type: str | None = None
    """Class name of the error; for a skip the reason: breaker_open, throttled, disabled, budget, window, prefill,
    tools."""
    error_message: str | None = None
    status: int | None = None
    started_ms: float = 0.0
    """Milliseconds after the request arrived."""
    latency_ms: float = 0.0
    ttft_ms: float | None = None
    retry: int = 0
    """0 for the first attempt on a candidate, 1 for its first retry, …"""
    breaker: str | None = None
    """State of the candidate's breaker when the attempt began."""
    cost_usd: Decimal | None = None


@dataclass(slots=True)
class LLMResponse:
    """The answer to one request, with what it took to get it. Costs are USD; None is unpriced."""

    text: str
    provider: str
    model: str
    """The model that answered, by its plain name."""
    model_id: str
    """The model that answered, by the vendor's own id."""
    requested_model: str | None = None
    usage: TokenUsage = field(default_factory=TokenUsage)
    cost_usd: Decimal | None = None
    waste_usd: Decimal = Decimal(0)
    """Paid for attempts whose answer was not used; not part of `cost_usd`'s answer share."""
    finish_reason: str | None = None
    stop: StopReason = "stop"
    latency_ms: float = 0.0
    ttft_ms: float | None = None
    cached: bool = False
    coalesced: bool = False
    saved_usd: Decimal | None = None
    """What a cache hit saved."""
    attempts: list[AttemptRecord] = field(default_factory=list)
    failovers: int = 0
    reasoning_text: str | None = None
    tool_calls: list[ToolCall] = field(default_factory=list)
    request_id: str = ""
    mode: str = "live"
    metadata: dict[str, Any] = field(default_factory=dict)

    @property
    def tokens_used(self) -> int:
        return self.usage.total_tokens


# --- stream events -------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class StreamStarted:
    """The vendor accepted the request; nothing of the answer has come yet."""

    provider: str = ""
    model: str | None = None


@dataclass(slots=True)
class TextDelta:
    text: str


@dataclass(slots=True)
class ReasoningDelta:
    text: str


@dataclass(slots=True)
class ToolCallDelta:
    """A piece of tool call number `index`; `arguments` pieces are to be joined."""

    index: int
    id: str | None = None
    name: str | None = None
    arguments: str = ""


@dataclass(slots=True)
class UsageReported:
    usage: TokenUsage
    raw: RawUsage


@dataclass(slots=True)
class StreamFinished:
    """The clean end. `completion` is the whole answer; `response` is set by providers and the gateway."""

    completion: Completion
    response: LLMResponse | None = None


@dataclass(slots=True)
class StreamRestarted:
    """Discard what was shown: another candidate starts the answer anew."""

    provider: str
    model: str
    reason: str


@dataclass(slots=True)
class StreamInterrupted:
    """The stream ended before its end; nothing more follows."""

    error: Exception
    partial_text: str


StreamEvent = (
    StreamStarted
    | TextDelta
    | ReasoningDelta
    | ToolCallDelta
    | UsageReported
    | StreamFinished
    | StreamRestarted
    | StreamInterrupted
)
