"""OpenAI's Responses API: also Azure OpenAI's, DeepSeek's and vLLM's.

Reference: platform.openai.com/docs/api-reference/responses and /responses-streaming.
"""

from __future__ import annotations

from typing import ClassVar

from providers.dialects.base import StreamDecoder, StreamEncoder
from providers.dialects.openai_chat.errors import encode_error
from providers.dialects.openai_responses.decoder import ResponseDecoder
from providers.dialects.openai_responses.encoder import ResponseEncoder
from providers.dialects.openai_responses.request import NAME, decode_request, encode_request
from providers.dialects.openai_responses.response import decode_completion, encode_completion
from providers.dialects.vendor_errors import decode_error


class OpenAIResponses:
    name: ClassVar[str] = NAME

    encode_request = staticmethod(encode_request)
    decode_request = staticmethod(decode_request)
    decode_completion = staticmethod(decode_completion)
    encode_completion = staticmethod(encode_completion)
    decode_error = staticmethod(decode_error)
    encode_error = staticmethod(encode_error)

    def decoder(self) -> StreamDecoder:
        return ResponseDecoder()

    def encoder(self, *, model: str, response_id: str, created: int, include_usage: bool = True) -> StreamEncoder:
        return ResponseEncoder(model=model, response_id=response_id, created=created)
