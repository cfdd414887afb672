"""The screen under the rooms, which paints at once what a key brings.

Textual paints at sixty fixed instants a second and, where painting took longer than to the next, leaves one out: what
a key has changed could wait for 33 ms while something else moves.
"""

from __future__ import annotations

from textual import events
from textual.app import App
from textual.screen import Screen

from providers.clock import Clock

SOON_S = 0.05
"""For so long after a key whatever changes is painted at once."""


class Stage(Screen[None]):
    def on_idle(self) -> None:
        """Before Textual's own handler, which would leave the painting to its timer."""
        app = self.app
        if isinstance(app, StagedApp) and app.clock.monotonic() < app.hurry_until:
            self._on_timer_update()


class StagedApp(App[None]):
    clock: Clock
    hurry_until = 0.0
    """By the clock's monotonic time."""

    def get_default_screen(self) -> Stage:
        return Stage(id="_default")

    async def on_event(self, event: events.Event) -> None:
        if isinstance(event, (events.Key, events.MouseDown)):
            self.hurry_until = self.clock.monotonic() + SOON_S
        await super().on_event(event)
