"""OpenAI's other APIs at the vendors that offer them: which, where, for which model, with which fields."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import orjson
import pytest

from providers.dialects import api_of
from providers.errors import ConfigError
from providers.factory import KINDS, create, provider_class
from providers.pricing import catalogue
from providers.transports.base import WireRequest, WireResponse
from providers.transports.canned import WholeResponse
from providers.types import Completion, GenerationRequest, TokenUsage
from providers.vendors.wire import WireProvider


class Keeper:
    """A transport that keeps what it is sent, and answers in the same API."""

    def __init__(self) -> None:
        self.seen: list[WireRequest] = []

    async def send(self, request: WireRequest) -> WireResponse:
        from providers.dialects import spoken

        self.seen.append(request)
        body = spoken(request.api).encode_completion(
            Completion("Hello", None, None, "stop"), model="m", response_id="r", created=0
        )
        return WholeResponse(200, {}, body)

    async def close(self) -> None:
        pass


async def sent(kind: str, request: GenerationRequest, **options: Any) -> tuple[WireRequest, dict[str, Any]]:
    keeper = Keeper()
    async with create(kind, api_key="k", transport=keeper, mock_mode=False, **options) as provider:
        assert (await provider.generate(request)).text == "Hello"
    (wire,) = keeper.seen
    return wire, orjson.loads(wire.body)


@pytest.mark.parametrize(
    ("kind", "api", "options", "path", "model"),
    [
        ("openai", "responses", {}, "/responses", "gpt-4o-mini"),
        ("openai", "completions", {}, "/completions", "gpt-3.5-turbo-instruct"),
        ("openai", "completions", {"model": "davinci-002"}, "/completions", "davinci-002"),
        ("openai", "chat.completions", {}, "/chat/completions", "gpt-4o-mini"),
        ("deepseek", "responses", {}, "/responses", "deepseek-chat"),
        ("vllm", "responses", {}, "/responses", "Qwen/Qwen2.5-7B-Instruct"),
        ("vllm", "completions", {}, "/completions", "Qwen/Qwen2.5-7B-Instruct"),
        ("azure_openai", "responses", {}, "/openai/v1/responses", "gpt-4o-mini"),
        ("azure_openai", "responses", {"deployment": "my own"}, "/openai/v1/responses", "my own"),
        (
            "azure_openai",
            "completions",
            {"deployment": "my own", "api_version": "2025-01-01"},
            "/openai/deployments/my%20own/completions?api-version=2025-01-01",
            "gpt-4o-mini",
        ),
    ],
)
async def test_where_each_api_is_and_which_model_it_is_asked_for(
    kind: str, api: str, options: dict[str, Any], path: str, model: str
) -> None:
    wire, body = await sent(kind, GenerationRequest("Hi"), api=api, **options)
    assert (wire.path, wire.api, body["model"]) == (path, api, model)


@pytest.mark.parametrize("kind", ["openai", "azure_openai"])
async def test_the_responses_api_refuses_tiny_limits_and_reasoning_models_refuse_sampling(kind: str) -> None:
    request = GenerationRequest("Hi", max_tokens=1, temperature=0.5)
    _, body = await sent(kind, request, api="responses", model="gpt-4o")
    assert (body["max_output_tokens"], body["temperature"]) == (16, 0.5)
    _, body = await sent(kind, request, api="responses", model="gpt-5-mini")
    assert body == {"model": "gpt-5-mini", "input": "Hi", "max_output_tokens": 16}
    _, body = await sent(kind, request, api="chat.completions", model="gpt-5-mini")
    assert body["max_completion_tokens"] == 1


async def test_others_take_the_limit_as_it_is() -> None:
    for kind in ("deepseek", "vllm"):
        _, body = await sent(kind, GenerationRequest("Hi", max_tokens=1), api="responses")
        assert body["max_output_tokens"] == 1


async def test_deepseek_is_told_a_schema_in_words_here_too() -> None:
    schema = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}}
    _, body = await sent("deepseek", GenerationRequest("Hi", response_format=schema), api="responses")
    assert body["text"] == {"format": {"type": "json_object"}}
    assert "JSON Schema" in body["instructions"]


@pytest.mark.parametrize(
    ("kind", "api", "says"),
    [
        ("openai", "respones", "api is 'respones' for openai; use chat.completions or responses or completions"),
        ("deepseek", "completions", "api is 'completions' for deepseek; use chat.completions or responses"),
        ("anthropic", "responses", "api is 'responses' for anthropic; use messages"),
        ("ollama", "responses", "api is 'responses' for ollama; use chat or generate"),
    ],
)
def test_an_api_that_a_vendor_has_not_is_refused_with_those_it_has(kind: str, api: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        create(kind, mock_mode=True, api=api)


@pytest.mark.parametrize("kind", KINDS)
def test_every_api_on_offer_can_be_chosen_and_leaves_the_class_alone(kind: str) -> None:
    cls = provider_class(kind)
    assert issubclass(cls, WireProvider)
    main = cls.dialect_name
    for api, (dialect_name, _) in cls.offered().items():
        provider = create(kind, mock_mode=True, api=api)
        assert isinstance(provider, WireProvider)
        assert provider.dialect.name == dialect_name
        assert api_of(dialect_name) == api
    assert cls.dialect_name == main
    plain = create(kind, mock_mode=True)
    assert isinstance(plain, WireProvider)
    assert plain.dialect.name == main


@pytest.mark.parametrize(
    ("address", "region", "cost"),
    [
        ("https://api.openai.com/v1", None, "0.0000175"),
        ("https://eu.api.openai.com/v1", "eu", "0.00001925"),
        ("https://us.api.openai.com", "us", "0.00001925"),
        # A region whose premium nobody has listed is unpriced.
        ("https://zz.api.openai.com/v1", "zz", None),
        ("https://eu.api.openai.com.example/v1", None, "0.0000175"),
        ("https://eu.example/v1", None, "0.0000175"),
    ],
)
async def test_a_regional_address_has_its_premium(address: str, region: str | None, cost: str | None) -> None:
    class Counting(Keeper):
        async def send(self, request: WireRequest) -> WireResponse:
            from providers.dialects import spoken

            answer = Completion("Hello", None, None, "stop", TokenUsage(1, 1))
            return WholeResponse(
                200, {}, spoken(request.api).encode_completion(answer, model="gpt-5.4", response_id="r", created=0)
            )

    options = {"model": "gpt-5.4", "base_url": address, "prices": catalogue("current")}
    async with create("openai", api_key="k", transport=Counting(), mock_mode=False, **options) as provider:
        response = await provider.generate("Hi")
    assert response.usage.region == region
    assert response.cost_usd == (None if cost is None else Decimal(cost))
