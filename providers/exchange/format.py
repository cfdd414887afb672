"""The recorded exchange: one request, one answer byte for byte, and what must be read out of it.

Version 1 on disk: `{version, provider, api, recorded, request, response, error, expected}` and how it matches (`match`,
`pattern`, `ignore`, `sequence`). Older versions are migrated when read; see `migrate`.
"""

from __future__ import annotations

import re
from binascii import a2b_base64, b2a_base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, cast, get_args

import orjson

from providers.errors import FixtureError

VERSION: Final = 1

MatchRule = Literal["exact", "last_user_message", "regex", "any"]
Origin = Literal["live", "wiretap", "authored"]
Failure = Literal["connection_reset", "timeout"]
BodyForm = Literal["body", "body_base64", "chunks"]

_KEYS: Final = (
    "version", "provider", "api", "kind", "note", "source", "recorded", "request", "response", "error", "expected",
    "match", "pattern", "ignore", "sequence",
)  # fmt: skip
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class Chunk(NamedTuple):
    after_ms: float
    """Milliseconds after the chunk before it; for the first, after the headers."""
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
    """The exchange of a file. Raises FixtureError naming the file and the key."""
    try:
        raw = orjson.loads(path.read_bytes())
    except OSError as error:
        raise FixtureError(f"cannot read {path}: {error.strerror}") from None
    except ValueError as error:
        raise FixtureError(f"{path} is not JSON: {error}") from None
    exchange = parse(raw, str(path))
    exchange.name = name or path.name
    return exchange


def parse(raw: object, where: str = "the fixture") -> Exchange:
    """An exchange from its parsed document. Raises FixtureError naming `where` and the key."""
    if not isinstance(raw, dict):
        raise FixtureError(f"{where}: a fixture is a JSON object, not {type(raw).__name__}")
    document = _Document(migrate(raw, where), where)
    document.check_keys()
    recorded = document.object("recorded")
    error = document.choice("error", Failure, None)
    exchange = Exchange(
        provider=document.name("provider"),
        api=document.name("api"),
        request=_request(document.inner("request", required=True)),
        response=_response(document.inner("response", required=error is None)),
        error=cast("Failure | None", error),
        expected=document.object("expected"),
        recorded_at=recorded.get("at") if isinstance(recorded.get("at"), str) else None,
        recorded_from=cast("Origin", document.inner("recorded").choice("from", Origin, "authored")),
        match=cast("MatchRule", document.choice("match", MatchRule, "exact")),
        pattern=document.text("pattern"),
        ignore=document.texts("ignore"),
        sequence=document.ordinal("sequence"),
        kind=document.text("kind"),
        note=document.text("note"),
        source=document.object("source") or None,
    )
    if exchange.pattern is not None:
        try:
            re.compile(exchange.pattern)
        except re.error as problem:
            raise FixtureError(
                f"{where}: pattern {exchange.pattern!r} is not a regular expression: {problem}"
            ) from None
    return exchange


def _request(document: _Document) -> RecordedRequest:
    return RecordedRequest(
        method=document.text("method") or "POST",
        path=document.text("path") or "/",
        headers=document.headers(),
        body=document.raw.get("body"),
        host=document.text("host"),
    )


def _response(document: _Document) -> RecordedResponse | None:
    if not document.raw:
        return None
    status = document.raw.get("status")
    if not isinstance(status, int) or not 100 <= status <= 599:
        raise document.wrong("status", status, "an HTTP status such as 200")
    forms = [form for form in get_args(BodyForm) if document.raw.get(form) is not None]
    if len(forms) > 1:
        raise FixtureError(f"{document.where}: {document.key(forms[0])} and {forms[1]} are both given; keep one")
    form = forms[0] if forms else "body"
    if form == "chunks":
        chunks = tuple(_chunk(chunk) for chunk in document.inners("chunks"))
    else:
        chunks = (Chunk(0.0, document.bytes_of("body", "body_base64")),)
    return RecordedResponse(status, document.headers(), chunks, cast("BodyForm", form))


def _chunk(document: _Document) -> Chunk:
    after = document.raw.get("after_ms", 0)
    if isinstance(after, bool) or not isinstance(after, (int, float)) or not 0 <= after < 1e9:
        raise document.wrong("after_ms", after, "milliseconds from 0 on")
    return Chunk(float(after), document.bytes_of("data", "data_base64"))


class _Document:
    """A JSON object with the place it came from, so that every complaint names the file and the key."""

    __slots__ = ("_prefix", "raw", "where")

    def __init__(self, raw: dict[str, Any], where: str, prefix: str = "") -> None:
        self.raw = raw
        self.where = where
        self._prefix = prefix

    def key(self, name: str) -> str:
        return f"{self._prefix}{name}"

    def wrong(self, name: str, value: object, right: str) -> FixtureError:
        return FixtureError(f"{self.where}: {self.key(name)} is {str(value)[:60]!r}; it must be {right}")

    def check_keys(self) -> None:
        for key in self.raw:
            if key not in _KEYS:
                from difflib import get_close_matches

                near = get_close_matches(key, _KEYS, 1)
                hint = f"did you mean {near[0]!r}?" if near else f"the keys are {', '.join(_KEYS)}"
                raise FixtureError(f"{self.where}: unknown key {key!r}; {hint}")

    def name(self, name: str) -> str:
        value = self.raw.get(name)
        if not isinstance(value, str) or not _NAME.fullmatch(value):
            raise self.wrong(name, value, "a name such as 'openai' or 'chat.completions'")
        return value

    def text(self, name: str) -> str | None:
        value = self.raw.get(name)
        if value is None or isinstance(value, str):
            return value
        raise self.wrong(name, value, "a string")

    def texts(self, name: str) -> tuple[str, ...]:
        value = self.raw.get(name) or ()
        if isinstance(value, (list, tuple)) and all(isinstance(item, str) and item for item in value):
            return tuple(value)
        raise self.wrong(name, value, "a list of field names such as ['temperature']")

    def ordinal(self, name: str) -> int | None:
        value = self.raw.get(name)
        if value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= 1):
            return value
        raise self.wrong(name, value, "a whole number from 1 on")

    def choice(self, name: str, kind: object, default: str | None) -> str | None:
        value = self.raw.get(name)
        words = get_args(kind)
        if value is None:
            return default
        if value in words:
            return str(value)
        raise self.wrong(name, value, "one of " + ", ".join(words))

    def object(self, name: str) -> dict[str, Any]:
        value = self.raw.get(name)
        if value is None:
            return {}
        if isinstance(value, dict):
            return value
        raise self.wrong(name, value, "an object")

    def inner(self, name: str, *, required: bool = False) -> _Document:
        if required and self.raw.get(name) is None:
            raise FixtureError(f"{self.where}: {self.key(name)} is missing")
        return _Document(self.object(name), self.where, f"{self.key(name)}.")

    def inners(self, name: str) -> list[_Document]:
        value = self.raw.get(name)
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise self.wrong(name, value, "a list of objects")
        return [_Document(item, self.where, f"{self.key(name)}[{index}].") for index, item in enumerate(value)]

    def headers(self) -> dict[str, str]:
        value = self.object("headers")
        if not all(isinstance(text, str) for text in value.values()):
            raise self.wrong("headers", value, "an object of strings")
        return {header.lower(): text for header, text in value.items()}

    def bytes_of(self, plain: str, encoded: str) -> bytes:
        value, packed = self.raw.get(plain), self.raw.get(encoded)
        if packed is not None:
            try:
                return a2b_base64(packed, strict_mode=True)
            except (ValueError, TypeError):
                raise self.wrong(encoded, packed, "base64 text") from None
        if value is None:
            return b""
        if isinstance(value, str):
            return value.encode()
        if isinstance(value, (dict, list)):
            # Written by hand as JSON for legibility; the bytes then are the compact ones.
            return orjson.dumps(value)
        raise self.wrong(plain, value, "text or JSON")


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
    if response.form == "chunks":
        document["chunks"] = [{"after_ms": chunk.after_ms, **_data("data", chunk.data)} for chunk in response.chunks]
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
