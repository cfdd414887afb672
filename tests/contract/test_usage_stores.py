"""What every usage store does, whatever it is made of. Another store joins by a parameter of `open_store`."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from providers.errors import InputError
from sandbox.usage.base import DIMENSIONS as SUMMED
from sandbox.usage.base import Dimension, UsageFilter, UsageRecord, UsageStore, UsageTotals
from sandbox.usage.sqlite import SqliteUsageStore
from tests.contract.usage_records import DAY_US, HOUR_US, START_US, a_record, expected_breakdown, expected_totals
from tests.dynamo import servers
from tests.dynamo.stores import opened
from tests.fake_clock import FakeClock

Opener = Callable[[Path], UsageStore]


def _sqlite(folder: Path) -> UsageStore:
    return SqliteUsageStore(folder / "usage.db", clock=FakeClock())


def _moto(folder: Path) -> UsageStore:
    return opened(servers.moto(), folder)


def _dynalite(folder: Path) -> UsageStore:
    return opened(servers.dynalite(), folder)


DYNALITE = pytest.param(
    _dynalite,
    id="dynamodb-dynalite",
    marks=pytest.mark.skipif(bool(servers.no_dynalite()), reason=str(servers.no_dynalite())),
)
KINDS = [pytest.param(_sqlite, id="sqlite"), pytest.param(_moto, id="dynamodb-moto"), DYNALITE]


@pytest.fixture(params=KINDS)
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], UsageStore]:
    """Opens a store over the same data each time."""
    return lambda: request.param(tmp_path)


@pytest.fixture
async def store(open_store: Callable[[], UsageStore]) -> AsyncIterator[UsageStore]:
    store = open_store()
    yield store
    await store.close()


def put(store: UsageStore, *records: UsageRecord) -> list[UsageRecord]:
    for record in records:
        store.record(record)
    return list(records)


# --- one record ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"estimated_cost": None, "requested_model": None, "ttft_ms": None},
        {"estimated_cost": Decimal(0), "saved_cost": Decimal("0.25"), "cached": True, "attempts": 0},
        {"success": False, "error_type": "RateLimitError", "provider": "", "waste_cost": Decimal("0.000000000001")},
        {"cache_write_tokens": 40, "reasoning_tokens": 20, "prompt_hash": "0123456789abcdef"},
        {"cache_write_tokens": 4, "cache_write_1h_tokens": 3, "service_tier": "flex", "region": "us", "priced_as": "g"},
        {"failovers": 1, "premium_cost": Decimal("-0.000000000001")},
        {"failovers": 1, "premium_cost": None},
        {"estimated_tokens": True, "failovers": 2, "attempts": 5, "tenant_id": "ténant ☂", "agent_id": "a#b"},
        {"story": {"plan": [["openai", "gpt-4", "first"]], "attempts": [{"outcome": "ok"}], "premium_usd": None}},
    ],
    ids=["plain", "unpriced", "hit", "failed", "parts", "special", "cheaper", "unknown", "odd", "story"],
)
async def test_a_record_comes_back_as_it_was(store: UsageStore, changes: dict[str, Any]) -> None:
    (record,) = put(store, a_record(1, **changes))
    await store.flush()
    assert await store.get("req-000001") == record


async def test_a_read_sees_what_was_recorded_before_it(store: UsageStore) -> None:
    put(store, a_record(1))
    assert (await store.totals(UsageFilter())).requests == 1
    put(store, a_record(2))
    assert len(await store.recent(UsageFilter())) == 2


async def test_records_outlive_the_store(open_store: Callable[[], UsageStore]) -> None:
    first = open_store()
    (record,) = put(first, a_record(1))
    await first.close()
    second = open_store()
    try:
        assert await second.get(record.request_id) == record
    finally:
        await second.close()


async def test_nothing_waits_after_a_flush_and_closing_twice_is_fine(store: UsageStore) -> None:
    put(store, *(a_record(n) for n in range(100)))
    assert store.pending > 0
    await store.flush()
    assert store.pending == 0
    assert store.problem is None
    await store.close()
    await store.close()


async def test_the_same_log_id_counts_once(store: UsageStore) -> None:
    put(store, a_record(1), a_record(2), a_record(1))
    await store.flush()
    put(store, a_record(2), a_record(3))
    assert (await store.totals(UsageFilter())).requests == 3
    assert sum(t.requests for _, t in await store.breakdown(UsageFilter(), "tenant")) == 3
    assert len(await store.recent(UsageFilter())) == 3


# --- money ---------------------------------------------------------------------------------------------------------


async def test_money_is_exact_and_unpriced_is_not_zero(store: UsageStore) -> None:
    tenth = Decimal("0.1")
    put(store, *(a_record(n, estimated_cost=tenth) for n in range(10)))
    put(store, a_record(10, estimated_cost=Decimal("0.000000000001")))
    put(store, a_record(11, estimated_cost=None), a_record(12, estimated_cost=None, success=False))
    totals = await store.totals(UsageFilter())
    assert totals.cost_usd == Decimal("1.000000000001")
    assert totals.unpriced == 1
    unpriced = await store.get("req-000011")
    assert unpriced is not None
    assert unpriced.estimated_cost is None


async def test_sums_beyond_64_bits_of_picodollars_stay_exact(store: UsageStore) -> None:
    nine_million = Decimal("9000000.000000000001")
    put(store, *(a_record(n, estimated_cost=nine_million, waste_cost=nine_million) for n in range(5)))
    whole = await store.totals(UsageFilter())
    cut = await store.totals(UsageFilter(since_us=START_US, until_us=START_US + 4))
    assert (whole.cost_usd, whole.waste_usd) == (5 * nine_million, 5 * nine_million)
    assert cut.cost_usd == 4 * nine_million


async def test_cents_carry_over_to_dollars_from_one_commit_to_the_next(store: UsageStore) -> None:
    for number in range(5):
        put(store, a_record(number, estimated_cost=Decimal("0.600000000001"), saved_cost=Decimal("1.5")))
        await store.flush()
    totals = await store.totals(UsageFilter())
    assert (totals.cost_usd, totals.saved_usd) == (Decimal("3.000000000005"), Decimal("7.5"))


async def test_premiums_below_nothing_add_up(store: UsageStore) -> None:
    for number, premium in enumerate(("-0.6", "-1.000000000001", "0.4", None)):
        put(store, a_record(number, failovers=1, premium_cost=None if premium is None else Decimal(premium)))
        await store.flush()
    whole = await store.totals(UsageFilter())
    cut = await store.totals(UsageFilter(since_us=START_US, until_us=START_US + 2))
    assert (whole.premium_usd, cut.premium_usd) == (Decimal("-1.200000000001"), Decimal("-1.600000000001"))


async def test_tokens_of_failures_and_of_kept_answers_are_not_what_providers_answered(store: UsageStore) -> None:
    parts = {"cache_write_tokens": 500, "reasoning_tokens": 500, "cached_tokens": 60}
    put(store, a_record(1, **parts), a_record(2, cached=True, **parts), a_record(3, success=False, **parts))
    totals = await store.totals(UsageFilter())
    assert totals.prompt_tokens == 300
    assert (totals.answered_prompt_tokens, totals.answered_completion_tokens) == (100, 50)
    assert totals.answered_cached_tokens == 60
    assert totals.answered_write_tokens == 40, "the rest of the prompt, not more"
    assert totals.answered_reasoning_tokens == 50
    cut = await store.totals(UsageFilter(since_us=START_US, until_us=START_US + 4))
    assert cut == totals, "of the records themselves, where a range cuts every period"


async def test_a_cut_range_sums_times_as_a_whole_one_does(store: UsageStore) -> None:
    records = put(store, *(a_record(n, latency_ms=ms) for n, ms in enumerate((1.001, 4.35, 0.0006, 0.0004, 2.007))))
    whole = await store.totals(UsageFilter())
    cut = await store.totals(UsageFilter(since_us=START_US, until_us=START_US + len(records)))
    assert whole.latency_ms_sum == cut.latency_ms_sum == 7.359


# --- filters and breakdowns ----------------------------------------------------------------------------------------


async def test_an_empty_store_has_nothing_to_say(store: UsageStore) -> None:
    assert await store.totals(UsageFilter()) == UsageTotals()
    assert await store.breakdown(UsageFilter(), "day") == []
    assert await store.recent(UsageFilter()) == []
    assert await store.get("req") is None
    assert [r async for r in store.scan(UsageFilter())] == []


async def test_modes_never_mix(store: UsageStore) -> None:
    put(store, a_record(1), a_record(2, mode="live", estimated_cost=Decimal(5)), a_record(3, mode="replay"))
    for mode, cost in (("mock", "0.006"), ("live", "5"), ("replay", "0.006"), ("record", "0")):
        where = UsageFilter(mode)
        assert (await store.totals(where)).cost_usd == Decimal(cost)
        assert sum(t.requests for _, t in await store.breakdown(where, "model")) == (mode != "record")
        assert {r.mode for r in await store.recent(where)} <= {mode}
        assert {r.mode async for r in store.scan(where)} <= {mode}


async def test_a_time_range_has_its_beginning_and_not_its_end(store: UsageStore) -> None:
    put(store, *(a_record(n) for n in range(4)))
    where = UsageFilter(since_us=START_US + 1, until_us=START_US + 3)
    assert (await store.totals(where)).requests == 2
    assert [r.request_id for r in await store.recent(where)] == ["req-000002", "req-000001"]
    assert [r.request_id async for r in store.scan(where)] == ["req-000001", "req-000002"]
    backwards = UsageFilter(since_us=START_US + 3, until_us=START_US + 1)
    assert (await store.totals(backwards)).requests == 0


async def test_a_breakdown_is_dearest_first_and_times_are_in_order(store: UsageStore) -> None:
    put(
        store,
        a_record(1, model="cheap", estimated_cost=Decimal("0.1"), timestamp_us=START_US + 40 * DAY_US),
        a_record(2, model="dear", estimated_cost=Decimal("0.2"), timestamp_us=START_US + 3 * HOUR_US),
        a_record(3, model="busy", estimated_cost=Decimal("0.05")),
        a_record(4, model="busy", estimated_cost=Decimal("0.05")),
        a_record(5, model="unpriced", estimated_cost=None),
    )
    models = await store.breakdown(UsageFilter(), "model")
    assert [name for name, _ in models] == ["dear", "busy", "cheap", "unpriced"]
    for by, names in (
        ("hour", ["2025-01-01T00:00Z", "2025-01-01T03:00Z", "2025-02-10T00:00Z"]),
        ("day", ["2025-01-01", "2025-02-10"]),
        ("month", ["2025-01", "2025-02"]),
    ):
        assert [name for name, _ in await store.breakdown(UsageFilter(), by)] == names  # type: ignore[arg-type]


TIMES = st.one_of(
    st.integers(START_US, START_US + 70 * DAY_US),
    st.builds(
        lambda hours, offset: START_US + hours * HOUR_US + offset,
        st.integers(0, 70 * 24),
        st.sampled_from([-1, 0, 1, HOUR_US // 6 - 1, HOUR_US // 6]),
    ),
)
RECORDS = st.lists(
    st.fixed_dictionaries(
        {
            "timestamp_us": TIMES,
            "mode": st.sampled_from(["mock", "mock", "mock", "live"]),
            "tenant_id": st.sampled_from(["acme", "globex"]),
            "agent_id": st.sampled_from(["reader", "writer"]),
            "provider": st.sampled_from(["openai", "anthropic", ""]),
            "model": st.sampled_from(["gpt-4", "claude-3-haiku"]),
            "estimated_cost": st.one_of(st.none(), st.decimals(0, 3_000_000, places=12)),
            "waste_cost": st.decimals(0, 1, places=12),
            "saved_cost": st.one_of(st.none(), st.decimals(0, 1, places=6)),
            "premium_cost": st.one_of(st.none(), st.decimals(-2, 2, places=12)),
            "prompt_tokens": st.integers(0, 10**6),
            "completion_tokens": st.integers(0, 10**6),
            "tokens_used": st.integers(0, 10**7),
            "cached_tokens": st.integers(0, 10**6),
            "cache_write_tokens": st.integers(0, 10**6),
            "reasoning_tokens": st.integers(0, 10**6),
            "cache_write_1h_tokens": st.integers(0, 10**6),
            "service_tier": st.sampled_from([None, None, "batch"]),
            "region": st.sampled_from([None, None, "eu"]),
            "priced_as": st.sampled_from(["", "gpt-4-0613"]),
            "attempts": st.integers(0, 5),
            "estimated_tokens": st.booleans(),
            "latency_ms": st.integers(0, 10**6).map(lambda us: us / 1000),
            "cached": st.booleans(),
            "success": st.booleans(),
            "failovers": st.integers(0, 3),
        }
    ),
    max_size=30,
)
FILTERS = st.builds(
    UsageFilter,
    mode=st.just("mock"),
    since_us=st.one_of(st.none(), TIMES),
    until_us=st.one_of(st.none(), TIMES),
    tenant_id=st.sampled_from([None, "acme", "nobody"]),
    agent_id=st.sampled_from([None, "writer"]),
    provider=st.sampled_from([None, "openai", ""]),
    model=st.sampled_from([None, "gpt-4"]),
)
DIMENSIONS: list[Dimension] = ["provider", "model", "tenant", "agent", "day", "hour", "month"]


@settings(deadline=None, max_examples=40)
@given(values=RECORDS, filters=st.lists(FILTERS, min_size=1, max_size=8))
def test_sums_agree_with_a_plain_reckoning(values: list[dict[str, Any]], filters: list[UsageFilter]) -> None:
    agree(_sqlite, values, filters)


@pytest.mark.parametrize("opener", KINDS[1:])
@settings(deadline=None, max_examples=4)
@given(values=RECORDS, filters=st.lists(FILTERS, min_size=1, max_size=3))
def test_sums_on_a_server_agree_with_a_plain_reckoning(
    opener: Opener, values: list[dict[str, Any]], filters: list[UsageFilter]
) -> None:
    agree(opener, values, filters)


def agree(opener: Opener, values: list[dict[str, Any]], filters: list[UsageFilter]) -> None:
    records = [a_record(number, **changes) for number, changes in enumerate(values)]

    async def check() -> None:
        with tempfile.TemporaryDirectory() as folder:
            store = opener(Path(folder))
            try:
                put(store, *records[: len(records) // 2])
                await store.flush()
                put(store, *records[len(records) // 2 :])
                for where in filters:
                    assert await store.totals(where) == expected_totals(records, where)
                    for by in DIMENSIONS:
                        assert await store.breakdown(where, by) == expected_breakdown(records, where, by)
                    whole, parts = await store.summary(where)
                    assert whole == expected_totals(records, where)
                    assert {by: list(rows) for by, rows in parts.items()} == {
                        by: expected_breakdown(records, where, by) for by in SUMMED
                    }
                    known = {r.log_id for r in records if expected_totals([r], where).requests}
                    assert {r.log_id async for r in store.scan(where)} == known
            finally:
                await store.close()

    asyncio.run(check())


# --- single records ------------------------------------------------------------------------------------------------


async def test_a_request_is_found_by_its_unique_beginning(store: UsageStore) -> None:
    put(store, a_record(1, request_id="abc123"), a_record(2, request_id="abd"), a_record(3, request_id="ab%_☂"))
    for beginning, whole in (("abc", "abc123"), ("abd", "abd"), ("ab%", "ab%_☂"), ("ab%_☂", "ab%_☂")):
        found = await store.get(beginning)
        assert found is not None
        assert found.request_id == whole
    assert await store.get("abcd") is None
    assert await store.get("a%") is None


async def test_an_ambiguous_beginning_says_how_many_there_are(store: UsageStore) -> None:
    put(store, *(a_record(n, request_id=f"abc{n}") for n in range(3)))
    with pytest.raises(InputError, match="3 requests begin with 'abc'"):
        await store.get("abc")
    with pytest.raises(InputError, match="empty"):
        await store.get("")


async def test_an_id_that_begins_another_is_found(store: UsageStore) -> None:
    put(store, a_record(1, request_id="abc"), a_record(2, request_id="abcd"))
    found = await store.get("abc")
    assert found is not None
    assert found.request_id == "abc"


async def test_recent_is_newest_first_and_limited(store: UsageStore) -> None:
    put(store, *(a_record(n, timestamp_us=START_US + (n * 7) % 10, tenant_id=f"t{n % 2}") for n in range(10)))
    times = [r.timestamp_us - START_US for r in await store.recent(UsageFilter(), 3)]
    assert times == [9, 8, 7]
    assert {r.tenant_id for r in await store.recent(UsageFilter(tenant_id="t1"))} == {"t1"}


async def test_recent_finds_what_is_rare_and_what_is_not_there(store: UsageStore) -> None:
    put(store, *(a_record(n, timestamp_us=START_US + n * DAY_US, model="often") for n in range(6)))
    put(store, a_record(30, timestamp_us=START_US + 5 * DAY_US + 7, model="once", provider="bedrock"))
    put(store, a_record(31, timestamp_us=START_US + 9 * DAY_US, model="once", mode="live"))
    for where in (
        UsageFilter(model="once"),
        UsageFilter(provider="bedrock"),
        UsageFilter(tenant_id="acme", model="once"),
    ):
        assert [r.request_id for r in await store.recent(where)] == ["req-000030"]
    assert await store.recent(UsageFilter(model="once", since_us=START_US + 6 * DAY_US)) == []
    assert await store.recent(UsageFilter(model="once", until_us=START_US + 5 * DAY_US)) == []
    assert await store.recent(UsageFilter(model="never")) == []
    assert await store.recent(UsageFilter(model="often", provider="bedrock")) == []


async def test_a_scan_is_in_order_of_time_whatever_its_length(store: UsageStore) -> None:
    put(store, *(a_record(n, timestamp_us=START_US + (n * 7919) % 600, request_id=f"r{n}") for n in range(1201)))
    seen = [r async for r in store.scan(UsageFilter())]
    assert len({r.request_id for r in seen}) == 1201
    assert [r.timestamp_us for r in seen] == sorted(r.timestamp_us for r in seen)


# --- pruning -------------------------------------------------------------------------------------------------------


async def test_pruning_takes_the_records_and_leaves_the_sums(store: UsageStore) -> None:
    records = put(
        store,
        *(a_record(n, timestamp_us=START_US + n * 8 * HOUR_US, mode=("mock", "live", "mock")[n % 3]) for n in range(6)),
    )
    before = START_US + DAY_US
    whole = await store.totals(UsageFilter())
    assert await store.prune(before_us=before) == 3
    assert await store.prune(before_us=before) == 0
    assert await store.totals(UsageFilter()) == whole == expected_totals(records, UsageFilter())
    assert min([r.timestamp_us async for r in store.scan(UsageFilter())]) == before
    assert await store.get("req-000002") is None
    assert await store.get("req-000004") is not None


async def test_a_range_that_cuts_a_pruned_hour_counts_it_rather_than_nothing(store: UsageStore) -> None:
    put(store, *(a_record(n) for n in range(10)))
    await store.prune(before_us=START_US + HOUR_US)
    assert (await store.totals(UsageFilter(since_us=START_US + 5))).requests == 10
