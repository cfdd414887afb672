"""Counts what became of requests, from their events: for a line at the end of a run."""

from __future__ import annotations

from decimal import Decimal

from sandbox.core.events import Event, RequestCancelled, RequestCompleted, RequestFailed
from sandbox.core.figures import dollars


class Tally:
    """An observer of a bus."""

    __slots__ = ("answered", "cached", "cancelled", "cost_usd", "failed", "failovers", "unpriced")

    def __init__(self) -> None:
        self.answered = 0
        self.cached = 0
        self.failed = 0
        self.cancelled = 0
        self.failovers = 0
        """Moves to another provider in requests that were answered."""
        self.cost_usd = Decimal(0)
        """Of the answers that have a price, with what was wasted on the way to them, or to none."""
        self.unpriced = 0

    def __call__(self, event: Event) -> None:
        if isinstance(event, RequestCompleted):
            self.answered += 1
            self.cached += event.cached
            self.failovers += event.failovers
            self.cost_usd += event.waste_usd
            if event.cost_usd is None:
                self.unpriced += 1
            else:
                self.cost_usd += event.cost_usd
        elif isinstance(event, RequestFailed):
            self.failed += 1
            self.cost_usd += event.waste_usd
        elif isinstance(event, RequestCancelled):
            self.cancelled += 1
            self.cost_usd += event.waste_usd

    @property
    def requests(self) -> int:
        return self.answered + self.failed + self.cancelled

    def sentence(self, *, simulated: bool) -> str:
        """`12 requests: 10 answered (2 from the cache), 1 failed, 1 cancelled; 3 failovers; ~$0.0021`."""
        if not self.requests:
            return "no request came"
        answered = f"{self.answered} answered" + (f" ({self.cached} from the cache)" if self.cached else "")
        parts = [answered, f"{self.failed} failed", *([f"{self.cancelled} cancelled"] if self.cancelled else [])]
        money = dollars(self.cost_usd, simulated=simulated) + (f", {self.unpriced} unpriced" if self.unpriced else "")
        return (
            f"{_counted(self.requests, 'request')}: {', '.join(parts)}; {_counted(self.failovers, 'failover')}; {money}"
        )


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
