"""What the Health room has the engine do with stores: how they are, what a switch would find, and the switch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from sandbox.backends import BackendCheck, StoreHealth, check_backends
from sandbox.cache.base import CacheUnavailable
from sandbox.core.offline import OFFLINE_MODES
from sandbox.desks.base import RoomReport, Tell
from sandbox.sharing import SharedHealth
from sandbox.stores import PARTS, BackendUnavailable, Part, Place, Switched, backends_at, write_place
from sandbox.usage.base import UsageFilter, UsageTotals, UsageUnavailable

if TYPE_CHECKING:
    from sandbox.runtime import Runtime


@dataclass(frozen=True, slots=True)
class Kept(RoomReport):
    """Where answers and usage records are, of one moment."""

    at_us: int
    stores: tuple[StoreHealth, ...]
    simulated: bool
    cache_bytes: int | None
    """None: there is none, or it cannot be told."""
    cache_limit: int | None
    """Bytes on this machine's disk; None: no limit of ours."""
    today: UsageTotals | None
    """Since local midnight; None: there are no records to be read."""
    shared: SharedHealth | None
    """None: this process shares its breakers, turns and budgets' ledgers with no other machine's."""
    figures: bool = True
    """Whether size and sums were looked at."""

    def with_figures_of(self, before: Kept | None) -> Kept:
        """The same, with the last known size and sums where they were not looked at again."""
        if self.figures or before is None:
            return self
        return replace(self, cache_bytes=before.cache_bytes, today=before.today)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A switch that is thought of."""

    place: Place
    part: Part | None
    """None: both."""

    @property
    def keys(self) -> list[str]:
        """The settings that say where its parts are."""
        return [f"{part}.backend" for part in (PARTS if self.part is None else (self.part,))]


@dataclass(frozen=True, slots=True)
class Trying(RoomReport):
    """What is tried out for a switch: each part with its backend."""

    id: str
    backends: Mapping[Part, str]


@dataclass(frozen=True, slots=True)
class Tried(RoomReport):
    """What came of one of them."""

    id: str
    check: BackendCheck


@dataclass(frozen=True, slots=True)
class Moved(RoomReport):
    """The switch is done."""

    id: str
    changes: tuple[Switched, ...]
    backends: Mapping[Part, str]
    """What the parts that were meant are on now."""
    file: Path | None
    """That was written, if any."""
    problem: str = ""
    """Why it was not."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a switch would find: each part with its backend, and what came of trying it out."""

    backends: Mapping[Part, str]
    checks: tuple[BackendCheck, ...]


@dataclass(frozen=True, slots=True)
class Done:
    """A switch, done. `backends`: what the parts that were meant are on now."""

    success: bool
    changes: tuple[Switched, ...]
    backends: Mapping[Part, str]


async def look(figures: bool, since_us: int, runtime: Runtime, tell: Tell) -> None:
    """How the stores are; `figures`: with what reading takes some time, sizes and sums since then."""
    stores = tuple(await runtime.store_health())
    size, today = None, None
    if figures:
        size, today = await _size(runtime), await _today(runtime, since_us)
    on_disk = runtime.backends["cache"] == "disk"
    tell(
        Kept(
            runtime.clock.time_us(),
            stores,
            runtime.mode in OFFLINE_MODES,
            size,
            runtime.settings.cache.size_limit if on_disk else None,
            today,
            await runtime.shared_health(),
            figures,
        )
    )


async def _size(runtime: Runtime) -> int | None:
    try:
        return None if runtime.cache is None else await runtime.cache.size_bytes()
    except CacheUnavailable:
        return None  # the store's health says why


async def _today(runtime: Runtime, since_us: int) -> UsageTotals | None:
    if runtime.usage is None:
        return None
    today = UsageFilter(mode=runtime.gateway.mode, since_us=since_us)
    try:
        return await runtime.usage.totals(today)
    except UsageUnavailable:
        return None


async def try_out(id: str, wanted: Wanted, runtime: Runtime, tell: Tell) -> None:
    """Try each part where it would live, telling of each as it is known."""
    import asyncio

    backends = backends_at(wanted.place, wanted.part, runtime.settings)
    tell(Trying(id, backends))

    async def one(part: Part, backend: str) -> None:
        for found in await check_backends(runtime.settings, {part: backend}, clock=runtime.clock):
            tell(Tried(id, found))

    await asyncio.gather(*(one(part, backend) for part, backend in backends.items()))


async def move(id: str, wanted: Wanted, file: Path | None, runtime: Runtime, tell: Tell) -> None:
    """Switch, after `try_out`; with a file it is said there too, for whatever starts later.

    Raises InputError with nothing changed.
    """
    import asyncio

    from providers.errors import InputError

    try:
        changes = await runtime.switch_backend(wanted.place, part=wanted.part, checked=True)
    except BackendUnavailable as error:
        raise InputError(str(error)) from None
    problem = ""
    if file is not None:
        try:
            await asyncio.to_thread(write_place, file, wanted.place, wanted.part)
        except InputError as error:
            file, problem = None, str(error)
    tell(Moved(id, tuple(changes), backends_at(wanted.place, wanted.part, runtime.settings), file, problem))
