"""`sandbox data`: the local cache and usage records."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from providers.clock import SYSTEM_CLOCK
from providers.errors import InputError
from sandbox.backends import place_of
from sandbox.cli.asking import confirmed
from sandbox.cli.session import Session
from sandbox.core import figures
from sandbox.costs.spans import duration
from sandbox.stores import Part, kept_here, with_backends


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
    parts: dict[Part, str] = {}
    if older_than is not None:
        parts["usage"] = f"usage records older than {older_than}"
    if cache:
        parts["cache"] = "the whole cache"
    # On AWS that is everybody's, which the question has to say.
    used = with_backends(session.settings, kept_here(session.settings))
    asked = " and ".join(f"{what} ({place_of(used, part)})" for part, what in parts.items())
    if not yes and not confirmed(session, f"Delete {asked}?", doing=f"deleting {' and '.join(parts.values())}"):
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


def _bytes(path: Path) -> int:
    if path.is_symlink():
        return 0
    if path.is_dir():
        return sum(_bytes(child) for child in path.iterdir())
    return path.stat().st_size
