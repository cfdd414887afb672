"""Whose an address is, and which of its APIs: recordings of other tools say neither."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit

_HOSTS: Final = (
    (re.compile(r"(^|\.)api\.openai\.com$"), "openai"),
    (re.compile(r"\.(openai|services\.ai|cognitiveservices)\.azure\.com$"), "azure_openai"),
    (re.compile(r"(^|\.)api\.anthropic\.com$"), "anthropic"),
    (re.compile(r"(^|\.)api\.deepseek\.com$"), "deepseek"),
    (re.compile(r"^bedrock-runtime(-fips)?\..*amazonaws\.com(\.cn)?$"), "bedrock"),
    (re.compile(r"^generativelanguage\.googleapis\.com$"), "gemini"),
    (re.compile(r"(^|[.-])aiplatform\.googleapis\.com$"), "vertex"),
    (re.compile(r"(^|\.)api\.groq\.com$"), "groq"),
    (re.compile(r"(^|\.)openrouter\.ai$"), "openrouter"),
    (re.compile(r"(^|\.)ollama\.com$"), "ollama"),
)
_PORTS: Final = {11434: "ollama", 8000: "vllm"}
"""Where self-hosted servers listen by default."""
_APIS: Final = (
    (re.compile(r"/chat/completions$"), "chat.completions"),
    (re.compile(r"/completions$"), "completions"),
    (re.compile(r"/responses$"), "responses"),
    (re.compile(r"/v1/messages$"), "messages"),
    (re.compile(r"/api/chat$"), "chat"),
    (re.compile(r"/api/generate$"), "generate"),
    (re.compile(r"/model/[^/]+/converse$"), "converse"),
    (re.compile(r"/model/[^/]+/converse-stream$"), "converse-stream"),
    (re.compile(r"/model/[^/]+/invoke$"), "invoke"),
    (re.compile(r"/model/[^/]+/invoke-with-response-stream$"), "invoke-stream"),
    (re.compile(r"/models/[^/]+:generateContent$"), "generateContent"),
    (re.compile(r"/models/[^/]+:streamGenerateContent$"), "streamGenerateContent"),
)


def provider_of(url: str) -> str | None:
    """The provider at an address; None for a host that is nobody's in particular."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    host = (parts.hostname or "").lower()
    try:
        port = parts.port
    except ValueError:
        port = None
    return next((name for pattern, name in _HOSTS if pattern.search(host)), _PORTS.get(port or 0))


def api_of(url: str) -> str | None:
    """The API that an address calls, by the name that recordings carry; None for any other call."""
    try:
        path = urlsplit(url).path
    except ValueError:
        return None
    return next((name for pattern, name in _APIS if pattern.search(path)), None)
