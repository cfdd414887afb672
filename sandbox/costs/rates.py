"""Averages and shares of usage sums, the same in every report. Percentages go from 0 to 100; of nothing they are 0."""

from __future__ import annotations

from decimal import Context, Decimal

from sandbox.usage.base import UsageTotals

_NOTHING = Decimal(0)
_PLAIN = Context(prec=28)


def spent_usd(totals: UsageTotals) -> Decimal:
    """What was paid in all: for answers, and for what was not used."""
    return totals.cost_usd + totals.waste_usd


def average_cost_usd(totals: UsageTotals) -> Decimal:
    """Of a request, waste included; unpriced ones count as requests and not as cost."""
    return _PLAIN.divide(spent_usd(totals), Decimal(totals.requests)) if totals.requests else _NOTHING


def average_latency_ms(totals: UsageTotals) -> float:
    """Of a request, those that failed and those from the cache included."""
    return totals.latency_ms_sum / totals.requests if totals.requests else 0.0


def average_tokens(totals: UsageTotals) -> float:
    """Prompt and completion of a request."""
    return totals.tokens / totals.requests if totals.requests else 0.0


def success_rate(totals: UsageTotals) -> float:
    """Percent of the requests."""
    return totals.succeeded * 100 / totals.requests if totals.requests else 0.0


def cache_hit_rate(totals: UsageTotals) -> float:
    """Percent of the requests that the response cache answered."""
    return totals.cached * 100 / totals.requests if totals.requests else 0.0


def extra_attempts(totals: UsageTotals) -> int:
    """Attempts beyond one for each request that was not in the cache: retries, and other providers asked."""
    return max(0, totals.attempts - (totals.requests - totals.cached))
