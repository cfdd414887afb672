"""`sandbox budget`: what may be spent in a month."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from providers.clock import SYSTEM_CLOCK, iso
from sandbox.cli.exits import CommandFailed
from sandbox.cli.output import decimal
from sandbox.cli.session import Session
from sandbox.core.figures import dollars
from sandbox.costs.base import whose
from sandbox.costs.periods import month_after, month_of

if TYPE_CHECKING:
    from sandbox.costs.status import BudgetStatus


def set_(limit: str, /, *, tenant: str | None = None, session: Annotated[Session, Parameter(parse=False)]) -> None:
    """Set what may be spent in a calendar month (UTC), in the settings file. It holds for whatever starts from then on.

    At the limit nothing is asked that costs money or has no known price; local models and cached answers go on.

    Parameters
    ----------
    limit
        USD a month, such as 20; none takes the limit away.
    tenant
        For this tenant alone; without it for all together.
    """
    from sandbox.costs.setting import amount_of, key_of, write_budget
    from sandbox.settings.folders import default_config_file

    amount = amount_of(limit, tenant, option="LIMIT")
    # First, so that a settings file that is wrong elsewhere is told before it is changed.
    loaded = session.loaded
    file = session.options.config or default_config_file()
    changed = write_budget(file, tenant, amount)
    allowed = "no budget" if amount is None else f"a budget of {dollars(amount)} a month"
    session.output.out.line(f"{whose(tenant)}: {allowed}{'' if changed else ', as before'}")
    session.output.note(f"in {file}", "dim")
    for origin in loaded.over_the_file(key_of(tenant)):
        session.output.note(f"{origin} is set too, and wins over the file", "yellow")


async def show(*, json: bool = False, session: Annotated[Session, Parameter(parse=False)]) -> None:
    """How the budgets stand this month, in the current mode.

    Parameters
    ----------
    json
        Print {"items": […]}.
    """
    async with session.budgets() as budgets:
        stand = await budgets.statuses()
        if budgets.blind:
            raise CommandFailed("BudgetUnavailable", "nobody knows what was spent: ledger and records cannot be read")
    mode, output = session.settings.booked, session.output
    period = month_of(SYSTEM_CLOCK.time_us())
    resets = iso(month_after(period))
    if json:
        items = [as_json(one) for one in stand]
        output.json({"mode": mode, "period": iso(period)[:7], "resets_at": resets, "items": items})
        return
    if not stand:
        output.note("no budget is set; `sandbox budget set 20` lets all tenants together spend 20 USD a month")
        return
    output.table(
        [_row(one, simulated=mode != "live") for one in stand],
        ("budget", "limit", "spent", "held", "left", "used", "month end"),
        right=range(1, 7),
    )
    output.note(f"{mode} mode, {iso(period)[:7]}; begins anew on {resets[:10]} (UTC)", "dim")


def as_json(status: BudgetStatus) -> dict[str, Any]:
    """One budget as `budget show --json` prints it; money is USD as decimal strings."""
    return {
        "tenant": status.tenant,
        "limit_usd": decimal(status.limit_usd),
        "used_usd": decimal(status.used_usd),
        "reserved_usd": decimal(status.reserved_usd),
        "remaining_usd": decimal(status.remaining_usd),
        "percentage_used": round(status.percentage_used, 3),
        "projected_usd": decimal(status.projected_monthly_cost),
        "alert_level": status.alert_level,
    }


def _row(status: BudgetStatus, *, simulated: bool) -> tuple[str, ...]:
    money = (status.used_usd, status.reserved_usd, status.remaining_usd)
    return (
        whose(status.tenant),
        dollars(status.limit_usd),
        *(dollars(one, simulated=simulated) for one in money),
        f"{status.percentage_used:.1f} %",
        dollars(status.projected_monthly_cost, simulated=simulated),
    )
