"""What a scenario file may say. Pydantic checks the shapes; `loader` turns its complaints into places in the file.

Times are seconds here, as people write them; the runner counts in microseconds.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from providers.durations import seconds
from sandbox.settings.units import number

VERSION: Final = 1
MAX_DURATION: Final = 31 * 86_400.0
"""Seconds of traffic: a month is the longest that budgets and reports look at."""
MAX_DRAIN: Final = 3_600.0
"""Seconds after the last arrival at which what is still in flight is cut off."""
MAX_REQUESTS: Final = 10_000_000

TIME_SCHEMA: Final = {
    "anyOf": [{"type": "number", "minimum": 0}, {"type": "string", "pattern": r"^\s*[0-9.]+\s*[a-z]*\s*$"}]
}


def _rate(value: Any) -> Any:
    """Requests a second from a number or from `2/s`, `30/m`, `500/h`."""
    if isinstance(value, bool):
        raise ValueError("a rate is a number of requests a second, or text such as 2/s or 30/m")
    if not isinstance(value, str):
        return value
    number, slash, unit = value.partition("/")
    per = {"s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}.get(unit.strip()) if slash else 1.0
    try:
        return float(number) / per if per else _wrong_rate()
    except ValueError:
        return _wrong_rate()


def _wrong_rate() -> Any:
    raise ValueError("a rate is a number of requests a second, or text such as 2/s or 30/m") from None


Seconds = Annotated[
    float, BeforeValidator(seconds), Field(ge=0, le=1e9, allow_inf_nan=False), WithJsonSchema(TIME_SCHEMA)
]
PositiveSeconds = Annotated[
    float, BeforeValidator(seconds), Field(gt=0, le=1e9, allow_inf_nan=False), WithJsonSchema(TIME_SCHEMA)
]
Rate = Annotated[
    float,
    BeforeValidator(_rate),
    Field(gt=0, le=1e6, allow_inf_nan=False),
    WithJsonSchema(
        {"anyOf": [{"type": "number", "exclusiveMinimum": 0}, {"type": "string", "pattern": "/(s|m|min|h)$"}]}
    ),
]


def _no_flag(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("it must be a number")
    return value


Number = Annotated[float, BeforeValidator(_no_flag)]
"""Python takes true for 1; people do not."""
Name = Annotated[str, Field(min_length=1, max_length=100)]
Count = Annotated[int, Field(ge=0, le=10_000_000, strict=True)]
OneOrMore = Annotated[int, Field(ge=1, le=10_000_000, strict=True)]
Share = Annotated[Number, Field(ge=0, le=1)]


class Part(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, populate_by_name=True, hide_input_in_errors=True, allow_inf_nan=False
    )


class Spread(Part):
    """A log-normal distribution by its median and its 99th percentile."""

    p50: PositiveSeconds
    p99: PositiveSeconds

    @model_validator(mode="after")
    def _ordered(self) -> Spread:
        if self.p99 < self.p50:
            raise ValueError(f"p99 ({self.p99:g} s) is less than p50 ({self.p50:g} s)")
        return self


class ProviderPart(Part):
    """One simulated provider, under a real name and price."""

    name: Name = Field(description="The kind of provider: openai, anthropic, bedrock, …")
    model: Name
    id: Name | None = Field(None, description="Its name in the chain; the kind where it is left out.")
    latency: Seconds | Spread = Field(0.5, description="Time to the first token.")
    tokens_per_second: Annotated[Number, Field(gt=0, le=1e6)] | None = Field(
        None, description="The pace of an answer; without it an answer is whole at its first token."
    )
    context_window: OneOrMore | None = Field(None, description="Longer prompts are refused; default: the catalogue's.")
    prefills: bool | Literal["refused"] | None = Field(
        None,
        description="Goes on from an assistant's partial text; refused: its vendor does, this model answers 400. "
        "Default: as the vendor.",
    )
    requests_per_minute: OneOrMore | None = None
    tokens_per_minute: OneOrMore | None = None
    weight: Annotated[Number, Field(ge=0, le=1e9)] | None = None

    @property
    def key(self) -> str:
        return self.id or self.name


class TrafficPart(Part):
    """One stream of requests."""

    begin: Seconds = Field(0.0, alias="from")
    end: Seconds | None = Field(None, alias="to", description="The scenario's duration where it is left out.")
    rate: Rate
    arrival: Literal["uniform", "poisson"] = "uniform"
    prompt: str = Field("Explain circuit breakers to a cook.", min_length=1, max_length=100_000)
    model: Name | None = Field(None, description="The model asked for; without it each provider's own.")
    input_tokens: OneOrMore = 400
    output_tokens: OneOrMore = 150
    tenant: Name = "default"
    agent: Name = "default"
    stream: bool = False
    max_tokens: OneOrMore | None = None


class BudgetPart(Part):
    """What may be spent in a calendar month; a run begins with one."""

    tenant: Name | None = Field(None, description="For this tenant alone; all together where it is left out.")
    limit: Annotated[float, Field(ge=0, le=9_000_000), BeforeValidator(number)] = Field(description="USD.")
    thresholds: tuple[Annotated[float, Field(gt=0, le=1)], ...] = Field(
        (0.75, 0.9, 1.0), description="Shares of the limit at which somebody is told."
    )


class RetryPart(Part):
    when: Literal["always", "last_candidate"] | None = None
    retries: Annotated[int, Field(ge=0, le=100, strict=True)] | None = None
    base_delay: Seconds | None = None
    factor: Annotated[Number, Field(ge=1, le=1000)] | None = None
    max_delay: Seconds | None = None
    jitter: Literal["none", "full"] | None = None
    max_retry_after: Seconds | None = None


class BreakerPart(Part):
    mode: Literal["off", "consecutive", "window", "rate"] | None = None
    failure_threshold: OneOrMore | None = None
    window: PositiveSeconds | None = None
    failure_rate: Share | None = None
    minimum_calls: OneOrMore | None = None
    recovery_timeout: Seconds | None = None
    backoff_multiplier: Annotated[Number, Field(ge=1, le=1000)] | None = None
    max_recovery_timeout: Seconds | None = None
    half_open_permits: OneOrMore | None = None
    success_threshold: OneOrMore | None = None
    slow_call_seconds: PositiveSeconds | None = None
    slow_call_rate: Share | None = None


class StreamingPart(Part):
    policy: Literal["fail", "restart", "continue", "buffer"] | None = None
    first_text: PositiveSeconds | None = None
    silence: PositiveSeconds | None = None
    max_stream: PositiveSeconds | None = None


class PolicyPart(Part):
    """What differs from the preset."""

    strategy: Literal["priority", "least_cost", "least_latency", "round_robin", "random", "weighted"] | None = None
    retry: RetryPart = RetryPart()
    breaker: BreakerPart = BreakerPart()
    streaming: StreamingPart = StreamingPart()
    deadline: PositiveSeconds | None = None
    attempt_timeout: PositiveSeconds | None = None
    max_candidates: OneOrMore | None = None
    failover_on_content_filter: bool | None = None
    cache: bool = False
    """Equal prompts are answered from a cache, which scenarios leave out unless they are about it."""


class Expectation(Part):
    """One thing that must be so at the end: exactly one of `metric`, `breaker` and `provider` says of what."""

    metric: Name | None = None
    breaker: Name | None = None
    provider: Name | None = None
    min: Number | None = None
    max: Number | None = None
    equals: Number | None = None
    opens_within: Seconds | None = None
    closes_within: Seconds | None = None
    of: Seconds | None = None
    stays: Literal["closed"] | None = None
    max_attempts: Count | None = None
    min_attempts: Count | None = None
    min_answers: Count | None = None
    max_answers: Count | None = None
    begin: Seconds | None = Field(None, alias="from")
    end: Seconds | None = Field(None, alias="to")

    @model_validator(mode="after")
    def _whole(self) -> Expectation:
        named = [name for name in ("metric", "breaker", "provider") if getattr(self, name) is not None]
        if len(named) != 1:
            raise ValueError("an expectation names one of metric, breaker and provider")
        takes = _TAKES[named[0]]
        given = [name for name in _LIMITS if getattr(self, name) is not None]
        if not given or not takes.issuperset(given):
            raise ValueError(f"an expectation of a {named[0]} takes {', '.join(sorted(takes))}")
        if (self.opens_within is not None or self.closes_within is not None) and self.of is None:
            raise ValueError("opens_within and closes_within need `of`, the time from which they count")
        return self


_LIMITS: Final = (
    "min", "max", "equals", "opens_within", "closes_within", "stays", "max_attempts", "min_attempts", "min_answers",
    "max_answers",
)  # fmt: skip
_TAKES: Final = {
    "metric": {"min", "max", "equals"},
    "breaker": {"opens_within", "closes_within", "stays"},
    "provider": {"max_attempts", "min_attempts", "min_answers", "max_answers"},
}


class Document(Part):
    """A scenario file, but for its faults, which have a vocabulary of their own (`sandbox.scenarios.faults`)."""

    version: Literal[1]
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]
    description: str = ""
    seed: Annotated[int, Field(strict=True, ge=-(2**63), lt=2**63)] = 0
    duration: Annotated[
        float,
        BeforeValidator(seconds),
        Field(gt=0, le=MAX_DURATION, allow_inf_nan=False),
        WithJsonSchema(TIME_SCHEMA),
    ]
    prices: Literal["seeds-2024", "current"] = "seeds-2024"
    preset: Name = "sandbox"
    policy: PolicyPart = PolicyPart()
    providers: tuple[ProviderPart, ...] = Field((), description="The chain, in order, in place of the preset's.")
    traffic: tuple[TrafficPart, ...] = Field(min_length=1)
    budgets: tuple[BudgetPart, ...] = ()
    faults: tuple[Any, ...] = ()
    expect: tuple[Expectation, ...] = ()
