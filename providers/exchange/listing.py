"""What a fixture file holds, in a line: for lists of thousands, so that only the one looked at is kept whole.

A file that cannot be read is listed too, with the sentence that says why.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from providers.errors import FixtureError
from providers.exchange.canonical import last_user_text
from providers.exchange.format import Exchange, Failure, Origin, load
from providers.exchange.framing import STREAM_APIS, is_stream
from providers.exchange.library import FixtureLibrary

MAX_SEARCHED_CHARS: Final = 2_000
"""Of a question and of an answer, the beginning is what a search looks through."""


@dataclass(frozen=True, slots=True)
class Listed:
    """One file."""

    name: str
    """`<provider>/<case>.json`"""
    path: Path
    own: bool
    """The user's, not one that came with the program."""
    stamp: tuple[int, int] = (0, 0)
    """When it was written (ns) and its bytes: another stamp is another content."""
    problem: str | None = None
    """Why it cannot be used; then nothing below is known."""
    provider: str = ""
    api: str = ""
    status: int | None = None
    """None: there was no answer at all."""
    error: Failure | None = None
    stream: bool = False
    input_tokens: int | None = None
    output_tokens: int | None = None
    origin: Origin = "authored"
    searched: str = ""
    """Everything that a search finds it by, in lower case."""

    @property
    def case(self) -> str:
        return self.name.partition("/")[2].removesuffix(".json")

    @property
    def failed(self) -> bool:
        """Whether what was recorded is a failure."""
        return self.status is None or self.status >= 400 or self.error is not None

    def holds(self, words: str) -> bool:
        """Whether every word is in it, in any case."""
        return all(word in self.searched for word in words.lower().split())


def files(library: FixtureLibrary) -> Iterator[tuple[str, Path]]:
    """Every file of the library by its name, in order."""
    for provider in library.providers():
        yield from library.cases(provider).items()


def stamp_of(path: Path) -> tuple[int, int]:
    """See `Listed.stamp`; zeros where the file is gone."""
    try:
        status = path.stat()
    except OSError:
        return 0, 0
    return status.st_mtime_ns, status.st_size


def listed(name: str, path: Path, *, own: bool = False) -> Listed:
    """The line of one file; whatever is wrong with it is part of the line."""
    stamp = stamp_of(path)
    try:
        exchange = load(path, name)
    except FixtureError as error:
        provider = name.partition("/")[0]
        searched = f"{name} {error} broken".lower()
        return Listed(name, path, own, stamp, problem=str(error), provider=provider, searched=searched)
    response, expected = exchange.response, exchange.expected
    stream = streamed(exchange)
    status = None if response is None else response.status
    found_by = (
        name, exchange.api, exchange.kind, exchange.note, "stream" if stream else "plain", status, exchange.error,
        exchange.recorded_from, "own" if own else "", last_user_text(exchange.request.body)[:MAX_SEARCHED_CHARS],
        str(expected.get("text") or "")[:MAX_SEARCHED_CHARS], expected.get("model"), expected.get("error_type"),
        expected.get("error_message"),
    )  # fmt: skip
    return Listed(
        name,
        path,
        own,
        stamp,
        provider=exchange.provider,
        api=exchange.api,
        status=status,
        error=exchange.error,
        stream=stream,
        input_tokens=_count(expected.get("input_tokens")),
        output_tokens=_count(expected.get("output_tokens")),
        origin=exchange.recorded_from,
        searched=" ".join(str(part) for part in found_by if part).lower(),
    )


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def streamed(exchange: Exchange) -> bool:
    """Whether the answer came as a stream, or was to come so where none came."""
    if exchange.response is not None:
        return is_stream(exchange.api, exchange.response)
    body = exchange.request.body
    return exchange.api in STREAM_APIS or (isinstance(body, dict) and body.get("stream") is True)
