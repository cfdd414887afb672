"""The setting `providers.ID.api` reaches the provider, which then answers in that format."""

from __future__ import annotations

import pytest

from providers.types import GenerationRequest, StreamFinished
from providers.vendors.wire import WireProvider
from sandbox.runtime import Runtime
from sandbox.settings.model import Settings


@pytest.mark.parametrize(
    ("id", "settings", "dialect"),
    [
        ("openai", {"api": "responses"}, "openai_responses"),
        ("openai", {"api": "completions"}, "openai_completions"),
        ("openai", {"api": "chat.completions"}, "openai_chat"),
        ("azure_openai", {"api": "responses", "deployment": "mine"}, "openai_responses"),
        ("deepseek", {"api": "responses"}, "openai_responses"),
        ("second", {"kind": "vllm", "api": "completions"}, "openai_completions"),
        ("openai", {}, "openai_chat"),
    ],
)
async def test_the_chosen_api_answers(id: str, settings: dict[str, str], dialect: str) -> None:
    configured = Settings(providers={id: settings}, chain=[id])
    async with Runtime.of(configured, stores=False) as runtime:
        provider = runtime.gateway.registry.get(id).provider
        assert isinstance(provider, WireProvider)
        assert provider.dialect.name == dialect
        answer = await runtime.gateway.generate(GenerationRequest("Explain sourdough to a pilot."))
        assert (answer.provider, answer.mode) == (id, "mock")
        assert "sourdough" in answer.text.lower()
        assert answer.finish_reason == ("completed" if dialect == "openai_responses" else "stop")
        events = [event async for event in runtime.gateway.stream(GenerationRequest("Explain sourdough to a pilot."))]
        last = events[-1]
        assert isinstance(last, StreamFinished)
        assert last.completion.text == answer.text
