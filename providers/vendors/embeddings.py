"""Vectors of texts from a vendor's embeddings API: OpenAI's, and Amazon Titan's on Bedrock.

Reference: platform.openai.com/docs/api-reference/embeddings and
docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-titan-embed-text.html.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple
from urllib.parse import quote

import orjson

from providers.errors import ConfigError, MalformedResponseError, ProviderError
from providers.transports.base import WireRequest
from providers.vendors.wire import WireProvider

MODELS: Final = {"openai": "text-embedding-3-small", "bedrock": "amazon.titan-embed-text-v2:0"}
"""Of each kind that can be asked, its default model."""
DIMENSIONS: Final = 256
"""Of a vector: both vendors offer it, and texts are told apart as well as with more."""
_FIXED: Final = ("text-embedding-ada", "titan-embed-text-v1")
"""Models whose vectors have one length only."""


class Vector(NamedTuple):
    values: list[float]
    tokens: int
    """What it is charged as."""


async def embed(provider: WireProvider, text: str, *, model: str | None = None) -> Vector:
    """The vector of a text by a live provider. Raises ProviderError; ConfigError for a vendor that has none here."""
    asked = model or MODELS.get(provider.kind)
    if asked is None or provider.kind not in MODELS:
        raise ConfigError(f"{provider.kind} has no embeddings here; use {' or '.join(MODELS)}")
    sized = not any(name in asked for name in _FIXED)
    request = _bedrock(text, asked, sized) if provider.kind == "bedrock" else _openai(text, asked, sized)
    try:
        transport = await provider.connection(asked)
        response = await transport.send(request)
        try:
            body = await response.read()
        finally:
            await response.close()
        if not 200 <= response.status < 300:
            raise provider.dialect.decode_error(response.status, response.headers, body)
        return _read(body)
    except ProviderError as error:
        error.provider, error.model = error.provider or provider.kind, error.model or asked
        raise error.redacted(provider.secrets()) from None


def _openai(text: str, model: str, sized: bool) -> WireRequest:
    body = {"model": model, "input": text, "encoding_format": "float"} | ({"dimensions": DIMENSIONS} if sized else {})
    return WireRequest("/embeddings", orjson.dumps(body), api="embeddings")


def _bedrock(text: str, model: str, sized: bool) -> WireRequest:
    body = {"inputText": text} | ({"dimensions": DIMENSIONS, "normalize": True} if sized else {})
    return WireRequest(f"/model/{quote(model, safe='')}/invoke", orjson.dumps(body), api="invoke")


def _read(body: bytes) -> Vector:
    try:
        data: dict[str, Any] = orjson.loads(body)
        values = data["embedding"] if "embedding" in data else data["data"][0]["embedding"]
        tokens = data.get("inputTextTokenCount") or data.get("usage", {}).get("prompt_tokens") or 0
        return Vector([float(value) for value in values], int(tokens))
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        failure = MalformedResponseError("the embeddings API answered with something that holds no vector")
    raise failure
