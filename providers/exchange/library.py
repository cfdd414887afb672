"""Finds the recorded answer to a request in folders of fixtures: `<folder>/<provider>/<case>.json`.

Read only and lazy: nothing is read before the first request, and then only the folder of that request's provider.
"""

from __future__ import annotations

import re
from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import orjson

from providers.errors import FixtureError
from providers.exchange.canonical import Difference, canonical, differences, key, last_user_text
from providers.exchange.format import Exchange, MatchRule, load

_RANKS: Final[dict[MatchRule, int]] = {"exact": 0, "last_user_message": 1, "regex": 2, "any": 3}


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
    body: Any
    """Canonical, without the fields that the fixture ignores."""
    key: bytes
    user_text: str

    def matches(self, asked: _Asked) -> bool:
        rule = self.exchange.match
        if rule == "exact":
            return self.key == asked.key(self.exchange.ignore)
        if rule == "any":
            return True
        if not asked.user_text:
            return False
        if rule == "last_user_message":
            return self.user_text == asked.user_text
        return re.search(self.exchange.pattern or self.user_text, asked.user_text) is not None


class _Asked:
    """A query with what is worked out of it only when some fixture needs it."""

    __slots__ = ("_keys", "_query", "body", "user_text")

    def __init__(self, query: Query) -> None:
        self._query = query
        self.body = _parsed(query.body)
        self.user_text = last_user_text(self.body)
        self._keys: dict[tuple[str, ...], bytes] = {}

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
        self._shelves: dict[str, dict[str, list[_Entry]]] = {}

    @classmethod
    def standard(cls, user_folder: Path | None = None) -> FixtureLibrary:
        """The user's own recordings first, then the packaged ones."""
        return cls([*([user_folder] if user_folder is not None else []), packaged_folder()])

    def find(self, query: Query, counts: MutableMapping[str, int] | None = None) -> Match | None:
        """The recording for a request, or None. Raises FixtureError for a broken file of that provider.

        `counts` is the caller's memory for recordings that answer the n-th request; without it each is the first.
        """
        shelf = self._shelf(query.provider).get(query.api)
        if not shelf:
            return None
        asked = _Asked(query)
        rank, found = 9, list[_Entry]()
        for entry in shelf:
            own = _RANKS[entry.exchange.match]
            if own > rank:
                break
            if entry.matches(asked):
                rank = own
                found.append(entry)
        chosen = _in_turn(found, counts) if found else None
        return None if chosen is None else Match(chosen, chosen.match)

    def require(self, query: Query, counts: MutableMapping[str, int] | None = None) -> Match:
        """As `find`, but raises FixtureError naming the nearest recording and its first differing field."""
        match = self.find(query, counts)
        if match is None:
            raise FixtureError(self.explain(query))
        return match

    def explain(self, query: Query) -> str:
        """One sentence on why no recording matches, naming the nearest."""
        wanted = f"no recording of {query.provider} {query.api} matches this request"
        nearest = self.nearest(query)
        if nearest is not None:
            return f"{wanted}; the nearest is {nearest.exchange.name}, which differs first at {nearest.difference}"
        apis = sorted(self._shelf(query.provider))
        if apis:
            return f"{wanted}: there are only recordings of {', '.join(apis)}"
        return f"{wanted}: there is none of this provider in {', '.join(map(str, self.folders)) or 'any folder'}"

    def nearest(self, query: Query) -> Nearest | None:
        """The recording of the same API that differs in the fewest fields and asks the likest question."""
        from difflib import SequenceMatcher

        asked = _Asked(query)
        best: tuple[float, Nearest] | None = None
        for entry in self._shelf(query.provider).get(query.api, ()):
            found = list(differences(entry.body, asked.canonical(entry.exchange.ignore)))
            if not found:
                # It matches in its body but answers another turn of a sequence, or by another rule.
                found = [Difference("", "equal", "equal")]
            likeness = SequenceMatcher(None, entry.user_text[:200], asked.user_text[:200]).quick_ratio()
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

    def forget(self) -> None:
        """Read the folders anew at the next request."""
        self._shelves.clear()

    def _shelf(self, provider: str) -> dict[str, list[_Entry]]:
        shelf = self._shelves.get(provider)
        if shelf is None:
            shelf = {}
            for name, path in self.cases(provider).items():
                entry = _entry(load(path, name))
                shelf.setdefault(entry.exchange.api, []).append(entry)
            for entries in shelf.values():
                entries.sort(key=lambda entry: _RANKS[entry.exchange.match])
            self._shelves[provider] = shelf
        return shelf


def _entry(exchange: Exchange) -> _Entry:
    request = exchange.request
    body = canonical(request.body, exchange.api, request.path, exchange.ignore)
    text = last_user_text(request.body)
    if exchange.match == "regex" and exchange.pattern is None:
        try:
            re.compile(text)
        except re.error as error:
            raise FixtureError(
                f"{exchange.name}: match is 'regex', but the recorded message {text[:60]!r} is no regular expression: "
                f"{error}"
            ) from None
    return _Entry(exchange, body, key(body), text)


def _parsed(body: bytes) -> Any:
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
