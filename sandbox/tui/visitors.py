"""Requests of other programs, which came in through the gateway's server: what each has told so far, and how many.

Their events stand between those of the screen's own requests; the one in which a client asks tells them apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sandbox.core.events import BreakerChanged, ClientAnswered, ClientAsked, Event, RequestReceived
from sandbox.tui.conversation import Run
from sandbox.tui.state import KEPT_OUTSIDE, Entry, UIState
from sandbox.tui.story import RequestStory

MAX_WAITING: Final = 1_000
"""Requests that were announced and have not reached the gateway; most of the rest were refused before that."""


@dataclass(slots=True)
class Counts:
    """What came of them since the server was started."""

    requests: int = 0
    under_way: int = 0
    failed: int = 0
    failed_over: int = 0
    """Answered, by another provider than the first of the plan."""


class Visitors:
    """The newest are kept with their stories; all are counted."""

    def __init__(self, state: UIState) -> None:
        self._state = state
        self._announced: dict[str, ClientAsked] = {}
        self._runs: dict[str, Run] = {}
        self.counts = Counts()
        self.latest: Run | None = None
        """The one that came last."""
        self.changes = 0
        """Grows whenever a row of the history would look different."""

    def forget(self) -> None:
        """Begin to count anew; rows stay."""
        self.counts = Counts()
        self._announced.clear()

    def run_of(self, entry: Entry) -> Run | None:
        """The run behind a row of the history, while its story is kept."""
        return self._runs.get(entry.request_id) if entry.outside else None

    def take(self, event: Event) -> None:
        """Take in an event, whoever it belongs to."""
        if isinstance(event, ClientAsked):
            self._announced[event.request_id] = event
            if len(self._announced) > MAX_WAITING:
                del self._announced[next(iter(self._announced))]
        elif isinstance(event, BreakerChanged):
            # It names no request: only where one is under way can it be that one's.
            under_way = [run for run in self._runs.values() if not run.settled]
            if len(under_way) == 1:
                self._apply(under_way[0], event)
        elif isinstance(event, RequestReceived) and event.request_id in self._announced:
            self._apply(self._arrived(self._announced.pop(event.request_id), event), event)
        elif (run := self._runs.get(event.request_id)) is not None:
            if isinstance(event, ClientAnswered):
                # It comes when everything is over.
                run.story.pieces = [event.text]
                run.entry.answer = event.text
                self.changes += 1
            elif not run.settled:
                self._apply(run, event)

    def _arrived(self, asked: ClientAsked, received: RequestReceived) -> Run:
        entry = Entry(asked.request_id, received.t_us, asked.prompt, received.model, mode=received.mode, outside=True)
        who = [one for one in (received.tenant, received.agent) if one and one != "default"]
        notes = (f"from outside, {asked.api}" + "".join(f", {one}" for one in who),)
        run = self._runs[asked.request_id] = self.latest = Run(entry, RequestStory(asked.request_id), notes)
        if len(self._runs) > KEPT_OUTSIDE:
            gone = self._runs.pop(next(iter(self._runs)))
            self.counts.under_way -= not gone.settled
        self._state.remember(entry)
        self.counts.requests += 1
        self.counts.under_way += 1
        self.changes += 1
        return run

    def _apply(self, run: Run, event: Event) -> None:
        story = run.story
        if not story.apply(event):
            return
        run.events.append(event)
        if not story.ended:
            return
        run.settled = True
        run.entry.settle(story, run.events)
        self.counts.under_way -= 1
        self.counts.failed += story.status == "failed"
        self.counts.failed_over += story.status == "done" and story.failovers > 0
        self.changes += 1
