"""Usage records for the Costs room: some tenants, agents and models, with everything that can happen to a request."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

from providers.clock import Clock
from sandbox.usage.base import UsageRecord
from sandbox.usage.sqlite import SqliteUsageStore
from tests.contract.usage_records import a_record

MINUTE_US = 60_000_000


def record(number: int, at_us: int, **changes: Any) -> UsageRecord:
    """An answered request of one cent."""
    values = {"model": "gpt-4o", "requested_model": "gpt-4o", "estimated_cost": Decimal("0.01"), "cached_tokens": 0}
    return a_record(number, timestamp_us=at_us, **{**values, **changes})


def attempt(provider: str, outcome: str, **changes: Any) -> dict[str, Any]:
    """A row of a kept story."""
    return {
        "provider": provider,
        "model": "gpt-4o",
        "outcome": outcome,
        "error_type": None,
        "error_message": None,
        "status": None,
        "started_ms": 0.0,
        "latency_ms": 50.0,
        "ttft_ms": None,
        "retry": 0,
        "breaker": "closed",
        "cost_usd": None,
        **changes,
    }


MOVED: dict[str, Any] = {
    "strategy": "priority",
    "stream": False,
    "finish_reason": "stop",
    "plan": [["openai", "gpt-4o", "serves gpt-4o"], ["anthropic", "claude-opus-4", "large like gpt-4o"]],
    "attempts": [
        attempt("bedrock", "skipped", error_type="breaker_open"),
        attempt("openai", "failed", error_type="ServiceUnavailableError", status=503, error_message="out for lunch"),
        attempt("anthropic", "ok", started_ms=60.0, latency_ms=40.0, retry=1),
    ],
}


def typical(now_us: int) -> list[UsageRecord]:
    """All within an hour."""
    at = [now_us - number * MINUTE_US for number in range(20)]
    rows = [record(n, at[n]) for n in range(1, 5)]
    rows += [
        record(5, at[5], agent_id="coder", model="gpt-4o-mini", estimated_cost=Decimal("0.002")),
        record(
            6, at[6], provider="anthropic", model="claude-opus-4", failovers=1, attempts=2, story=MOVED,
            estimated_cost=Decimal("0.05"), premium_cost=Decimal("0.04"), waste_cost=Decimal("0.003"),
        ),
        record(7, at[7], tenant_id="globex", cached=True, estimated_cost=Decimal(0), saved_cost=Decimal("0.01")),
        record(8, at[8], tenant_id="globex", model="mystery-1", provider="vllm", estimated_cost=None),
        record(
            9, at[9], tenant_id="globex", success=False, error_type="AllProvidersFailedError", attempts=3,
            estimated_cost=Decimal(0), completion_tokens=0, tokens_used=100,
        ),
        record(10, at[10], mode="live", tenant_id="real", estimated_cost=Decimal(7)),
    ]  # fmt: skip
    return rows


async def fill(folder: Path, clock: Clock, rows: list[UsageRecord]) -> None:
    """Put them into the store of a data folder."""
    folder.mkdir(parents=True, exist_ok=True)
    store = SqliteUsageStore(folder / "usage.db", clock=clock)
    for row in rows:
        store.record(row)
    await store.close()
