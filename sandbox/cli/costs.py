"""`sandbox costs`: what was spent, what it would have been elsewhere, what could be saved, and all of it as a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from providers.clock import SYSTEM_CLOCK
from providers.errors import InputError
from sandbox.cli.session import Session

By = Literal["provider", "model", "tenant", "agent", "day", "hour", "month", "request"]
Form = Literal["csv", "json"]
MOST_LINES = 100_000
"""Single requests that are listed."""


async def costs(
    *,
    since: str = "24h",
    by: By = "provider",
    tenant: str | None = None,
    agent: str | None = None,
    provider: str | None = None,
    model: str | None = None,
    limit: int = 50,
    what_if: str | None = None,
    catalogue: Literal["current", "seeds-2024"] | None = None,
    as_of: str | None = None,
    recommend: bool = False,
    uptime: str | None = None,
    export: tuple[Form, Path] | None = None,
    summary: bool = False,
    force: bool = False,
    json: bool = False,
    session: Annotated[Session, Parameter(parse=False)],
) -> None:
    """What was spent in the current mode, with what failed attempts wasted and what the cache saved.

    Parameters
    ----------
    since
        How far to look back: 90m, 24h, 7d, …, or all.
    by
        One line for each provider, model, tenant, agent, day, hour or month; request: the latest ones.
    tenant
        Only this tenant's requests.
    agent
        Only this agent's requests.
    provider
        Only requests that this provider answered, or failed last.
    model
        Only requests that this model answered, or failed last.
    limit
        How many lines --by request has.
    what_if
        What the same traffic would have cost on other models: MODEL or PROVIDER/MODEL, several with commas.
    catalogue
        The price list of --what-if. Alone: each model at those prices.
    as_of
        The day of the prices of --what-if, YYYY-MM-DD. Alone: each model at those prices.
    recommend
        What could be saved, and what has been.
    uptime
        How long a self-hosted server (vllm, or --provider) ran: 720h, or recorded. Its bill is shared out --by.
    export
        Every request into a file: csv or json, and its name.
    summary
        Sums in the export too: beside a CSV file in one of their own.
    force
        Let the export replace a file.
    json
        Print one JSON document.
    """
    from sandbox.cli import machine, repricing, spending
    from sandbox.costs.reports import CostReports
    from sandbox.costs.spans import look_back
    from sandbox.usage.base import UsageFilter

    asked = _asked(what_if, catalogue, as_of, recommend, uptime, export, by)
    if export is None and (summary or force):
        raise InputError(f"{'--summary' if summary else '--force'} belongs to --export")
    if not 1 <= limit <= MOST_LINES:
        raise InputError(f"--limit is {limit}; it must be 1 to {MOST_LINES:,}: --export writes every request")
    now = SYSTEM_CLOCK.time_us()
    everything = since.strip().lower() == "all"
    where = UsageFilter(
        session.settings.booked,
        since_us=None if everything else look_back(since, now, option="--since").since_us,
        tenant_id=tenant,
        agent_id=agent,
        provider=provider,
        model=model,
    )
    view = spending.View(session.output, where, "ever" if everything else f"in the last {since}", now, json)
    if asked == "what_if":
        await repricing.what_if(view, session, what_if, catalogue, as_of)
        return
    if asked == "recommend":
        await repricing.recommend(view, session)
        return
    if uptime is not None and by != "request":
        await machine.bill(view, session, uptime, by)
        return
    async with session.usage() as usage:
        reports = CostReports(usage, clock=SYSTEM_CLOCK)
        if export is not None:
            await spending.export(view, reports, *export, summary=summary, force=force)
        elif by == "request":
            await spending.requests(view, reports, limit)
        else:
            await spending.table(view, reports, by)


def _asked(
    what_if: str | None,
    catalogue: str | None,
    as_of: str | None,
    recommend: bool,
    uptime: str | None,
    export: object,
    by: str,
) -> str | None:
    """Which of the answers is wanted; None: the table. Raises InputError for options that do not go together."""
    wanted = {
        "what_if": next(
            (
                option
                for option, value in (("--what-if", what_if), ("--catalogue", catalogue), ("--as-of", as_of))
                if value is not None
            ),
            None,
        ),
        "recommend": "--recommend" if recommend else None,
        "uptime": "--uptime" if uptime is not None else None,
        "export": "--export" if export is not None else None,
    }
    given = {name: option for name, option in wanted.items() if option is not None}
    if len(given) > 1:
        first, second, *_ = given.values()
        raise InputError(f"{first} and {second} are two questions: ask one after the other")
    for option in given.values():
        if by == "request":
            raise InputError(f"{option} and --by request are two questions: ask one after the other")
    return next(iter(given), None)
