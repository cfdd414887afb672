"""LiteLLM's cooldown: a deployment that fails is left out for some seconds, and then has all of its traffic back.

Facts of its router (cooldown_handlers, 1.109): successes and failures are counted for a minute each from their own
first one, so that one may be forgotten before the other. A failure cools when it is a 429; when more than half of the
minute's calls failed, of at least five; when all of at least a thousand failed; or when its status is one that is not
retried (401, 402, 404). Only the last two cool a deployment that is alone. Other statuses of 400-499 and lost
connections never cool, but count. The pause is 5 s, or what Retry-After says, where 0 means none; another failure does
not move its end.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from providers.clock import Clock
from providers.errors import (
    AuthenticationError,
    ConnectionFailedError,
    ModelNotFoundError,
    ProviderError,
    ProviderTimeoutError,
    QuotaExhaustedError,
    RateLimitError,
    StreamInterruptedError,
)
from sandbox.gateway.breaker import OnChange, Snapshot
from sandbox.scenarios.peers.held import Held, moment

MINUTE: Final = 60.0
FAILURE_SHARE: Final = 0.5
MINIMUM_REQUESTS: Final = 5
HOPELESS_REQUESTS: Final = 1_000
COOLDOWN_SECONDS: Final = 5.0
_NOT_RETRIED: Final = frozenset({401, 402, 404})
_STATUSES: Final[tuple[tuple[type[ProviderError], int], ...]] = (
    (ProviderTimeoutError, 408),
    (RateLimitError, 429),
    (AuthenticationError, 401),
    (QuotaExhaustedError, 402),
    (ModelNotFoundError, 404),
)


def status_of(error: ProviderError) -> int | None:
    """The status that LiteLLM would see; None for a connection that was lost, which it does not look at."""
    if isinstance(error, (ConnectionFailedError, StreamInterruptedError)) and error.status is None:
        return None
    if error.status is not None and error.status >= 400:
        return error.status
    return next((status for kind, status in _STATUSES if isinstance(error, kind)), 500)


class _MinuteCount:
    """A counter that its first event gives a minute to live."""

    __slots__ = ("_count", "_until")

    def __init__(self) -> None:
        self._count = 0
        self._until = 0.0

    def add(self, now: float) -> None:
        if now >= self._until:
            self._count, self._until = 0, moment(now + MINUTE)
        self._count += 1

    def read(self, now: float) -> int:
        return self._count if now < self._until else 0


class Cooldown(Held):
    def __init__(self, clock: Clock, on_change: OnChange, providers: Callable[[], int]) -> None:
        super().__init__(clock, on_change)
        self._providers = providers
        self._until = 0.0
        self._clear()

    def _clear(self) -> None:
        self._successes = _MinuteCount()
        self._failures = _MinuteCount()

    # --- admission ------------------------------------------------------------------------------------------------

    def admit(self) -> int | None:
        if self.state == "open" and self._monotonic() >= self._until:
            self._change("closed", "cooldown passed")
        return self.generation if self.would_admit() else None

    def would_admit(self) -> bool:
        return self._monotonic() >= self._until if self.state == "open" else self.state != "forced_open"

    def retry_after(self) -> float | None:
        return max(0.0, self._until - self._monotonic()) if self.state == "open" else None

    # --- results --------------------------------------------------------------------------------------------------

    def success(self, permit: int, seconds: float = 0.0) -> None:
        self._successes.add(self._monotonic())

    def failed(self, permit: int, error: ProviderError, seconds: float = 0.0) -> None:
        now = self._monotonic()
        self._failures.add(now)
        reason = self._cools(status_of(error), now)
        if reason is None or self.state not in ("closed", "open"):
            return
        if self.state == "open":
            if now < self._until:
                return
            self._change("closed", "cooldown passed")
        pause = COOLDOWN_SECONDS if error.retry_after is None else error.retry_after
        if not pause:
            return
        self._until = moment(now + pause)
        self._change("open", reason, self._until)

    def neutral(self, permit: int) -> None:
        pass

    def _cools(self, status: int | None, now: float) -> str | None:
        """Why this failure cools; None: it does not."""
        if status is None or (400 <= status < 500 and status not in (408, 429, *_NOT_RETRIED)):
            return None
        failed = self._failures.read(now)
        total = failed + self._successes.read(now)
        others = self._providers() > 1
        if status == 429 and others:
            return "a 429"
        if failed == total and total >= HOPELESS_REQUESTS:
            return f"all of {total} calls failed within a minute"
        if others and total >= MINIMUM_REQUESTS and failed / total > FAILURE_SHARE:
            return f"{failed} of {total} calls failed within a minute"
        return f"a {status}" if status in _NOT_RETRIED else None

    def snapshot(self) -> Snapshot:
        return Snapshot(
            self.state, self._failures.read(self._monotonic()), MINIMUM_REQUESTS, self.retry_after() or None
        )
