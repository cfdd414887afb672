"""Recorded traffic for the dialect tests, and ways to cut and fold streams."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any

import orjson

from providers.dialects import API_DIALECTS, dialect
from providers.dialects.accumulator import Accumulator
from providers.dialects.base import Dialect, StreamDecoder
from providers.errors import ProviderError
from providers.types import Completion, StreamEvent, StreamFinished
from tests.shared_material import wire_dir


@dataclass(frozen=True)
class Recorded:
    name: str
    dialect: Dialect
    status: int
    headers: dict[str, str]
    body: bytes
    framing: str
    request: bytes
    path: str
    expected: dict[str, Any]

    @property
    def streamed(self) -> bool:
        return self.status < 400 and (
            self.framing in ("sse", "ndjson", "eventstream") or ":streamGenerateContent" in self.path
        )


@cache
def recordings() -> tuple[Recorded, ...]:
    """Every recorded exchange of an API that has a dialect; none where the traffic is not on this machine."""
    folder = wire_dir()
    found = []
    for path in sorted(folder.glob("*/*.json")) if folder is not None else ():
        raw = orjson.loads(path.read_bytes())
        if raw["api"] not in API_DIALECTS:
            continue
        response = raw["response"]
        found.append(
            Recorded(
                name=f"{path.parent.name}/{path.name}",
                dialect=dialect(API_DIALECTS[raw["api"]]),
                status=response["status"],
                headers=response["headers"],
                body=_body(response),
                framing=response["framing"],
                request=orjson.dumps(raw["request"]["body"]),
                path=raw["request"]["path"],
                expected=raw["expected"],
            )
        )
    return tuple(found)


def _body(response: dict[str, Any]) -> bytes:
    packed = response.get("body_base64")
    return b64decode(packed) if packed is not None else response["body"].encode()


def cut(data: bytes, places: Iterable[int]) -> list[bytes]:
    """`data` cut at these offsets."""
    edges = [0, *sorted({place for place in places if 0 < place < len(data)}), len(data)]
    return [data[a:b] for a, b in pairwise(edges)]


def drain(decoder: StreamDecoder, pieces: Sequence[bytes]) -> tuple[list[StreamEvent], ProviderError | None]:
    """What a provider sees of a stream: its events, and the error that ended it."""
    events: list[StreamEvent] = []
    try:
        for piece in pieces:
            events += decoder.feed(piece)
            if decoder.failure is not None:
                raise decoder.failure
        events += decoder.close()
    except ProviderError as error:
        return events, error
    return events, None


def decode(dialect_: Dialect, pieces: Sequence[bytes]) -> tuple[Completion, ProviderError | None]:
    """The answer of a stream: its own, when it ended well, else the fold of what came."""
    events, error = drain(dialect_.decoder(), pieces)
    if error is None:
        last = events[-1]
        assert isinstance(last, StreamFinished)
        return last.completion, None
    return fold(events), error


def fold(events: Iterable[StreamEvent]) -> Completion:
    folded = Accumulator()
    for event in events:
        folded.add(event)
    return folded.completion()
