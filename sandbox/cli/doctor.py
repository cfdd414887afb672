"""`sandbox doctor`: what works on this machine, and what does not."""

from __future__ import annotations

import asyncio
import os
import platform
import shutil
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

from cyclopts import Parameter

from providers.clock import SYSTEM_CLOCK
from providers.errors import ConfigError, InputError
from providers.redaction import redact
from sandbox.backends import BackendCheck, check_backends, left_in_spools
from sandbox.cache.base import CacheUnavailable
from sandbox.cli.exits import Exit
from sandbox.cli.output import Colour
from sandbox.cli.session import Session
from sandbox.core.figures import dollars, duration_ms
from sandbox.core.offline import following
from sandbox.costs.base import whose
from sandbox.shared.errors import RedisAway, RedisRefused
from sandbox.sharing import check_shared
from sandbox.stores import kept_here, with_backends
from sandbox.usage.base import UsageUnavailable

if TYPE_CHECKING:
    from sandbox.settings import Loaded, Settings

Status = Literal["ok", "warn", "fail"]

_MARKS: dict[Status, tuple[str, Colour]] = {"ok": ("✓", "green"), "warn": ("!", "yellow"), "fail": ("✗", "red")}
_DISTRIBUTIONS = (
    "llm-failover-sandbox",
    "openai",
    "anthropic",
    "boto3",
    "aiohttp",
    "httpx2",
    "textual",
    "pydantic",
    "sqlite-utils",
)


class Check(NamedTuple):
    check: str
    status: Status
    detail: str


async def doctor(*, json: bool = False, session: Annotated[Session, Parameter(parse=False)]) -> Exit:
    """Check this installation; exits with 3 when something that is needed does not work. Asks no provider.

    Parameters
    ----------
    json
        Print {"items": […]}.
    """
    checks = [check async for check in _checks(session)]
    output = session.output
    if json:
        output.json({"items": [check._asdict() for check in checks]})
    else:
        for check in checks:
            mark, colour = _MARKS[check.status]
            output.out.line(f"{output.out.paint(mark, colour)} {check.check:<10} {check.detail}")
    return Exit.CHECK_FAILED if any(check.status == "fail" for check in checks) else Exit.DONE


async def _checks(session: Session) -> AsyncIterator[Check]:
    yield Check("python", "ok", f"{platform.python_version()} on {platform.system()} {platform.machine()}")
    yield _terminal()
    try:
        loaded = session.loaded
    except ConfigError as error:
        yield Check("settings", "fail", str(error))
        return
    for check in _settings(loaded):
        yield check
    async for check in _runtime(session):
        yield check
    async for check in _backends(session):
        yield check
    async for check in _shared(session):
        yield check
    for path, count in (await asyncio.to_thread(left_in_spools, loaded.settings)).items():
        yield Check("spool", "warn", f"usage records that wait for DynamoDB in {path}: {count}")
    yield Check("packages", "ok", ", ".join(_versions()))


def _terminal() -> Check:
    if not sys.stdout.isatty():
        return Check("terminal", "ok", "none: the output goes elsewhere")
    size = shutil.get_terminal_size()
    facts = f"{os.environ.get('TERM', 'unnamed')}, {size.columns}×{size.lines}, {sys.stdout.encoding}"
    if size.columns < 80 or size.lines < 24:
        return Check("terminal", "warn", f"{facts}: the terminal UI wants at least 80×24")
    return Check("terminal", "ok", facts)


def _settings(loaded: Loaded) -> Iterator[Check]:
    settings = loaded.settings
    file = loaded.config_file
    state = "" if file.is_file() else " (does not exist; every setting has its default)"
    yield Check("settings", "ok", f"{file}{state}")
    for name in loaded.ignored:
        yield Check("settings", "warn", f"{name} is no setting of this program and was passed over")
    yield Check("mode", "ok", f"{settings.mode}, preset {settings.preset}")
    found = {name: key for name in settings.providers if (key := settings.credential(name)) is not None}
    if found:
        origins = ", ".join(f"{name} ({loaded.origin(key)})" for name, key in found.items())
        yield Check("keys", "ok", f"found for {origins}")
    else:
        needed = settings.mode in ("live", "record")
        yield Check("keys", "warn" if needed else "ok", f"none{'' if needed else f'; {settings.mode} mode needs none'}")
    yield Check("budgets", "ok", _budgets(settings))
    for folder in (file.parent, settings.data_dir):
        problem = _unwritable(folder)
        yield Check("folder", "fail" if problem else "ok", f"{folder}{f': {problem}' if problem else ''}")


def _budgets(settings: Settings) -> str:
    limits = [(None, settings.budget_limit), *settings.budgets.tenants.items()]
    told = [f"{whose(tenant)} {dollars(limit)}" for tenant, limit in limits if limit is not None]
    return f"{', '.join(told)} a month" if told else "no budget is set"


def _unwritable(folder: Path) -> str | None:
    """Why nothing can be written into a folder, or into the nearest one above it that exists."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    if not folder.is_dir():
        return f"{folder} is no folder"
    return None if os.access(folder, os.W_OK | os.X_OK) else f"{folder} may not be written"


async def _runtime(session: Session) -> AsyncIterator[Check]:
    try:
        async with session.runtime() as runtime:
            yield Check("providers", "ok", ", ".join(d.id for d in runtime.gateway.registry))
            for deployment in runtime.gateway.registry:
                if (missing := await asyncio.to_thread(deployment.provider.lacks)) is not None:
                    yield Check("providers", "warn", f"{deployment.id} cannot be asked: {redact(missing)}")
    except (InputError, CacheUnavailable, UsageUnavailable) as error:
        yield Check("runtime", "fail", redact(str(error)))


async def _backends(session: Session) -> AsyncIterator[Check]:
    settings = session.settings
    away = kept_here(settings)
    if away:
        told = " and ".join(f"{part} on {backend}" for part, backend in away.items())
        yield Check(
            "backends", "ok", f"{settings.mode} mode stays on this machine, with {told}; --mode live looks at AWS"
        )
    with following(settings.mode):
        checks = await check_backends(with_backends(settings, away), clock=SYSTEM_CLOCK)
    for one in checks:
        if one.part == "cache" and settings.mode == "record":
            yield Check("cache", "ok", "off while exchanges are recorded")
        else:
            yield Check(one.part, "ok" if one.ok else "fail", _found(one))
            if one.notice:
                yield Check(one.part, "warn", one.notice)


async def _shared(session: Session) -> AsyncIterator[Check]:
    try:
        with following(session.settings.mode):
            found = await check_shared(session.settings)
    except (InputError, RedisAway, RedisRefused) as error:
        yield Check("shared", "fail", redact(str(error)))
    else:
        if found is not None:
            yield Check("shared", "ok", f"breakers and budgets through {found}")


def _found(check: BackendCheck) -> str:
    if check.problem is not None:
        return f"{check.backend}: {check.problem}"
    whom = f" as {check.identity}" if check.identity else ""
    took = "" if check.latency_ms is None else f", {duration_ms(check.latency_ms)}"
    return "off" if check.backend == "off" else f"{check.backend}{whom}: {check.detail}{took}"


def _versions() -> Iterator[str]:
    from importlib.metadata import PackageNotFoundError, version

    for name in _DISTRIBUTIONS:
        try:
            yield f"{name} {version(name)}"
        except PackageNotFoundError:
            yield f"{name} not installed as a package"
