"""Makes any transport misbehave on demand, at the level of bytes: the code above meets what it would meet in life.

A fault is chosen when a call begins and kept for it: the first listed terminal one, with every latency and pace fault.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final, Protocol

from providers.clock import SYSTEM_CLOCK, Clock, Randomness
from providers.errors import (
    AuthenticationError,
    ConnectionFailedError,
    ContentFilterError,
    InvalidRequestError,
    ModelNotFoundError,
    PermissionDeniedError,
    ProviderError,
    ProviderTimeoutError,
    QuotaExhaustedError,
    RateLimitError,
    ServiceUnavailableError,
)
from providers.faults import INSTEAD, TERMINAL, Fault, FaultSource
from providers.transports.base import Transport, WireRequest, WireResponse
from providers.transports.canned import PiecewiseResponse, WholeResponse
from providers.transports.damage import FOREVER, Body, Decoder, broken, paced, trickled
from providers.types import TextDelta

RESET_AFTER: Final = 0.010
"""Seconds until a provoked connection reset."""

_STATUS_ERRORS: Final[Mapping[int, type[ProviderError]]] = {
    400: InvalidRequestError,
    401: AuthenticationError,
    402: QuotaExhaustedError,
    403: PermissionDeniedError,
    404: ModelNotFoundError,
    408: ProviderTimeoutError,
    413: InvalidRequestError,
    422: InvalidRequestError,
    429: RateLimitError,
}
_BROKEN_JSON: Final = b'{"id":"provoked-malformed-body","cho'


class WireErrorLike(Protocol):
    """An error as a vendor sends it."""

    @property
    def status(self) -> int: ...
    @property
    def headers(self) -> Mapping[str, str]: ...
    @property
    def body(self) -> bytes: ...


class Encoder(Protocol):
    """The part of a stream encoder that provoking needs."""

    content_type: str

    def event(self, event: TextDelta) -> bytes: ...

    def error(self, error: ProviderError) -> bytes: ...


class Speech(Protocol):
    """What a fault must know of a wire format: the part of a dialect that provoking needs."""

    def encode_error(self, error: ProviderError) -> WireErrorLike: ...
    def decoder(self) -> Decoder: ...
    def encoder(self, *, model: str, response_id: str, created: int) -> Encoder: ...


class FaultyTransport:
    """A transport around another one. `speech` tells the wire format of a request."""

    def __init__(
        self,
        inner: Transport,
        *,
        provider: str,
        faults: FaultSource,
        speech: Callable[[WireRequest], Speech],
        draws: Randomness,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._inner = inner
        self._provider = provider
        self._faults = faults
        self._speech = speech
        self._draws = draws
        self._clock = clock

    async def send(self, request: WireRequest) -> WireResponse:
        listed = self._faults.active(self._provider)
        if not listed:
            return await self._inner.send(request)
        chosen = [f for f in listed if f.probability >= 1.0 or self._draws.random() < f.probability]
        terminal, wait = self._terminal(chosen)
        if terminal is not None and terminal.kind in INSTEAD:
            return await self._fail(terminal, wait, request)
        pace = min((f.tokens_per_second for f in chosen if f.kind == "slow_stream"), default=None)
        response = await self._delayed(replace(request, tokens_per_second=pace) if pace else request, chosen)
        if response.status != 200:
            return response
        if pace and getattr(response, "tokens_per_second", None) is None:
            response = _Owned(response, paced(self._body(response, request), pace))
        if terminal is not None:
            response = self._met(response, terminal, request)
        trickle = min((f.bytes_per_second for f in chosen if f.kind == "trickle"), default=None)
        return response if trickle is None else _Owned(response, trickled(response, trickle, self._clock))

    def _met(self, response: WireResponse, fault: Fault, request: WireRequest) -> WireResponse:
        """The provider's answer with the fault in it."""
        headers = response.headers
        if fault.kind == "wrong_content_type":
            return _Owned(response, response.chunks(), {**headers, "content-type": fault.content_type})
        # A length that was announced would not be kept.
        headers = {k: v for k, v in headers.items() if k != "content-length"}
        source = broken(self._body(response, request), fault, lambda begun: self._error_event(fault, request, begun))
        return _Owned(response, source, headers)

    def _error_event(self, fault: Fault, request: WireRequest, begun: bool) -> bytes:
        speech, error = self._speech(request), provoked_error(fault)
        if request.stream:
            encoder = speech.encoder(model="", response_id="", created=0)
            if begun:
                # A format that joins its events writes a later one differently.
                encoder.event(TextDelta(""))
            return encoder.error(error)
        return speech.encode_error(error).body

    def _body(self, response: WireResponse, request: WireRequest) -> Body:
        speech = self._speech(request)
        content_type = response.headers.get("content-type")
        if content_type is None:
            content_type = speech.encoder(model="", response_id="", created=0).content_type
        return Body(response, self._provider, request.stream, content_type, speech.decoder, self._clock)

    def _terminal(self, chosen: Sequence[Fault]) -> tuple[Fault | None, float | None]:
        """The fault that ends this call, with the seconds to name in Retry-After."""
        for fault in chosen:
            if fault.kind == "quota":
                wait = self._faults.quota_wait(self._provider, fault)
                if wait is not None:
                    return fault, wait
            elif fault.kind in TERMINAL:
                return fault, fault.retry_after
        return None, None

    async def _fail(self, fault: Fault, retry_after: float | None, request: WireRequest) -> WireResponse:
        """A call that never reaches the provider."""
        speech = self._speech(request)
        content_type = "application/json"
        if request.stream:
            content_type = speech.encoder(model="", response_id="", created=0).content_type
        headers = {"content-type": content_type}
        match fault.kind:
            case "timeout":
                await self._clock.sleep(FOREVER)
                raise ProviderTimeoutError(f"{self._provider} sent no answer")
            case "hang":
                return PiecewiseResponse(200, headers, self._silence())
            case "connection_reset":
                await self._clock.sleep(RESET_AFTER)
                raise ConnectionFailedError(f"{self._provider} closed the connection without an answer")
        if fault.after:
            await self._clock.sleep(fault.after)
        match fault.kind:
            case "malformed_body":
                framed = b"data: " + _BROKEN_JSON + b"\n\n" if "event-stream" in content_type else _BROKEN_JSON + b"\n"
                return WholeResponse(200, headers, framed if request.stream else _BROKEN_JSON)
            case "empty_body":
                return WholeResponse(200, headers, b"")
        wire = speech.encode_error(provoked_error(fault, retry_after))
        return WholeResponse(wire.status, {k.lower(): v for k, v in wire.headers.items()}, wire.body)

    async def _delayed(self, request: WireRequest, chosen: Sequence[Fault]) -> WireResponse:
        add, times = 0.0, 1.0
        for fault in chosen:
            if fault.kind == "latency":
                add += fault.add
                times *= fault.times
        began = self._clock.monotonic()
        response = await self._inner.send(request)
        extra = add + (times - 1.0) * (self._clock.monotonic() - began)
        if extra > 0:
            try:
                await self._clock.sleep(extra)
            except BaseException:
                await response.close()
                raise
        return response

    async def _silence(self) -> AsyncGenerator[bytes]:
        await self._clock.sleep(FOREVER)
        yield b""

    async def close(self) -> None:
        await self._inner.close()


class _Owned(PiecewiseResponse):
    """A response around another one, which it closes."""

    __slots__ = ("_inner",)

    def __init__(
        self, inner: WireResponse, source: AsyncIterator[bytes], headers: Mapping[str, str] | None = None
    ) -> None:
        pace = getattr(inner, "tokens_per_second", None)
        super().__init__(inner.status, inner.headers if headers is None else headers, source, pace)
        self._inner = inner

    async def close(self) -> None:
        await super().close()
        await self._inner.close()


def provoked_error(fault: Fault, retry_after: float | None = None) -> ProviderError:
    """The error that a fault with an HTTP answer stands for."""
    match fault.kind:
        case "rate_limit":
            return RateLimitError("Too many requests (provoked).", status=429, retry_after=retry_after)
        case "quota":
            return RateLimitError("The quota is used up for now (provoked).", status=429, retry_after=retry_after)
        case "auth":
            return AuthenticationError("The API key is not valid (provoked).", status=401)
        case "content_filter":
            return ContentFilterError("The prompt was refused by the content policy (provoked).", status=400)
        case "http_error" | "error_event":
            kind = _STATUS_ERRORS.get(fault.status, ServiceUnavailableError)
            return kind(f"HTTP {fault.status} (provoked).", status=fault.status, retry_after=retry_after)
    raise ValueError(f"the fault {fault.kind!r} is not answered with an HTTP error")
