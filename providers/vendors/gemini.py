"""Google's Gemini API with an API key (ai.google.dev/api); Vertex AI has other addresses and credentials."""

from __future__ import annotations

import re
from typing import Any, ClassVar, Final
from urllib.parse import quote

from providers.vendors.settings import environment
from providers.vendors.wire import TransportKind, WireProvider

SECOND_KEY_VARIABLE: Final = "GOOGLE_API_KEY"
"""Google's own clients read it too; it may belong to another of its APIs, so GEMINI_API_KEY goes before it."""
_VERSION: Final = re.compile(r"/v1(?:alpha|beta)?(?:/openai|/models)?$")


class GeminiProvider(WireProvider):
    kind: ClassVar[str] = "gemini"
    dialect_name: ClassVar[str] = "gemini"
    default_model: ClassVar[str] = "gemini-2.5-flash"
    default_base_url: ClassVar[str] = "https://generativelanguage.googleapis.com"
    default_transport: ClassVar[TransportKind] = "aiohttp"
    has_sdk: ClassVar[bool] = False
    key_variable: ClassVar[str | None] = "GEMINI_API_KEY"
    url_variable: ClassVar[str | None] = "GOOGLE_GEMINI_BASE_URL"

    def __init__(self, model_id: str | None = None, **options: Any) -> None:
        super().__init__(model_id, **options)
        if self.mode == "live" and not self.api_key and options.get("transport") is None:
            self.api_key = environment(SECOND_KEY_VARIABLE)

    def serves(self, model: str) -> bool:
        return model.startswith(("gemini-", "gemma-"))

    def resolve_model(self, model: str) -> str | None:
        """A model by its name or by its resource name, `models/gemini-2.5-flash`."""
        return super().resolve_model(model.removeprefix("models/"))

    def path_of(self, model_id: str, *, stream: bool = False) -> str:
        method = "streamGenerateContent?alt=sse" if stream else "generateContent"
        return f"/v1beta/models/{quote(model_id, safe='')}:{method}"

    def complete_url(self, url: str) -> str:
        # The path brings the version, which addresses for other clients often end with.
        return _VERSION.sub("", url)

    def auth_headers(self, api_key: str) -> dict[str, str]:
        return {"x-goog-api-key": api_key}
