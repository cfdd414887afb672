"""What the keys of the Lab do while the running gateway is shown, and what is said of it. Dialogs load when opened."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from providers.errors import InputError
from sandbox.scenarios.recorder import Take
from sandbox.scenarios.rolling import RollingRecording
from sandbox.scenarios.telling import clock_time
from sandbox.tui.lab.bench import start
from sandbox.tui.lab.feed import SPANS_S
from sandbox.tui.lab.following import LabFollowing
from sandbox.tui.pieces import DOT, GOOD, MUTED, NAME, PLAIN, WARN, Line, clip, local_time

if TYPE_CHECKING:
    from sandbox.scenarios.recording import Recording
    from sandbox.scenarios.shelf import Shelved


class LabLive(LabFollowing):
    def action_play(self) -> None:
        if not self.live:
            super().action_play()
        elif self.player.playing:
            self.stand_still()
            self.touch()
        else:
            self.follow_live()

    def action_speed(self) -> None:
        if not self.live:
            super().action_speed()
            return
        self.span = (self.span + 1) % len(SPANS_S)
        self.follow_live()

    def action_provoke(self) -> None:
        if not self.live:
            super().action_provoke()
            return
        from sandbox.tui.breakage import carry_out
        from sandbox.tui.dialogs import FaultDialog

        def chosen(result: tuple[str, str] | None) -> None:
            if result is not None:
                self.ui.flash(*carry_out(self.ui.engine, *result, then="F or Esc mends it"))
                self.follow_live()

        lights = list(self.ui.board.lights.values())
        if lights:
            broken = next((light.id for light in lights if light.fault), None)
            self.app.push_screen(
                FaultDialog([(light.id, light.fault) for light in lights], broken or self._asked_first()), chosen
            )

    def _asked_first(self) -> str:
        """The provider that is asked first and has answered something; the chain's first."""
        if self.take is None:
            return ""
        recording = self.take.recording
        attempts = recording.figures(self.player.length_us).attempts
        return next((id for id, count in zip(recording.ids, attempts, strict=True) if count), recording.ids[0])

    def action_take_back(self) -> None:
        if not self.live:
            super().action_take_back()
            return
        self.ui.engine.heal()
        self.ui.flash("every provider answers again", "done")

    def action_save_scenario(self) -> None:
        if not self.live:
            super().action_save_scenario()
            return
        from sandbox.tui.lab.naming import NameDialog

        take = self.take
        if take is None:
            return
        recording = take.recording.still() if isinstance(take.recording, RollingRecording) else take.recording

        def named(name: str | None) -> None:
            if name is not None:
                start(self, "save", self._save_seen, recording, name)

        self.app.push_screen(NameDialog(self.shelf, self.shelf.free_name(take.scenario.name)), named)

    async def _save_seen(self, recording: Recording, name: str) -> None:
        """Keep what was to be seen as a scenario, as one is made of a trace."""
        from sandbox.scenarios.life.inferred import Origin, scenario_data
        from sandbox.scenarios.life.observed import of_trace
        from sandbox.scenarios.recording import FaultBegan, FaultEnded
        from sandbox.scenarios.writing import to_yaml

        def work() -> Shelved:
            events = (recording.event(position) for position in recording.rows("all"))
            requests = of_trace(event for event in events if not isinstance(event, (FaultBegan, FaultEnded)))
            told = f"Seen on a running gateway: {len(requests):,} requests."
            return self.shelf.save(to_yaml(scenario_data(requests, Origin(name, told, self.feed.preset, "current"))))

        try:
            saved = await asyncio.to_thread(work)
        except InputError as error:
            self.ui.flash(f"nothing was saved: {error}", "error")
        else:
            self.ui.flash(f"saved {saved.path}: o replays it", "done")

    def go_back(self) -> None:
        """To what happens now; there, what was broken by hand is mended."""
        if not self.player.playing:
            self.follow_live()
        elif self.ui.board.broken:
            self.action_take_back()

    # --- words ----------------------------------------------------------------------------------------------------

    def live_told(self, width: int) -> Line:
        """In place of the sentence about the moment, where there is something else to say; empty: there is not."""
        take = self.take
        if take is None:
            return [("the gateway is being opened …", PLAIN)]
        if not take.recording.seen:
            return [("No traffic yet. ", f"bold {GOOD}"), (clip(self._how(), width - 16), GOOD)]
        if not self.player.playing and self.player.at_us >= self.player.length_us:
            text = f"It stands still at {clock_time(self.player.at_us)}, and all that happens is kept: Space goes on."
            return [(clip(text, width), WARN)]
        return []

    def live_names(self) -> tuple[str, str, str]:
        """For the header: how far one looks back, where the gateway is, what happened since it stands still."""
        served = self.ui.served
        where = self.ui.frame.attached or (served.url if served is not None else "") or "not served: ^g"
        missed = f"{self.missed:,} more events" if self.missed else ""
        return f"{SPANS_S[self.span] // 60} min", where, missed

    def live_lines(self, take: Take) -> list[Line]:
        """What is shown, and what one can do with it."""
        lines: list[Line] = [
            [("The running gateway", "bold $text-accent")],
            [("What it is asked, by this program or by others, as it happens.", PLAIN)],
            [],
            [(self._how(), PLAIN)],
            [],
        ]
        keys = (
            ("f", "breaks a provider, or mends it; F or Esc mends all"),
            ("Space", "stands still, and goes on"),
            ("← → n N", "move through what there is"),
            ("s", "looks back 1, 5 or 15 minutes"),
            ("v /", "list more, or only what holds your words"),
            ("w", "keeps what is to be seen as a scenario"),
            ("l", "goes back to the replay"),
        )
        lines += [[(f"  {key:<9}", NAME), (what, PLAIN)] for key, what in keys]
        lines += [[], [("Chain", MUTED)]]
        return lines + [[(f"  {id}", NAME)] for id in take.recording.ids]

    def local_of(self, take: Take, position: int) -> str:
        """What a person's own clock showed at an event; of a replay nothing."""
        watch = self.feed.watch
        if not self.live or watch is None:
            return ""
        return f"{DOT}{local_time(watch.began_us + take.recording.times[position])}"

    def nothing_listed(self) -> str:
        if not self.live:
            return super().nothing_listed()
        take = self.take
        if take is None or not take.recording.seen:
            return f"Nothing has happened yet.\n{self._how()}"
        return "Nothing of note in this time: v lists more, s looks further back."

    def _how(self) -> str:
        """What brings traffic."""
        if self.ui.frame.attached:
            return f"Point a program at http://{self.ui.frame.attached}/v1, or ask in room 1."
        served = self.ui.served
        if served is not None and served.url:
            return f"Point a program at {served.url}/v1, or ask in room 1."
        return "Press ^g to serve the gateway, or ask in room 1."
