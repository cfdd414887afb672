"""`sandbox health`: one look at every provider, and at where answers and usage records are kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from providers.clock import iso
from sandbox.cli.exits import Exit
from sandbox.cli.session import Session
from sandbox.core.figures import duration_ms

if TYPE_CHECKING:
    from providers.base import HealthReport
    from sandbox.backends import StoreHealth
    from sandbox.gateway.deployments import ProviderStatus


async def health(*, json: bool = False, session: Annotated[Session, Parameter(parse=False)]) -> Exit:
    """Ask each provider the smallest possible question: is it reachable, authenticated and fast enough?

    And how the cache and the usage records are, with what waits to be sent to DynamoDB. Exits with 3 when something
    is not as it should be. In live mode this costs a few tokens.

    Parameters
    ----------
    json
        Print {"items": […]}.
    """
    from sandbox.gateway.checks import HealthWatch

    async with session.runtime() as runtime:
        reports = await HealthWatch(runtime.gateway).check_all()
        statuses = runtime.gateway.health()
        stores = await runtime.store_health()
    items = [as_json(status, reports[status.id]) for status in statuses]
    output = session.output
    if json:
        backends = [store_as_json(store) for store in stores]
        output.json({"mode": session.settings.mode, "items": items, "backends": backends})
    else:
        for item in items:
            mark = output.out.paint("✓", "green") if item["is_healthy"] else output.out.paint("✗", "red")
            took = duration_ms(item["latency_ms"]) if item["latency_ms"] is not None else ""
            problem = f"  {item['last_error']}" if item["last_error"] else ""
            breaker = "" if item["breaker"] == "closed" else f"  breaker {item['breaker']}"
            output.out.line(f"{mark} {item['provider']:<13} {item['model']:<26} {took:>8}{breaker}{problem}".rstrip())
        for store in stores:
            mark = output.out.paint("✓", "green") if store.problem is None else output.out.paint("✗", "red")
            output.out.line(f"{mark} {store.part:<13} {store.backend:<9} {_told(store)}")
        output.note(f"{session.settings.mode} mode", "dim")
    well = all(item["is_healthy"] for item in items) and all(store.problem is None for store in stores)
    return Exit.DONE if well else Exit.CHECK_FAILED


def _told(store: StoreHealth) -> str:
    if store.problem is not None:
        return store.problem
    waiting = store.pending if store.spool is None else store.spool.depth
    return f"{store.place}{f', waiting to be sent: {waiting}' if waiting else ''}"


def store_as_json(store: StoreHealth) -> dict[str, Any]:
    """The cache or the usage records as `health --json` prints them."""
    spool = store.spool
    return {
        "part": store.part,
        "backend": store.backend,
        "place": store.place,
        "problem": store.problem,
        "pending": store.pending,
        "spool": None
        if spool is None
        else {
            "path": str(spool.path),
            "depth": spool.depth,
            "oldest": None if spool.oldest_us is None else iso(spool.oldest_us),
            "bytes": spool.bytes,
            "limit_bytes": spool.limit_bytes,
            "sent": spool.sent,
            "lost": spool.lost,
        },
    }


def as_json(status: ProviderStatus, report: HealthReport) -> dict[str, Any]:
    """One provider as `health --json` prints it."""
    return {
        "provider": status.id,
        "kind": status.kind,
        "model": status.model,
        "is_healthy": report.is_healthy,
        "latency_ms": None if report.latency_ms is None else round(report.latency_ms, 3),
        "last_error": report.last_error,
        "reachable": report.reachable,
        "authenticated": report.authenticated,
        "fast_enough": report.fast_enough,
        "breaker": status.breaker.state,
        "disabled": status.disabled,
    }
