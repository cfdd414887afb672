"""Whether a recorded answer is a stream, and of what kind; recordings may lack the header that says so."""

from __future__ import annotations

from typing import Final

from providers.exchange.format import RecordedResponse

STREAM_APIS: Final = frozenset({"converse-stream", "invoke-stream", "streamGenerateContent"})
"""APIs whose good answers are always streams."""

_SSE: Final = "text/event-stream"
_NDJSON: Final = "application/x-ndjson"
_STREAMS: Final = (_SSE, "ndjson", "vnd.amazon.eventstream")


def content_type(api: str, response: RecordedResponse) -> str:
    """The answer's content type: as recorded, else as its body tells; empty where that tells nothing."""
    named = response.headers.get("content-type", "")
    if named:
        return named
    body = response.body
    head = body[:16].lstrip()
    if head.startswith((b"data:", b"event:", b":")):
        return _SSE
    if b"}\n{" in body:
        return _NDJSON
    if api in ("converse-stream", "invoke-stream") and response.status < 400:
        return "application/vnd.amazon.eventstream"
    return "application/json" if head[:1] in (b"{", b"[") else ""


def is_stream(api: str, response: RecordedResponse) -> bool:
    """Whether the answer came as a stream, of whatever framing."""
    if response.status >= 400:
        return False
    kind = content_type(api, response)
    return any(word in kind for word in _STREAMS) or (api in STREAM_APIS and "json" in kind)
