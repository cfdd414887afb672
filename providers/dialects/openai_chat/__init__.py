"""OpenAI's Chat Completions: also Azure OpenAI, DeepSeek, vLLM, Groq, OpenRouter, and Ollama's and Gemini's `/v1`.

Reference: platform.openai.com/docs/api-reference/chat.
"""

from __future__ import annotations

from typing import ClassVar

from providers.dialects.base import StreamDecoder, StreamEncoder
from providers.dialects.openai_chat.errors import encode_error
from providers.dialects.openai_chat.request import NAME, decode_request, encode_request
from providers.dialects.openai_chat.response import decode_completion, encode_completion
from providers.dialects.openai_chat.stream import ChatDecoder, ChatEncoder
from providers.dialects.vendor_errors import decode_error


class OpenAIChat:
    name: ClassVar[str] = NAME

    encode_request = staticmethod(encode_request)
    decode_request = staticmethod(decode_request)
    decode_completion = staticmethod(decode_completion)
    encode_completion = staticmethod(encode_completion)
    decode_error = staticmethod(decode_error)
    encode_error = staticmethod(encode_error)

    def decoder(self) -> StreamDecoder:
        return ChatDecoder()

    def encoder(self, *, model: str, response_id: str, created: int, include_usage: bool = True) -> StreamEncoder:
        return ChatEncoder(model=model, response_id=response_id, created=created, include_usage=include_usage)
