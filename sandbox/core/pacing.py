"""Virtual time at the pace of real time, or a multiple of it, for whoever wants to watch."""

from __future__ import annotations

import time


class Paced:
    """Called by a virtual loop before its time moves: sleeps as long as that takes at `speed` virtual seconds a second.

    The pace counts from its first call, so that short sleeps do not add up to a drift. What happens is the same at any
    speed.
    """

    def __init__(self, speed: float) -> None:
        self._speed = speed
        self._began: float | None = None

    def __call__(self, now_us: int, then_us: int) -> None:
        if self._began is None:
            self._began = time.monotonic() - now_us / 1e6 / self._speed
        wait = self._began + then_us / 1e6 / self._speed - time.monotonic()
        if wait > 0:
            time.sleep(wait)
