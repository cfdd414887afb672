"""Virtual time at the pace of real time, or a multiple of it, for whoever wants to watch; and a way to stop it."""

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


_TURN_S, _GIVE_WAY_S = 0.004, 0.0002


class Stopped(Exception):
    """Somebody had enough of a virtual run."""


class Supervised:
    """Called by a virtual loop before its time moves: as fast as it goes, but with turns for the other threads.

    Another thread may read how far the run is, and stop it.
    """

    def __init__(self) -> None:
        self.now_us = 0
        """Virtual microseconds since the start."""
        self._wanted = True
        self._raised = False
        self._turn = time.monotonic()
        self._pause_until = 0.0

    def give_way(self, seconds: float) -> None:
        """Leave the interpreter to the other threads for so long: one of them has something urgent to do."""
        self._pause_until = time.monotonic() + seconds

    def stop(self) -> None:
        """The run ends with Stopped at its next instant."""
        self._wanted = False

    def __call__(self, now_us: int, then_us: int) -> None:
        self.now_us = then_us
        if not self._wanted and not self._raised:
            # Once: what is cancelled then has to come to its end.
            self._raised = True
            raise Stopped
        now = time.monotonic()
        if now < self._pause_until or now - self._turn >= _TURN_S:
            # A thread that never sleeps keeps the interpreter lock from one that waits for keys.
            time.sleep(max(_GIVE_WAY_S, self._pause_until - now))
            self._turn = time.monotonic()
