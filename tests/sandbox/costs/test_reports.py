"""Reports over the usage records: series without holes, drilling down, the outlook on the month."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from decimal import Decimal as D
from pathlib import Path
from typing import Any, get_args

import pytest

from providers.errors import InputError
from sandbox.costs import reports
from sandbox.costs.reports import CostReports, deeper, inside
from sandbox.usage.base import UsageFilter, UsageTotals
from sandbox.usage.sqlite import SqliteUsageStore
from tests.contract.usage_records import DAY_US, HOUR_US, START_US, a_record
from tests.fake_clock import FakeClock


class Bench:
    def __init__(self, folder: Path) -> None:
        self.clock = FakeClock()
        self.store = SqliteUsageStore(folder / "usage.db", clock=self.clock)
        self.reports = CostReports(self.store, clock=self.clock)
        self._count = 0

    def put(self, at_us: int, **changes: Any) -> None:
        self._count += 1
        self.store.record(a_record(self._count, timestamp_us=at_us, **changes))

    def at(self, time_us: int) -> None:
        self.clock.now = (time_us - START_US) / 1e6


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    await bench.store.close()


FEBRUARY_2024 = 1_706_745_600_000_000
"""2024-02-01T00:00:00Z, of a leap year."""


@pytest.mark.parametrize(
    ("granularity", "since", "until", "names"),
    [
        ("hourly", 30 * 60_000_000, 3 * HOUR_US, ["2024-02-01T00:00Z", "2024-02-01T01:00Z", "2024-02-01T02:00Z"]),
        ("daily", 27 * DAY_US, 30 * DAY_US, ["2024-02-28", "2024-02-29", "2024-03-01"]),
        ("daily", 5, 6, ["2024-02-01"]),
        ("daily", 6, 5, []),
        ("monthly", 0, 60 * DAY_US + 1, ["2024-02", "2024-03", "2024-04"]),
    ],
    ids=["hours", "leap day", "a microsecond", "backwards", "months"],
)
async def test_a_series_has_every_period_of_its_range(
    bench: Bench, granularity: Any, since: int, until: int, names: list[str]
) -> None:
    where = UsageFilter(since_us=FEBRUARY_2024 + since, until_us=FEBRUARY_2024 + until)
    buckets = await bench.reports.series(where, granularity)
    assert [bucket.name for bucket in buckets] == names
    assert all(bucket.totals == UsageTotals() for bucket in buckets)


async def test_a_series_sums_to_the_whole(bench: Bench) -> None:
    for number in range(40):
        bench.put(START_US + number * 7 * HOUR_US, estimated_cost=D(number))
    bench.at(START_US + 12 * DAY_US)
    for granularity in get_args(reports.Granularity):
        buckets = await bench.reports.series(UsageFilter(), granularity)
        assert sum(bucket.totals.cost_usd for bucket in buckets) == 780
        assert sum(bucket.totals.requests for bucket in buckets) == 40
        assert [b.start_us for b in buckets] == sorted({b.start_us for b in buckets})


async def test_without_bounds_a_series_goes_from_the_first_request_to_now(bench: Bench) -> None:
    assert await bench.reports.series(UsageFilter(), "daily") == []
    bench.put(START_US + 2 * DAY_US)
    bench.at(START_US + 4 * DAY_US + 1)
    names = [bucket.name for bucket in await bench.reports.series(UsageFilter(), "daily")]
    assert names == ["2025-01-03", "2025-01-04", "2025-01-05"]


async def test_a_clock_that_was_set_back_hides_no_request(bench: Bench) -> None:
    bench.put(START_US + 5 * DAY_US)
    bench.put(START_US + 3 * DAY_US)
    bench.at(START_US + 3 * DAY_US + 1)
    buckets = await bench.reports.series(UsageFilter(), "daily")
    assert [(bucket.name, bucket.totals.requests) for bucket in buckets] == [
        ("2025-01-04", 1),
        ("2025-01-05", 0),
        ("2025-01-06", 1),
    ]


async def test_what_no_series_can_be_is_refused_in_a_sentence(bench: Bench) -> None:
    with pytest.raises(InputError, match="did you mean 'hourly'"):
        await bench.reports.series(UsageFilter(), "hour")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="more than 100,000 periods"):
        await bench.reports.series(UsageFilter(since_us=0, until_us=START_US), "hourly")


async def test_drilling_down_ends_at_the_requests_that_make_up_the_sum(bench: Bench) -> None:
    for number in range(24):
        bench.put(
            START_US + number * HOUR_US,
            tenant_id=f"t{number % 2}",
            agent_id=f"a{number % 3}",
            model=f"m{number % 4}",
            estimated_cost=D(number),
        )
    where = UsageFilter()
    path: list[str] = []
    total = await bench.reports.totals(where)
    while (by := deeper(where)) is not None:
        rows = await bench.reports.breakdown(where, by)
        assert sum(sums.cost_usd for _, sums in rows) == total.cost_usd
        key, total = rows[0]
        where, path = inside(where, by, key), [*path, by]
    assert path == ["tenant", "agent", "model"]
    requests = await bench.reports.requests(where)
    assert sum((one.estimated_cost or D(0)) for one in requests) == total.cost_usd
    assert len(requests) == total.requests


@pytest.mark.parametrize("by", ["hour", "day", "month", "provider"])
async def test_a_row_of_a_breakdown_has_the_sums_of_its_own_filter(bench: Bench, by: Any) -> None:
    for number in range(30):
        bench.put(START_US + number * 31 * HOUR_US, provider=("openai", "")[number % 2])
    where = UsageFilter(since_us=START_US + 40 * HOUR_US, until_us=START_US + 35 * DAY_US + 5)
    for key, sums in await bench.reports.breakdown(where, by):
        assert await bench.reports.totals(inside(where, by, key)) == sums


async def test_the_outlook_reckons_a_month_by_its_own_length(bench: Bench) -> None:
    bench.put(START_US - 1, estimated_cost=D(7), waste_cost=D(1))
    bench.put(START_US, estimated_cost=D(1), waste_cost=D("0.5"))
    bench.put(START_US + 1, estimated_cost=None)
    bench.put(START_US + 31 * DAY_US, estimated_cost=D(100))
    bench.at(START_US + 10 * DAY_US)
    outlook = await bench.reports.outlook(UsageFilter())
    assert (outlook.spent_usd, outlook.before_usd, outlook.unpriced) == (D("1.5"), D(8), 1)
    assert outlook.projected_usd == D("4.65"), "31 days at 1.5 in 10"
    assert (outlook.period_start_us, outlook.period_end_us) == (START_US, START_US + 31 * DAY_US)


async def test_the_outlook_keeps_to_its_filter_but_not_to_its_times(bench: Bench) -> None:
    bench.put(START_US, tenant_id="t1", estimated_cost=D(1))
    bench.put(START_US, tenant_id="t2", estimated_cost=D(2))
    bench.put(START_US, tenant_id="t1", mode="live", estimated_cost=D(4))
    where = UsageFilter(tenant_id="t1", since_us=START_US + 5)
    assert (await bench.reports.outlook(where)).spent_usd == 1
    assert (await bench.reports.outlook(replace(where, mode="live"))).spent_usd == 4


def test_no_bucket_is_made_twice_or_passed_over() -> None:
    where = UsageFilter(since_us=START_US - 40 * DAY_US, until_us=START_US + 400 * DAY_US)
    for step, count in (("hour", 440 * 24), ("day", 440), ("month", 16)):
        buckets = list(reports.filled(where, step, {}, START_US))  # type: ignore[arg-type]
        assert len({bucket.name for bucket in buckets}) == len(buckets) == count
