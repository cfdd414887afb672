"""A dialect as one vendor speaks it: its own envelope around an error, its own headers. What wraps a dialect is one.

Answers are the dialect's own, so that nothing is added to the path of a good one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, cast

import orjson

from providers.clock import SYSTEM_CLOCK, Clock
from providers.dialects import spoken
from providers.dialects.base import Dialect, StreamEncoder, WireError
from providers.errors import ProviderError
from providers.mock.envelopes import ENVELOPES, OPENAI_SHAPED, STATUSES, Envelope, wrapped
from providers.mock.vendor_headers import Moment, error_headers, request_id
from providers.mock.writer import Dice
from providers.transports.base import WireRequest
from providers.types import Completion, StreamEvent

# The one format whose errors in a stream look like its bodies; the others have events of their own for it.
_CHAT_SHAPED: Final = frozenset({"openai_chat", "openai_completions"})


class VendorSpeech:
    """The formats of one vendor. Called with a request it gives the format of that request."""

    def __init__(self, provider: str, clock: Clock = SYSTEM_CLOCK) -> None:
        self._provider = provider
        self._clock = clock
        self._spoken: dict[str, Dialect] = {}

    def __call__(self, request: WireRequest) -> Dialect:
        return self.of(request.api, request.path)

    def of(self, api: str, path: str = "") -> Dialect:
        """Raises KeyError for an unknown API."""
        inner = spoken(api, path)
        found = self._spoken.get(inner.name)
        if found is None:
            found = self._spoken[inner.name] = cast("Dialect", _Accented(inner, self._provider, self._clock))
        return found


class _Accented:
    def __init__(self, inner: Dialect, provider: str, clock: Clock) -> None:
        self.name = inner.name
        self.encode_request = inner.encode_request
        self.decode_request = inner.decode_request
        self.decode_completion = inner.decode_completion
        self.encode_completion = inner.encode_completion
        self.decode_error = inner.decode_error
        self.decoder = inner.decoder
        self._inner = inner
        self._provider = provider
        self._clock = clock
        self._envelope = ENVELOPES.get(provider) if inner.name in OPENAI_SHAPED else None

    def encode_error(self, error: ProviderError) -> WireError:
        wire = self._inner.encode_error(error)
        status = STATUSES.get(self._provider, {}).get(type(error), wire.status)
        # The same error has the same id, as the same request has.
        token = Dice(self._provider, error.message, status).token(32)
        moment = Moment(token, now_us=self._clock.time_us())
        headers = error_headers(self._provider, status, error.retry_after, moment)
        headers.update(wire.headers)
        return WireError(status, headers, self._body(error, status, wire.body, headers))

    def _body(self, error: ProviderError, status: int, body: bytes, headers: Mapping[str, str]) -> bytes:
        if self._envelope is not None:
            return orjson.dumps(wrapped(self._envelope, error, status, orjson.loads(body)["error"]))
        if self._provider == "anthropic":
            return orjson.dumps({**orjson.loads(body), "request_id": request_id(headers)})
        return body

    def encoder(self, *, model: str, response_id: str, created: int, include_usage: bool = True) -> StreamEncoder:
        inner = self._inner.encoder(model=model, response_id=response_id, created=created, include_usage=include_usage)
        if self._envelope is None or self.name not in _CHAT_SHAPED:
            return inner
        return _AccentedEncoder(inner, self._inner, self._provider, self._envelope)


class _AccentedEncoder:
    """A stream as the dialect writes it, with the vendor's errors in it."""

    def __init__(self, inner: StreamEncoder, dialect: Dialect, provider: str, envelope: Envelope) -> None:
        self.content_type = inner.content_type
        self._inner = inner
        self._dialect = dialect
        self._provider = provider
        self._envelope = envelope

    def start(self) -> bytes:
        return self._inner.start()

    def event(self, event: StreamEvent) -> bytes:
        return self._inner.event(event)

    def finish(self, completion: Completion) -> bytes:
        return self._inner.finish(completion)

    def error(self, error: ProviderError) -> bytes:
        wire = self._dialect.encode_error(error)
        fields = orjson.loads(wire.body)["error"]
        body: Any = wrapped(self._envelope, error, wire.status, fields, streamed=True)
        if self._provider == "groq":
            # A recorded one names the event and tells the status that the 200 could not.
            body["error"]["status_code"] = wire.status
            return b"event: error\ndata: " + orjson.dumps(body) + b"\n\n"
        return b"data: " + orjson.dumps(body) + b"\n\n"
