"""The shapes of `fixtures …`."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import with_config
from typing_extensions import TypedDict

from sandbox.cli.schemas.common import STRICT, Milliseconds, Tokens
from sandbox.cli.schemas.requests import Usage

Origin = Literal["live", "wiretap", "authored"]
Failure = Literal["connection_reset", "timeout"]


@with_config(STRICT)
class FixturesItem(TypedDict):
    """`problem` says why a file cannot be read; then only its name, file and provider are known."""

    name: str
    file: str
    own: bool
    provider: str
    api: str | None
    status: int | None
    error: Failure | None
    stream: bool
    input_tokens: Tokens | None
    output_tokens: Tokens | None
    origin: Origin | None
    problem: str | None


@with_config(STRICT)
class FixturesList(TypedDict):
    """What `fixtures list --json` prints."""

    items: list[FixturesItem]


@with_config(STRICT)
class PieceOfAnswer(TypedDict):
    """`at_ms` counts from the request, `after_ms` from the piece before; `text` is what a reader would see of it."""

    at_ms: Milliseconds
    after_ms: Milliseconds
    bytes: int
    text: str


@with_config(STRICT)
class FixturesShow(TypedDict):
    """What `fixtures show --json` prints; `exchange` is the file's document in the current version."""

    name: str
    file: str
    exchange: dict[str, Any]
    timeline: list[PieceOfAnswer]


@with_config(STRICT)
class FixturesRecord(TypedDict):
    """What `fixtures record --json` prints: the exchange that was kept."""

    name: str
    file: str
    provider: str
    api: str
    origin: Origin
    status: int | None
    error: Failure | None
    pieces: int
    duration_ms: Milliseconds


@with_config(STRICT)
class VerifiedFixture(TypedDict):
    """`differences` are sentences; `problem` says why a file is unreadable."""

    file: str
    result: Literal["agrees", "differs", "unreadable"]
    differences: list[str]
    problem: str | None


@with_config(STRICT)
class FixturesVerify(TypedDict):
    """What `fixtures verify --json` prints."""

    items: list[VerifiedFixture]
    agreeing: int
    differing: int
    unreadable: int


@with_config(STRICT)
class ImportedFixture(TypedDict):
    name: str
    file: str
    provider: str
    api: str
    kind: str | None


@with_config(STRICT)
class FixturesImport(TypedDict):
    """What `fixtures import --json` prints; `notes` say what has no equivalent here."""

    items: list[ImportedFixture]
    notes: list[str]


@with_config(STRICT)
class ToolCall(TypedDict):
    """`arguments` are parsed where they are JSON, else the text as sent."""

    name: str
    arguments: Any


@with_config(STRICT)
class FixtureReplay(TypedDict):
    """One line of `fixtures replay --json`: token numbers are the vendor's own, `usage` is normalised."""

    file: str
    ok: bool
    text: str | None
    reasoning_text: str | None
    finish_reason: str | None
    stop: str | None
    input_tokens: int | None
    output_tokens: int | None
    cached_input_tokens: int | None
    cache_write_tokens: int | None
    reasoning_tokens: int | None
    usage: Usage | None
    tool_calls: list[ToolCall]
    model: str | None
    error_type: str | None
    error_code: str | None
    error_class: str | None
    error_message: str | None
    retryable: bool | None
    retry_after: float | None
    deltas: int
