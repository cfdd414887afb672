"""What is replayed in the Lab: a scenario, under which preset, beside which other, and what was recorded of it."""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from providers.errors import ScenarioError
from sandbox.core.pacing import Supervised
from sandbox.scenarios.loader import Scenario, check
from sandbox.scenarios.recorder import Take
from sandbox.scenarios.recording import LEVELS, Level
from sandbox.scenarios.shelf import Shelf
from sandbox.scenarios.source import parse
from sandbox.tui import actions
from sandbox.tui.engine import sentence
from sandbox.tui.lab.bench import Work, start, thinned_note
from sandbox.tui.lab.events import holds
from sandbox.tui.lab.player import SPEEDS, Player
from sandbox.tui.rooms import Room

if TYPE_CHECKING:
    from sandbox.tui.lab.listing import EventList, EventRows
    from sandbox.tui.state import UIState

FIRST: Final = "bedrock-brownout"
"""What a newcomer sees."""
FOR_A_KEY_S: Final = 0.04
"""How long a run pauses when a key was pressed: long enough to draw what it brings."""
LONGEST_KEPT: Final = 100_000
"""Characters of a text that is not saved anywhere, up to which it survives a restart."""


class LabReplaying(Room):
    ROOM = actions.LAB

    pane: EventList
    rows: EventRows

    def __init__(self, state: UIState) -> None:
        super().__init__()
        self._state = state
        self.player = Player()
        self.player.choice = state.lab_speed % len(SPEEDS)
        self.level: Level = next((level for level in LEVELS if level == state.lab_level), "moments")
        self.key = state.lab_scenario or FIRST
        """The scenario's key on the shelf."""
        self.scenario: Scenario | None = None
        """As it is replayed, with what was changed by hand."""
        self.changed = False
        """By hand, and not saved."""
        self.added = 0
        """How many faults, its last ones, are the user's own."""
        self.before: list[tuple[Scenario, bool, int]] = []
        """What it was before each change by hand: the scenario, whether it was changed, how many were added."""
        self.preset, self.beside_preset = state.lab_preset, state.lab_beside
        self.take: Take | None = None
        self.beside: Take | None = None
        self.work: Work | None = None
        self.row = -1
        """Which row of the list one stands on; -1: before the first."""
        self.searching = False
        """The filter is looking for rows."""
        self.problem = ""
        self.drafts = _drafts(state.lab_drafts)
        """Texts that were left unfinished in the editor, by the keys of their scenarios."""
        self.stale = False

    if TYPE_CHECKING:

        def draw(self) -> None: ...

    def touch(self) -> None:
        """What is on the screen is no longer so: draw it as soon as what is being done is done."""
        if self.work is not None:
            self.work.watch.give_way(FOR_A_KEY_S)
        if not self.stale:
            self.stale = True
            self.call_next(self._draw_stale)

    def _draw_stale(self) -> None:
        if self.stale:
            self.draw()

    def remember(self, state: UIState) -> None:
        state.lab_scenario, state.lab_preset, state.lab_beside = self.key, self.preset, self.beside_preset
        state.lab_level, state.lab_speed = self.level, self.player.choice
        if self.take is not None:
            state.lab_at_us = self.player.at_us
        state.lab_text, state.lab_added = "", 0
        if self.changed and self.scenario is not None:
            from sandbox.scenarios.provoking import text_of

            text = text_of(self.scenario)
            if len(text) <= LONGEST_KEPT:
                state.lab_text, state.lab_added = text, self.added
        state.lab_drafts = [[key, text] for key, text in self.drafts.items() if len(text) <= LONGEST_KEPT]

    # --- the start ------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Replay what was replayed last, with the cursor where it stood."""
        self.shelf = Shelf(self.ui.settings.data_dir)
        self.pane.name_level(self.level)
        self.begin_replay()

    def begin_replay(self) -> None:
        start(self, "replay", self._begin)

    async def _begin(self) -> None:
        from sandbox.scenarios.peers import NAMES

        at_us = self._state.lab_at_us
        # A hand, or another version of the program, may have written the state.
        self.preset, self.beside_preset = (name * (name in NAMES) for name in (self.preset, self.beside_preset))
        scenario = self._changed_last()
        if scenario is None:
            found = await asyncio.to_thread(self.shelf.find, self.key)
            if found is None or found.scenario is None:
                if found is not None:
                    self.ui.flash(f"{found.problem}: o chooses another scenario", "error")
                self.key, at_us = FIRST, 0
                found = await asyncio.to_thread(self.shelf.find, FIRST)
            scenario = found.scenario if found is not None else None
        if scenario is not None:
            await self.worked_out(scenario, at_us)

    def _changed_last(self) -> Scenario | None:
        """What was changed by hand before the program ended."""
        text = self._state.lab_text
        if not text:
            return None
        try:
            scenario = check(parse(text, Path(f"{self.key}.yaml")))
        except ScenarioError as error:
            self.ui.flash(str(error), "warning")
            return None
        self.changed, self.added = True, max(0, min(self._state.lab_added, len(scenario.faults)))
        return scenario

    # --- running --------------------------------------------------------------------------------------------------

    def replay(
        self,
        scenario: Scenario,
        at_us: int = 0,
        *,
        then: Callable[[], None] | None = None,
        preset: str | None = None,
        beside: str | None = None,
    ) -> None:
        """Work an outage out and stand at a time of it; `then`: take over what led to it.

        `preset` and `beside` are chosen anew; None: as they are.
        """
        start(self, "replay", self.worked_out, scenario, at_us, then, preset=preset, beside=beside)

    async def worked_out(
        self,
        scenario: Scenario,
        at_us: int,
        then: Callable[[], None] | None = None,
        *,
        preset: str | None = None,
        beside: str | None = None,
    ) -> None:
        """As `replay`, and wait for it."""
        preset = self.preset if preset is None else preset
        beside = self.beside_preset if beside is None else beside
        takes: list[Take] = []
        work: Work | None = None
        playing, self.player.playing = self.player.playing, False
        try:
            for name in (preset, beside)[: 1 + bool(beside)]:
                work = self.work = Work(scenario, name, self.ui.clock.time_us(), Supervised())
                self.touch()
                take = await work.run()
                if take.result is None and self.take is not None:
                    self.ui.flash("stopped: what was there before is shown", "warning")
                    return
                takes.append(take)
                if take.result is None:
                    break
        except Exception as error:
            self.problem = sentence(error)
            self.ui.flash(self.problem, "error")
            return
        finally:
            # Another run may have taken its place.
            if self.work is work:
                self.work = None
            self.touch()
        self.scenario, self.take = scenario, takes[0]
        self.preset, self.beside_preset = preset, beside
        self.beside = takes[1] if len(takes) > 1 else None
        if then is not None:
            then()
        self.player.length_us = max(take.recording.ended_us for take in takes)
        self.player.go(at_us)
        self.list_rows()
        if note := thinned_note(takes[0]):
            self.ui.flash(note, "warning")
        self.player.playing = playing and not self.player.at_end
        self.ui.save_state()

    def action_stop_run(self) -> None:
        if self.work is not None:
            self.work.watch.stop()

    def action_run_again(self) -> None:
        start(self, "replay", self._again)

    async def _again(self) -> None:
        if self.changed and self.scenario is not None:
            await self.worked_out(self.scenario, self.player.at_us)
            return
        found = await asyncio.to_thread(self.shelf.find, self.key)
        if found is not None and found.scenario is not None:
            await self.worked_out(found.scenario, self.player.at_us)
        elif found is not None:
            self.ui.flash(found.problem or "", "error")
        else:
            self.ui.flash(f"there is no scenario {self.key} any more: o chooses another", "warning")

    # --- what is listed -------------------------------------------------------------------------------------------

    def list_rows(self) -> None:
        """The rows of the level that hold the words of the filter."""
        take = self.take
        if take is None:
            return
        every = take.recording.rows(self.level)
        words = self.pane.words.lower().split()
        self.workers.cancel_group(self, "filter")
        if words:
            start(self, "filter", self._filter, take, every, words)
        else:
            self.show_rows(take, every, self.nothing_listed())

    def nothing_listed(self) -> str:
        """What is said where there is no row."""
        return "Nothing happened: v lists more."

    async def _filter(self, take: Take, every: Sequence[int], words: Sequence[str]) -> None:
        faults = take.scenario.faults
        stop = Supervised()

        def work() -> array[int]:
            found = array("i")
            for count, position in enumerate(every):
                if holds(take.recording, position, faults, words):
                    found.append(position)
                if not count % 500:
                    stop(0, 0)
            return found

        self.searching = True
        self.touch()
        try:
            rows = await asyncio.to_thread(work)
        finally:
            stop.stop()
            self.searching = False
            self.touch()
        told = " ".join(words)
        self.show_rows(take, rows, f"No row has {told!r} in it.\nEscape in the filter shows all {len(every):,}.")

    def show_rows(self, take: Take, rows: Sequence[int], empty: str) -> None:
        self.row = take.recording.row_at(rows, self.player.at_us)
        self.rows.show(take, rows, self.row, empty)
        self.touch()

    def action_list_level(self, level: Level) -> None:
        self.level = level
        self.pane.name_level(level)
        self.list_rows()

    def action_next_level(self) -> None:
        self.action_list_level(LEVELS[(LEVELS.index(self.level) + 1) % len(LEVELS)])

    def action_filter_events(self) -> None:
        self.pane.start_filter()


def _drafts(kept: list[list[str]]) -> dict[str, str]:
    """By key; what a hand has put into the state is left out."""
    pairs = [one for one in kept if isinstance(one, list) and len(one) == 2]
    return {key: text for key, text in pairs if isinstance(key, str) and isinstance(text, str)}
