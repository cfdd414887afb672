"""What the Lab writes: scenarios of one's own, edited or changed by hand, and reports. Dialogs load when opened."""

from __future__ import annotations

import asyncio
from pathlib import Path

from providers.errors import InputError, ScenarioError
from sandbox.scenarios.loader import Scenario, check
from sandbox.scenarios.shelf import Shelved
from sandbox.scenarios.source import parse
from sandbox.tui.lab.bench import start
from sandbox.tui.lab.moving import LabMoving
from sandbox.tui.pieces import PLAIN, WARN, Line


class LabKeeping(LabMoving):
    def action_save_scenario(self) -> None:
        from sandbox.tui.lab.naming import NameDialog

        scenario = self.scenario
        if scenario is None:
            return

        def named(name: str | None) -> None:
            if name is not None:
                start(self, "save", self._save_as, scenario, name)

        self.app.push_screen(NameDialog(self.shelf, self.shelf.free_name(scenario.name)), named)

    async def _save_as(self, scenario: Scenario, name: str) -> None:
        from sandbox.scenarios.provoking import renamed, text_of

        try:
            saved = await asyncio.to_thread(lambda: self.shelf.save(text_of(renamed(scenario, name))))
        except ScenarioError as error:
            self.ui.flash(str(error), "error")
            return
        self._saved(saved)

    def _saved(self, saved: Shelved) -> None:
        def taken() -> None:
            self.key, self.changed, self.added, self.before = saved.key, False, 0, []

        if saved.scenario is not None:
            self.replay(saved.scenario, self.player.at_us, then=taken)
        self.ui.flash(f"saved {saved.path}", "done")

    async def action_edit_scenario(self) -> None:
        await self.edit(self.key)

    async def edit(self, key: str) -> None:
        """Let the text of a scenario be changed."""
        from sandbox.scenarios.provoking import text_of
        from sandbox.scenarios.source import read_text
        from sandbox.tui.lab.editor import LONGEST, SAVE, ScenarioEditor

        found = await asyncio.to_thread(self.shelf.find, key)
        if found is None:
            self.ui.flash(f"{key} is gone: o chooses another scenario", "warning")
            return
        try:
            if self.changed and key == self.key and self.scenario is not None:
                before = text_of(self.scenario)
            else:
                before = await asyncio.to_thread(read_text, found.path)
        except ScenarioError as error:
            self.ui.flash(str(error), "error")
            return
        text = self.drafts.get(key, before)
        if len(text) > LONGEST:
            self.ui.flash(f"{found.path} is too long to be edited here: it has {len(text):,} characters", "warning")
            return

        def typed(after: str) -> None:
            """Whatever becomes of the program, the text is not lost."""
            if after == before:
                self.drafts.pop(key, None)
            else:
                self.drafts[key] = after

        def left(result: tuple[str, str] | None) -> None:
            what, after = result or ("", text)
            if what == SAVE:
                start(self, "save", self._save_text, found, after)
            elif key in self.drafts:
                self.ui.flash("not saved: e goes on with your text", "warning")

        await self.app.push_screen(ScenarioEditor(found.name, text, self.shelf.folder, typed), left)

    async def _save_text(self, edited: Shelved, text: str) -> None:
        """Keep an edited text, unless it would take another file's place against the user's will."""
        try:
            path = self.shelf.path_of(check(parse(text, edited.path)).name)
            if path.exists() and path != edited.path and not await self._agreed(path):
                self.ui.flash("not saved: e goes on with your text", "warning")
                return
            saved = await asyncio.to_thread(self.shelf.save, text)
        except ScenarioError as error:
            self.ui.flash(str(error), "error")
            return
        self.drafts.pop(edited.key, None)
        self._saved(saved)

    async def _agreed(self, path: Path) -> bool:
        from sandbox.tui.dialogs import Confirm

        lines: list[Line] = [[("There is one of that name already:", PLAIN)], [(str(path), WARN)]]
        agreed = await self.app.push_screen_wait(Confirm("Take its place?", lines, "take its place"))
        return agreed is True

    async def action_export(self) -> None:
        from sandbox.core.whole_file import free_stem
        from sandbox.scenarios.report import write

        takes = [take for take in (self.take, self.beside) if take is not None and take.result is not None]
        if not takes:
            return
        scenario = takes[0].scenario
        folder = self.ui.settings.data_dir / "exports"
        stem = "-".join([scenario.name, *(take.preset for take in takes)])
        picture = self.app.export_screenshot(title=f"{scenario.name} · {takes[0].preset}")

        def work() -> Path:
            folder.mkdir(parents=True, exist_ok=True)
            name = free_stem(folder, stem, (".md", ".json", ".svg")).name
            results = [take.result for take in takes if take.result is not None]
            for form in (".md", ".json"):
                write(folder / f"{name}{form}", scenario, results)
            folder.joinpath(f"{name}.svg").write_text(picture, encoding="utf-8")
            return folder / name

        try:
            done = await asyncio.to_thread(work)
        except OSError as error:
            self.ui.flash(f"cannot write to {folder}: {error.strerror}", "error")
        except InputError as error:
            self.ui.flash(str(error), "error")
        else:
            self.ui.flash(f"exported {done}.md, .json and .svg", "done")
