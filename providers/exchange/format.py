"""The recorded exchange: one request, one answer byte for byte, and what must be read out of it.

Version 1 on disk: `{version, provider, api, recorded, request, response, error, expected}` and how it matches (`match`,
`pattern`, `ignore`, `sequence`). Older versions are migrated when read; see `migrate`.
"""

from __future__ import annotations

import re
from binascii import b2a_base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, cast, get_args

import orjson

from providers.errors import FixtureError
from providers.exchange.document import Document, line_of, read_file

VERSION: Final = 1

MatchRule = Literal["exact", "last_user_message", "regex", "any"]
Origin = Literal["live", "wiretap", "authored"]
Failure = Literal["connection_reset", "timeout"]
BodyForm = Literal["body", "body_base64", "chunks"]

_KEYS: Final = (
    "version", "provider", "api", "kind", "note", "source", "recorded", "request", "response", "error", "expected",
    "match", "pattern", "ignore", "sequence",
)  # fmt: skip
_RECORDED_KEYS: Final = ("at", "from")
_REQUEST_KEYS: Final = ("method", "host", "path", "headers", "body")
_RESPONSE_KEYS: Final = ("status", "headers", "after_ms", "body", "body_base64", "chunks")
_CHUNK_KEYS: Final = ("after_ms", "data", "data_base64")
BINARY: Final = "vnd.amazon.eventstream"
"""In the content type of answers whose bytes are framed with checksums."""


class Chunk(NamedTuple):
    after_ms: float
    """Milliseconds after the chunk before it; for the first, after the headers. Exact to the microsecond."""
    data: bytes


@dataclass(slots=True)
class RecordedRequest:
    method: str = "POST"
    path: str = "/"
    headers: dict[str, str] = field(default_factory=dict)
    body: Any = None
    """Parsed JSON; text where it was none; None where there was no body."""
    host: str | None = None


@dataclass(slots=True)
class RecordedResponse:
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    """Names in lower case."""
    chunks: tuple[Chunk, ...] = ()
    """The body in the pieces in which it is to arrive; one piece where only the whole is known."""
    form: BodyForm = "body"
    """How the body is written on disk."""
    after_ms: float = 0.0
    """Milliseconds from the request to the headers."""

    @property
    def body(self) -> bytes:
        """The whole body."""
        return self.chunks[0].data if len(self.chunks) == 1 else b"".join(chunk.data for chunk in self.chunks)


@dataclass(slots=True)
class Exchange:
    provider: str
    api: str
    request: RecordedRequest
    response: RecordedResponse | None = None
    """None where no answer came at all; then `error` says why."""
    error: Failure | None = None
    """How the connection ended badly, after whatever of the response there is."""
    expected: dict[str, Any] = field(default_factory=dict)
    recorded_at: str | None = None
    recorded_from: Origin = "authored"
    match: MatchRule = "exact"
    pattern: str | None = None
    """For `regex`; without it the recorded last user message is the pattern."""
    ignore: tuple[str, ...] = ()
    """Fields of the body, as dotted paths, that need not agree."""
    sequence: int | None = None
    """Answers only the n-th request that matches, counted from 1."""
    kind: str | None = None
    note: str | None = None
    source: dict[str, Any] | None = None
    name: str = ""
    """`<provider>/<case>.json`, where it was read from a folder."""


# --- migration ------------------------------------------------------------------------------------------------------


def _from_0(raw: dict[str, Any]) -> dict[str, Any]:
    """Version 0 is unnumbered real traffic: its decoded frames and framing can be told from the body itself."""
    migrated = dict(raw)
    response = migrated.get("response")
    if isinstance(response, Mapping):
        migrated["response"] = {k: v for k, v in response.items() if k not in ("framing", "events")}
    migrated.setdefault("recorded", {"at": None, "from": "live"})
    migrated["version"] = 1
    return migrated


_MIGRATIONS: Final[dict[int, Callable[[dict[str, Any]], dict[str, Any]]]] = {0: _from_0}


def migrate(raw: dict[str, Any], where: str = "the fixture") -> dict[str, Any]:
    """The document in the current version. Raises FixtureError for a version that this program does not know."""
    version = raw.get("version", 0)
    if not isinstance(version, int) or isinstance(version, bool) or version < 0:
        raise FixtureError(f"{where}: version is {version!r}; it must be a whole number such as {VERSION}")
    if version > VERSION:
        raise FixtureError(f"{where}: version {version} is newer than this program reads ({VERSION}); update it")
    while version < VERSION:
        raw = _MIGRATIONS[version](raw)
        version = raw["version"]
    return raw


# --- reading --------------------------------------------------------------------------------------------------------


def load(path: Path, name: str = "") -> Exchange:
    """The exchange of a file. Raises FixtureError naming the file, the line and the key."""
    data = read_file(path)
    try:
        raw = orjson.loads(data)
    except ValueError as error:
        raise FixtureError(f"{path} is not JSON: {error}") from None
    try:
        exchange = parse(raw, str(path))
    except FixtureError as error:
        if not error.place:
            raise
        # Parsed again, so that the sentence begins with the line too.
        exchange = parse(raw, f"{path}, line {line_of(data.decode(), error.place)}")
    exchange.name = name or path.name
    return exchange


def parse(raw: object, where: str = "the fixture") -> Exchange:
    """An exchange from its parsed document. Raises FixtureError naming `where` and the key."""
    if not isinstance(raw, dict):
        raise FixtureError(f"{where}: a fixture is a JSON object, not {type(raw).__name__}")
    document = Document(migrate(raw, where), where)
    document.check_keys(_KEYS)
    recorded = document.inner("recorded")
    recorded.check_keys(_RECORDED_KEYS)
    error = document.choice("error", Failure, None)
    return Exchange(
        provider=document.name("provider"),
        api=document.name("api"),
        request=_request(document.inner("request", required=True)),
        response=_response(document.inner("response", required=error is None), required=error is None),
        error=cast("Failure | None", error),
        expected=document.object("expected"),
        recorded_at=recorded.text("at"),
        recorded_from=cast("Origin", recorded.choice("from", Origin, "authored")),
        match=cast("MatchRule", document.choice("match", MatchRule, "exact")),
        pattern=_pattern(document),
        ignore=document.texts("ignore"),
        sequence=document.ordinal("sequence"),
        kind=document.text("kind"),
        note=document.text("note"),
        source=document.object("source") or None,
    )


def _pattern(document: Document) -> str | None:
    pattern = document.text("pattern")
    if pattern is not None:
        try:
            re.compile(pattern)
        except re.error as problem:
            raise document.complain("pattern", f"pattern {pattern!r} is not a regular expression: {problem}") from None
    return pattern


def _request(document: Document) -> RecordedRequest:
    document.check_keys(_REQUEST_KEYS)
    return RecordedRequest(
        method=document.text("method") or "POST",
        path=document.text("path") or "/",
        headers=document.headers(),
        body=document.raw.get("body"),
        host=document.text("host"),
    )


def _response(document: Document, *, required: bool) -> RecordedResponse | None:
    if not document.raw and not required:
        return None
    document.check_keys(_RESPONSE_KEYS)
    status = document.raw.get("status")
    if not isinstance(status, int) or not 100 <= status <= 599:
        raise document.wrong("status", status, "an HTTP status such as 200")
    form = _one_of(document, *get_args(BodyForm)) or "body"
    if form == "chunks":
        chunks = tuple(_chunk(chunk) for chunk in document.inners("chunks"))
    else:
        chunks = (Chunk(0.0, document.bytes_of("body", "body_base64")),)
    return RecordedResponse(
        status, document.headers(), chunks, cast("BodyForm", form), document.milliseconds("after_ms")
    )


def _chunk(document: Document) -> Chunk:
    document.check_keys(_CHUNK_KEYS)
    _one_of(document, "data", "data_base64")
    return Chunk(document.milliseconds("after_ms"), document.bytes_of("data", "data_base64"))


def _one_of(document: Document, *names: str) -> str | None:
    """Which one of several keys is given, as at most one may be."""
    given = [name for name in names if document.raw.get(name) is not None]
    if len(given) > 1:
        raise document.complain(given[1], f"{document.key(given[0])} and {given[1]} are both given; keep one")
    return given[0] if given else None


# --- writing --------------------------------------------------------------------------------------------------------


def document_of(exchange: Exchange) -> dict[str, Any]:
    """The exchange as its version 1 document; `parse` reads it back to an equal exchange."""
    request = exchange.request
    document: dict[str, Any] = {
        "version": VERSION,
        "provider": exchange.provider,
        "api": exchange.api,
        "kind": exchange.kind,
        "note": exchange.note,
        "source": exchange.source,
        "recorded": {"at": exchange.recorded_at, "from": exchange.recorded_from},
        "match": exchange.match if exchange.match != "exact" else None,
        "pattern": exchange.pattern,
        "ignore": list(exchange.ignore) or None,
        "sequence": exchange.sequence,
        "request": {
            "method": request.method,
            "host": request.host,
            "path": request.path,
            "headers": request.headers,
            "body": request.body,
        },
        "response": None if exchange.response is None else _response_document(exchange.response),
        "error": exchange.error,
        "expected": exchange.expected,
    }
    if request.host is None:
        del document["request"]["host"]
    optional = ("kind", "note", "source", "match", "pattern", "ignore", "sequence")
    return {k: v for k, v in document.items() if v is not None or k not in optional}


def _response_document(response: RecordedResponse) -> dict[str, Any]:
    document: dict[str, Any] = {"status": response.status, "headers": response.headers}
    if response.after_ms:
        document["after_ms"] = response.after_ms
    if response.form == "chunks":
        # All pieces alike: some pieces of a binary answer would pass for text.
        binary = BINARY in response.headers.get("content-type", "")
        document["chunks"] = [
            {"after_ms": chunk.after_ms, **_data("data", chunk.data, binary=binary)} for chunk in response.chunks
        ]
    else:
        document.update(_data("body", response.body, binary=response.form == "body_base64"))
    return document


def _data(name: str, data: bytes, *, binary: bool = False) -> dict[str, str]:
    if not binary:
        try:
            return {name: data.decode()}
        except UnicodeDecodeError:
            # A chunk may end inside a character.
            pass
    return {f"{name}_base64": b2a_base64(data, newline=False).decode()}
