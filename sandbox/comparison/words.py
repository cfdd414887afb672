"""How two answers differ, word by word."""

from __future__ import annotations

import re
from difflib import SequenceMatcher
from typing import Literal, NamedTuple

MOST_WORDS = 4_000
"""Words of each text that are compared: comparing takes the product of both."""

_TOKEN = re.compile(r"(?:\w+|[^\w\s])\s*|\s+")
"""A word with the blank behind it: blanks by themselves would be found to be the same everywhere."""


class Part(NamedTuple):
    kind: Literal["same", "removed", "added"]
    text: str


def difference(left: str, right: str) -> list[Part]:
    """The parts in reading order: `same` and `removed` make up the left text, `same` and `added` the right one.

    What lies beyond the first MOST_WORDS is not compared: it is removed and added whole, unless it is equal.
    """
    one, other = _TOKEN.findall(left), _TOKEN.findall(right)
    parts: list[Part] = []
    matcher = SequenceMatcher(None, one[:MOST_WORDS], other[:MOST_WORDS], autojunk=False)
    for tag, begin, end, from_, to in matcher.get_opcodes():
        if tag == "equal":
            _add(parts, "same", "".join(one[begin:end]))
        else:
            _replace(parts, "".join(one[begin:end]), "".join(other[from_:to]))
    rest, other_rest = "".join(one[MOST_WORDS:]), "".join(other[MOST_WORDS:])
    if rest == other_rest:
        _add(parts, "same", rest)
    else:
        _add(parts, "removed", rest)
        _add(parts, "added", other_rest)
    return parts


def _replace(parts: list[Part], old: str, new: str) -> None:
    """The blank behind both belongs to neither."""
    blank = len(old) - len(old.rstrip())
    while blank and not new.endswith(old[-blank:]):
        blank -= 1
    kept = len(old) - blank
    _add(parts, "removed", old[:kept])
    _add(parts, "added", new[: len(new) - blank])
    _add(parts, "same", old[kept:])


def _add(parts: list[Part], kind: Literal["same", "removed", "added"], text: str) -> None:
    if not text:
        return
    if parts and parts[-1].kind == kind:
        parts[-1] = Part(kind, parts[-1].text + text)
    else:
        parts.append(Part(kind, text))


def alike(parts: list[Part]) -> float:
    """The share of both texts that is the same, 0 to 1."""
    whole = sum(len(part.text) * (2 if part.kind == "same" else 1) for part in parts)
    return sum(2 * len(part.text) for part in parts if part.kind == "same") / whole if whole else 1.0
