"""Bedrock's InvokeModel API: each family of models in its vendor's own format.

Reference: docs.aws.amazon.com/bedrock/latest/userguide/model-parameters.html.
"""

from __future__ import annotations

from typing import ClassVar

from providers.dialects.base import StreamDecoder, StreamEncoder
from providers.dialects.bedrock import encode_error
from providers.dialects.bedrock_invoke.family import NAME
from providers.dialects.bedrock_invoke.request import decode_request, encode_request
from providers.dialects.bedrock_invoke.response import decode_completion, encode_completion
from providers.dialects.bedrock_invoke.stream import InvokeDecoder, InvokeEncoder
from providers.dialects.vendor_errors import decode_error


class BedrockInvoke:
    name: ClassVar[str] = NAME

    encode_request = staticmethod(encode_request)
    decode_request = staticmethod(decode_request)
    decode_completion = staticmethod(decode_completion)
    encode_completion = staticmethod(encode_completion)
    decode_error = staticmethod(decode_error)
    encode_error = staticmethod(encode_error)

    def decoder(self) -> StreamDecoder:
        return InvokeDecoder()

    def encoder(self, *, model: str, response_id: str, created: int, include_usage: bool = True) -> StreamEncoder:
        return InvokeEncoder(model=model, response_id=response_id, created=created)
