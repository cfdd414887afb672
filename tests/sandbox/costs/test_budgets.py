"""Budgets over ledgers in memory: months, thresholds, how they stand, and what was spent before."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from providers.errors import BudgetExceededError, InputError
from sandbox.core.bus import Bus
from sandbox.core.events import BudgetThresholdCrossed, Event
from sandbox.costs.base import Balance, Budget, BudgetUnavailable, Debt
from sandbox.costs.budgets import Budgets
from sandbox.costs.memory import MemoryBudgetStore
from sandbox.costs.periods import month_after, month_of, projected
from sandbox.costs.reservation import Reservation
from sandbox.costs.sheltered import ShelteredBudgetStore
from sandbox.usage.base import UsageFilter, UsageTotals, UsageUnavailable
from tests.contract.test_budget_stores import SetClock

D = Decimal


def us(*parts: int) -> int:
    return int(datetime(*parts, tzinfo=UTC).timestamp()) * 1_000_000  # type: ignore[misc,arg-type]


class Bench:
    def __init__(self, *budgets: Budget, usage: Any = None, mode: str = "mock", clock: SetClock | None = None) -> None:
        self.clock = clock or SetClock()
        self.events: list[Event] = []
        self.said: list[str] = []
        bus = Bus()
        bus.subscribe(self.events.append)
        self.store = MemoryBudgetStore(self.clock)
        self.budgets = Budgets(
            self.store,
            mode=mode,
            clock=self.clock,
            bus=bus,
            usage=usage,
            budgets=budgets,
            told=self.said.append,
        )

    def lose(self) -> None:
        """Other ledgers take the place of these."""
        self.store.__init__(self.clock)  # type: ignore[misc]
        self.store.generation += 1

    async def ask(self, *amounts: str, tenant: str = "acme", seconds: float = 60.0) -> Reservation:
        reservation = await self.budgets.reserve("r", tenant, map(D, amounts), at_us=self.clock.now_us, seconds=seconds)
        assert reservation is not None
        return reservation

    async def spend(self, usd: str, tenant: str = "acme") -> None:
        (await self.ask(usd, tenant=tenant)).settle(D(usd), D(0))

    @property
    def crossed(self) -> list[tuple[str, float, Decimal]]:
        return [(e.scope, e.threshold, e.used_usd) for e in self.events if isinstance(e, BudgetThresholdCrossed)]


# --- what a budget is -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", ["-0.01", "9000000.000001", "NaN", "Infinity", "-Infinity", "1E+99", "1E-13"])
def test_what_is_no_budget_is_refused_in_a_sentence(limit: str) -> None:
    with pytest.raises(InputError, match=r"^the budget of tenant acme is .*; it must be from 0 to 9,000,000 USD"):
        Budget("acme", D(limit))


@pytest.mark.parametrize("share", ["0", "-0.5", "1.01", "75", "NaN"])
def test_what_is_no_threshold_is_refused_in_a_sentence(share: str) -> None:
    with pytest.raises(InputError, match="each must be a share of the limit above 0 up to 1"):
        Budget(None, D(1), (D("0.5"), D(share)))


@pytest.mark.parametrize(("limit", "thresholds"), [("5", (D(1),)), (5.0, (D(1),)), (None, (D(1),)), (D(5), (0.5,))])
def test_a_budget_is_made_of_decimals(limit: Any, thresholds: Any) -> None:
    with pytest.raises(InputError, match=r"^the budget of tenant acme is .*; each must be a Decimal$"):
        Budget("acme", limit, thresholds)


def test_a_tenant_may_have_any_name() -> None:
    names = ("all", "tenant:all", "", "a.b", "tenant all")
    assert len({Budget(name, D(1)).scope for name in names} | {Budget(None, D(1)).scope}) == len(names) + 1


async def test_budgets_come_and_go() -> None:
    bench = Bench()
    assert not bench.budgets.active
    bench.budgets.set(Budget("acme", D(5)))
    bench.budgets.set(Budget("acme", D(7)))
    bench.budgets.set(Budget(None, D(20)))
    assert [(one.tenant, one.limit_usd) for one in bench.budgets] == [("acme", 7), (None, 20)]
    assert [one.tenant for one in await bench.budgets.statuses()] == [None, "acme"]
    with pytest.raises(InputError, match="no budget is set for tenant acne: did you mean 'tenant acme'"):
        await bench.budgets.check_budget("acne")
    bench.budgets.remove("acme")
    bench.budgets.remove()
    assert not bench.budgets.active
    with pytest.raises(InputError, match="no budget is set for all tenants: there are none"):
        bench.budgets.remove()


async def test_a_tenant_without_a_budget_is_nobodys_business() -> None:
    bench = Bench(Budget("acme", D(1)))
    assert await bench.budgets.reserve("r", "zen", [D(5)], at_us=bench.clock.now_us, seconds=1) is None


# --- months ---------------------------------------------------------------------------------------------------------

MONTHS = [
    ((2024, 2, 29, 23, 59, 59), (2024, 2, 1), (2024, 3, 1)),
    ((2024, 2, 1), (2024, 2, 1), (2024, 3, 1)),
    ((2023, 2, 28, 23, 59, 59), (2023, 2, 1), (2023, 3, 1)),
    ((2000, 2, 29), (2000, 2, 1), (2000, 3, 1)),
    ((2100, 2, 28, 23, 59, 59), (2100, 2, 1), (2100, 3, 1)),
    ((2025, 12, 31, 23, 59, 59), (2025, 12, 1), (2026, 1, 1)),
    ((2025, 1, 1), (2025, 1, 1), (2025, 2, 1)),
]


@pytest.mark.parametrize(("at", "start", "end"), MONTHS)
def test_a_month_is_the_calendars(at: tuple[int, ...], start: tuple[int, ...], end: tuple[int, ...]) -> None:
    assert month_of(us(*at)) == us(*start)
    assert month_of(us(*at) + 999_999) == us(*start)
    assert month_after(us(*start)) == us(*end)


@pytest.mark.parametrize("zone", ["UTC", "Pacific/Kiritimati", "America/Los_Angeles"])
async def test_a_budget_begins_anew_with_the_month_in_utc(zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        bench = Bench(Budget("acme", D(10)))
        bench.clock.now_us = us(2024, 2, 29, 23, 59, 59)
        await bench.spend("9")
        assert (await bench.ask("2")).amount is None
        bench.clock.now_us = us(2024, 3, 1)
        status = await bench.budgets.check_budget("acme")
        assert (status.used_usd, status.remaining_usd, status.alert_level) == (0, 10, None)
        assert (status.period_start_us, status.resets_at_us) == (us(2024, 3, 1), us(2024, 4, 1))
        await bench.spend("9")
    finally:
        monkeypatch.undo()
        time.tzset()


async def test_a_clock_that_goes_back_finds_the_old_month_as_it_was() -> None:
    bench = Bench(Budget("acme", D(10)))
    bench.clock.now_us = us(2025, 1, 31, 23, 59)
    await bench.spend("8")
    bench.clock.now_us = us(2025, 2, 1, 0, 1)
    await bench.spend("6")
    bench.clock.now_us = us(2025, 1, 31, 23, 58)
    assert (await bench.ask("3")).amount is None
    assert (await bench.budgets.check_budget("acme")).used_usd == 8
    bench.clock.now_us = us(2025, 2, 1, 0, 2)
    assert (await bench.budgets.check_budget("acme")).used_usd == 6
    # Each threshold was crossed once in its month, and not again by going back and forth.
    assert [threshold for _, threshold, _ in bench.crossed] == [0.75]


async def test_what_comes_in_one_month_and_ends_in_the_next_counts_where_it_came() -> None:
    bench = Bench(Budget("acme", D(10)))
    bench.clock.now_us = us(2025, 1, 31, 23, 59, 50)
    reservation = await bench.ask("9")
    bench.clock.now_us = us(2025, 2, 1, 0, 0, 10)
    reservation.settle(D(9), D(0))
    assert (await bench.budgets.check_budget("acme")).used_usd == 0
    bench.clock.now_us = us(2025, 1, 31)
    assert (await bench.budgets.check_budget("acme")).used_usd == 9


# --- how it stands --------------------------------------------------------------------------------------------------


async def test_how_a_budget_stands() -> None:
    """A tenth of April has passed at the end of its third day, so the month comes to ten times as much."""
    bench = Bench(Budget("acme", D(20)))
    bench.clock.now_us = us(2025, 4, 4)
    await bench.spend("15.1")
    held = await bench.ask("2.5")
    status = await bench.budgets.check_budget("acme")
    assert (status.limit_usd, status.used_usd, status.reserved_usd) == (20, D("15.1"), D("2.5"))
    assert status.remaining_usd == D("2.4")
    assert status.percentage_used == 75.5
    assert status.projected_monthly_cost == 151
    assert (status.alert_triggered, status.alert_level) == (True, 0.75)
    held.settle(None, D(0))
    assert (await bench.budgets.check_budget("acme")).reserved_usd == 0


def test_a_leap_february_is_longer() -> None:
    assert projected(14, us(2024, 2, 1), us(2024, 2, 15)) == 29
    assert projected(14, us(2023, 2, 1), us(2023, 2, 15)) == 28


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.integers(0, 10**15), st.integers(0, 40 * 86_400_000_000))
def test_a_projection_is_the_months_pace_and_no_less_than_what_was_used(used: int, passed: int) -> None:
    start, day = us(2024, 2, 1), 86_400_000_000
    length = 29 * day
    expected = Fraction(used * length, min(max(passed, day), length))
    found = projected(used, start, start + passed)
    assert found >= used
    assert 0 <= found - expected < 1


async def test_a_budget_of_nothing_lets_nothing_through() -> None:
    bench = Bench(Budget("acme", D(0)))
    assert (await bench.ask("0.000000000001")).amount is None
    assert (await bench.ask("0")).amount is None
    status = await bench.budgets.check_budget("acme")
    assert (status.percentage_used, status.remaining_usd) == (100, 0)


# --- refusals -------------------------------------------------------------------------------------------------------


async def test_a_refusal_says_what_is_used_up_and_until_when() -> None:
    bench = Bench(Budget("acme", D(10)), Budget(None, D(100)), mode="live")
    bench.clock.now_us = us(2025, 1, 31)
    await bench.spend("9.99")
    reservation = await bench.ask("3", "0.05")
    error = reservation.refusal(bench.clock.now_us)
    assert isinstance(error, BudgetExceededError)
    assert error.message == (
        "the budget of tenant acme is used up: $9.99 of $10.00 are spent this month, and this request may cost $0.05; "
        "it begins anew on 2025-02-01 (UTC)"
    )
    assert error.retry_after == 86_400


async def test_a_refusal_says_when_others_are_in_the_way() -> None:
    bench = Bench(Budget(None, D(10)))
    await bench.spend("2")
    await bench.ask("8", tenant="zen")
    error = (await bench.ask("0.5")).refusal(bench.clock.now_us)
    assert error.message == (
        "the budget of all tenants has no room just now: of $10.00, ~$2.00 are spent this month and ~$8.00 held for "
        "requests under way, and this request may cost ~$0.50"
    )
    assert error.retry_after == 1.0
    assert "what this request costs is unknown" in (await bench.ask("0")).refusal(0).message


async def test_an_amount_beyond_reckoning_is_refused() -> None:
    bench = Bench(Budget(None, D(9_000_000)))
    assert (await bench.ask("1E+30")).amount is None
    reservation = await bench.ask("1")
    reservation.settle(D("1E+30"), D(-5))
    assert (await bench.budgets.check_budget()).remaining_usd == 0


async def test_a_hold_outlives_the_deadline_by_the_time_that_settling_takes() -> None:
    bench = Bench(Budget("acme", D(10)))
    await bench.ask("10", seconds=60)
    bench.clock.now_us += 61_000_000
    assert (await bench.ask("1")).amount is None
    bench.clock.now_us += 1_000_000
    assert (await bench.ask("1")).amount is not None


# --- thresholds -----------------------------------------------------------------------------------------------------


async def test_each_threshold_is_told_once_a_month() -> None:
    bench = Bench(Budget("acme", D(10)))
    called: list[Any] = []
    bench.budgets.register_alert_callback(lambda *alert: called.append(alert))
    for _ in range(10):
        await bench.spend("1")
    assert (await bench.ask("1")).amount is None
    expected = [("tenant acme", 0.75, 8), ("tenant acme", 0.9, 9), ("tenant acme", 1.0, 10)]
    assert bench.crossed == expected
    assert called == [("acme", threshold, used) for _, threshold, used in expected]
    assert bench.said == [
        "the budget of tenant acme has reached 75 %: ~$8.00 of $10.00 are spent this month",
        "the budget of tenant acme has reached 90 %: ~$9.00 of $10.00 are spent this month",
        "the budget of tenant acme has reached 100 %: ~$10.00 of $10.00 are spent this month; only free and cached "
        "answers go on",
    ]
    bench.clock.now_us = us(2025, 2, 1)
    await bench.spend("7.5")
    assert bench.crossed[3:] == [("tenant acme", 0.75, D("7.5"))]


async def test_the_last_threshold_is_reached_when_the_rest_pays_for_nothing() -> None:
    """A limit is hardly ever met to the last digit."""
    bench = Bench(Budget("acme", D(10)))
    await bench.spend("9.5")
    assert (await bench.ask("0.4", "0.6")).amount is not None
    assert [threshold for _, threshold, _ in bench.crossed] == [0.75, 0.9]
    assert (await bench.ask("0.6")).amount is None
    assert (await bench.ask("0.6")).amount is None
    assert bench.crossed[2:] == [("tenant acme", 1.0, D("9.5"))]


async def test_an_excessive_request_is_no_alarm() -> None:
    bench = Bench(Budget("acme", D(10), (D(1),)))
    await bench.spend("1")
    assert (await bench.ask("50")).amount is None
    held = await bench.ask("9")
    assert (await bench.ask("1")).amount is None
    held.settle(D(0), D(0))
    assert bench.crossed == []


async def test_own_thresholds_and_none() -> None:
    bench = Bench(Budget("acme", D(10), (D("0.5"), D("0.1"), D("0.5"))), Budget(None, D(10), ()))
    await bench.spend("5")
    await bench.spend("5")
    assert bench.crossed == [("tenant acme", 0.1, 5), ("tenant acme", 0.5, 5)]
    assert (await bench.budgets.check_budget()).alert_level is None


async def test_another_limit_has_its_thresholds_still_before_it() -> None:
    bench = Bench(Budget("acme", D(10)))
    await bench.spend("8")
    bench.budgets.set(Budget("acme", D(100)))
    await bench.spend("68")
    bench.budgets.set(Budget("acme", D(10)))
    assert bench.crossed == [("tenant acme", 0.75, 8), ("tenant acme", 0.75, 76)]


async def test_a_callback_that_fails_disturbs_nobody(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench(Budget("acme", D(10)))
    called: list[Any] = []

    def broken(*alert: Any) -> None:
        raise RuntimeError("no network")

    bench.budgets.register_alert_callback(broken)
    bench.budgets.register_alert_callback(lambda *alert: called.append(alert))
    with caplog.at_level(logging.ERROR):
        await bench.spend("8")
    assert len(called) == 1
    assert "callback failed" in caplog.text


# --- what was spent before ------------------------------------------------------------------------------------------


class Usage:
    """Usage records that say what was spent, as far as anybody asked."""

    def __init__(self, spent: dict[str | None, str], *, failing: bool = False) -> None:
        self.spent = spent
        self.failing = failing
        self.asked: list[UsageFilter] = []
        self.let = asyncio.Event()
        self.let.set()

    async def totals(self, where: UsageFilter) -> UsageTotals:
        self.asked.append(where)
        await self.let.wait()
        if self.failing:
            raise UsageUnavailable("the disk is gone")
        return UsageTotals(cost_usd=D(self.spent.get(where.tenant_id, "0")), waste_usd=D("0.5"))


async def test_a_restart_does_not_forget() -> None:
    usage = Usage({"acme": "4.5", None: "8.5"})
    bench = Bench(Budget("acme", D(10)), Budget(None, D(20)), usage=usage, mode="live")
    bench.clock.now_us = us(2025, 2, 14)
    await bench.spend("1")
    acme, everyone = await bench.budgets.check_budget("acme"), await bench.budgets.check_budget()
    assert (acme.used_usd, everyone.used_usd) == (6, 10)
    month = {"mode": "live", "since_us": us(2025, 2, 1), "until_us": us(2025, 3, 1)}
    assert usage.asked == [UsageFilter(**month), UsageFilter(**month, tenant_id="acme")]
    bench.clock.now_us = us(2025, 3, 1)
    await bench.spend("1")
    assert [where.since_us for where in usage.asked[2:]] == [us(2025, 3, 1)] * 2


async def test_many_requests_ask_once_and_one_that_leaves_takes_nothing_with_it() -> None:
    usage = Usage({"acme": "4.5"})
    usage.let.clear()
    bench = Bench(Budget("acme", D(10)), usage=usage)
    tasks = [asyncio.create_task(bench.ask("1")) for _ in range(20)]
    await asyncio.sleep(0)
    tasks[0].cancel()
    await asyncio.sleep(0)
    usage.let.set()
    done = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(done[0], asyncio.CancelledError)
    assert sum(isinstance(one, Reservation) and one.amount is not None for one in done) == 5
    assert len(usage.asked) == 1


async def test_a_ledger_that_was_lost_learns_it_again() -> None:
    usage = Usage({"acme": "4.5"})
    bench = Bench(Budget("acme", D(10)), usage=usage)
    await bench.spend("1")
    bench.lose()
    usage.spent["acme"] = "5.5"
    assert (await bench.ask("5")).amount is None
    assert (await bench.budgets.check_budget("acme")).used_usd == 6
    assert len(usage.asked) == 2


async def test_ledgers_that_were_lost_hold_up_no_request_for_a_report() -> None:
    class Impatient(SetClock):
        def timeout(self, seconds: float | None) -> asyncio.Timeout:
            return asyncio.timeout(None if seconds is None or seconds > 0.5 else 0)

    usage = Usage({"acme": "4.5"})
    bench = Bench(Budget("acme", D(10)), usage=usage, clock=Impatient())
    await bench.spend("1")
    bench.lose()
    usage.let.clear()
    for _ in range(3):
        assert (await bench.ask("3")).amount is not None
    assert len(usage.asked) == 2, "one report for all of them"
    usage.let.set()
    while bench.budgets._beginning:
        await asyncio.sleep(0)
    assert (await bench.budgets.check_budget("acme")).used_usd == 5
    bench.lose()
    usage.let.clear()
    await bench.ask("1")
    await bench.budgets.close()
    assert asyncio.all_tasks() == {asyncio.current_task()}, "whoever reads is ended too"


async def test_a_report_that_takes_too_long_is_waited_for_by_hand_alone() -> None:
    class Impatient(SetClock):
        def timeout(self, seconds: float | None) -> asyncio.Timeout:
            return asyncio.timeout(None if seconds is None else 0)

    usage = Usage({"acme": "4.5"})
    bench = Bench(Budget("acme", D(10)), usage=usage, clock=Impatient())
    usage.let.clear()
    await bench.spend("1")
    asyncio.get_running_loop().call_later(0.02, usage.let.set)
    assert (await bench.budgets.check_budget("acme")).used_usd == 5


async def test_what_is_owed_is_booked_before_what_the_records_know() -> None:
    class Away(MemoryBudgetStore):
        away = False

        def settle(self, debt: Debt) -> Mapping[str, Balance]:
            if self.away:
                raise BudgetUnavailable("it is away")
            return super().settle(debt)

    inner = Away(clock := SetClock())
    store = ShelteredBudgetStore(inner, clock=clock, told=print)
    scope = Budget("acme", D(1)).scope
    inner.away = True
    store.settle(Debt(None, 0, (scope,), 5))
    inner.away = False
    await store.begin(0, {scope: 5})
    assert (await store.balances(0, [scope]))[scope] == Balance(5, 0)


async def test_records_that_cannot_be_read_are_told_and_done_without(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench(Budget("acme", D(10)), usage=Usage({}, failing=True))
    await bench.spend("1")
    assert (await bench.budgets.check_budget("acme")).used_usd == 1
    assert "known from the budget ledger alone: the disk is gone" in caplog.text
