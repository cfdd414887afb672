"""`sandbox doctor`: what works on this machine, and what does not."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

from cyclopts import Parameter

from providers.errors import ConfigError, InputError
from providers.redaction import redact
from sandbox.cache.base import CacheUnavailable
from sandbox.cli.exits import Exit
from sandbox.cli.output import Colour
from sandbox.cli.session import Session
from sandbox.core.figures import dollars
from sandbox.costs.base import whose
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
    async for check in _stores(session):
        yield check
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


async def _stores(session: Session) -> AsyncIterator[Check]:
    try:
        async with session.runtime() as runtime:
            yield Check("providers", "ok", ", ".join(d.id for d in runtime.gateway.registry))
            for note in runtime.notes:
                yield Check("stores", "fail", note)
            if runtime.usage is not None:
                await runtime.usage.flush()
                yield Check("usage", "ok", "the database opens")
            if runtime.cache is not None:
                await runtime.cache.set("doctor", b"works", ttl=60)
                kept = await runtime.cache.get("doctor")
                await runtime.cache.delete("doctor")
                yield Check(
                    "cache", "ok" if kept == b"works" else "fail", "keeps what it is given" if kept else "keeps nothing"
                )
            elif session.settings.cache.backend == "off":
                yield Check("cache", "ok", "off")
            elif session.settings.mode == "record":
                yield Check("cache", "ok", "off while exchanges are recorded")
    except (InputError, CacheUnavailable, UsageUnavailable) as error:
        yield Check("runtime", "fail", redact(str(error)))


def _versions() -> Iterator[str]:
    from importlib.metadata import PackageNotFoundError, version

    for name in _DISTRIBUTIONS:
        try:
            yield f"{name} {version(name)}"
        except PackageNotFoundError:
            yield f"{name} not installed as a package"
