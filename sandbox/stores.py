"""Opens the stores that the settings name, here or on AWS, and changes them while requests are under way."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final, Literal
from urllib.parse import urlsplit

from providers.clock import Clock
from providers.errors import InputError
from sandbox.cache.base import CacheStore, CacheUnavailable
from sandbox.cache.switchable import SwitchableCacheStore
from sandbox.core.offline import OFFLINE_MODES, is_local
from sandbox.settings import Settings
from sandbox.settings.backends import AWS_BACKENDS, LOCAL_BACKENDS
from sandbox.settings.fields import plain
from sandbox.usage.base import UsageStore, UsageUnavailable
from sandbox.usage.switchable import SwitchableUsageStore

if TYPE_CHECKING:
    from pathlib import Path

    from sandbox.shared.link import RedisLink
    from sandbox.usage.dynamodb import AwsAccess

Part = Literal["cache", "usage"]
PARTS: tuple[Part, ...] = ("cache", "usage")
Place = Literal["local", "aws"]
Failed = Callable[[str, str], None]
"""Called with a component and what is wrong with it, in a sentence."""

CONNECT_S: Final = 1.0
"""Longest wait at the start for a Redis server; where it is not there by then, requests do without it until it is."""
LEAVE_S: Final = 30.0
"""Longest wait for a store that is left to commit what it took."""

logger = logging.getLogger(__name__)


class BackendUnavailable(Exception):
    """A backend cannot be used; the message says why in one sentence, and nothing was changed."""


@dataclass(frozen=True, slots=True)
class Switched:
    """One part that lives elsewhere now."""

    part: Part
    before: str
    after: str


def backend_of(settings: Settings, part: Part) -> str:
    """What a part is on by the settings: `disk`, `redis`, `off`, `sqlite` or `dynamodb`."""
    return settings.cache.backend if part == "cache" else settings.usage.backend


def with_backends(settings: Settings, backends: Mapping[Part, str]) -> Settings:
    """The settings with these parts on these backends."""
    sections: dict[str, object] = {
        part: getattr(settings, part).model_copy(update={"backend": backend}) for part, backend in backends.items()
    }
    changed = settings.model_copy(update=sections)
    on_aws = all(backend_of(changed, part) == AWS_BACKENDS[part] for part in PARTS)
    return changed.model_copy(update={"backend": "aws" if on_aws else "local"})


def backends_at(place: Place, part: Part | None, settings: Settings) -> dict[Part, str]:
    """What the parts, or one of them, are on at that place. A cache that is off stays off unless it is named."""
    table = AWS_BACKENDS if place == "aws" else LOCAL_BACKENDS
    wanted: dict[Part, str] = {one: table[one] for one in (PARTS if part is None else (part,))}
    if part is None and settings.cache.backend == "off":
        wanted["cache"] = "off"
    return wanted


def write_place(file: Path, place: Place, part: Part | None) -> bool:
    """Say it in the settings file, with as few keys as may be; returns whether that changed it. Raises ConfigError."""
    from sandbox.settings.editing import put
    from sandbox.settings.sources import parse_toml, read_text

    if part is not None:
        return put(file, (part, "backend"), f'"{(AWS_BACKENDS if place == "aws" else LOCAL_BACKENDS)[part]}"')
    said = parse_toml(file, read_text(file)) if file.exists() else {}
    changed = [put(file, ("backend",), f'"{place}"')]
    for one in PARTS:
        # What a part says of its own would win over that; only `off` is meant to.
        section = said.get(one)
        if isinstance(section, dict) and section.get("backend", "off") != "off":
            changed.append(put(file, (one, "backend"), None))
        elif isinstance(section, str) and section != "off":
            changed.append(put(file, (one,), None))
    return any(changed)


# --- opening --------------------------------------------------------------------------------------------------------


def open_cache(settings: Settings, *, clock: Clock, failed: Failed) -> CacheStore | None:
    """The response cache; None where there is to be none. Opening it connects to nothing.

    `failed` hears of trouble later on. Raises CacheUnavailable, or InputError for an address that is none.
    """
    # What the cache answers passes no provider, and so could not be recorded.
    if settings.cache.backend == "off" or settings.mode == "record":
        return None
    if settings.cache.backend == "redis":
        return _redis_cache(settings, clock=clock, failed=failed)
    from sandbox.cache.disk import DiskCacheStore

    return DiskCacheStore(settings.data_dir / "cache", size_limit=settings.cache.size_limit, clock=clock)


def _redis_cache(settings: Settings, *, clock: Clock, failed: Failed) -> CacheStore:
    if find_spec("redis") is None:
        raise CacheUnavailable("cache.backend is redis, whose client is not installed: add the extra `redis`")
    from sandbox.cache.redis import RedisCacheStore

    return RedisCacheStore.of(
        settings.cache,
        clock=clock,
        failed=lambda sentence: failed("cache", sentence),
        recovered=lambda sentence: logger.warning("%s", sentence),
    )


def open_usage(settings: Settings, *, clock: Clock, reading: bool = False) -> UsageStore:
    """The usage records; `reading`: none are to be added. Raises UsageUnavailable."""
    if settings.usage.backend == "dynamodb":
        return _dynamodb_usage(settings, clock=clock)
    from sandbox.usage.sqlite import SqliteUsageStore

    return SqliteUsageStore(
        settings.data_dir / "usage.db",
        clock=clock,
        durability=settings.usage.durability,
        retention_days=settings.usage.retention_days,
        reading=reading,
    )


def _dynamodb_usage(settings: Settings, *, clock: Clock) -> UsageStore:
    from sandbox.usage.dynamodb import DynamoUsageStore

    return DynamoUsageStore(
        settings.usage.table,
        aws_access(settings),
        folder=settings.data_dir,
        clock=clock,
        durability=settings.usage.durability,
        retention_days=settings.usage.retention_days,
        spool_limit=settings.usage.spool_limit,
    )


def aws_access(settings: Settings) -> AwsAccess:
    """Where DynamoDB is and who asks it, by the settings."""
    from sandbox.usage.dynamodb import AwsAccess

    aws = settings.aws
    return AwsAccess(
        region=aws.region,
        endpoint_url=settings.usage.endpoint_url,
        profile=aws.profile,
        access_key_id=plain(aws.access_key_id),
        secret_access_key=plain(aws.secret_access_key),
        session_token=plain(aws.session_token),
    )


def to_look_at(settings: Settings) -> Settings:
    """The same where answers are kept: while exchanges are recorded there is no cache to look at."""
    return settings.model_copy(update={"mode": "live"}) if settings.mode == "record" else settings


def kept_here(settings: Settings) -> dict[Part, str]:
    """The parts that stay on this machine although the settings put them elsewhere, and on what.

    Mock and replay reach no other machine; an emulator on this one is none.
    """
    addresses: dict[Part, str | None] = {
        "cache": settings.cache.endpoint_url,
        "usage": settings.usage.endpoint_url or "https://aws",
    }
    return {
        part: LOCAL_BACKENDS[part]
        for part, address in addresses.items()
        if backend_of(settings, part) == AWS_BACKENDS[part] and is_out_of_reach(settings, address)
    }


def is_out_of_reach(settings: Settings, address: str | None) -> bool:
    """Whether the mode keeps the program from a server at that address."""
    if settings.mode not in OFFLINE_MODES or address is None:
        return False
    return not is_local(urlsplit(address if "://" in address else f"//{address}").hostname)


class Stores:
    """The cache and the usage records of one runtime. Belongs to one event loop."""

    def __init__(self, settings: Settings, *, clock: Clock, told: Callable[[str], None], failed: Failed) -> None:
        """`told` hears, in a sentence each, what cannot be opened and is done without; `failed` of trouble later on."""
        self.settings = settings
        self._clock = clock
        self._told = told
        self._failed = failed
        self._cache = SwitchableCacheStore(None)
        self._usage: SwitchableUsageStore | None = None
        self._switching = asyncio.Lock()

    @property
    def cache(self) -> CacheStore | None:
        return None if self._cache.current is None else self._cache

    @property
    def cache_store(self) -> CacheStore | None:
        """The store that answers are kept in now."""
        return self._cache.current

    @property
    def backends(self) -> dict[Part, str]:
        """What each part is on now; `off` for one that is done without."""
        there = {"cache": self.cache is not None, "usage": self.usage is not None}
        return {part: backend_of(self.settings, part) if there[part] else "off" for part in PARTS}

    @property
    def usage(self) -> SwitchableUsageStore | None:
        return self._usage

    def open(self, *, reading: bool = False) -> None:
        """A store that cannot be opened is told once and done without: a request never fails for it.

        `reading`: for looking at what is kept, which leaves it as it is.
        """
        here = kept_here(self.settings)
        if here:
            # No trouble, and so no warning.
            logger.info(
                "%s",
                f"{self.settings.mode} mode stays on this machine: {' and '.join(here.values())} in place of "
                f"{' and '.join(backend_of(self.settings, part) for part in here)}",
            )
            self.settings = with_backends(self.settings, here)
        folder = self.settings.data_dir
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            instead = "" if reading else ": going on without cache and usage records"
            self._told(f"the data folder {folder} cannot be made ({error.strerror}){instead}")
            return
        try:
            self._cache = SwitchableCacheStore(open_cache(self.settings, clock=self._clock, failed=self._failed))
        except (CacheUnavailable, InputError) as error:
            self._told(f"{error}: going on without cache")
        try:
            self._usage = SwitchableUsageStore(open_usage(self.settings, clock=self._clock, reading=reading))
        except (UsageUnavailable, InputError) as error:
            self._told(str(error) if reading else f"{error}: usage of this run is not recorded")

    async def connect(self, link: RedisLink | None) -> None:
        """Wait a moment for Redis: whoever starts for one request would else be done before it is there."""
        store = self._cache.current
        checks = [] if link is None else [link.check()]
        if self.backends["cache"] == "redis":
            checks.append(store.check())  # type: ignore[union-attr]
        with suppress(TimeoutError):
            async with self._clock.timeout(CONNECT_S):
                # Whatever their trouble, they tell of it themselves.
                await asyncio.gather(*checks, return_exceptions=True)

    async def switch(
        self,
        backends: Mapping[Part, str],
        swapped: Callable[[list[Switched]], None],
        last: Callable[[UsageStore], Awaitable[None]] | None = None,
    ) -> list[Switched]:
        """Put these parts on these backends; returns those that changed, when the stores before are closed.

        All are opened before the first is swapped. `swapped` is called right after that, before any request goes on:
        from then on each record goes to the new store. `last` may read the usage records that are left, before they are
        closed. Raises BackendUnavailable, with nothing changed.
        """
        async with self._switching:
            wanted = {part: one for part, one in backends.items() if backend_of(self.settings, part) != one}
            changes = [Switched(part, backend_of(self.settings, part), one) for part, one in wanted.items()]
            settings = with_backends(self.settings, wanted)
            cache, usage = await self._opened(settings, wanted)
            leaving = []
            if "cache" in wanted:
                leaving.append(self._cache.replace(cache))
            if usage is not None and self._usage is None:
                self._usage = SwitchableUsageStore(usage)
            elif usage is not None and self._usage is not None:
                leaving.append(self._usage.replace(usage, last))
            self.settings = settings
            swapped(changes)
            results = await asyncio.gather(*map(self._left, leaving), return_exceptions=True)
        left = next((error for error in results if isinstance(error, BaseException)), None)
        if left is not None:
            self._failed("usage", f"the store before did not take all its records, which wait in its spool: {left}")
        return changes

    async def _left(self, leaving: Coroutine[Any, Any, None]) -> None:
        """Close a store that was changed for another, within a bound: what it cannot commit by then is in its spool."""
        try:
            async with self._clock.timeout(LEAVE_S):
                await leaving
        except TimeoutError:
            raise UsageUnavailable(f"it did not commit within {LEAVE_S:g} s") from None

    async def _opened(
        self, settings: Settings, parts: Mapping[Part, str]
    ) -> tuple[CacheStore | None, UsageStore | None]:
        cache: CacheStore | None = None
        try:
            if "cache" in parts:
                cache = open_cache(settings, clock=self._clock, failed=self._failed)
            return cache, open_usage(settings, clock=self._clock) if "usage" in parts else None
        except (CacheUnavailable, UsageUnavailable, InputError) as error:
            if cache is not None:
                await cache.close()
            raise BackendUnavailable(f"{error}; nothing was changed") from error

    async def close(self) -> None:
        await self._cache.close()
        if self._usage is not None:
            await self._usage.close()
