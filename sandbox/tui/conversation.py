"""The questions of this session, without a widget: which is under way, which is shown, what each has told so far."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from providers.clock import Clock
from providers.errors import InputError
from sandbox.core.events import Event
from sandbox.tui.reports import Answered, Ask, Opened, ProviderInfo, Refused, Report, Settled
from sandbox.tui.state import Entry, UIState
from sandbox.tui.story import RequestStory

if TYPE_CHECKING:
    from sandbox.tui.engine import Engine


@dataclass(slots=True)
class Run:
    """One question of this session (or an old one shown again) with all that is known of it."""

    entry: Entry
    story: RequestStory
    notes: tuple[str, ...] = ()
    """What is special about it, for the route's first line."""
    events: list[Event] = field(default_factory=list)
    settled: bool = False
    ask: Ask | None = None
    """How it was asked, where it was asked in this session."""

    @property
    def id(self) -> str:
        return self.entry.request_id


class Conversation:
    """One question at a time is under way; any may be shown."""

    def __init__(self, engine: Engine, state: UIState, clock: Clock) -> None:
        self._engine = engine
        self._state = state
        self._clock = clock
        self.opened: Opened | None = None
        self.running: Run | None = None
        self.shown: Run | None = None
        self.agreed = False
        """Paid calls were agreed to in this session."""
        self._waiting: tuple[Ask, bool] | None = None

    @property
    def mode(self) -> str:
        return self.opened.mode if self.opened is not None else self._engine.settings.mode

    # --- asking ---------------------------------------------------------------------------------------------------

    def needs_consent(self) -> bool:
        """Whether the next question costs money and nobody has agreed to that yet."""
        return self.mode in ("live", "record") and not self.agreed

    def hold(self, ask: Ask, *, again: bool) -> None:
        """Keep a paid question back until its estimate has come and is agreed to."""
        self._waiting = (ask, again)
        self._engine.estimate(ask)

    def release(self, ask: Ask) -> tuple[Ask, bool] | None:
        """The question that waits for this estimate, and whether it goes past the cache; None: it was given up."""
        waiting = self._waiting
        if waiting is None or waiting[0] is not ask:
            return None
        self._waiting = None
        return waiting

    def start(self, ask: Ask, *, again: bool) -> Run:
        """Send it and show it."""
        request_id = self._engine.submit(ask)
        entry = Entry(
            request_id, self._clock.time_us(), ask.prompt, ask.model, ask.provider, ask.strategy, mode=self.mode
        )
        notes: tuple[str, ...] = ()
        if ask.recording:
            notes = (f"replay of {ask.recording}",)
        elif again:
            notes = ("sent again, past the cache",)
        elif ask.no_cache:
            notes = ("cache off while a provider is broken",)
        run = Run(entry, RequestStory(request_id), notes, ask=ask)
        self._state.remember(entry)
        self.running = self.shown = run
        return run

    def cancel(self) -> None:
        if self.running is not None:
            self._engine.cancel(self.running.id)

    def show_again(self, entry: Entry) -> Run:
        """An earlier question, as its events tell it."""
        if self.running is not None and self.running.entry is entry:
            self.shown = self.running
            return self.running
        try:
            story = entry.story()
        except InputError:
            # Lines of another version: what the row itself says is still true.
            story = RequestStory(entry.request_id, status="done", mode=entry.mode)
        if not story.ended:
            story.status = "cancelled"
        self.shown = Run(entry, story, ("shown again",), settled=True)
        return self.shown

    # --- what the engine tells ------------------------------------------------------------------------------------

    def take(self, event: Event) -> Run | None:
        """Take an event into the story under way; returns the run that it ended."""
        run = self.running
        if run is None or not run.story.apply(event):
            return None
        run.events.append(event)
        return self._end(run) if run.story.ended else None

    def report(self, report: Report) -> Run | None:
        """Take a report in; returns the run that it ended."""
        run = self.running
        if isinstance(report, Opened):
            self.opened = report
        elif isinstance(report, Answered):
            return self._answered(report)
        elif run is None:
            return None
        elif isinstance(report, Refused) and report.request_id == run.id:
            story = run.story
            story.status, story.error_type, story.error_message = "failed", report.error_type, report.message
            return self._end(run)
        elif isinstance(report, Settled) and report.request_id == run.id:
            # It was cancelled before the gateway had begun, so that no event tells of it.
            run.story.status = "cancelled"
            return self._end(run)
        return None

    def _answered(self, report: Answered) -> Run | None:
        run = self.shown
        if run is None or run.id != report.request_id or run.story.text:
            return None
        run.story.pieces = [report.text]
        run.entry.answer = report.text
        return run

    def _end(self, run: Run) -> Run:
        run.settled = True
        run.story.mode = run.story.mode or run.entry.mode
        run.entry.settle(run.story, run.events)
        self.running = None
        return run

    # --- facts ----------------------------------------------------------------------------------------------------

    def first_of_plan(self, via: str | None) -> str | None:
        """Who would be asked first: by name, else by the newest plan, else by the chain."""
        if via is not None:
            return via
        if self.shown is not None and self.shown.story.plan:
            return self.shown.story.plan[0].provider
        return self.opened.providers[0].id if self.opened is not None and self.opened.providers else None

    def answered_by(self, run: Run) -> ProviderInfo | None:
        """The provider that answered, or that would be asked first."""
        by_id = {info.id: info for info in self.opened.providers} if self.opened is not None else {}
        return by_id.get(run.story.provider or "") or next(iter(by_id.values()), None)
