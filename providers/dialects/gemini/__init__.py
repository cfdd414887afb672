"""Google's Gemini API and Vertex AI, generateContent and streamGenerateContent (ai.google.dev/api/generate-content).

Both dialects read alike; they differ in the framing of the streams that they write. The model and whether the answer is
streamed are in the path of a request, never in its body.
"""

from __future__ import annotations

from typing import ClassVar

from providers.dialects.base import StreamDecoder, StreamEncoder
from providers.dialects.gemini.errors import encode_error
from providers.dialects.gemini.request import NAME, decode_request, encode_request
from providers.dialects.gemini.response import decode_completion, encode_completion
from providers.dialects.gemini.stream import ArrayEncoder, ContentDecoder, ContentEncoder
from providers.dialects.vendor_errors import decode_error


class Gemini:
    """Streams as server-sent events, which the path asks for with `alt=sse`."""

    name: ClassVar[str] = NAME

    encode_request = staticmethod(encode_request)
    decode_request = staticmethod(decode_request)
    decode_completion = staticmethod(decode_completion)
    encode_completion = staticmethod(encode_completion)
    decode_error = staticmethod(decode_error)
    encode_error = staticmethod(encode_error)

    def decoder(self) -> StreamDecoder:
        return ContentDecoder()

    def encoder(self, *, model: str, response_id: str, created: int, include_usage: bool = True) -> StreamEncoder:
        return ContentEncoder(model=model, response_id=response_id)


class GeminiArray(Gemini):
    """Streams as one JSON array, which Google writes where the path does not ask for events."""

    name: ClassVar[str] = "gemini_array"

    def encoder(self, *, model: str, response_id: str, created: int, include_usage: bool = True) -> StreamEncoder:
        return ArrayEncoder(model=model, response_id=response_id)
