"""A clock for clients that also look after something in the background."""

from __future__ import annotations

import asyncio

from tests.fake_clock import FakeClock


class PatientClock(FakeClock):
    """Short waits move it at once, as a FakeClock's do; long ones wait until `pass_` has let as much time pass."""

    def __init__(self) -> None:
        super().__init__()
        self._sleepers: list[tuple[float, asyncio.Event]] = []

    async def sleep(self, seconds: float) -> None:
        if seconds < 60:
            await super().sleep(seconds)
            return
        sleeper = (self.now + seconds, asyncio.Event())
        self._sleepers.append(sleeper)
        try:
            await sleeper[1].wait()
        finally:
            self._sleepers = [one for one in self._sleepers if one is not sleeper]

    async def pass_(self, seconds: float) -> None:
        """Let time pass in steps of ten minutes, and at each let who waited for it do its work."""
        end = self.now + seconds
        while self.now < end:
            self.now = min(end, self.now + 600)
            waiting = len(self._sleepers)
            due = [one for one in self._sleepers if one[0] <= self.now]
            self._sleepers = [one for one in self._sleepers if one[0] > self.now]
            for _, over in due:
                over.set()
            async with asyncio.timeout(10):
                # What is done in between reads files, in a thread.
                while len(self._sleepers) < waiting:
                    await asyncio.sleep(0.0005)
