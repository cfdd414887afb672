"""Tools that a vendor runs itself: told by their shape, never sent to another vendor; everything else is sent on."""

from __future__ import annotations

from typing import Any

import pytest

from providers import AnthropicProvider, BedrockProvider, GeminiProvider, OllamaProvider, OpenAIProvider, VLLMProvider
from providers.dialects.vendor_tools import cannot, home
from providers.errors import InvalidRequestError
from providers.types import GenerationRequest
from sandbox.gateway.gateway import Gateway

FUNCTION = {"type": "function", "function": {"name": "f"}}


@pytest.mark.parametrize(
    ("tool", "whose"),
    [
        (FUNCTION, None),
        ({"type": "builtin_function", "function": {"name": "$web_search"}}, None),
        ({"type": "web_search_20250305", "name": "web_search"}, "anthropic_messages"),
        ({"type": "bash_20250124", "name": "bash"}, "anthropic_messages"),
        ({"type": "mcp_toolset", "mcp_server_name": "x"}, "anthropic_messages"),
        ({"name": "f", "input_schema": {"type": "object"}}, "anthropic_messages"),
        ({"type": "web_search"}, "openai_responses"),
        ({"type": "web_search_preview_2025_03_11"}, "openai_responses"),
        ({"type": "code_interpreter", "container": {"type": "auto"}}, "openai_responses"),
        ({"type": "custom", "name": "sql", "format": {"type": "text"}}, "openai_responses"),
        ({"type": "custom", "custom": {"name": "sql"}}, "openai_chat"),
        ({"type": "web_search", "web_search": {"enable": True}}, None),
        ({"type": "browser_search"}, None),
        ({"googleSearch": {}}, "gemini"),
        ({"googleSearch": {}, "codeExecution": {}}, "gemini"),
        ({"systemTool": {"name": "nova_grounding"}}, "bedrock_converse"),
        ({"cachePoint": {"type": "default"}}, "bedrock_converse"),
        ({"name": "f"}, None),
        ({}, None),
    ],
)
def test_whose_a_tool_is(tool: dict[str, Any], whose: str | None) -> None:
    assert home(tool) == whose
    if whose is not None:
        assert cannot([FUNCTION, tool], whose) is None
    others = {"openai_chat", "openai_responses", "anthropic_messages", "gemini", "bedrock_converse", "ollama"} - {whose}
    for other in others:
        assert (cannot([FUNCTION, tool], other) is None) == (whose is None)


def test_what_carries_another_s_tools_and_what_carries_none() -> None:
    assert cannot([{"type": "bash_20250124", "name": "bash"}], "bedrock_invoke") is None
    assert cannot([{"googleSearch": {}}], "gemini_array") is None
    assert cannot([FUNCTION], "openai_completions") == "take tools: the completions API has none"
    assert cannot([FUNCTION], "ollama_generate") == "take tools: Ollama's /api/generate has none"


def test_a_server_of_one_s_own_may_take_the_responses_api_s_tools_in_chat_completions() -> None:
    asked = GenerationRequest(prompt="Hi", tools=[FUNCTION, {"type": "code_interpreter"}])
    assert VLLMProvider(mock_mode=True).cannot(asked, "openai/gpt-oss-20b") is None
    assert cannot(asked.tools or (), "anthropic_messages", own_server=True) is not None
    assert cannot([{"type": "bash_20250124", "name": "bash"}], "openai_chat", own_server=True) is not None


@pytest.mark.parametrize(
    ("provider", "said"),
    [
        (OpenAIProvider, "openai cannot run 'web_search_20250305', a tool of Anthropic's Messages API"),
        (BedrockProvider, "bedrock cannot run 'web_search_20250305'"),
        (GeminiProvider, "gemini cannot run 'web_search_20250305'"),
        (OllamaProvider, "ollama cannot run 'web_search_20250305'"),
    ],
)
async def test_a_provider_by_itself_refuses_it_before_anything_is_sent(provider: Any, said: str) -> None:
    one = provider(mock_mode=True)
    asked = GenerationRequest(prompt="Hi", tools=[{"type": "web_search_20250305", "name": "web_search"}])
    try:
        with pytest.raises(InvalidRequestError) as raised:
            await one.generate(asked)
        assert raised.value.message.startswith(said)
        assert raised.value.provider == one.kind
        with pytest.raises(InvalidRequestError):
            async for _ in one.generate_stream(asked):
                pass
    finally:
        await one.close()


async def test_a_chain_of_vendors_asks_the_one_whose_tool_it_is() -> None:
    gateway = Gateway(mode="mock")
    gateway.register("claude", AnthropicProvider(mock_mode=True, registered_as="claude"))
    gateway.register("chat", OpenAIProvider(mock_mode=True, registered_as="chat"))
    gateway.register("responses", OpenAIProvider(mock_mode=True, api="responses", registered_as="responses"))
    try:
        response = await gateway.generate(GenerationRequest(prompt="Hi", tools=[{"type": "web_search"}]))
        assert response.provider == "responses"
        assert [(one.provider, one.outcome, one.error_message) for one in response.attempts] == [
            ("claude", "skipped", "claude cannot run 'web_search', a tool of OpenAI's Responses API"),
            ("chat", "skipped", "chat cannot run 'web_search', a tool of OpenAI's Responses API"),
            ("responses", "ok", None),
        ]
    finally:
        await gateway.close()
