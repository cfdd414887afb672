"""When the Costs room looks again, without a widget: at once for another question, seldom for the same one.

One look is under way at a time, and requests that are recorded meanwhile are all in the next one: however many there
are, the screen has no more to do.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

from sandbox.desks.books import Advised, Asked, Seen, Unreadable, advise, look
from sandbox.tui.reports import Opened, Refused, Report, Settled, Unavailable

if TYPE_CHECKING:
    from sandbox.tui.engine import Engine

LOOK, ADVISE = "costs-look", "costs-advise"
"""Ids of the engine's works."""
LIVE_US: Final = 500_000
"""Between two looks while requests are recorded."""
IDLE_US: Final = 5_000_000
"""Between two looks while none are: other programs may write to the same store, and time goes on."""
ADVICE_US: Final = 5_000_000
"""Between two looks at what could be saved, which may read every record."""
_BREATHER: Final = 10
"""So many times as long as it took, advice waits before it is asked for again."""
_PAUSE: Final = 3
"""The same for a look: a slow store is not to be busy with nothing else."""


class Lookout:
    def __init__(self, engine: Engine, asked: Asked, targets: Sequence[str]) -> None:
        self._engine = engine
        self.asked = asked
        self.targets = tuple(targets)
        """Models that the same requests are repriced with."""
        self.seen: Seen | None = None
        self.advised: Advised | None = None
        self.unreadable = ""
        """Why there is nothing to be seen."""
        self._stale = True
        self._looking: Asked | None = None
        self.looked_us = 0
        """Since when a look is under way, or when the last one was begun."""
        self._took_us = 0
        self._advising: tuple[Asked, tuple[str, ...]] | None = None
        self._advice_of: Seen | None = None
        """What was seen when advice was asked for."""
        self._advised_us = self._advice_took_us = 0

    @property
    def looking(self) -> bool:
        return self._looking is not None

    def ask(self, asked: Asked) -> None:
        """Look at something else; what is under way is of no use any more."""
        if asked != self.asked:
            self.asked = asked
            self._engine.cancel(LOOK)
            self._engine.cancel(ADVISE)

    def reprice(self, targets: Sequence[str]) -> None:
        self.targets = tuple(targets)
        self._engine.cancel(ADVISE)

    def stir(self) -> None:
        """Something was recorded, or a budget has changed."""
        self._stale = True

    def tick(self, now_us: int) -> None:
        """Begin what is due."""
        if self._looking is None and self._is_due(now_us):
            self._stale, self._looking, self.looked_us = False, self.asked, now_us
            self._engine.work(LOOK, partial(look, self.asked))
        if self._advising is None and self._is_advice_due(now_us):
            self._advising, self._advice_of, self._advised_us = (self.asked, self.targets), self.seen, now_us
            self._engine.work(ADVISE, partial(advise, self.asked, self.targets))

    def _is_due(self, now_us: int) -> bool:
        if self.seen is None:
            # Nothing to look at is no reason to look all the time.
            wait = IDLE_US if self.unreadable and not self._stale else 0
        elif self.seen.asked != self.asked:
            wait = 0
        else:
            wait = max(LIVE_US if self._stale else IDLE_US, _PAUSE * self._took_us)
        return now_us - self.looked_us >= wait

    def _is_advice_due(self, now_us: int) -> bool:
        seen, advised = self.seen, self.advised
        if seen is None or seen.asked != self.asked:
            return False
        if advised is None or (advised.asked, advised.targets) != (self.asked, self.targets):
            return True
        same = self._advice_of is not None and self._advice_of.totals == seen.totals
        return not same and now_us - self._advised_us >= max(ADVICE_US, _BREATHER * self._advice_took_us)

    def report(self, report: Report, now_us: int) -> bool:
        """Take a report in; returns whether something else is to be shown."""
        if isinstance(report, Opened):
            # Another mode, other figures.
            self.seen, self.advised, self.unreadable, self._stale = None, None, "", True
            return True
        if isinstance(report, Seen):
            self._took_us = now_us - self.looked_us
            # What another question was answered with came too late.
            if report.asked == self.asked:
                self.seen, self.unreadable = report, ""
            return report.asked == self.asked
        if isinstance(report, Advised):
            self._advice_took_us = now_us - self._advised_us
            if report.asked == self.asked:
                self.advised = report
            return report.asked == self.asked
        if isinstance(report, (Unreadable, Unavailable)):
            if self.seen is None or isinstance(report, Unreadable):
                self.seen, self.unreadable = None, report.message
            return True
        return self._ended(report)

    def _ended(self, report: Report) -> bool:
        if isinstance(report, Refused) and report.request_id == LOOK:
            self.seen, self.unreadable = None, report.message
            return True
        if isinstance(report, Settled) and report.request_id == LOOK:
            self._looking = None
        elif isinstance(report, Settled) and report.request_id == ADVISE:
            self._advising = None
        return False
