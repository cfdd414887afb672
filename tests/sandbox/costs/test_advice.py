"""What could be saved: each kind of advice from records that call for it, and none where nothing does."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal as D
from pathlib import Path
from typing import Any

import pytest

from providers.errors import InputError
from providers.pricing import catalogue
from sandbox.costs import advice
from sandbox.costs.advice import Recommendation, recommendations
from sandbox.costs.base import Balance, Budget
from sandbox.costs.machines import machine_bill, shared_out
from sandbox.costs.reports import CostReports
from sandbox.costs.status import status_of
from sandbox.usage.base import UsageFilter
from sandbox.usage.records import PICO
from sandbox.usage.sqlite import SqliteUsageStore
from tests.contract.usage_records import DAY_US, START_US, a_record
from tests.fake_clock import FakeClock

SEEDS = catalogue("seeds-2024")
TIERS = {"large": ("claude-3-opus", "gpt-4"), "small": ("claude-3-haiku", "gpt-3.5-turbo", "house-model")}


class Bench:
    def __init__(self, folder: Path) -> None:
        self.store = SqliteUsageStore(folder / "usage.db", clock=FakeClock())
        self.reports = CostReports(self.store, clock=FakeClock())
        self._count = 0

    def put(self, count: int = 1, **changes: Any) -> None:
        for _ in range(count):
            self._count += 1
            self.store.record(a_record(self._count, **{"prompt_hash": f"{self._count:016x}", **changes}))

    async def ask(self, **changes: Any) -> dict[str, Recommendation]:
        """By kind."""
        where = changes.pop("where", UsageFilter())
        arguments: dict[str, Any] = {"tiers": TIERS, "now_us": START_US + DAY_US, **changes}
        found = await recommendations(self.reports, where, SEEDS, **arguments)
        savings = [one.saving_usd for one in found]
        assert savings == sorted(savings, key=lambda usd: (usd is None, -(usd or 0)))
        return {one.kind: one for one in found}


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    await bench.store.close()


async def test_where_nothing_is_amiss_nothing_is_recommended(bench: Bench) -> None:
    assert await bench.ask() == {}
    bench.put(model="claude-3-haiku", provider="anthropic", estimated_cost=D("0.0000875"))
    assert await bench.ask() == {}


@pytest.mark.parametrize(
    ("since", "monthly"),
    [(START_US - DAY_US, "0.0225"), (START_US - 2 * DAY_US, "0.015"), (START_US, "0.045"), (START_US + 1, None)],
)
async def test_a_saving_is_told_by_the_month_where_a_day_or_more_was_looked_at(
    bench: Bench, since: int, monthly: str | None
) -> None:
    bench.put(2, model="gpt-4", estimated_cost=D("0.006"), cached_tokens=0, timestamp_us=START_US + 9)
    found = (await bench.ask(where=UsageFilter(since_us=since)))["cheaper_model"]
    assert (found.saving_usd, found.monthly_usd) == (D("0.0015"), None if monthly is None else D(monthly))
    assert (await bench.ask())["cheaper_model"].monthly_usd is None, "of all times"


async def test_requests_that_could_go_to_a_cheaper_equivalent(bench: Bench) -> None:
    bench.put(3, model="claude-3-opus", provider="anthropic", estimated_cost=D("0.00525"), cached_tokens=0)
    bench.put(2, model="gpt-4", estimated_cost=D("0.006"), cached_tokens=0)
    found = (await bench.ask())["cheaper_model"]
    assert found.saving_usd == D("0.0015"), "gpt-4's two on claude-3-opus; that one's have nothing cheaper"
    assert found.estimated
    assert found.sentence == (
        "2 requests to gpt-4 could have gone to claude-3-opus (anthropic), of the same tier: "
        "~$0.0105 instead of ~$0.012"
    )
    assert SEEDS.version in found.basis
    live = await bench.ask(where=UsageFilter("live"))
    assert live == {}


async def test_only_whoever_can_be_asked_is_recommended(bench: Bench) -> None:
    bench.put(2, model="gpt-4", estimated_cost=D("0.006"), cached_tokens=0)

    async def to(*served: tuple[str, str]) -> str | None:
        found = await bench.ask(served=lambda name: served if name == "claude-3-opus" else [])
        return found["cheaper_model"].sentence if "cheaper_model" in found else None

    assert await to() is None
    assert "claude-3-opus (bedrock)" in (await to(("bedrock", "anthropic.claude-3-opus-20240229-v1:0")) or "")
    # What one's own machine costs nobody knows by tokens, and Ollama's being free says nothing of what it can do.
    assert await to(("vllm", "claude-3-opus"), ("ollama", "claude-3-opus")) is None


async def test_a_model_of_no_tier_and_one_without_a_price_get_no_such_advice(bench: Bench) -> None:
    bench.put(model="o3")
    bench.put(model="house-model", estimated_cost=None)
    assert set(await bench.ask()) == {"unpriced"}


async def test_unpriced_models_are_named(bench: Bench) -> None:
    bench.put(3, model="house-model", estimated_cost=None)
    assert "3 requests to house-model have no known price" in (await bench.ask())["unpriced"].sentence


async def test_what_the_cache_saved(bench: Bench) -> None:
    bench.put(1, model="o3")
    bench.put(3, model="o3", cached=True, estimated_cost=D(0), saved_cost=D("0.006"))
    found = (await bench.ask())["cache_saved"]
    assert found.sentence == "the cache answered 3 of 4 requests and saved ~$0.018"
    assert found.saving_usd is None


async def test_what_a_longer_cache_would_have_saved(bench: Bench) -> None:
    bench.put(3, model="o3", prompt_hash="aa", estimated_cost=D("0.5"))
    bench.put(1, model="o3", prompt_hash="aa", estimated_cost=D(9), tenant_id="globex")
    bench.put(1, model="o3", prompt_hash="aa", estimated_cost=D(9), requested_model="o3")
    bench.put(1, model="o3", prompt_hash="aa", success=False, estimated_cost=D(0))
    bench.put(1, model="o3", prompt_hash="bb", estimated_cost=D(1), story={"stream": True})
    bench.put(1, model="o3", prompt_hash="bb", estimated_cost=D(1), story={"stream": True})
    found = (await bench.ask())["cache_repeats"]
    assert found.saving_usd == 2
    assert "3 questions had been answered before and were paid again, 1 of them streams" in found.sentence
    assert not found.estimated


async def test_without_a_cache_nobody_knows_what_one_would_have_saved(bench: Bench) -> None:
    bench.put(3, model="o3", prompt_hash="")
    found = (await bench.ask())["cache_repeats"]
    assert "cannot be known" in found.sentence
    assert found.saving_usd is None


async def test_a_look_at_a_part_of_the_records_says_so(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(advice, "MAX_LOOKED_AT", 4)
    bench.put(9, model="o3", prompt_hash="aa", estimated_cost=D(1))
    found = (await bench.ask())["cache_repeats"]
    assert (found.saving_usd, found.estimated) == (D(3), True)
    assert found.basis.startswith("the first 4 of 9 records")


@pytest.mark.parametrize(
    ("premium", "saving", "words"),
    [
        ("0.25", D("0.5"), "2 moves to another provider cost ~$0.50 more"),
        ("-0.25", None, "was ~$0.50 cheaper"),
        ("0", None, "cost no more than"),
    ],
)
async def test_what_failing_over_cost(bench: Bench, premium: str, saving: D | None, words: str) -> None:
    bench.put(2, model="o3", failovers=1, premium_cost=D(premium), attempts=2)
    found = (await bench.ask())["failover"]
    assert found.saving_usd == saving
    assert words in found.sentence


async def test_what_was_paid_for_nothing(bench: Bench) -> None:
    bench.put(1, model="o3", waste_cost=D(1), estimated_cost=D(3), attempts=3)
    found = (await bench.ask())["waste"]
    assert found.saving_usd == 1
    assert (
        found.sentence
        == "~$1.00 (25.0 % of what was spent) was paid for answers that were not used in 2 further attempts"
    )


@pytest.mark.parametrize(
    ("used", "words"),
    [
        ("20", "of tenant acme is used up: ~$20.00 of $20.00 until 2025-02-01"),
        ("10", "will be used up about 2025-01-21 at this pace: ~$10.00 of $20.00 so far, ~$31.00 by the end"),
        ("5", None),
        ("0", None),
    ],
)
async def test_budgets_that_will_not_do(bench: Bench, used: str, words: str | None) -> None:
    now_us = START_US + 10 * DAY_US
    status = status_of(Budget("acme", D(20)), Balance(int(D(used) * PICO), 0), START_US, now_us)
    found = await bench.ask(budgets=[status], now_us=now_us)
    if words is None:
        assert found == {}
    else:
        assert words in found["budget"].sentence


# --- machines of one's own -----------------------------------------------------------------------------------------


async def test_a_machine_is_shared_out_by_who_kept_it_busy(bench: Bench) -> None:
    for tenant, seconds in (("acme", 1), ("globex", 2)):
        cost = D("0.16") * seconds / 3600
        bench.put(3, provider="vllm", model="qwen", tenant_id=tenant, estimated_cost=cost.quantize(D("1E-12")))
    bench.put(provider="openai", estimated_cost=D(5))
    bill = await machine_bill(bench.reports, UsageFilter(), SEEDS, uptime_hours=24)
    assert (bill.bill_usd, bill.hourly_usd) == (D("3.84"), D("0.16"))
    assert [(key, share.quantize(D("0.0001"))) for key, share in bill.shares] == [
        ("globex", D("2.56")),
        ("acme", D("1.28")),
    ]
    assert sum(share for _, share in bill.shares) == bill.bill_usd
    assert bill.idle_usd == bill.bill_usd - bill.booked_usd > D("3.83")


async def test_requests_side_by_side_are_not_each_paid_for_the_machine(bench: Bench) -> None:
    bench.put(4, provider="vllm", model="qwen", estimated_cost=D("0.16"))
    bill = await machine_bill(bench.reports, UsageFilter(), SEEDS, uptime_hours=1, by="agent")
    assert (bill.booked_usd, bill.idle_usd, bill.shares) == (D("0.64"), D(0), [("writer", D("0.16"))])
    assert bill.crowded_usd == D("0.48"), "what the records say too much"


async def test_a_machine_that_is_none_or_runs_for_no_time_is_refused(bench: Bench) -> None:
    with pytest.raises(InputError, match="openai is not paid by the hour"):
        await machine_bill(bench.reports, UsageFilter(), SEEDS, provider="openai", uptime_hours=1)
    for hours in (-1, float("nan")):
        with pytest.raises(InputError, match="seconds is"):
            await machine_bill(bench.reports, UsageFilter(), SEEDS, uptime_hours=hours)


def test_shares_add_up_to_the_last_digit() -> None:
    parts = [(f"t{number}", D(number % 7) / 3) for number in range(40)]
    for bill in (D("0.000000000007"), D("3.84"), D("0.1")):
        shares = shared_out(bill, parts)
        assert sum(share for _, share in shares) == bill
        assert all(share >= 0 for _, share in shares)
    assert shared_out(D(5), []) == []
