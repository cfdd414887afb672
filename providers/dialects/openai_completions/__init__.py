"""OpenAI's legacy text completions: also Azure OpenAI's and vLLM's.

Reference: platform.openai.com/docs/api-reference/completions; docs.vllm.ai, "Completions API".
"""

from __future__ import annotations

from typing import ClassVar

from providers.dialects.base import StreamDecoder, StreamEncoder
from providers.dialects.openai_chat.errors import encode_error
from providers.dialects.openai_completions.request import NAME, decode_request, encode_request
from providers.dialects.openai_completions.response import (
    TextDecoder,
    TextEncoder,
    decode_completion,
    encode_completion,
)
from providers.dialects.vendor_errors import decode_error


class OpenAICompletions:
    name: ClassVar[str] = NAME

    encode_request = staticmethod(encode_request)
    decode_request = staticmethod(decode_request)
    decode_completion = staticmethod(decode_completion)
    encode_completion = staticmethod(encode_completion)
    decode_error = staticmethod(decode_error)
    encode_error = staticmethod(encode_error)

    def decoder(self) -> StreamDecoder:
        return TextDecoder()

    def encoder(self, *, model: str, response_id: str, created: int, include_usage: bool = True) -> StreamEncoder:
        return TextEncoder(model=model, response_id=response_id, created=created, include_usage=include_usage)
