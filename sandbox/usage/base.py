"""The usage record, and what a store of them must do. One record for each request, whatever its outcome."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final, Literal, NamedTuple, Protocol

Dimension = Literal["provider", "model", "tenant", "agent", "day", "hour", "month"]


@dataclass(slots=True)
class UsageRecord:
    """Costs are USD, None is unpriced; times are milliseconds; `timestamp_us` is UTC microseconds since 1970."""

    log_id: str
    """`{tenant}#{agent}#{ISO timestamp}-{suffix}`: unique, sorts by time within a tenant and agent."""
    request_id: str
    tenant_id: str
    agent_id: str
    timestamp_us: int
    mode: str
    model: str
    """The model that answered; the asked one when none did."""
    requested_model: str | None
    provider: str
    """The provider that answered; empty when none did."""
    tokens_used: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    """Of the prompt, read from the vendor's own prompt cache."""
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    estimated_cost: Decimal | None = None
    waste_cost: Decimal = Decimal(0)
    saved_cost: Decimal | None = None
    premium_cost: Decimal | None = Decimal(0)
    """What failing over cost beyond the plan's first candidate; negative where it was cheaper, None where unknown."""
    catalogue_version: str = ""
    latency_ms: float = 0.0
    ttft_ms: float | None = None
    cached: bool = False
    success: bool = True
    error_type: str | None = None
    attempts: int = 0
    failovers: int = 0
    trace_id: str = ""
    estimated_tokens: bool = False
    cache_write_1h_tokens: int = 0
    """Of the cache writes, those that are kept for an hour."""
    service_tier: str | None = None
    """The vendor's class of service, where it is priced by itself; None: the standard one."""
    region: str | None = None
    """Where the answer was made, where the vendor says that it was bound to a place."""
    priced_as: str = ""
    """The name that the answer was priced by, where that is not the price of `model`: a snapshot, what stands behind a
    deployment; empty: `model`."""
    prompt_hash: str = ""
    """The same for the same question of a tenant to a model: 16 hexadecimal digits of the response cache's key, empty
    where the cache was not asked. Whoever has neither cache nor prompt learns nothing from it."""
    story: dict[str, Any] = field(default_factory=dict)
    """Plan and attempts for `explain`, for orjson with `default=str`: plain data, dataclasses and Decimals. The store
    writes it down off the request path. Never a prompt or an answer, unless the user opted in."""


@dataclass(slots=True)
class UsageTotals:
    """Sums over some records.

    `unpriced` counts successful requests whose price is unknown: `cost_usd` leaves them out; so does `premium_usd`,
    which falls below 0 where the fallbacks were cheaper. `estimated` counts requests whose tokens were counted here.
    """

    requests: int = 0
    succeeded: int = 0
    failed: int = 0
    cached: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    tokens: int = 0
    cost_usd: Decimal = Decimal(0)
    waste_usd: Decimal = Decimal(0)
    saved_usd: Decimal = Decimal(0)
    unpriced: int = 0
    failovers: int = 0
    latency_ms_sum: float = 0.0
    premium_usd: Decimal = Decimal(0)
    attempts: int = 0
    estimated: int = 0
    answered_prompt_tokens: int = 0
    """This and the following: tokens of requests that a provider answered, neither failed nor from the response cache.
    They are what another model or catalogue can be priced with. Parts of a record never count as more than its whole:
    cached reads up to the prompt, writes up to the rest of it, reasoning up to the completion."""
    answered_completion_tokens: int = 0
    answered_cached_tokens: int = 0
    answered_write_tokens: int = 0
    answered_reasoning_tokens: int = 0
    answered_write_1h_tokens: int = 0
    """Of the writes, those that are kept for an hour."""
    answered_special: int = 0
    """Requests of a class of service or a region, which sums of tokens cannot be priced with."""
    answered_renamed: int = 0
    """Requests that were priced by another name than their model's."""


@dataclass(frozen=True, slots=True)
class UsageFilter:
    """Which records count; times are UTC microseconds, `[since_us, until_us)`. Modes never mix: exactly one."""

    mode: str = "mock"
    since_us: int | None = None
    until_us: int | None = None
    tenant_id: str | None = None
    agent_id: str | None = None
    provider: str | None = None
    model: str | None = None


DIMENSIONS: Final[tuple[Dimension, ...]] = ("provider", "model", "tenant", "agent")
Breakdowns = Mapping[Dimension, Sequence[tuple[str, UsageTotals]]]


class Summary(NamedTuple):
    totals: UsageTotals
    parts: Breakdowns
    """By each of DIMENSIONS."""


class UsageStore(Protocol):
    @property
    def problem(self) -> str | None:
        """What the user should know, in one sentence, or None: trouble, records lost, a damaged file set aside."""
        ...

    @property
    def pending(self) -> int:
        """Records taken that are not committed yet."""
        ...

    def record(self, record: UsageRecord) -> None:
        """Take the record without waiting; it is committed within 100 ms. It is not to be changed afterwards.

        Never raises for a store that is in trouble.
        """
        ...

    async def flush(self) -> None:
        """Return when everything taken so far is committed. Raises UsageUnavailable when that cannot be done."""
        ...

    async def totals(self, where: UsageFilter) -> UsageTotals: ...

    async def breakdown(self, where: UsageFilter, by: Dimension) -> list[tuple[str, UsageTotals]]:
        """Totals for each value of a dimension, dearest first; times in order, named as in `sandbox.usage.periods`."""
        ...

    async def summary(self, where: UsageFilter) -> Summary:
        """The totals and the breakdowns by DIMENSIONS, of one moment where the store can tell that."""
        ...

    async def get(self, request_id: str) -> UsageRecord | None:
        """The record of a request id, or of its unique beginning. Raises InputError when several ids begin so."""
        ...

    async def recent(self, where: UsageFilter, limit: int = 50) -> Sequence[UsageRecord]:
        """The newest first."""
        ...

    def scan(self, where: UsageFilter) -> AsyncIterator[UsageRecord]:
        """Every record in order of time, in constant memory."""
        ...

    async def prune(self, *, before_us: int) -> int:
        """Delete raw records older than that, of every mode; roll-ups stay. Returns how many.

        Later totals and breakdowns whose time range begins or ends in the midst of an hour before that may count the
        whole hour.
        """
        ...

    async def close(self) -> None:
        """Commit what was taken; safe to call twice."""
        ...


class UsageUnavailable(Exception):
    """The store cannot be used; the message says why in one sentence."""
