"""Finds the recorded answer to a request in folders of fixtures: `<folder>/<provider>/<case>.json`.

Read only and lazy: nothing is read before the first request, and then only the folder of that request's provider. A
file that cannot be read is told of once, and the others answer.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, MutableMapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

import orjson

from providers.errors import FixtureError
from providers.exchange.canonical import Difference, canonical, differences, key, last_user_text
from providers.exchange.cleaning import redacted_value
from providers.exchange.format import Exchange, MatchRule, load
from providers.redaction import MASK

_MASK: Final = MASK.encode()
_TOO_DEEP: Final = (RecursionError, orjson.JSONEncodeError)
"""What looking into a request raises that is nested deeper than anything recorded."""
_ASKED: Final = frozenset({"messages", "input", "contents", "prompt", "inputText", "*"})
"""Fields of a body that hold its question."""
logger: Final = logging.getLogger(__name__)


class Query(NamedTuple):
    """A request to find an answer for."""

    provider: str
    api: str
    body: bytes
    path: str = ""


class Match(NamedTuple):
    exchange: Exchange
    rule: MatchRule
    """Which rule made it match."""


class Nearest(NamedTuple):
    """The recording that comes closest to a request that none matches."""

    exchange: Exchange
    difference: Difference


@dataclass(slots=True)
class _Entry:
    exchange: Exchange
    position: int
    """Among its provider's recordings: the first of equals answers."""
    body: Any
    """Canonical, without the fields that the fixture ignores."""
    key: bytes
    user_text: str


@dataclass(slots=True)
class _Exact:
    """Recordings that match equal requests."""

    by_key: dict[bytes, list[_Entry]] = field(default_factory=dict)
    questions: set[str] | None = None
    """What they ask, where equal requests ask the same: that is told with a tenth of the work. None: it may differ."""


@dataclass(slots=True)
class _Shelf:
    """The recordings of one API, so that those which match are looked up rather than looked for."""

    entries: list[_Entry] = field(default_factory=list)
    exact: dict[tuple[bool, tuple[str, ...]], _Exact] = field(default_factory=dict)
    """By whether credentials were taken out of them and the fields that they ignore."""
    same_question: dict[str, list[_Entry]] = field(default_factory=dict)
    patterns: list[tuple[re.Pattern[str], _Entry]] = field(default_factory=list)
    any: list[_Entry] = field(default_factory=list)
    masked: bool = False
    """Credentials were taken out of some: there a request matches that differs in nothing else."""

    def add(self, entry: _Entry) -> None:
        exchange = entry.exchange
        self.entries.append(entry)
        masked = _MASK in entry.key
        self.masked = self.masked or masked
        match exchange.match:
            case "exact":
                same = self.exact.get((masked, exchange.ignore))
                if same is None:
                    told = _ASKED.isdisjoint(path.partition(".")[0] for path in exchange.ignore)
                    same = self.exact[masked, exchange.ignore] = _Exact(questions=set() if told else None)
                same.by_key.setdefault(entry.key, []).append(entry)
                if same.questions is not None:
                    same.questions.add(entry.user_text)
            case "last_user_message":
                self.same_question.setdefault(entry.user_text, []).append(entry)
            case "regex":
                self.patterns.append((re.compile(exchange.pattern or entry.user_text), entry))
            case "any":
                self.any.append(entry)

    def matching(self, asked: _Asked) -> list[_Entry]:
        """Those that match by the strictest rule by which any does, in the order of their names."""
        found: list[_Entry] = []
        for (masked, ignored), same in self.exact.items():
            request = asked.clean if masked else asked
            if same.questions is None or request.user_text in same.questions:
                found += same.by_key.get(request.key(ignored), ())
        if found:
            return sorted(found, key=lambda entry: entry.position) if len(self.exact) > 1 else found
        if asked.user_text:
            found = self.same_question.get(asked.user_text, [])
            if not found and self.masked:
                found = self.same_question.get(asked.clean.user_text, [])
            if not found:
                found = [entry for pattern, entry in self.patterns if pattern.search(asked.user_text)]
        return found or self.any


class _Asked:
    """A query with what is worked out of it only when some fixture needs it."""

    __slots__ = ("_clean", "_keys", "_query", "_user_text", "body")

    def __init__(self, query: Query, body: Any) -> None:
        self._query = query
        self.body = body
        self._user_text: str | None = None
        self._keys: dict[tuple[str, ...], bytes] = {}
        self._clean: _Asked | None = None

    @property
    def user_text(self) -> str:
        if self._user_text is None:
            self._user_text = last_user_text(self.body)
        return self._user_text

    @property
    def clean(self) -> _Asked:
        """The same without credentials."""
        if self._clean is None:
            self._clean = _Asked(self._query, redacted_value(self.body))
        return self._clean

    def canonical(self, ignore: Sequence[str] = ()) -> Any:
        return canonical(self.body, self._query.api, self._query.path, ignore)

    def key(self, ignore: tuple[str, ...]) -> bytes:
        found = self._keys.get(ignore)
        if found is None:
            found = self._keys[ignore] = key(self.canonical(ignore))
        return found


class FixtureLibrary:
    """Several folders as one; a case in an earlier folder hides the same case in a later one."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self.folders = tuple(folders)
        self.problems: dict[str, str] = {}
        """Files that were looked at and cannot be read, by name: one sentence with the file, the line and the field."""
        self._shelves: dict[str, dict[str, _Shelf]] = {}

    @classmethod
    def standard(cls, user_folder: Path | None = None) -> FixtureLibrary:
        """The user's own recordings first, then the packaged ones."""
        return cls([*([user_folder] if user_folder is not None else []), packaged_folder()])

    def find(self, query: Query, counts: MutableMapping[str, int] | None = None) -> Match | None:
        """The recording for a request, or None.

        `counts` is the caller's memory for recordings that answer the n-th request; without it each is the first.
        """
        shelf = self._shelf(query.provider).get(query.api)
        if shelf is None:
            return None
        try:
            found = shelf.matching(_Asked(query, parsed(query.body)))
        except _TOO_DEEP:
            return None
        chosen = _in_turn(found, counts) if found else None
        return None if chosen is None else Match(chosen, chosen.match)

    def require(self, query: Query, counts: MutableMapping[str, int] | None = None) -> Match:
        """As `find`, but raises FixtureError naming the nearest recording and its first differing field."""
        match = self.find(query, counts)
        if match is None:
            error = FixtureError(self.explain(query))
            error.without_quotes = self.explain(query, quote=False)
            raise error
        return match

    def explain(self, query: Query, *, quote: bool = True) -> str:
        """One sentence on why no recording matches, naming the nearest and files that cannot be read.

        `quote`: with the two values that differ first, which may be of a prompt.
        """
        wanted = f"no recording of {query.provider} {query.api} matches this request"
        nearest = self.nearest(query)
        if nearest is not None:
            where = nearest.difference if quote else nearest.difference.path or "the body"
            why = f"; the nearest is {nearest.exchange.name}, which differs first at {where}"
        elif apis := sorted(self._shelf(query.provider)):
            why = f": there are only recordings of {', '.join(apis)}"
        else:
            why = f": there is none of this provider in {', '.join(map(str, self.folders)) or 'any folder'}"
        left_out = [problem for name, problem in self.problems.items() if name.startswith(f"{query.provider}/")]
        return f"{wanted}{why}" + (f"; left out: {'; '.join(left_out[:3])}" if left_out else "")

    def nearest(self, query: Query) -> Nearest | None:
        """The recording of the same API that differs in the fewest fields and asks the likest question."""
        try:
            return self._nearest(query)
        except _TOO_DEEP:
            return None

    def _nearest(self, query: Query) -> Nearest | None:
        from difflib import SequenceMatcher

        asked = _Asked(query, parsed(query.body))
        best: tuple[float, Nearest] | None = None
        shelf = self._shelf(query.provider).get(query.api)
        for entry in () if shelf is None else shelf.entries:
            request = asked.clean if _MASK in entry.key else asked
            found = list(differences(entry.body, request.canonical(entry.exchange.ignore)))
            if not found:
                # It matches in its body but answers another turn of a sequence, or by another rule.
                found = [Difference("", "equal", "equal")]
            likeness = SequenceMatcher(None, entry.user_text[:200], request.user_text[:200]).quick_ratio()
            # A recording is known by its question, so that weighs as much as a few other fields.
            score = len(found) - 4 * likeness
            if best is None or score < best[0]:
                best = score, Nearest(entry.exchange, found[0])
        return None if best is None else best[1]

    # --- what there is --------------------------------------------------------------------------------------------

    def providers(self) -> list[str]:
        """Providers that have a folder with at least one case."""
        names = {
            entry.name for folder in self.folders if folder.is_dir() for entry in folder.iterdir() if entry.is_dir()
        }
        return sorted(name for name in names if self.cases(name))

    def cases(self, provider: str) -> dict[str, Path]:
        """The files of a provider by the name `<provider>/<case>.json`, in order; earlier folders win."""
        found: dict[str, Path] = {}
        for folder in self.folders:
            shelf = folder / provider
            if shelf.is_dir():
                for path in shelf.glob("*.json"):
                    found.setdefault(f"{provider}/{path.name}", path)
        return dict(sorted(found.items()))

    def exchange(self, name: str) -> Exchange:
        """The exchange named `<provider>/<case>.json`. Raises FixtureError."""
        path = self.cases(name.partition("/")[0]).get(name)
        if path is None:
            raise FixtureError(f"there is no fixture {name!r} in {', '.join(map(str, self.folders)) or 'any folder'}")
        return load(path, name)

    def read_all(self) -> int:
        """Read every folder now, so that `problems` is complete; returns how many recordings there are."""
        return sum(len(shelf.entries) for name in self.providers() for shelf in self._shelf(name).values())

    def forget(self) -> None:
        """Read the folders anew at the next request."""
        self._shelves.clear()
        self.problems.clear()

    def _shelf(self, provider: str) -> dict[str, _Shelf]:
        shelves = self._shelves.get(provider)
        if shelves is None:
            shelves = {}
            for entry in self._entries(provider):
                shelves.setdefault(entry.exchange.api, _Shelf()).add(entry)
            self._shelves[provider] = shelves
        return shelves

    def _entries(self, provider: str) -> Iterator[_Entry]:
        for position, (name, path) in enumerate(self.cases(provider).items()):
            try:
                yield _entry(load(path, name), position)
            except FixtureError as error:
                self.problems[name] = str(error)
                logger.warning("a recording is left out: %s", error)


def _entry(exchange: Exchange, position: int) -> _Entry:
    request = exchange.request
    text = last_user_text(request.body)
    try:
        body = canonical(request.body, exchange.api, request.path, exchange.ignore)
        exact = key(body)
    except _TOO_DEEP:
        raise FixtureError(
            f"{exchange.name}: request.body is nested too deep to be compared; make it flatter"
        ) from None
    if exchange.match == "regex" and exchange.pattern is None:
        try:
            re.compile(text)
        except re.error as error:
            raise FixtureError(
                f"{exchange.name}: match is 'regex', but the recorded message {text[:60]!r} is no regular expression: "
                f"{error}"
            ) from None
    return _Entry(exchange, position, body, exact, text)


def parsed(body: bytes) -> Any:
    """A body as recordings hold it: JSON, else text, or None where there is none."""
    if not body:
        return None
    try:
        return orjson.loads(body)
    except ValueError:
        return body.decode("utf-8", "replace")


def _in_turn(found: list[_Entry], counts: MutableMapping[str, int] | None) -> Exchange | None:
    """Of the recordings that match alike: this turn's, else one for any turn, else the sequence's last."""
    if all(entry.exchange.sequence is None for entry in found):
        return found[0].exchange
    key = "|".join(entry.exchange.name for entry in found)
    turn = 1 + (counts.get(key, 0) if counts is not None else 0)
    if counts is not None:
        counts[key] = turn
    # Backwards, so that the first of equals stays.
    by_turn = {entry.exchange.sequence or 0: entry.exchange for entry in reversed(found)}
    last = max(by_turn)
    return by_turn.get(turn) or by_turn.get(0) or (by_turn[last] if turn > last else None)


# --- the folders ----------------------------------------------------------------------------------------------------


def packaged_folder() -> Path:
    """The recordings that come with the program: a checkout's `fixtures/`, else the installed package's copy."""
    here = Path(__file__).resolve()
    checkout = here.parents[2]
    # Only a checkout has the project file beside it; an installed package's neighbour could be anyone's `fixtures`.
    if (checkout / "pyproject.toml").is_file() and (checkout / "fixtures").is_dir():
        return checkout / "fixtures"
    return here.parent / "library"
