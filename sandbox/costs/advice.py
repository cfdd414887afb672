"""What could be saved, and what has been: cheaper equivalents, the cache, failovers, waste, prices and budgets.

Everything is told from what was recorded; what is not known is said to be unknown.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Final, Literal

from providers.clock import utc
from providers.pricing import Catalogue, PriceRow, listing
from providers.pricing.names import plain
from sandbox.core.figures import dollars
from sandbox.costs.base import whose
from sandbox.costs.rates import extra_attempts, spent_usd
from sandbox.costs.reports import CostReports
from sandbox.costs.status import BudgetStatus
from sandbox.costs.volume import DAYS_PER_MONTH
from sandbox.costs.whatif import Target, what_if
from sandbox.usage.base import UsageFilter, UsageTotals
from sandbox.usage.periods import DAY_US
from sandbox.usage.records import PICO, to_usd

Kind = Literal["cheaper_model", "cache_saved", "cache_repeats", "failover", "waste", "unpriced", "budget"]
Tiers = Mapping[str, Sequence[str]]
"""Models that may stand in for each other."""
Served = Callable[[str], Sequence[tuple[str | None, str]]]
"""Of a model's name the vendors that can be asked for it, each with its own name for it."""

MAX_LOOKED_AT: Final = 100_000
"""Records that are looked at for repeated questions: a second or two."""
WORTH_USD: Final = Decimal("0.000001")


@dataclass(frozen=True, slots=True)
class Recommendation:
    kind: Kind
    sentence: str
    saving_usd: Decimal | None
    """What could have been saved in the time looked at, USD; None: nothing to be counted."""
    basis: str
    """What it was told from."""
    estimated: bool
    """Whether the saving is an estimate."""
    monthly_usd: Decimal | None = None
    """What it comes to in a month of 30 days at this pace; None where there is none: no saving, or the time looked at
    is shorter than a day, or has no beginning."""


async def recommendations(
    reports: CostReports,
    where: UsageFilter,
    prices: Catalogue,
    *,
    tiers: Tiers,
    kinds: Mapping[str, str] | None = None,
    served: Served | None = None,
    budgets: Iterable[BudgetStatus] = (),
    now_us: int,
) -> list[Recommendation]:
    """What the traffic that `where` names suggests, the largest saving first.

    `served` says who can be asked for a model; None: whoever has a price for it.
    """
    simulated = where.mode != "live"
    totals = await reports.totals(where)
    found = [one async for one in _cheaper(reports, where, prices, tiers, kinds or {}, served, simulated)]
    found += _told_by_sums(totals, simulated)
    found += [one async for one in _repeats(reports, where, totals, simulated)]
    found += [one async for one in _unpriced(reports, where)]
    found += _budgets(budgets, now_us, simulated)
    passed_us = 0 if where.since_us is None else min(where.until_us or now_us, now_us) - where.since_us
    if passed_us >= DAY_US:
        month_us = DAYS_PER_MONTH * DAY_US
        found = [
            replace(one, monthly_usd=to_usd(int(one.saving_usd * PICO) * month_us // passed_us))
            if one.saving_usd
            else one
            for one in found
        ]
    return sorted(found, key=lambda one: (one.saving_usd is None, -(one.saving_usd or 0)))


# --- models --------------------------------------------------------------------------------------------------------


async def _cheaper(
    reports: CostReports,
    where: UsageFilter,
    prices: Catalogue,
    tiers: Tiers,
    kinds: Mapping[str, str],
    served: Served | None,
    simulated: bool,
) -> AsyncIterator[Recommendation]:
    """For each model the cheapest one of its tier that can be asked, where that costs less."""
    for model, totals in await reports.breakdown(where, "model"):
        answered = totals.succeeded - totals.cached
        if not answered or totals.unpriced or totals.cost_usd < WORTH_USD:
            continue
        others = {name: row for name in _equivalents(model, tiers) if (row := _cheapest(prices, name, served))}
        if not others:
            continue
        targets = [Target(row.model, row.provider) for row in others.values()]
        repriced = await what_if(reports, replace(where, model=model), targets, prices, kinds=kinds)
        cheaper = [
            (one, name)
            for one, name in zip(repriced, others, strict=True)
            if one.difference_usd is not None and one.difference_usd < -WORTH_USD
        ]
        if not cheaper:
            continue
        best, name = min(cheaper, key=lambda pair: pair[0].cost_usd or 0)
        saving = -(best.difference_usd or Decimal(0))
        yield Recommendation(
            "cheaper_model",
            f"{_counted(answered, 'request')} to {model} could have gone to {name} ({best.provider}), of the "
            f"same tier: {dollars(best.cost_usd, simulated=simulated)} instead of "
            f"{dollars(best.actual_usd, simulated=simulated)}",
            saving,
            "; ".join((f"prices {best.catalogue}", *best.estimates)),
            best.estimated,
        )


def _cheapest(prices: Catalogue, name: str, served: Served | None) -> PriceRow | None:
    """Where a model is cheapest by tokens among those who can be asked for it; of equals the first."""
    asked = [(None, name)] if served is None else served(name)
    rows = [row for kind, model in asked if (row := prices.find(kind, model)) and not row.local]
    priced = [(price, number) for number, row in enumerate(rows) if (price := listing.blended(row)) is not None]
    return rows[min(priced)[1]] if priced else None


def _equivalents(model: str, tiers: Tiers) -> list[str]:
    """The other models of its tiers, each once."""
    name = plain(model)
    found: dict[str, None] = {}
    for models in tiers.values():
        if any(plain(one) == name for one in models):
            found |= dict.fromkeys(one for one in models if plain(one) != name)
    return list(found)


# --- sums ----------------------------------------------------------------------------------------------------------


def _told_by_sums(totals: UsageTotals, simulated: bool) -> list[Recommendation]:
    found = []
    if totals.cached:
        found.append(
            Recommendation(
                "cache_saved",
                f"the cache answered {totals.cached:,} of {_counted(totals.requests, 'request')} and saved "
                f"{dollars(totals.saved_usd, simulated=simulated)}",
                None,
                "sums of the records",
                False,
            )
        )
    if totals.failovers:
        premium = totals.premium_usd
        if premium > 0:
            cost = f"cost {dollars(premium, simulated=simulated)} more than the first candidates would have"
        elif premium < 0:
            cost = f"was {dollars(-premium, simulated=simulated)} cheaper than the first candidates would have been"
        else:
            cost = "cost no more than the first candidates would have"
        found.append(
            Recommendation(
                "failover",
                f"{_counted(totals.failovers, 'move')} to another provider {cost}",
                premium if premium > 0 else None,
                "sums of the records; answers without a price at the first candidate are left out",
                False,
            )
        )
    if totals.waste_usd > 0:
        extra = extra_attempts(totals)
        share = totals.waste_usd * 100 / spent_usd(totals)
        tries = f" in {_counted(extra, 'further attempt')}" if extra else ""
        found.append(
            Recommendation(
                "waste",
                f"{dollars(totals.waste_usd, simulated=simulated)} ({share:.1f} % of what was spent) was paid for "
                f"answers that were not used{tries}",
                totals.waste_usd,
                "sums of the records",
                False,
            )
        )
    return found


# --- the cache -----------------------------------------------------------------------------------------------------


async def _repeats(
    reports: CostReports, where: UsageFilter, totals: UsageTotals, simulated: bool
) -> AsyncIterator[Recommendation]:
    """What was paid again for a question that had been answered before."""
    seen: set[tuple[str, str | None, str]] = set()
    looked = known = again = streams = 0
    cost = Decimal(0)
    async for record in reports.usage.scan(where):
        if looked == MAX_LOOKED_AT:
            break
        looked += 1
        if not record.prompt_hash:
            continue
        known += 1
        question = (record.tenant_id, record.requested_model, record.prompt_hash)
        if record.success and not record.cached and question in seen:
            again += 1
            cost += record.estimated_cost or 0
            streams += bool(record.story.get("stream"))
        if record.success:
            seen.add(question)
    if not looked:
        return
    cut = looked < totals.requests
    basis = f"the first {looked:,} of {totals.requests:,} records" if cut else f"{_counted(looked, 'record')}"
    if not known:
        yield Recommendation(
            "cache_repeats",
            "what a cache could have saved cannot be known: it was off, so nothing tells which questions were repeated",
            None,
            basis,
            False,
        )
    elif again:
        of_streams = f", {streams:,} of them streams, which are kept only on demand" if streams else ""
        yield Recommendation(
            "cache_repeats",
            f"{_counted(again, 'question')} had been answered before and were paid again{of_streams}: a cache that "
            f"keeps answers longer would have saved {dollars(cost, simulated=simulated)}",
            cost,
            f"{basis}, {known:,} of them asked the cache",
            cut,
        )


# --- prices and budgets --------------------------------------------------------------------------------------------


async def _unpriced(reports: CostReports, where: UsageFilter) -> AsyncIterator[Recommendation]:
    for model, totals in await reports.breakdown(where, "model"):
        if totals.unpriced:
            yield Recommendation(
                "unpriced",
                f"{_counted(totals.unpriced, 'request')} to {model or 'a model without a name'} have no known price "
                "and are in no cost: a price file of your own (`prices_file`) can give it one",
                None,
                "sums of the records",
                False,
            )


def _budgets(budgets: Iterable[BudgetStatus], now_us: int, simulated: bool) -> list[Recommendation]:
    found = []
    for one in budgets:
        limit, used = dollars(one.limit_usd), dollars(one.used_usd, simulated=simulated)
        if one.used_usd >= one.limit_usd:
            sentence = f"the budget of {whose(one.tenant)} is used up: {used} of {limit} until {_day(one.resets_at_us)}"
        elif one.projected_monthly_cost > one.limit_usd:
            passed = max(now_us - one.period_start_us, 1)
            at_us = one.period_start_us + int(passed * (one.limit_usd / one.used_usd))
            pace = dollars(one.projected_monthly_cost, simulated=simulated)
            sentence = (
                f"the budget of {whose(one.tenant)} will be used up about {_day(at_us)} at this pace: {used} of "
                f"{limit} so far, {pace} by the end of the month"
            )
        else:
            continue
        found.append(Recommendation("budget", sentence, None, "the budget's ledger and its pace this month", True))
    return found


def _day(time_us: int) -> str:
    return utc(time_us).strftime("%Y-%m-%d")


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
