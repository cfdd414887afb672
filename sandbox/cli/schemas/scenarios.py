"""The shapes of `replay` and `scenarios`."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import with_config
from typing_extensions import TypedDict

from sandbox.cli.schemas.common import STRICT, Dollars, Milliseconds, Tokens

BreakerTransition = TypedDict(
    "BreakerTransition", {"at": float, "provider": str, "from": str, "to": str, "reason": str}
)
"""`at` is seconds from the start."""


@with_config(STRICT)
class Latencies(TypedDict):
    p50: Milliseconds | None
    p95: Milliseconds | None
    p99: Milliseconds | None
    max: Milliseconds | None


@with_config(STRICT)
class FleetFigures(TypedDict):
    """What `replay --replicas N` adds: how many gateways fared with the first provider to fail."""

    replicas: Tokens
    breakers: Literal["local", "shared"]
    provider: str | None
    turned_away_s: float | None
    wasted_attempts: Tokens
    herd: Tokens | None


@with_config(STRICT)
class Replay(TypedDict):
    """What `replay --json` prints for one policy."""

    scenario: str
    seed: int
    preset: str
    fidelity: Literal["provider", "wire"]
    virtual_seconds: float
    wall_seconds: float
    requests: Tokens
    succeeded: Tokens
    failed: Tokens
    availability: float
    attempts: Tokens
    attempts_by_provider: dict[str, int]
    failed_attempts_by_provider: dict[str, int]
    answers_by_provider: dict[str, int]
    failovers: Tokens
    retries: Tokens
    cached: Tokens
    cut: Tokens
    breaker_transitions: list[BreakerTransition]
    latency_ms: Latencies
    cost_usd: Dollars | None
    baseline_cost_usd: Dollars | None
    failover_cost_usd: Dollars | None
    waste_usd: Dollars
    errors_by_type: dict[str, int]
    expectations: list[dict[str, Any]]
    fleet: FleetFigures | None
    trace_sha256: str


@with_config(STRICT)
class ReplayComparison(TypedDict):
    """What `replay --json` prints for several policies."""

    scenario: str
    runs: list[Replay]


@with_config(STRICT)
class ScenarioItem(TypedDict):
    """One scenario; `name` is as commands take it, with `own/` before it for one of the user's own."""

    name: str
    own: bool
    file: str
    description: str
    duration_s: float
    preset: str
    faults: Tokens
    expectations: Tokens


@with_config(STRICT)
class ScenarioList(TypedDict):
    """What `scenarios list --json` prints."""

    items: list[ScenarioItem]


@with_config(STRICT)
class ScenarioCheck(TypedDict):
    """`notes`: what the file says that changes nothing."""

    file: str
    ok: bool
    problem: str | None
    notes: list[str]


@with_config(STRICT)
class ScenarioChecks(TypedDict):
    """What `scenarios validate --json` prints."""

    items: list[ScenarioCheck]
