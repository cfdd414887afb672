"""Anthropic's Messages API (docs.claude.com/en/api/messages)."""

from __future__ import annotations

import re
from typing import Any, ClassVar, Final

from providers.dialects.base import Quirks
from providers.transports.base import Transport
from providers.vendors.wire import WireProvider

API_VERSION: Final = "2023-06-01"
"""The version that the dialect reads and writes, sent with every request."""

_NEWEST: Final = r"opus-4-[7-9]|mythos|fable|[a-z]+-(?:[5-9]|\d\d)(?:-|$)"
_NO_SAMPLING: Final = re.compile(rf"claude-(?:{_NEWEST})")
_ONE_SAMPLER: Final = re.compile(r"claude-(?:opus-4-1|[a-z]+-4-[5-9])")
_NO_PREFILL: Final = re.compile(rf"claude-(?:[a-z]+-4-[6-9]|{_NEWEST})")


def claude_quirks(model: str) -> Quirks:
    """How a Claude departs from the rest, by its plain name."""
    return Quirks(sampling=_NO_SAMPLING.match(model) is None, one_sampler=_ONE_SAMPLER.match(model) is not None)


def claude_prefills(model: str) -> bool:
    """Whether a Claude goes on from an assistant message that ends the conversation, by its plain name."""
    return _NO_PREFILL.match(model) is None


class AnthropicProvider(WireProvider):
    kind: ClassVar[str] = "anthropic"
    dialect_name: ClassVar[str] = "anthropic_messages"
    path: ClassVar[str] = "/v1/messages"
    default_model: ClassVar[str] = "claude-haiku-4-5"
    default_base_url: ClassVar[str] = "https://api.anthropic.com"
    key_variable: ClassVar[str | None] = "ANTHROPIC_API_KEY"
    url_variable: ClassVar[str | None] = "ANTHROPIC_BASE_URL"
    prefills: ClassVar[bool] = True
    aliases: ClassVar[dict[str, str]] = {
        "claude-2": "claude-2.1",
        "claude-instant": "claude-instant-1.2",
        "claude-3-opus": "claude-3-opus-20240229",
        "claude-3-sonnet": "claude-3-sonnet-20240229",
        "claude-3-haiku": "claude-3-haiku-20240307",
        "claude-3.5-sonnet": "claude-3-5-sonnet-20241022",
        "claude-3-5-sonnet": "claude-3-5-sonnet-20241022",
        "claude-3.5-haiku": "claude-3-5-haiku-20241022",
        "claude-3-5-haiku": "claude-3-5-haiku-20241022",
        "claude-3.7-sonnet": "claude-3-7-sonnet-20250219",
        "claude-3-7-sonnet": "claude-3-7-sonnet-20250219",
        "claude-sonnet-4": "claude-sonnet-4-20250514",
        "claude-opus-4": "claude-opus-4-20250514",
        "claude-opus-4.1": "claude-opus-4-1-20250805",
        "claude-opus-4-1": "claude-opus-4-1-20250805",
        "claude-sonnet-4.5": "claude-sonnet-4-5-20250929",
        "claude-sonnet-4-5": "claude-sonnet-4-5-20250929",
        "claude-haiku-4.5": "claude-haiku-4-5-20251001",
        "claude-haiku-4-5": "claude-haiku-4-5-20251001",
        "claude-opus-4.5": "claude-opus-4-5-20251101",
        "claude-opus-4-5": "claude-opus-4-5-20251101",
    }

    def __init__(self, model_id: str | None = None, **options: Any) -> None:
        super().__init__(model_id, **options)
        if not claude_prefills(self.model_id):
            self.prefills = False  # type: ignore[misc]  # a fact about the model, which only the instance knows

    def serves(self, model: str) -> bool:
        return model.startswith("claude-")

    def quirks_of(self, model_id: str) -> Quirks:
        return claude_quirks(model_id)

    def complete_url(self, url: str) -> str:
        # The path brings the version, which addresses for other clients often end with.
        return url.removesuffix("/v1")

    def auth_headers(self, api_key: str) -> dict[str, str]:
        return {"x-api-key": api_key, "anthropic-version": API_VERSION}

    def sdk_transport(self, base_url: str, api_key: str) -> Transport:
        from providers.transports.anthropic_sdk import anthropic_transport

        return anthropic_transport(
            base_url, api_key=api_key, api_version=API_VERSION, max_connections=self.max_connections
        )
