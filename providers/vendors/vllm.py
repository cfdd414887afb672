"""vLLM, or any server of one's own that speaks OpenAI's formats (docs.vllm.ai, "OpenAI-compatible server")."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar
from urllib.parse import urlsplit

from providers.vendors.wire import TransportKind, WireProvider


class VLLMProvider(WireProvider):
    """Serves the models it was started with. No key is needed; one is sent only where it is given."""

    kind: ClassVar[str] = "vllm"
    default_model: ClassVar[str] = "Qwen/Qwen2.5-7B-Instruct"
    default_base_url: ClassVar[str] = "http://localhost:8000/v1"
    default_transport: ClassVar[TransportKind] = "aiohttp"
    url_variable: ClassVar[str | None] = "VLLM_ENDPOINT"
    apis: ClassVar[Mapping[str, tuple[str, str]]] = {
        "responses": ("openai_responses", "/responses"),
        "completions": ("openai_completions", "/completions"),
    }
    needs_key: ClassVar[bool] = False
    plain_http: ClassVar[bool] = True
    local: ClassVar[bool] = True

    def resolve_model(self, model: str) -> str | None:
        """A model by its id, by the part after the slash, or by its family (`qwen`)."""
        asked = model.lower()
        for served in (getattr(self, "model_id", None), getattr(self, "model", None), *self.models):
            if served:
                name = served.lower()
                last = name.rpartition("/")[2]
                if asked in (name, last, name.partition("/")[0]):
                    return str(served)
        return None

    def complete_url(self, url: str) -> str:
        return url if urlsplit(url).path.strip("/") else f"{url}/v1"
