"""What the keys of the Health room do: asking, holding breakers, the monitor, the switch. Dialogs load when opened."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING

from providers.clock import random_id
from sandbox.core.figures import dollars
from sandbox.desks import ward
from sandbox.desks.ward import SPANS, Foreseen
from sandbox.tui import actions
from sandbox.tui.health.cards import CardPane, HealthCards
from sandbox.tui.health.detail import HealthDetail
from sandbox.tui.health.entries import Entry, ProviderEntry
from sandbox.tui.pieces import MUTED, NAME, PLAIN, WARN, Line
from sandbox.tui.rooms import Room
from sandbox.tui.state import UIState

if TYPE_CHECKING:
    from sandbox.core.events import HealthChecked
    from sandbox.tui.health.dialog import SwitchDialog
    from sandbox.tui.health.switching import Switching
    from sandbox.tui.health.visits import Visits
    from sandbox.tui.reports import Report

_DONE = {
    "force_open": "nobody asks it until r resets it",
    "force_close": "it is asked whatever happens, until r resets it",
    "disable": "its breaker counts nothing, until r resets it",
    "reset": "its breaker is closed, with nothing counted",
}


class HealthCommands(Room):
    ROOM = actions.HEALTH

    cards: HealthCards
    pane: CardPane
    detail: HealthDetail

    def __init__(self, state: UIState) -> None:
        super().__init__()
        self._state = state
        self.asking: dict[str, set[str]] = {}
        """The providers that a check by hand still waits for, by the check's id."""
        self._ended: dict[str, list[HealthChecked]] = {}
        self.agreed = False
        """A paid check was agreed to in this session."""
        self._dialog: SwitchDialog | None = None
        self._switching: Switching | None = None
        """A switch that is not over."""

    @cached_property
    def visits(self) -> Visits:
        from sandbox.tui.health.visits import Visits

        return Visits(self.ui.engine, self._state.health_span)

    @property
    def entry(self) -> Entry | None:
        return self.pane.entry

    @property
    def provider(self) -> str | None:
        """The provider that is looked at."""
        entry = self.entry
        return entry.id if isinstance(entry, ProviderEntry) else None

    def draw(self) -> None:
        raise NotImplementedError

    # --- checking -------------------------------------------------------------------------------------------------

    def action_health_check(self) -> None:
        if self.provider is not None:
            self.ask([self.provider])

    def action_health_check_all(self) -> None:
        seen = self.visits.seen
        if seen is not None:
            self.ask([provider.id for provider in seen.providers])

    def action_health_enable(self) -> None:
        if self.provider is not None:
            self.ask([self.provider], enable=True)

    def ask(self, ids: Sequence[str], *, enable: bool = False) -> None:
        """Check these now; `enable`: back in rotation first."""
        id = f"health-check-{random_id()}"
        self.asking[id], self._ended[id] = set(ids), []
        self.ui.engine.work(id, partial(ward.check, self.ui.engine.watchman, tuple(ids), enable, self.agreed))
        self.draw()

    def checked(self, event: HealthChecked) -> None:
        """One has answered, or not."""
        for id, waiting in self.asking.items():
            if event.provider in waiting:
                waiting.discard(event.provider)
                self._ended[id].append(event)

    def settled(self, id: str) -> None:
        """A check by hand is over: say what came of it."""
        self.asking.pop(id, None)
        found = self._ended.pop(id, [])
        if len(found) == 1:
            one = found[0]
            bad = one.error or "it is not well"
            self.ui.flash(f"{one.provider} is well" if one.is_healthy else f"{one.provider}: {bad}",
                          "done" if one.is_healthy else "error")  # fmt: skip
        elif found:
            well = sum(one.is_healthy for one in found)
            self.ui.flash(f"{well} of {len(found)} are well", "done" if well == len(found) else "warning")

    def action_health_stop(self) -> None:
        for id in list(self.asking):
            self.ui.engine.cancel(id)

    def foreseen(self, report: Foreseen) -> None:
        """It may cost money: ask first."""
        from sandbox.tui.dialogs import Confirm

        def decided(yes: bool | None) -> None:
            if not yes:
                self.ui.flash("nobody was asked", "done")
            elif report.ids:
                self.agreed = True
                self.ask(report.ids, enable=report.enable)
            else:
                self._begin_rounds(agreed=True)

        title, verb = ("Paid check", "ask") if report.ids else ("Paid monitor", "start")
        self.app.push_screen(Confirm(title, foreseen_lines(report), verb), decided)

    # --- the monitor ----------------------------------------------------------------------------------------------

    def action_health_watch(self) -> None:
        seen = self.visits.seen
        if seen is None:
            return
        self._state.health_watch = not seen.watched
        if seen.watched:
            self.ui.engine.errand(partial(ward.end_rounds, self.ui.engine.watchman))
            self.ui.flash("the monitor is off: w starts it again", "done")
        else:
            self._begin_rounds(agreed=False)
        self.visits.afresh()
        self.ui.save_state()

    def _begin_rounds(self, *, agreed: bool) -> None:
        self.ui.engine.errand(partial(ward.begin_rounds, self.ui.engine.watchman, agreed))
        self.visits.afresh()

    # --- breakers -------------------------------------------------------------------------------------------------

    def action_health_force_open(self) -> None:
        self._command("force_open")

    def action_health_force_close(self) -> None:
        self._command("force_close")

    def action_health_unguard(self) -> None:
        self._command("disable")

    def action_health_reset(self) -> None:
        self._command("reset")

    def _command(self, command: str) -> None:
        if self.provider is not None:
            self.ui.engine.breaker(self.provider, command)
            self.visits.stir()
            self.ui.flash(f"{self.provider}: {_DONE[command]}", "done")

    # --- the switch -----------------------------------------------------------------------------------------------

    def action_health_switch(self) -> None:
        from sandbox.tui.dialogs import Chooser
        from sandbox.tui.health.switching import offers

        kept = self.visits.kept
        if self._switching is not None:
            self.ui.flash("a switch is under way", "warning")
        elif kept is None:
            self.ui.flash("the stores are being looked at: try again in a moment", "warning")
        else:
            self.app.push_screen(Chooser("Switch the backend", offers(kept.stores)), self._switch)

    def _switch(self, value: str | None) -> None:
        from sandbox.tui.health.dialog import SwitchDialog
        from sandbox.tui.health.switching import Switching, wanted_of

        if value is None:
            return
        loaded, now = self.ui.loaded, self.ui.clock.time_us
        file = None if loaded is None else loaded.config_file
        wanted = wanted_of(value)
        winning = [] if loaded is None else map(str, loaded.over_the_file("backend", *wanted.keys))
        self._switching = Switching(
            f"health-switch-{random_id()}", wanted, file, now(), until=self.ui.frame.until, winning=tuple(winning)
        )
        self._dialog = SwitchDialog(self._switching, self.ui.engine, now)
        self.app.push_screen(self._dialog, self._left)

    def _left(self, _: None) -> None:
        self._dialog = None
        if self._switching is not None and self._switching.stage != "moving":
            self._switching = None

    def switched(self, report: Report) -> None:
        """Something is known of a switch: the dialog shows it, or where it was left the notice line."""
        from sandbox.desks.places import Moved
        from sandbox.stores import with_backends

        switching = self._switching
        if switching is None:
            return
        if isinstance(report, Moved) and report.id == switching.id:
            # What is opened from them next, for another mode, is to know it too.
            self.ui.engine.settings = with_backends(self.ui.engine.settings, report.backends)
            self.visits.afresh()
        if self._dialog is not None:
            self._dialog.take(report)
        elif switching.take(report, self.ui.clock.time_us()):
            self._switching = None
            self.ui.flash(*switching.outcome)

    # --- looking --------------------------------------------------------------------------------------------------

    def action_health_span(self) -> None:
        names = list(SPANS)
        self.visits.span = names[(names.index(self.visits.span) + 1) % len(names)]
        self.visits.afresh()
        self.draw()

    def action_health_more(self) -> None:
        from sandbox.tui.dialogs import Reader

        entry = self.entry
        if entry is not None:
            id = entry.id

            def write(width: int) -> list[Line]:
                shown = next((one for one in self.pane.entries if one.id == id), None)
                return [] if shown is None else shown.detail(width)

            title = "".join(text for text, _ in entry.title())
            self.app.push_screen(Reader(title, write, live=lambda: True, wide=True))

    def action_health_filter(self) -> None:
        self.cards.start_filter()

    def action_health_copy(self) -> None:
        if self.entry is not None:
            width = max(60, self.detail.columns)
            text = "\n".join("".join(piece for piece, _ in line).rstrip() for line in self.entry.detail(width))
            self.ui.copy_with_word(text, self.entry.id)

    def action_health_cards(self) -> None:
        self.pane.focus()

    def action_health_detail(self) -> None:
        self.detail.focus()


def foreseen_lines(report: Foreseen) -> list[Line]:
    """What asking costs, for a person to agree to."""
    lines: list[Line] = [[("A check asks a provider for one token, for real money. At most it costs:", PLAIN)], []]
    for one in report.estimates[:6]:
        cost = "nothing" if one.free else dollars(one.cost_usd)
        lines.append(
            [(f"  {one.contestant.provider:<14}", NAME), (f"{one.contestant.model:<28}", PLAIN), (f"{cost:>12}", WARN)]
        )
    if len(report.estimates) > 6:
        lines.append([(f"  and {len(report.estimates) - 6} more", MUTED)])
    unknown = f", beside {report.unknown} whose price is unknown" if report.unknown else ""
    lines += [[], [(f"Together {dollars(report.total_usd)}{unknown}.", PLAIN)]]
    if report.hourly_usd is not None:
        lines.append([(f"The monitor goes on until you stop it: {dollars(report.hourly_usd)} an hour{unknown}.", WARN)])
    else:
        lines.append([("You are asked once in a session.", MUTED)])
    if report.recorded:
        lines.append([("In RECORD mode each check is kept as a recording too.", MUTED)])
    return lines
