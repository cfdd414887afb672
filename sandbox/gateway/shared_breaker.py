"""A circuit breaker whose state machine runs on a Redis server; see `shared_breakers` for what that means."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import asdict
from typing import Any, Final, Protocol

import orjson

from providers.clock import Clock
from providers.errors import ProviderError
from sandbox.gateway.breaker import BreakerPolicy, CircuitBreaker, OnChange, Snapshot, State, Transition
from sandbox.shared.errors import RedisAway, RedisRefused
from sandbox.shared.link import RedisLink

_PAUSE_S: Final = 0.1
"""Between two tries to report."""
_MOST_UNSENT: Final = 10_000
_EPOCH: Final = 1 << 32
"""Permits of different eras, with Redis and without, are this far apart, so that none is taken for another's."""


class Hub(Protocol):
    """What a breaker asks of the connection that it shares with others."""

    link: RedisLink
    clock: Clock
    who: str
    probe_lease: float

    def began(self) -> None: ...

    def now_us(self) -> int: ...

    def seconds(self, server_us: int) -> float: ...

    def server_us(self, seconds: float) -> int: ...

    async def step(self, breaker: SharedBreaker, happened: list[dict[str, Any]]) -> list[Any]: ...


class SharedBreaker:
    """Implements Breaker for one provider."""

    def __init__(self, hub: Hub, id: str, policy: BreakerPolicy, on_change: OnChange | None) -> None:
        self.id = id
        self.policy = policy
        numbers = {**asdict(policy), "window_text": f"{policy.window:g}", "probe_lease": hub.probe_lease}
        # What is unset is left out: null is no number to Lua, and no nothing either.
        self.policy_json = orjson.dumps({key: value for key, value in numbers.items() if value is not None})
        self.known = 0
        """The generation that the server last told, or that it will have after what it has been told."""
        self.state: State = "disabled" if policy.mode == "off" else "closed"
        self.generation = 0
        self._hub = hub
        self._on_change = on_change
        self._monotonic = hub.clock.monotonic
        self._epoch = 0
        self._until = 0.0
        self._failures = 0
        self._in_use = 0
        self._tokens: list[str] = []
        """Of this process's probes under way."""
        self._counts_successes = policy.mode in ("consecutive", "rate") or policy.slow_call_seconds is not None
        self._number = 0
        self._unsent: list[dict[str, Any]] = []
        self._looks = False
        self._sender: asyncio.Task[None] | None = None
        self._alone: CircuitBreaker | None = None
        """What judges while Redis cannot be used."""

    # --- admission --------------------------------------------------------------------------------------------------

    def admit(self) -> int | None:
        self._hub.began()
        if self._alone is not None:
            permit = self._alone.admit()
            self._show(self._alone)
            return None if permit is None else permit + self._epoch
        state = self.state
        if state == "closed" or state == "disabled" or state == "forced_closed":
            return self.generation
        if state == "open" and self._monotonic() >= self._until:
            self._expect("half_open", "recovery time passed")
            state = "half_open"
        if state == "half_open" and self._in_use < self.policy.half_open_permits:
            self._in_use += 1
            token = f"{self._hub.who}:{self._number + 1}"
            self._tokens.append(token)
            self._tell("admit", generation=self.known, token=token)
            return self.generation
        return None

    def would_admit(self) -> bool:
        if self._alone is not None:
            return self._alone.would_admit()
        if self.state == "open":
            return self._monotonic() >= self._until
        if self.state == "half_open":
            return self._in_use < self.policy.half_open_permits
        return self.state != "forced_open"

    def retry_after(self) -> float | None:
        if self._alone is not None:
            return self._alone.retry_after()
        if self.state == "open":
            return max(0.0, self._until - self._monotonic())
        return 0.0 if self.state == "half_open" else None

    def snapshot(self) -> Snapshot:
        if self._alone is not None:
            return self._alone.snapshot()
        policy = self.policy
        threshold = policy.failure_threshold if policy.mode in ("consecutive", "window") else policy.minimum_calls
        return Snapshot(self.state, self._failures, threshold, self.retry_after() if self.state == "open" else None)

    # --- results ----------------------------------------------------------------------------------------------------

    def success(self, permit: int, seconds: float = 0.0) -> None:
        if permit < self._epoch:
            return
        if self._alone is not None:
            self._alone.success(permit - self._epoch, seconds)
            self._show(self._alone)
        elif self.state == "half_open" or (self.state == "closed" and self._counts_successes):
            self._tell("success", generation=permit - self._epoch, token=self._probed(permit), seconds=seconds)

    def failed(self, permit: int, error: ProviderError, seconds: float = 0.0) -> None:
        if error.recovery.breaker == "neutral":
            self.neutral(permit)
        else:
            self.failure(permit, seconds, retry_after=error.retry_after)

    def failure(self, permit: int, seconds: float = 0.0, *, retry_after: float | None = None) -> None:
        if permit < self._epoch:
            return
        if self._alone is not None:
            self._alone.failure(permit - self._epoch, seconds, retry_after=retry_after)
            self._show(self._alone)
        elif self.state in ("closed", "half_open", "open"):
            asked = {} if retry_after is None else {"retry_after": retry_after}
            token = self._probed(permit)
            self._tell("failure", generation=permit - self._epoch, token=token, seconds=seconds, **asked)

    def neutral(self, permit: int) -> None:
        if permit < self._epoch:
            return
        if self._alone is not None:
            self._alone.neutral(permit - self._epoch)
            self._show(self._alone)
        elif self.state == "half_open" and permit == self.generation:
            self._tell("neutral", generation=permit - self._epoch, token=self._probed(permit))

    def _probed(self, permit: int) -> str:
        """The token of one of this process's probes, which has ended; any, because all are alike."""
        if self.state != "half_open" or permit != self.generation or not self._tokens:
            return ""
        self._in_use -= 1
        return self._tokens.pop()

    # --- by hand ----------------------------------------------------------------------------------------------------

    def force_open(self) -> None:
        self._by_hand("forced_open", "forced open by hand")

    def force_close(self) -> None:
        self._by_hand("forced_closed", "forced closed by hand")

    def disable(self) -> None:
        self._by_hand("disabled", "disabled by hand")

    def reset(self) -> None:
        self._by_hand("closed", "reset by hand")

    def _by_hand(self, to: State, reason: str) -> None:
        alone = self._alone
        if alone is None:
            self._expect("disabled" if to == "closed" and self.policy.mode == "off" else to, reason)
        else:
            methods = {
                "forced_open": alone.force_open, "forced_closed": alone.force_close, "disabled": alone.disable,
            }  # fmt: skip
            methods.get(to, alone.reset)()
            self._show(alone)
        # Whatever happens to Redis, this is to reach it.
        self._tell("by_hand", to=to, reason=reason)

    # --- with the server --------------------------------------------------------------------------------------------

    def look(self) -> None:
        """Ask for the state as it is now."""
        self._looks = True
        self._send()

    async def settled(self) -> None:
        """Return when the server has said what it makes of everything that was reported."""
        while self._sender is not None and not self._sender.done():
            await asyncio.wait([self._sender])

    async def close(self) -> None:
        if self._hub.link.away is None:
            self._send()
        else:
            self._unsent.clear()
        if self._sender is not None:
            with suppress(asyncio.CancelledError):
                await self._sender

    def _tell(self, kind: str, **happened: Any) -> None:
        self._number += 1
        self._unsent.append({"kind": kind, "number": self._number, "now": self._hub.now_us(), **happened})
        if len(self._unsent) > _MOST_UNSENT and self._alone is None:
            self.go_alone()
        self._send()

    def _send(self) -> None:
        if (self._unsent or self._looks) and (self._sender is None or self._sender.done()):
            self._sender = asyncio.get_running_loop().create_task(self._report())

    async def _report(self) -> None:
        while self._unsent or self._looks:
            happened, self._looks = list(self._unsent), False
            try:
                answer = await self._hub.step(self, happened)
            except RedisRefused:
                return
            except RedisAway:
                if self._hub.link.away is not None:
                    return
                await self._hub.clock.sleep(_PAUSE_S)
                self._looks = True
                continue
            sent = happened[-1]["number"] if happened else 0
            self._unsent = [one for one in self._unsent if one["number"] > sent]
            self._adopt(answer)

    def _expect(self, state: State, reason: str) -> None:
        """A change that the server is about to make for what it is told next."""
        self.known += 1
        self._become(state, reason)

    def _become(self, state: State, reason: str) -> None:
        before, self.state = self.state, state
        self.generation = self.known + self._epoch
        self._in_use = 0
        self._tokens.clear()
        if self._on_change is not None:
            self._on_change(Transition(before, state, reason, self._until if state == "open" else None))

    def _adopt(self, answer: list[Any]) -> None:
        if any(one["kind"] in ("admit", "by_hand") for one in self._unsent):
            # Older than what has been done here since; the next one is not.
            return
        state, generation, till, failures, in_use, fresh, changes = answer
        state, generation = state.decode(), int(generation)
        if fresh and self._restores():
            return
        if self._alone is not None or generation < self.known:
            # Another era: permits of before are of no use in it.
            self._alone = None
            self._epoch += _EPOCH
            self.known = generation
            self._until = self._hub.seconds(int(till))
            if state != self.state:
                self._become(state, "as all processes know it")
            self.generation = self.known + self._epoch
            self._tokens.clear()
        else:
            for one in changes:
                number, _, to, reason, until = orjson.loads(one)
                if number > self.known:
                    self.known = number
                    self._until = self._hub.seconds(int(until)) if until else self._until
                    self._become(to, reason)
            self._until = self._hub.seconds(int(till))
            self.known = generation
            if state != self.state:
                self._become(state, "as all processes know it")
            self.generation = generation + self._epoch
        self._failures = failures
        self._in_use = in_use

    def _restores(self) -> bool:
        """Tell a server that has lost everything what was known, if that is more than nothing."""
        state = self.state
        if state == "closed" or (state == "disabled" and self.policy.mode == "off"):
            return False
        # A probe's fate is not known there: open, and due.
        to = "open" if state == "half_open" else state
        due = self._monotonic() + (self.retry_after() or 0.0)
        till = str(self._hub.server_us(due)) if to == "open" else ""
        self._tell("restore", to=to, till=till, reason="as it was before the server forgot")
        return True

    # --- without it -------------------------------------------------------------------------------------------------

    def go_alone(self) -> None:
        """From here on this process judges by itself."""
        if self._alone is not None:
            return
        waiting = [one for one in self._unsent if one["kind"] != "by_hand"]
        self._unsent = [one for one in self._unsent if one["kind"] == "by_hand"]
        alone = CircuitBreaker(self.policy, self._hub.clock, self._on_change)
        alone.take_over(self.state, self.known, self._until, in_use=len(self._tokens))
        self._alone = alone
        for one in waiting:
            # What the server was not told counts here.
            if one["kind"] == "success":
                alone.success(one["generation"], one["seconds"])
            elif one["kind"] == "failure":
                alone.failure(one["generation"], one["seconds"], retry_after=one.get("retry_after"))
        self._show(alone)

    def _show(self, alone: CircuitBreaker) -> None:
        self.state = alone.state
        self.generation = alone.generation + self._epoch
