"""Bedrock in the program: which settings reach it, when it joins a live chain, and that no secret of it is shown."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from providers import BedrockProvider
from providers.errors import ConfigError
from providers.types import GenerationRequest, StreamFinished
from sandbox.runtime import Runtime
from sandbox.settings.loading import secrets_of
from sandbox.settings.model import Settings
from tests import fake_vendor
from tests.fake_vendor import TEXT, FakeVendor, serving

KEYS = {"access_key_id": "AKIDSETTINGS", "secret_access_key": "canary-secret", "session_token": "canary-token"}
HAIKU = "anthropic.claude-haiku-4-5-20251001-v1:0"


def provider_of(runtime: Runtime, id: str = "bedrock") -> BedrockProvider:
    provider = runtime.gateway.registry.get(id).provider
    assert isinstance(provider, BedrockProvider)
    return provider


@pytest.fixture
async def vendor() -> AsyncIterator[FakeVendor]:
    async with serving() as server:
        server.script = [fake_vendor.answer()]
        yield server


async def test_it_answers_simulated_with_its_own_words() -> None:
    async with Runtime.of(Settings(chain=["bedrock"]), stores=False) as runtime:
        answer = await runtime.gateway.generate(GenerationRequest("Explain sourdough to a pilot."))
        assert (answer.provider, answer.model_id, answer.mode) == ("bedrock", f"us.{HAIKU}", "mock")
        assert "sourdough" in answer.text.lower()
        assert answer.finish_reason == "end_turn"
        assert answer.cost_usd
        events = [event async for event in runtime.gateway.stream(GenerationRequest("Explain sourdough to a pilot."))]
        assert isinstance(events[-1], StreamFinished)
        assert events[-1].completion.text == answer.text


async def test_it_has_its_place_in_the_default_chain() -> None:
    async with Runtime.of(Settings(), stores=False) as runtime:
        ids = [deployment.id for deployment in runtime.gateway.registry]
        assert ids.index("anthropic") < ids.index("bedrock") < ids.index("deepseek")


@pytest.mark.parametrize("transport", ["aiohttp", "sdk"])
async def test_settings_reach_the_request(vendor: FakeVendor, transport: str) -> None:
    settings = Settings(
        mode="live", chain=["bedrock"], aws={**KEYS, "region": "eu-west-1"},
        providers={"bedrock": {"base_url": vendor.url, "model": "claude-3-haiku", "transport": transport}},
    )  # fmt: skip
    async with Runtime.of(settings, stores=False) as runtime:
        answer = await runtime.gateway.generate(GenerationRequest("Hi"))
        assert (answer.text, answer.mode) == (TEXT, "live")
    headers = vendor.seen[0].headers
    assert "Credential=AKIDSETTINGS/" in headers["authorization"]
    assert "/eu-west-1/bedrock/" in headers["authorization"]
    assert headers["x-amz-security-token"] == "canary-token"
    assert "claude-3-haiku" in vendor.seen[0].path


async def test_two_regions_are_two_ids() -> None:
    settings = Settings(
        chain=["bedrock", "bedrock-eu"], aws={"region": "us-west-2"},
        providers={"bedrock-eu": {"kind": "bedrock", "region": "eu-central-1", "api": "invoke"}},
    )  # fmt: skip
    async with Runtime.of(settings, stores=False) as runtime:
        first, second = provider_of(runtime), provider_of(runtime, "bedrock-eu")
        assert (first.region, first.model_id) == ("us-west-2", f"us.{HAIKU}")
        assert (second.region, second.model_id) == ("eu-central-1", f"eu.{HAIKU}")
        assert second.path_of(second.model_id).endswith("/invoke")


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({}, None),
        ({"aws": {"region": "eu-west-1"}}, None),
        ({"aws": {"access_key_id": "half"}}, None),
        ({"aws": KEYS}, "aws.access_key_id"),
        ({"aws": {"profile": "work"}}, "aws.profile"),
        ({"providers": {"bedrock": {"api_key": "key"}}}, "providers.bedrock.api_key"),
        ({"providers": {"bedrock": {"api_key": "key"}}, "aws": KEYS}, "providers.bedrock.api_key"),
    ],
)
async def test_it_joins_a_live_chain_with_credentials_or_by_name(settings: dict[str, Any], key: str | None) -> None:
    providers = {**settings.pop("providers", {}), "openai": {"api_key": "key"}}
    configured = Settings(mode="live", providers=providers, **settings)
    assert configured.credential("bedrock") == key
    async with Runtime.of(configured, stores=False) as runtime:
        assert [d.id for d in runtime.gateway.registry] == (["openai", "bedrock"] if key else ["openai"])
    async with Runtime.of(configured.model_copy(update={"chain": ["bedrock"]}), stores=False) as runtime:
        assert provider_of(runtime).mode == "live"


def test_credentials_of_other_providers() -> None:
    settings = Settings(aws=KEYS, providers={"openai": {"api_key": "key"}, "eu": {"kind": "bedrock"}})
    assert {id: settings.credential(id) for id in ("openai", "anthropic", "ollama", "eu", "none")} == {
        "openai": "providers.openai.api_key", "anthropic": None, "ollama": None, "eu": "aws.access_key_id",
        "none": None,
    }  # fmt: skip
    assert {"canary-secret", "canary-token"} <= set(secrets_of(settings))


def test_an_api_that_there_is_not_names_those_that_there_are() -> None:
    with pytest.raises(ValueError, match="use converse or invoke"):
        Settings(providers={"bedrock": {"api": "responses"}})
    assert Settings(providers={"bedrock": {"api": "converse"}}).providers["bedrock"].api == "converse"


def test_settings_of_one_vendor_are_not_for_another() -> None:
    with pytest.raises(ConfigError, match="openai has no setting 'region'"):
        Runtime.of(Settings(chain=["openai"], providers={"openai": {"region": "eu-west-1"}}), stores=False)
