"""`sandbox costs`: what was spent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from providers.clock import SYSTEM_CLOCK, iso
from providers.errors import InputError
from sandbox.cli.output import decimal
from sandbox.cli.session import Session
from sandbox.core.figures import dollars, duration_ms

if TYPE_CHECKING:
    from sandbox.usage.base import UsageTotals

By = Literal["provider", "model", "tenant", "agent", "day", "hour", "month"]


async def costs(
    *,
    since: str = "24h",
    by: By = "provider",
    tenant: str | None = None,
    json: bool = False,
    session: Annotated[Session, Parameter(parse=False)],
) -> None:
    """What was spent in the current mode, with what failed attempts wasted and what the cache saved.

    Parameters
    ----------
    since
        How far to look back: 90m, 24h, 7d, …
    by
        One line for each provider, model, tenant, agent, day, hour or month.
    tenant
        Only this tenant's requests.
    json
        Print {"items": […], "total": {…}}.
    """
    from sandbox.usage.base import UsageFilter

    now = SYSTEM_CLOCK.time_us()
    since_us = max(0, now - round(duration(since, "--since") * 1e6))
    mode = session.settings.booked
    where = UsageFilter(mode=mode, since_us=since_us, tenant_id=tenant)
    async with session.usage() as usage:
        total = await usage.totals(where)
        parts = await usage.breakdown(where, by)
    if json:
        session.output.json(
            {
                "mode": mode,
                "since": iso(since_us),
                "until": iso(now),
                "tenant": tenant,
                "by": by,
                "items": [{by: key, **as_json(part)} for key, part in parts],
                "total": as_json(total),
            }
        )
        return
    output, simulated = session.output, mode != "live"
    if not total.requests:
        output.note(f"no requests in {mode} mode in the last {since}; `sandbox ask` makes one")
        return
    output.table(
        [_row(key or "(none)", part, simulated) for key, part in parts] + [_row("total", total, simulated)],
        (by, "requests", "failed", "cached", "tokens", "cost", "waste", "saved", "avg time"),
        right=range(1, 9),
    )
    if total.unpriced:
        output.note(f"{total.unpriced} of the requests are unpriced and not in the cost", "yellow")
    output.note(f"{mode} mode, last {since}{f', tenant {tenant}' if tenant else ''}", "dim")


def duration(text: str, option: str) -> float:
    """Seconds of a duration that a user wrote. Raises InputError naming the option."""
    from providers.durations import seconds

    try:
        found = float(seconds(text))
    except ValueError as error:
        raise InputError(f"{option} is {text!r}: {error}") from None
    if not 0 < found <= 1e10:
        raise InputError(f"{option} is {text!r}: use more than nothing and less than 300 years")
    return found


def as_json(totals: UsageTotals) -> dict[str, Any]:
    """Sums as `costs --json` prints them; money is USD as decimal strings."""
    return {
        "requests": totals.requests,
        "succeeded": totals.succeeded,
        "failed": totals.failed,
        "cached": totals.cached,
        "prompt_tokens": totals.prompt_tokens,
        "completion_tokens": totals.completion_tokens,
        "tokens": totals.tokens,
        "cost_usd": decimal(totals.cost_usd),
        "waste_usd": decimal(totals.waste_usd),
        "saved_usd": decimal(totals.saved_usd),
        "unpriced": totals.unpriced,
        "failovers": totals.failovers,
        "average_latency_ms": round(_average(totals), 3),
    }


def _average(totals: UsageTotals) -> float:
    return totals.latency_ms_sum / totals.requests if totals.requests else 0.0


def _row(key: str, totals: UsageTotals, simulated: bool) -> tuple[str, ...]:
    return (
        key,
        f"{totals.requests:,}",
        f"{totals.failed:,}",
        f"{totals.cached:,}",
        f"{totals.tokens:,}",
        dollars(totals.cost_usd, simulated=simulated),
        dollars(totals.waste_usd, simulated=simulated),
        dollars(totals.saved_usd, simulated=simulated),
        duration_ms(_average(totals)),
    )
