"""Everything a user can set, as one frozen model. The descriptions are the reference that `config show` prints."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, Field, field_validator, model_validator

from providers.hints import did_you_mean
from sandbox.settings import units
from sandbox.settings.backends import (
    AWS_BACKENDS,
    EMBEDDING_KINDS,
    AWSSettings,
    CacheSettings,
    SharedSettings,
    UsageSettings,
    with_backend,
)
from sandbox.settings.fields import (
    Count,
    Endpoint,
    Factor,
    Folder,
    Limit,
    Money,
    Names,
    Rate,
    Region,
    RuleBroken,
    Seconds,
    SecondsOrZero,
    Secret,
    Section,
    Share,
    Text,
    Whole,
)
from sandbox.settings.folders import default_data_dir
from sandbox.settings.serving import ServerSettings, TelemetrySettings

PROVIDER_IDS = ("azure_openai", "openai", "anthropic", "bedrock", "deepseek", "gemini", "vllm", "ollama")
"""The providers that exist without being declared, in the order of the default chain."""
Kind = Literal["azure_openai", "openai", "anthropic", "bedrock", "deepseek", "gemini", "vllm", "ollama", "mock"]
PROVIDER_KINDS: tuple[str, ...] = get_args(Kind)

Mode = Literal["mock", "replay", "record", "live"]
LogLevel = Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]


class ProviderSettings(Section):
    """One provider. The eight standard ids exist without being declared; any other id needs `kind`."""

    kind: Kind | None = Field(
        default=None, description="Which provider class serves this id; a standard id is its own kind."
    )
    enabled: bool = Field(default=True, description="Whether chains may use it.")
    api_key: Secret = Field(default=None, description="The credential; never shown, logged or stored.")
    base_url: Endpoint | None = Field(default=None, description="Address of the API; unset: the vendor's own.")
    model: Text | None = Field(default=None, description="The model it answers with when none is asked for.")
    models: Names = Field(default=[], description="Further model names it serves beside those the program knows.")
    transport: Literal["sdk", "aiohttp"] | None = Field(
        default=None,
        description="Who moves the bytes: the vendor's SDK, or the lean client; unset: the lean client where it can.",
    )
    api: Text | None = Field(
        default=None,
        description="Which of the vendor's APIs it calls, such as `responses` or `completions`; unset: the main one.",
    )
    organization: Text | None = Field(default=None, description="Organisation id that is sent with each call (OpenAI).")
    api_version: Text | None = Field(default=None, description="Version of the API (Azure OpenAI).")
    deployment: Text | None = Field(default=None, description="Name of the deployment (Azure OpenAI).")
    region: Region | None = Field(default=None, description="AWS region that is called (Bedrock); unset: `aws.region`.")
    hourly_rate: Money | None = Field(
        default=None, description="What a self-hosted server costs, USD an hour; unset: the catalogue's figure."
    )
    requests_per_minute: Count | None = Field(
        default=None, description="Own limit: beyond it the provider is passed over; unset: none."
    )
    tokens_per_minute: Count | None = Field(
        default=None, description="Own limit: beyond it the provider is passed over; unset: none."
    )
    requests_per_day: Count | None = Field(
        default=None,
        description="Own quota: after so many attempts in a day (UTC) the provider is passed over; unset: none.",
    )
    priority: Whole | None = Field(default=None, description="Lower is asked earlier; unset: the order of the chain.")
    weight: Annotated[float, BeforeValidator(units.number), Field(ge=0, allow_inf_nan=False)] | None = Field(
        default=None, description="Share of the traffic under the strategy `weighted`; unset: 1."
    )


class RetrySettings(Section):
    """How often and how patiently one provider is asked again. What is unset comes from the preset."""

    when: Literal["always", "last_candidate"] | None = Field(
        default=None,
        description="`always`: use up the retries, then move on; `last_candidate`: back off only on the last.",
    )
    retries: Annotated[int, BeforeValidator(units.number), Field(ge=0, le=100)] | None = Field(
        default=None, description="Tries after the first on one provider."
    )
    base_delay: SecondsOrZero | None = Field(default=None, description="First backoff, seconds.")
    factor: Factor | None = Field(default=None, description="Each backoff is this many times the one before.")
    max_delay: SecondsOrZero | None = Field(default=None, description="Longest backoff, seconds.")
    jitter: Literal["none", "full"] | None = Field(
        default=None, description="`full`: each backoff is drawn between 0 and its length."
    )
    max_retry_after: SecondsOrZero | None = Field(
        default=None, description="A provider that asks for a longer wait is left for the next one, seconds."
    )


class BreakerSettings(Section):
    """When a provider is left alone for a while. What is unset comes from the preset."""

    mode: Literal["off", "consecutive", "window", "rate"] | None = Field(
        default=None,
        description="What opens it: failures in a row, failures within the window, or their share of the calls.",
    )
    failure_threshold: Count | None = Field(
        default=None, description="Failures that open it (`consecutive`, `window`)."
    )
    window: Seconds | None = Field(default=None, description="Length of the sliding window, seconds.")
    failure_rate: Rate | None = Field(
        default=None, description="Share of failures that opens it (`rate`), above 0 up to 1."
    )
    minimum_calls: Count | None = Field(default=None, description="Calls in the window before a rate is judged.")
    recovery_timeout: Seconds | None = Field(
        default=None, description="How long it stays open before a probe, seconds."
    )
    backoff_multiplier: Factor | None = Field(
        default=None, description="Each re-opening in a row lasts this many times longer."
    )
    max_recovery_timeout: Seconds | None = Field(default=None, description="Longest time it stays open, seconds.")
    half_open_permits: Count | None = Field(default=None, description="Probes at a time while half open.")
    success_threshold: Count | None = Field(default=None, description="Successful probes that close it.")
    slow_call_seconds: Seconds | None = Field(
        default=None, description="A call that takes longer is slow, seconds; unset: none is."
    )
    slow_call_rate: Rate | None = Field(default=None, description="Share of slow calls that opens it, above 0 up to 1.")


class StreamSettings(Section):
    """What happens to an answer that breaks off while it is written, and how long it may take."""

    policy: Literal["fail", "restart", "continue", "buffer"] = Field(
        default="fail",
        description="On a break: report it, start anew elsewhere, go on elsewhere, or hold the text until it is whole.",
    )
    first_text: Seconds = Field(default=10.0, description="Longest wait for the first text, seconds.")
    silence: Seconds = Field(default=15.0, description="Longest silence between two pieces, seconds.")
    max_stream: Seconds = Field(default=600.0, description="Longest whole stream, seconds.")


class RouteSettings(Section):
    """A chain with a name of its own, which callers give in place of a model."""

    models: Annotated[Names, Field(min_length=1)] = Field(
        description="Models or `provider/model`, in the order in which they are asked; nobody else is."
    )
    strategy: Text | None = Field(default=None, description="How they are ordered instead; unset: as listed.")


class BudgetSettings(Section):
    """What may be spent in a month by single tenants, and when somebody is told. `budget_limit` is for all together."""

    tenants: Annotated[dict[str, Limit], BeforeValidator(units.amounts)] = Field(
        default={}, description="Most that each tenant may spend in a month, USD."
    )
    thresholds: Annotated[list[Share], BeforeValidator(units.names)] = Field(
        default=[Decimal("0.75"), Decimal("0.9"), Decimal(1)],
        description="Shares of a limit at which a warning is given, once a month.",
    )


class MockSettings(Section):
    """How the simulated providers behave."""

    seed: Whole = Field(default=0, description="Seed of the synthetic answers.")
    pace: Literal["instant", "realistic"] | None = Field(
        default=None,
        description="`realistic`: answers take their time; unset: in the terminal UI and in `compare`, else `instant`.",
    )


class CompareSettings(Section):
    """Models asked side by side."""

    confirm_above: Money = Field(
        default=Decimal("0.10"), description="A comparison that may cost more than this, USD, asks first in live mode."
    )


class UISettings(Section):
    """The terminal UI."""

    theme: Text | None = Field(default=None, description="Name of the colour theme; unset: the last one chosen.")
    hints: bool = Field(default=True, description="Whether hints for newcomers are shown.")
    ascii: bool = Field(default=False, description="Draw with plain characters only.")


class Settings(Section):
    """Everything a user can set. Times are seconds, money is USD."""

    mode: Mode = Field(
        default="mock",
        description="Who answers: simulated providers, recordings only, or the real providers, recorded or not.",
    )
    preset: Text = Field(default="sandbox", description="Name of the failover policy that all unset values come from.")
    strategy: Text | None = Field(default=None, description="How candidates are ordered; unset: as the preset says.")
    chain: Names | None = Field(
        default=None, description="Ids of the providers to ask, in order; unset: as the preset says."
    )
    deadline: Seconds | None = Field(
        default=None, description="Longest time for one request with all its attempts, seconds; unset: the preset's."
    )
    attempt_timeout: Seconds | None = Field(
        default=None, description="Longest time for one attempt, seconds; unset: the preset's."
    )
    providers: dict[str, ProviderSettings] = Field(
        default_factory=dict, description="The providers by their ids.", validate_default=True
    )
    retry: RetrySettings = Field(default_factory=RetrySettings, description="Retries on the same provider.")
    breaker: BreakerSettings = Field(default_factory=BreakerSettings, description="Circuit breakers.")
    streaming: StreamSettings = Field(default_factory=StreamSettings, description="Streamed answers.")
    failover_on_content_filter: bool = Field(
        default=False, description="Whether the next provider is asked after a content filter refused the prompt."
    )
    equivalents: dict[str, Names] = Field(
        default_factory=dict,
        description="Model names of a tier (large, medium, small, …) that may stand in for each other.",
    )
    routes: dict[str, RouteSettings] = Field(
        default_factory=dict, description="Chains that may be asked for by name, in place of a model."
    )
    server: ServerSettings = Field(default_factory=ServerSettings, description="The gateway as a server.")
    telemetry: TelemetrySettings = Field(default_factory=TelemetrySettings, description="OpenTelemetry.")
    cache: CacheSettings = Field(default_factory=CacheSettings, description="The response cache.")
    usage: UsageSettings = Field(default_factory=UsageSettings, description="The usage records.")
    shared: SharedSettings = Field(default_factory=SharedSettings, description="What processes have in common.")
    backend: Literal["local", "aws"] = Field(
        default="local", description="Where cache and usage live: this machine, or AWS."
    )
    aws: AWSSettings = Field(default_factory=AWSSettings, description="AWS.")
    catalogue: Text = Field(
        default="current", description="Price catalogue: `current`, or `seeds-2024` for the prices of 2024."
    )
    prices_file: Folder | None = Field(
        default=None, description="A TOML file of own prices that override the catalogue's."
    )
    mock: MockSettings = Field(default_factory=MockSettings, description="The simulated providers.")
    compare: CompareSettings = Field(default_factory=CompareSettings, description="Models asked side by side.")
    ui: UISettings = Field(default_factory=UISettings, description="The terminal UI.")
    budget_limit: Limit | None = Field(
        default=None, description="Most that may be spent in a month over all tenants, USD; unset: no limit."
    )
    budgets: BudgetSettings = Field(default_factory=BudgetSettings, description="The budgets of single tenants.")
    log_level: LogLevel = Field(default="WARNING", description="What is worth a line on stderr.")
    data_dir: Folder = Field(
        default_factory=default_data_dir, description="Folder of the cache and the usage database."
    )

    @model_validator(mode="before")
    @classmethod
    def _parts_follow_the_backend(cls, data: Any) -> Any:
        """`backend = "aws"` means Redis and DynamoDB for the parts that do not say otherwise."""
        if not isinstance(data, Mapping) or data.get("backend") != "aws":
            return data
        return {**data, **{part: with_backend(data.get(part), one) for part, one in AWS_BACKENDS.items()}}

    @field_validator("log_level", mode="before")
    @classmethod
    def _any_case(cls, value: Any) -> Any:
        level = value.upper() if isinstance(value, str) else value
        return {"WARN": "WARNING", "FATAL": "CRITICAL"}.get(level, level) if isinstance(level, str) else level

    @field_validator("providers", mode="before")
    @classmethod
    def _standard_providers(cls, value: Any) -> Any:
        """The standard ids first, in their order; then the declared ones in the order of their declaration."""
        return {**{name: {} for name in PROVIDER_IDS}, **value} if isinstance(value, Mapping) else value

    @field_validator("providers")
    @classmethod
    def _kinds(cls, value: dict[str, ProviderSettings]) -> dict[str, ProviderSettings]:
        return {name: _checked(name, _with_kind(name, provider)) for name, provider in value.items()}

    @model_validator(mode="after")
    def _consistent(self) -> Settings:
        unknown = [name for name in self.chain or () if name not in self.providers and name != "mock"]
        if unknown:
            hint = did_you_mean(unknown[0], (*self.providers, "mock"))
            raise RuleBroken(
                "chain", f"{unknown[0]!r} is no provider: {hint}other ids are declared under [providers.ID]"
            )
        embedder = self.cache.semantic_embedder
        kind = self.providers[embedder].kind if embedder in self.providers else None
        if embedder != "hashing" and kind not in EMBEDDING_KINDS:
            known = ", ".join(id for id, one in self.providers.items() if one.kind in EMBEDDING_KINDS)
            raise RuleBroken("cache.semantic_embedder", f"{embedder!r} embeds nothing here: use hashing or {known}")
        return self

    def credential(self, id: str) -> str | None:
        """The key of the setting that a provider signs its calls with; None where none is set for it."""
        provider = self.providers.get(id)
        if provider is None or provider.api_key is not None:
            return None if provider is None else f"providers.{id}.api_key"
        if provider.kind == "bedrock":
            if self.aws.access_key_id is not None and self.aws.secret_access_key is not None:
                return "aws.access_key_id"
            if self.aws.profile is not None:
                return "aws.profile"
        return None

    @property
    def booked(self) -> Mode:
        """The mode under which usage is booked and reported: recording costs what live costs."""
        return "live" if self.mode == "record" else self.mode


def _with_kind(name: str, provider: ProviderSettings) -> ProviderSettings:
    if name in PROVIDER_KINDS:
        if provider.kind not in (None, name):
            raise RuleBroken(
                f"providers.{name}.kind", f"the id {name} always means that provider: give another kind another id"
            )
        return provider.model_copy(update={"kind": name})
    if provider.kind is None:
        raise RuleBroken(f"providers.{name}", f"provider {name!r} needs `kind`, one of {', '.join(PROVIDER_KINDS)}")
    return provider


def _checked(name: str, provider: ProviderSettings) -> ProviderSettings:
    if provider.api is not None:
        # Loads the vendor's class, so only for those who set it.
        from providers import factory
        from providers.vendors.wire import WireProvider

        kind = provider.kind or name
        cls = factory.provider_class(kind) if kind in factory.KINDS else None
        if cls is not None and issubclass(cls, WireProvider) and provider.api not in cls.offered():
            hint = did_you_mean(provider.api, cls.offered())
            raise RuleBroken(f"providers.{name}.api", f"{hint}use {' or '.join(cls.offered())}")
    return provider
