"""Reads cassettes of VCR (Ruby's, and Python's vcrpy): HTTP exchanges as they passed, bodies plain, packed or parsed.

Formats: vcrpy.readthedocs.io, and benoittgt.github.io/vcr. Cassettes keep no times, so that a stream is one piece.
"""

from __future__ import annotations

import re
import zlib
from binascii import a2b_base64
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import orjson

from providers.exchange.canonical import canonical, key
from providers.exchange.document import Document, shown
from providers.exchange.format import BINARY, Chunk, Exchange, RecordedRequest, RecordedResponse
from providers.exchange.library import parsed
from providers.interchange.addresses import api_of, provider_of
from providers.interchange.taken import Taken

MAX_BODY: Final = 64 << 20
"""Bytes of a body when it is unpacked."""

_GZIP: Final = 31
_ZLIB: Final = 15
"""What zlib calls the two wrappers of a packed body."""
_FRAMING: Final = frozenset({"connection", "content-encoding", "content-length", "keep-alive", "transfer-encoding"})


def take(document: dict[str, Any], where: str, *, provider: str | None = None) -> Taken:
    """The exchanges of a cassette; `provider` stands in where an address is nobody's in particular.

    What cannot be taken over is a note. Raises FixtureError naming the place for what no cassette has.
    """
    taken = Taken()
    cassette = Document(document, where)
    name = "interactions" if "interactions" in document else "http_interactions"
    turns: dict[bytes, list[Exchange]] = {}
    for number, interaction in enumerate(cassette.inners(name)):
        place = f"{where}: {shown(name, number)}"
        try:
            exchange = _exchange(interaction, provider)
        except _Untaken as reason:
            taken.note(place, str(reason))
            continue
        exchange.source = {"format": "vcr", "interaction": number}
        taken.exchanges.append(exchange)
        request = exchange.request
        same = key([exchange.provider, exchange.api, canonical(request.body, exchange.api, request.path)])
        turns.setdefault(same, []).append(exchange)
    for alike in turns.values():
        # A cassette is played from its beginning: the n-th answer is that to the n-th equal request.
        for turn, exchange in enumerate(alike, 1):
            exchange.sequence = turn if len(alike) > 1 else None
    return taken


class _Untaken(Exception):
    """Why an interaction has no place here, in one sentence."""


def _exchange(interaction: Document, provider: str | None) -> Exchange:
    request = interaction.inner("request", required=True)
    answer = interaction.inner("response", required=True)
    url = request.text("uri") or request.text("url") or ""
    api = api_of(url)
    if api is None:
        raise _Untaken(f"{_method(request)} {_short(url)} calls no API that this program speaks; left out")
    known = provider_of(url) or provider
    if known is None:
        raise _Untaken(f"{_short(url)} is nobody's address in particular; name the --provider")
    recorded_at = interaction.raw.get("recorded_at")
    parts = urlsplit(url)
    return Exchange(
        provider=known,
        api=api,
        request=RecordedRequest(
            method=_method(request),
            path=parts.path + (f"?{parts.query}" if parts.query else ""),
            headers=_headers(request),
            body=parsed(_body(request, _headers(request))),
        ),
        response=_response(answer, api),
        recorded_at=recorded_at if isinstance(recorded_at, str) else None,
        recorded_from="live",
    )


def _method(request: Document) -> str:
    return (request.text("method") or "POST").upper()


def _response(answer: Document, api: str) -> RecordedResponse:
    status = answer.raw.get("status", answer.raw.get("status_code"))
    code = status.get("code") if isinstance(status, Mapping) else status
    if isinstance(code, bool) or not isinstance(code, int) or not 100 <= code <= 599:
        raise answer.wrong("status", status, "an HTTP status such as {code: 200, message: OK}")
    headers = _headers(answer)
    body = _body(answer, headers)
    framed = BINARY in headers.get("content-type", "") or (api.endswith("-stream") and code < 400)
    return RecordedResponse(
        code,
        {name: value for name, value in headers.items() if name not in _FRAMING},
        (Chunk(0.0, body),),
        "body_base64" if framed or not _is_text(body) else "body",
    )


def _headers(message: Document) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in message.object("headers").items():
        several = value if isinstance(value, (list, tuple)) else [value]
        found[str(name).lower()] = ", ".join(_text(one) for one in several)
    return found


def _body(message: Document, headers: Mapping[str, str]) -> bytes:
    """The bytes of a body, unpacked. Raises _Untaken for a packing that nothing here undoes."""
    if (ready := message.raw.get("parsed_body")) is not None:
        return ready.encode() if isinstance(ready, str) else _dumped(message, "parsed_body", ready)
    raw = message.raw.get("body", message.raw.get("content"))
    if isinstance(raw, Mapping):
        packed = raw.get("base64_string")
        if packed is not None:
            try:
                # Ruby breaks the text into lines.
                return _unpacked(a2b_base64("".join(_text(packed).split()), strict_mode=True), headers)
            except (ValueError, TypeError):
                raise message.wrong("body.base64_string", packed, "base64 text") from None
        # vcrpy and Ruby's VCR wrap the text; a body that was parsed before it was kept is what it is.
        raw = raw["string"] if "string" in raw else _dumped(message, "body", dict(raw)) if raw else None
    if raw is None:
        return b""
    if isinstance(raw, (list, tuple)):
        return _dumped(message, "body", raw)
    return _unpacked(raw if isinstance(raw, bytes) else _text(raw).encode("utf-8", "surrogateescape"), headers)


def _dumped(message: Document, name: str, value: Any) -> bytes:
    try:
        return orjson.dumps(value, default=_text, option=orjson.OPT_NON_STR_KEYS)
    except (TypeError, ValueError):
        raise message.wrong(name, value, "text, base64 or JSON") from None


def _unpacked(body: bytes, headers: Mapping[str, str]) -> bytes:
    """The body itself. Many cassettes keep the header of a packing that they have undone already."""
    packing = headers.get("content-encoding", "").strip().lower()
    if packing in ("gzip", "x-gzip"):
        return _inflated(body, packing, _GZIP) if body.startswith(b"\x1f\x8b") else body
    if packing and _is_text(body):
        return body
    if packing == "deflate":
        return _inflated(body, packing, _ZLIB)
    if packing in ("br", "zstd"):
        raise _Untaken(f"its body is packed with {packing}, which this program does not unpack; left out")
    return body


def _inflated(body: bytes, packing: str, window: int) -> bytes:
    try:
        plain = zlib.decompressobj(window).decompress(body, MAX_BODY + 1)
    except zlib.error as error:
        raise _Untaken(f"its body is not the {packing} that its headers say ({error}); left out") from None
    if len(plain) > MAX_BODY:
        raise _Untaken(f"its body is larger than {MAX_BODY >> 20} MiB when it is unpacked; left out")
    return plain


def _is_text(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _short(url: str) -> str:
    """An address without its query and its user, which may hold a key."""
    return repr(re.sub(r"//[^/]*@", "//", url.partition("?")[0])[:120])
