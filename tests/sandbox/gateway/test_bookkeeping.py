"""What a usage record holds for the reports: the premium of failing over, the parts of tokens, the question's hash."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal as D
from pathlib import Path
from typing import Any

import pytest

from providers.errors import InputError, ServiceUnavailableError
from providers.pricing import catalogue
from providers.types import Completion, TokenUsage
from sandbox.runtime import Runtime
from sandbox.settings import Settings
from tests.fake_clock import FakeClock
from tests.sandbox.gateway.support import Bench, virtual
from tests.sandbox.gateway.test_cache_and_flights import Shelf

DOWN = ServiceUnavailableError("down", status=503)


@virtual
async def test_a_failover_is_booked_with_what_it_cost_more_or_less() -> None:
    bench = Bench(prices=catalogue("seeds-2024"))
    bench.add("anthropic", DOWN, DOWN, "hello", model="claude-3-sonnet", priority=1)
    bench.add("openai", "hello", model="gpt-4", priority=2)
    await bench.gateway.generate("one")
    await bench.gateway.generate("two")
    first, second = bench.records
    assert (first.failovers, first.premium_cost) == (1, D("0.006") - D("0.00105"))
    assert (second.failovers, second.premium_cost) == (0, D(0))


@virtual
async def test_a_premium_against_a_candidate_without_a_price_is_unknown() -> None:
    bench = Bench(prices=catalogue("seeds-2024"))
    bench.add("anthropic", DOWN, model="house-model", priority=1)
    bench.add("openai", "hello", model="gpt-4", priority=2)
    await bench.gateway.generate("one")
    assert bench.records[0].premium_cost is None


@virtual
async def test_the_parts_of_tokens_are_booked() -> None:
    bench = Bench()
    usage = TokenUsage(100, 50, cached_input_tokens=60, cache_write_tokens=30, reasoning_tokens=20)
    bench.add("openai", (Completion(text="hello", usage=usage, finish_reason="stop", model="gpt-4"),))
    await bench.gateway.generate("one")
    [record] = bench.records
    assert (record.cached_tokens, record.cache_write_tokens, record.reasoning_tokens) == (60, 30, 20)


@virtual
async def test_what_else_a_price_goes_by_is_booked_with_it() -> None:
    bench = Bench(prices=catalogue("current"))
    parts: dict[str, Any] = {"cache_write_tokens": 30, "cache_write_1h_tokens": 20, "region": "eu"}
    answers = [
        (Completion("hello", usage=TokenUsage(100, 50, **parts, service_tier=tier), finish_reason="stop", model=model),)
        for model, tier in (("gpt-4o-2024-05-13", None), ("gpt-4o-2024-08-06", None), ("gpt-4o", "of-its-own"))
    ]
    bench.add("openai", *answers, model="gpt-4o")
    for question in ("one", "two", "three"):
        await bench.gateway.generate(question)
    assert [(r.cache_write_1h_tokens, r.region, r.service_tier, r.priced_as) for r in bench.records] == [
        (20, "eu", None, "gpt-4o-2024-05-13"),
        (20, "eu", None, ""),
        (20, "eu", "of-its-own", ""),
    ]


@virtual
async def test_the_same_question_has_the_same_hash_and_none_without_a_cache() -> None:
    bench = Bench(cache=Shelf())
    bench.add("openai", "hello")
    for question in ("one", "one", "two"):
        await bench.gateway.generate(question)
    hashes = [record.prompt_hash for record in bench.records]
    assert hashes[0] == hashes[1] != hashes[2]
    assert all(len(one) == 16 for one in hashes)
    assert [record.premium_cost for record in bench.records] == [D(0)] * 3
    bare = Bench()
    bare.add("openai", "hello")
    await bare.gateway.generate("one")
    assert bare.records[0].prompt_hash == ""


# --- gateway.costs ---------------------------------------------------------------------------------------------------


async def test_the_gateways_costs_are_those_of_its_records(tmp_path: Path) -> None:
    async with Runtime.of(Settings(data_dir=tmp_path), clock=FakeClock()) as runtime:
        costs = runtime.gateway.costs
        assert costs is not None
        response = await runtime.gateway.generate("hello")
        again = await runtime.gateway.generate("hello")
        assert again.cached
        summary = await costs.get_summary()
        assert summary.total_cost_usd == response.cost_usd
        assert (summary.total_requests, summary.cached_requests) == (2, 1)
        assert summary.saved_cost_usd == response.cost_usd
        assert summary.breakdown_by_provider == {response.provider: response.cost_usd}
        day = datetime(2025, 1, 1, tzinfo=UTC)
        assert await costs.get_time_series() == [(day, response.cost_usd)]
        assert await costs.get_time_series(day + timedelta(days=1), day + timedelta(days=1)) == [
            (day + timedelta(days=1), D(0))
        ]
        costs.set_budget(None, 10.0, [0.5])
        assert (await costs.check_budget()).used_usd == response.cost_usd
        await costs.export_csv(tmp_path / "costs.csv", include_summary=True)
        await costs.export_json(tmp_path / "costs.json", include_summary=True)
        assert len((tmp_path / "costs.csv").read_text().splitlines()) == 3
        assert b'"simulated":true' in (tmp_path / "costs.json").read_bytes()


async def test_alerts_of_the_gateways_budgets_reach_its_costs(tmp_path: Path) -> None:
    async with Runtime.of(Settings(data_dir=tmp_path), clock=FakeClock()) as runtime:
        costs = runtime.gateway.costs
        assert costs is not None
        heard: list[float] = []
        costs.register_alert_callback(lambda tenant, share, used: heard.append(share))
        for wrong in (float("nan"), "much"):
            with pytest.raises(InputError, match="the budget"):
                costs.set_budget(None, wrong)  # type: ignore[arg-type]
        costs.set_budget(None, 1, [D("0.000001")])
        await runtime.gateway.generate("hello")
        assert heard == [0.000001]
