"""What the keys of the Costs room do: look elsewhere, choose models and budgets, write. Dialogs load when opened."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from sandbox.core.tables import markdown_table
from sandbox.costs.reports import deeper
from sandbox.desks import books
from sandbox.desks.books import REQUEST, SPANS, Asked
from sandbox.tui import actions
from sandbox.tui.choices import Choice
from sandbox.tui.pieces import FAILED
from sandbox.tui.rooms import Room

if TYPE_CHECKING:
    from sandbox.costs.export import Form
    from sandbox.desks.books import Budgeted, Exported, Priced
    from sandbox.tui.costs.budget import Chosen
    from sandbox.tui.costs.listing import Breakdown
    from sandbox.tui.costs.lookout import Lookout
    from sandbox.tui.costs.panes import CostsHead, CostsPane, SpendPane
    from sandbox.tui.state import UIState
    from sandbox.usage.base import UsageRecord

EXPORT, BUDGET, MODELS = "costs-export", "costs-budget", "costs-models"
"""Ids of the engine's works."""
MOST_TARGETS: Final = 4
OUT: Final = f"{FAILED} "
"""Before a model that choosing takes away."""
_FORMS: Final = (
    Choice("csv", "CSV", "one line for each request, for a spreadsheet; the sums in a file beside it"),
    Choice("json", "JSON", "one document, the sums too, for a program"),
)
BY: Final = {
    "": "what comes next: tenant, agent, model, requests",
    "tenant": "who asked",
    "agent": "for whom",
    "model": "what answered",
    "provider": "who answered",
    "hour": "in UTC",
    "day": "in UTC",
    "month": "in UTC",
    REQUEST: "the latest ones",
}


class CostsCommands(Room):
    ROOM = actions.COSTS
    breakdown: Breakdown
    head: CostsHead
    spend: SpendPane
    beside: dict[str, CostsPane]
    """The panes that share a place with the breakdown on a narrow screen, by the name that the state knows."""

    def __init__(self, state: UIState) -> None:
        super().__init__()
        self._state = state

    if TYPE_CHECKING:

        @property
        def lookout(self) -> Lookout: ...

        @property
        def pane(self) -> str: ...

        def draw(self) -> None: ...

        def lay_out(self) -> None: ...

    # --- looking elsewhere ----------------------------------------------------------------------------------------

    def ask(self, asked: Asked, row: str = "") -> None:
        """Look at something else; what is shown stays until that is there. `row` gets the cursor."""
        if asked != self.lookout.asked:
            if asked.path != self.lookout.asked.path:
                self.breakdown.end_filter()
            self._state.costs_row = row
            self.lookout.ask(asked)
            self.lookout.tick(self.ui.clock.time_us())
            self.draw()

    def action_span(self, name: str) -> None:
        """A click on a time."""
        asked = self.lookout.asked
        self.ask(Asked(name, asked.path, asked.by), self._key())

    def _turn(self, step: int) -> None:
        names = [*SPANS]
        self.action_span(names[(names.index(self.lookout.asked.span) + step) % len(names)])

    def action_costs_longer(self) -> None:
        self._turn(1)

    def action_costs_shorter(self) -> None:
        self._turn(-1)

    def _key(self) -> str:
        row = self.breakdown.rows.selected
        return self._state.costs_row if row is None else row.key

    def action_costs_open(self) -> None:
        # Rows of the question before would be taken for those of this one, until the next painting.
        self.draw()
        seen, row = self.lookout.seen, self.breakdown.rows.selected
        if seen is None or row is None or seen.asked != self.lookout.asked:
            return
        if row.record is not None:
            self._explain(row.record)
        elif seen.by != REQUEST:
            self.ask(Asked(seen.asked.span, (*seen.asked.path, (seen.by, row.key))))

    def action_costs_back(self) -> None:
        if self.head.exporting is not None:
            self.ui.engine.cancel(EXPORT)
        elif self.lookout.asked.path:
            self.action_climb(str(len(self.lookout.asked.path) - 1))
        else:
            self.ask(Asked(self.lookout.asked.span))

    def action_climb(self, depth: str) -> None:
        """Back to where so many rows are entered; a click on the way too."""
        asked, kept = self.lookout.asked, int(depth)
        if kept < len(asked.path):
            by, key = asked.path[kept]
            # By what it was broken down then, where that is not what comes by itself.
            before = Asked(asked.span, asked.path[:kept])
            natural = deeper(before.where("", 0)) or REQUEST
            self.ask(Asked(asked.span, asked.path[:kept], "" if by == natural else by), key)

    def action_costs_by(self) -> None:
        from sandbox.tui.dialogs import Chooser

        asked = self.lookout.asked
        fixed = {by for by, _ in asked.path}
        choices = [Choice(by, by or "by itself", told) for by, told in BY.items() if by not in fixed]

        def chosen(by: str | None) -> None:
            if by is not None:
                self.ask(Asked(asked.span, asked.path, by))

        self.app.push_screen(Chooser("Break down by", choices, asked.by), chosen)

    def _explain(self, record: UsageRecord) -> None:
        from sandbox.tui.costs.told import entry_of, story_of
        from sandbox.tui.dialogs import Reader
        from sandbox.tui.explain import explain_lines

        entry, story = entry_of(record), story_of(record)
        self.app.push_screen(
            Reader(f"Request {record.request_id[:8]}", lambda width: explain_lines(entry, story, 0, width))
        )

    def action_costs_filter(self) -> None:
        self._show_pane("breakdown")
        self.breakdown.start_filter()

    # --- panes ----------------------------------------------------------------------------------------------------

    def action_pane(self, name: str) -> None:
        """A click on a tab."""
        self._show_pane(name)

    def action_costs_pane(self) -> None:
        names = ["breakdown", *self.beside]
        if self.ui.is_narrow:
            at = names.index(self.pane)
        else:
            at = next((n for n, name in enumerate(names[1:], 1) if self.beside[name].has_focus), 0)
        self._show_pane(names[(at + 1) % len(names)])

    def _show_pane(self, name: str) -> None:
        self._state.costs_pane = name
        self.lay_out()
        self.screen.set_focus(self.breakdown.rows if name == "breakdown" else self.beside[name])

    def action_costs_rows(self) -> None:
        self._show_pane("breakdown")

    # --- what if --------------------------------------------------------------------------------------------------

    def action_costs_what_if(self) -> None:
        self.ui.engine.work(MODELS, books.models)

    def pick(self, priced: Priced) -> None:
        """Let a model be chosen; one that is chosen already is taken away."""
        from sandbox.core.figures import decimal
        from sandbox.tui.dialogs import Chooser

        taken = self.lookout.targets
        choices = []
        for model, provider, cost_in, cost_out in priced.models:
            key = f"{provider}/{model}"
            price = f"${decimal(cost_in) or '–'} in, ${decimal(cost_out) or '–'} out a million"
            choices.append(Choice(key, f"{OUT if key in taken else ''}{key}", price))
        choices.sort(key=lambda choice: (choice.value not in taken, "/ft:" in choice.value, choice.value))

        def chosen(key: str | None) -> None:
            if key is None:
                return
            others = [one for one in taken if one != key]
            self._reprice(others if key in taken else [*others, key][-MOST_TARGETS:])
            if self.ui.is_narrow:
                self._show_pane("advice")

        self.app.push_screen(Chooser("What if it had been", choices), chosen)

    def action_costs_as_it_was(self) -> None:
        self._reprice([])

    def _reprice(self, targets: list[str]) -> None:
        self.lookout.reprice(targets)
        self._state.costs_targets = targets
        self.lookout.tick(self.ui.clock.time_us())

    # --- budgets --------------------------------------------------------------------------------------------------

    def action_costs_budget(self) -> None:
        from sandbox.tui.costs.budget import BudgetDialog

        seen, loaded = self.lookout.seen, self.ui.loaded
        limits = {} if seen is None else {one.status.tenant: one.status.limit_usd for one in seen.budgets}
        file = None if loaded is None else loaded.config_file
        tenant = dict(self.lookout.asked.path).get("tenant")

        def chosen(result: Chosen | None) -> None:
            if result is not None:
                self.ui.engine.work(BUDGET, partial(books.set_budget, *result, file))

        self.app.push_screen(BudgetDialog(tenant, limits, file, self.ui.frame.until), chosen)

    def budgeted(self, report: Budgeted) -> None:
        """Say what holds now, and what will hold at the next start."""
        from sandbox.core.figures import dollars
        from sandbox.costs.base import whose
        from sandbox.costs.setting import key_of

        # What is opened from them next, for another mode, is to know it too.
        self.ui.engine.settings = report.settings
        self.lookout.stir()
        allowed = "no budget" if report.limit_usd is None else f"{dollars(report.limit_usd)} a month"
        told = f"{whose(report.tenant)}: {allowed}"
        if report.file is None:
            self.ui.flash(f"{told}, {self.ui.frame.until}", "done")
            return
        loaded = self.ui.loaded
        origin = None if loaded is None else loaded.origin(key_of(report.tenant))
        if origin is not None and origin.source in (".env", "environment"):
            self.ui.flash(f"{told}; at the next start {origin} wins over {report.file}", "warning")
        else:
            self.ui.flash(f"{told}, in {report.file}", "done")

    # --- writing --------------------------------------------------------------------------------------------------

    def action_costs_export(self) -> None:
        from sandbox.tui.dialogs import Chooser

        folder, asked = self.ui.settings.data_dir / "exports", self.lookout.asked

        def chosen(form: Form | None) -> None:
            if form is not None:
                self.head.exporting = books.Exporting(0, 0)
                self.ui.engine.work(EXPORT, partial(books.export, asked, form, folder))

        self.app.push_screen(Chooser("Export as", _FORMS), chosen)  # type: ignore[arg-type]

    def exported(self, report: Exported) -> None:
        files = " and ".join(str(path) if at == 0 else path.name for at, path in enumerate(report.paths))
        self.ui.flash(f"{report.records:,} requests written to {files}", "done")

    def action_costs_copy(self) -> None:
        pane = next((one for one in (self.spend, *self.beside.values()) if one.has_focus), None)
        if pane is not None:
            self.ui.copy_with_word(pane.plain, pane.TOPIC.lower())
            return
        rows = self.breakdown.rows
        if rows.selected is not None and rows.selected.record is not None:
            self.ui.copy_with_word(rows.selected.key, "the request's id")
        else:
            listed = rows.listed
            table = markdown_table(listed.head, [row.cells for row in listed.rows], sorted(listed.right))
            self.ui.copy_with_word("\n".join(table), "the breakdown")
