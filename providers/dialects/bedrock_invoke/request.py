"""InvokeModel requests, both ways: the model in the path, a body in the format of the model's family."""

from __future__ import annotations

from providers.dialects import forms
from providers.dialects.base import DecodedRequest, Quirks
from providers.dialects.bedrock import read_path
from providers.dialects.bedrock_invoke import families
from providers.types import GenerationRequest


def encode_request(request: GenerationRequest, *, model: str, stream: bool, quirks: Quirks) -> bytes:
    """Raises InvalidRequestError for what the model's format cannot hold, or for a model whose format is unknown."""
    family = families.of_model(model)
    return forms.dump(family.write_request(request, model=model, stream=stream, quirks=quirks))


def decode_request(body: bytes, *, path: str = "") -> DecodedRequest:
    data = forms.load(body)
    model, stream = read_path(path)
    request = families.of_request(model, data).read_request(data, model=model, stream=stream)
    return DecodedRequest(request, stream, True)
