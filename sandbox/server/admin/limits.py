"""How many requests one user may make: a bucket for each, refilled evenly."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from providers.clock import Clock
from providers.errors import RateLimitError
from sandbox.gateway.limits import TokenBucket

MAX_USERS: Final = 10_000
"""Beyond it the user who has asked for nothing for longest is forgotten, and begins anew."""


class UserLimits:
    """`per_minute` requests of each user, all at once or spread."""

    def __init__(self, per_minute: int, clock: Clock) -> None:
        self._per_minute = per_minute
        self._clock = clock
        self._buckets: OrderedDict[str, TokenBucket] = OrderedDict()

    def take(self, user: str) -> None:
        """One request of a user. Raises RateLimitError with the seconds until the next one may come."""
        bucket = self._buckets.get(user)
        if bucket is None:
            if len(self._buckets) >= MAX_USERS:
                self._buckets.popitem(last=False)
            bucket = self._buckets[user] = TokenBucket(self._per_minute, self._clock)
        else:
            self._buckets.move_to_end(user)
        wait = bucket.wait(1)
        if wait > 0:
            raise RateLimitError(
                f"the limit of {self._per_minute} requests a minute for each user is reached",
                status=429,
                retry_after=wait,
            )
        bucket.take(1)
