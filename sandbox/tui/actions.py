"""Everything a person can do, in one table: key bindings, palette, footer and help are drawn from it."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from textual.binding import Binding

APP = "app"
LIST = "list"
"""Works in every list; not an entry of the palette."""


class Action(NamedTuple):
    """One thing to do. `needs` and `unless` are facts about the moment, such as `running` or `broken`."""

    name: str
    """Its owner has a method `action_NAME`."""
    title: str
    """As the palette names it."""
    help: str
    keys: tuple[str, ...] = ()
    place: str = APP
    """Whose action it is: the app's, a room's by the room's name, or a list's."""
    label: str = ""
    """One or two words for the footer; empty: not shown there."""
    rank: int = 0
    """The lower, the longer it stays in a narrow footer."""
    needs: frozenset[str] = frozenset()
    unless: frozenset[str] = frozenset()
    instead: tuple[tuple[str, str], ...] = ()
    """Other labels: facts, and what its key does while they hold; the first that hold count."""

    def works(self, facts: Collection[str]) -> bool:
        """Whether it can be done now."""
        return self.needs.issubset(facts) and not self.unless.intersection(facts)

    def label_for(self, facts: Collection[str]) -> str:
        """What the footer says now."""
        return next((label for needed, label in self.instead if set(needed.split()).issubset(facts)), self.label)

    def key_for(self, *, typing: bool) -> str | None:
        """The key to show: while a text is being typed, a plain letter is a letter."""
        for key in self.keys:
            if not (typing and is_letter(key)):
                return key
        return None


def _action(
    name: str, title: str, help: str, keys: str = "", place: str = APP, *, label: str = "", rank: int = 0,
    needs: str = "", unless: str = "", instead: tuple[tuple[str, str], ...] = (),
) -> Action:  # fmt: skip
    return Action(
        name, title, help, tuple(keys.split()), place, label, rank,
        frozenset(needs.split()), frozenset(unless.split()), instead,
    )  # fmt: skip


PLAYGROUND = "playground"
COMPARE = "compare"
LAB = "lab"
COSTS = "costs"
HEALTH = "health"
FIXTURES = "fixtures"

ACTIONS: tuple[Action, ...] = (
    _action("send", "Send the prompt", "Ask what the prompt says; an empty prompt sends the suggestion.",
            "ctrl+s", PLAYGROUND, label="send", rank=1, unless="running"),
    _action("cancel", "Cancel the request", "Stop the answer and keep what has come. Without a request: to the prompt.",
            "escape", PLAYGROUND, label="cancel", rank=0, needs="running"),
    _action("break", "Break a provider", "Make a provider fail in a way of your choice; the plan's first is proposed.",
            "f ctrl+f", PLAYGROUND, label="break", rank=2, needs="opened"),
    _action("heal", "Heal every provider", "Switch off all failures that you provoked.",
            "F alt+h", PLAYGROUND, label="heal", rank=3, needs="broken"),
    _action("resend", "Send again", "The same question once more, past the cache. In the history: the row's question.",
            "r", PLAYGROUND, label="resend", rank=4, needs="asked opened", unless="running"),
    _action("resend_model", "Send again to another model", "The same question to a model of your choice.",
            "m", PLAYGROUND, label="other model", rank=9, needs="asked opened", unless="running"),
    _action("explain", "Explain the request", "The whole story: the plan and why, each attempt, the costs.",
            "e", PLAYGROUND, label="explain", rank=5, needs="asked"),
    _action("copy_answer", "Copy the answer", "Put the answer into the clipboard.",
            "y", PLAYGROUND, label="copy", rank=8, needs="text"),
    _action("copy_curl", "Copy as curl", "The request as a curl command; the key stays a variable.",
            "c", PLAYGROUND, label="curl", rank=10, needs="asked opened"),
    _action("copy_python", "Copy as Python", "The request as a Python program; the key stays a variable.",
            "p", PLAYGROUND, label="python", rank=11, needs="asked opened"),
    _action("focus_prompt", "Go to the prompt", "Type the next question.",
            "i", PLAYGROUND, label="prompt", rank=7, unless="typing"),
    _action("focus_history", "Go to the history", "Earlier questions: Enter shows one, r sends it again.",
            "h", PLAYGROUND),
    _action("filter_history", "Filter the history", "Show only the rows that hold your words.",
            "slash", PLAYGROUND, needs="history"),
    _action("switch_lower", "Switch between route and history", "On a narrow screen they share one place.",
            "t alt+t", PLAYGROUND, label="route/history", rank=6, needs="narrow"),
    _action("follow", "Watch the requests from outside", "Show what other programs ask, one after the other.",
            "w", PLAYGROUND, label="watch", rank=6, needs="visited", unless="following"),
    _action("choose_model", "Choose the model", "Which model to ask for; others of its tier may stand in.",
            "M alt+m", PLAYGROUND, needs="opened"),
    _action("choose_provider", "Choose the provider to ask first", "The chain, or one provider and then the chain.",
            "V alt+v", PLAYGROUND, needs="opened"),
    _action("choose_strategy", "Choose the routing strategy", "In which order the candidates are asked.",
            "S alt+s", PLAYGROUND, needs="opened"),
    _action("choose_preset", "Choose the preset", "Another failover policy, with fresh breakers.",
            "P alt+p", PLAYGROUND, needs="opened"),
    _action("reset_breakers", "Reset every breaker", "Close all breakers, put disabled providers back.",
            "B", PLAYGROUND, needs="opened"),
    _action("clear_history", "Clear the history", "Forget every earlier question.", "", PLAYGROUND, needs="history"),
    _action("compare_send", "Compare", "Ask every chosen model at once; an empty prompt sends the suggestion.",
            "ctrl+s", COMPARE, label="compare", rank=1, needs="opened columns", unless="comparing"),
    _action("compare_cancel", "Stop the comparison", "Stop every answer and keep what has come.",
            "escape", COMPARE, label="stop", rank=0, needs="comparing"),
    _action("compare_models", "Choose the models", "Which models are compared, two to six.",
            "m M alt+m", COMPARE, label="models", rank=2, needs="opened", unless="comparing"),
    _action("compare_again", "Compare again", "The same prompt on the same models once more.",
            "r", COMPARE, label="again", rank=6, needs="compared opened columns", unless="comparing"),
    _action("compare_repeat", "Choose how often", "Ask each model several times, and tell medians.",
            "n alt+r", COMPARE, label="repeat", rank=7, unless="comparing"),
    _action("volume_less", "Fewer requests a day", "The month is told for a smaller volume.",
            "left", COMPARE, needs="compared"),
    _action("volume_more", "More requests a day", "The month is told for a larger volume.",
            "right", COMPARE, label="volume", rank=4, needs="compared"),
    _action("compare_diff", "Show how two answers differ", "The shown answer against another one, word by word.",
            "d", COMPARE, label="diff", rank=3, needs="two_answers"),
    _action("compare_spread", "Everything in figures", "Spreads, a month at several volumes, what was paid.",
            "a", COMPARE, label="figures", rank=8, needs="compared", unless="comparing"),
    _action("compare_export", "Export", "As CSV, JSON, Markdown or a web page, into the data folder.",
            "x", COMPARE, label="export", rank=9, needs="compared", unless="comparing"),
    _action("compare_copy", "Copy the answer", "Put the shown answer into the clipboard.",
            "y", COMPARE, label="copy", rank=10, needs="compared"),
    _action("compare_next", "Next answer", "The column to the right.",
            "l", COMPARE, label="answer", rank=5, needs="tabs"),
    _action("compare_previous", "Previous answer", "The column to the left.", "h", COMPARE, needs="columns"),
    _action("compare_lower", "Switch between figures and month", "On a narrow screen they share one place.",
            "t alt+t", COMPARE, label="figures/month", rank=5, needs="compared narrow"),
    _action("compare_prompt", "Go to the prompt", "Type another question.",
            "i", COMPARE, label="prompt", rank=11, unless="typing"),
    _action("play", "Play or pause", "Time runs on from the cursor; at the end, from the start. Live: stand still.",
            "space", LAB, label="play", rank=1, needs="taken",
            instead=(("watching playing", "stand still"), ("watching", "go on"), ("playing", "pause"))),
    _action("live", "Watch the running gateway", "Its lanes as it happens, with faults by hand; or back to the replay.",
            "l", LAB, label="live", rank=4, instead=(("watching", "replay"),)),
    _action("stop_run", "Stop the run", "Stop working the outage out; what there is of it stays.",
            "escape", LAB, label="stop", rank=0, needs="replaying"),
    _action("step", "Step to the next event", "To the next row of what is listed.",
            "n", LAB, label="step", rank=2, needs="taken"),
    _action("step_back", "Step back", "To the row before.", "N", LAB, needs="taken"),
    _action("speed", "Change the speed", "1, 10, 60 times real time, or all in seconds. Live: 1, 5, 15 min.",
            "s", LAB, label="speed", rank=6, needs="taken", instead=(("watching", "1/5/15 min"),)),
    _action("scrub_left", "Back in time", "By a hundredth of the run; with Shift by a tenth.",
            "left", LAB, needs="taken"),
    _action("scrub_right", "On in time", "By a hundredth of the run; with Shift by a tenth.",
            "right", LAB, label="scrub", rank=7, needs="taken"),
    _action("scrub_far_left", "Far back in time", "By a tenth of the run.", "shift+left", LAB, needs="taken"),
    _action("scrub_far_right", "Far on in time", "By a tenth of the run.", "shift+right", LAB, needs="taken"),
    _action("scrub_home", "To the start", "Where nothing has happened yet.", "home", LAB, needs="taken"),
    _action("scrub_end", "To the end", "What it has come to.", "end", LAB, needs="taken"),
    _action("provoke", "Provoke a fault at the cursor", "Break or heal a provider from here on. Live: now, by hand.",
            "f", LAB, label="break here", rank=3, needs="taken", unless="replaying",
            instead=(("watching", "break"),)),
    _action("take_back", "Take back the last fault by hand", "The outage as before it. Live: heal all.",
            "F", LAB, label="take back", rank=4, needs="by_hand", unless="replaying",
            instead=(("watching", "heal"),)),
    _action("save_scenario", "Save as a scenario of your own", "With the faults that you provoked, under a name.",
            "w", LAB, label="save", rank=9, needs="taken"),
    _action("scenario", "Choose a scenario", "The built-in outages and your own.", "o", LAB, label="scenarios", rank=4),
    _action("edit_scenario", "Edit the scenario", "Its text, with what is wrong in it said as you type.",
            "e", LAB, label="edit", rank=10, unless="watching"),
    _action("lab_preset", "Replay under another preset", "The same outage with another failover policy.",
            "P alt+p", LAB, label="preset", rank=11, needs="taken", unless="watching"),
    _action("beside", "Compare with another preset", "The same outage under another policy, beside it; or alone again.",
            "b", LAB, label="compare", rank=5, needs="taken", unless="watching"),
    _action("summary", "The whole run in figures", "Totals, providers, what was expected and what came of it.",
            "a", LAB, label="figures", rank=11, needs="taken"),
    _action("open_row", "Tell more about the row", "The story of its request, or what the change means.",
            "enter", LAB, label="detail", rank=8, needs="taken", unless="typing"),
    _action("export", "Export", "The report as Markdown and JSON and the screen as SVG, into the data folder.",
            "x", LAB, label="export", rank=11, needs="result"),
    _action("next_level", "List more or less", "Moments, also how each request ended, everything.",
            "v", LAB, label="list", rank=10, needs="taken"),
    _action("filter_events", "Filter the events", "List only rows that hold your words.", "slash", LAB, needs="taken"),
    _action("run_again", "Run it again", "Read the scenario's file again and start over.",
            "r", LAB, unless="replaying watching"),
    _action("copy_detail", "Copy what is told of the row", "The detail's text.", "y", LAB, needs="taken"),
    _action("focus_events", "Go to the events", "The list below the time line.", "i", LAB),
    _action("focus_told", "Go to the detail of the row", "Beside the list where there is room.",
            "t", LAB, needs="taken"),
    _action("costs_open", "Go into the row", "The agents of a tenant, its models, their requests; a request's story.",
            "enter", COSTS, label="open", rank=1, needs="costs_row", unless="typing"),
    _action("costs_back", "Go back, or stop the export", "Out of the row that was entered; a running export first.",
            "escape", COSTS, label="back", rank=0, needs="costs_inside"),
    _action("costs_shorter", "Look at less time", "All times, this month, 30 days, 7 days, 24 hours.",
            "left", COSTS),
    _action("costs_longer", "Look at more time", "24 hours, 7 days, 30 days, this month, all times.",
            "right r", COSTS, label="time", rank=2),
    _action("costs_by", "Break down by something else", "Tenant, agent, model, provider, day, hour or request.",
            "v", COSTS, label="by", rank=4, needs="opened"),
    _action("costs_what_if", "What if: other models", "What the same requests would have cost on a model.",
            "w", COSTS, label="what if", rank=3, needs="opened"),
    _action("costs_as_it_was", "Forget the other models", "Of what-if.", "W", COSTS, needs="costs_what_if"),
    _action("costs_budget", "Set a budget", "What a tenant, or all together, may spend in a month.",
            "b", COSTS, label="budget", rank=5, needs="opened"),
    _action("costs_export", "Export", "Every request of what is looked at: CSV or JSON, into the data folder.",
            "x", COSTS, label="export", rank=6, needs="costs_any", unless="costs_exporting"),
    _action("costs_filter", "Filter the breakdown", "Show only rows that hold your words.",
            "slash", COSTS, label="filter", rank=8, needs="costs_any"),
    _action("costs_pane", "Next pane", "Breakdown, saved and lost, month and budgets, what could be.",
            "t alt+t", COSTS, label="pane", rank=7),
    _action("costs_copy", "Copy", "The pane with the focus: the breakdown as a Markdown table, or a request's id.",
            "y", COSTS, label="copy", rank=9, needs="costs_any"),
    _action("costs_rows", "Go to the breakdown", "The list.", "i", COSTS),
    _action("health_check", "Check the provider now", "Ask it the smallest question; where that costs, after a word.",
            "v", HEALTH, label="check", rank=1, needs="provider"),
    _action("health_check_all", "Check every provider now", "Those that are out of rotation too.",
            "V", HEALTH, label="check all", rank=8, needs="providers"),
    _action("health_stop", "Stop asking", "Wait for no answer to a check any more.",
            "escape", HEALTH, label="stop", rank=0, needs="asking"),
    _action("health_watch", "Start or stop the monitor", "Check every provider again and again in the background.",
            "w", HEALTH, label="monitor", rank=4, needs="providers"),
    _action("health_force_open", "Hold the breaker open", "Nobody asks the provider until you reset it.",
            "o", HEALTH, label="hold open", rank=2, needs="provider"),
    _action("health_force_close", "Hold the breaker closed", "It is asked whatever happens, until you reset it.",
            "c", HEALTH, label="hold closed", rank=6, needs="provider"),
    _action("health_unguard", "Take the breaker out of use", "It counts nothing and lets everything through.",
            "d", HEALTH, needs="provider"),
    _action("health_reset", "Reset the breaker", "Closed, with nothing counted.",
            "r", HEALTH, label="reset", rank=3, needs="provider"),
    _action("health_enable", "Put it back into rotation", "Now, and ask it at once whether it is well.",
            "e", HEALTH, label="re-test", rank=7, needs="provider"),
    _action("health_switch", "Switch the backend", "Cache and usage records here or on AWS, after trying it out.",
            "b", HEALTH, label="backend", rank=5, needs="opened"),
    _action("health_span", "Look further back", "The curves of 5 minutes, 15 minutes, an hour.",
            "s", HEALTH, label="time", rank=9),
    _action("health_more", "Tell all about it", "The detail on the whole screen; y copies it.",
            "enter", HEALTH, label="detail", rank=10, needs="card", unless="typing"),
    _action("health_filter", "Filter the cards", "Show only those that hold your words.",
            "slash", HEALTH, label="filter", rank=11, needs="providers"),
    _action("health_copy", "Copy what is told of it", "The detail's text.", "y", HEALTH, label="copy", rank=12,
            needs="card"),
    _action("health_cards", "Go to the cards", "Or the list.", "i", HEALTH),
    _action("health_detail", "Go to the detail", "To scroll it.", "t", HEALTH, needs="card"),
    _action("replay", "Replay the recording", "Send the recording's own request again; the route is in room 1.",
            "enter p", FIXTURES, label="replay", rank=1, needs="fixture opened", unless="running typing"),
    _action("stop", "Stop checking or recording", "What runs here: a check of all, a replay, a wait.",
            "escape", FIXTURES, label="stop", rank=0, needs="busy"),
    _action("verify", "Check this recording", "Compare what the provider's decoder reads with what is expected.",
            "v", FIXTURES, label="check", rank=3, needs="fixture"),
    _action("verify_all", "Check every recording", "All that the filter shows, one after the other.",
            "V", FIXTURES, label="check all", rank=5, needs="fixtures", unless="checking"),
    _action("record", "Record the next request", "Keep the next exchange with a provider as a fixture of your own.",
            "R", FIXTURES, label="record next", rank=4, needs="opened", unless="armed"),
    _action("compare_fixtures", "Mark, then compare two", "Mark a recording; on another one: show where both differ.",
            "d", FIXTURES, label="diff", rank=6, needs="fixture"),
    _action("copy_fixture", "Copy what the tab shows", "The request as JSON, the answer's body, or the tab's text.",
            "y", FIXTURES, label="copy", rank=8, needs="fixture"),
    _action("name_file", "Show and copy the file's path", "Where the recording lies on the disk.",
            "o e", FIXTURES, label="file", rank=9, needs="fixture"),
    _action("delete_fixture", "Delete the recording", "Only your own; those that came with the program are read only.",
            "x", FIXTURES, label="delete", rank=10, needs="fixture own"),
    _action("next_tab", "Next side of the recording", "Request, Response, Time line, Match, Check.",
            "l", FIXTURES, label="tab", rank=2, needs="fixture"),
    _action("previous_tab", "Previous side of the recording", "The tab before.", "h", FIXTURES, needs="fixture"),
    _action("filter_fixtures", "Filter the recordings", "Show only those that hold your words.",
            "slash", FIXTURES, label="filter", rank=7, needs="library"),
    _action("focus_fixtures", "Go to the recordings", "The list.", "i", FIXTURES),
    _action("focus_detail", "Go to the recording", "Its tabs.", "t", FIXTURES, needs="fixture"),
    _action("reload_fixtures", "Look for new files", "Read what has changed in the folders.", "u", FIXTURES),
    _action("help", "Help", "Help for what has the focus, and every key.", "question_mark f1", label="help", rank=1),
    _action("palette", "Command palette", "Every action by name.", "ctrl+p", label="palette", rank=1),
    _action("jump", "Jump", "Labels on everything that can be reached; press one.", "ctrl+o", label="jump", rank=12),
    _action("choose_mode", "Switch the mode", "Mock, replay, or live.", "L", needs="opened"),
    _action("server", "Serve the gateway", "Let other programs send their requests through it; starts it, or shows it.",
            "ctrl+g", label="serve", rank=12, needs="opened"),
    _action("choose_theme", "Choose a theme", "Colours; the choice is kept.", "T"),
    _action("toggle_hints", "Hints on or off", "Sentences for newcomers above the provider strip."),
    _action("screenshot_svg", "Save a screenshot", "The screen as SVG, into the data folder.", ""),
    _action("quit", "Quit", "Leave; prompt, history and theme are kept.", "ctrl+q", label="quit", rank=13),
    _action("cursor_down", "Down", "The next row.", "j", LIST),
    _action("cursor_up", "Up", "The row before.", "k", LIST),
    _action("first", "First", "The first row.", "g", LIST),
    _action("last", "Last", "The last row.", "G", LIST),
)  # fmt: skip


def of(place: str) -> list[Action]:
    """The actions of one place, in the table's order."""
    return [action for action in ACTIONS if action.place == place]


def find(name: str) -> Action:
    return next(action for action in ACTIONS if action.name == name)


def bindings(place: str) -> list[Binding]:
    """Textual's bindings of a place's actions."""
    from textual.binding import Binding

    return [
        Binding(
            ",".join(action.keys),
            action.name,
            action.title,
            show=bool(action.label),
            # The way out leads through whatever lies over the room.
            priority=action.name == "quit",
            id=f"{place}.{action.name}",
        )
        for action in of(place)
        if action.keys
    ]


def means_something(key: str, room: str) -> bool:
    """Whether a key belongs to an action of a room, be it possible now or not: such a letter is no mistyped text."""
    return key.isdigit() or any(key in action.keys for place in (room, APP, LIST) for action in of(place))


_PLAIN = {"slash": "/", "question_mark": "?"}
_NAMED = {
    "escape": "Esc", "enter": "Enter", "space": "Space", "left": "←", "right": "→", "shift+left": "Shift-←",
    "shift+right": "Shift-→", "home": "Home", "end": "End",
}  # fmt: skip


def is_letter(key: str) -> bool:
    """Whether a key types a character."""
    return len(key) == 1 or key == "space" or key in _PLAIN


def shown(key: str) -> str:
    """A key as the screen spells it: `^s`, `?`, `F1`, `Esc`."""
    if key in _PLAIN:
        return _PLAIN[key]
    if key.startswith("ctrl+"):
        return "^" + key.removeprefix("ctrl+")
    if key.startswith("alt+"):
        return "Alt-" + key.removeprefix("alt+")
    if key in _NAMED:
        return _NAMED[key]
    return key.upper() if key[0] == "f" and key[1:].isdigit() else key


def footer(places: Iterable[str], facts: Collection[str]) -> list[tuple[Action, str]]:
    """The actions that work now, each labelled as what it does now and with a key that works now; the dearest first."""
    typing = "typing" in facts
    rows = []
    for place in places:
        for action in of(place):
            key = action.key_for(typing=typing)
            if action.label and key is not None and action.works(facts):
                rows.append((action._replace(label=action.label_for(facts)), shown(key)))
    return sorted(rows, key=lambda row: row[0].rank)
