"""What traffic would have cost elsewhere: to the last digit where that is known, and named as an estimate where not."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal as D
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from providers.errors import InputError
from providers.pricing import Catalogue, catalogue
from providers.pricing.layer import Layer, Premium
from providers.types import Completion, TokenUsage
from sandbox.costs.reports import CostReports
from sandbox.costs.spans import moment_us
from sandbox.costs.whatif import Repriced, Target, targets_of, what_if
from sandbox.usage.base import UsageFilter, UsageRecord
from sandbox.usage.sqlite import SqliteUsageStore
from tests.contract.usage_records import DAY_US, HOUR_US, START_US, a_record
from tests.fake_clock import FakeClock
from tests.sandbox.gateway.support import Bench, virtual

SEEDS = catalogue("seeds-2024")
CURRENT = catalogue("current")


async def reprice(
    records: Sequence[UsageRecord],
    *names: str,
    prices: Catalogue = SEEDS,
    where: UsageFilter | None = None,
    **more: Any,
) -> list[Repriced]:
    with tempfile.TemporaryDirectory() as folder:
        store = SqliteUsageStore(Path(folder) / "usage.db", clock=FakeClock())
        try:
            for record in records:
                store.record(record)
            targets = targets_of(names, prices) if names else [Target()]
            return await what_if(CostReports(store, clock=FakeClock()), where or UsageFilter(), targets, prices, **more)
        finally:
            await store.close()


async def test_the_tokens_that_were_had_are_priced_with_the_other_model() -> None:
    records = [a_record(number) for number in range(10)]
    haiku, sonnet = await reprice(records, "claude-3-haiku", "anthropic/claude-3-sonnet")
    assert (haiku.actual_usd, haiku.cost_usd, haiku.difference_usd) == (D("0.06"), D("0.000875"), D("-0.059125"))
    assert (haiku.requests, haiku.unpriced, haiku.provider, haiku.catalogue) == (
        10,
        0,
        "anthropic",
        SEEDS.version,
    )
    assert (sonnet.cost_usd, sonnet.target) == (D("0.0105"), "anthropic/claude-3-sonnet")
    assert haiku.estimated, "another vendor counts tokens in another way"


async def test_kept_answers_and_failures_are_on_neither_side() -> None:
    records = [
        a_record(1),
        a_record(2, cached=True, estimated_cost=D(0), saved_cost=D("0.006")),
        a_record(3, success=False, estimated_cost=D(0), waste_cost=D(7)),
    ]
    for from_records in (False, True):
        [found] = await reprice(records, "claude-3-haiku", from_records=from_records)
        assert (found.requests, found.actual_usd, found.cost_usd) == (1, D("0.006"), D("0.0000875"))


async def test_a_model_of_the_same_tokenizer_is_no_estimate() -> None:
    [found] = await reprice([a_record(1, cached_tokens=0)], "gpt-3.5-turbo")
    assert (found.cost_usd, found.estimated) == (D("0.000125"), False)


async def test_the_same_models_at_the_prices_of_another_list() -> None:
    records = [a_record(1), a_record(2, model="claude-3-opus", provider="anthropic", estimated_cost=D("0.00525"))]
    [found] = await reprice(records)
    assert (found.target, found.provider, found.difference_usd, found.estimated) == ("the same models", None, 0, False)
    dearer = D("0.0000175")
    [found] = await reprice([a_record(3, model="gpt-4", estimated_cost=D("0.006") - dearer)])
    assert found.difference_usd == dearer


async def test_the_day_of_the_prices_counts() -> None:
    rows = {row.model: CURRENT.history("anthropic", row.model) for row in CURRENT.rows("anthropic")}
    rows |= {row.model: CURRENT.history("deepseek", row.model) for row in CURRENT.rows("deepseek")}
    model, history = next((m, h) for m, h in rows.items() if any(row.since for row in h))
    changed = next(row for row in history if row.since)
    assert changed.since is not None
    noon = moment_us(datetime(changed.since.year, changed.since.month, changed.since.day, 12, tzinfo=UTC))
    records = [a_record(number, cached_tokens=0, timestamp_us=START_US + 12 * HOUR_US + number) for number in range(3)]
    usage = TokenUsage(100, 50)
    for at_us in (noon - DAY_US, noon):
        [found] = await reprice(records, f"{changed.provider}/{model}", prices=CURRENT, at_us=at_us)
        price = CURRENT.price(changed.provider, model, usage, at=at_us)
        assert found.cost_usd == (None if price is None else 3 * price.total)


async def test_a_price_by_the_hour_of_the_day_goes_by_each_requests_hour() -> None:
    row = next(row for row in CURRENT.history("deepseek", "deepseek-chat") if row.hours is not None)
    assert row.hours is not None
    begin = row.hours[0].hour * HOUR_US + row.hours[0].minute * 60_000_000
    day = moment_us(date(2026, 1, 1))
    records = [
        # The moment of the answer counts, not that of the question.
        a_record(n, timestamp_us=START_US + begin + shift - 5000, latency_ms=5.0, cached_tokens=0)
        for n, shift in enumerate((-1, 1))
    ]
    [found] = await reprice(records, "deepseek-chat", prices=CURRENT, at_us=day)
    each = [CURRENT.price("deepseek", "deepseek-chat", TokenUsage(100, 50), at=day + begin + n) for n in (-1, 1)]
    assert each[0] != each[1]
    assert found.cost_usd == sum(price.total for price in each if price is not None)


async def test_a_tier_goes_by_the_prompt_of_each_request() -> None:
    row = next(row for row in CURRENT.rows("gemini") if row.tiers)
    above = row.tiers[0].above
    records = [a_record(n, prompt_tokens=above + n, cached_tokens=0) for n in range(2)]
    [found] = await reprice(records, f"gemini/{row.model}", prices=CURRENT)
    prices = [CURRENT.price("gemini", row.model, TokenUsage(above + n, 50)) for n in range(2)]
    assert found.cost_usd == sum(price.total for price in prices if price is not None)


@pytest.mark.parametrize(
    ("changes", "target", "words"),
    [
        ({"estimated_tokens": True, "cached_tokens": 0}, "gpt-4-turbo", "counted here"),
        ({"model": "claude-3-opus", "provider": "anthropic", "cached_tokens": 0}, "gpt-4", "in another way"),
        ({"cached_tokens": 50}, "gpt-3.5-turbo", "no rate for cached prompts"),
        ({"cached_tokens": 0, "reasoning_tokens": 7}, "gpt-4-turbo", "reasoned"),
    ],
)
async def test_what_is_not_certain_is_named(changes: dict[str, Any], target: str, words: str) -> None:
    for from_records in (False, True):
        [found] = await reprice([a_record(1, **changes)], target, from_records=from_records)
        assert any(words in sentence for sentence in found.estimates)


@pytest.mark.parametrize("from_records", [False, True])
@pytest.mark.parametrize("model", ["gpt-4o-mini", "gemini-2.5-pro", "deepseek-v4-flash"])
async def test_the_same_model_is_no_estimate_unless_its_requests_were_not_paid_by_its_list(
    model: str, from_records: bool
) -> None:
    """The last two are always priced by record: by length of the prompt, and by hour of the day."""
    row = CURRENT.find(None, model, at=moment_us(CURRENT.date))
    assert row is not None
    usage = TokenUsage(1000, 500, cached_input_tokens=600, reasoning_tokens=7)
    price = row.cost(usage)
    assert price is not None
    parts = {"prompt_tokens": 1000, "completion_tokens": 500, "cached_tokens": 600, "reasoning_tokens": 7}
    record = a_record(1, model=model, provider=row.provider, estimated_cost=price.total, **parts)
    more: dict[str, Any] = {"prices": CURRENT, "from_records": from_records}
    for names in ((), (f"{row.provider}/{model}",)):
        [found] = await reprice([record], *names, **more)
        assert (found.difference_usd, found.estimates) == (0, ())
        # As batch, say: the record does not tell.
        odd = a_record(2, model=model, provider=row.provider, estimated_cost=price.total / 2, **parts)
        [found] = await reprice([record, odd], *names, **more)
        assert found.difference_usd == price.total / 2
        [sentence] = found.estimates
        assert sentence.startswith(f"some requests to {model} were not paid at the standard rates")


@pytest.mark.parametrize("from_records", [False, True])
async def test_a_class_of_service_a_region_and_caches_of_an_hour_are_priced_by_what_the_record_says(
    from_records: bool,
) -> None:
    parts = {"prompt_tokens": 1000, "completion_tokens": 500, "cached_tokens": 0}
    kept = TokenUsage(1000, 500, cache_write_tokens=600, cache_write_1h_tokens=400)
    for provider, model, usage, more in (
        ("openai", "gpt-4.1", TokenUsage(1000, 500, service_tier="batch"), {"service_tier": "batch"}),
        ("openai", "gpt-5.4", TokenUsage(1000, 500, region="eu"), {"region": "eu"}),
        ("anthropic", "claude-sonnet-4-5", kept, {"cache_write_tokens": 600, "cache_write_1h_tokens": 400}),
        ("openai", "gpt-4o-2024-05-13", TokenUsage(1000, 500), {"model": "gpt-4o", "priced_as": "gpt-4o-2024-05-13"}),
    ):
        price = CURRENT.price(provider, model, usage)
        plain = CURRENT.price(provider, str(more.get("model", model)), TokenUsage(1000, 500))
        assert price is not None
        assert price != plain
        record = a_record(1, estimated_cost=price.total, **{"provider": provider, "model": model, **parts, **more})
        [found] = await reprice([record], prices=CURRENT, from_records=from_records)
        assert (found.cost_usd, found.estimates) == (price.total, ())


async def test_what_another_vendor_does_not_sell_is_taken_as_the_standard_and_named() -> None:
    record = a_record(1, model="gpt-5.4", cached_tokens=0, service_tier="flex", region="us", estimated_cost=D(1))
    row = CURRENT.find("anthropic", "claude-opus-4-6")
    assert row is not None
    assert row.regions
    assert CURRENT.find("anthropic", "claude-opus-4-6", service="flex") is None
    [found] = await reprice([record], "anthropic/claude-opus-4-6", prices=CURRENT)
    price = row.cost(TokenUsage(100, 50))
    assert price is not None
    assert found.cost_usd == price.total
    assert "there are no rates there for service flex, so the standard ones are taken" in found.estimates
    assert "answers bound to region us are taken as bound to none elsewhere" in found.estimates
    [found] = await reprice([record], "openai/gpt-5.2", prices=CURRENT)
    cheaper = CURRENT.price("openai", "gpt-5.2", TokenUsage(100, 50, service_tier="flex"))
    assert cheaper is not None
    assert found.cost_usd == cheaper.total


NAMES = {
    "openai": ("gpt-4o", ("gpt-4o-2024-05-13", "gpt-5.4", "gpt-5.4", None)),
    "azure_openai": ("house-deployment", ("gpt-4o-2024-05-13", "gpt-4.1", None)),
    "anthropic": ("claude-sonnet-4-5", ("claude-sonnet-4-5-20250929", "claude-opus-4-6")),
    "bedrock": ("claude-3-sonnet", ("anthropic.claude-3-sonnet-20240229-v1:0", None)),
    "deepseek": ("deepseek-chat", ("deepseek-chat", None)),
    "gemini": ("gemini-2.5-pro", ("gemini-2.5-pro", None)),
}
ANSWERS = st.sampled_from(sorted(NAMES)).flatmap(
    lambda kind: st.tuples(
        st.just(kind),
        st.sampled_from(NAMES[kind][1]),
        st.builds(
            TokenUsage,
            st.integers(0, 400_000),
            st.integers(0, 9_000),
            cached_input_tokens=st.integers(0, 500_000),
            cache_write_tokens=st.integers(0, 500_000),
            reasoning_tokens=st.integers(0, 9_999),
            cache_write_1h_tokens=st.integers(0, 500_000),
            service_tier=st.sampled_from([None, None, "batch", "flex", "priority", "unheard-of"]),
            region=st.sampled_from([None, None, "us", "eu", "mars"]),
        ),
        # From a day on which classes of service have prices.
        st.floats(673 * 86400, 673.9 * 86400),
    )
)


@settings(deadline=None, max_examples=12)
@given(st.lists(ANSWERS, min_size=1, max_size=12))
def test_records_priced_again_by_their_own_list_cost_what_was_booked(
    answers: list[tuple[str, str | None, TokenUsage, float]],
) -> None:
    @virtual
    async def ask() -> None:
        for kind, named, usage, pause in answers:
            bench = Bench(prices=CURRENT)
            await bench.clock.sleep(pause)
            completion = Completion(text="hello", usage=usage, finish_reason="stop", model=named)
            bench.add(kind, (0.25, completion), model=NAMES[kind][0])
            await bench.gateway.generate("one")
            records.extend(bench.records)

    records: list[UsageRecord] = []
    ask()

    async def check() -> None:
        for number, record in enumerate(records):
            record.log_id += str(number)
        [found] = await reprice(records, prices=CURRENT, at_us=records[0].timestamp_us)
        booked = [record.estimated_cost for record in records]
        assert (found.actual_unpriced, found.unpriced) == (booked.count(None), booked.count(None))
        assert (found.cost_usd or 0) == found.actual_usd == sum(cost for cost in booked if cost is not None)

    asyncio.run(check())


async def test_another_list_is_not_what_the_requests_were_paid_by() -> None:
    row = CURRENT.find("openai", "gpt-4o")
    assert row is not None
    price = row.cost(TokenUsage(100, 50))
    assert price is not None
    record = a_record(1, model="gpt-4o", cached_tokens=0, estimated_cost=price.total)
    dearer = CURRENT.with_layer(Layer(premiums={"openai": [Premium(("*",), D(2))]}))
    [found] = await reprice([record], prices=dearer, paid_by=CURRENT)
    assert (found.cost_usd, found.estimates) == (2 * price.total, ())


async def test_cached_prompts_cost_their_own_rate_there_and_say_whose_cache_that_was() -> None:
    record = a_record(1, prompt_tokens=1000, completion_tokens=0, cached_tokens=600, cache_write_tokens=300)
    row = CURRENT.find("anthropic", "claude-sonnet-4-5")
    assert row is not None
    price = row.cost(TokenUsage(1000, 0, cached_input_tokens=600, cache_write_tokens=300))
    assert price is not None
    [found] = await reprice([record], "anthropic/claude-sonnet-4-5", prices=CURRENT)
    assert found.cost_usd == price.total
    assert any("in the cache of openai" in sentence for sentence in found.estimates)


async def test_unpriced_is_counted_and_makes_no_difference() -> None:
    known, unknown = a_record(1), a_record(2, model="house-model", provider="house", estimated_cost=None)
    [found] = await reprice([known, unknown])
    assert (found.cost_usd, found.unpriced, found.actual_unpriced, found.difference_usd) == (D("0.006"), 1, 1, None)
    [found] = await reprice([unknown])
    assert (found.cost_usd, found.unpriced, found.actual_usd) == (None, 1, D(0))
    [found] = await reprice([unknown], "gpt-4")
    assert (found.cost_usd, found.difference_usd) == (D("0.006"), None)


async def test_a_machine_is_paid_for_its_time() -> None:
    record = a_record(1, provider="box", model="qwen", latency_ms=36_000.0, estimated_cost=D("0.0016"))
    rented = SEEDS.with_hourly_rate(1)
    [found] = await reprice([record], prices=rented, kinds={"box": "vllm"})
    assert found.cost_usd == D("0.01")
    assert found.estimated
    [found] = await reprice([a_record(2)], "vllm/qwen", prices=rented)
    assert (found.cost_usd, found.unpriced) == (None, 1), "tokens say nothing about a machine's time"
    [found] = await reprice([a_record(3)], "ollama/llama3", prices=SEEDS)
    assert found.cost_usd == 0


async def test_nothing_answered_costs_nothing() -> None:
    [found] = await reprice([a_record(1, success=False)], "gpt-4")
    assert (found.requests, found.cost_usd, found.difference_usd) == (0, D(0), D(0))


def test_a_name_that_no_catalogue_knows_is_refused_with_the_nearest() -> None:
    with pytest.raises(InputError, match="did you mean 'claude-3-haiku'"):
        targets_of(["cluade-3-haiku"], SEEDS)
    [known_elsewhere] = targets_of(["gpt-5"], SEEDS)
    assert known_elsewhere.model == "gpt-5"


async def test_a_model_without_a_price_in_this_list_is_unpriced_and_no_error() -> None:
    [found] = await reprice([a_record(1)], "gpt-5")
    assert (found.cost_usd, found.unpriced) == (None, 1)


MIXED = st.lists(
    st.fixed_dictionaries(
        {
            "provider": st.sampled_from(["openai", "anthropic", "house"]),
            "model": st.sampled_from(["gpt-4", "claude-3-haiku", "claude-3-opus", "unheard-of"]),
            "prompt_tokens": st.integers(0, 300_000),
            "completion_tokens": st.integers(0, 5_000),
            "cached_tokens": st.integers(0, 300_000),
            "cache_write_tokens": st.integers(0, 300_000),
            "reasoning_tokens": st.integers(0, 6_000),
            "timestamp_us": st.integers(START_US, START_US + 3 * DAY_US),
            "outcome": st.sampled_from(["answered", "answered", "cached", "failed"]),
            "estimated_tokens": st.booleans(),
        }
    ),
    max_size=12,
)


@settings(deadline=None, max_examples=5)
@given(MIXED)
def test_sums_and_records_give_the_same(values: list[dict[str, Any]]) -> None:
    records = [
        a_record(number, **changes, cached=outcome == "cached", success=outcome != "failed")
        for number, changes in enumerate(values)
        for outcome in [changes.pop("outcome")]
    ]

    async def check() -> None:
        for prices, names in (
            (SEEDS, ("gpt-4-turbo", "claude-3-haiku")),
            (CURRENT, ("claude-haiku-4-5",)),
            (SEEDS, ()),
        ):
            quick = await reprice(records, *names, prices=prices)
            slow = await reprice(records, *names, prices=prices, from_records=True)
            for one, other in zip(quick, slow, strict=True):
                assert (one.cost_usd, one.unpriced, one.requests) == (other.cost_usd, other.unpriced, other.requests)

    asyncio.run(check())
