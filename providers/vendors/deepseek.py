"""DeepSeek: OpenAI's formats (api-docs.deepseek.com). Its Responses API keeps nothing between calls."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from providers.dialects.base import Quirks
from providers.vendors.wire import WireProvider


class DeepSeekProvider(WireProvider):
    kind: ClassVar[str] = "deepseek"
    default_model: ClassVar[str] = "deepseek-chat"
    default_base_url: ClassVar[str] = "https://api.deepseek.com"
    key_variable: ClassVar[str | None] = "DEEPSEEK_API_KEY"
    apis: ClassVar[Mapping[str, tuple[str, str]]] = {"responses": ("openai_responses", "/responses")}
    aliases: ClassVar[dict[str, str]] = {"deepseek": "deepseek-chat", "deepseek-r1": "deepseek-reasoner"}
    quirks: ClassVar[Quirks] = Quirks(json_schema=False)

    def serves(self, model: str) -> bool:
        # A colon or a slash marks the open weights as other servers name them.
        return model.startswith("deepseek-") and not set(":/") & set(model)
