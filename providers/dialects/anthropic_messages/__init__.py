"""Anthropic's Messages API. Reference: docs.claude.com/en/api/messages."""

from __future__ import annotations

from typing import ClassVar

from providers.dialects.anthropic_messages.errors import encode_error
from providers.dialects.anthropic_messages.request import NAME, decode_request, encode_request
from providers.dialects.anthropic_messages.response import decode_completion, encode_completion
from providers.dialects.anthropic_messages.stream import MessageDecoder, MessageEncoder
from providers.dialects.base import StreamDecoder, StreamEncoder
from providers.dialects.vendor_errors import decode_error


class AnthropicMessages:
    name: ClassVar[str] = NAME

    encode_request = staticmethod(encode_request)
    decode_request = staticmethod(decode_request)
    decode_completion = staticmethod(decode_completion)
    encode_completion = staticmethod(encode_completion)
    decode_error = staticmethod(decode_error)
    encode_error = staticmethod(encode_error)

    def decoder(self) -> StreamDecoder:
        return MessageDecoder()

    def encoder(self, *, model: str, response_id: str, created: int, include_usage: bool = True) -> StreamEncoder:
        return MessageEncoder(model=model, response_id=response_id, created=created, include_usage=include_usage)
