"""The response cache on ElastiCache or any other Redis: read within a bound, written behind the answer.

`RedisCacheStore.of(settings.cache, clock=…, failed=…, recovered=…)` is all that whoever composes needs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from providers.clock import Clock
from sandbox.cache.base import CacheUnavailable
from sandbox.settings.backends import CacheSettings
from sandbox.shared.address import RedisAddress
from sandbox.shared.errors import RedisAway, RedisRefused
from sandbox.shared.link import ASK_S, PATIENT_S, REQUEST_S, Reached, RedisLink, Told

T = TypeVar("T")

PREFIX: Final = "llm_cache:"
"""Of every key. The gateway's keys begin so already; of whatever else is kept here it is put in front."""
WAITING_BYTES: Final = 32 * 2**20
"""Answers that may wait to be written. A server that falls so far behind counts as one that does not work."""
_MARK: Final = b"SBX1"
"""Begins every value, then 8 bytes of its expiry: what begins otherwise is another program's, and a miss."""
_HEAD: Final = len(_MARK) + 8
_GARBAGE_MS: Final = 60_000
"""Entries expire by the injected clock; the server, which has its own, forgets them this much later."""
_LONGEST_MS: Final = 10 * 365 * 86_400_000
_BATCH: Final = 500


class RedisCacheStore:
    """Implements CacheStore. Belongs to one event loop.

    `get` never takes longer than the link's bound, and `set` returns at once. A server in trouble is told of once and
    passed over in silence, until it is told that it works again: `get` is then a miss, and `set` keeps nothing.
    What is asked for by hand (`delete`, `clear`, `size_bytes`, `check`) raises CacheUnavailable instead.
    """

    def __init__(self, link: RedisLink, *, clock: Clock, failed: Told, recovered: Told) -> None:
        """`failed` hears once of each trouble, in a sentence, and `recovered` of its end. The link is closed here."""
        self._link = link
        self._clock = clock
        self._failed = failed
        self._recovered = recovered
        self._waiting: dict[str, bytes | None] = {}
        """What the server does not know yet; None: deleted."""
        self._waiting_bytes = 0
        self._writer: asyncio.Task[None] | None = None
        self._troubles: dict[str, str] = {}
        link.watch(
            lambda why: failed(f"{why}; going on without cache"),
            lambda how: recovered(f"{how}, and answers are cached again"),
        )

    @classmethod
    def of(cls, cache: CacheSettings, *, clock: Clock, failed: Told, recovered: Told) -> RedisCacheStore:
        """By the settings. Raises InputError for an address that cannot be understood."""
        link = RedisLink(RedisAddress.of(cache), ask_s=cache.timeout * ASK_S / REQUEST_S)
        return cls(link, clock=clock, failed=failed, recovered=recovered)

    async def get(self, key: str) -> bytes | None:
        name = _name(key)
        if name in self._waiting:
            return self._opened(self._waiting[name])
        try:
            found = await self._link.ask("GET", name)
        except RedisAway:
            return None
        except RedisRefused as refused:
            # A key of another kind is another program's.
            if refused.code != "WRONGTYPE":
                self._trouble("read", refused)
            return None
        if self._troubles:
            self._well("read")
        return self._opened(found)

    async def set(self, key: str, value: bytes, *, ttl: float) -> None:
        if self._link.away is not None:
            return
        if self._waiting_bytes + len(value) > WAITING_BYTES:
            raise CacheUnavailable(
                f"the Redis server {self._link.address} cannot keep up: {len(self._waiting)} answers wait to be written"
            )
        expires_us = self._clock.time_us() + round(ttl * 1e6)
        self._put(_name(key), b"".join((_MARK, max(0, expires_us).to_bytes(8, "big"), value)))

    async def delete(self, key: str) -> None:
        self._put(_name(key), None)
        await self._written()

    async def clear(self) -> int:
        await self._written()
        return sum(await self._each("UNLINK"))

    async def size_bytes(self) -> int:
        await self._written()
        return sum(size or 0 for size in await self._each("MEMORY", "USAGE"))

    async def check(self) -> Reached:
        """What is reached there, as whom, and how fast. Raises CacheUnavailable."""
        return await self._by_hand(self._link.check)

    async def close(self) -> None:
        if self._writer is not None:
            await self._writer
        await self._link.close()

    # --- writing ----------------------------------------------------------------------------------------------------

    def _put(self, name: str, entry: bytes | None) -> None:
        self._waiting_bytes += _size(entry) - _size(self._waiting.get(name))
        self._waiting[name] = entry
        if self._writer is None or self._writer.done():
            self._writer = asyncio.get_running_loop().create_task(self._write())

    async def _write(self) -> None:
        while self._waiting:
            batch = list(self._waiting.items())[:_BATCH]
            try:
                await asyncio.gather(*(self._send(name, entry) for name, entry in batch))
            finally:
                for name, entry in batch:
                    if name in self._waiting and self._waiting[name] is entry:
                        del self._waiting[name]
                        self._waiting_bytes -= _size(entry)

    async def _send(self, name: str, entry: bytes | None) -> None:
        try:
            if entry is None:
                await self._link.ask("UNLINK", name, within=PATIENT_S)
                return
            left_ms = (_expiry(entry) - self._clock.time_us()) // 1000
            lasts = min(max(0, left_ms) + _GARBAGE_MS, _LONGEST_MS)
            await self._link.ask("SET", name, entry, "PX", lasts, within=PATIENT_S)
        except RedisAway:
            pass  # the link has told of it
        except RedisRefused as refused:
            self._trouble("write", refused)
        else:
            self._well("write")

    async def _written(self) -> None:
        """Return when the server knows all that it is to know. Raises CacheUnavailable when it cannot be told."""
        if self._writer is not None:
            await self._writer
        if self._link.away is not None:
            raise CacheUnavailable(self._link.away)

    async def _each(self, *command: str) -> list[int]:
        """The answers to one command for each of our keys."""

        async def ask() -> list[int]:
            answers: list[int] = []
            names = await self._link.scan(f"{PREFIX}*")
            for start in range(0, len(names), _BATCH):
                asked = (self._link.ask(*command, name, within=PATIENT_S) for name in names[start : start + _BATCH])
                answers += await asyncio.gather(*asked)
            return answers

        return await self._by_hand(ask)

    async def _by_hand(self, work: Callable[[], Awaitable[T]]) -> T:
        try:
            return await work()
        except RedisAway as error:
            raise CacheUnavailable(str(error)) from error
        except RedisRefused as error:
            raise CacheUnavailable(f"the Redis server {self._link.address} refuses: {error}") from error

    # --- what it says -----------------------------------------------------------------------------------------------

    def _opened(self, entry: bytes | None) -> bytes | None:
        """The value, unless its time is over or it is none of ours."""
        if entry is None or not entry.startswith(_MARK) or len(entry) < _HEAD:
            return None
        return entry[_HEAD:] if self._clock.time_us() < _expiry(entry) else None

    def _trouble(self, kind: str, refused: RedisRefused) -> None:
        if kind in self._troubles:
            return
        self._troubles[kind] = refused.code
        hint = "; its memory is full" if refused.code == "OOM" else ""
        self._failed(f"answers cannot be {_DONE[kind]} the Redis server {self._link.address}{hint}: {refused}")

    def _well(self, kind: str) -> None:
        if self._troubles.pop(kind, None) is not None:
            self._recovered(f"answers can be {_DONE[kind]} the Redis server {self._link.address} again")


_DONE = {"read": "read from", "write": "written to"}


def _name(key: str) -> str:
    return key if key.startswith(PREFIX) else PREFIX + key


def _expiry(entry: bytes) -> int:
    return int.from_bytes(entry[len(_MARK) : _HEAD], "big")


def _size(entry: bytes | None) -> int:
    return 0 if entry is None else len(entry)
