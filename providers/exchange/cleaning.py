"""Takes the credentials out of an exchange before anybody keeps it."""

from __future__ import annotations

import re
from base64 import b64decode
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final

from providers.errors import FixtureError
from providers.exchange.format import BINARY, Chunk, Exchange, RecordedResponse
from providers.redaction import MASK, merged, redact, redact_headers, redact_path, spans

_FIELDS: Final = (
    "api_key",
    "apikey",
    "api-key",
    "authorization",
    "password",
    "secret",
    "access_token",
    "client_secret",
)
_SECRET_FIELDS: Final = frozenset(_FIELDS)
_SECRET_FIELD: Final = re.compile(rf'(?i)"(?:{"|".join(_FIELDS)})"\s*:\s*"((?:[^"\\]|\\.)+)"')
_PACKED: Final = re.compile(rb'"bytes"\s*:\s*"([A-Za-z0-9+/=]+)"')
"""What Bedrock's frames hold for models that it does not translate: their own JSON, in base64."""


def redacted(exchange: Exchange, secrets: Sequence[str] = ()) -> Exchange:
    """A copy without credentials: headers and query parameters that carry them by their names, `secrets` by value,
    anything else by its shape.

    Raises FixtureError for a binary body that holds one, as it cannot be changed without breaking its checksums.
    """
    request = exchange.request
    response = exchange.response
    if response is not None:
        response = replace(
            response, headers=redact_headers(response.headers, secrets), chunks=_redacted_chunks(response, secrets)
        )
    return replace(
        exchange,
        request=replace(
            request,
            host=redacted_value(request.host, secrets),
            path=redact_path(request.path, secrets),
            headers=redact_headers(request.headers, secrets),
            body=redacted_value(request.body, secrets),
        ),
        response=response,
        expected=redacted_value(exchange.expected, secrets),
        pattern=redacted_value(exchange.pattern, secrets),
        kind=redacted_value(exchange.kind, secrets),
        note=redacted_value(exchange.note, secrets),
        source=redacted_value(exchange.source, secrets),
    )


def redacted_value(value: Any, secrets: Sequence[str] = ()) -> Any:
    """What JSON can say, without credentials: in texts, in keys, and in fields that are named after one."""
    if isinstance(value, str):
        return redact(value, secrets)
    if isinstance(value, dict):
        return {
            redact(str(k), secrets): MASK
            if str(k).lower() in _SECRET_FIELDS and isinstance(v, str)
            else redacted_value(v, secrets)
            for k, v in value.items()
        }
    if isinstance(value, list):
        return [redacted_value(item, secrets) for item in value]
    return value


def _redacted_chunks(response: RecordedResponse, secrets: Sequence[str]) -> tuple[Chunk, ...]:
    """The pieces with their times, the credentials cut out of the whole that they make: one may lie across several."""
    body = response.body
    # Latin-1 maps every byte to one character and back, so that bytes which are no text survive unchanged.
    whole = body.decode("latin-1")
    known = [*secrets, *(secret.encode(errors="replace").decode("latin-1") for secret in secrets)]
    holes = merged([*spans(whole, known), *(match.span(1) for match in _SECRET_FIELD.finditer(whole))])
    framed = response.form == "body_base64" or BINARY in response.headers.get("content-type", "")
    if framed and (holes or any(spans(inner, known) for inner in _packed(body))):
        raise FixtureError("the recorded answer is binary and holds a credential; it was not saved")
    if not holes:
        return response.chunks
    pieces = []
    begin = 0
    for chunk in response.chunks:
        end = begin + len(chunk.data)
        pieces.append(Chunk(chunk.after_ms, _outside(whole, holes, begin, end).encode("latin-1")))
        begin = end
    return tuple(pieces)


def _packed(body: bytes) -> Iterator[str]:
    for match in _PACKED.finditer(body):
        with suppress(ValueError):
            yield b64decode(match[1]).decode("latin-1")


def _outside(text: str, holes: Sequence[tuple[int, int]], begin: int, end: int) -> str:
    """What of `text[begin:end]` lies in no hole; a mask stands where one begins."""
    kept = []
    # The hole before the first that begins here may reach into it.
    for first, last in holes[max(0, bisect_right(holes, (begin,)) - 1) :]:
        if first >= end:
            break
        if last <= begin:
            continue
        if first >= begin:
            kept += [text[begin:first], MASK]
        begin = min(last, end)
    return "".join([*kept, text[begin:end]])
