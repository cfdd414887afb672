"""Circuit breakers that all processes share through a Redis server.

The server runs the state machine on what every process reports; each process acts on what the server last said, so that
admitting a call takes no round trip and waits for nobody. What that means between processes, while Redis is well:

- a result counts for all within a round trip; a process that is idle learns of a change within POLL_S;
- between the failure that opens a breaker and the news of it, others admit what they would have admitted;
- the first call at or after the end of an open time is a probe in each process that has not heard of another's: so a
  fleet sends `half_open_permits` of them, and up to that many more for each process that begins in the same round trip
  (in the worst case, when it had no traffic, in the same POLL_S). No process ever sends more than `half_open_permits`;
- a probe whose process dies gives its place back after PROBE_LEASE_S.

When Redis cannot be used each process goes on alone, from the state that was known, and says so. When it is back the
shared state counts again; if the server has lost it, it is told the one that is known.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any, Final

import orjson

from providers.clock import Clock, random_id
from sandbox.gateway.breaker import BreakerPolicy, OnChange
from sandbox.gateway.breaker_script import GENERATIONS, STEP
from sandbox.gateway.shared_breaker import SharedBreaker
from sandbox.shared.errors import RedisAway, RedisRefused
from sandbox.shared.link import PATIENT_S, RedisLink, Told

POLL_S: Final = 0.5
PROBE_LEASE_S: Final = 120.0


class SharedBreakers:
    """The breakers of one gateway. Belongs to one event loop; the link belongs to whoever made it."""

    def __init__(
        self,
        link: RedisLink,
        *,
        scope: str,
        clock: Clock,
        failed: Told,
        recovered: Told,
        poll: bool = True,
        probe_lease: float = PROBE_LEASE_S,
    ) -> None:
        """`scope`: gateways of the same one share. `failed` and `recovered` hear of Redis's troubles, once of each."""
        self.link = link
        self.clock = clock
        self.who = random_id()
        self.probe_lease = probe_lease
        self._base = f"{{llm_breaker:{scope}}}"
        self._failed = failed
        self._recovered = recovered
        self._polls = poll
        self._poller: asyncio.Task[None] | None = None
        self._ahead_us: int | None = None
        self._breakers: dict[str, SharedBreaker] = {}
        self._refused: str | None = None
        self._unwatch = link.watch(self._fell, self._rose)

    def breaker(self, id: str, policy: BreakerPolicy, on_change: OnChange | None = None) -> SharedBreaker:
        breaker = self._breakers[id] = SharedBreaker(self, id, policy, on_change)
        return breaker

    def began(self) -> None:
        """Called with the first use of any breaker, which is when the event loop is known."""
        if self._polls and (self._poller is None or self._poller.done()):
            self._poller = asyncio.get_running_loop().create_task(self._poll())
            for breaker in self._breakers.values():
                breaker.look()

    async def close(self) -> None:
        """Report what is unsent, if that is possible at once, and hear nothing more. Safe to call twice.

        Calls that are still under way judge and report as before.
        """
        self._polls = False
        self._unwatch()
        poller, self._poller = self._poller, None
        if poller is not None:
            poller.cancel()
            with suppress(asyncio.CancelledError):
                await poller
        for breaker in self._breakers.values():
            await breaker.close()

    # --- for the breakers -------------------------------------------------------------------------------------------

    def now_us(self) -> int:
        """By this process's clock."""
        return round(self.clock.monotonic() * 1e6)

    def seconds(self, server_us: int) -> float:
        """A moment of the server as this process's monotonic seconds."""
        return (server_us - (self._ahead_us or 0)) / 1e6

    def server_us(self, seconds: float) -> int:
        return round(seconds * 1e6) + (self._ahead_us or 0)

    async def step(self, breaker: SharedBreaker, happened: list[dict[str, Any]]) -> list[Any]:
        """What the server says after that. Raises RedisAway or RedisRefused."""
        if self._ahead_us is None:
            await self._measure()
        ahead = self._ahead_us or 0
        key = f"{self._base}:{breaker.id}"
        keys = [key, *(f"{key}:{part}" for part in ("failures", "calls", "probes", "changes"))]
        told = [{**one, "now": one["now"] + ahead} for one in happened]
        arguments = [breaker.policy_json, self.now_us() + ahead, breaker.known, orjson.dumps(told)]
        try:
            answer: list[Any] = await self.link.run(
                STEP, [*keys, f"{key}:seen:{self.who}"], arguments, within=PATIENT_S
            )
        except RedisRefused as refused:
            if self._refused is None:
                self._refused = str(refused)
                self._fell(f"the Redis server {self.link.address} refuses: {refused}")
            raise
        if self._refused is not None:
            self._refused = None
            self._recovered("circuit breakers are shared again")
        return answer

    # --- behind everybody's back ------------------------------------------------------------------------------------

    async def _measure(self) -> None:
        """How far the server's clock is ahead of this process's monotonic one."""
        before = self.now_us()
        seconds, micros = await self.link.ask("TIME", within=PATIENT_S)
        self._ahead_us = int(seconds) * 1_000_000 + int(micros) - (before + self.now_us()) // 2

    async def _poll(self) -> None:
        while True:
            await self.clock.sleep(POLL_S)
            breakers = list(self._breakers.values())
            if self._refused is not None:
                for one in breakers:
                    one.look()
                continue
            with suppress(RedisAway, RedisRefused):
                found = await self.link.run(
                    GENERATIONS, [f"{self._base}:{one.id}" for one in breakers], [], within=PATIENT_S
                )
                for one, generation in zip(breakers, found, strict=True):
                    if int(generation) != one.known:
                        one.look()

    def _fell(self, why: str) -> None:
        for breaker in self._breakers.values():
            breaker.go_alone()
        self._failed(f"{why}; this process goes on with circuit breakers of its own")

    def _rose(self, how: str) -> None:
        self._ahead_us = None
        for breaker in self._breakers.values():
            breaker.look()
        self._recovered(f"{how}, and circuit breakers are shared again")
