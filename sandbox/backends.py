"""How backends are: by a live check before anything is put on them (what was reached, as whom, how fast), and in use.

Each thing that a part depends on is tried as the part itself will use it, and left as it was found.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from providers.clock import Clock, seeded
from providers.errors import InputError, ProviderError
from providers.redaction import redact
from sandbox.cache.base import CacheStore, CacheUnavailable
from sandbox.settings import Settings
from sandbox.stores import (
    Part,
    Stores,
    aws_access,
    backend_of,
    kept_here,
    open_cache,
    open_usage,
    to_look_at,
    with_backends,
)
from sandbox.usage import database
from sandbox.usage.base import UsageUnavailable
from sandbox.usage.spool_state import SpoolState

if TYPE_CHECKING:
    from pathlib import Path

    from sandbox.usage.dynamodb import AwsAccess
    from sandbox.usage.dynamodb.client import Table

PROBE: Final = "sandbox-check"
"""Key, and name of a tenant, that nothing is kept under."""


@dataclass(frozen=True, slots=True)
class BackendCheck:
    """What one part found where it is to live."""

    part: Part
    backend: str
    """disk, redis, sqlite, dynamodb; `off` needs nothing."""
    ok: bool
    place: str
    """The address or the file that was tried; never a credential."""
    identity: str | None = None
    """As whom: the user of Redis, the ARN that AWS knows the caller by; None: nobody in particular, or not known."""
    latency_ms: float | None = None
    """Of one small question."""
    detail: str = ""
    """What is there: a version, a state."""
    problem: str | None = None
    """Why it cannot be used and what to do, in a sentence; None: it can."""
    notice: str | None = None
    """What does not come true there although it can be used, in a sentence."""


@dataclass(frozen=True, slots=True)
class StoreHealth:
    """How one part of a running program is, where it lives now."""

    part: Part
    backend: str
    """`off` for one that is done without."""
    place: str
    problem: str | None
    """In a sentence; None: it works."""
    pending: int = 0
    """Usage records taken that their store has not committed yet."""
    spool: SpoolState | None = None
    """What waits on the disk for DynamoDB; None: that is not where records go."""


async def store_health(stores: Stores) -> list[StoreHealth]:
    """How the cache and the usage records are. Asks the Redis server and DynamoDB, unless that is known to be away."""
    settings, backends = stores.settings, stores.backends
    cache, usage = stores.cache_store, stores.usage
    found = [StoreHealth("cache", backends["cache"], place_of(settings, "cache"), await _cache_problem(cache))]
    problem, pending, spool = None, 0, None
    if usage is not None:
        problem, pending = usage.problem, usage.pending
        if backends["usage"] == "dynamodb":
            from sandbox.usage.dynamodb import DynamoUsageStore

            assert isinstance(usage.current, DynamoUsageStore)  # noqa: S101
            try:
                spool = await usage.current.spool_state()
                if problem is None:
                    await usage.current.check()
            except UsageUnavailable as error:
                problem = str(error)
    told = None if problem is None else redact(problem)
    return [*found, StoreHealth("usage", backends["usage"], place_of(settings, "usage"), told, pending, spool)]


def left_in_spools(settings: Settings) -> dict[Path, int]:
    """Usage records that wait on the disk for a table of DynamoDB, by file. They are sent when it is recorded to again.

    Blocks. A spool that cannot be read is passed over: whoever opens it tells why.
    """
    found = {}
    for path in sorted(settings.data_dir.glob("usage-*.spool.db")):
        with suppress(sqlite3.Error, OSError), closing(database.open_for_reading(path)) as connection:
            count = connection.execute("SELECT count(*) FROM usage").fetchone()[0]
            if count:
                found[path] = count
    return found


async def _cache_problem(cache: CacheStore | None) -> str | None:
    check = getattr(cache, "check", None)
    if check is None:
        return None
    try:
        await check()
    except CacheUnavailable as error:
        return redact(str(error))
    return None


async def check_backends(
    settings: Settings, backends: Mapping[Part, str] | None = None, *, clock: Clock
) -> list[BackendCheck]:
    """Try the parts on these backends, else on those of the settings; one answer for each, whatever happens."""
    wanted = dict(backends) if backends is not None else _named(settings)
    there = with_backends(settings, wanted)
    away = kept_here(there)
    checks = []
    for part, backend in wanted.items():
        if part in away:
            checks.append(_refused_offline(there, part, backend))
            continue
        try:
            checks.append(await _CHECKS[backend](there, clock))
        except (CacheUnavailable, UsageUnavailable, InputError, ProviderError) as error:
            checks.append(BackendCheck(part, backend, False, place_of(there, part), problem=redact(str(error))))
    return checks


def place_of(settings: Settings, part: Part) -> str:
    """Where a part is by the settings."""
    backend = backend_of(settings, part)
    if backend == "redis":
        return settings.cache.endpoint_url or "no address"
    if backend == "dynamodb":
        where = settings.usage.endpoint_url or (f"DynamoDB in {settings.aws.region}" if settings.aws.region else "AWS")
        return f"table {settings.usage.table} at {where}"
    files = {"disk": settings.data_dir / "cache", "sqlite": settings.data_dir / "usage.db"}
    return str(files.get(backend, "nowhere"))


def _named(settings: Settings) -> dict[Part, str]:
    return {"cache": settings.cache.backend, "usage": settings.usage.backend}


def _refused_offline(settings: Settings, part: Part, backend: str) -> BackendCheck:
    return BackendCheck(
        part,
        backend,
        False,
        place_of(settings, part),
        problem=f"{settings.mode} mode stays on this machine, so it was not asked: use --mode live",
    )


# --- cache ----------------------------------------------------------------------------------------------------------


async def _off(settings: Settings, clock: Clock) -> BackendCheck:
    return BackendCheck("cache", "off", True, "nowhere", detail="nothing is kept")


async def _disk(settings: Settings, clock: Clock) -> BackendCheck:
    store = open_cache(to_look_at(settings), clock=clock, failed=_unheard)
    assert store is not None  # noqa: S101  it is not off
    try:
        began = clock.monotonic()
        await store.set(PROBE, b"works", ttl=60)
        kept = await store.get(PROBE)
        took = _ms(began, clock)
        await store.delete(PROBE)
    finally:
        await store.close()
    place = place_of(settings, "cache")
    if kept != b"works":
        return BackendCheck("cache", "disk", False, place, problem=f"the cache {place} keeps nothing")
    return BackendCheck("cache", "disk", True, place, latency_ms=took, detail="keeps what it is given")


async def _redis(settings: Settings, clock: Clock) -> BackendCheck:
    store = open_cache(to_look_at(settings), clock=clock, failed=_unheard)
    from sandbox.cache.redis import RedisCacheStore

    assert isinstance(store, RedisCacheStore)  # noqa: S101
    try:
        found = await store.check()
        await store.set(PROBE, b"works", ttl=60)
        await store.delete(PROBE)
        await store.set(PROBE, b"works", ttl=60)
        await store.size_bytes()
        await store.delete(PROBE)
    finally:
        await store.close()
    detail = f"{found.server}, {found.mode}"
    return BackendCheck(
        "cache", "redis", True, place_of(settings, "cache"), found.user, round(found.seconds * 1000, 3), detail
    )


# --- usage records --------------------------------------------------------------------------------------------------


async def _sqlite(settings: Settings, clock: Clock) -> BackendCheck:
    store = open_usage(settings, clock=clock)
    try:
        began = clock.monotonic()
        await store.flush()
        took, problem = _ms(began, clock), store.problem
    finally:
        await store.close()
    place = place_of(settings, "usage")
    return BackendCheck("usage", "sqlite", problem is None, place, None, took, "the database opens", problem)


async def _dynamodb(settings: Settings, clock: Clock) -> BackendCheck:
    from sandbox.usage.dynamodb.client import Table

    access = aws_access(settings)
    table = Table(settings.usage.table, access, draws=seeded())
    try:
        found = await asyncio.to_thread(_tried, table, access, clock)
        days = settings.usage.retention_days
        if not found.ok or days is None:
            return found
        return replace(found, notice=await asyncio.to_thread(_kept_for_good, table, days))
    finally:
        await asyncio.to_thread(table.close)


def _kept_for_good(table: Table, days: float) -> str | None:
    """That DynamoDB deletes no record in spite of usage.retention_days; None where it does."""
    from sandbox.usage.dynamodb import names
    from sandbox.usage.dynamodb.access import TableError
    from sandbox.usage.dynamodb.table import expiry_of

    try:
        if expiry_of(table) == names.EXPIRY:
            return None
    except TableError as error:
        return f"whether table {table.name} deletes records after {days:g} days is not known: {error}"
    return (
        f"usage.retention_days is {days:g}, and table {table.name} deletes no record: `sandbox aws table create "
        f"{table.name} --ttl` lets it"
    )


def _tried(table: Table, access: AwsAccess, clock: Clock) -> BackendCheck:
    """Every operation that records and reports need, on a key that is not there. Raises TableError."""
    from sandbox.usage.dynamodb import names
    from sandbox.usage.dynamodb.table import differences

    found = BackendCheck("usage", "dynamodb", False, f"table {table.name} at {table.target.place}")
    description = table.call("describe_table", TableName=table.name)["Table"]
    found = replace(found, place=f"table {table.name} at {table.target.place}", identity=_caller(access))
    if wrong := differences(description):
        return replace(
            found,
            problem=f"table {table.name} is not one of this program, because {'; '.join(wrong)}: name another in "
            "usage.table",
        )
    state = description.get("TableStatus", "")
    indexes = (index.get("IndexStatus", "ACTIVE") for index in description.get("GlobalSecondaryIndexes", ()))
    unready = next((one for one in (state, *indexes) if one not in ("ACTIVE", "UPDATING")), None)
    if unready is not None:
        return replace(found, problem=f"table {table.name} is {unready.lower()}: try again when it is active")
    began = clock.monotonic()
    table.existing([PROBE])
    took = _ms(began, clock)
    next(table.pages(names.TENANT_INDEX, PROBE, page=1))
    table.update(
        {
            "Key": {names.KEY: {"S": PROBE}},
            "UpdateExpression": "SET #at = :at",
            "ConditionExpression": f"attribute_exists({names.KEY})",
            "ExpressionAttributeNames": {"#at": names.TIME},
            "ExpressionAttributeValues": {":at": {"S": "-"}},
        }
    )
    table.delete([PROBE])
    arn = description.get("TableArn", "")
    detail = ", ".join(filter(None, (state.lower(), arn)))
    return replace(found, ok=True, latency_ms=took, detail=detail)


def _caller(access: AwsAccess) -> str | None:
    """The ARN of whoever signs, which AWS tells everybody about themselves; None of an emulator, or if unasked."""
    if access.local:
        return None
    from sandbox.usage.dynamodb.identity import caller

    return caller(access)


_CHECKS = {"off": _off, "disk": _disk, "redis": _redis, "sqlite": _sqlite, "dynamodb": _dynamodb}


def _unheard(component: str, sentence: str) -> None:
    """The check raises what is wrong; nobody needs to hear it twice."""


def _ms(began: float, clock: Clock) -> float:
    return round((clock.monotonic() - began) * 1000, 3)
