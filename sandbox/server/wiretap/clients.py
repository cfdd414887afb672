"""Where each client is pointed: the variable that its SDK reads, or the argument that it takes, and the address."""

from __future__ import annotations

from typing import Final

CLIENTS: Final = (
    ("openai", "OPENAI_BASE_URL", "/openai/v1"),
    ("azure openai", "AZURE_OPENAI_ENDPOINT", "/azure"),
    ("anthropic", "ANTHROPIC_BASE_URL", "/anthropic"),
    ("bedrock", "AWS_ENDPOINT_URL_BEDROCK_RUNTIME", "/bedrock"),
    ("anthropic on bedrock", "ANTHROPIC_BEDROCK_BASE_URL", "/bedrock"),
    ("gemini", "GOOGLE_GEMINI_BASE_URL", "/gemini"),
    ("vertex", "GOOGLE_VERTEX_BASE_URL", "/vertex"),
    ("deepseek", "base_url", "/deepseek"),
    ("ollama", "OLLAMA_HOST", "/ollama"),
    ("vllm", "base_url", "/vllm/v1"),
    ("groq", "GROQ_BASE_URL", "/groq"),
    ("openrouter", "base_url", "/openrouter/api/v1"),
)
"""Client, variable (in lower case: an argument of the client), path."""


def settings(url: str) -> list[tuple[str, str]]:
    """For each client, `VARIABLE=address` or `argument=address`."""
    return [(client, f"{name}={url}{path}") for client, name, path in CLIENTS]
