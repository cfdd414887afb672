"""What the keys of the Lab do beside moving and writing: choosing, comparing, breaking by hand, reading."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from providers.errors import ScenarioError
from sandbox.scenarios.loader import Scenario
from sandbox.scenarios.recorder import Take
from sandbox.scenarios.telling import clock_time
from sandbox.tui.choices import Choice, policies
from sandbox.tui.lab.bench import start
from sandbox.tui.lab.keeping import LabKeeping
from sandbox.tui.pieces import PLAIN, WARN, Line

if TYPE_CHECKING:
    from providers.faults import Fault
    from sandbox.tui.lab.detail import LabDetail, Writer


class LabCommands(LabKeeping):
    detail: LabDetail

    if TYPE_CHECKING:

        def telling(self, take: Take, position: int | None) -> tuple[str, Writer]: ...

    # --- choosing -------------------------------------------------------------------------------------------------

    def action_scenario(self) -> None:
        from sandbox.tui.lab.picker import ScenarioPicker

        def chosen(result: tuple[str, str] | None) -> None:
            if result is not None:
                self.take_up(*result)

        self.app.push_screen(ScenarioPicker(self.shelf, self.shown_key), chosen)

    @property
    def shown_key(self) -> str:
        """Which row of the picker is shown now."""
        return self.key

    def take_up(self, what: str, key: str) -> None:
        """Do what was chosen in the picker."""
        from sandbox.tui.lab.picker import EDIT

        if what == EDIT:
            start(self, "edit", self.edit, key)
        else:
            start(self, "choose", self._take_up, key)

    async def _take_up(self, key: str) -> None:
        """Replay another file from its start, without what was changed by hand in the one before."""
        found = await asyncio.to_thread(self.shelf.find, key)
        if found is None or found.scenario is None:
            self.ui.flash(found.problem or "" if found is not None else f"{key} is gone", "error")
            return
        if self.changed and not await self._given_up():
            return

        def taken() -> None:
            self.key, self.changed, self.added, self.before = key, False, 0, []

        self.player.playing = False
        self.replay(found.scenario, then=taken)

    async def _given_up(self) -> bool:
        """Whether what was changed by hand may go."""
        from sandbox.tui.dialogs import Confirm

        name = self.scenario.name if self.scenario is not None else self.key
        lines: list[Line] = [
            [(name, WARN), (" was changed by hand, and that is saved nowhere.", PLAIN)],
            [("Esc, and then w, saves it as a scenario of your own.", PLAIN)],
        ]
        agreed = await self.app.push_screen_wait(Confirm("Go on without it?", lines, "go on without it"))
        return agreed is True

    def action_lab_preset(self) -> None:
        own = self.scenario.document.preset if self.scenario is not None else ""

        def chosen(name: str | None) -> None:
            if name is not None and name != self.preset and self.scenario is not None:
                self.replay(self.scenario, self.player.at_us, preset=name)

        first = Choice("", "own", f"the scenario's: {own}")
        self._choose_preset("Preset: the failover policy", first, self.preset, chosen)

    def action_beside(self) -> None:
        def chosen(name: str | None) -> None:
            if name is not None and name != self.beside_preset and self.scenario is not None:
                self.replay(self.scenario, self.player.at_us, beside=name)

        first = Choice("", "none", "this one alone")
        self._choose_preset("The same outage under another preset", first, self.beside_preset, chosen)

    def _choose_preset(self, title: str, first: Choice, current: str, chosen: Callable[[str | None], None]) -> None:
        from sandbox.scenarios.peers import NAMES
        from sandbox.tui.dialogs import Chooser

        self.app.push_screen(Chooser(title, [first, *policies(NAMES)], current), chosen)

    # --- breaking by hand -----------------------------------------------------------------------------------------

    def action_provoke(self) -> None:
        from sandbox.tui.breakage import fault_word
        from sandbox.tui.dialogs import FaultDialog

        take, scenario = self.take, self.scenario
        if take is None or scenario is None:
            return
        at_us = self.player.at_us
        self.player.playing = False
        ailing: dict[str, list[Fault]] = {id: [] for id in take.recording.ids}
        for timed in scenario.faults:
            fault = timed.at(at_us)
            if fault is not None and fault.probability and timed.provider in ailing:
                ailing[timed.provider].append(fault)
        providers = [(id, fault_word(faults) or None) for id, faults in ailing.items()]
        first = next((id for id, word in providers if word is None), providers[0][0])
        self.app.push_screen(
            FaultDialog(providers, first, title=f"Break or heal at {clock_time(at_us)}", commands=()),
            lambda result: self._provoked(scenario, result, at_us),
        )

    def _provoked(self, scenario: Scenario, result: tuple[str, str] | None, at_us: int) -> None:
        if result is None:
            return
        from providers.faults import parse_fault
        from sandbox.scenarios.provoking import provoked
        from sandbox.tui.breakage import HEAL

        provider, what = result
        fault = None if what == HEAL else parse_fault(what)
        try:
            changed = provoked(scenario, provider, fault, at_us)
        except ScenarioError as error:
            self.ui.flash(str(error), "warning")
            return

        was = scenario, self.changed, self.added

        def done() -> None:
            self.before.append(was)
            self.changed = True
            self.added += fault is not None
            word = "answers again" if fault is None else "is broken"
            self.ui.flash(f"{provider} {word} from here on: w saves it as a scenario, F takes it back", "done")

        self.replay(changed, at_us, then=done)

    def action_take_back(self) -> None:
        if not self.before:
            return
        scenario, changed, added = self.before[-1]

        def done() -> None:
            self.before.pop()
            self.changed, self.added = changed, added
            self.ui.flash("taken back", "done")

        self.replay(scenario, self.player.at_us, then=done)

    # --- reading --------------------------------------------------------------------------------------------------

    def action_summary(self) -> None:
        from sandbox.tui.dialogs import Reader
        from sandbox.tui.lab.explaining import summary_lines

        takes = [take for take in (self.take, self.beside) if take is not None]
        self.app.push_screen(Reader("The whole run", lambda width: summary_lines(takes, width)))

    def action_open_row(self) -> None:
        if self.take is None:
            return
        if not self.ui.is_narrow:
            self.detail.focus()
            return
        from sandbox.tui.dialogs import Reader

        name, write = self.telling(self.take, self.rows.selected)
        self.app.push_screen(Reader(name, write))

    def action_copy_detail(self) -> None:
        if self.take is not None:
            _, write = self.telling(self.take, self.rows.selected)
            text = "\n".join("".join(piece for piece, _ in line) for line in write(100))
            self.ui.copy_with_word(text, "the detail")

    def action_focus_events(self) -> None:
        self.rows.focus()

    def action_focus_told(self) -> None:
        self.action_open_row()
