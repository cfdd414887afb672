"""When the Health room looks again, without a widget: soon after something happened, and every second for the rest.

One look is under way at a time, and whatever happens meanwhile is in the next one: however many requests there are, the
screen has no more to do.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from sandbox.desks import places, ward
from sandbox.desks.places import Kept
from sandbox.desks.ward import SPANS, Providers
from sandbox.tui.questions import midnight_us
from sandbox.tui.reports import Opened, Report, Unavailable

if TYPE_CHECKING:
    from sandbox.tui.engine import Engine

LIVE_US: Final = 200_000
"""Between two looks at the providers while something happens."""
IDLE_US: Final = 1_000_000
"""Between two while nothing does: failures leave the window by themselves."""
STORES_US: Final = 5_000_000
"""Between two looks at the stores, which a server may have to be asked for."""
FIGURES_US: Final = 30_000_000
"""Between two looks at their sizes and sums, for which a server may have to read a lot, while no request ends."""


class Visits:
    def __init__(self, engine: Engine, span: str) -> None:
        self._engine = engine
        self.span = span if span in SPANS else next(iter(SPANS))
        self.columns = 40
        """How many a curve is to have."""
        self.seen: Providers | None = None
        self.kept: Kept | None = None
        self.problem = ""
        """Why there is nothing to be seen."""
        self._stale = self._stale_figures = True
        self._looking = self._looking_at_stores = False
        self._looked_us = self._stores_us = self._figures_us = 0

    def stir(self, *, figures: bool = False) -> None:
        """Something happened; `figures`: something that was recorded."""
        self._stale = True
        self._stale_figures = self._stale_figures or figures

    def afresh(self) -> None:
        """Look at everything at once."""
        self._stale = self._stale_figures = True
        self._looked_us = self._stores_us = 0

    def tick(self, now_us: int) -> None:
        """Begin what is due."""
        if self.problem:
            return
        if not self._looking and now_us - self._looked_us >= (LIVE_US if self._stale else IDLE_US):
            self._looking, self._stale, self._looked_us = True, False, now_us
            seconds = SPANS[self.span]
            self._engine.errand(partial(ward.look, self._engine.watchman, seconds, self.columns))
        if not self._looking_at_stores and now_us - self._stores_us >= STORES_US:
            figures = self._stale_figures or now_us - self._figures_us >= FIGURES_US
            self._looking_at_stores, self._stores_us = True, now_us
            if figures:
                self._stale_figures, self._figures_us = False, now_us
            self._engine.errand(partial(places.look, figures, midnight_us(self._engine.clock)))

    def report(self, report: Report) -> bool:
        """Take a report in; returns whether something else is to be shown."""
        if isinstance(report, Opened):
            # Another mode or preset, other figures.
            self.seen, self.kept, self.problem = None, None, ""
            self._looking = self._looking_at_stores = False
            self.afresh()
        elif isinstance(report, Providers):
            self._looking, self.seen = False, report
        elif isinstance(report, Kept):
            self._looking_at_stores, self.kept = False, report.with_figures_of(self.kept)
        elif isinstance(report, Unavailable):
            self._looking = self._looking_at_stores = False
            if self.seen is None:
                self.problem = report.message
        else:
            return False
        return True
