"""The shapes of `costs`."""

from __future__ import annotations

from typing import Literal

from pydantic import with_config
from typing_extensions import TypedDict

from sandbox.cli.schemas.common import STRICT, Dollars, Milliseconds, Mode, Timestamp, Tokens


@with_config(STRICT)
class Totals(TypedDict):
    """`premium_usd` is what failing over cost beyond the first candidates; below 0 where it was cheaper."""

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
    premium_usd: Dollars
    unpriced: Tokens
    attempts: Tokens
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


class Asked(TypedDict):
    """What was looked at; a filter that was not given is null."""

    mode: Mode
    since: Timestamp | None
    until: Timestamp
    tenant: str | None
    agent: str | None
    provider: str | None
    model: str | None


@with_config(STRICT)
class CostsMonth(TypedDict):
    """How this month stands, answers and waste together; `before_usd` is what the month before came to."""

    period: str
    spent_usd: Dollars
    projected_usd: Dollars
    before_usd: Dollars


@with_config(STRICT)
class Costs(Asked):
    """What `costs --json` prints; by hour, day and month every period of the time is there."""

    by: Literal["provider", "model", "tenant", "agent", "day", "hour", "month"]
    items: list[CostsItem]
    total: Totals
    month: CostsMonth


@with_config(STRICT)
class UsageItem(TypedDict):
    """One request; costs are null where unpriced."""

    log_id: str
    request_id: str
    tenant_id: str
    agent_id: str
    timestamp: Timestamp
    mode: Mode
    model: str
    requested_model: str | None
    provider: str
    tokens_used: Tokens
    prompt_tokens: Tokens
    completion_tokens: Tokens
    cached_tokens: Tokens
    cache_write_tokens: Tokens
    reasoning_tokens: Tokens
    estimated_cost: Dollars | None
    waste_cost: Dollars
    saved_cost: Dollars | None
    premium_cost: Dollars | None
    catalogue_version: str
    latency_ms: Milliseconds
    ttft_ms: Milliseconds | None
    cached: bool
    success: bool
    error_type: str | None
    attempts: Tokens
    failovers: Tokens
    trace_id: str
    estimated_tokens: bool
    prompt_hash: str
    cache_write_1h_tokens: Tokens
    service_tier: str | None
    region: str | None
    priced_as: str


@with_config(STRICT)
class CostsRequests(Asked):
    """What `costs --by request --json` prints, the newest first."""

    by: Literal["request"]
    items: list[UsageItem]


@with_config(STRICT)
class Repriced(TypedDict):
    """`estimates` says why the cost is one; `difference_usd` is null where the sums are not of the same requests."""

    target: str
    provider: str | None
    cost_usd: Dollars | None
    difference_usd: Dollars | None
    unpriced: Tokens
    estimated: bool
    estimates: list[str]


@with_config(STRICT)
class CostsWhatIf(Asked):
    """What `costs --what-if MODEL --json` prints, of the requests that a provider answered."""

    catalogue: str
    as_of: str | None
    requests: Tokens
    actual_usd: Dollars
    actual_unpriced: Tokens
    items: list[Repriced]


@with_config(STRICT)
class Recommendation(TypedDict):
    kind: Literal["cheaper_model", "cache_saved", "cache_repeats", "failover", "waste", "unpriced", "budget"]
    sentence: str
    saving_usd: Dollars | None
    monthly_usd: Dollars | None
    estimated: bool
    basis: str


@with_config(STRICT)
class CostsRecommend(Asked):
    """What `costs --recommend --json` prints, the largest saving first."""

    items: list[Recommendation]


class MachineShare(TypedDict, total=False):
    """A share of the bill, under the name of its dimension."""

    provider: str
    model: str
    tenant: str
    agent: str
    day: str
    hour: str
    month: str
    share_usd: Dollars


@with_config(STRICT)
class CostsMachine(Asked):
    """What `costs --uptime TIME --json` prints: the bill of a self-hosted server, shared out by who kept it busy."""

    by: Literal["provider", "model", "tenant", "agent", "day", "hour", "month"]
    uptime_hours: float
    hourly_usd: Dollars
    bill_usd: Dollars
    booked_usd: Dollars
    idle_usd: Dollars
    crowded_usd: Dollars
    items: list[MachineShare]


@with_config(STRICT)
class CostsExport(Asked):
    """What `costs --export --json` prints."""

    path: str
    format: Literal["csv", "json"]
    records: Tokens
    summary_path: str | None
