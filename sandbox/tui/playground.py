"""The first room: ask, watch the answer and the route it took, break a provider, ask again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container, Vertical
from textual.widgets import TextArea

from providers.errors import InputError
from sandbox.core.events import Event
from sandbox.core.figures import dollars
from sandbox.tui import actions
from sandbox.tui.answer import AnswerPane
from sandbox.tui.breakage import HEAL, advice
from sandbox.tui.drawing import BAD, DOT, FAILED, GOOD, MUTED, NAME, OK, PLAIN, WARN, Line, activity, counts
from sandbox.tui.engine import Ask, Estimated, Opened, ProviderInfo, Refused, Report, Settled, Unavailable
from sandbox.tui.hints import milestones
from sandbox.tui.prompt import SUGGESTIONS, Controls, PromptEditor
from sandbox.tui.rooms import Room, Target
from sandbox.tui.route import RoutePane
from sandbox.tui.state import Entry, UIState
from sandbox.tui.story import RequestStory

if TYPE_CHECKING:
    from sandbox.tui.app import SandboxApp
    from sandbox.tui.history import HistoryPane

SPINNER_US = 100_000
"""A frame of the spinner, and how often a running route is drawn anew though nothing has happened."""
ANSWER_EMPTY = "The answer appears here while it is written.\n\nEnter sends what the prompt says; an empty prompt sends the suggestion."


@dataclass(slots=True)
class Run:
    """One question of this session (or an old one shown again) with all that is known of it."""

    entry: Entry
    story: RequestStory
    notes: tuple[str, ...] = ()
    """What is special about it, for the route's first line."""
    events: list[Event] = field(default_factory=list)
    asked_us: int = 0
    settled: bool = False


class Playground(Room):
    ROOM = actions.PLAYGROUND
    HELP = "Ask a question, watch its route, break a provider and ask again."
    BINDINGS: ClassVar[list[BindingType]] = [*actions.bindings(actions.PLAYGROUND)]

    def __init__(self, state: UIState) -> None:
        super().__init__()
        self._state = state
        self._opened: Opened | None = None
        self._run: Run | None = None
        """The one that is under way."""
        self._shown: Run | None = None
        """The one that is on the screen."""
        self._agreed = False
        """Paid calls were agreed to in this session."""
        self._waiting: Ask | None = None
        """A paid question whose estimate was asked for."""
        self._recalled: int | None = None
        self._spun_us = 0
        self._history: HistoryPane | None = None

    # --- the room -------------------------------------------------------------------------------------------------

    def compose(self) -> ComposeResult:
        with Container(id="upper"):
            with Vertical(id="left"):
                with Vertical(id="question") as box:
                    box.border_title = "Prompt"
                    yield PromptEditor()
                    yield Controls()
                yield AnswerPane()
            yield RoutePane()
        yield Container(id="lower")

    def on_mount(self) -> None:
        editor, controls = self.editor, self.controls
        editor.placeholder = self.suggestion
        editor.put(self._state.prompt, selected=True)
        controls.model, controls.via = self._state.model, self._state.via
        controls.strategy = self._state.strategy or controls.strategy
        self.answer.empty(ANSWER_EMPTY)
        self.answer.verdict([])
        self.show_lower(self._state.lower)
        self.call_after_refresh(self._complete)

    async def _complete(self) -> None:
        """What the first paint does not need."""
        from sandbox.tui.history import HistoryPane

        self._history = HistoryPane(self._state.history)
        await self.query_one("#lower").mount(self._history)
        self.show_lower(self._state.lower)
        self.run_worker(self.answer.prepare(), exit_on_error=True)

    @property
    def ui(self) -> SandboxApp:
        from sandbox.tui.app import SandboxApp

        app = self.app
        assert isinstance(app, SandboxApp)  # noqa: S101  nobody else has rooms
        return app

    @property
    def editor(self) -> PromptEditor:
        return self.query_one(PromptEditor)

    @property
    def controls(self) -> Controls:
        return self.query_one(Controls)

    @property
    def answer(self) -> AnswerPane:
        return self.query_one(AnswerPane)

    @property
    def route(self) -> RoutePane:
        return self.query_one(RoutePane)

    @property
    def _mode(self) -> str:
        return self._opened.mode if self._opened is not None else self.ui.settings.mode

    @property
    def suggestion(self) -> str:
        return SUGGESTIONS[len(self._state.history) % len(SUGGESTIONS)]

    def enter(self) -> None:
        self.editor.focus()

    def facts(self) -> set[str]:
        facts = set()
        if self._opened is not None:
            facts.add("opened")
        if self._run is not None:
            facts.add("running")
        if self._shown is not None:
            facts.add("asked")
            if self.answer.text:
                facts.add("text")
        if self._state.history:
            facts.add("history")
        return facts

    def remember(self, state: UIState) -> None:
        state.prompt = self.editor.text
        controls = self.controls
        state.model, state.via = controls.model, controls.via

    def targets(self) -> list[Target]:
        controls = self.controls
        found = [Target("i", self.editor, "app.perform('focus_prompt')", -1)]
        at = 0
        for key, cell in zip("mvsp", controls.cells(controls.size.width)[0][::2], strict=False):
            found.append(Target(key, controls, cell.command or "", at))
            at += cell.width + 3
        found.append(Target("a", self.answer, "app.focus_on('answer')"))
        if self.route.display:
            found.append(Target("r", self.route, "app.focus_on('route')"))
        if self._history is not None and self._history.display:
            found.append(Target("h", self._history, "app.perform('focus_history')"))
        return found

    # --- what the engine tells ------------------------------------------------------------------------------------

    def on_bus_event(self, event: Event) -> None:
        run = self._run
        if run is None:
            return
        if run.story.apply(event):
            run.events.append(event)
            if run.story.ended:
                self._end(run)

    def on_report(self, report: Report) -> None:
        if isinstance(report, Opened):
            self._take_over(report)
        elif isinstance(report, Estimated):
            self._confirm(report)
        elif isinstance(report, Refused):
            self._fail(report.request_id, report.error_type, report.message)
        elif isinstance(report, Settled):
            # Cancelled before the gateway had begun, so no event tells of it.
            if self._run is not None and self._run.entry.request_id == report.request_id:
                self._run.story.status = "cancelled"
                self._end(self._run)
        elif isinstance(report, Unavailable) and self._opened is None:
            self.answer.empty("")
            self.answer.verdict([[(f"{FAILED} The gateway could not be opened", BAD)], [(report.message, PLAIN)]])

    def _take_over(self, opened: Opened) -> None:
        first = self._opened is None
        self._opened = opened
        controls = self.controls
        controls.preset = opened.preset
        if controls.via is not None and controls.via not in {info.id for info in opened.providers}:
            controls.via = None
        if not first or self._state.strategy not in opened.strategies:
            self._state.strategy = None
            controls.strategy = opened.strategy
        controls.redraw()

    def _fail(self, request_id: str, error_type: str, message: str) -> None:
        run = self._run
        if run is None or run.entry.request_id != request_id:
            return
        run.story.status, run.story.error_type, run.story.error_message = "failed", error_type, message
        run.story.mode = run.story.mode or run.entry.mode
        self._end(run)

    def _end(self, run: Run) -> None:
        run.settled = True
        run.entry.settle(run.story, run.events)
        self._run = None
        self.controls.running = False
        self.controls.redraw()
        if run is self._shown:
            self._draw_verdict(run)
        if self._history is not None:
            self._history.refresh_rows()
        self.ui.guide.learn(milestones(run.story))
        self.ui.save_state()

    # --- drawing --------------------------------------------------------------------------------------------------

    def tick(self, now_us: int, frame: int) -> None:
        run = self._shown
        if run is None:
            self.route.draw(None, now_us, 0, ())
            return
        active = run is self._run
        if not active or now_us - self._spun_us >= SPINNER_US or not run.story.ended:
            self.answer.show(run.story.text)
        if active and now_us - self._spun_us < SPINNER_US:
            return
        self._spun_us = now_us
        frame = now_us // SPINNER_US
        self.route.draw(run.story, now_us, frame, run.notes)
        story = run.story if run.story.request_id and run.story.mode else None
        answer = self.answer
        answer.border_subtitle = activity(story, now_us, run.asked_us, frame) if active else counts(run.story)
        self.route.border_subtitle = f"request {run.entry.request_id[:8]}"

    def _draw_verdict(self, run: Run) -> None:
        story = run.story
        lines: list[Line] = []
        if story.status == "failed":
            who = {attempt.provider for attempt in story.attempts if attempt.outcome == "failed"}
            title = story.error_type or "failed"
            if len(who) == 1:
                title += f" at {who.pop()}"
            lines = [[(f"{FAILED} {title}", f"bold {BAD}")], [(story.error_message or "", PLAIN)]]
            told = advice(
                story.error_type or "", broken=self.ui.board.broken, retry_after_s=story.retry_after_s, mode=story.mode
            )
            lines.append([(told, MUTED)])
        elif story.status == "cancelled":
            kept = "what had come is kept" if story.text else "nothing had come"
            lines = [[(f"■ Cancelled: {kept}. r sends again.", WARN)]]
        self.answer.verdict(lines)

    def _show(self, run: Run) -> None:
        self._shown = run
        self._spun_us = 0
        answer = self.answer
        answer.empty("")
        answer.show(run.story.text)
        self._draw_verdict(run)
        if run.settled and run.story.status == "done" and not run.story.text:
            answer.empty(
                "The answer was not kept: prompts and answers are stored only by usage.store_prompts. r sends again."
            )

    # --- asking ---------------------------------------------------------------------------------------------------

    @on(PromptEditor.Submitted)
    def _submitted(self) -> None:
        self.ui.perform("send")

    def action_send(self) -> None:
        editor = self.editor
        if not editor.text.strip():
            editor.put(self.suggestion)
        self.ask(editor.text)

    def ask(self, prompt: str, *, model: str | None = None, again: bool = False) -> None:
        """Send a question with the choices of the controls; `again`: past the cache."""
        if self._run is not None:
            self.ui.flash("a request is under way: Escape cancels it", "warning")
            return
        controls = self.controls
        broken = self.ui.board.broken
        ask = Ask(
            prompt=prompt,
            model=model or controls.model,
            provider=controls.via,
            strategy=self._state.strategy,
            no_cache=again or bool(broken),
        )
        if self._mode == "live" and not self._agreed:
            self._waiting = ask
            self.ui.engine.estimate(ask)
            self.ui.flash("working out what this may cost …", "done")
            return
        self._start(ask, again=again)

    def _start(self, ask: Ask, *, again: bool = False) -> None:
        now_us = self.ui.clock.time_us()
        request_id = self.ui.engine.submit(ask)
        entry = Entry(
            request_id, now_us, ask.prompt, ask.model, ask.provider, ask.strategy,
            mode=self._mode,
        )  # fmt: skip
        notes = []
        if again:
            notes.append("sent again, past the cache")
        elif ask.no_cache:
            notes.append("cache off while a provider is broken")
        run = Run(entry, RequestStory(request_id), tuple(notes), asked_us=now_us)
        self._state.remember(entry)
        self._run = run
        self._recalled = None
        self._show(run)
        self.controls.running = True
        self.controls.redraw()
        self.answer.focus()
        self.editor.placeholder = self.suggestion
        self.ui.guide.learn({"asked"})
        if self._history is not None:
            self._history.refresh_rows()

    def _confirm(self, estimated: Estimated) -> None:
        ask, self._waiting = self._waiting, None
        if ask is None or estimated.ask is not ask:
            return
        if estimated.error is not None:
            self.ui.flash(estimated.error, "error")
            return
        from sandbox.tui.dialogs import Confirm

        lines: list[Line] = [
            [("This asks real providers, for real money. At most it costs:", PLAIN)],
            [],
        ]
        for provider, model, usd in estimated.candidates[:4]:
            lines.append([(f"  {provider:<14}", NAME), (f"{model:<28}", PLAIN), (f"{dollars(usd):>12}", WARN)])
        if len(estimated.candidates) > 4:
            lines.append([(f"  and {len(estimated.candidates) - 4} more, asked only if these fail", MUTED)])
        lines += [[], [("You are asked once in a session.", MUTED)]]

        def decided(yes: bool | None) -> None:
            if yes:
                self._agreed = True
                self._start(ask)
            else:
                self.ui.flash("not sent; the prompt is still there", "done")
                self.editor.focus()

        self.app.push_screen(Confirm("Paid call", lines, "ask"), decided)

    def action_cancel(self) -> None:
        if self._run is not None:
            self.ui.engine.cancel(self._run.entry.request_id)

    def action_resend(self) -> None:
        entry = self._selected()
        if entry is not None:
            self.editor.put(entry.prompt, selected=True)
            self.ask(entry.prompt, model=entry.model, again=True)

    def action_resend_model(self) -> None:
        entry = self._selected()
        if entry is None:
            return

        def chosen(model: str | None) -> None:
            if model is not None:
                self.ask(entry.prompt, model=model or None, again=True)

        self._choose("Send again to", self._models(), entry.model or "", chosen)

    def _selected(self) -> Entry | None:
        """The history's highlighted row while the history has the focus, else what is shown."""
        chosen = self._history.selected if self._history is not None else None
        return chosen or (self._shown.entry if self._shown is not None else None)

    # --- the history ----------------------------------------------------------------------------------------------

    def on_history_pane_chosen(self, message: HistoryPane.Chosen) -> None:
        entry = message.entry
        if self._run is not None and self._run.entry is entry:
            self._show(self._run)
            return
        try:
            story = entry.story()
        except InputError:
            # A line of an older version: what the row says is still true.
            story = RequestStory(entry.request_id, status="done", mode=entry.mode)
        self._show(Run(entry, story, ("shown again",), settled=True))
        self.editor.put(entry.prompt, selected=True)

    @on(PromptEditor.Recall)
    def _recall(self, message: PromptEditor.Recall) -> None:
        prompts = list(dict.fromkeys(entry.prompt for entry in reversed(self._state.history)))
        if not prompts:
            return
        at = -1 if self._recalled is None else self._recalled
        at -= message.direction
        if at < 0:
            self._recalled = None
            self.editor.put("")
        elif at < len(prompts):
            self._recalled = at
            self.editor.put(prompts[at])

    def action_focus_history(self) -> None:
        self.show_lower("history")
        if self._history is not None:
            self._history.focus_rows()

    def action_filter_history(self) -> None:
        self.show_lower("history")
        if self._history is not None:
            self._history.start_filter()

    def action_clear_history(self) -> None:
        self._state.history.clear()
        if self._history is not None:
            self._history.refresh_rows()
        self.ui.save_state()
        self.ui.flash("the history is empty", "done")

    # --- layout and focus -----------------------------------------------------------------------------------------

    def show_lower(self, which: str) -> None:
        """What a narrow screen shows below the answer; a wide one shows both."""
        self._state.lower = which
        self.set_class(which == "history", "-history-below")
        tabs = [("route", "Route"), ("history", "History")]
        narrow = self.ui.is_narrow

        def title(active: str) -> str:
            if not narrow:
                return dict(tabs)[active]
            return " │ ".join(
                f"[bold]{name}[/]" if key == active else f"[$foreground-muted @click=app.lower({key!r})]{name}[/]"
                for key, name in tabs
            )

        self.route.border_title = title("route")
        if self._history is not None:
            self._history.border_title = title("history")

    def action_switch_lower(self) -> None:
        self.show_lower("history" if self._state.lower == "route" else "route")

    def action_focus_prompt(self) -> None:
        self.editor.focus()

    async def on_key(self, event: events.Key) -> None:
        """Escape and letters that mean nothing here go to the prompt."""
        if isinstance(self.app.focused, TextArea) or self.ui.is_typing:
            return
        if event.key == "escape" and self._run is None:
            event.stop()
            self.editor.focus()
        elif event.is_printable and event.character and event.key not in self.screen.active_bindings:
            event.stop()
            self.editor.focus()
            self.editor.replace(event.character, *self.editor.selection)

    # --- choosing -------------------------------------------------------------------------------------------------

    def _choose(self, title: str, choices: list[tuple[str, str, str]], current: str, then: Callable[[str | None], None]) -> None:
        from sandbox.tui.dialogs import Choice, Chooser

        self.app.push_screen(Chooser(title, [Choice(*one) for one in choices], current), then)

    def _models(self) -> list[tuple[str, str, str]]:
        assert self._opened is not None  # noqa: S101
        own = {info.model: info.id for info in self._opened.providers}
        return [
            ("", "any", "each provider answers with its own"),
            *((name, name, f"{own[name]}'s own" if name in own else "") for name in self._opened.models),
        ]

    def action_choose_model(self) -> None:
        def chosen(model: str | None) -> None:
            if model is not None:
                self.controls.model = self._state.model = model or None
                self.controls.redraw()

        self._choose("Model", self._models(), self.controls.model or "", chosen)

    def action_choose_provider(self) -> None:
        def chosen(provider: str | None) -> None:
            if provider is not None:
                self.controls.via = self._state.via = provider or None
                self.controls.redraw()

        assert self._opened is not None  # noqa: S101
        choices = [("", "chain", "in the order of the strategy")]
        choices += [(info.id, info.id, f"first, then the chain · {info.model}") for info in self._opened.providers]
        self._choose("Ask first", choices, self.controls.via or "", chosen)

    def action_choose_strategy(self) -> None:
        def chosen(strategy: str | None) -> None:
            if strategy is not None:
                self.controls.strategy = self._state.strategy = strategy
                self.controls.redraw()

        assert self._opened is not None  # noqa: S101
        what = {
            "priority": "the order of the chain", "least_cost": "the cheapest for this prompt first",
            "least_latency": "the fastest so far first", "round_robin": "each in turn",
            "random": "any order", "weighted": "by the weights in the settings",
        }  # fmt: skip
        choices = [(name, name, what.get(name, "")) for name in self._opened.strategies]
        self._choose("Routing strategy", choices, self.controls.strategy, chosen)

    def action_choose_preset(self) -> None:
        def chosen(preset: str | None) -> None:
            if preset is not None:
                self.ui.engine.use_preset(preset)

        assert self._opened is not None  # noqa: S101
        choices = [(name, name, "") for name in self._opened.presets]
        self._choose("Preset: failover policy", choices, self._opened.preset, chosen)

    # --- breaking and healing -------------------------------------------------------------------------------------

    def action_break(self) -> None:
        self.break_provider(self._first_of_plan())

    def _first_of_plan(self) -> str:
        if self.controls.via is not None:
            return self.controls.via
        if self._shown is not None and self._shown.story.plan:
            return self._shown.story.plan[0].provider
        assert self._opened is not None  # noqa: S101
        return self._opened.providers[0].id

    def break_provider(self, provider: str) -> None:
        """Ask what to do to a provider, and do it."""
        from sandbox.tui.dialogs import FaultDialog

        def chosen(result: tuple[str, str] | None) -> None:
            if result is not None:
                self._provoke(*result)

        lights = self.ui.board.lights.values()
        self.app.push_screen(FaultDialog([(light.id, light.fault) for light in lights], provider), chosen)

    def _provoke(self, provider: str, what: str) -> None:
        from providers.faults import parse_fault
        from sandbox.tui.breakage import COMMANDS

        engine = self.ui.engine
        if what == HEAL:
            engine.provoke(provider, None)
            self.ui.flash(f"{provider} answers again", "done")
        elif what in {command for command, _, _ in COMMANDS}:
            engine.breaker(provider, what)
            self.ui.flash(f"{provider}: {dict((c, t) for c, t, _ in COMMANDS)[what]}", "done")
        else:
            engine.provoke(provider, parse_fault(what))
            self.ui.flash(f"{provider} is broken: r sends again", "warning")
        if self._shown is not None:
            self.answer.focus()

    def action_heal(self) -> None:
        self.ui.engine.heal()
        self.ui.flash("every provider answers again", "done")

    def action_reset_breakers(self) -> None:
        for light in self.ui.board.lights.values():
            self.ui.engine.breaker(light.id, "reset")
            self.ui.engine.breaker(light.id, "enable")
        self.ui.flash("every breaker is closed", "done")

    # --- reading and copying --------------------------------------------------------------------------------------

    def action_explain(self) -> None:
        run = self._shown
        if run is not None:
            from sandbox.tui.dialogs import Reader
            from sandbox.tui.explain import explain_lines

            now_us = self.ui.clock.time_us()
            self.app.push_screen(
                Reader(f"Request {run.entry.request_id[:8]}", explain_lines(run.entry, run.story, now_us))
            )

    def action_copy_answer(self) -> None:
        self.ui.copy_with_word(self.answer.text, "the answer")

    def action_copy_curl(self) -> None:
        self._copy("curl")

    def action_copy_python(self) -> None:
        self._copy("python")

    def _copy(self, form: str) -> None:
        run = self._shown
        info = self._info(run) if run is not None else None
        if run is None or info is None:
            return
        from providers.types import GenerationRequest
        from sandbox.tui import snippets

        write = snippets.curl if form == "curl" else snippets.python
        request = GenerationRequest(prompt=run.entry.prompt, model=run.entry.model)
        try:
            text = write(info, request, run.story.model or info.model)
        except InputError as error:
            self.ui.flash(str(error), "warning")
            return
        self.ui.copy_with_word(text, f"{form} for {info.id}")

    def _info(self, run: Run) -> ProviderInfo | None:
        """Who answered, or who would be asked first."""
        assert self._opened is not None  # noqa: S101
        by_id = {info.id: info for info in self._opened.providers}
        return by_id.get(run.story.provider or "") or next(iter(by_id.values()), None)
