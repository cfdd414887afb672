"""Whose an address is."""

from __future__ import annotations

import pytest

from providers.dialects import API_DIALECTS
from providers.interchange.addresses import api_of, provider_of

ADDRESSES = [
    ("https://api.openai.com/v1/chat/completions", "openai", "chat.completions"),
    ("https://api.openai.com/v1/responses?x=1", "openai", "responses"),
    ("https://api.openai.com/v1/completions", "openai", "completions"),
    ("https://eu.api.openai.com:443/v1/chat/completions", "openai", "chat.completions"),
    (
        "https://me.openai.azure.com/openai/deployments/d/chat/completions?api-version=1",
        "azure_openai",
        "chat.completions",
    ),
    ("https://me.services.ai.azure.com/models/chat/completions", "azure_openai", "chat.completions"),
    ("https://api.anthropic.com/v1/messages", "anthropic", "messages"),
    ("https://api.deepseek.com/chat/completions", "deepseek", "chat.completions"),
    ("https://bedrock-runtime.us-east-1.amazonaws.com/model/a%3A0/converse", "bedrock", "converse"),
    ("https://bedrock-runtime-fips.us-east-1.amazonaws.com/model/a/converse-stream", "bedrock", "converse-stream"),
    ("https://bedrock-runtime.us-west-2.amazonaws.com/model/a/invoke", "bedrock", "invoke"),
    (
        "https://bedrock-runtime.cn-north-1.amazonaws.com.cn/model/a/invoke-with-response-stream",
        "bedrock",
        "invoke-stream",
    ),
    ("https://generativelanguage.googleapis.com/v1beta/models/g:generateContent?key=k", "gemini", "generateContent"),
    (
        "https://us-central1-aiplatform.googleapis.com/v1/projects/p/locations/l/publishers/google/models/g"
        ":streamGenerateContent?alt=sse",
        "vertex",
        "streamGenerateContent",
    ),
    ("http://localhost:11434/api/chat", "ollama", "chat"),
    ("http://127.0.0.1:11434/api/generate", "ollama", "generate"),
    ("http://localhost:8000/v1/chat/completions", "vllm", "chat.completions"),
    ("https://api.groq.com/openai/v1/chat/completions", "groq", "chat.completions"),
    ("https://openrouter.ai/api/v1/chat/completions", "openrouter", "chat.completions"),
    ("https://my.gateway.example/v1/chat/completions", None, "chat.completions"),
    ("https://notapi.openai.com.evil.example/v1/messages", None, "messages"),
    ("https://api.openai.com/v1/embeddings", "openai", None),
    ("https://api.anthropic.com/v1/messages/count_tokens", "anthropic", None),
    ("http://host:99999/api/chat", None, "chat"),
    ("https://[bad/v1/chat/completions", None, None),
    ("", None, None),
]


@pytest.mark.parametrize(("url", "provider", "api"), ADDRESSES)
def test_whose_an_address_is(url: str, provider: str | None, api: str | None) -> None:
    assert (provider_of(url), api_of(url)) == (provider, api)


def test_every_api_that_is_spoken_is_found() -> None:
    assert {api for _, _, api in ADDRESSES if api} == set(API_DIALECTS)
