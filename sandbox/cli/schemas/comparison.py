"""The shapes of `compare`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, with_config
from typing_extensions import TypedDict

from sandbox.cli.schemas.common import STRICT, Dollars, Milliseconds, Mode, Tokens

AverageTokens = Annotated[float, Field(ge=0, description="Of several answers the median, or its mean over prompts.")]
Rate = Annotated[float, Field(ge=0, description="Output tokens a second, from the first text to the end.")]


@with_config(STRICT)
class Problem(TypedDict):
    type: str
    message: str
    retry_after: float | None


@with_config(STRICT)
class ComparedRun(TypedDict):
    """One answer, or how it failed; of one that broke off, `text` is what had come."""

    request_id: str
    status: Literal["answered", "failed", "cancelled"]
    text: str
    provider: str
    model: str
    model_id: str
    finish_reason: str | None
    input_tokens: Tokens | None
    output_tokens: Tokens | None
    cached_input_tokens: Tokens | None
    cache_write_tokens: Tokens | None
    reasoning_tokens: Tokens | None
    cost_usd: Dollars | None
    waste_usd: Dollars
    latency_ms: Milliseconds | None
    ttft_ms: Milliseconds | None
    tokens_per_second: Rate | None
    attempts: Tokens
    failovers: Tokens
    error: Problem | None


@with_config(STRICT)
class ComparedUsage(TypedDict):
    input_tokens: AverageTokens | None
    output_tokens: AverageTokens | None
    cached_input_tokens: AverageTokens | None
    cache_write_tokens: AverageTokens | None
    reasoning_tokens: AverageTokens | None
    estimated: bool


@with_config(STRICT)
class DollarRange(TypedDict):
    low: Dollars
    high: Dollars


@with_config(STRICT)
class Range(TypedDict):
    low: float
    high: float


@with_config(STRICT)
class ComparedSpread(TypedDict):
    cost_usd: DollarRange | None
    latency_ms: Range | None
    ttft_ms: Range | None
    tokens_per_second: Range | None


@with_config(STRICT)
class Month(TypedDict):
    """30 days at a volume."""

    requests_per_day: Tokens
    cost_usd: Dollars | None


@with_config(STRICT)
class SimulatedFigures(TypedDict):
    """Which groups of figures nobody measured."""

    answer: bool
    tokens: bool
    times: bool
    cost: bool
    prices: bool


@with_config(STRICT)
class Compared(TypedDict):
    """One model; figures are medians over the answers that came, null where none did. `cost_usd` null: unpriced."""

    name: str
    provider: str
    model: str
    model_id: str
    served_by: list[str]
    text: str | None
    asked: Tokens
    answered: Tokens
    whole: bool
    usage: ComparedUsage
    cost_usd: Dollars | None
    waste_usd: Dollars
    spent_usd: Dollars
    latency_ms: Milliseconds | None
    ttft_ms: Milliseconds | None
    tokens_per_second: Rate | None
    spread: ComparedSpread
    cheapest: bool
    fastest: bool
    monthly: list[Month]
    simulated: SimulatedFigures
    error: Problem | None
    runs: list[ComparedRun]


@with_config(STRICT)
class ComparedPrompt(TypedDict):
    prompt: Annotated[int, Field(ge=0, description="Its place in `prompts`, from 0.")]
    items: list[Compared]


@with_config(STRICT)
class Compare(TypedDict):
    """What `compare --json` prints; with several prompts `items` are over all, and `by_prompt` has the runs."""

    mode: Mode
    catalogue: str
    prompts: list[str]
    repeat: Tokens
    requests_per_day: list[Tokens]
    items: list[Compared]
    by_prompt: list[ComparedPrompt]


@with_config(STRICT)
class ComparedEstimate(TypedDict):
    name: str
    provider: str
    model: str
    model_id: str
    requests: Tokens
    input_tokens: Tokens
    output_tokens: Tokens
    cost_usd: Dollars | None
    free: bool


@with_config(STRICT)
class CompareEstimate(TypedDict):
    """What `compare --estimate --json` prints: the most that it may cost, which nobody was asked for."""

    mode: Mode
    catalogue: str
    items: list[ComparedEstimate]
    total_usd: Dollars
    unpriced: Tokens
