"""Vectors of texts from OpenAI's API and from Titan's on Bedrock: what is sent, read and refused."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from providers import AnthropicProvider, BedrockProvider, OpenAIProvider
from providers.errors import AuthenticationError, ConfigError, MalformedResponseError, RateLimitError
from providers.vendors.embeddings import embed
from providers.vendors.wire import WireProvider
from tests.fake_vendor import FakeVendor, raw, serving

OPENAI = {"data": [{"embedding": [0.5, -1, 2e-3]}], "usage": {"prompt_tokens": 5, "total_tokens": 5}}
TITAN = {"embedding": [0.5, -1, 2e-3], "inputTextTokenCount": 5}
SECRET = "sk-canary-embedding-key"


@pytest.fixture
async def vendor() -> AsyncIterator[FakeVendor]:
    async with serving() as server:
        yield server


def openai(vendor: FakeVendor, **options: Any) -> OpenAIProvider:
    return OpenAIProvider(api_key=SECRET, base_url=f"{vendor.url}/v1", mock_mode=False, **options)


def bedrock(vendor: FakeVendor, **options: Any) -> BedrockProvider:
    keys = {"aws_access_key_id": "AKIDCANARY", "aws_secret_access_key": SECRET}
    return BedrockProvider(base_url=vendor.url, mock_mode=False, **keys, **options)


@pytest.mark.parametrize("transport", ["aiohttp", "sdk"])
async def test_openai(vendor: FakeVendor, transport: Any) -> None:
    vendor.script = [raw(200, json.dumps(OPENAI).encode())]
    async with openai(vendor, transport_kind=transport) as provider:
        vector = await embed(provider, "Hello")
        await embed(provider, "Hello", model="text-embedding-ada-002")
    assert vector == ([0.5, -1.0, 0.002], 5)
    first, second = vendor.seen
    assert first.path == "/v1/embeddings"
    assert first.body == {
        "model": "text-embedding-3-small", "input": "Hello", "encoding_format": "float", "dimensions": 256,
    }  # fmt: skip
    assert first.headers["authorization"] == f"Bearer {SECRET}"
    assert "dimensions" not in second.body, "the older model has one length only"


@pytest.mark.parametrize("transport", ["aiohttp", "sdk"])
async def test_titan(vendor: FakeVendor, transport: Any) -> None:
    vendor.script = [raw(200, json.dumps(TITAN).encode())]
    async with bedrock(vendor, transport_kind=transport) as provider:
        vector = await embed(provider, "Hello")
    assert vector == ([0.5, -1.0, 0.002], 5)
    [seen] = vendor.seen
    assert seen.path == "/model/amazon.titan-embed-text-v2%3A0/invoke"
    assert seen.body == {"inputText": "Hello", "dimensions": 256, "normalize": True}
    assert "Credential=AKIDCANARY/" in seen.headers["authorization"]


@pytest.mark.parametrize("make", [openai, bedrock])
async def test_errors_are_the_vendors_and_hold_no_key(vendor: FakeVendor, make: Any) -> None:
    provider: WireProvider = make(vendor)
    async with provider:
        vendor.script = [raw(429, json.dumps({"error": {"message": f"slow down, {SECRET}"}}).encode(), retry_after="3")]
        with pytest.raises(RateLimitError) as caught:
            await embed(provider, "Hello")
        assert caught.value.provider == provider.kind
        assert SECRET not in f"{caught.value}{caught.value.__cause__}{caught.value.__context__}"
        for body in (b"<html>", b"[]", b'{"data": []}', b'{"embedding": ["x"]}', b'{"data": [{"embedding": null}]}'):
            vendor.script = [raw(200, body)]
            with pytest.raises(MalformedResponseError, match="no vector"):
                await embed(provider, "Hello")


async def test_without_a_key_or_an_api() -> None:
    async with OpenAIProvider(mock_mode=False) as provider:
        with pytest.raises(AuthenticationError, match="OPENAI_API_KEY"):
            await embed(provider, "Hello")
    async with AnthropicProvider(api_key="x", mock_mode=False) as other:
        with pytest.raises(ConfigError, match="use openai or bedrock"):
            await embed(other, "Hello")
