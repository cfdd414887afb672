"""What the screen remembers between two starts: one JSON file, written whole or not at all."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, field, fields
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from providers.clock import Clock

if TYPE_CHECKING:
    from sandbox.core.events import Event
    from sandbox.tui.story import RequestStory

FILE_NAME = "tui-state.json"
ATTACHED_FILE_NAME = "tui-state-attached.json"
"""Of screens on a gateway elsewhere, whose history is another one."""
SCHEMA = 1
KEPT_ENTRIES = 200
"""History rows that are kept; the oldest go first."""
KEPT_OUTSIDE = 100
"""Rows of other programs beside those: they never push the user's own out."""
KEPT_PROMPT_CHARS = 20_000
"""Of a longer prompt the row keeps the beginning."""


@dataclass(slots=True)
class Entry:
    """One row of the history: what was asked, what came of it, and the events that tell its story."""

    request_id: str
    at_us: int
    prompt: str
    model: str | None = None
    via: str | None = None
    strategy: str | None = None
    mode: str = "mock"
    status: str = "waiting"
    provider: str | None = None
    answered_model: str | None = None
    failovers: int = 0
    latency_ms: float | None = None
    cost_usd: str | None = None
    """Decimal text; None is unknown or unpriced."""
    cached: bool = False
    error_type: str | None = None
    events: list[str] = field(default_factory=list)
    """Lines of a trace, without the text of the answer."""
    answer: str | None = None
    """Kept only while the program runs, unless the user opted in to storing prompts and answers."""
    outside: bool = False
    """Another program asked it. Such rows are kept only while the program runs."""

    @property
    def cost(self) -> Decimal | None:
        return None if self.cost_usd is None else Decimal(self.cost_usd)

    def matches(self, words: str) -> bool:
        """Whether every word is in what the row shows, in any case."""
        shown = " ".join(
            filter(None, (self.prompt, self.provider, self.answered_model, self.status, self.error_type))
        ).lower()
        return all(word in shown for word in words.lower().split())

    def settle(self, story: RequestStory, events: list[Event]) -> None:
        """Take over what the story says in the end."""
        from sandbox.core.events import ChunkReceived
        from sandbox.core.trace import encode

        self.status, self.mode = story.status, story.mode or self.mode
        self.provider, self.answered_model = story.provider, story.model
        self.failovers, self.latency_ms, self.cached = story.failovers, story.latency_ms, story.cached
        self.cost_usd = None if story.cost_usd is None else format(story.cost_usd, "f")
        self.error_type = story.error_type
        self.answer = story.text
        self.events = [encode(event).decode() for event in events if not isinstance(event, ChunkReceived)]

    def story(self) -> RequestStory:
        """The story told again; its text is the answer, where that is still known. Raises InputError for bad lines."""
        from sandbox.core.trace import decode
        from sandbox.tui.story import fold

        story = fold((decode(line) for line in self.events), self.request_id)
        story.pieces = [self.answer] if self.answer else []
        return story


@dataclass(slots=True)
class UIState:
    room: str = "playground"
    theme: str | None = None
    prompt: str = ""
    model: str | None = None
    via: str | None = None
    strategy: str | None = None
    lower: str = "route"
    """What a narrow screen shows below the answer: route or history."""
    fixture: str = ""
    """The recording that the list's cursor stands on."""
    fixture_words: str = ""
    """What the list is filtered by."""
    fixture_tab: str = "request"
    lab_scenario: str = ""
    """The key of the scenario that is replayed; empty: the first one that a newcomer sees."""
    lab_preset: str = ""
    """Empty: the scenario's own."""
    lab_beside: str = ""
    """Another preset beside it."""
    lab_at_us: int = 0
    """Where in it one stands, microseconds since its start."""
    lab_view: str = ""
    """live: the running gateway is shown; replay: the scenario is; empty: what suits the screen."""
    lab_span: int = 0
    """How far one looks back on the running gateway."""
    lab_level: str = "moments"
    lab_speed: int = 1
    lab_text: str = ""
    """A scenario that was changed by hand and not saved."""
    lab_added: int = 0
    """How many faults were added to it."""
    lab_drafts: list[list[str]] = field(default_factory=list)
    """Texts that were left unfinished in the editor, each after the key of its scenario."""
    compare_prompt: str = ""
    compare_models: list[str] = field(default_factory=list)
    """Keys of the models that are compared, `provider/model`; empty: some that differ."""
    compare_repeat: int = 1
    compare_result: str = ""
    """The last comparison, as `sandbox.comparison.keeping` writes it."""
    compare_volume: int = 1_000
    """Requests a day for which a month is told."""
    compare_shown: int = 0
    """The column that a narrow screen shows."""
    compare_lower: str = "figures"
    """What a narrow screen shows below it: figures or month."""
    costs_span: str = "24h"
    costs_path: list[list[str]] = field(default_factory=list)
    """The rows that were entered, each a dimension and a value."""
    costs_by: str = ""
    costs_words: str = ""
    costs_row: str = ""
    """The key of the row that the cursor stands on."""
    costs_pane: str = "breakdown"
    """What a narrow screen shows below the chart."""
    costs_targets: list[str] = field(default_factory=list)
    """Models that traffic is repriced with, `provider/model`."""
    server_port: int = 4000
    """Where the gateway listens when it is served."""
    health_card: str = ""
    """The id of the card that is looked at."""
    health_words: str = ""
    health_span: str = ""
    health_watch: bool = True
    """Whether providers are checked in the background where that costs nothing."""
    hints: bool = True
    hints_seen: list[str] = field(default_factory=list)
    history: list[Entry] = field(default_factory=list)
    """The oldest first."""

    def remember(self, entry: Entry) -> None:
        """Keep a row; the oldest of its kind makes room for it."""
        self.history.append(entry)
        alike = [one for one in self.history if one.outside == entry.outside]
        if len(alike) > (KEPT_OUTSIDE if entry.outside else KEPT_ENTRIES):
            self.history.remove(alike[0])


def load(path: Path, clock: Clock) -> tuple[UIState, str | None]:
    """The state, and a sentence where the file could not be used. A damaged file is set aside, never overwritten."""
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return UIState(), None
    except OSError as error:
        return UIState(), f"the screen's state in {path} cannot be read ({error.strerror}): starting afresh"
    try:
        return _decoded(orjson.loads(raw)), None
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, ArithmeticError) as error:
        newer = isinstance(error, _Newer)
        aside = path.with_name(f"{path.name}.{'newer' if newer else 'damaged'}-{clock.time_us() // 1_000_000}")
        try:
            path.rename(aside)
        except OSError as problem:
            return UIState(), f"the screen's state in {path} is unusable and cannot be moved ({problem.strerror})"
        why = "was written by a newer version" if newer else "is damaged"
        return UIState(), f"the screen's state {why}: it was set aside as {aside.name}, and you start afresh"


def encode_state(state: UIState, *, with_answers: bool) -> bytes:
    """The file's content. Without the user's opt-in the answers stay out of it."""
    body = {f.name: getattr(state, f.name) for f in fields(UIState)}
    rows = [{f.name: getattr(entry, f.name) for f in fields(Entry)} for entry in state.history if not entry.outside]
    for row in rows:
        row["prompt"] = row["prompt"][:KEPT_PROMPT_CHARS]
        if not with_answers:
            row["answer"] = None
    return orjson.dumps({"schema": SCHEMA, **body, "history": rows})


def _with_others(path: Path, data: bytes) -> bytes:
    """The content, with the rows of the history that are in the file alone: another screen has put them there."""
    try:
        theirs, body = orjson.loads(path.read_bytes()), orjson.loads(data)
        if theirs["schema"] != SCHEMA:
            return data
        ours = {row["request_id"] for row in body["history"]}
        others = [row for row in theirs["history"] if row["request_id"] not in ours]
        if not others:
            return data
        # What this screen has let go of for being old is let go of here again.
        body["history"] = sorted([*body["history"], *others], key=lambda row: row["at_us"])[-KEPT_ENTRIES:]
    except (OSError, ValueError, KeyError, TypeError):
        # There is none, or none that could be read: the next start says so.
        return data
    return orjson.dumps(body)


def write(path: Path, data: bytes) -> str | None:
    """Write the file whole or leave the old one; returns a sentence where that failed.

    What another screen on the same folder has added to the history meanwhile stays; of all else the last one counts.
    """
    data = _with_others(path, data)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # Prompts are nobody else's business.
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        # The path is the longest part, and the first that a narrow screen cuts.
        return f"what the screen remembers ends with this session: {error.strerror} ({path})"
    return None


class _Newer(ValueError):
    pass


def _decoded(body: Any) -> UIState:
    """Raises ValueError, KeyError or TypeError for what is no state of this version."""
    if not isinstance(body, dict) or not isinstance(body.get("schema"), int):
        raise ValueError("no schema")
    if body["schema"] > SCHEMA:
        raise _Newer
    state = UIState(**{f.name: body[f.name] for f in fields(UIState) if f.name in body})
    _check(state)
    state.history = [Entry(**row) for row in state.history]  # type: ignore[arg-type]
    for entry in state.history:
        _check(entry)
        if entry.cost_usd is not None:
            Decimal(entry.cost_usd)
        if entry.status in ("waiting", "writing"):
            entry.status = "cancelled"
    return state


_DECLARED: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "str | None": (str, type(None)),
    "bool": (bool,),
    "int": (int,),
    "float | None": (int, float, type(None)),
}


def _check(value: Any) -> None:
    """The plain fields hold what they are declared to hold: a hand may have been in the file."""
    for one in fields(value):
        expected = _DECLARED.get(str(one.type), (list,))
        if not isinstance(getattr(value, one.name), expected):
            raise TypeError(one.name)
