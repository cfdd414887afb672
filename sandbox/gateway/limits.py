"""Client-side limits: requests and tokens per minute that this program grants itself on one provider."""

from __future__ import annotations

from typing import TYPE_CHECKING

from providers.clock import Clock

if TYPE_CHECKING:
    from sandbox.gateway.quotas import DayQuota


class TokenBucket:
    """`per_minute` units, refilled evenly; starts full. Constant memory, whatever the rate."""

    __slots__ = ("_at", "_clock", "_level", "per_minute")

    def __init__(self, per_minute: float, clock: Clock) -> None:
        self.per_minute = float(per_minute)
        self._clock = clock
        self._level = self.per_minute
        self._at = clock.monotonic()

    def wait(self, amount: float) -> float:
        """Seconds until `amount` is there; 0 when it is. More than a full bucket waits for a full one."""
        now = self._clock.monotonic()
        self._level = min(self.per_minute, self._level + (now - self._at) * self.per_minute / 60.0)
        self._at = now
        missing = min(amount, self.per_minute) - self._level
        # A hair below the amount counts as there: the refill is a sum of floats.
        return max(0.0, missing * 60.0 / self.per_minute) if missing > 1e-9 * self.per_minute else 0.0

    def take(self, amount: float) -> None:
        """Spend; the level may go below zero when a request used more than was foreseen."""
        self._level -= amount


class RateLimits:
    """The limits and the quota of one provider; each may be absent."""

    __slots__ = ("_quota", "_requests", "_tokens")

    def __init__(
        self,
        requests_per_minute: int | None,
        tokens_per_minute: int | None,
        clock: Clock,
        quota: DayQuota | None = None,
    ) -> None:
        self._requests = TokenBucket(requests_per_minute, clock) if requests_per_minute else None
        self._tokens = TokenBucket(tokens_per_minute, clock) if tokens_per_minute else None
        self._quota = quota

    def wait(self, tokens: int) -> float:
        """Seconds until a request of about `tokens` may go; 0: now."""
        return max(
            self._requests.wait(1) if self._requests else 0.0,
            self._tokens.wait(tokens) if self._tokens else 0.0,
            self._quota.wait() if self._quota else 0.0,
        )

    def take(self, tokens: int) -> None:
        """One request goes, foreseen to use `tokens`."""
        if self._requests:
            self._requests.take(1)
        if self._tokens:
            self._tokens.take(tokens)
        if self._quota:
            self._quota.take()

    def settle(self, foreseen: int, used: int) -> None:
        """Correct the foreseen tokens by what was really used."""
        if self._tokens:
            self._tokens.take(used - foreseen)
