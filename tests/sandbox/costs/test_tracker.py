"""The cost tracker used by itself: what it is told, thresholds, months, reports, files, and what it refuses."""

from __future__ import annotations

import csv
import gc
import json
import threading
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal as D
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from providers import TokenUsage
from providers.errors import InputError
from sandbox.costs.tracker import CostTracker
from sandbox.usage.book import BATCH
from tests.contract.usage_records import DAY_US, START_US
from tests.fake_clock import FakeClock

Alert = tuple[str | None, float, D]


class Bench:
    def __init__(self, **options: Any) -> None:
        self.clock = FakeClock()
        numbers = count(1)
        self.tracker = CostTracker(**options, clock=self.clock, ids=lambda: f"id-{next(numbers):09d}")
        self.alerts: list[Alert] = []
        self.tracker.register_alert_callback(lambda *alert: self.alerts.append(alert))

    def spend(self, usd: Any, tenant: str = "acme", **changes: Any) -> None:
        values = {"provider": "openai", "agent_id": "reader", "model_id": "gpt-4", **changes}
        self.tracker.track_usage(tenant_id=tenant, usage=TokenUsage(100, 50, total_cost_usd=usd), **values)

    def at(self, moment: datetime) -> None:
        self.clock.now = (moment.replace(tzinfo=UTC) - datetime(2025, 1, 1, tzinfo=UTC)).total_seconds()


@pytest.fixture
def bench() -> Bench:
    return Bench()


# --- budgets -------------------------------------------------------------------------------------------------------


def test_each_threshold_is_told_once_in_order_and_nothing_is_blocked(bench: Bench) -> None:
    bench.tracker.set_budget("acme", 10.0)
    for cost in (7.9, 0.1, 0.5, 1.5, 30):
        bench.spend(cost)
    assert bench.alerts == [
        ("acme", 0.8, D("8.0")),
        ("acme", 0.9, D(10)),
        ("acme", 1.0, D(10)),
    ]
    status = bench.tracker.check_budget("acme")
    assert (status.used_usd, status.percentage_used, status.remaining_usd) == (D(40), 400.0, D(0))
    assert (status.alert_triggered, status.alert_level) == (True, 1.0)


def test_thresholds_of_ones_own_and_of_tenants_apart(bench: Bench) -> None:
    bench.tracker.set_budget("acme", D(1), [D("0.5")])
    bench.tracker.set_budget("globex", 1)
    bench.tracker.set_budget(None, 100, [0.02])
    bench.spend("0.5")
    bench.spend("0.79", "globex")
    bench.spend("0.79", "nobody")
    assert bench.alerts == [("acme", 0.5, D("0.5")), (None, 0.02, D("2.08"))]
    assert not bench.tracker.check_budget("globex").alert_triggered
    assert bench.tracker.check_budget().used_usd == D("2.08")


def test_a_month_begins_anew_by_itself(bench: Bench) -> None:
    bench.tracker.set_budget("acme", 10)
    bench.at(datetime(2025, 1, 31, 23, 59, 59))
    bench.spend(9)
    assert [share for _, share, _ in bench.alerts] == [0.8, 0.9]
    bench.at(datetime(2025, 2, 1))
    status = bench.tracker.check_budget("acme")
    assert (status.used_usd, status.alert_level) == (D(0), None)
    assert status.resets_at_us - status.period_start_us == 28 * DAY_US
    bench.spend(8)
    assert [share for _, share, _ in bench.alerts] == [0.8, 0.9, 0.8]


def test_a_clock_that_goes_back_to_last_month_tells_nothing_twice(bench: Bench) -> None:
    bench.tracker.set_budget("acme", 10)
    bench.at(datetime(2025, 1, 31))
    bench.spend(8)
    bench.at(datetime(2025, 2, 1))
    bench.spend(8)
    bench.at(datetime(2025, 1, 31))
    bench.spend("0.5")
    assert [share for _, share, _ in bench.alerts] == [0.8, 0.8]
    assert bench.tracker.check_budget("acme").used_usd == D("8.5")


def test_without_the_reset_a_budget_counts_on_until_it_is_reset_by_hand() -> None:
    bench = Bench(auto_reset_budgets=False)
    bench.tracker.set_budget("acme", 10)
    bench.at(datetime(2025, 1, 31))
    bench.spend(6)
    bench.at(datetime(2025, 2, 11))
    bench.spend(2)
    status = bench.tracker.check_budget("acme")
    assert (status.used_usd, status.alert_level, status.period_start_us) == (D(8), 0.8, START_US)
    assert status.projected_monthly_cost == D("5.6"), "of this month alone: 2 in 10 days of 28"
    bench.tracker.reset_budget("acme")
    assert bench.tracker.check_budget("acme").used_usd == 0
    bench.spend(9)
    assert [share for _, share, _ in bench.alerts] == [0.8, 0.8, 0.9]


def test_a_new_limit_has_its_thresholds_still_to_come(bench: Bench) -> None:
    bench.tracker.set_budget("acme", 10)
    bench.spend(8)
    bench.tracker.set_budget("acme", 9)
    bench.spend("0.01")
    assert bench.alerts == [("acme", 0.8, D(8)), ("acme", 0.8, D("8.01"))]


@pytest.mark.parametrize(
    ("moment", "projected"),
    [(datetime(2025, 1, 11), D(31)), (datetime(2025, 2, 11), D(28)), (datetime(2024, 2, 11), D(29))],
    ids=["january", "february", "leap year"],
)
def test_the_projection_goes_by_the_length_of_the_month(bench: Bench, moment: datetime, projected: D) -> None:
    bench.tracker.set_budget("acme", 100)
    bench.at(moment)
    bench.spend(10)
    assert bench.tracker.check_budget("acme").projected_monthly_cost == projected


def test_a_callback_that_raises_disturbs_nobody(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.tracker.register_alert_callback(lambda *_: 1 / 0)  # type: ignore[func-returns-value]
    heard: list[Alert] = []
    bench.tracker.register_alert_callback(lambda *alert: heard.append(alert))
    bench.tracker.set_budget("acme", 1)
    bench.spend(1)
    assert len(heard) == 3
    assert "alert callback failed" in caplog.text


def test_a_callback_may_ask_the_tracker(bench: Bench) -> None:
    seen: list[float] = []
    bench.tracker.register_alert_callback(
        lambda tenant, *_: seen.append(bench.tracker.check_budget(tenant).percentage_used)
    )
    bench.tracker.set_budget("acme", 1, [1.0])
    bench.spend(2)
    assert seen == [200.0]


def test_money_adds_up_to_the_last_digit(bench: Bench) -> None:
    bench.tracker.set_budget("acme", 1000)
    for _ in range(BATCH * 2 + 1):
        bench.spend(0.1)
    total = D("0.1") * (BATCH * 2 + 1)
    assert bench.tracker.check_budget("acme").used_usd == total
    assert bench.tracker.get_summary().total_cost_usd == total


def test_threads_lose_nothing(bench: Bench) -> None:
    bench.tracker.set_budget("acme", 300, [0.5])

    def work() -> None:
        for _ in range(100):
            bench.spend("0.5")
            bench.tracker.get_summary()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert bench.tracker.get_summary().total_requests == 400
    assert bench.tracker.check_budget("acme").used_usd == 200
    assert len(bench.alerts) == 1


# --- reports -------------------------------------------------------------------------------------------------------


def fill(bench: Bench) -> None:
    for day, tenant, provider, agent, model, usd in (
        (1, "acme", "openai", "reader", "gpt-4", "1"),
        (1, "globex", "openai", "reader", "gpt-4", "2"),
        (3, "acme", "anthropic", "writer", "claude-3-haiku", "4"),
        (31, "acme", "anthropic", "reader", "claude-3-haiku", "8"),
        (32, "acme", "openai", "writer", "gpt-4", None),
    ):
        moment = datetime(2024, 1, 1) + timedelta(days=day - 1, hours=12)
        bench.spend(usd, tenant, provider=provider, agent_id=agent, model_id=model, timestamp=moment)


def test_a_summary_adds_up_by_every_dimension(bench: Bench) -> None:
    fill(bench)
    whole = bench.tracker.get_summary()
    assert (whole.total_cost_usd, whole.total_requests, whole.unpriced_requests) == (D(15), 5, 1)
    assert (whole.total_tokens, whole.input_tokens, whole.output_tokens) == (750, 500, 250)
    assert whole.breakdown_by_provider == {"anthropic": D(12), "openai": D(3)}
    assert whole.breakdown_by_tenant == {"acme": D(13), "globex": D(2)}
    assert whole.breakdown_by_model == {"claude-3-haiku": D(12), "gpt-4": D(3)}
    assert whole.breakdown_by_agent == {"reader": D(11), "writer": D(4)}
    assert whole.average_cost_usd == D(3)


def test_a_summary_of_a_tenant_and_a_month_includes_its_last_day(bench: Bench) -> None:
    fill(bench)
    january = bench.tracker.get_summary(datetime(2024, 1, 1), datetime(2024, 1, 31), "acme")
    assert (january.total_cost_usd, january.total_requests) == (D(13), 3)
    assert (january.start_date, january.end_date) == (
        datetime(2024, 1, 1, tzinfo=UTC),
        datetime(2024, 2, 1, tzinfo=UTC),
    )
    assert bench.tracker.get_summary(date(2024, 1, 3), date(2024, 1, 3)).total_cost_usd == 4
    assert bench.tracker.get_summary(datetime(2025, 1, 1)).total_requests == 0


def test_a_series_has_every_day_and_aware_times(bench: Bench) -> None:
    fill(bench)
    series = bench.tracker.get_time_series(datetime(2024, 1, 1), datetime(2024, 1, 31))
    assert len(series) == 31
    assert [cost for _, cost in series if cost] == [D(3), D(4), D(8)]
    assert series[0][0] == datetime(2024, 1, 1, tzinfo=UTC)
    hours = bench.tracker.get_time_series(date(2024, 1, 3), date(2024, 1, 3), "hourly", "acme")
    assert [(moment.hour, cost) for moment, cost in hours if cost] == [(12, D(4))]
    assert len(hours) == 24
    bench.at(datetime(2024, 3, 1))
    months = bench.tracker.get_time_series(granularity="monthly")
    assert [(moment.month, cost) for moment, cost in months] == [(1, D(15)), (2, D(0)), (3, D(0))]


def test_nothing_tracked_is_nothing_reported(bench: Bench) -> None:
    assert bench.tracker.get_time_series() == []
    assert len(bench.tracker.get_time_series(date(2024, 2, 1), date(2024, 2, 29))) == 29
    assert bench.tracker.get_summary().breakdown_by_provider == {}


def test_times_of_other_zones_are_the_same_moments(bench: Bench) -> None:
    eastern = timezone(timedelta(hours=-5))
    bench.spend(1, timestamp=datetime(2024, 1, 31, 20, tzinfo=eastern))
    assert bench.tracker.get_summary(date(2024, 2, 1)).total_cost_usd == 1
    assert bench.tracker.get_summary(datetime(2024, 1, 31, tzinfo=eastern)).total_cost_usd == 1
    assert bench.tracker.get_summary(None, datetime(2024, 1, 31)).total_cost_usd == 0


# --- files ---------------------------------------------------------------------------------------------------------


def test_a_csv_file_has_a_line_for_each_usage(bench: Bench, tmp_path: Path) -> None:
    fill(bench)
    bench.tracker.export_csv(tmp_path / "costs.csv", datetime(2024, 1, 1), datetime(2024, 1, 31), include_summary=True)
    rows = list(csv.DictReader((tmp_path / "costs.csv").read_text().splitlines()))
    assert [row["estimated_cost"] for row in rows] == ["1", "2", "4", "8"]
    assert rows[0]["timestamp"] == "2024-01-01T12:00:00.000000Z"
    [total, *parts] = csv.DictReader((tmp_path / "costs.summary.csv").read_text().splitlines())
    assert (total["dimension"], total["cost_usd"], total["requests"]) == ("total", "15", "4")
    assert {(row["dimension"], row["value"], row["cost_usd"]) for row in parts} >= {
        ("provider", "anthropic", "12"),
        ("tenant", "globex", "2"),
        ("agent", "reader", "11"),
    }


def test_a_json_file_has_its_summary_only_where_it_is_asked_for(bench: Bench, tmp_path: Path) -> None:
    fill(bench)
    path = str(tmp_path / "costs.json")
    bench.tracker.export_json(path, tenant_id="acme", include_summary=True)
    body = json.loads(Path(path).read_bytes())
    assert body["summary"]["total"]["cost_usd"] == "13"
    assert body["summary"]["by_provider"]["anthropic"]["requests"] == 2
    assert [item["estimated_cost"] for item in body["items"]] == ["1", "4", "8", None]
    bench.tracker.export_json(path)
    body = json.loads(Path(path).read_bytes())
    assert "summary" not in body
    assert len(body["items"]) == 5


def test_an_empty_export_is_a_whole_file(bench: Bench, tmp_path: Path) -> None:
    bench.tracker.export_json(tmp_path / "none.json")
    bench.tracker.export_csv(tmp_path / "none.csv")
    assert json.loads((tmp_path / "none.json").read_bytes())["items"] == []
    assert (tmp_path / "none.csv").read_text().count("\n") == 1


# --- what is refused -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("usd", [float("nan"), float("inf"), -0.01, D("NaN"), D("-1"), D("1E+30"), 1e7])
def test_costs_that_cannot_be_are_refused_and_booked_nowhere(bench: Bench, usd: Any) -> None:
    bench.tracker.set_budget("acme", 1)
    with pytest.raises(InputError, match=r"total_cost_usd is .*; it must be a number from 0 to 9 million"):
        bench.spend(usd)
    assert bench.tracker.get_summary().total_requests == 0
    assert bench.alerts == []


@pytest.mark.parametrize(
    "usage",
    [
        TokenUsage(-1, 5, total_cost_usd=D(1)),
        TokenUsage(1.5, 5, total_cost_usd=D(1)),  # type: ignore[arg-type]
        TokenUsage(True, 5, total_cost_usd=D(1)),
        TokenUsage(5, 10**16, total_cost_usd=D(1)),
    ],
)
def test_tokens_that_cannot_be_are_refused(bench: Bench, usage: TokenUsage) -> None:
    with pytest.raises(InputError, match="must be a whole number from 0"):
        bench.tracker.track_usage("openai", "acme", "reader", "gpt-4", usage)
    assert bench.tracker.get_summary().total_requests == 0


def test_budgets_that_cannot_be_are_refused(bench: Bench) -> None:
    for limit in (float("nan"), -1, "many", float("inf")):
        with pytest.raises(InputError, match="monthly_limit_usd is"):
            bench.tracker.set_budget("acme", limit)  # type: ignore[arg-type]
    for share in (0, 1.5, float("nan")):
        with pytest.raises(InputError, match="threshold"):
            bench.tracker.set_budget("acme", 1, [share])
    with pytest.raises(InputError, match="no budget is set for tenant acme: there are none"):
        bench.tracker.check_budget("acme")
    bench.tracker.set_budget("acme", 1)
    with pytest.raises(InputError, match="did you mean 'tenant acme'"):
        bench.tracker.check_budget("acmee")
    with pytest.raises(InputError, match="auto_reset_budgets=False"):
        bench.tracker.reset_budget("acme")


def test_times_and_files_that_cannot_be_are_refused(bench: Bench, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="1969"):
        bench.spend(1, timestamp=datetime(1969, 12, 31))
    with pytest.raises(InputError, match="'2025-01-01' is no day and no time"):
        bench.spend(1, timestamp="2025-01-01")
    with pytest.raises(InputError, match="not before"):
        bench.tracker.get_summary(datetime(2025, 2, 1), datetime(2025, 1, 1))
    with pytest.raises(InputError, match="'weekly'"):
        bench.tracker.get_time_series(granularity="weekly")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="no such file or directory"):
        bench.tracker.export_csv(tmp_path / "missing" / "costs.csv")
    with pytest.raises(InputError, match="that is a folder"):
        bench.tracker.export_json(tmp_path)


def test_costs_by_halves_are_added_and_none_is_unpriced(bench: Bench) -> None:
    halves = TokenUsage(1, 1, input_cost_usd=0.1, output_cost_usd=0.2)  # type: ignore[arg-type]
    bench.tracker.track_usage("openai", "acme", "reader", "gpt-4", halves)
    bench.spend(None)
    summary = bench.tracker.get_summary()
    assert (summary.total_cost_usd, summary.unpriced_requests) == (D("0.3"), 1)


def test_names_of_any_kind_are_kept(bench: Bench) -> None:
    bench.spend(1, "téñant\ud800#", agent_id="")
    assert bench.tracker.get_summary().breakdown_by_tenant == {"téñant\\ud800#": D(1)}


def test_a_tracker_that_nobody_has_any_more_leaves_nothing_open() -> None:
    bench = Bench()
    bench.spend(1)
    bench.tracker.get_summary()
    ended = bench.tracker._book._end
    del bench
    gc.collect()
    assert not ended.alive
