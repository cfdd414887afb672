"""The one connection of a process to a Redis server: asked within a bound, and kept up behind everybody's back.

A server that does not answer in time is skipped at once from then on, while a task in the background asks it how it is
and connects anew, more and more rarely. So whatever its trouble, a request waits for it no longer than one bound.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha1
from typing import TYPE_CHECKING, Any, NamedTuple

from providers.clock import SYSTEM_CLOCK, Clock
from providers.redaction import redact
from sandbox.shared.address import RedisAddress
from sandbox.shared.errors import RedisAway, RedisRefused

if TYPE_CHECKING:
    from sandbox.shared.wires import Wire

REQUEST_S = 0.05
"""The most that a request may wait for Redis, with everything it asks of it."""
ASK_S = 0.024
"""Bound of one question. A request asks twice at most: for its answer, and for room in its budgets."""
PATIENT_S = 2.0
"""Bound of a question that no request waits for."""
_CHECK_S = 6.0
"""Bound of a question by hand: longer than connecting may take, so that its failure is what is told."""
_SCAN_S = 60.0
"""Bound of going over all keys: a million take a second or two."""
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 5.0
_PROBES = 3
"""Pings of which one must be answered within the bound, lest a pause of this process be blamed on the server."""

Told = Callable[[str], None]


class Reached(NamedTuple):
    """What a live check found."""

    server: str
    """Its kind and version, such as `redis 7.0.15`."""
    mode: str
    """standalone or cluster."""
    user: str
    seconds: float
    """Of one round trip."""


class Script:
    """A Lua script, called by its digest once the server knows it."""

    __slots__ = ("digest", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.digest = sha1(text.encode(), usedforsecurity=False).hexdigest()


class RedisLink:
    """Belongs to one event loop. Opens with the first question; closed, it opens again with the next."""

    def __init__(self, address: RedisAddress, *, ask_s: float = ASK_S, clock: Clock = SYSTEM_CLOCK) -> None:
        self.address = address
        self.ask_s = ask_s
        self._clock = clock
        self._wire: Wire | None = None
        """The open connection while it may be used."""
        self._keeper: asyncio.Task[None] | None = None
        self._opened = asyncio.Event()
        """Set when the first try to connect has ended, one way or the other."""
        self._trouble = asyncio.Event()
        self._doubted = False
        self._why: str | None = None
        """Why the server cannot be used; None: it can, or that is not known yet."""
        self._watchers: list[tuple[Told, Told]] = []

    def watch(self, failed: Told, recovered: Told) -> Callable[[], None]:
        """`failed` hears once of each trouble, in a sentence, and `recovered` of its end.

        Returns what ends that; safe to call twice.
        """
        watcher = (failed, recovered)
        self._watchers.append(watcher)

        def unwatch() -> None:
            if watcher in self._watchers:
                self._watchers.remove(watcher)

        return unwatch

    @property
    def away(self) -> str | None:
        """Why the server cannot be used now; None where it can, or where nobody has asked yet."""
        return self._why

    # --- asking -----------------------------------------------------------------------------------------------------

    async def ask(self, *command: Any, within: float | None = None) -> Any:
        """The answer, within that many seconds (`ask_s` if unset).

        Raises RedisAway, at once where the server is known to be away, and RedisRefused for an error it answers with.
        """
        wire, limit = self._wire, self.ask_s if within is None else within
        try:
            async with self._clock.timeout(limit):
                if wire is None:
                    wire = await self._up(patient=within is not None)
                return await wire.post(*command)
        except TimeoutError:
            if wire is not None:
                self._doubt(wire)
            raise RedisAway(f"the Redis server {self.address} did not answer within {limit * 1000:.0f} ms") from None

    async def run(self, script: Script, keys: list[str], arguments: list[Any], *, within: float | None = None) -> Any:
        """A script's answer, as `ask`."""
        rest = (len(keys), *keys, *arguments)
        try:
            return await self.ask("EVALSHA", script.digest, *rest, within=within)
        except RedisRefused as refused:
            if refused.code != "NOSCRIPT":
                raise
            return await self.ask("EVAL", script.text, *rest, within=within)

    async def scan(self, pattern: str) -> list[bytes]:
        """All keys that match. Raises RedisAway or RedisRefused."""
        # Whoever says nothing is found out sooner than by all that time.
        await self.ask("PING", within=PATIENT_S)
        try:
            async with self._clock.timeout(_SCAN_S):
                wire = self._wire or await self._up(patient=True)
                return await wire.scan(pattern)
        except TimeoutError:
            raise RedisAway(f"the Redis server {self.address} did not tell its keys within {_SCAN_S:g} s") from None

    async def check(self) -> Reached:
        """Ask the server who it is, waiting for it. Raises RedisAway or RedisRefused."""
        about: dict[bytes, Any] = {}
        with suppress(RedisRefused):
            about = await self.ask("HELLO", within=_CHECK_S)
        began = self._clock.monotonic()
        await self.ask("PING", within=_CHECK_S)
        seconds = self._clock.monotonic() - began
        try:
            user = str(_decoded(await self.ask("ACL", "WHOAMI", within=_CHECK_S)))
        except RedisRefused:
            user = self.address.username or "default"
        server = f"{_decoded(about.get(b'server', 'redis'))} {_decoded(about.get(b'version', ''))}".strip()
        return Reached(server, str(_decoded(about.get(b"mode", "standalone"))), user, seconds)

    async def close(self) -> None:
        """Safe to call twice."""
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            keeper.cancel()
            with suppress(asyncio.CancelledError):
                await keeper

    # --- keeping it up ----------------------------------------------------------------------------------------------

    async def _up(self, *, patient: bool) -> Wire:
        """The open connection. Waits only for the first try, or, if `patient`, for a doubt to be settled too."""
        if self._keeper is None or self._keeper.done():
            self._why = None
            self._opened, self._trouble = asyncio.Event(), asyncio.Event()
            self._keeper = asyncio.get_running_loop().create_task(self._keep())
        if patient or not self._doubted:
            await self._opened.wait()
        if self._wire is None:
            raise RedisAway(self._why or f"the Redis server {self.address} is being asked how it is")
        return self._wire

    def _doubt(self, wire: Wire) -> None:
        """Nobody is to wait for the server until it has answered again."""
        if self._wire is wire:
            self._wire = None
            self._doubted = True
            self._opened.clear()
            self._trouble.set()

    async def _keep(self) -> None:
        from sandbox.shared.cluster import open_wire

        pause = _FIRST_PAUSE_S
        wire: Wire | None = None
        try:
            while True:
                try:
                    if wire is None:
                        wire = await open_wire(self.address)
                    await self._answers(wire)
                except RedisAway as error:
                    if wire is not None:
                        await wire.close()
                        wire = None
                    self._fell(redact(str(error)))
                    await self._clock.sleep(pause)
                    pause = min(2 * pause, _LONGEST_PAUSE_S)
                    continue
                pause = _FIRST_PAUSE_S
                self._trouble.clear()
                self._rose(wire)
                await self._troubled(wire)
                self._doubt(wire)
                if wire.broken.is_set():
                    await wire.close()
                    wire = None
        finally:
            self._wire = None
            self._doubted = False
            self._opened.set()
            if wire is not None:
                await wire.close()

    async def _answers(self, wire: Wire) -> None:
        """Raises RedisAway unless it answers as fast as a request needs it to."""
        for _ in range(_PROBES):
            answer = wire.post("PING")
            began = self._clock.monotonic()
            try:
                async with self._clock.timeout(_PROBES * self.ask_s):
                    await answer
            except TimeoutError:
                continue
            except RedisRefused as refused:
                raise RedisAway(f"the Redis server {self.address} cannot be used: {refused}") from None
            if self._clock.monotonic() - began < self.ask_s:
                return
        raise RedisAway(
            f"the Redis server {self.address} is too slow: a request may wait for it no more than "
            f"{self.ask_s * 1000:.0f} ms"
        )

    async def _troubled(self, wire: Wire) -> None:
        """Return when somebody doubts the server, or when it has closed the connection."""
        waits = [asyncio.ensure_future(event.wait()) for event in (self._trouble, wire.broken)]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in waits:
                one.cancel()

    def _fell(self, why: str) -> None:
        first, self._why = self._why is None, why
        self._doubted = False
        self._opened.set()
        if first:
            for failed, _ in self._watchers:
                failed(why)

    def _rose(self, wire: Wire) -> None:
        was, self._why = self._why, None
        self._wire = wire
        self._doubted = False
        self._opened.set()
        if was is not None:
            for _, recovered in self._watchers:
                recovered(f"the Redis server {self.address} can be used again")


def _decoded(value: Any) -> Any:
    return value.decode(errors="replace") if isinstance(value, bytes) else value
