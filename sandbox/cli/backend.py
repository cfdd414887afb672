"""`sandbox backend`: where cache and usage records live, and the switch between this machine and AWS."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from providers.clock import SYSTEM_CLOCK
from providers.redaction import redact
from sandbox.backends import BackendCheck, check_backends, left_in_spools, place_of
from sandbox.cli.asking import confirmed
from sandbox.cli.exits import Exit
from sandbox.cli.session import Session
from sandbox.core.figures import duration_ms
from sandbox.core.offline import following
from sandbox.stores import PARTS, Part, backend_of, backends_at, kept_here, write_place
from sandbox.usage.base import UsageUnavailable

if TYPE_CHECKING:
    from sandbox.settings import Loaded


async def show(*, check: bool = False, json: bool = False, session: Annotated[Session, Parameter(parse=False)]) -> Exit:
    """Where cache and usage records live, and which setting says so.

    Parameters
    ----------
    check
        Try each one out; exits with 3 when one cannot be used.
    json
        Print {"items": […]}.
    """
    loaded = session.loaded
    checks = {one.part: one for one in await _check(session)} if check else {}
    items = [_item(loaded, part, checks.get(part)) for part in PARTS]
    output = session.output
    if json:
        output.json({"backend": loaded.settings.backend, "items": items})
    else:
        for item in items:
            output.out.line(f"{item['part']:<6} {item['backend']:<9} {item['place']}  ({item['where'] or 'default'})")
        for one in checks.values():
            _tell(session, one)
    return Exit.DONE if all(one.ok for one in checks.values()) else Exit.CHECK_FAILED


async def switch(
    backend: Literal["local", "aws"],
    /,
    *,
    part: Part | None = None,
    yes: bool = False,
    json: bool = False,
    session: Annotated[Session, Parameter(parse=False)],
) -> Exit:
    """Put cache and usage records on this machine or on AWS, in the settings file. Tries out each of them first.

    Exits with 3, and changes nothing, when one cannot be used. What is kept where it was stays there. A part that is
    off stays off unless it is named.

    Parameters
    ----------
    backend
        local (disk and SQLite) or aws (ElastiCache or any Redis, and DynamoDB).
    part
        This part alone: cache or usage.
    yes
        Do not ask first.
    json
        Print one JSON object.
    """
    from sandbox.settings.folders import default_config_file

    loaded, output = session.loaded, session.output
    wanted = backends_at(backend, part, loaded.settings)
    checks = await _check(session, wanted)
    ok = all(one.ok for one in checks)
    file = session.options.config or default_config_file()
    if not json:
        for one in checks:
            _tell(session, one)
    what = " and ".join(f"{name} on {one}" for name, one in wanted.items())
    agreed = ok and (yes or confirmed(session, f"Put {what}, in {file}?", doing=f"putting {what}"))
    if agreed:
        await _carry_budgets(session, wanted)
    changed = agreed and write_place(file, backend, part)
    if json:
        items = [_item(loaded, one.part, one) for one in checks]
        output.json({"backend": backend, "switched": changed, "config_file": str(file), "items": items})
    elif not ok:
        output.problem("nothing was changed: what is marked ✗ cannot be used")
    elif not agreed:
        output.note("nothing was changed")
    else:
        told = ", ".join(f"{name} on {one}" for name, one in wanted.items())
        output.out.line(f"{told}{'' if changed else ', as before'}")
        output.note(f"in {file}; it holds for whatever starts from now on", "dim")
    if agreed and wanted.get("usage") == "sqlite":
        for path, count in (await asyncio.to_thread(left_in_spools, loaded.settings)).items():
            output.note(f"usage records that wait in {path} until DynamoDB is recorded to again: {count}", "yellow")
    if agreed:
        _warn_of_what_wins(session, wanted)
    return Exit.DONE if ok else Exit.CHECK_FAILED


async def _carry_budgets(session: Session, wanted: Mapping[Part, str]) -> None:
    """Keep what was spent this month in the budgets' ledgers, which stay where they are."""
    used = session.settings
    before = backend_of(used, "usage")
    if wanted.get("usage", before) == before:
        return
    why = f"{used.mode} mode asks no other machine" if "usage" in kept_here(used) else ""
    try:
        await session.carry_budgets()
    except UsageUnavailable as error:
        why = redact(str(error))
    if why:
        session.output.note(
            f"budgets go on without what only {before} knows to be spent this month ({why}): to count it, switch back, "
            "and again with --mode live",
            "yellow",
        )


async def _check(session: Session, wanted: Mapping[Part, str] | None = None) -> Sequence[BackendCheck]:
    with following(session.settings.mode):
        return await check_backends(session.settings, wanted, clock=SYSTEM_CLOCK)


def _item(loaded: Loaded, part: Part, check: BackendCheck | None) -> dict[str, Any]:
    """One part as `backend --json` prints it; what was not tried out is null."""
    origin = loaded.origin(f"{part}.backend")
    return {
        "part": part,
        "backend": backend_of(loaded.settings, part) if check is None else check.backend,
        "place": redact(place_of(loaded.settings, part) if check is None else check.place),
        "where": origin.where or None,
        "ok": None if check is None else check.ok,
        "identity": None if check is None else check.identity,
        "latency_ms": None if check is None else check.latency_ms,
        "detail": None if check is None else check.detail or None,
        "problem": None if check is None else check.problem,
        "notice": None if check is None else check.notice,
    }


def _tell(session: Session, check: BackendCheck) -> None:
    out = session.output.out
    mark = out.paint("✓", "green") if check.ok else out.paint("✗", "red")
    took = "" if check.latency_ms is None else f" in {duration_ms(check.latency_ms)}"
    whom = f" as {check.identity}" if check.identity else ""
    said = check.problem or f"{check.place}{whom}{took}: {check.detail}"
    out.line(f"{mark} {check.part:<6} {check.backend:<9} {said}")
    if check.notice:
        session.output.note(check.notice, "yellow")


def _warn_of_what_wins(session: Session, wanted: Mapping[Part, str]) -> None:
    for origin in session.loaded.over_the_file("backend", *(f"{part}.backend" for part in wanted)):
        session.output.note(f"{origin} is set too, and wins over the file", "yellow")
