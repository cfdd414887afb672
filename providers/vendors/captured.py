"""Turns what was captured on its way into an exchange that can be kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from providers.clock import iso
from providers.dialects import spoken
from providers.errors import ProviderError
from providers.exchange.format import Chunk, Exchange, Origin, RecordedRequest, RecordedResponse
from providers.exchange.library import parsed
from providers.exchange.listing import streamed
from providers.transports.recording import Captured
from providers.vendors.completing import completed

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
            body=parsed(request.body),
        ),
        response=_response(captured),
        error=captured.end if captured.end in ("connection_reset", "timeout") else None,
        recorded_at=iso(captured.at_us),
        recorded_from=origin,
    )
    if captured.end == "left" and not _ended(exchange, request.path):
        return None
    return completed(exchange, secrets)


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
