"""Works an outage out in a thread of its own, as fast as it goes, while the screen goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

from sandbox.core.pacing import Supervised
from sandbox.scenarios.loader import Scenario
from sandbox.scenarios.recorder import Take, record
from sandbox.scenarios.telling import short_time
from sandbox.scenarios.traffic import expected
from sandbox.tui.pieces import DOT, SPINNER

if TYPE_CHECKING:
    from textual.dom import DOMNode

MANY: Final = 50_000
"""Requests from which on it is said how many they are."""
_BAR: Final = 16


@dataclass(slots=True)
class Work:
    """One run under way."""

    scenario: Scenario
    preset: str
    began_us: int
    """When it began, by the clock of the wall."""
    watch: Supervised

    def line(self, now_us: int, frame: int, width: int) -> str:
        """How far it is: what, a bar, how much there is, the virtual time, after a second the real one."""
        document = self.scenario.document
        length = self.scenario.duration_us
        share = min(1.0, self.watch.now_us / length)
        filled = round(share * _BAR)
        bar = f"{SPINNER[frame % len(SPINNER)]} {'█' * filled}{'·' * (_BAR - filled)} {share * 100:.0f} %"
        requests = expected(document.traffic, document.duration)
        seconds = (now_us - self.began_us) / 1e6
        facts = [
            "Esc stops",
            f"about {requests:,.0f} requests" if requests >= MANY else "",
            self.scenario.name,
            f"{short_time(self.watch.now_us)} of {short_time(length)}",
            f"{seconds:.0f} s" if seconds >= 1 else "",
        ]
        text = bar
        for fact in filter(None, facts):
            if len(text) + len(DOT) + len(fact) <= width:
                text += DOT + fact
        return text

    async def run(self) -> Take:
        """To its end, or to where it is stopped. Raises ScenarioError or InputError."""
        try:
            return await asyncio.to_thread(record, self.scenario, preset=self.preset or None, pace=self.watch)
        finally:
            # Whoever waited may have gone away: the thread is to end too.
            self.watch.stop()


def start(node: DOMNode, group: str, work: Callable[..., Coroutine[Any, Any, None]], *given: Any, **named: Any) -> None:
    """Do something as a node's own, in place of what it does in that group.

    A coroutine made beforehand would be one that is never awaited, where the next key comes before it has begun.
    """
    node.run_worker(cast("Any", partial(work, *given, **named)), group=group, exclusive=True)


def thinned_note(take: Take) -> str:
    """What of a large run is not there any more; empty: everything is."""
    recording = take.recording
    if recording.thinned_us is None:
        return ""
    since = short_time(recording.thinned_us)
    return f"{recording.seen:,} events: from {since} on only moments are kept; every count is whole"
