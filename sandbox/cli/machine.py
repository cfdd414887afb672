"""How `costs` shares out what a machine of one's own costs."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from providers.clock import SYSTEM_CLOCK
from sandbox.cli.exits import CommandFailed
from sandbox.cli.output import decimal
from sandbox.core.figures import dollars
from sandbox.costs.machines import machine_bill
from sandbox.costs.reports import CostReports
from sandbox.costs.spans import duration

if TYPE_CHECKING:
    from sandbox.cli.session import Session
    from sandbox.cli.spending import View
    from sandbox.usage.base import Dimension

RECORDED = "recorded"
SERVER = "vllm"


async def bill(view: View, session: Session, uptime: str, by: Dimension) -> None:
    """The bill of a self-hosted provider, and each one's share of it."""
    from sandbox.settings.prices import kinds_of, prices_of

    provider = view.where.provider or SERVER
    hours = _recorded(view, session, provider) if uptime == RECORDED else duration(uptime, "--uptime") / 3600
    where = replace(view.where, provider=provider)
    async with session.usage() as usage:
        found = await machine_bill(
            CostReports(usage, clock=SYSTEM_CLOCK),
            where,
            prices_of(session.settings),
            provider=provider,
            kind=kinds_of(session.settings).get(provider),
            uptime_hours=hours,
            by=by,
        )
    output = view.output
    if view.json:
        output.json(
            {
                **view.head(),
                "provider": provider,
                "by": by,
                "uptime_hours": round(found.uptime_hours, 6),
                "hourly_usd": decimal(found.hourly_usd),
                "bill_usd": decimal(found.bill_usd),
                "booked_usd": decimal(found.booked_usd),
                "idle_usd": decimal(found.idle_usd),
                "crowded_usd": decimal(found.crowded_usd),
                "items": [{by: key, "share_usd": decimal(share)} for key, share in found.shares],
            }
        )
        return
    total, rate, booked, idle = (
        dollars(usd, simulated=view.simulated)
        for usd in (found.bill_usd, found.hourly_usd, found.booked_usd, found.idle_usd)
    )
    rows = [(key or "(none)", dollars(share, simulated=view.simulated)) for key, share in found.shares]
    output.table([*rows, ("total", total)], (by, "share"), right=(1,))
    output.note(f"{provider} up {found.uptime_hours:,.2f} hours at {rate}; answers took {booked} of it, idle {idle}")
    if found.crowded_usd:
        more = dollars(found.crowded_usd, simulated=view.simulated)
        output.note(
            f"answers ran side by side, each priced with the whole machine's time: other reports count {more} more "
            "than the bill, of which the shares here are the true ones",
            "yellow",
        )
    output.note(view.what(), "dim")


def _recorded(view: View, session: Session, provider: str) -> float:
    """Hours that programs of this data folder had the server switched on. Raises CommandFailed."""
    from sandbox.costs.uptime import Uptime, UptimeUnavailable

    records = Uptime(session.settings.data_dir / "uptime.db", mode=view.where.mode, clock=SYSTEM_CLOCK)
    try:
        return records.seconds(provider, view.where.since_us or 0, view.now_us) / 3600
    except UptimeUnavailable as error:
        raise CommandFailed("UptimeUnavailable", str(error)) from error
    finally:
        records.close()
