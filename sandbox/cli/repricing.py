"""How `costs` shows what traffic would have cost elsewhere, and what could be saved."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

from providers.clock import SYSTEM_CLOCK
from providers.errors import ConfigError, InputError
from sandbox.cli.days import noon
from sandbox.cli.output import decimal
from sandbox.core.figures import dollars
from sandbox.costs.reports import CostReports
from sandbox.costs.whatif import Repriced, Target, targets_of
from sandbox.costs.whatif import what_if as repriced

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sandbox.cli.session import Session
    from sandbox.cli.spending import View
    from sandbox.costs.advice import Served


async def what_if(view: View, session: Session, models: str | None, catalogue: str | None, as_of: str | None) -> None:
    """The same traffic on other models, or at other prices."""
    from sandbox.settings.prices import kinds_of, prices_of

    at_us = None if as_of is None else noon(as_of)
    settings = session.settings
    if catalogue is not None:
        settings = settings.model_copy(update={"catalogue": catalogue})
    prices = prices_of(settings)
    targets = [Target()] if models is None else targets_of(_names(models), prices)
    async with session.usage() as usage:
        reports = CostReports(usage, clock=SYSTEM_CLOCK)
        found = await repriced(
            reports,
            view.where,
            targets,
            prices,
            at_us=at_us,
            kinds=kinds_of(session.settings),
            paid_by=prices_of(session.settings),
        )
    output = view.output
    if view.json:
        output.json(
            {
                **view.head(),
                "catalogue": prices.version,
                "as_of": as_of,
                "requests": found[0].requests,
                "actual_usd": decimal(found[0].actual_usd),
                "actual_unpriced": found[0].actual_unpriced,
                "items": [_as_json(one) for one in found],
            }
        )
        return
    if not found[0].requests:
        output.note(f"no answered requests in {view.what()}; `sandbox ask` makes one")
        return
    output.table(
        [
            ("as it was", "", dollars(found[0].actual_usd, simulated=view.simulated), "", ""),
            *(_row(one, view.simulated) for one in found),
        ],
        ("model", "provider", "cost", "difference", ""),
        right=(2, 3),
    )
    for one in found:
        for sentence in one.estimates:
            output.note(f"{one.target}: an estimate, for {sentence}", "yellow")
        if one.unpriced:
            output.note(
                f"{one.target}: {one.unpriced:,} of the requests are unpriced there and not in its cost", "yellow"
            )
    if found[0].actual_unpriced:
        output.note(f"{found[0].actual_unpriced:,} of the requests were unpriced as they were", "yellow")
    dated = "" if as_of is None else f" as of {as_of}"
    output.note(f"{found[0].requests:,} answered requests, {view.what()}; prices {prices.version}{dated}", "dim")


async def recommend(view: View, session: Session) -> None:
    """What could be saved, and what has been."""
    from sandbox.costs.advice import recommendations
    from sandbox.gateway.configured import configured_policy
    from sandbox.settings.prices import kinds_of, prices_of

    async with session.budgets() as budgets:
        stand = await budgets.statuses()
    async with _served(session) as served, session.usage() as usage:
        found = await recommendations(
            CostReports(usage, clock=SYSTEM_CLOCK),
            view.where,
            prices_of(session.settings),
            tiers=configured_policy(session.settings).equivalents,
            kinds=kinds_of(session.settings),
            served=served,
            budgets=stand,
            now_us=view.now_us,
        )
    output = view.output
    if view.json:
        items = [
            {
                "kind": one.kind,
                "sentence": one.sentence,
                "saving_usd": decimal(one.saving_usd),
                "monthly_usd": decimal(one.monthly_usd),
                "estimated": one.estimated,
                "basis": one.basis,
            }
            for one in found
        ]
        output.json({**view.head(), "items": items})
        return
    if not found:
        output.note(f"nothing to recommend in {view.what()}")
        return
    for one in found:
        about = "about " if one.estimated else ""
        saving = f"saves {about}{dollars(one.saving_usd, simulated=view.simulated)}" if one.saving_usd else ""
        if one.monthly_usd:
            saving += f", {dollars(one.monthly_usd, simulated=view.simulated)} a month at this pace"
        saving += ": " if saving else ""
        output.out.line(f"{output.out.paint(saving, 'green')}{one.sentence}")
        output.out.line(f"  from {one.basis}", "dim")
    output.note(view.what(), "dim")


@asynccontextmanager
async def _served(session: Session) -> AsyncIterator[Served]:
    """Who can be asked for a model in this mode; nobody where no provider can be asked at all."""
    async with AsyncExitStack() as stack:
        try:
            runtime = await stack.enter_async_context(session.runtime())
        except ConfigError:
            yield lambda _: []
        else:
            yield runtime.gateway.registry.serving


def _names(models: str) -> list[str]:
    names = list(dict.fromkeys(name.strip() for name in models.split(",") if name.strip()))
    if not names:
        raise InputError("--what-if is empty; name a model, or several with commas between them")
    return names


def _as_json(one: Repriced) -> dict[str, Any]:
    return {
        "target": one.target,
        "provider": one.provider,
        "cost_usd": decimal(one.cost_usd),
        "difference_usd": decimal(one.difference_usd),
        "unpriced": one.unpriced,
        "estimated": one.estimated,
        "estimates": list(one.estimates),
    }


def _row(one: Repriced, simulated: bool) -> tuple[str, ...]:
    difference = "" if one.difference_usd is None else dollars(one.difference_usd, simulated=simulated, signed=True)
    return (
        one.target,
        one.provider or "",
        dollars(one.cost_usd, simulated=simulated),
        difference,
        "estimate" if one.estimated and one.cost_usd is not None else "",
    )
