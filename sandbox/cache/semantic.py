"""Which of the questions asked before is nearly the same as this one: vectors in memory, and the cosine between them.

Off unless asked for: a question that is alike is not the same question. What must be equal beside the likeness (tenant,
model, sampling, mode, and every number and negation of the text) is the caller's `space`; only within one are questions
compared. Nothing of the text is kept, its vector is, and the answers stay in the cache.
"""

from __future__ import annotations

import math
import re
from array import array
from collections import OrderedDict
from collections.abc import Sequence
from heapq import nsmallest
from itertools import pairwise
from operator import mul
from typing import Final, NamedTuple, Protocol
from zlib import crc32

from providers.clock import Clock

RESCORED: Final = 16
"""Questions whose cosine is computed: the nearest by their signs, which are compared as bits."""
_PIECES = re.compile(r"\w+", re.UNICODE)
_NEGATIONS = frozenset({"cannot", "except", "neither", "never", "no", "none", "nor", "not", "without"})


class Embedding(NamedTuple):
    vector: Sequence[float]
    kind: str | None = None
    """The provider that was paid for it; None: nobody."""
    model: str = ""
    tokens: int = 0


class Embedder(Protocol):
    """Turns a text into a vector, so that texts of like meaning have vectors of like direction."""

    @property
    def name(self) -> str:
        """What made the vectors: those of different makers are never compared."""
        ...

    @property
    def longest(self) -> int:
        """Characters up to which it tells texts apart: two questions about one document are nearly all document."""
        ...

    async def embed(self, text: str) -> Embedding:
        """Raises ProviderError where it cannot."""
        ...


class HashingEmbedder:
    """Words and their pieces, hashed into a fixed number of places: offline, and the same in every process.

    It knows no meaning: questions are alike when they are worded alike. For that, tests and mock mode have it.
    """

    longest = 250
    """With 375 characters of the same text before them, any two questions have a cosine above 0.95."""

    def __init__(self, dimensions: int = 256) -> None:
        self.dimensions = dimensions

    @property
    def name(self) -> str:
        return f"hashing-{self.dimensions}"

    async def embed(self, text: str) -> Embedding:
        vector = [0.0] * self.dimensions
        words = _PIECES.findall(text.casefold())
        for pair in pairwise(words):
            # From Paris to London is not from London to Paris.
            self._add(vector, " ".join(pair), 1.0)
        for word in words:
            self._add(vector, word, 1.0)
            # The pieces make the forms of a word alike.
            padded = f"<{word}>"
            for start in range(len(padded) - 2):
                self._add(vector, padded[start : start + 3], 0.25)
        return Embedding(vector)

    def _add(self, vector: list[float], feature: str, weight: float) -> None:
        hashed = crc32(feature.encode("utf-8", "replace"))
        # One bit decides the sign, so that features that meet in one place cancel as often as they add up.
        vector[(hashed >> 1) % self.dimensions] += weight if hashed & 1 else -weight


class Question(NamedTuple):
    """One question as it is compared."""

    space: str
    vector: array[float]
    """Of length 1."""
    signs: int
    """A bit for each place of the vector: whether it is above 0."""
    embedding: Embedding


class Match(NamedTuple):
    key: str
    """Under which the answer is kept."""
    similarity: float
    """Cosine of the two vectors, up to 1."""


class _Kept(NamedTuple):
    question: Question
    until: float


class SemanticIndex:
    """The questions whose answers a cache holds. Bounded: those asked longest ago go first."""

    def __init__(self, embedder: Embedder, *, threshold: float, entries: int, clock: Clock) -> None:
        self.embedder = embedder
        self._threshold = threshold
        self._limit = entries
        self._clock = clock
        self._kept: OrderedDict[tuple[str, str], _Kept] = OrderedDict()
        self._spaces: dict[str, dict[str, _Kept]] = {}

    def __len__(self) -> int:
        return len(self._kept)

    async def question(self, space: str, text: str) -> Question | None:
        """The text as it is compared; None for one that says nothing or too much. Raises what the embedder raises."""
        if len(text) > self.embedder.longest:
            return None
        embedding = await self.embedder.embed(text)
        raw = embedding.vector
        length = math.sqrt(sum(map(mul, raw, raw)))
        if not length or not math.isfinite(length):
            return None
        vector = array("f", (x / length for x in raw))
        signs = int("".join("1" if x > 0 else "0" for x in raw), 2)
        return Question(f"{self.embedder.name}:{space}", vector, signs, embedding._replace(vector=()))

    def nearest(self, question: Question) -> Match | None:
        """The question most like it, if it is like enough."""
        space = self._spaces.get(question.space)
        if not space:
            return None
        signs = question.signs
        candidates = nsmallest(RESCORED, space.items(), key=lambda item: (item[1].question.signs ^ signs).bit_count())
        now = self._clock.monotonic()
        best: Match | None = None
        for key, kept in candidates:
            if now >= kept.until:
                self.forget(question.space, key)
                continue
            cosine = min(1.0, sum(map(mul, kept.question.vector, question.vector)))
            if cosine >= self._threshold and (best is None or cosine > best.similarity):
                best = Match(key, cosine)
        if best is not None:
            self._kept.move_to_end((question.space, best.key))
        return best

    def keep(self, question: Question, key: str, *, ttl: float) -> None:
        """The answer to this question is in the cache under that key, for `ttl` seconds."""
        kept = _Kept(question, self._clock.monotonic() + ttl)
        self._kept[question.space, key] = kept
        self._kept.move_to_end((question.space, key))
        self._spaces.setdefault(question.space, {})[key] = kept
        while len(self._kept) > self._limit:
            self.forget(*next(iter(self._kept)))

    def forget(self, space: str, key: str) -> None:
        """The cache has that answer no more."""
        if self._kept.pop((space, key), None) is not None:
            del self._spaces[space][key]
            if not self._spaces[space]:
                del self._spaces[space]


def must_be_equal(text: str) -> str:
    """The words of a text in which two like questions may not differ: those with a digit, and negations.

    "Refund order 17" and "Refund order 18" are almost one vector, and not at all one question.
    """
    words = _PIECES.findall(text.casefold().replace("n't", " not"))
    return " ".join(word for word in words if word in _NEGATIONS or any(map(str.isdigit, word)))
