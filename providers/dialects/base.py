"""The contract of a wire format: read and written on both sides, without I/O and without a clock.

A provider encodes requests and decodes answers; the wiretap, the simulated transport and the gateway's endpoints decode
requests and encode answers, with the same code. Decoders take bytes in any split and never guess a finish.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple, Protocol

from providers.errors import ProviderError
from providers.types import Completion, GenerationRequest, StreamEvent


class WireError(NamedTuple):
    """An error as a vendor sends it."""

    status: int
    headers: dict[str, str]
    body: bytes


class DecodedRequest(NamedTuple):
    request: GenerationRequest
    stream: bool
    include_usage: bool
    """The caller asked for token numbers in the stream (always true where the format sends them unasked)."""


@dataclass(frozen=True, slots=True)
class Quirks:
    """How one vendor departs from its dialect, as data."""

    max_tokens_field: str = "max_tokens"
    stream_usage: bool = True
    """Ask for usage in streams (`stream_options.include_usage`)."""
    json_schema: bool = True
    """Structured output by schema is understood; otherwise plain JSON mode is asked for."""
    default_max_tokens: int = 1024
    """For formats that require max_tokens."""
    min_max_tokens: int = 1
    """The vendor refuses smaller limits, so that this one is sent in their place."""
    sampling: bool = True
    """temperature, top_p and seed are accepted."""
    one_sampler: bool = False
    """temperature and top_p are not accepted together, so that a temperature leaves out the other."""
    extra_body: Mapping[str, Any] = field(default_factory=dict)

    def top_p(self, request: GenerationRequest) -> float | None:
        """What to send of the request's, where sampling is accepted at all."""
        return None if self.one_sampler and request.temperature is not None else request.top_p


class StreamDecoder(Protocol):
    """One stream's state machine. After `finished`, further bytes are ignored."""

    finished: bool
    """A clean finish was seen: a finish reason and, where the format has one, its last event."""
    failure: ProviderError | None
    """What ended the stream badly. Set together with the last good events, so that none is lost when both come in one
    read: after handing those on, raise this instead of waiting for more bytes (`feed` and `close` raise it too)."""

    def feed(self, data: bytes) -> list[StreamEvent]:
        """Events completed by these bytes. The clean end is one StreamFinished.

        Raises a ProviderError for an error event, MalformedResponseError for an event that cannot be read; when good
        events came before it in the same bytes, returns them and keeps the error in `failure`.
        """
        ...

    def close(self) -> list[StreamEvent]:
        """The bytes have ended. A complete answer that lacks only its end sentinel yields StreamFinished here.

        Raises StreamInterruptedError (with the partial text) when the answer is not complete.
        """
        ...


class StreamEncoder(Protocol):
    """Writes one stream: `start`, then `event` for each, then `finish`. A failure after the start: `error`."""

    content_type: str

    def start(self) -> bytes: ...

    def event(self, event: StreamEvent) -> bytes: ...

    def finish(self, completion: Completion) -> bytes: ...

    def error(self, error: ProviderError) -> bytes: ...


class Dialect(Protocol):
    name: ClassVar[str]

    def encode_request(self, request: GenerationRequest, *, model: str, stream: bool, quirks: Quirks) -> bytes: ...

    def decode_request(self, body: bytes, *, path: str = "") -> DecodedRequest:
        """Raises InvalidRequestError for a body that is not such a request."""
        ...

    def decode_completion(self, body: bytes) -> Completion:
        """Raises MalformedResponseError; a ProviderError where a 200 carries an error."""
        ...

    def encode_completion(self, completion: Completion, *, model: str, response_id: str, created: int) -> bytes: ...

    def decoder(self) -> StreamDecoder: ...

    def encoder(self, *, model: str, response_id: str, created: int, include_usage: bool = True) -> StreamEncoder: ...

    def decode_error(self, status: int, headers: Mapping[str, str], body: bytes) -> ProviderError:
        """The one error class of this answer. Header names are lower case."""
        ...

    def encode_error(self, error: ProviderError) -> WireError: ...
