"""One workload, told by everybody who counts: records, their sums, events, meters, budgets. No figure may differ."""

from __future__ import annotations

import asyncio
import copy
import random
from collections import Counter
from collections.abc import AsyncGenerator
from decimal import Decimal as D
from pathlib import Path
from typing import Any

import pytest

from providers.errors import ProviderError, RateLimitError, ServiceUnavailableError
from providers.pricing import catalogue
from providers.types import (
    Completion,
    GenerationRequest,
    LLMResponse,
    StreamEvent,
    StreamFinished,
    StreamStarted,
    TextDelta,
    TokenUsage,
)
from sandbox.core.events import CacheHit, CostComputed, RequestCompleted
from sandbox.costs.base import Budget
from sandbox.costs.budgets import Budgets
from sandbox.costs.memory import MemoryBudgetStore
from sandbox.costs.rates import spent_usd
from sandbox.costs.reports import CostReports
from sandbox.costs.whatif import Target, what_if
from sandbox.gateway.call import CallOptions
from sandbox.server.admin.meters import Meters
from sandbox.usage.base import UsageFilter, UsageRecord
from sandbox.usage.sqlite import SqliteUsageStore
from tests.fake_clock import FakeClock
from tests.sandbox.gateway.support import Bench, Scripted, virtual
from tests.sandbox.gateway.test_cache_and_flights import Shelf

DOWN, BUSY = ServiceUnavailableError("down", status=503), RateLimitError("busy", status=429)
CURRENT = catalogue("current")
ASKED = 120


def said(model: str | None, usage: TokenUsage | None) -> Completion:
    return Completion("hello", finish_reason="stop", model=model, usage=usage)


class Mixed(Scripted):
    """Plays its steps again and again; what a vendor said of an answer can be streamed too."""

    def _next(self, request: GenerationRequest) -> tuple[Any, ...]:
        self.steps.append(self.steps[0])
        # Afresh each time: prices are written into it.
        return copy.deepcopy(super()._next(request))

    async def stream_attempt(self, request: GenerationRequest, model_id: str) -> AsyncGenerator[StreamEvent]:
        step = self.steps[0]
        if not isinstance(step, tuple) or not isinstance(step[-1], Completion):
            async for event in super().stream_attempt(request, model_id):
                yield event
            return
        completion = await self.attempt(request, model_id)
        yield StreamStarted(self.kind, model_id)
        yield TextDelta(completion.text or "")
        yield StreamFinished(completion)


class Told:
    """What callers were handed."""

    def __init__(self) -> None:
        self.answers: list[LLMResponse] = []
        self.failed = self.cancelled = 0


def add(bench: Bench, kind: str, model: str, priority: int, *steps: Any) -> None:
    bench.gateway.register(kind, Mixed(bench.clock, *steps, kind=kind, model=model), priority=priority)


async def workload(bench: Bench) -> Told:
    """Streams, cuts, failovers, cancelled, kept and shared answers; unpriced models, no and absurd tokens."""
    kept = TokenUsage(900, 50, cached_input_tokens=300, cache_write_tokens=400, cache_write_1h_tokens=200)
    add(
        bench, "anthropic", "claude-sonnet-4-5", 1,
        (0.5, said("claude-sonnet-4-5", kept)), DOWN, "one two three", (0.2, DOWN), (0.1, "one two", "<cut>"), BUSY,
        (0.1, said("claude-sonnet-4-5", TokenUsage(0, 0))), (3.0, "late"), DOWN,
    )  # fmt: skip
    add(
        bench, "openai", "gpt-4o", 2,
        (0.1, said("gpt-4o-2024-05-13", TokenUsage(120, 30))), "plain", DOWN, (0.3, "four five six", "<cut>"),
        (0.1, said("gpt-4o", TokenUsage(10**9, 10, reasoning_tokens=10**8))), (0.1, said("gpt-4o", None)), "plain",
    )  # fmt: skip
    add(bench, "house", "house-model", 3, "cheap talk", (0.1, DOWN))
    add(bench, "slow", "gpt-4o", 9, ("one two", 5.0, "three"))
    add(bench, "dead", "gpt-4o", 9, DOWN)
    told, draws = Told(), random.Random(7)

    async def asked(number: int) -> None:
        await bench.clock.sleep(draws.random() * 9000)
        one_more = asyncio.create_task(one(number))
        if number % 24 == 0:
            # The slow one has begun to speak by then.
            await bench.clock.sleep(2)
            one_more.cancel()
        await asyncio.gather(one_more, return_exceptions=True)

    async def one(number: int) -> None:
        request = GenerationRequest(
            f"question {draws.randrange(ASKED // 2)}", tenant_id=f"t{number % 5}", agent_id=f"a{number % 3}"
        )
        alone = {0: "slow", 1: "dead"}.get(number % 12)
        options = CallOptions(provider=alone, pinned=True) if alone else CallOptions(stream_policy="restart")
        if number % 11 == 0:
            options = CallOptions()
        try:
            if number % 3:
                told.answers.append(await bench.gateway.generate(request, options))
                return
            async for event in bench.gateway.stream(request, options):
                if isinstance(event, StreamFinished) and event.response is not None:
                    told.answers.append(event.response)
        except ProviderError:
            told.failed += 1
        except asyncio.CancelledError:
            told.cancelled += 1

    asking = [asyncio.create_task(asked(number)) for number in range(ASKED)]
    twins = GenerationRequest("asked by two at once", tenant_id="t0", agent_id="a0")
    told.answers += await asyncio.gather(bench.gateway.generate(twins), bench.gateway.generate(twins))
    await asyncio.gather(*asking)
    return told


@pytest.fixture
def counted(request: pytest.FixtureRequest) -> tuple[list[UsageRecord], Bench, Told, Meters, D]:
    found = []

    @virtual
    async def main() -> None:
        bench, meters = Bench(prices=CURRENT, cache=Shelf()), Meters()
        bench.gateway.bus.subscribe(meters)
        budgets = Budgets(MemoryBudgetStore(bench.clock), mode="mock", clock=bench.clock)
        budgets.set(Budget(None, D(9_000_000)))
        bench.gateway.budgets = budgets
        told = await workload(bench)
        found.append((bench.records, bench, told, meters, (await budgets.check_budget()).used_usd))
        await budgets.close()

    main()
    return found[0]


async def test_everybody_who_counts_says_the_same(
    counted: tuple[list[UsageRecord], Bench, Told, Meters, D], tmp_path: Path
) -> None:
    records, bench, told, meters, ledger = counted
    answered = [one for one in records if one.success and not one.cached]
    cost = sum((one.estimated_cost or D(0) for one in records), D(0))
    waste = sum((one.waste_cost for one in records), D(0))
    # The workload has what it is to have.
    kinds = Counter(
        (one.success, one.cached, one.error_type or "", one.waste_cost > 0, one.failovers > 0) for one in records
    )
    assert len(kinds) >= 6, kinds
    assert any(one.estimated_cost is None for one in answered)
    assert any(one.priced_as for one in answered)
    # What callers were handed.
    assert sum((one.cost_usd or D(0) for one in told.answers), D(0)) == cost
    assert Counter(one.request_id for one in told.answers) == Counter(r.request_id for r in records if r.success)
    by_id = {one.request_id: one for one in records}
    for answer in told.answers:
        record = by_id[answer.request_id]
        assert (answer.cost_usd, answer.waste_usd, answer.latency_ms, answer.failovers, answer.tokens_used) == (
            record.estimated_cost, record.waste_cost, record.latency_ms, record.failovers, record.tokens_used
        )  # fmt: skip
    # Events, and what is told to Prometheus.
    completed = [event for event in bench.events if isinstance(event, RequestCompleted)]
    assert sum((event.cost_usd or D(0) for event in completed), D(0)) == cost
    assert sum((event.cost_usd or D(0) for event in bench.events if isinstance(event, CostComputed)), D(0)) == cost
    saved = sum((one.saved_cost or D(0) for one in records), D(0))
    assert sum((event.saved_usd or D(0) for event in bench.events if isinstance(event, CacheHit)), D(0)) == saved
    assert (sum(meters.cost_usd.values(), D(0)), meters.waste_usd, meters.saved_usd) == (cost, waste, saved)
    assert meters.requests.total() == len(records)
    assert meters.unpriced.total() == sum(one.estimated_cost is None for one in answered)
    assert meters.tokens.total() == sum(one.prompt_tokens + one.completion_tokens for one in answered)
    # The ledger of the budget, which counts in whole picodollars.
    assert abs(ledger - cost - waste) <= len(records) * D("1E-12")
    # The store, its roll-ups and every way to cut them.
    store = SqliteUsageStore(tmp_path / "usage.db", clock=FakeClock())
    for one in records:
        store.record(one)
    reports = CostReports(store, clock=FakeClock())
    whole, parts = await store.summary(UsageFilter())
    assert (whole.cost_usd, whole.waste_usd, whole.saved_usd) == (cost, waste, saved)
    assert whole.unpriced == meters.unpriced.total()
    assert (whole.requests, whole.failed) == (len(records), meters.requests["failed"] + meters.requests["cancelled"])
    for rows in (*parts.values(), await store.breakdown(UsageFilter(), "hour")):
        assert sum(spent_usd(sums) for _, sums in rows) == cost + waste
        assert sum(sums.tokens for _, sums in rows) == whole.tokens
    cut = min(one.timestamp_us for one in records) + 1_000_000_007
    halves = [
        await store.totals(UsageFilter(since_us=since, until_us=until)) for since, until in ((None, cut), (cut, None))
    ]
    assert sum(spent_usd(one) for one in halves) == cost + waste
    [again] = await what_if(reports, UsageFilter(), [Target()], CURRENT, at_us=records[0].timestamp_us)
    assert (again.cost_usd, again.unpriced) == (cost, whole.unpriced)
    await store.close()
