"""Bedrock's Converse API, one format for all its models.

Reference: docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html.
"""

from __future__ import annotations

from typing import ClassVar

from providers.dialects.base import StreamDecoder, StreamEncoder
from providers.dialects.bedrock import encode_error
from providers.dialects.bedrock_converse.request import NAME, decode_request, encode_request
from providers.dialects.bedrock_converse.response import decode_completion, encode_completion
from providers.dialects.bedrock_converse.stream import ConverseDecoder, ConverseEncoder
from providers.dialects.vendor_errors import decode_error


class BedrockConverse:
    name: ClassVar[str] = NAME

    encode_request = staticmethod(encode_request)
    decode_request = staticmethod(decode_request)
    decode_completion = staticmethod(decode_completion)
    encode_completion = staticmethod(encode_completion)
    decode_error = staticmethod(decode_error)
    encode_error = staticmethod(encode_error)

    def decoder(self) -> StreamDecoder:
        return ConverseDecoder()

    def encoder(self, *, model: str, response_id: str, created: int, include_usage: bool = True) -> StreamEncoder:
        return ConverseEncoder()
