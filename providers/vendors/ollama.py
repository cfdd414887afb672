"""Ollama's own API (docs.ollama.com/api)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from providers.vendors.wire import TransportKind, WireProvider


class OllamaProvider(WireProvider):
    """Models on the user's own machine: no key, no charge. It serves the models it is configured with."""

    kind: ClassVar[str] = "ollama"
    dialect_name: ClassVar[str] = "ollama"
    path: ClassVar[str] = "/api/chat"
    apis: ClassVar[Mapping[str, tuple[str, str]]] = {"generate": ("ollama_generate", "/api/generate")}
    default_model: ClassVar[str] = "llama3.2"
    default_base_url: ClassVar[str] = "http://localhost:11434"
    default_transport: ClassVar[TransportKind] = "aiohttp"
    has_sdk: ClassVar[bool] = False
    url_variable: ClassVar[str | None] = "OLLAMA_BASE_URL"
    needs_key: ClassVar[bool] = False
    plain_http: ClassVar[bool] = True
    local: ClassVar[bool] = True
    prefills: ClassVar[bool] = True

    def __init__(self, model_id: str | None = None, **options: Any) -> None:
        super().__init__(model_id, **options)
        if self.dialect_name == "ollama_generate":
            # One question is all that it takes, without the beginning of an answer.
            self.prefills = False  # type: ignore[misc]  # a fact about the endpoint, which only the instance knows

    def resolve_model(self, model: str) -> str | None:
        """A configured model, with or without its tag: `llama3.2` is `llama3.2:latest`."""
        asked = model.lower().removesuffix(":latest")
        for served in (getattr(self, "model_id", None), getattr(self, "model", None), *self.models):
            if served and asked == served.lower().removesuffix(":latest"):
                return str(served)
        return None

    def complete_url(self, url: str) -> str:
        # Addresses for OpenAI's clients end with /v1, those of the API's own pages with /api.
        return url.removesuffix("/v1").removesuffix("/api")
