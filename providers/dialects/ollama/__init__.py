"""Ollama's own API, chat and generate. Reference: docs.ollama.com/api (its `/v1` speaks openai_chat).

Both decode alike; they differ in what they write, so each endpoint has its own instance.
"""

from __future__ import annotations

from providers.dialects.base import Quirks, StreamDecoder, StreamEncoder
from providers.dialects.ollama import request as requests
from providers.dialects.ollama import response as responses
from providers.dialects.ollama.errors import encode_error
from providers.dialects.ollama.stream import LineDecoder, LineEncoder
from providers.dialects.vendor_errors import decode_error
from providers.types import Completion, GenerationRequest


class OllamaChat:
    name = requests.NAME
    generate = False

    decode_request = staticmethod(requests.decode_request)
    decode_completion = staticmethod(responses.decode_completion)
    decode_error = staticmethod(decode_error)
    encode_error = staticmethod(encode_error)

    def encode_request(self, request: GenerationRequest, *, model: str, stream: bool, quirks: Quirks) -> bytes:
        encode = requests.encode_generate if self.generate else requests.encode_chat
        return encode(request, model=model, stream=stream, quirks=quirks)

    def encode_completion(self, completion: Completion, *, model: str, response_id: str, created: int) -> bytes:
        encode = responses.encode_generate if self.generate else responses.encode_chat
        return encode(completion, model=model, response_id=response_id, created=created)

    def decoder(self) -> StreamDecoder:
        return LineDecoder()

    def encoder(self, *, model: str, response_id: str, created: int, include_usage: bool = True) -> StreamEncoder:
        return LineEncoder(model=model, response_id=response_id, created=created, generate=self.generate)


class OllamaGenerate(OllamaChat):
    name = "ollama_generate"
    generate = True
