"""What a prompt is about, found without a model: its noun phrases by elimination, and the length it asks for."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

LOOKED_AT = 600
"""Characters of a prompt that are looked at; what it is about is usually said early."""

_WORD = re.compile(r"[^\W\d_][\w'’\-]*|\d+|[^\w\s]")
_COUNT = re.compile(r"\b(\d{1,2}|one|two|three|four|five|six|seven|eight|nine|ten)\s+(?:short\s+)?sentences?\b", re.I)
_LONG = re.compile(r"\b(?:story|essay|article|report|detail(?:ed|s)?|long|tutorial|thorough(?:ly)?)\b", re.I)
_NUMBERS = {
    word: number
    for number, word in enumerate(("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"), 1)
}
_ARTICLES = frozenset({"a", "an", "the"})
_STOP = frozenset(
    """
    a an the this that these those it its he she they them his her their our your my mine we us you i me and or
    but nor so if then else than as at by for from in into of off on onto out over per to up with without within
    about above across after against along among around before behind below beneath beside between beyond during
    except inside near outside since through throughout toward towards under until upon via while because
    although though whether is are was were be been being am do does did doing done have has had having can
    could may might must shall should will would what who whom whose which when where why how what's who's how's
    it's i'm i'd i've don't doesn't can't let's let not no yes any all some each every both either neither few
    more most much many other another such same own only just very too also even still again once here there now
    ever never always often please thanks thank hello hi hey dear ok okay explain describe write tell give list
    summarise summarize analyse analyze compare translate help make create generate show define discuss answer
    say mention name suggest recommend outline draft compose produce provide identify find get got use using
    want need know think like look see come go goes work works mean means ask asked question questions sentence
    sentences word words line lines paragraph paragraphs short long brief briefly simple simply detail detailed
    details one two three four five six seven eight nine ten first second third story essay poem haiku joke
    example examples data
    """.split()  # noqa: SIM905
)


class Topic(NamedTuple):
    a: str
    """The first matter, as it can stand inside a sentence."""
    b: str
    """The second one, or a stand-in."""
    sentences: int | None
    """How many sentences were asked for."""
    long: bool
    """A longer text was asked for."""


def topic_of(text: str) -> Topic:
    """The matter of a prompt. Always finds something to talk about."""
    # Cut before it is remembered: the memory must not hold whole prompts.
    return _topic_of(text[:LOOKED_AT])


@lru_cache(maxsize=512)
def _topic_of(head: str) -> Topic:
    phrases = _phrases(head)
    asked = _COUNT.search(head)
    count = None
    if asked is not None:
        number = asked[1].lower()
        count = _NUMBERS.get(number) or int(number)
    return Topic(
        phrases[0] if phrases else "the question at hand",
        phrases[1] if len(phrases) > 1 else "everyone involved",
        max(1, count) if count is not None else None,
        _LONG.search(head) is not None,
    )


def _phrases(head: str) -> list[str]:
    """Runs of words that carry meaning, three or so words each, with the article before them."""
    phrases: list[str] = []
    seen: set[str] = set()
    run: list[str] = []
    article = ""
    previous = ""
    for word in [*_WORD.findall(head), "."]:
        low = word.lower()
        # "the capital of France" is one matter, not two.
        joins = low == "of" and 0 < len(run) < 3
        meaningful = joins or (word[0].isalpha() and len(word) < 32 and low not in _STOP)
        if meaningful and len(run) < (5 if "of" in run else 3):
            if not run:
                article = previous if previous in _ARTICLES else ""
            # A capital that only begins the sentence goes; names and abbreviations keep theirs.
            begins = previous in ("", ".", "!", "?", ":")
            run.append(low if begins and word[1:].islower() and not run else word)
        elif run and low in _ARTICLES and run[-1] == "of":
            run.append(word)
        elif run:
            while run[-1].lower() in ("of", *_ARTICLES):
                run.pop()
            phrase = " ".join(run)
            if phrase.lower() not in seen:
                seen.add(phrase.lower())
                phrases.append(f"{article} {phrase}" if article else phrase)
                if len(phrases) == 2:
                    break
            run = []
        previous = low
    return phrases


def keywords(text: str) -> frozenset[str]:
    """The words of a text that carry meaning, in lower case and without a plural s: to see whether two texts touch."""
    found = (word.lower() for word in _WORD.findall(text[:LOOKED_AT]) if word[0].isalpha())
    return frozenset(word.rstrip("s") for word in found if len(word) > 2 and word not in _STOP)
