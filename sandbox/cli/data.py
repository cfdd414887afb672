"""`sandbox data`: the local cache and usage records."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from providers.clock import SYSTEM_CLOCK
from providers.errors import InputError
from sandbox.cli.session import Session
from sandbox.core import figures
from sandbox.costs.spans import duration


def path(*, json: bool = False, session: Annotated[Session, Parameter(parse=False)]) -> None:
    """Where cache and usage records are.

    Parameters
    ----------
    json
        Print one JSON object.
    """
    folder = session.settings.data_dir
    if json:
        session.output.json({"path": str(folder), "exists": folder.is_dir()})
    else:
        session.output.out.line(str(folder))


def size(*, json: bool = False, session: Annotated[Session, Parameter(parse=False)]) -> None:
    """How much room they take.

    Parameters
    ----------
    json
        Print {"items": […]}.
    """
    folder = session.settings.data_dir
    parts = sorted(folder.iterdir()) if folder.is_dir() else []
    sizes = [(part.name, _bytes(part)) for part in parts]
    total = sum(count for _, count in sizes)
    if json:
        items = [{"name": name, "bytes": count} for name, count in sizes]
        session.output.json({"path": str(folder), "items": items, "total_bytes": total})
        return
    session.output.table([(n, figures.size(c)) for n, c in sizes] + [("total", figures.size(total))], right=(1,))
    session.output.note(str(folder), "dim")


async def prune(
    *,
    older_than: str | None = None,
    cache: bool = False,
    yes: bool = False,
    json: bool = False,
    session: Annotated[Session, Parameter(parse=False)],
) -> None:
    """Delete old usage records, or the cache. The sums in reports stay.

    Parameters
    ----------
    older_than
        Delete usage records older than this: 30d, 12h, …
    cache
        Delete every kept answer.
    yes
        Do not ask first.
    json
        Print one JSON object.
    """
    if older_than is None and not cache:
        raise InputError("say what to delete: --older-than 30d, --cache, or both")
    age = None if older_than is None else duration(older_than, "--older-than")
    parts = ([f"usage records older than {older_than}"] if older_than else []) + (["the whole cache"] if cache else [])
    if not yes and not _confirmed(session, " and ".join(parts)):
        session.output.note("nothing was deleted")
        return
    records = entries = 0
    if age is not None:
        async with session.usage() as usage:
            records = await usage.prune(before_us=max(0, SYSTEM_CLOCK.time_us() - round(age * 1e6)))
    if cache:
        async with session.runtime(stores_only=True) as runtime:
            if runtime.cache is not None:
                entries = await runtime.cache.clear()
    if json:
        session.output.json({"deleted_records": records, "deleted_cache_entries": entries})
    else:
        session.output.out.line(f"deleted {records} usage records and {entries} cache entries")


def _confirmed(session: Session, what: str) -> bool:
    if not (sys.stdin and sys.stdin.isatty()):
        raise InputError(f"deleting {what} needs --yes where nobody can be asked")
    session.output.err.write(f"Delete {what} in {session.settings.data_dir}? [y/N] ")
    session.output.err.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _bytes(path: Path) -> int:
    if path.is_symlink():
        return 0
    if path.is_dir():
        return sum(_bytes(child) for child in path.iterdir())
    return path.stat().st_size
