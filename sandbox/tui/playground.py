"""The first room: ask, watch the answer and the route it took, break a provider, ask again.

What the first paint does not need (stories, dialogs, the history's list, Markdown) loads after it.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical

from sandbox.tui import actions
from sandbox.tui.answer import NOT_KEPT, AnswerPane
from sandbox.tui.pieces import BAD, FAILED, MUTED, PLAIN, WARN, Line
from sandbox.tui.playground_commands import PlaygroundCommands
from sandbox.tui.prompt import SUGGESTIONS, Controls, PromptEditor
from sandbox.tui.rooms import Target
from sandbox.tui.route import RoutePane
from sandbox.tui.state import Entry, UIState

if TYPE_CHECKING:
    from sandbox.core.events import Event
    from sandbox.tui.conversation import Conversation, Run
    from sandbox.tui.history import HistoryPane
    from sandbox.tui.reports import Ask, Estimated, Opened, Report

PAINT_US = 80_000
"""How often a running request is drawn, a frame of the spinner too: smooth to read, and with time left for keys."""


class Playground(PlaygroundCommands):
    TOPIC = "Playground"
    HINTED = True
    HELP = "Ask a question, watch its route, break a provider and ask again."
    BINDINGS: ClassVar[list[BindingType]] = [*actions.bindings(actions.PLAYGROUND)]

    def __init__(self, state: UIState) -> None:
        super().__init__()
        self._state = state
        self._history: HistoryPane | None = None
        self._recalled: int | None = None
        self._drawn_us = self._route_us = 0
        self._steps: tuple[int, str] = (0, "")
        self._stirred = False
        """Something has happened since the route was drawn."""

    @cached_property
    def talk(self) -> Conversation:
        from sandbox.tui.conversation import Conversation

        return Conversation(self.ui.engine, self._state, self.ui.clock)

    # --- the room -------------------------------------------------------------------------------------------------

    def compose(self) -> ComposeResult:
        with Vertical(id="question") as box:
            box.border_title = "Prompt"
            yield PromptEditor()
            yield Controls()
        yield RoutePane()
        yield AnswerPane()

    def on_mount(self) -> None:
        self.editor = self.query_one(PromptEditor)
        self.controls = self.query_one(Controls)
        self.answer = self.query_one(AnswerPane)
        self.route = self.query_one(RoutePane)
        self.editor.placeholder = self._suggestion
        # What was sent already may be replaced by the next letter; a draft may not.
        sent = any(entry.prompt == self._state.prompt for entry in self._state.history)
        self.editor.put(self._state.prompt, selected=sent)
        self.controls.model, self.controls.via = self._state.model, self._state.via
        self.controls.strategy = self._state.strategy or self.controls.strategy
        self.controls.preset = self.ui.frame.preset

    async def _complete(self) -> None:
        """What the first answer does not wait for: loaded while the gateway waits for it."""
        from sandbox.tui.history import HistoryPane

        if self._history is None:
            self._history = HistoryPane(self._state.history)
            await self.mount(self._history)
            self.lay_out()

    def enter(self) -> None:
        self.query_one(PromptEditor).focus()
        if self._talking and self.talk.shown is not None:
            # Whatever happened behind another room was not drawn.
            self.call_after_refresh(self._draw_shown, self.talk.shown)

    @property
    def _suggestion(self) -> str:
        return SUGGESTIONS[len(self._state.history) % len(SUGGESTIONS)]

    @property
    def _talking(self) -> bool:
        """Whether there is a conversation: before the first paint nobody needs its modules."""
        return "talk" in self.__dict__

    def facts(self) -> set[str]:
        facts = set()
        if self._talking:
            talk = self.talk
            if talk.running is not None:
                facts.add("running")
            if talk.shown is not None:
                facts.add("asked")
            if self.answer.text:
                facts.add("text")
        if self._state.history:
            facts.add("history")
        if self._following:
            facts.add("following")
        if self.ui.visitors.latest is not None:
            facts.add("visited")
        return facts

    def remember(self, state: UIState) -> None:
        state.prompt = self.editor.text
        state.model, state.via = self.controls.model, self.controls.via

    def targets(self) -> list[Target]:
        controls = self.controls
        found = [Target("i", self.editor, "app.perform('focus_prompt')", -1)]
        at = 0
        cells, _ = controls.cells(controls.size.width)
        gap = cells[1].width
        for key, cell in zip("mvsp", cells[::2], strict=True):
            found.append(Target(key, controls, cell.command or "", at))
            at += cell.width + gap
        found.append(Target("a", self.answer, "app.focus_on('answer')"))
        if self._history is not None:
            # On a narrow screen both titles stand on whichever of the two is shown.
            narrow = self.ui.is_narrow
            shown = self._history if narrow and self._state.lower == "history" else self.route
            found.append(Target("r", shown, "app.focus_on('route')"))
            where, dx = (shown, 10) if narrow else (self._history, 2)
            found.append(Target("h", where, "app.perform('focus_history')", dx))
        return found

    # --- what the engine tells ------------------------------------------------------------------------------------

    def on_bus_event(self, event: Event) -> None:
        self._stirred = True
        ended = self.talk.take(event)
        if ended is not None:
            self._ended(ended)

    def on_report(self, report: Report) -> None:
        from sandbox.tui.reports import Estimated, Opened, Unavailable

        ended = self.talk.report(report)
        if ended is not None:
            self._ended(ended)
        if isinstance(report, (Opened, Unavailable)) and self._history is None:
            self.run_worker(self._complete())
        if isinstance(report, Opened):
            self._take_over(report)
        elif isinstance(report, Estimated):
            self._confirm(report)
        elif isinstance(report, Unavailable) and self.talk.opened is None:
            self.answer.empty("")
            self.answer.verdict([[(f"{FAILED} The gateway could not be opened", BAD)], [(report.message, PLAIN)]])

    def _take_over(self, opened: Opened) -> None:
        controls = self.controls
        controls.preset = opened.preset
        if controls.via not in {info.id for info in opened.providers}:
            controls.via = None
        if self._state.strategy not in opened.strategies:
            self._state.strategy = None
            controls.strategy = opened.strategy
        controls.redraw()

    def _ended(self, run: Run) -> None:
        from sandbox.tui.hints import milestones

        self.controls.running = False
        self.controls.redraw()
        if run is self.talk.shown:
            self._judge(run)
            self._draw_shown(run)
            self.answer.finish()
        self._refresh_history()
        self.ui.guide.learn(milestones(run.story))
        self.ui.save_state()

    # --- drawing --------------------------------------------------------------------------------------------------

    def tick(self, now_us: int) -> None:
        self._visited(now_us)
        run = self.talk.shown if self._talking else None
        if run is not None and now_us - self._drawn_us >= PAINT_US and (not run.settled or self._stirred):
            # Between two steps of the route only its times grow.
            steps = (len(run.story.steps), run.story.status)
            whole = steps != self._steps or now_us - self._route_us >= 3 * PAINT_US
            self._steps = steps
            self._draw_shown(run, whole=whole)

    def _draw_shown(self, run: Run, *, whole: bool = True) -> None:
        from sandbox.tui.drawing import activity, counts

        now_us = self.ui.clock.time_us()
        self._drawn_us, self._stirred = now_us, False
        frame = now_us // PAINT_US
        self.answer.show(run.story.text)
        if whole:
            self._route_us = now_us
            self.route.draw(run.story, now_us, frame, run.notes)
        active = not run.settled
        self.answer.border_subtitle = (
            activity(run.story, now_us, run.entry.at_us, frame) if active else counts(run.story)
        )

    def _judge(self, run: Run) -> None:
        """Below the answer: what went wrong and what to do about it."""
        from sandbox.tui.breakage import advice

        story = run.story
        lines: list[Line] = []
        if story.status == "failed":
            failed = {attempt.provider for attempt in story.attempts if attempt.outcome == "failed"}
            where = f" at {failed.pop()}" if len(failed) == 1 else ""
            told = advice(
                story.error_type or "", broken=self.ui.board.broken, retry_after_s=story.retry_after_s, mode=story.mode
            )
            lines = [
                [(f"{FAILED} {story.error_type}{where}", f"bold {BAD}")],
                [(story.error_message or "", PLAIN)],
                [(told, MUTED)],
            ]
        elif story.status == "cancelled":
            kept = "what had come is kept" if story.text else "nothing had come"
            lines = [[(f"■ Cancelled: {kept}. r asks again.", WARN)]]
        self.answer.verdict(lines)

    def _show(self, run: Run) -> None:
        story = run.story
        self.answer.empty(NOT_KEPT if run.settled and story.status == "done" and not story.text else "")
        self._judge(run)
        self._draw_shown(run)

    def _refresh_history(self) -> None:
        if self._history is not None:
            shown = self.talk.shown
            self._history.refresh_rows(shown.id if shown is not None else None)

    # --- asking ---------------------------------------------------------------------------------------------------

    @on(PromptEditor.Submitted)
    def _submitted(self) -> None:
        self.ui.perform("send")

    def action_send(self) -> None:
        if not self.editor.text.strip():
            self.editor.put(self._suggestion)
        self.ask(self.editor.text)

    def ask(self, prompt: str, *, model: str | None = None, again: bool = False) -> None:
        """Send a question with the choices below the prompt; `again`: past the cache."""
        from sandbox.tui.reports import Ask

        ask = Ask(
            prompt=prompt,
            model=model if model is not None else self.controls.model,
            provider=self.controls.via,
            strategy=self._state.strategy,
            # A cached answer would hide what was broken.
            no_cache=again or bool(self.ui.board.broken),
        )
        if self.talk.needs_consent():
            self.talk.hold(ask, again=again)
            self.ui.flash("working out what this may cost …", "done")
        else:
            self._start(ask, again=again)

    def _start(self, ask: Ask, *, again: bool) -> None:
        self.begin(ask, again=again)
        self.answer.focus()
        self.editor.select_all()
        self.editor.placeholder = self._suggestion
        self.ui.guide.learn({"asked"})

    def begin(self, ask: Ask, *, again: bool) -> Run:
        """Send a question and show it here, whatever has the focus."""
        self._following = False
        run = self.talk.start(ask, again=again)
        self._recalled = None
        self._show(run)
        self.controls.running = True
        self.controls.redraw()
        self._refresh_history()
        return run

    def _confirm(self, estimated: Estimated) -> None:
        held = self.talk.release(estimated.ask)
        if held is None:
            return
        if estimated.error is not None:
            self.ui.flash(estimated.error, "error")
            return
        from sandbox.tui.dialogs import Confirm
        from sandbox.tui.explain import estimate_lines

        def decided(yes: bool | None) -> None:
            if yes:
                self.talk.agreed = True
                self._start(held[0], again=held[1])
            else:
                self.ui.flash("not sent; the prompt is still there", "done")
                self.editor.focus()

        self.app.push_screen(Confirm("Paid call", estimate_lines(estimated), "ask"), decided)

    def action_cancel(self) -> None:
        self.talk.cancel()

    def _selected(self) -> Entry | None:
        """The history's highlighted row while the history has the focus, else what is shown."""
        chosen = self._history.selected if self._history is not None else None
        shown = self.talk.shown
        return chosen or (shown.entry if shown is not None else None)

    def action_resend(self) -> None:
        entry = self._selected()
        if entry is not None:
            self.editor.put(entry.prompt, selected=True)
            self.ask(entry.prompt, model=entry.model, again=True)

    def action_resend_model(self) -> None:
        entry = self._selected()
        if entry is not None:
            self.choose("Send again to", "models", entry.model, lambda model: self._resend_to(entry, model))

    def _resend_to(self, entry: Entry, model: str) -> None:
        self.editor.put(entry.prompt, selected=True)
        self.ask(entry.prompt, model=model, again=True)

    # --- the history ----------------------------------------------------------------------------------------------

    @on(PromptEditor.Recall)
    def _recall(self, message: PromptEditor.Recall) -> None:
        prompts = list(dict.fromkeys(entry.prompt for entry in reversed(self._state.history)))
        at = (-1 if self._recalled is None else self._recalled) - message.direction
        if 0 <= at < len(prompts):
            self._recalled = at
            self.editor.put(prompts[at])
        elif at < 0 and self._recalled is not None:
            self._recalled = None
            self.editor.put("")

    # --- layout and focus -----------------------------------------------------------------------------------------

    def lay_out(self, lower: str | None = None) -> None:
        """What a narrow screen shows below the answer; a wide one shows both."""
        chosen = self._state.lower = lower or self._state.lower
        self.set_class(chosen == "history", "-history-below")
        narrow = self.ui.is_narrow
        # Cells of a grid are filled in order: beside the prompt and the answer, or below them.
        if (self.children.index(self.route) > self.children.index(self.answer)) != narrow:
            if narrow:
                self.move_child(self.route, after=self.answer)
            else:
                self.move_child(self.route, before=self.answer)
        titles = {"route": "Route", "history": "History"}
        if narrow:
            for active in titles:
                titles[active] = " │ ".join(
                    f"[bold]{name}[/]" if key == active else f"[not bold @click=app.lower({key!r})]{name}[/]"
                    for key, name in (("route", "Route"), ("history", "History"))
                )
        self.route.border_title = titles["route"]
        if self._history is not None:
            self._history.border_title = titles["history"]
        if self._talking and self.talk.shown is not None:
            self.call_after_refresh(self._draw_shown, self.talk.shown)

    def action_switch_lower(self) -> None:
        self.lay_out("history" if self._state.lower == "route" else "route")

    def action_focus_prompt(self) -> None:
        self.editor.focus()

    def on_key(self, event: events.Key) -> None:
        """Escape, and letters that mean nothing where the focus is, go to the prompt."""
        if self.ui.is_typing:
            return
        if event.key == "escape" and "running" not in self.facts():
            event.stop()
            self.editor.focus()
        elif event.is_printable and event.character and not actions.means_something(event.key, self.ROOM):
            event.stop()
            self.editor.focus()
            self.editor.delete(*self.editor.selection)
            self.editor.insert(event.character)
