"""`sandbox health`: one look at every provider."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from sandbox.cli.exits import Exit
from sandbox.cli.session import Session
from sandbox.core.figures import duration_ms

if TYPE_CHECKING:
    from providers.base import HealthReport
    from sandbox.gateway.deployments import ProviderStatus


async def health(*, json: bool = False, session: Annotated[Session, Parameter(parse=False)]) -> Exit:
    """Ask each provider the smallest possible question: is it reachable, authenticated and fast enough?

    Exits with 3 when one is not. In live mode this costs a few tokens.

    Parameters
    ----------
    json
        Print {"items": […]}.
    """
    async with session.runtime() as runtime:
        gateway = runtime.gateway
        statuses = gateway.health()
        reports = await asyncio.gather(*(gateway.registry.get(s.id).provider.health_check() for s in statuses))
    items = [as_json(status, report) for status, report in zip(statuses, reports, strict=True)]
    output = session.output
    if json:
        output.json({"mode": session.settings.mode, "items": items})
    else:
        for item in items:
            mark = output.out.paint("✓", "green") if item["is_healthy"] else output.out.paint("✗", "red")
            took = duration_ms(item["latency_ms"]) if item["latency_ms"] is not None else ""
            problem = f"  {item['last_error']}" if item["last_error"] else ""
            breaker = "" if item["breaker"] == "closed" else f"  breaker {item['breaker']}"
            output.out.line(f"{mark} {item['provider']:<13} {item['model']:<26} {took:>8}{breaker}{problem}".rstrip())
        output.note(f"{session.settings.mode} mode", "dim")
    return Exit.DONE if all(item["is_healthy"] for item in items) else Exit.CHECK_FAILED


def as_json(status: ProviderStatus, report: HealthReport) -> dict[str, Any]:
    """One provider as `health --json` prints it."""
    return {
        "provider": status.id,
        "kind": status.kind,
        "model": status.model,
        "is_healthy": report.is_healthy,
        "latency_ms": None if report.latency_ms is None else round(report.latency_ms, 3),
        "last_error": report.last_error,
        "breaker": status.breaker.state,
        "disabled": status.disabled,
    }
