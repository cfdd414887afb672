"""The semantic cache by its settings, over the stores that there are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from pydantic import ValidationError

from providers.types import GenerationRequest
from sandbox.runtime import Runtime
from sandbox.settings.model import Settings
from tests.fake_vendor import FakeVendor, answer, serving
from tests.redis_server import RedisServer

ASKED = "Why do circuit breakers trip when a provider is down?"
ALIKE = "why do circuit breakers trip, when a provider is down"


@pytest.mark.parametrize("store", ["disk", "redis"])
async def test_it_is_off_unless_it_is_asked_for(tmp_path: Path, redis_server: RedisServer, store: str) -> None:
    cache = {"backend": store, "endpoint_url": redis_server.url, "timeout": 2}
    async with Runtime.of(Settings(data_dir=tmp_path, cache=cache)) as runtime:
        await runtime.gateway.generate(ASKED)
        assert not (await runtime.gateway.generate(ALIKE)).cached
    async with Runtime.of(Settings(data_dir=tmp_path, cache={**cache, "semantic": True})) as runtime:
        await runtime.gateway.generate(GenerationRequest(ASKED, tenant_id="acme"))
        assert not (await runtime.gateway.generate(GenerationRequest(ALIKE, tenant_id="zen"))).cached
        hit = await runtime.gateway.generate(GenerationRequest(ALIKE, tenant_id="acme"))
        assert hit.cached
        assert hit.metadata["similarity"] > 0.95
        runtime.use_preset("happyos")
        assert not (await runtime.gateway.generate(GenerationRequest(ALIKE, tenant_id="acme"))).cached


async def test_a_providers_vectors(tmp_path: Path) -> None:
    async def behave(vendor: FakeVendor, request: web.Request, body: bytes) -> web.StreamResponse:
        if not request.path.endswith("/embeddings"):
            return await answer()(vendor, request, body)
        vector = [1.0, 0.1 if "trip" in json.loads(body)["input"] else -9.0]
        return web.json_response({"data": [{"embedding": vector}], "usage": {"prompt_tokens": 1000}})

    async with serving() as vendor:
        vendor.script = [behave]
        settings = Settings(
            mode="live", data_dir=tmp_path, chain=["openai"],
            providers={"openai": {"api_key": "k", "base_url": vendor.url}},
            cache={"semantic": True, "semantic_embedder": "openai"},
        )  # fmt: skip
        async with Runtime.of(settings) as runtime:
            await runtime.gateway.generate(ASKED)
            hit = await runtime.gateway.generate("What makes a breaker trip?")
            assert hit.cached
            assert hit.waste_usd > 0, "the vector"
            assert not (await runtime.gateway.generate("What is a fuse?")).cached
    assert [seen.path.rpartition("/")[2] for seen in vendor.seen] == [
        "embeddings", "completions", "embeddings", "embeddings", "completions",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("cache", "told"),
    [
        ({"semantic_embedder": "anthropic"}, "embeds nothing here: use hashing or openai, bedrock"),
        ({"semantic_embedder": "nobody"}, "embeds nothing here"),
        ({"semantic_threshold": 0}, "greater than 0"),
    ],
)
def test_settings_that_cannot_work(cache: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        Settings(cache=cache)


async def test_a_disabled_embedder_is_told_and_done_without(tmp_path: Path) -> None:
    providers = {"openai": {"enabled": False}, "ollama": {"base_url": "http://127.0.0.1:9"}}
    cache = {"semantic": True, "semantic_embedder": "openai"}
    async with Runtime.of(Settings(mode="live", data_dir=tmp_path, providers=providers, cache=cache)) as runtime:
        assert any("questions are not compared" in note for note in runtime.notes)
