"""Turns what was captured on its way into an exchange: without credentials, with what the real provider reads in it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

from providers.clock import iso
from providers.dialects import spoken
from providers.errors import FixtureError, ProviderError
from providers.exchange.cleaning import redacted
from providers.exchange.format import Chunk, Exchange, Origin, RecordedRequest, RecordedResponse
from providers.exchange.listing import streamed
from providers.redaction import holds_key
from providers.transports.recording import Captured
from providers.vendors import conformance

# How the bytes were packed on their way; what is kept is unpacked.
_PACKING: Final = frozenset(
    {"connection", "content-encoding", "content-length", "keep-alive", "trailer", "transfer-encoding", "upgrade"}
)


def exchange_of(
    captured: Captured, *, provider: str, origin: Origin, base_path: str = "", secrets: Sequence[str] = ()
) -> Exchange | None:
    """The exchange as it is to be kept; None where the caller left before the answer was whole.

    Raises FixtureError where a credential cannot be taken out. Runs an event loop of its own, so not to be called on
    one.
    """
    request = captured.request
    exchange = Exchange(
        provider=provider,
        api=request.api,
        request=RecordedRequest(
            method=request.method,
            path=base_path + request.path,
            headers={"content-type": "application/json", **{k.lower(): v for k, v in request.headers.items()}},
            body=_parsed(request.body),
        ),
        response=_response(captured),
        error=captured.end if captured.end in ("connection_reset", "timeout") else None,
        recorded_at=iso(captured.at_us),
        recorded_from=origin,
    )
    if captured.end == "left" and not _ended(exchange, request.path):
        return None
    exchange = redacted(exchange, secrets)
    row = _row(exchange)
    if row is not None:
        if any(holds_key(text, secrets) for text in _texts(row)):
            raise FixtureError(
                f"the answer of {provider} spells a credential across several events, where it cannot be masked; "
                "it was not saved"
            )
        exchange.expected = {name: row[name] for name in conformance.COMPARED}
    exchange.kind = _kind(exchange, row or {})
    return exchange


def _response(captured: Captured) -> RecordedResponse | None:
    if captured.status is None:
        return None
    return RecordedResponse(
        captured.status,
        {k.lower(): v for k, v in captured.headers.items() if k.lower() not in _PACKING},
        # Thousandths as a float are written with as many digits as it takes to read the same one back.
        tuple(Chunk(after_us / 1000, data) for after_us, data in captured.chunks),
        "chunks",
        captured.headers_after_us / 1000,
    )


def _parsed(body: bytes) -> Any:
    try:
        return orjson.loads(body) if body else None
    except ValueError:
        return body.decode("utf-8", "replace")


def _ended(exchange: Exchange, path: str) -> bool:
    """Whether the format says that an answer is whole, although its body might have gone on.

    A caller need not wait for what may follow a stream's last event, or an error in it.
    """
    if exchange.response is None or not streamed(exchange):
        return False
    try:
        decoder = spoken(exchange.api, path).decoder()
        decoder.feed(exchange.response.body)
    except KeyError:
        return False
    except ProviderError:
        return True
    return decoder.finished or decoder.failure is not None


def _row(exchange: Exchange) -> dict[str, Any] | None:
    """What the real provider makes of it; None for an API that none speaks."""
    try:
        return asyncio.run(conformance.replay(exchange))
    except FixtureError:
        return None


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, Mapping):
        value = [*value, *value.values()]
    return [text for item in value for text in _texts(item)] if isinstance(value, list) else []


def _kind(exchange: Exchange, row: Mapping[str, Any]) -> str:
    """What sets the exchange apart from others of its API, for its name."""
    stream = "stream-" if streamed(exchange) else ""
    if exchange.error is not None:
        return f"{stream}{'reset' if exchange.error == 'connection_reset' else 'timeout'}"
    if exchange.response is not None and exchange.response.status >= 400:
        return f"error-{exchange.response.status}"
    if row.get("error_class"):
        return f"{stream}error"
    if row.get("tool_calls"):
        return f"{stream}tool"
    return stream.removesuffix("-") or "plain"
