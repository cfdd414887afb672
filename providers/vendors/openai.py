"""OpenAI (platform.openai.com/docs/api-reference: chat, responses, completions)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, Final

from providers.dialects.base import Quirks
from providers.transports.base import Transport
from providers.types import Completion, GenerationRequest, TokenUsage
from providers.vendors.settings import environment
from providers.vendors.wire import WireProvider

_SERVED: Final = re.compile(r"(?:ft:)?(?:gpt-(?!oss)|o[134](?:-|$)|chatgpt-|codex-)", re.I)
_REASONING: Final = re.compile(r"(?:ft:)?(?:o\d(?:-|$)|gpt-(?:[5-9]|\d\d)(?!.*-chat))", re.I)

ALIASES: Final = {
    "gpt-3.5": "gpt-3.5-turbo",
    "gpt-35-turbo": "gpt-3.5-turbo",
    "gpt-4-turbo-latest": "gpt-4-turbo",
    "chatgpt": "chatgpt-4o-latest",
}
DEFAULT_QUIRKS: Final = Quirks()
REASONING_QUIRKS: Final = Quirks(max_tokens_field="max_completion_tokens", sampling=False)
"""The o series and gpt-5 and later refuse max_tokens and any temperature but their own."""
COMPLETIONS_MODEL: Final = "gpt-3.5-turbo-instruct"
"""What legacy completions answer with by default: chat models are not served there."""
_REGIONAL: Final = re.compile(r"https?://([a-z]{2})\.api\.openai\.com(?=[:/]|$)", re.I)
"""The addresses that bind processing to a region, at a premium for newer models."""
LEAST_OUTPUT: Final = 16
"""The Responses API refuses a smaller `max_output_tokens`."""


def is_openai_model(model: str) -> bool:
    return _SERVED.match(model) is not None


def openai_quirks(model: str, dialect_name: str = "openai_chat") -> Quirks:
    quirks = REASONING_QUIRKS if _REASONING.match(model) else DEFAULT_QUIRKS
    return replace(quirks, min_max_tokens=LEAST_OUTPUT) if dialect_name == "openai_responses" else quirks


class OpenAIProvider(WireProvider):
    """OpenAI's own API. `organization` is sent with every request where it is given (OPENAI_ORG_ID)."""

    kind: ClassVar[str] = "openai"
    default_model: ClassVar[str] = "gpt-4o-mini"
    default_base_url: ClassVar[str] = "https://api.openai.com/v1"
    key_variable: ClassVar[str | None] = "OPENAI_API_KEY"
    url_variable: ClassVar[str | None] = "OPENAI_BASE_URL"
    apis: ClassVar[Mapping[str, tuple[str, str]]] = {
        "responses": ("openai_responses", "/responses"),
        "completions": ("openai_completions", "/completions"),
    }
    aliases = ALIASES

    def __init__(self, model_id: str | None = None, *, organization: str | None = None, **options: Any) -> None:
        if options.get("api") == "completions" and not options.get("model"):
            model_id = model_id or COMPLETIONS_MODEL
        super().__init__(model_id, **options)
        self.organization = organization or (environment("OPENAI_ORG_ID") if self.mode == "live" else None)
        regional = _REGIONAL.match(self.base_url or "")
        self.region = regional and regional[1].lower()

    def serves(self, model: str) -> bool:
        return is_openai_model(model)

    def quirks_of(self, model_id: str) -> Quirks:
        return openai_quirks(model_id, self.dialect_name)

    def usage_of(self, request: GenerationRequest, completion: Completion) -> TokenUsage:
        """The answers do not say where they were made: the address does."""
        usage = super().usage_of(request, completion)
        usage.region = usage.region or self.region
        return usage

    def auth_headers(self, api_key: str) -> dict[str, str]:
        headers = super().auth_headers(api_key)
        if self.organization:
            headers["openai-organization"] = self.organization
        return headers

    def sdk_transport(self, base_url: str, api_key: str) -> Transport:
        from providers.transports.openai_sdk import openai_transport

        return openai_transport(
            base_url, api_key=api_key, organization=self.organization, max_connections=self.max_connections
        )
