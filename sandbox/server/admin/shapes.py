"""What the admin API is asked and answers: models that check the bodies, and that the OpenAPI document is made of."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from sandbox.compat.backend_manager import RECENT_CALLS
from sandbox.server.admin.audit import MAX_PAGE, PAGE
from sandbox.server.admin.watching import Command
from sandbox.settings.units import LARGEST_BUDGET

Backend = Literal["anthropic", "vllm"]
Mode = Literal["mock", "replay", "record", "live"]
Dollars = Annotated[float, Field(description="USD.")]
Milliseconds = Annotated[float, Field(ge=0, description="Milliseconds.")]
Timestamp = Annotated[str, Field(description="ISO 8601, UTC.")]
MAX_RECENT = 500


class Asked(BaseModel):
    """A body or a query: no unknown field, no value of another type."""

    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)


class Told(BaseModel):
    model_config = ConfigDict(extra="forbid")


# --- asked ----------------------------------------------------------------------------------------------------------


class SwitchBackend(Asked):
    """Which backend is to answer from now on."""

    backend: Backend
    skip_health_check: bool = Field(default=False, description="Switch even if the backend is not well.")


class SetBudget(Asked):
    """What may be spent in a month."""

    budget_limit: Annotated[float, Field(ge=0, le=float(LARGEST_BUDGET), allow_inf_nan=False)] | None = Field(
        description="USD in a calendar month (UTC), for all together; null: no limit."
    )


class SetEndpoint(Asked):
    """Where the vLLM server is."""

    endpoint: str = Field(min_length=1, max_length=2000, description="Its address: http:// or https://.")


class RecentQuery(Asked):
    recent: int = Field(default=RECENT_CALLS, ge=0, le=MAX_RECENT, strict=False, description="How many recent calls.")


class AuditQuery(Asked):
    limit: int = Field(default=PAGE, ge=1, le=MAX_PAGE, strict=False, description="Most entries of the page.")
    before: int | None = Field(
        default=None,
        ge=0,
        lt=2**63,
        strict=False,
        description="Entries older than this one: `next` of the page before.",
    )


class GatewayQuery(Asked):
    since_us: int | None = Field(
        default=None, ge=0, lt=2**63, strict=False, description="Since when to say what was spent, UTC microseconds."
    )


class ProvokeFault(Asked):
    """What is to go wrong from now on."""

    provider: str | None = Field(description="Whose attempts; null: all are healed.")
    fault: str | dict[str, Any] | None = Field(
        description="As `--fail` spells it, such as 503 or stream_cut:12, or as scenarios write it; null: none."
    )


class ForceBreaker(Asked):
    """What is done to a breaker by hand."""

    provider: str
    command: Command = Field(description="`enable`: ask the provider again, after a key that was refused.")


class EventsQuery(Asked):
    texts: bool = Field(
        default=False, strict=False, description="Tell the events with the text of a question or an answer too."
    )


# --- told -----------------------------------------------------------------------------------------------------------


class Watched(Told):
    """A provider of the chain. Null is what does not hold."""

    id: str
    kind: str
    model: str
    breaker: str
    retry_after_s: float | None = Field(description="Seconds to the next probe of an open breaker.")
    disabled: str | None = Field(description="Why it is out of rotation.")


class GatewayState(Told):
    """How the gateway is, as a screen shows it."""

    version: str
    t_us: int = Field(description="Its clock, UTC microseconds.")
    mode: Mode
    preset: str
    presets: list[str]
    strategy: str
    strategies: list[str]
    deadline_s: float
    models: list[str]
    providers: list[Watched]
    faults: dict[str, list[dict[str, Any]]] = Field(description="What is provoked by hand, by provider.")
    notes: list[str] = Field(description="What does not work as configured.")
    spent_usd: str | None = Field(description="Decimal; null where it was not asked for, or nothing is recorded.")


class Provoked(Told):
    success: bool
    faults: dict[str, list[dict[str, Any]]]


class BreakerForced(Told):
    success: bool
    provider: str
    breaker: str


class Health(Told):
    """How one backend is. Null is what could not be told."""

    backend: Backend
    healthy: bool
    reachable: bool | None
    authenticated: bool | None
    fast_enough: bool | None
    latency_ms: Milliseconds | None
    last_error: str | None
    model: str | None
    endpoint: str | None
    checked_at: Timestamp


class AllHealth(Told):
    """How the backends are."""

    anthropic: Health
    vllm: Health


class CurrentBackend(Told):
    """The active backend."""

    backend: Backend
    available_backends: list[Backend]
    available_models: list[str] = Field(description="Its tiers.")
    models: dict[str, str] = Field(description="The vendor's model of each tier.")
    default_model: str
    endpoint: str | None
    timeout_seconds: float
    health: Health | None = Field(description="What its last check said; null: none was made.")
    mode: Mode


class BackendSwitched(Told):
    """What came of a switch. `backend` is the one that is active now."""

    success: bool
    backend: Backend
    previous_backend: Backend
    requested_backend: Backend
    message: str
    health: Health | None


class EndpointSet(Told):
    success: bool
    backend: Backend
    endpoint: str
    previous_endpoint: str | None
    message: str


class Costs(BaseModel):
    """USD of this month by provider and in all. Other providers that cost something appear by their ids."""

    model_config = ConfigDict(extra="allow")

    anthropic: Dollars
    vllm: Dollars
    total: Dollars
    budget_limit: Dollars | None
    remaining: Dollars | None
    budget_used_percent: float | None
    period: str = Field(description="The month, such as 2025-01.")
    mode: Mode


class BudgetSet(Costs):
    success: bool
    previous_budget_limit: Dollars | None


class Calls(Told):
    """Sums over calls."""

    total_calls: int
    successful_calls: int
    failed_calls: int
    error_rate: float = Field(ge=0, le=1)
    total_tokens: int
    input_tokens: int
    output_tokens: int
    average_latency_ms: Milliseconds
    cost: Dollars
    unpriced_calls: int


class ModelCalls(Calls):
    model: str


class RecentCall(Told):
    timestamp: Timestamp
    request_id: str
    backend: str
    model: str
    tier: str | None
    agent_id: str
    success: bool
    error_type: str | None
    input_tokens: int
    output_tokens: int
    latency_ms: Milliseconds
    cost: Dollars | None = Field(description="USD; null: unpriced.")
    retries: int


class Metrics(Told):
    """What the calls of this mode came to, restarts included."""

    overview: Calls
    by_backend: dict[str, Calls]
    by_model: dict[str, ModelCalls]
    recent_calls: list[RecentCall]
    mode: Mode


class AuditEntry(Told):
    """One change."""

    id: int
    timestamp: Timestamp
    who: str
    action: str
    request_id: str
    asked: dict[str, Any]
    before: dict[str, Any]
    after: dict[str, Any] | None
    outcome: Literal["begun", "done", "refused", "failed"] = Field(
        description="`begun`: the program ended before it was told how the change did."
    )


class AuditPage(Told):
    """Changes, the newest first."""

    items: list[AuditEntry]
    next: int | None = Field(description="What to ask `before` for older ones; null: there are none.")


class ErrorBody(BaseModel):
    """What is wrong, in the words of OpenAI's API (or of Anthropic's, to its clients)."""

    model_config = ConfigDict(extra="allow")

    error: dict[str, Any]
